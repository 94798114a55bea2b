#!/bin/sh
# setup.sh: installs what stasis needs besides itself, on Debian 12, 13 and newer.  Run it as root, and again at any time:
# when everything is there it says so in a moment and downloads nothing.
#
# usage: setup.sh [run] [build] [test] [vm]      (no argument: the first three)
#   run     to run stasis: Debian's conmon, skopeo, netavark, ... and a criu + crun that work on the running kernel
#   build   to compile it
#   test    to run every test: linters, pytest, file systems; servers the tests use are unpacked, never installed or started
#   vm      to run the tests in a virtual machine (make vm-check)
# usage: setup.sh list PROFILE...                 prints the names of the packages and does nothing
#
# criu and crun come from the distribution where they are new enough for the kernel and pass a functional proof; otherwise
# from a newer Debian suite, as Debian's own signed binaries with their libraries, unpacked in a private prefix.  Nothing of
# the system is replaced, and an older prefix stays until the new one has passed the proof.
#
# environment: PREFIX  the private prefix (/usr/local/lib/stasis)
#              SUITES  where newer binaries may come from ("forky sid")
#              NEED    the oldest criu that will do (from the kernel's version)
#              FORCE=1 fetch the private prefix again, and prove again
#              STASIS_TESTS_CACHE  where unpacked test servers live (/var/cache/stasis-tests)
set -eu
PREFIX=${PREFIX:-/usr/local/lib/stasis}
SUITES=${SUITES:-forky sid}
TESTS_CACHE=${STASIS_TESTS_CACHE:-/var/cache/stasis-tests}
STATE=/var/cache/stasis
HERE=$(dirname "$(readlink -f "$0")")
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export DEBIAN_FRONTEND=noninteractive LC_ALL=C PATH

say() { printf '%s\n' "setup: $*"; }
die() { printf '%s\n' "setup: $*" >&2; exit 1; }

# ---- packages: one row, one fact -------------------------------------------------------------------------------------

packages_run() {
	cat <<-X
		conmon            holds a container's stdio and exit code, so that it outlives the daemon
		skopeo            fetches images
		ca-certificates   lets skopeo trust registries
		netavark          builds container networks
		aardvark-dns      answers names inside them
		iptables          netavark's firewall on Debian 12
		nftables          the network lock while a container's memory is taken
		iproute2          network namespaces
		busybox-static    the built-in image
		libarchive13      archives
		libcurl4          the client's HTTP
		libgnutls30       digests and TLS
		libjson-c5        JSON
		libmicrohttpd12   the daemon's HTTP
		libsqlite3-0      the daemon's rows
	X
}

packages_build() {
	cat <<-X
		gcc                        compiler
		libc6-dev                  C library
		meson                      build system
		ninja-build                build system
		make                       the menu over meson
		pkg-config                 finds libraries
		libarchive-dev             archives
		libcurl4-openssl-dev       the client's HTTP
		libgnutls28-dev            digests and TLS
		libjson-c-dev              JSON
		libmicrohttpd-dev          the daemon's HTTP
		libsqlite3-dev             the daemon's rows
	X
}

packages_test() {
	cat <<-X
		python3           test programs
		python3-pytest    end-to-end tests
		clang             second compiler, fuzzing
		clang-format      style
		clang-tidy        static analysis
		shellcheck        static analysis of scripts
		gcovr             coverage
		xfsprogs          tests on a file system with reflinks
		btrfs-progs       tests on a file system with reflinks
		curl              tests that speak HTTP
		zstd              archives made by others
	X
}

packages_vm() {
	cat <<-X
		qemu-system-x86   the machine
		openssh-client    the way into it
		mmdebstrap        makes its disk
		e2fsprogs         makes its disk
	X
}

# A package counts as there when its name is installed, or provided by what is (libcurl4 is libcurl4t64 on Debian 13).
missing() {
	# shellcheck disable=SC2016 # dpkg's own placeholders
	dpkg-query -W -f='${db:Status-Status} ${Package}, ${Provides}\n' | awk '
		NR == FNR && /^installed / {
			sub(/^installed /, ""); gsub(/\([^)]*\)/, "")
			n = split($0, names, /[ ,]+/)
			for (i = 1; i <= n; i++) have[names[i]] = 1
		}
		NR != FNR && !($1 in have)' - "$1"
}

apt_install() {
	apt-get -qq -y -o DPkg::Lock::Timeout=300 --no-install-recommends install "$@" >"$tmp/apt.log" 2>&1
}

apt_update() {
	say "reading the package lists"
	apt-get -qq -o DPkg::Lock::Timeout=300 update
}

# Lists that are missing or too old for the mirror are read again, but only when there is something to install.
install_missing() {
	missing "$1" >"$tmp/missing"
	[ -s "$tmp/missing" ] || return 0
	say "installing from this machine's Debian mirror:"
	sed 's/^/setup:   /' "$tmp/missing"
	names=$(awk '{ print $1 }' "$tmp/missing" | tr '\n' ' ')
	# shellcheck disable=SC2086 # a list of words
	apt_install $names || { apt_update && apt_install $names; } || { cat "$tmp/apt.log" >&2; die "apt-get could not install: $names"; }
}

