#!/bin/bash
# peers.sh: Podman, checkpointctl and plain crun with criu in a root of their own, for the tests of interoperation.  Unpacked
# from Debian's packages (nothing is installed, the host stays as it is), made once, then kept in a cache.
#
# usage: peers.sh make            makes the root where it is missing, and prints its path
#        peers.sh up LAB CMD...   runs CMD in it, in namespaces of its own; LAB (a folder) appears inside as /lab
# What runs there ends with CMD: it is the first process of a pid namespace.  cgroup2 is at /sys/fs/cgroup, in a cgroup
# namespace, and nothing of cgroup v1 can be seen: CRIU would dump and re-create it.
# environment: STASIS_TESTS_CACHE   the cache (/var/cache/stasis-tests)
#              STASIS_PEERS_SUITE   the Debian suite (sid)
set -eu -o pipefail
top=$(dirname "$(readlink -f "$0")")/..
CACHE=${STASIS_TESTS_CACHE:-/var/cache/stasis-tests}
SUITE=${STASIS_PEERS_SUITE:-sid}
export LC_ALL=C

say() { echo "peers: $*" >&2; }
die() { say "$*"; exit 1; }

packages='bash coreutils tar gzip mount util-linux iproute2 iptables nftables podman crun libcriu2 criu conmon checkpointctl'
without='adduser dbus dbus-user-session debconf init-system-helpers passwd systemd systemd-sysv libpam-systemd perl perl-base
	uidmap fuse-overlayfs slirp4netns passt aardvark-dns python3 python3-minimal'

# Podman as it has to be on a host without systemd, with hybrid cgroups; CRIU as ours is told (doc/design.md).
complete() {
	local r=$1
	mkdir -p "$r"/{dev,proc,sys,run,tmp,root,lab,mnt,var/tmp,var/lib/containers/storage,etc/containers,etc/criu}
	chmod 1777 "$r/tmp" "$r/var/tmp"
	ln -sfn ../run "$r/var/run"
	[ -e "$r/usr/bin/sh" ] || ln -s bash "$r/usr/bin/sh"
	printf '%s\n' 'root:x:0:0:root:/root:/bin/sh' >"$r/etc/passwd"
	printf '%s\n' 'root:x:0:' >"$r/etc/group"
	printf '%s\n' '127.0.0.1 localhost' >"$r/etc/hosts"
	: >"$r/etc/resolv.conf"
	printf '%s\n' '{"default":[{"type":"insecureAcceptAnything"}]}' >"$r/etc/containers/policy.json"
	printf '%s\n' '[storage]' 'driver = "overlay"' 'graphroot = "/var/lib/containers/storage"' 'runroot = "/run/containers"' >"$r/etc/containers/storage.conf"
	printf '%s\n' '[containers]' 'pids_limit = 0' 'netns = "none"' 'log_driver = "k8s-file"' 'seccomp_profile = "unconfined"' \
		'[engine]' 'cgroup_manager = "cgroupfs"' 'events_logger = "file"' 'runtime = "crun"' >"$r/etc/containers/containers.conf"
	printf '%s\n' 'network-lock nftables' 'cgroup-dump-controller=' 'skip-in-flight' 'link-remap' >"$r/etc/criu/crun.conf"
}

verify() { # Podman looks into /proc even for its version
	# shellcheck disable=SC2016 # expanded inside
	unshare -m sh -c '
		set -e
		mount -t proc proc "$1/proc"
		chroot "$1" podman --version
		chroot "$1" crun --version | head -n 1
		chroot "$1" criu --version | head -n 1
		chroot "$1" checkpointctl --help | head -n 1' sh "$1"
}

build() { # build ROOT
	local t=$SECONDS
	work=$(mktemp -d -p "$CACHE" peers.XXXXXX)
	trap 'rm -rf --one-file-system "$work"' EXIT
	trap 'exit 129' HUP INT TERM
	say "fetching $packages from Debian $SUITE"
	# shellcheck disable=SC2086 # a list of words
	"$top/tools/unpack-debs" --suite "$SUITE" --without "$without" "$work/root" $packages >"$work/packages" || die "could not fetch packages"
	rm -rf "$work"/root/usr/share/{doc,man,locale,info,lintian}
	complete "$work/root"
	cp "$work/packages" "$work/root/etc/packages"
	verify "$work/root" | sed 's/^/peers:   /' >&2
	mv "$work/root" "$1"
	rm -rf --one-file-system "$work"
	say "made in $((SECONDS - t)) s"
}

make_root() {
	local root
	root=$CACHE/peers-$SUITE-$({ declare -f complete verify; echo "$packages $without"; } | sha256sum | cut -c 1-12)
	mkdir -p "$CACHE"
	exec 9>"$CACHE/lock"
	flock 9
	if [ ! -e "$root" ]; then
		rm -rf --one-file-system "$CACHE"/peers-"$SUITE"-*
		(build "$root")
	fi
	exec 9>&-
	echo "$root"
}

# All that runs there is in a cgroup of its own, which is its cgroup namespace's root.
cgroup_root() {
	awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts
}

remove_cgroup() { # remove_cgroup PATH
	echo 1 >"$1/cgroup.kill"
	for _ in {1..100}; do
		find "$1" -depth -type d -exec rmdir {} + 2>/dev/null && return
		sleep 0.05
	done
	say "cannot remove $1"
}

enter() { # enter CGROUP LAB ROOT CMD...
	echo 0 >"$1/cgroup.procs"
	shift
	# The root itself stays as it is: what is written goes into the lab.
	# shellcheck disable=SC2016 # expanded inside
	exec unshare -m -p -n -u -i -C -f --kill-child sh -c '
		set -e
		lab=$1 lower=$2; shift 2
		mount --make-rprivate /
		ip link set lo up # CRIU tries out sockets
		root=$lab/root
		mount -t overlay -o "lowerdir=$lower,upperdir=$lab/upper,workdir=$lab/work" peers "$root"
		mount --rbind /dev "$root/dev"
		mount -t tmpfs -o mode=1777 shm "$root/dev/shm" # Podman keeps its locks there
		mount -t sysfs sysfs "$root/sys"
		mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
		mount -t tmpfs tmpfs "$root/run"
		mount --bind "$lab" "$root/lab"
		mount --bind "$lab/storage" "$root/var/lib/containers/storage"
		cd "$root"
		pivot_root . mnt
		mount -t proc proc /proc
		umount -l /mnt
		export HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin
		exec "$@"' sh "$@"
}

up() { # up LAB CMD...
	local lab=$1 root cgroup child r=0
	shift
	root=$(make_root)
	cgroup=$(cgroup_root)/stasis-peers-$$
	mkdir -p "$lab"/{root,upper,work,storage} "$cgroup"
	enter "$cgroup" "$lab" "$root" "$@" </dev/null &
	child=$!
	echo "$child" >"$lab/pid"
	trap 'kill -9 "$child" 2>/dev/null || :' HUP INT TERM
	wait "$child" || r=$?
	remove_cgroup "$cgroup"
	return $r
}

case ${1:-} in
make) make_root ;;
up)
	shift
	up "$@"
	;;
*)
	sed -n '5,6s/^# //p' "$0" >&2
	exit 2
	;;
esac
