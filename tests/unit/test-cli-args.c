/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/image.h"
#include "cli/pairs.h"
#include "test.h"

static const struct option_row options[] = {
	{ "force", 'f', NULL, "", COMPLETE_NOTHING },	{ "timeout", 0, "SECONDS", "", COMPLETE_NOTHING },
	{ "tail", 'n', "LINES", "", COMPLETE_NOTHING }, { "env", 'e', "KEY=VALUE", "", COMPLETE_NOTHING },
	{ NULL, 0, NULL, NULL, COMPLETE_NOTHING },
};
static const struct command stop = { .name = "stop", .operands = "NAME…", .options = options, .min = 1, .max = 2 };
static const struct command exec = { .name = "exec",
				     .operands = "NAME CMD…",
				     .options = options,
				     .min = 1,
				     .max = -1,
				     .free_after = 2,
				     .has_rest = true };

/* Parses a line of words for @c. */
static int parse(const struct command *c, const char *line, struct args *a, struct err *err)
{
	AUTO(strv_free) char **words = NULL;

	if (strv_parse_words(line, &words, err) < 0)
		return -1;
	if (!words)
		words = xcalloc(1, sizeof(*words));
	return args_parse(c, words, a, err);
}

/* The words of the complaint, or "" when there is none. */
static const char *complaint(const struct command *c, const char *line)
{
	static struct err err;
	AUTO(args_done) struct args a = { 0 };

	err.text[0] = '\0';
	if (parse(c, line, &a, &err) == 0)
		return "";
	return err.text;
}

TEST(options_and_operands_mix)
{
	AUTO(args_done) struct args a = { 0 };
	struct err err = ERR_INIT;
	int64_t timeout = -1;

	REQUIRE(parse(&stop, "web --force --timeout 30 db", &a, &err) == 0);
	CHECK(a.n_operands == 2);
	CHECK_STR(a.operands[0], "web");
	CHECK_STR(a.operands[1], "db");
	CHECK(args_has(&a, "force"));
	CHECK(!args_has(&a, "tail"));
	CHECK(args_get(&a, "tail") == NULL);
	CHECK(args_get_int(&a, "timeout", 0, 100, &timeout, &err) == 0);
	CHECK_INT(timeout, 30);
}

TEST(all_spellings_of_a_value)
{
	static const char *const lines[] = { "web --tail 5", "web --tail=5", "web -n 5", "web -n5",
					     "web -fn5",     "-fn 5 web",    "web -n=5" };

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		AUTO(args_done) struct args a = { 0 };
		struct err err = ERR_INIT;

		REQUIRE(parse(&stop, lines[i], &a, &err) == 0);
		CHECK_STR(args_get(&a, "tail"), "5");
		CHECK_INT(a.n_operands, 1);
	}
}

TEST(values_are_taken_as_they_are)
{
	AUTO(args_done) struct args a = { 0 };
	struct err err = ERR_INIT;

	REQUIRE(parse(&stop, "web -e A=1 --env=B=--force -e '' --timeout -1", &a, &err) == 0);
	CHECK_INT(strv_len(args_all(&a, "env")), 3);
	CHECK_STR(args_all(&a, "env")[0], "A=1");
	CHECK_STR(args_all(&a, "env")[1], "B=--force");
	CHECK_STR(args_get(&a, "env"), "");
	CHECK_STR(args_get(&a, "timeout"), "-1");
	CHECK(!args_has(&a, "force"));
}

TEST(global_options_everywhere)
{
	AUTO(args_done) struct args a = { 0 };
	struct err err = ERR_INIT;

	REQUIRE(parse(&stop, "--socket /x web -q --format json", &a, &err) == 0);
	CHECK_STR(args_get(&a, "socket"), "/x");
	CHECK_STR(args_get(&a, "format"), "json");
	CHECK(args_has(&a, "quiet"));
}

TEST(another_programs_words_are_left_alone)
{
	static const char *const lines[] = { "web ls -l --force", "web -- ls -l --force", "-f web ls -l --force" };

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		AUTO(args_done) struct args a = { 0 };
		struct err err = ERR_INIT;
		size_t n;

		REQUIRE(parse(&exec, lines[i], &a, &err) == 0);
		CHECK_STR(a.operands[0], "web");
		n = strv_len(a.rest);
		REQUIRE(n >= 2);
		CHECK_STR(a.rest[n - 1], "--force");
		CHECK_STR(a.rest[n - 2], "-l");
		CHECK(args_has(&a, "force") == (i == 2));
	}
}

TEST(a_dash_is_an_operand)
{
	AUTO(args_done) struct args a = { 0 };
	struct err err = ERR_INIT;

	REQUIRE(parse(&stop, "-", &a, &err) == 0);
	CHECK_STR(a.operands[0], "-");
}

