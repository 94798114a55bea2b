# SPDX-License-Identifier: Apache-2.0
"""Host shutdown and boot, and a reboot that gave no warning."""
import os
import re

import pytest

from harness import ApiError, wait_until


def shutdown(daemon):
    return daemon.rest.put("/1.0/shutdown")


def boot(daemon):
    return daemon.rest.put("/1.0/boot")


STATEFUL = {"boot.host_shutdown_action": "stateful-stop"}


def test_shutdown_and_boot_with_state(fresh):
    """What ran with a state to keep goes on after the reboot, in memory and on disk."""
    c = fresh.counter("c1", "--fill", 2, config=STATEFUL)
    before = c.pair()
    shutdown(fresh)
    assert c.info()["stateful"] is True
    fresh.reboot()
    assert c.info()["stateful"] is True
    boot(fresh)
    after = c.counts(before.count)
    assert after.run == before.run and after.boots == 1


@pytest.mark.parametrize("action,ends", [("stop", True), ("force-stop", False), ("stateful-stop", False)])
def test_each_action(fresh, action, ends):
    c = fresh.counter("c1", "--every", 20, config={"boot.host_shutdown_action": action})
    shutdown(fresh)
    assert c.status == "Stopped"
    assert c.info()["stateful"] is (action == "stateful-stop")
    assert c.output_lines()[-1].startswith("end") is ends


def test_autostart(fresh):
    """true: always; false: never; unset: what ran before."""
    config = {"always": {"boot.autostart": "true"}, "never": {"boot.autostart": "false"}, "ran": {}, "slept": {}}
    for name, keys in config.items():
        fresh.counter(name, config=keys, start=name in ("never", "ran"))
    shutdown(fresh)
    assert {fresh[name].status for name in config} == {"Stopped"}
    fresh.reboot()
    boot(fresh)
    running = {name for name in config if fresh[name].status == "Running"}
    assert running == {"always", "ran"}
    boot(fresh)
    assert {name for name in config if fresh[name].status == "Running"} == running, "boot is not idempotent"


def test_autostart_uses_a_state_that_a_person_saved(fresh):
    """Incus boots it afresh and throws the state away."""
    c = fresh.counter("c1", config={"boot.autostart": "true"})
    before = c.pair()
    c.stop_stateful()
    fresh.restart()
    assert c.info()["stateful"] is True
    boot(fresh)
    assert c.counts(before.count).run == before.run


def test_a_stopped_state_without_autostart_stays(fresh):
    """Stopped with state by a person, no autostart: a reboot does not start it, and does not lose it."""
    c = fresh.counter("c1", config={"boot.autostart": "false"})
    before = c.pair()
    c.stop_stateful()
    fresh.reboot()
    boot(fresh)
    assert c.status == "Stopped" and c.info()["stateful"] is True
    c.start()
    assert c.counts(before.count).run == before.run


def ended_at(daemon, name):
    """The time of the last line of its log."""
    return daemon[name].log_file("output.log").splitlines()[-1].split()[0]


def began_at(daemon, name):
    lines = [line for line in daemon[name].log_file("output.log").splitlines() if " begin " in line]
    return lines[-1].split()[0]


def test_priorities(fresh):
    """Highest boot.stop.priority stops first; highest boot.autostart.priority starts first."""
    for name, stop, start in (("first", 10, 1), ("second", 5, 5), ("third", 0, 10)):
        fresh.counter(name, "--every", 10, config={
            "boot.stop.priority": str(stop), "boot.autostart": "true", "boot.autostart.priority": str(start),
            "boot.host_shutdown_action": "stop"})
    shutdown(fresh)
    assert ended_at(fresh, "first") <= ended_at(fresh, "second") <= ended_at(fresh, "third")
    fresh.reboot()
    boot(fresh)
    assert began_at(fresh, "third") <= began_at(fresh, "second") <= began_at(fresh, "first")


def test_autostart_delay(fresh):
    """boot.autostart.delay is the pause after this one until the next priority."""
    fresh.counter("early", config={"boot.autostart": "true", "boot.autostart.priority": "2", "boot.autostart.delay": "2"},
                  start=False)
    fresh.counter("late", config={"boot.autostart": "true", "boot.autostart.priority": "1"}, start=False)
    boot(fresh)

    def seconds(name):
        hour, minute, second = re.search(r"T(\d+):(\d+):([\d.]+)", began_at(fresh, name)).groups()
        return int(hour) * 3600 + int(minute) * 60 + float(second)

    assert (seconds("late") - seconds("early")) % 86400 >= 1.9


