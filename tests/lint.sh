#!/bin/bash
# lint.sh: everything that is found without running the programs.  Each part says passed, failed or skipped and why.
#
# usage: lint.sh [format] [tidy] [shell] [layers]        (default: all four)
#        lint.sh reformat                                changes the sources as clang-format would have them
# environment: BUILD         a configured and built meson folder, for compile_commands.json (build)
#              CLANG_FORMAT  clang-format's name: style is checked by version 14, because each version formats differently
#              CLANG_TIDY    clang-tidy's name
set -u
cd "$(dirname "$(readlink -f "$0")")/.." || exit 1
BUILD=${BUILD:-build}
CLANG_TIDY=${CLANG_TIDY:-clang-tidy}
passed=0 failed=0 skipped=0

sources() { find src tests bench -name '*.[ch]' -not -path '*/data/*' | sort; }

# Scripts are known by their first line, wherever they are.
scripts() {
	find . -type f -not -path "./.git/*" -not -path "./build*" | while read -r f; do
		! head -n 1 "$f" | grep -qE '^#!.*[/ ](ba|da)?sh( |$)' || echo "$f"
	done
}

find_clang_format() {
	local c
	if [ -n "${CLANG_FORMAT:-}" ]; then echo "$CLANG_FORMAT"; return; fi
	for c in clang-format-14 clang-format; do
		if "$c" --version 2>/dev/null | grep -q 'version 14\.'; then echo "$c"; return; fi
	done
}

format() { # format [OPTION...]
	local tool
	tool=$(find_clang_format)
	[ -n "$tool" ] || { echo "no clang-format 14 here; name one by CLANG_FORMAT="; return 77; }
	[ $# -gt 0 ] || set -- --dry-run -Werror
	sources | xargs -r "$tool" "$@"
}

# The analyzer is told what error functions return (tests/tidy.h), except in the file that defines them.
tidy() {
	[ -r "$BUILD/compile_commands.json" ] || { echo "no $BUILD/compile_commands.json: run make first"; return 1; }
	# shellcheck disable=SC2016 # expanded by the inner shell
	find src -name '*.c' | sort | BUILD=$BUILD CLANG_TIDY=$CLANG_TIDY xargs -r -P "$(nproc)" -n 1 sh -c '
		case $1 in */err.c) know= ;; *) know="--extra-arg-before=-include$PWD/tests/tidy.h" ;; esac
		# fortified functions hide what they do with a va_list
		exec "$CLANG_TIDY" --quiet -p "$BUILD" --extra-arg=-Wno-unknown-warning-option --extra-arg=-U_FORTIFY_SOURCE $know "$1"' sh 2>&1 |
		grep -vE '^[0-9]+ warnings? generated'
	return "${PIPESTATUS[2]}"
}

shell() {
	command -v shellcheck >/dev/null || { echo "no shellcheck here"; return 77; }
	scripts | xargs -r shellcheck -x
}

layers() { tests/layers.sh --test && tests/layers.sh; }

part() { # part NAME
	local t out r=0
	t=$(date +%s%N)
	out=$("$1" 2>&1) || r=$?
	t=$((($(date +%s%N) - t) / 1000000))
	case $r in
	0) passed=$((passed + 1)) && echo "lint: $1 passed ($t ms)" ;;
	77) skipped=$((skipped + 1)) && echo "lint: $1 skipped: $out" ;;
	*) failed=$((failed + 1)) && printf '%s\nlint: %s FAILED (%s ms)\n' "$out" "$1" "$t" ;;
	esac
}

if [ "${1:-}" = reformat ]; then
	format -i
	exit
fi
[ $# -gt 0 ] || set -- format tidy shell layers
for p; do
	case $p in format | tidy | shell | layers) part "$p" ;; *) sed -n '4,5s/^# //p' "$0" >&2; exit 2 ;; esac
done
echo "lint: $passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