# ---- criu and crun ---------------------------------------------------------------------------------------------------

# From kernel 6.13 on glibc (2.42) uses MADV_GUARD_INSTALL, and 6.16 refuses SO_PASSCRED on inet sockets: CRIU 4.2 knows both.
needed_criu() {
	kernel=$(uname -r)
	if dpkg --compare-versions "${kernel%%[!0-9.]*}" ge 6.13; then echo 4.2; else echo 4.0; fi
}

version_of() { # version_of BINDIR: the criu there
	"$1/criu" --version 2>/dev/null | sed -n 's/^Version: *//p'
}

new_enough() { # new_enough BINDIR: a criu that is new enough and a crun that can drive it; sets $version
	[ -x "$1/criu" ] || return 1
	version=$(version_of "$1")
	[ -n "$version" ] && dpkg --compare-versions "$version" ge "$need" &&
		PATH="$1:$PATH" crun --version 2>/dev/null | grep -q '+CRIU'
}

# What was proven stays proven until the kernel or the program changes.
proof_key() {
	echo "$(uname -r) $1/criu $version $(stat -L -c '%Y %s' "$1/criu" "$(PATH="$1:$PATH" command -v crun)" | tr '\n' ' ')"
}

proven() { # proven BINDIR: new enough, and known or now shown to work
	new_enough "$1" || return 1
	key=$(proof_key "$1")
	if [ -z "${FORCE:-}" ] && [ "$key" = "$(cat "$STATE/proof" 2>/dev/null)" ]; then
		return 0
	fi
	prove "$1" || return 1
	echo "$key" >"$STATE/proof.new" && mv "$STATE/proof.new" "$STATE/proof"
}

# The proof: a process that talks to itself over an established TCP connection is dumped, brought back, and must go on
# counting where it was.  ("criu check" says "Looks good." where this fails.)  With STAGED, that folder stands in for PREFIX,
# in a mount namespace of its own: tested are the very files, at the very place, before anybody else can see them there.
prove() { # prove BINDIR [STAGED]
	d=$(mktemp -d -p "$tmp")
	cat >"$d/talk.pl" <<'X'
use IO::Socket::INET;
use POSIX ();
POSIX::close($_) for 3 .. 255;	# whatever the caller had open is not what is tested here
my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1", Listen => 1) or die;
my $c = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $s->sockport) or die;
my $a = $s->accept or die;
for (my $i = 1;; $i++) {
	syswrite $c, pack("N", $i); sysread $a, my $n, 4;
	open my $f, ">", "n.new"; print $f unpack("N", $n); close $f; rename "n.new", "n";
	select undef, undef, undef, 0.01;
}
X
	# The empty controller name keeps CRIU away from cgroup v1 hierarchies; without them it has no effect.
	printf '%s\n' 'network-lock nftables' 'cgroup-dump-controller=' >"$d/criu.conf"
	cat >"$d/prove.sh" <<'X'
set -eu
ulimit -f 200000	# blocks of 512 bytes: a criu gone wild must not fill the disk with its log
[ -z "$1" ] || mount --bind "$1" "$2"
ip link set lo up
setsid perl talk.pl </dev/null >/dev/null 2>&1 & p=$!
for i in $(seq 100); do [ ! -s n ] || break; sleep 0.02; done
[ -s n ] || { echo "the test program did not start" >errors; exit 1; }
mkdir img
if ! timeout -k 1 20 criu dump -t $p -D img --tcp-established -o dump.log >/dev/null 2>&1; then
	kill -9 $p; grep Error img/dump.log >errors || tail -n 3 img/dump.log >errors; exit 1
fi
before=$(cat n)
if ! timeout -k 1 20 criu restore -d -D img --tcp-established --pidfile "$PWD/pid" -o restore.log </dev/null >/dev/null 2>&1; then
	grep Error img/restore.log >errors || tail -n 3 img/restore.log >errors; exit 1
fi
for i in $(seq 100); do after=$(cat n); [ "$after" -le "$before" ] || break; sleep 0.02; done
kill -9 "$(cat pid)"
[ "$after" -gt "$before" ] || { echo "the process came back and stood still" >errors; exit 1; }
X
	if (cd "$d" && PATH="$1:$PATH" CRIU_CONFIG_FILE="$d/criu.conf" unshare -n -m sh ./prove.sh "${2:-}" "$PREFIX" 2>"$d/err"); then
		say "criu $version: a process with an open TCP connection was dumped and brought back"
		return 0
	fi
	say "criu $version in $1 does not work on this kernel ($(uname -r)):"
	cat "$d/err" "$d/errors" 2>/dev/null | tail -n 5 | sed 's/^/setup:   /'
	return 1
}

from_distribution() {
	candidate=$(apt-cache policy criu 2>/dev/null | sed -n 's/^ *Candidate: *//p')
	dpkg --compare-versions "${candidate:-0}" ge "$need" || return 1
	say "installing criu $candidate and crun from the distribution: they take and give back a container's memory"
	apt_install criu crun libcriu2 && proven /usr/sbin
}

