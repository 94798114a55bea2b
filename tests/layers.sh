#!/bin/bash
# layers.sh: who may include whom.  A room sees only the rooms below it, and a third-party library lives behind one file.
#
# usage: layers.sh [SRC]     checks a source tree (default: src beside this folder)
#        layers.sh --test    checks this script: every rule must catch its violation
set -eu

# room: the rooms whose headers it may include, besides its own
rooms='
base
store   base
runtime base
image   base
net     base
engine  base store runtime image net
api     base engine
daemon  base engine api
guard   base
cli     base
'

# third-party header: the files that may include it
libraries='
archive.h        base/archive*.c
archive_entry.h  base/archive*.c
curl/*           cli/client.c
gnutls/*         base/digest.c api/tls.c
json-c/*         base/json.c
json.h           base/json.c
microhttpd.h     api/httpd.c
sqlite3.h        store/*.c
'

# FILE:LINE:HEADER of every include, header still in its quotes or brackets
includes() {
	(cd "$1" && find . -name '*.[ch]' -exec grep -HnoE '^[[:space:]]*#[[:space:]]*include[[:space:]]*["<][^">]+[">]' {} + |
		sed -E 's|^\./||; s/:[[:space:]]*#[[:space:]]*include[[:space:]]*/:/')
}

row() { # row TABLE KEY: the words after the key whose pattern fits
	local key rest
	while read -r key rest; do
		# shellcheck disable=SC2053 # the key is a pattern
		if [ -n "$key" ] && [[ $2 == $key ]]; then
			echo "$rest"
			return 0
		fi
	done <<<"$1"
	return 1
}

fits() { # fits WORD PATTERN...
	local word=$1 pattern
	shift
	for pattern; do
		# shellcheck disable=SC2053 # patterns
		[[ $word == $pattern ]] && return 0
	done
	return 1
}

# Prints what is wrong with one include, or nothing.
complain() { # complain FILE HEADER
	local file=$1 room=${1%%/*} name allowed
	name=${2:1:-1}
	if [ "${2:0:1}" = '<' ]; then
		allowed=$(row "$libraries" "$name") || return 0
		set -f
		# shellcheck disable=SC2086 # a list of patterns
		fits "$file" $allowed || echo "<$name> belongs in $allowed only"
		set +f
		return 0
	fi
	case $name in
	*/*) ;;
	*) echo "\"$name\": includes are written from src/, with their room"; return 0 ;;
	esac
	allowed=$(row "$rooms" "$room") || { echo "$room is not a room of the layer table"; return 0; }
	# shellcheck disable=SC2086 # a list of words
	fits "${name%%/*}" "$room" $allowed || echo "$room may not include \"$name\" (allowed: ${allowed:-itself only})"
}

check() { # check SRC: fails when something is wrong
	local file line header text bad=0 n=0
	while IFS=: read -r file line header; do
		n=$((n + 1))
		text=$(complain "$file" "$header")
		[ -z "$text" ] || { echo "src/$file:$line: $text"; bad=$((bad + 1)); }
	done < <(includes "$1")
	[ $bad = 0 ] || { echo "layers: $bad of $n includes break the rules"; return 1; }
	[ $n -gt 0 ] || { echo "layers: no includes found in $1"; return 1; }
	echo "layers: $n includes, all allowed"
}

# ---- the test of the test --------------------------------------------------------------------------------------------

passed=0 failed=0
expect() { # expect good|bad FILE INCLUDE
	local got=good
	rm -rf "$lab/src"
	mkdir -p "$lab/src/${2%/*}"
	echo "#include $3" >"$lab/src/$2"
	check "$lab/src" >/dev/null || got=bad
	if [ $got = "$1" ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "layers: #include $3 in $2 is $got, should be $1"; fi
}

self_test() {
	lab=$(mktemp -d)
	trap 'rm -rf "$lab"' EXIT
	expect good base/x.c '"base/err.h"'
	expect bad base/x.c '"store/db.h"'
	expect bad base/x.h '"engine/engine.h"'
	expect good store/x.c '"store/db.h"'
	expect bad store/x.c '"image/oci.h"'
	expect bad image/x.c '"runtime/crun.h"'
	expect bad net/x.c '"store/db.h"'
	expect bad runtime/x.c '"net/netavark.h"'
	expect bad runtime/x.c '"engine/instance.h"'
	expect good engine/x.c '"net/netavark.h"'
	expect bad engine/x.c '"api/reply.h"'
	expect good api/x.c '"engine/engine.h"'
	expect bad api/x.c '"store/db.h"'
	expect bad api/x.c '"runtime/criu.h"'
	expect good daemon/main.c '"api/httpd.h"'
	expect bad daemon/main.c '"store/db.h"'
	expect good guard/main.c '"base/file.h"'
	expect bad guard/main.c '"runtime/freezer.h"'
	expect bad cli/x.c '"engine/engine.h"'
	expect bad cli/x.c '"api/reply.h"'
	expect bad elsewhere/x.c '"base/err.h"'
	expect bad base/x.c '"err.h"'
	expect good base/x.c '<stdio.h>'
	expect good base/archive.c '<archive_entry.h>'
	expect bad image/oci.c '<archive.h>'
	expect bad base/digest.h '<gnutls/crypto.h>'
	expect good base/json.c '<json-c/json.h>'
	expect bad api/reply.c '<json-c/json.h>'
	expect good store/db.c '<sqlite3.h>'
	expect bad store/db.h '<sqlite3.h>'
	expect bad cli/main.c '<curl/curl.h>'
	expect bad cli/main.c '  <microhttpd.h>'
	echo "layers: $passed rules hold, $failed do not"
	[ $failed = 0 ]
}

case ${1:-} in
--test) self_test ;;
*) check "${1:-$(dirname "$(readlink -f "$0")")/../src}" ;;
esac
