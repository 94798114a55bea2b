/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "cli/cmd.h"

/* The shells split words at '=' and ':' or not; the candidates are whole words, so bash must cut what it has already.
 */
static const char bash[] = "# bash completion for stasis, made by 'stasis completion bash'\n"
			   "_stasis()\n"
			   "{\n"
			   "\tlocal line=${COMP_LINE:0:COMP_POINT} candidate word before\n"
			   "\tlocal -a words\n"
			   "\tread -ra words <<<\"$line\"\n"
			   "\t[[ $line == *[[:blank:]] ]] && words+=('')\n"
			   "\tword=${words[${#words[@]}-1]}\n"
			   "\tbefore=${word%\"${word##*[=:]}\"}\n"
			   "\tCOMPREPLY=()\n"
			   "\twhile IFS= read -r candidate; do\n"
			   "\t\tif [[ $candidate == :files ]]; then\n"
			   "\t\t\tcompopt -o default\n"
			   "\t\t\tcontinue\n"
			   "\t\tfi\n"
			   "\t\tcandidate=${candidate%%$'\\t'*}\n"
			   "\t\t[[ $candidate == *[=.] ]] && compopt -o nospace\n"
			   "\t\tCOMPREPLY+=(\"${candidate#\"$before\"}\")\n"
			   "\tdone < <(\"${words[0]}\" __complete -- \"${words[@]:1}\" 2>/dev/null)\n"
			   "}\n"
			   "complete -F _stasis stasis\n";

static const char zsh[] = "#compdef stasis\n"
			  "# zsh completion for stasis, made by 'stasis completion zsh'\n"
			  "_stasis()\n"
			  "{\n"
			  "\tlocal line\n"
			  "\tlocal -a lines open shut open_shown shut_shown\n"
			  "\tlines=(\"${(@f)$(${words[1]} __complete -- \"${(@)words[2,CURRENT]}\" 2>/dev/null)}\")\n"
			  "\tif [[ $lines[1] == :files ]]; then\n"
			  "\t\t_files\n"
			  "\t\treturn\n"
			  "\tfi\n"
			  "\tfor line in \"${lines[@]}\"; do\n"
			  "\t\t[[ -n $line ]] || continue\n"
			  "\t\tif [[ ${line%%$'\\t'*} == *[=.] ]]; then\n"
			  "\t\t\topen+=(\"${line%%$'\\t'*}\")\n"
			  "\t\t\topen_shown+=(\"${line/$'\\t'/  -- }\")\n"
			  "\t\telse\n"
			  "\t\t\tshut+=(\"${line%%$'\\t'*}\")\n"
			  "\t\t\tshut_shown+=(\"${line/$'\\t'/  -- }\")\n"
			  "\t\tfi\n"
			  "\tdone\n"
			  "\tcompadd -l -d shut_shown -a shut\n"
			  "\tcompadd -l -S '' -d open_shown -a open\n"
			  "}\n"
			  "# as a file of fpath this is the function itself; else it is only announced\n"
			  "if [[ $funcstack[1] == _stasis ]]; then _stasis; else compdef _stasis stasis; fi\n";

static const char fish[] = "# fish completion for stasis, made by 'stasis completion fish'\n"
			   "function __stasis_complete\n"
			   "\tset -l words (commandline -opc) (commandline -ct)\n"
			   "\tset -l lines ($words[1] __complete -- $words[2..-1] 2>/dev/null)\n"
			   "\tif test \"$lines[1]\" = :files\n"
			   "\t\t__fish_complete_path (commandline -ct)\n"
			   "\telse\n"
			   "\t\tprintf '%s\\n' $lines\n"
			   "\tend\n"
			   "end\n"
			   "complete -c stasis -f -a '(__stasis_complete)'\n";

static const struct {
	const char *shell, *script;
} scripts[] = { { "bash", bash }, { "zsh", zsh }, { "fish", fish } };

static int run(struct cli *cli, const struct args *args, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
		if (!str_eq(scripts[i].shell, args->operands[0]))
			continue;
		(void)fputs(scripts[i].script, stdout);
		return CLI_OK;
	}
	return err_set(err, CLI_EUSAGE, "no completion for '%s': bash, zsh or fish", args->operands[0]);
}

const struct command cmd_completion = {
	.name = "completion",
	.operands = "bash|zsh|fish",
	.summary = "print a script that completes the words of stasis in your shell",
	.help = "It asks stasis itself for what fits, names of instances included. For this session:\n"
		"\n"
		"  source <(stasis completion bash)",
	.group = GROUP_OTHER,
	.min = 1,
	.max = 1,
	.complete = COMPLETE_WORDS,
	.run = run,
};
