#!/bin/bash
# rootfs.sh: root file systems with real programs for the tests, as tars, from Debian's packages of this host's suite.
# Packages are unpacked, not installed: no maintainer script runs and nothing is started.  Made once, then kept in a cache.
#
# usage: rootfs.sh OUTDIR [NAME...]      puts OUTDIR/NAME.tar there; without NAME: debian
#   debian    sh, coreutils, redis-server, redis-cli, memcached, python3 (threads, sqlite3, ctypes), sqlite3
#   mariadb   mariadbd and its client: a real program that uses io_uring
# environment: STASIS_TESTS_CACHE   the cache (/var/cache/stasis-tests)
set -eu -o pipefail
top=$(dirname "$(readlink -f "$0")")/..
CACHE=${STASIS_TESTS_CACHE:-/var/cache/stasis-tests}
export LC_ALL=C

say() { echo "rootfs: $*"; }
die() { echo "rootfs: $*" >&2; exit 1; }

base='dash coreutils libc-bin sed grep procps'
# shellcheck disable=SC2034 # both are named by "packages_$name"
packages_debian="$base redis-server redis-tools memcached python3-minimal libpython3-stdlib sqlite3"
# shellcheck disable=SC2034
packages_mariadb="$base mariadb-server-core mariadb-client-core"

# What packages want only for being installed, or for helper scripts that no test runs.
without='adduser debconf debianutils dpkg hostname init-system-helpers install-info lsb-base mount passwd perl perl-base
	sysvinit-utils systemd-standalone-sysusers galera-4 mysql-common mariadb-common psmisc lsof rsync socat gawk iproute2'

# The programs must start: a library left out shows here and not in the middle of a test.
verify_debian() {
	chroot "$1" redis-server --version
	chroot "$1" redis-cli --version
	chroot "$1" memcached -V
	chroot "$1" sqlite3 :memory: 'select "sqlite " || sqlite_version()'
	chroot "$1" python3 -c 'import ctypes, json, socket, sqlite3, subprocess, sys, threading; print("python", sys.version.split()[0])'
	chroot "$1" sh -c 'set -e; command -v ps >/dev/null; sleep 0; ls / >/dev/null; echo ok | grep -q ok'
}

verify_mariadb() {
	chroot "$1" mariadbd --no-defaults --version
	chroot "$1" mariadb --no-defaults --version
}

# Few files, no documentation: tars that are small and quick to unpack.
prune() {
	local r=$1
	rm -rf "$r"/usr/share/{doc,man,locale,info,lintian,bug,bash-completion,zsh,perl,mysql/{bulgarian,czech,danish,dutch}} "$r"/usr/share/icons
	rm -rf "$r"/usr/lib/*/{gconv,perl*} "$r"/usr/lib/{systemd,init,tmpfiles.d,sysusers.d} "$r"/etc/{init.d,cron.d,cron.daily,logrotate.d,default}
	rm -rf "$r"/usr/lib/python3*/{test,idlelib,lib2to3,ensurepip,distutils,pydoc_data,turtledemo} "$r"/usr/share/python3*
	find "$r" -name __pycache__ -prune -exec rm -rf {} +
}

# What the packages' scripts would have made.
complete() {
	local r=$1
	mkdir -p "$r"/{dev,proc,sys,run,tmp,root,var/tmp,var/lib,var/log,etc}
	chmod 1777 "$r/tmp" "$r/var/tmp"
	chmod 0700 "$r/root"
	ln -sfn ../run "$r/var/run"
	[ -e "$r/usr/bin/sh" ] || ln -s dash "$r/usr/bin/sh"
	[ -e "$r/usr/bin/python3" ] || ln -s python3.* "$r/usr/bin/python3"
	printf '%s\n' 'root:x:0:0:root:/root:/bin/sh' 'daemon:x:1:1::/:/bin/sh' 'nobody:x:65534:65534::/:/bin/sh' >"$r/etc/passwd"
	printf '%s\n' 'root:x:0:' 'daemon:x:1:' 'nogroup:x:65534:' >"$r/etc/group"
	printf '%s\n' '127.0.0.1 localhost' >"$r/etc/hosts"
	printf '%s\n' 'passwd: files' 'group: files' 'hosts: files dns' >"$r/etc/nsswitch.conf"
}

build() { # build NAME TAR
	local name=$1 work list="packages_$1" t=$SECONDS
	work=$(mktemp -d -p "$CACHE" "$name.XXXXXX")
	# shellcheck disable=SC2064 # now
	trap "rm -rf --one-file-system '$work'" EXIT
	trap 'exit 129' HUP INT TERM
	say "making $name.tar: ${!list}"
	# shellcheck disable=SC2086 # a list of words
	"$top/tools/unpack-debs" --without "$without" "$work/root" ${!list} >"$work/packages" || die "could not fetch packages"
	prune "$work/root"
	complete "$work/root"
	"verify_$name" "$work/root" | sed 's/^/rootfs:   /'
	find "$work/root" -name __pycache__ -prune -exec rm -rf {} +
	tar -C "$work/root" --numeric-owner --sort=name -cf "$work/tar" .
	mv "$work/tar" "$2"
	rm -rf --one-file-system "$work"
	say "$name.tar: $(du -m "$2" | cut -f1) MB, made in $((SECONDS - t)) s"
}

# One tar for each suite and list of packages; when this script changes, it is made anew.
cached() { # cached NAME: prints its path in the cache
	local suite
	# shellcheck source=/dev/null
	suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
	echo "$CACHE/$1-$suite-$(sha256sum <"$0" | cut -c 1-12).tar"
}

provide() { # provide NAME OUTDIR
	local tar
	tar=$(cached "$1")
	if [ ! -e "$tar" ]; then
		rm -f "$CACHE/$1"-*.tar
		(build "$1" "$tar")
	fi
	ln -f "$tar" "$2/$1.tar" 2>/dev/null || cp --reflink=auto "$tar" "$2/$1.tar"
}

[ $# -gt 0 ] || { sed -n '5,7s/^# //p' "$0" >&2; exit 2; }
[ "$(id -u)" = 0 ] || die "must run as root: a root file system belongs to root"
out=$1
shift
[ $# -gt 0 ] || set -- debian
mkdir -p "$out" "$CACHE"
exec 9>"$CACHE/lock"
flock 9
for name; do
	case $name in debian | mariadb) provide "$name" "$out" ;; *) die "no rootfs is called $name" ;; esac
done