# Copies criu, crun and the libraries they use out of an unpacked root into the folder that becomes the prefix.  DT_RPATH, not
# RUNPATH, lets crun's dlopen("libcriu.so.2") find the one here.
stage() { # stage ROOT STAGED
	root=$1 new=$2
	for ld in "$root"/usr/lib/*/ld-linux*.so.*; do break; done
	lib=${ld%/*} ld_name=${ld##*/}
	mkdir -p "$new/bin" "$new/lib"
	cp "$root/usr/sbin/criu" "$root/usr/bin/crun" "$new/bin/"
	cp -L "$lib/libcriu.so.2" "$ld" "$new/lib/"
	for f in "$new/bin/criu" "$new/bin/crun" "$new/lib/libcriu.so.2"; do "$ld" --library-path "$lib" --list "$f"; done |
		awk -v d="$lib/" 'index($3, d) == 1 { print $3 }' | sort -u | xargs cp -L -t "$new/lib/"
	for f in "$new/bin/criu" "$new/bin/crun"; do
		"$ld" --library-path "$lib" "$root/usr/bin/patchelf" --set-interpreter "$PREFIX/lib/$ld_name" \
			--force-rpath --set-rpath "$PREFIX/lib" "$f" || return 1
	done
	version=$("$new/lib/$ld_name" --library-path "$new/lib" "$new/bin/criu" --version | sed -n 's/^Version: *//p')
	dpkg --compare-versions "${version:-0}" ge "$need"
}

from_suite() { # from_suite SUITE
	say "fetching criu and crun from Debian $1 into $PREFIX (about 17 MB): they take and give back a container's memory"
	root=$tmp/$1 new=$PREFIX.new
	rm -rf "$new"
	mkdir -p "$new" "$PREFIX"
	"$HERE/tools/unpack-debs" --suite "$1" "$root" criu libcriu2 crun patchelf >"$tmp/manifest" || return 1
	sed "s/^/$1 /" "$tmp/manifest" >"$new/MANIFEST"
	stage "$root" "$new" || { say "Debian $1 has no criu >= $need (${version:-none})"; return 1; }
	prove "$PREFIX/bin" "$new" || return 1
	rm -rf "$PREFIX.old"
	mv "$PREFIX" "$PREFIX.old"
	mv "$new" "$PREFIX"
	rm -rf "$PREFIX.old"
	new_enough "$PREFIX/bin" && proof_key "$PREFIX/bin" >"$STATE/proof"
}

checkpoint_tools() {
	need=${NEED:-$(needed_criu)}
	[ -d "$PREFIX/bin" ] || [ ! -d "$PREFIX.old/bin" ] || { rm -rf "$PREFIX"; mv "$PREFIX.old" "$PREFIX"; } # an interrupted swap
	if [ -z "${FORCE:-}" ]; then
		for bin in "$PREFIX/bin" /usr/sbin; do
			if proven "$bin"; then say "criu $version in $bin works here"; return; fi
		done
	fi
	if from_distribution; then return; fi
	for suite in $SUITES; do
		if from_suite "$suite"; then return; fi
	done
	die "no criu >= $need that works on kernel $(uname -r), neither from the distribution nor from [$SUITES]"
}

# ---- servers the tests talk to ---------------------------------------------------------------------------------------

test_servers() {
	tools=$TESTS_CACHE/tools
	[ ! -x "$tools/usr/bin/docker-registry" ] || return 0
	say "unpacking docker-registry into $tools: the tests pull from it (it is not installed and not started)"
	rm -rf "$tools.new"
	mkdir -p "$TESTS_CACHE"
	"$HERE/tools/unpack-debs" --no-deps "$tools.new" docker-registry >/dev/null || die "could not fetch docker-registry"
	rm -rf "$tools"
	mv "$tools.new" "$tools"
}

# ---- main ------------------------------------------------------------------------------------------------------------

action=install
[ "${1:-}" != list ] || { action=list; shift; }
[ $# -gt 0 ] || set -- run build test
for profile; do
	case $profile in run | build | test | vm) ;; *) sed -n '5,10s/^# \{0,1\}//p' "$0" >&2; exit 2 ;; esac
done
if [ $action = list ]; then
	for profile; do "packages_$profile"; done | awk '{ print $1 }' | sort -u
	exit
fi
[ "$(id -u)" = 0 ] || die "must run as root (sudo ./setup.sh)"
command -v apt-get >/dev/null || die "this is for Debian 12 and newer: apt-get is missing"

mkdir -p "$STATE"
exec 9>"$STATE/setup.lock"
flock 9
tmp=$(mktemp -d)
trap 'rm -rf "$tmp" "$PREFIX.new"; rmdir "$PREFIX" 2>/dev/null || true' EXIT
trap 'exit 129' HUP INT TERM

for profile; do "packages_$profile"; done | sort -u -k 1,1 >"$tmp/wanted"
install_missing "$tmp/wanted"
for profile; do
	case $profile in
	run) checkpoint_tools ;;
	test) test_servers ;;
	esac
done
say "everything is there: $*"