TEST(complaints_help)
{
	CHECK_STR(complaint(&stop, "web --forec"), "unknown option '--forec' (did you mean '--force'?)");
	CHECK_STR(complaint(&stop, "web --fo"), "unknown option '--fo' (did you mean '--force'?)");
	CHECK_STR(complaint(&stop, "web --qqqqqq"), "unknown option '--qqqqqq'");
	CHECK_STR(complaint(&stop, "web -x"), "unknown option '-x'");
	CHECK_STR(complaint(&stop, "web --timeout"), "option '--timeout' needs a value: SECONDS");
	CHECK_STR(complaint(&stop, "web --force=yes"), "option '--force' takes no value");
	CHECK_STR(complaint(&stop, "a b c"), "'c' is one word too many");
	CHECK_STR(complaint(&stop, "web -- x"), "'--' has no meaning for 'stop'");
	CHECK(*complaint(&stop, ""));
	CHECK_STR(complaint(&stop, "--help"), "");
}

TEST(numbers_are_checked)
{
	AUTO(args_done) struct args a = { 0 };
	struct err err = ERR_INIT;
	int64_t n = 7;

	REQUIRE(parse(&stop, "web --timeout soon", &a, &err) == 0);
	CHECK_INT(args_get_int(&a, "timeout", 0, 100, &n, &err), CLI_EUSAGE);
	CHECK(str_after(err.text, "option '--timeout': ") != NULL);
	CHECK_INT(n, 7);
	CHECK_INT(args_get_int(&a, "tail", 0, 100, &n, &err), 0);
	CHECK_INT(n, 7);
}

TEST(nearest_word)
{
	AUTO(strv_free) char **words = strv_new("start", "stop", "restart", "resume", "exec", NULL);

	CHECK_STR(args_nearest("strat", words), "start");
	CHECK_STR(args_nearest("sotp", words), "stop");
	CHECK_STR(args_nearest("rest", words), "restart");
	CHECK_STR(args_nearest("exe", words), "exec");
	CHECK(args_nearest("banana", words) == NULL);
	CHECK(args_nearest("a-word-of-more-than-thirty-two-letters", words) == NULL);
}

/* Every row of the table is fit to be parsed, helped with and completed. */
static void check_rows(const struct command *c)
{
	CHECK(c->name && c->summary);
	CHECK(!str_ends(c->summary, "."));
	CHECK((c->subs != NULL) != (c->run != NULL));
	CHECK(c->max < 0 || c->min <= c->max);
	CHECK(c->max == 0 || c->operands || c->has_rest);
	for (const struct option_row *row = c->options; row && row->name; row++) {
		CHECK(row->help && *row->help);
		CHECK(row->letter != 'h' && row->letter != 'q');
		for (const struct option_row *other = args_global; other->name; other++)
			CHECK(!str_eq(row->name, other->name));
		for (const struct option_row *other = c->options; other < row; other++) {
			CHECK(!str_eq(row->name, other->name));
			CHECK(!row->letter || row->letter != other->letter);
		}
	}
	for (size_t i = 0; c->subs && c->subs[i]; i++)
		check_rows(c->subs[i]);
}

TEST(the_table)
{
	struct err err = ERR_INIT;

	check_rows(&cli_root);
	CHECK(command_find(&cli_root, "stop") != NULL);
	CHECK(command_find(&cli_root, "nonsense") == NULL);
	CHECK_INT(command_unknown(&cli_root, "stasis", "strat", &err), CLI_EUSAGE);
	CHECK_STR(err.text, "there is no 'stasis strat' (did you mean 'stasis start'?)");
}

TEST(pairs)
{
	AUTO(strv_free) char **good = strv_new("a=1", "b=", "c=x=y", NULL);
	AUTO(strv_free) char **bad = strv_new("a=1", "b", NULL);
	AUTO(strv_free) char **nameless = strv_new("=1", NULL);
	AUTO(json_free) struct json *object = json_new_object();
	struct err err = ERR_INIT;

	REQUIRE(pairs_to_json(good, object, &err) == 0);
	CHECK_STR(json_get_str(object, "a"), "1");
	CHECK_STR(json_get_str(object, "b"), "");
	CHECK_STR(json_get_str(object, "c"), "x=y");
	CHECK_INT(pairs_to_json(bad, object, &err), CLI_EUSAGE);
	CHECK_STR(err.text, "'b' is not of the form KEY=VALUE");
	CHECK_INT(pairs_to_json(nameless, object, &err), CLI_EUSAGE);
	CHECK_INT(pairs_to_json(NULL, object, &err), 0);
}

TEST(references)
{
	static const struct {
		const char *reference, *alias;
	} rows[] = {
		{ "docker://debian:12", "debian:12" },
		{ "docker://debian:latest", "debian" },
		{ "docker://localhost:5000/team/app", "app" },
		{ "docker://localhost:5000/team/app:v1", "app:v1" },
		{ "docker://debian@sha256:0123", "debian" },
		{ "oci:/srv/layout", "layout" },
		{ "debian", "debian" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		autofree char *alias = image_alias_of(rows[i].reference);

		CHECK_STR(alias, rows[i].alias);
	}
	CHECK(image_is_reference("docker://debian"));
	CHECK(image_is_reference("oci:/srv/layout:tag"));
	CHECK(!image_is_reference("debian:12"));
	CHECK(!image_is_reference("busybox"));
}
