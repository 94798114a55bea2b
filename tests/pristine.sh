#!/bin/bash
# pristine.sh: setup.sh in roots where nothing is installed yet.  Makes a minimal Debian root of each suite, runs
# `setup.sh PROFILE` twice in it, and wants: it works, the proof passes, the second run is quick and fetches nothing.
#
# usage: pristine.sh [SUITE...]              (default: bookworm trixie)
# environment: PROFILES  what to set up ("run"), LAB  where the roots go while they are needed
#              DEMO=1    run ./demo there as well
set -eu
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=tests/debian-root.sh
. "$here/debian-root.sh"
PROFILES=${PROFILES:-run}
[ $# -gt 0 ] || set -- bookworm trixie
[ "$(id -u)" = 0 ] || { echo "pristine: must run as root" >&2; exit 1; }
command -v mmdebstrap >/dev/null || { echo "pristine: needs mmdebstrap (setup.sh vm installs it)" >&2; exit 1; }

lab=$(mktemp -d -p "${LAB:-/var/tmp}" pristine.XXXXXX)
trap 'rm -rf --one-file-system "$lab"' EXIT
trap 'exit 129' HUP INT TERM
failed=0 passed=0

ms() { echo $(($(date +%s%N) / 1000000)); }

prepare() { # prepare SUITE ROOT
	root_make "$1" "$2" >"$lab/log" 2>&1 || { cat "$lab/log"; return 1; }
	root_sources "$2/stasis"
}

verdict() { # verdict OK TEXT
	if [ "$1" = yes ]; then passed=$((passed + 1)); echo "PASS $2"; else failed=$((failed + 1)); echo "FAIL $2"; fi
}

try() { # try SUITE
	local root=$lab/$1 t first second ok=no
	prepare "$1" "$root" || { verdict no "$1: root"; return 0; }
	t=$(ms)
	# shellcheck disable=SC2086 # a list of words
	root_run "$root" /stasis/setup.sh $PROFILES && ok=yes
	first=$(($(ms) - t))
	verdict $ok "$1: setup.sh $PROFILES in a pristine root, $first ms"
	t=$(ms) ok=no
	# The second run gets no network: it must not need one.
	# shellcheck disable=SC2086 # a list of words
	root_run "$root" unshare -n /stasis/setup.sh $PROFILES && ok=yes
	second=$(($(ms) - t))
	[ $second -lt 2000 ] || ok=no
	verdict $ok "$1: second run, $second ms, without network"
	if [ -n "${DEMO:-}" ]; then
		t=$(ms) ok=no
		root_run "$root" /stasis/demo && ok=yes
		verdict $ok "$1: demo, $(($(ms) - t)) ms"
	fi
	rm -rf --one-file-system "$root"
}

for suite; do try "$suite"; done
echo "$passed passed, $failed failed"
[ $failed = 0 ]
