# shellcheck shell=bash
# debian-root.sh: throw-away Debian root file systems and programs that run in them; to be sourced.

# A minimal Debian of that suite, from the mirror of this machine.
root_make() { # root_make SUITE ROOT
	local mirror
	mirror=$("$(dirname "${BASH_SOURCE[0]}")/../tools/unpack-debs" --mirror)
	mmdebstrap --quiet --variant=minbase --aptopt='Acquire::Check-Valid-Until "false"' "$1" "$2" "$mirror" || return
	cp -L /etc/resolv.conf "$2/etc/resolv.conf"
}

# The project as it stands in the working tree, committed or not.
root_sources() { # root_sources FOLDER
	mkdir -p "$1"
	tar -C "$(dirname "${BASH_SOURCE[0]}")/.." --exclude=./.git --exclude='./build*' --exclude=__pycache__ -c . |
		tar -C "$1" --no-same-owner -x
}

# Runs a command in the root, in namespaces of its own: mounts and processes are gone with the last of them.  Not by chroot,
# because programs that make mount namespaces want a root that is a mount.
root_run() { # root_run ROOT CMD...
	local root=$1
	shift
	# shellcheck disable=SC2016 # expanded inside
	unshare -m -p -f --kill-child sh -c '
		set -e
		root=$1; shift
		mount --bind "$root" "$root"
		mount --rbind /sys "$root/sys"
		mount --rbind /dev "$root/dev"
		cd "$root"
		pivot_root . mnt
		mount -t proc proc /proc
		umount -l /mnt
		exec "$@"' sh "$root" "$@"
}
