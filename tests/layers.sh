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

# Tables and file names go to one awk, which reads every source once.
check() { # check SRC: fails when something is wrong
	# shellcheck disable=SC2016 # awk's own
	(cd "$1" && find . -name '*.[ch]' -printf '%P\n' | sort | ROOMS=$rooms LIBRARIES=$libraries xargs -r awk '
		function pattern(glob) { # "store/*.c" as a regular expression
			gsub(/\./, "\\.", glob); gsub(/\*/, "[^/]*", glob)
			return "^" glob "$"
		}
		function fits(word, list, i, n, globs) {
			n = split(list, globs, " ")
			for (i = 1; i <= n; i++) if (word ~ pattern(globs[i])) return 1
			return 0
		}
		function complain(text) { print "src/" FILENAME ":" FNR ": " text; bad++ }
		function judge_library(name, i) {
			for (i = 1; i <= n_libraries; i++)
				if (name ~ pattern(library[i]) && !fits(FILENAME, may[library[i]]))
					complain("<" name "> belongs in" may[library[i]] " only")
		}
		function judge_room(name, room, of) {
			room = FILENAME; sub(/\/.*/, "", room)
			of = name; sub(/\/.*/, "", of)
			if (of == name) complain("\"" name "\": includes are written from src/, with their room")
			else if (!(room in below)) complain(room " is not a room of the layer table")
			else if (of != room && !fits(of, below[room])) complain(room " may not include \"" name "\" (allowed:" below[room] ")")
		}
		BEGIN {
			n = split(ENVIRON["ROOMS"], rows, "\n")
			for (i = 1; i <= n; i++) if (split(rows[i], w, " ")) { sub(/^[^ ]+/, "", rows[i]); below[w[1]] = rows[i] }
			n = split(ENVIRON["LIBRARIES"], rows, "\n")
			for (i = 1; i <= n; i++) if (split(rows[i], w, " ")) { sub(/^[^ ]+ +/, " ", rows[i]); library[++n_libraries] = w[1]; may[w[1]] = rows[i] }
		}
		/^[[:space:]]*#[[:space:]]*include[[:space:]]*["<]/ {
			name = $0; is_system = name ~ /include[[:space:]]*</
			sub(/^[^"<]*["<]/, "", name); sub(/[">].*/, "", name)
			seen++
			if (is_system) judge_library(name); else judge_room(name)
		}
		END {
			if (bad) print "layers: " bad " of " seen " includes break the rules"
			else if (!seen) print "layers: no includes found"
			else print "layers: " seen " includes, all allowed"
			exit bad || !seen
		}')
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
