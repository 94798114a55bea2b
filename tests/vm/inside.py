# SPDX-License-Identifier: Apache-2.0
"""What check.sh asks inside the virtual machine: each step is a function, each finding a line with PASS or FAIL.

What was seen before a reboot or a power cut is kept in SEEN, synced, so that the step after it can compare.
"""
import json
import os
import re
import subprocess
import sys
import time
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

from harness import WAIT, DaemonGone, Instance, Rest, wait_until  # noqa: E402

SEEN = Path("/root/seen.json")
UNITS = ("stasisd.service", "stasis-containers.service")
# How each container is to fare with the host: its configuration, and whether its memory outlives a reboot.
CONTAINERS = {
    "auto": ({"boot.autostart": "true", "boot.host_shutdown_action": "stateful-stop", "boot.autostart.priority": "10"}, True),
    "before": ({"boot.host_shutdown_action": "stateful-stop"}, True),
    "clean": ({"boot.autostart": "true", "boot.host_shutdown_action": "stop"}, False),
    "kept": ({"boot.autostart": "false", "boot.host_shutdown_action": "stateful-stop"}, True),
}
failures = 0


class Installed:
    """The daemon that systemd runs, as harness.Daemon is for one of our own."""

    def __init__(self):
        self.rest = Rest("/run/stasis/stasis.socket")

    def __getitem__(self, name):
        return Instance(self, name)

    def create(self, name, *command, **config):
        """Configuration keys are written with their dots: **{"boot.autostart": "true"}."""
        self.rest.post("/1.0/instances", {
            "name": name, "type": "container", "source": {"type": "image", "alias": "programs"}, "start": True,
            "command": list(command), "config": config})
        self[name].counts()
        return self[name]


daemon = Installed()


def verdict(holds, text):
    global failures
    failures += not holds
    print("PASS" if holds else "FAIL", text, flush=True)


def stasis(*arguments):
    result = subprocess.run(["stasis", *arguments], capture_output=True, text=True, timeout=WAIT, check=False)
    if result.returncode:
        print(f"stasis {' '.join(arguments)}: exit {result.returncode}\n{result.stdout}{result.stderr}")
    return result.returncode == 0


def systemctl(*arguments):
    return subprocess.run(["systemctl", *arguments], capture_output=True, text=True, check=False).stdout.split()


def remember(**what):
    seen = json.loads(SEEN.read_text()) if SEEN.exists() else {}
    seen.update(what)
    new = SEEN.with_suffix(".new")
    new.write_text(json.dumps(seen))
    new.rename(SEEN)
    os.sync()


def seen(name):
    return json.loads(SEEN.read_text())[name]


def facts(name):
    pair = daemon[name].counts()
    return {"count": pair.count, "run": pair.run, "boots": pair.boots, "pid": daemon[name].pid}


def went_on(name, old, when):
    """The same process with the same memory, further than it was, and its disk fits (pair() sees to that)."""
    new = facts(name)
    verdict(new["run"] == old["run"] and new["count"] >= old["count"] and new["boots"] == old["boots"],
            f"{when}: '{name}' goes on from {old['count']}, now {new['count']}")


def units_are_well(when):
    states = systemctl("is-active", *UNITS)
    verdict(states == ["active", "active"], f"{when}: {', '.join(f'{u} {s}' for u, s in zip(UNITS, states))}")


def nothing_is_stuck(when):
    wait_until(lambda: all(not i["stasis"]["busy"] for i in daemon.rest.get("/1.0/instances?recursion=1")), "nobody is busy")
    states = {i["name"]: i["status"] for i in daemon.rest.get("/1.0/instances?recursion=1")}
    verdict(set(states.values()) <= {"Running", "Stopped"}, f"{when}: {states}")
    frozen = [str(f.parent) for f in Path("/sys/fs/cgroup").glob("stasis/**/cgroup.events") if "frozen 1" in f.read_text()]
    verdict(not frozen, f"{when}: no cgroup is frozen {' '.join(frozen)}")


# ---- steps -----------------------------------------------------------------------------------------------------------


def life():
    units_are_well("installed")
    environment = daemon.rest.get("/1.0")["environment"]
    checkpoint = environment["checkpoint"]
    verdict(checkpoint["works"], f"checkpoints work: criu {checkpoint['criu_version']} at {checkpoint['criu_path']}, "
            f"{environment['driver']} {environment['driver_version']}, {checkpoint['cgroups']} {checkpoint['reason']}")
    socket = Path("/run/stasis/stasis.socket").stat()
    verdict(socket.st_mode & 0o777 == 0o660 and Path("/run/stasis/stasis.socket").group() == "stasis",
            "the socket belongs to the group stasis, mode 0660")
    daemon.rest.post("/1.0/images", {"source": {"type": "file", "path": "/root/programs.tar"}, "aliases": [{"name": "programs"}]})
    for name, (config, _) in CONTAINERS.items():
        daemon.create(name, "/bin/counter", "--fill", "4", **config)
        verdict(True, f"'{name}' counts")
    verdict(stasis("launch", "shell", "--", "sh", "-c", "i=0; while :; do i=$((i+1)); echo $i >/n; sleep 0.1; done"),
            "a shell loop in the built-in image")
    verdict(stasis("delete", "--force", "shell"), "which is deleted by force")
    verdict(stasis("stop", "--stateful", "auto"), "stop --stateful")
    verdict(stasis("start", "auto"), "start")
    daemon["auto"].counts()
    memory = daemon.rest.get("/1.0/instances/auto/state")["memory"]["usage"]
    verdict(memory > 4 << 20, f"its memory is seen: {memory} bytes")