def test_a_dump_that_fails_becomes_a_clean_stop(fresh):
    """The host goes down in any case: what cannot be saved is ended in order, and the others are saved."""
    stuck = fresh.create("stuck", ["/bin/feat", "traced"], config=STATEFUL)
    wait_until(lambda: "feat ready" in stuck.output(), "feat is ready")
    c = fresh.counter("c1", config=STATEFUL)
    before = c.pair()
    op = None
    try:
        op = shutdown(fresh)
    except ApiError as e:  # may be reported as a failure of the whole, with its reason
        assert "stuck" in e.text, e
    assert stuck.status == "Stopped" and stuck.info()["stateful"] is False
    assert stuck.info()["stasis"]["exit_code"] in (0, 137), op
    assert re.search("(?i)trac", (stuck.info()["stasis"]["last_error"] or "") + stuck.everything_logged())
    assert c.info()["stateful"] is True
    c.start()
    assert c.counts(before.count).run == before.run


def test_shutdown_timeout(fresh):
    """Who ignores the signal is killed after its own time, and holds up nobody else."""
    slow = fresh.counter("slow", "--ignore-term",
                         config={"boot.host_shutdown_action": "stop", "boot.host_shutdown_timeout": "1"})
    c = fresh.counter("c1", config=STATEFUL)
    shutdown(fresh)
    assert slow.status == "Stopped" and slow.info()["stasis"]["exit_code"] == 137
    assert c.info()["stateful"] is True


def test_shutdown_takes_a_paused_one_along(fresh):
    c = fresh.counter("c1", config=STATEFUL)
    c.pause()
    before = c.pair()
    shutdown(fresh)
    assert c.info()["stateful"] is True
    fresh.reboot()
    boot(fresh)
    if c.status == "Frozen":
        c.resume()
    assert c.counts(before.count).run == before.run


def test_reboot_without_warning(fresh):
    """Power gone while containers run: they are stopped afterwards, and what had a state keeps it."""
    running = fresh.counter("running")
    paused = fresh.counter("paused")
    paused.pause()
    saved = fresh.counter("saved", "--fill", 2)
    before = saved.pair()
    saved.stop_stateful()
    fresh.reboot()
    for c in (running, paused):
        assert c.status == "Stopped" and c.info()["stateful"] is False and c.pid == 0
    assert saved.info()["stateful"] is True
    boot(fresh)
    assert saved.status in ("Running", "Stopped")
    if saved.status == "Stopped":
        saved.start()
    assert saved.counts(before.count).run == before.run
    if running.status == "Stopped":
        running.start()
    assert running.counts().boots == 2


def test_reboot_after_a_restore(fresh):
    """A state that was used is not used again: after the power cut the instance boots afresh with the disk it had."""
    c = fresh.counter("c1")
    c.stop_stateful()
    c.start()
    before = c.counts()
    count, disk = before.count, before.disk
    fresh.reboot()
    assert c.info()["stateful"] is False, "a state was kept although its memory ran on"
    c.start()
    after = c.counts()
    assert after.boots == 2 and after.run != before.run
    assert count >= disk


def test_many_at_once(fresh):
    """Ten go down and come back; the default is two for each core at the same time."""
    names = [f"c{n}" for n in range(10)]
    runs = {name: fresh.counter(name, "--fill", 1, config={**STATEFUL, "boot.autostart": "true"}).pair() for name in names}
    shutdown(fresh)
    assert all(fresh[name].info()["stateful"] for name in names)
    fresh.reboot()
    boot(fresh)
    for name in names:
        assert fresh[name].counts(runs[name].count).run == runs[name].run


def test_run_folder_is_not_needed_for_a_state(fresh):
    """A state does not lean on anything in the run folder, nor on pids being free."""
    c = fresh.counter("c1", "--fill", 1)
    before = c.pair()
    c.stop_stateful()
    fresh.reboot(start=False)
    assert not (fresh.root / "run").exists()
    fresh.start()
    c.start()
    assert c.counts(before.count).run == before.run
    assert os.path.exists(f"/proc/{c.pid}")
