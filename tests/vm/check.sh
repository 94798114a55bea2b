#!/bin/bash
# check.sh: stasis installed on a real Debian 13 with systemd, cgroup2 and plain apt's criu and crun, in a virtual machine:
# reboots keep what runs, power cuts leave nothing half.  Emulated, so it says PASS and FAIL and nothing about time.
#
# usage: check.sh [STEP...]     (default: machine build install life reboot restart cut)
#   machine   makes the virtual machine's disk          build     builds stasis for Debian 13, in a Debian 13 root
#   install   a fresh disk, stasis installed on it      life      units, group, socket, containers
#   reboot    containers come back with their state     restart   a restart of the daemon leaves them alone
#   cut       power cuts around stateful stops and starts
#   stop      powers the machine off (done at the end in any case, unless KEEP=1)
# environment: VM   the program that drives virtual machines (../shared/vm/vm beside the project)
#              LAB  the folder for disks and roots, 4 GB (/var/tmp/stasis-vm); what is made there is kept for the next run
#              CUTS how many power cuts in the middle of a stop, and of a start (5)
# shellcheck disable=SC2317 # steps are called by their names
set -eu -o pipefail
here=$(dirname "$(readlink -f "$0")")
top=$(readlink -f "$here/../..")
VM=${VM:-$top/../shared/vm/vm}
LAB=${LAB:-/var/tmp/stasis-vm}
CUTS=${CUTS:-5}
SUITE=trixie
# One processor: emulated ones run into each other when the guest's kernel patches its own code (int3 in __schedule, seen).
export LAB VM_SUITE=$SUITE VM_CPUS=${VM_CPUS:-1}
# shellcheck source=tests/debian-root.sh
. "$top/tests/debian-root.sh"

passed=0 failed=0
say() { echo "vm-check: $*"; }
die() { say "$*" >&2; exit 1; }
pass() { passed=$((passed + 1)); echo "PASS $*"; }
fail() { failed=$((failed + 1)); echo "FAIL $*"; }
vm() { "$VM" "$@"; }

# Runs a command in the machine; its PASS and FAIL lines count here.
inside() {
	local line r=0
	while IFS= read -r line; do
		case $line in
		"PASS "*) pass "${line#PASS }" ;;
		"FAIL "*) fail "${line#FAIL }" ;;
		"exit "*) r=${line#exit } ;;
		*) echo "  $line" ;;
		esac
	done < <(vm run "$1 2>&1; echo exit \$?" || echo "exit $?")
	[ "$r" = 0 ] || fail "'$1' in the machine: exit $r"
}

in_tests() { echo "cd /root/tests && STASIS_SANITIZED=slow python3 -B vm/inside.py $*"; }
test_inside() { inside "$(in_tests "$*")"; }

# ---- steps -----------------------------------------------------------------------------------------------------------

step_machine() {
	local packages
	packages=$("$top/setup.sh" list run | paste -sd,),python3
	if [ -e "$LAB/base.img" ] && [ "$packages" = "$(cat "$LAB/packages" 2>/dev/null)" ]; then
		say "the machine's disk is there"
		return
	fi
	VM_PKGS=$packages vm build
	echo "$packages" >"$LAB/packages"
}

step_build() {
	local root=$LAB/build
	if [ ! -e "$root/made" ]; then
		say "making a Debian 13 root to build in"
		rm -rf --one-file-system "$root"
		root_make "$SUITE" "$root"
		root_sources "$root/src"
		root_run "$root" /src/setup.sh build
		touch "$root/made"
	fi
	root_sources "$root/src"
	rm -rf "$root/out" "$root/src/build-release" # sources come with their times, which may be older than what was built last
	root_run "$root" make -C /src install PREFIX=/usr DESTDIR=/out
	tar -C "$root/out" --owner=0 --group=0 -cf "$LAB/stasis.tar" .
	PYTHONPATH=$top/tests/e2e python3 -B -c 'import sys, rootfs; rootfs.programs(sys.argv[1], sys.argv[2])' \
		"$LAB/programs.tar" "$root/src/build-release"
	say "built: $(tar -tf "$LAB/stasis.tar" | grep -cv '/$') files to install"
}

step_install() {
	vm status >/dev/null 2>&1 && vm stop
	vm start --fresh
	vm push "$LAB/stasis.tar"
	vm push "$LAB/programs.tar"
	vm run 'mkdir -p /root/tests'
	vm push "$top/tests/e2e" /root/tests
	vm push "$here" /root/tests
	vm run 'tar -C / --keep-directory-symlink -xf stasis.tar && rm stasis.tar && systemd-sysusers && systemd-tmpfiles --create &&
		systemctl daemon-reload && systemctl enable --now stasisd stasis-containers' ||
		{ vm run 'journalctl -b -n 40 --no-pager -u "stasis*"'; die "cannot install it"; }
}

step_life() { test_inside life; }

step_reboot() {
	test_inside before_reboot
	vm reboot
	test_inside after_reboot
	# Somebody has stopped the daemon, and the host goes down: the containers' state is saved all the same.
	test_inside before_reboot
	vm run 'systemctl stop stasisd'
	vm reboot
	test_inside after_reboot
}

step_restart() { test_inside restart; }

step_cut() {
	local i stop start
	# What a finished stop promises holds whatever comes next.
	test_inside stopped
	vm cut
	vm start
	test_inside after_stopped
	# Cuts are spread over the time that a stop and a start take here.
	read -r _ stop start < <(vm run "$(in_tests calibrate)" | grep ^TOOK) || die "cannot calibrate"
	for ((i = 0; i < CUTS; i++)); do
		cut_during stop "stop --stateful cut" "$(moment "$i" "$stop")"
	done
	for ((i = 0; i < CUTS; i++)); do
		test_inside cut_stopped
		cut_during start "start cut" "$(moment "$i" "$start")"
	done
}

# Half a second is what it takes until the command runs in the machine; the last moment is a little after the end.
moment() { # moment I SECONDS
	awk -v i="$1" -v n="$CUTS" -v t="$2" 'BEGIN { printf "%.1f", 0.5 + 1.2 * t * (i + 1) / n }'
}

cut_during() { # cut_during WHAT "STASIS COMMAND" SECONDS
	local runner
	test_inside before_cut
	vm run "stasis $2" >/dev/null 2>&1 &
	runner=$!
	sleep "$3"
	vm cut
	wait "$runner" || true
	vm start
	test_inside after_cut "$1" "$3"
}

step_stop() { vm stop; }

# ---- main ------------------------------------------------------------------------------------------------------------

# One function, so that the whole script is read before it runs: it may be edited meanwhile.
main() {
	local step
	[ -x "$VM" ] || die "no virtual machine driver at $VM: name it by VM= (make vm-check VM=...)"
	[ "$(id -u)" = 0 ] || die "must run as root"
	[ $# -gt 0 ] || set -- machine build install life reboot restart cut
	for step; do declare -F "step_$step" >/dev/null || { sed -n '5,10s/^# //p' "$0" >&2; exit 2; }; done

	mkdir -p "$LAB"
	exec 9>"$LAB/lock"
	flock -n 9 || die "another vm-check runs in $LAB"
	trap '[ "${KEEP:-}" = 1 ] || vm stop >/dev/null 2>&1 9>&-' EXIT
	trap 'exit 129' HUP INT TERM
	"$top/setup.sh" vm
	for step; do
		say "--- $step"
		"step_$step"
	done
	say "$passed passed, $failed failed"
	[ $failed = 0 ]
}

main "$@"; exit