def before_reboot():
    remember(reboot={name: facts(name) for name in CONTAINERS})


def after_reboot():
    units_are_well("after the reboot")
    old = seen("reboot")
    kept = daemon["kept"].info()
    verdict(kept["status"] == "Stopped" and kept["stateful"], "'kept' does not start by itself and keeps its state")
    verdict(stasis("start", "kept"), "it starts when told")
    for name, (_, outlives) in CONTAINERS.items():
        if outlives:
            went_on(name, old[name], "after the reboot")
            continue
        new = facts(name)
        verdict(new["run"] != old[name]["run"] and new["boots"] == old[name]["boots"] + 1,
                f"'{name}' was stopped and booted again, its disk is there: boots {old[name]['boots']} -> {new['boots']}")
        verdict("end count=" in daemon[name].output(), f"'{name}' was asked to end, not killed")
    nothing_is_stuck("after the reboot")


def restart():
    old = {name: facts(name) for name in CONTAINERS}
    for how in (["restart"], ["kill", "-s", "KILL"]):
        main = systemctl("show", "-p", "MainPID", "--value", UNITS[0])
        systemctl(*how, UNITS[0])
        wait_until(lambda main=main: systemctl("show", "-p", "MainPID", "--value", UNITS[0]) not in (main, ["0"]), "a new daemon")
        wait_until(answers, "the daemon answers")
        units_are_well(f"systemctl {how[0]} stasisd")
        for name, was in old.items():
            verdict(facts(name)["pid"] == was["pid"], f"systemctl {how[0]} stasisd: '{name}' runs on")
            went_on(name, was, f"systemctl {how[0]} stasisd")


def answers():
    try:
        return daemon.rest.get("/1.0")
    except (DaemonGone, OSError):
        return None


def stopped():
    """The last thing before a power cut: a stateful stop that has been reported as done."""
    for name in ("auto", "before", "clean"):  # fewer things to boot: quicker
        verdict(stasis("delete", "--force", name), f"'{name}' is deleted")
    daemon.create("cut", "/bin/counter", "--fill", "48", **{"boot.autostart": "true"})
    remember(stopped=facts("kept"), cut=facts("cut"))
    verdict(stasis("stop", "--stateful", "kept"), "a stateful stop is done; power cut")


def after_stopped():
    units_are_well("after the power cut")
    info = daemon["kept"].info()
    verdict(info["status"] == "Stopped" and info["stateful"], "the state is there")
    verdict(stasis("start", "kept"), "it starts")
    went_on("kept", seen("stopped"), "after the power cut")
    nothing_is_stuck("after the power cut")


def calibrate():
    """How long a stop and a start take, for moments in the middle of them."""
    verdict(stasis("stop", "--stateful", "kept"), "'kept' rests now")
    took = []
    for arguments in (("stop", "--stateful", "cut"), ("start", "cut")):
        began = time.monotonic()
        verdict(stasis(*arguments), " ".join(arguments))
        took.append(f"{time.monotonic() - began:.1f}")
    facts("cut")
    print("TOOK", *took)


def before_cut():
    if daemon["cut"].status == "Running":
        remember(cut=facts("cut"))


def cut_stopped():
    remember(cut=facts("cut"))
    verdict(stasis("stop", "--stateful", "cut"), "'cut' is stopped with its state")


def after_cut(what, seconds):
    """In the middle of something: the old memory on the disk that belongs to it, or a fresh boot. Never anything between."""
    when = f"power cut {seconds} s into the {what}"
    nothing_is_stuck(when)
    info = daemon["cut"].info()
    if info["status"] == "Stopped":
        verdict(stasis("start", "cut"), f"{when}: it starts, {'with' if info['stateful'] else 'without'} a state")
    old, new = seen("cut"), facts("cut")
    if new["run"] == old["run"]:
        verdict(new["count"] >= old["count"], f"{when}: goes on from {old['count']}, now {new['count']}")
    else:
        verdict(new["boots"] <= old["boots"] + 1, f"{when}: nothing was saved, booted afresh")
    partial = [str(f) for f in Path("/var/lib/stasis").rglob("*") if re.search(r"\.(tmp|new|part|partial)$", f.name)]
    verdict(not partial, f"{when}: nothing half is left {' '.join(partial[:5])}")
    kept = daemon["kept"].info()
    verdict(kept["status"] == "Stopped" and kept["stateful"], f"{when}: 'kept' has its state as before")


def main():
    step, *arguments = sys.argv[1:]
    try:
        globals()[step](*arguments)
    except Exception:  # whatever goes wrong is a finding, not the end of the run
        traceback.print_exc()
        verdict(False, f"{step} {' '.join(arguments)}: see above")
        print(subprocess.run(["journalctl", "-b", "-n", "40", "--no-pager", "-u", "stasis*"], capture_output=True, text=True,
                             check=False).stdout)


main()
