#!/bin/bash
# fuzz.sh: throws made-up input at what reads input from strangers, built by clang with libFuzzer, ASan and UBSan.
# A target is tests/fuzz/TARGET.c, whose "links:" line names the sources it needs; tests/fuzz/seeds/TARGET/ may hold examples.
#
# usage: fuzz.sh [TARGET] [SECONDS]      (default: all targets, 60 s each)
# What was found interesting is kept in build-fuzz/TARGET.corpus and used by the next run; a crash is left in build-fuzz/.
set -eu
cd "$(dirname "$(readlink -f "$0")")/.."
out=build-fuzz
seconds=${2:-60}

targets() { find tests/fuzz -maxdepth 1 -name '*.c' -printf '%f\n' | sed 's/\.c$//' | sort; }

compile() { # compile TARGET
	local links
	read -ra links <<<"$(sed -n 's,^// links: ,,p' "tests/fuzz/$1.c")"
	# shellcheck disable=SC2046,SC2068 # lists of words, some of them patterns
	"${CLANG:-clang}" -std=gnu17 -D_GNU_SOURCE -DSTASIS_VERSION='"fuzz"' -DSTASIS_LIBEXECDIR='"/nonexistent"' -g -O1 -Isrc \
		-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -o "$out/$1" "tests/fuzz/$1.c" ${links[@]} \
		$(pkg-config --cflags --libs json-c gnutls libarchive) -lpthread
}

# One line for each target; everything else goes to a log that is shown when something was found.
fuzz() { # fuzz TARGET
	local log=$out/$1.log seeds=()
	mkdir -p "$out/$1.corpus"
	[ ! -d "tests/fuzz/seeds/$1" ] || seeds=("tests/fuzz/seeds/$1")
	compile "$1"
	if "$out/$1" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 -artifact_prefix="$out/$1-" -print_final_stats=1 \
		"$out/$1.corpus" "${seeds[@]}" >"$log" 2>&1; then
		echo "fuzz: $1: nothing found, $(awk '/number_of_executed_units/ { print $2 }' "$log") inputs in $seconds s"
		return 0
	fi
	grep -m 1 -A 30 -E 'ERROR|runtime error|Assertion|ALARM' "$log" || tail -n 40 "$log"
	echo "fuzz: $1: FAILED, see $log"
	return 1
}

mkdir -p "$out"
bad=0
for target in ${1:-$(targets)}; do
	[ -e "tests/fuzz/$target.c" ] || { echo "fuzz: there is no $target; there are: $(targets | tr '\n' ' ')" >&2; exit 2; }
	fuzz "$target" || bad=$((bad + 1))
done
[ $bad = 0 ]
