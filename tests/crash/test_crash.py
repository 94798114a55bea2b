# SPDX-License-Identifier: Apache-2.0
"""The daemon killed, and each step failed, at every fault point: never stuck, never lost, never twice, never half.

Every point that `stasisd --list-faults` names is visited by one of the flows below; one that no flow passes fails, so
that a new point cannot be forgotten.
"""
import time

import pytest

from checkpoints import VOLUMES, clone, go_back, leftovers, names as checkpoints_of, snapshot, take
from harness import ApiError, DaemonGone, Pair, fault_names, wait_until

FREEZE_BOUND = 2.0


def names(*prefixes):
    return [name for name in fault_names() if name.startswith(prefixes)]


STOP = names("stop.")
RESTORE = names("restore.")
BOOT = names("start.")
CREATE = names("create.")
DELETE = names("delete.")
HOST = names("boot.", "shutdown.")
CHECKPOINT = names("checkpoint.")
ROLLBACK = names("rollback.")
IMPORT = names("import.")


def test_every_point_has_a_flow():
    assert set(names("")) == {*STOP, *RESTORE, *BOOT, *CREATE, *DELETE, *HOST, *CHECKPOINT, *ROLLBACK, *IMPORT}


@pytest.fixture
def daemon(fresh):
    return fresh


def begin_and_die(daemon, method, path, body):
    """Starts an operation and waits for the daemon's death; False when it survived, having passed no such point."""
    try:
        operation = daemon.rest.begin(method, path, body)
        daemon.rest.finish(operation)
    except (DaemonGone, OSError):
        pass
    except ApiError as e:
        pytest.fail(f"the operation failed instead of killing the daemon: {e}")
    else:
        return False
    daemon.wait_dead(20)
    return True


def nothing_stays_frozen(daemon, paused=False):
    """With the daemon dead: within two seconds nobody stands still because of it."""
    if paused:
        return
    wait_until(lambda: not daemon.frozen(), lambda: f"thawed without the daemon's help: {daemon.frozen()}",
               FREEZE_BOUND, pause=0.01)


def last_seen(daemon, uuid):
    """The highest count on disk, wherever the instance's layer is; what is gone from here may not be lost."""
    counts = []
    for path in daemon.root.rglob("count"):
        if uuid in str(path) and path.is_file():
            text = path.read_bytes()
            if text.startswith(b"count="):
                counts.append(int(text[6:26]))
    return max(counts, default=0)


def one_of_each(daemon, instance):
    """No second monitor, no leftover helper, no leftover mount."""
    uuid = instance.uuid

    def conmons():
        return [line for line in daemon.processes().values() if line.split(" ")[0].endswith("conmon") and uuid in line]

    def helpers():
        return [line for line in daemon.processes().values()
                if line.split(" ")[0].rsplit("/", 1)[-1] in ("criu", "crun", "stasis-guard")]

    running = instance.status in ("Running", "Frozen")
    wait_until(lambda: len(conmons()) == (1 if running else 0), lambda: f"monitors: {conmons()}", 10)
    wait_until(lambda: not helpers(), lambda: f"helpers left: {helpers()}", 10)
    assert not [m for m in daemon.mounts(daemon.process.pid) if "criu-root" in m]


def recover(daemon, instance, uuid, before):
    """Starts the next daemon; the counter must go on, or be there with its state and go on from it."""
    seen = last_seen(daemon, uuid)
    daemon.fault("")
    daemon.start()
    wait_until(lambda: not instance.info()["stasis"]["busy"], "recovery has ended")
    info = instance.info()
    assert info["status"] in ("Running", "Frozen", "Stopped"), info
    if info["status"] == "Stopped":
        assert info["stateful"] is True, f"stopped without a state: its memory is lost\n{daemon.tail()}"
        instance.start()
    else:
        assert info["stateful"] is False, "it runs, and its old state is still offered"
        assert instance.is_frozen() is (info["status"] == "Frozen")
    if instance.status == "Frozen":  # as its user had left it
        instance.resume()
    pair = instance.counts(max(before.count, seen))
    assert pair.run == before.run, f"a fresh boot: {daemon.tail()}"
    assert pair.boots == 1
    one_of_each(daemon, instance)
    return pair


def goes_on_as_usual(daemon, instance, pair):
    """After the repair, a whole round works."""
    instance.stop_stateful()
    instance.start()
    assert instance.counts(pair.count).run == pair.run
    one_of_each(daemon, instance)


# ---- killed ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", STOP)
def test_killed_in_a_stateful_stop(daemon, point):
    c = daemon.counter("c1", "--fill", 4)
    before, uuid = c.pair(), c.uuid
    daemon.fault(f"{point}=kill")
    assert begin_and_die(daemon, "PUT", f"{c.url}/state", {"action": "stop", "stateful": True}), f"{point} was not passed"
    nothing_stays_frozen(daemon)
    pair = recover(daemon, c, uuid, before)
    goes_on_as_usual(daemon, c, pair)


@pytest.mark.parametrize("point", STOP)
def test_killed_in_a_stateful_stop_of_a_paused_one(daemon, point):
    """What its user paused is not thawed by anybody's death."""
    c = daemon.counter("c1")
    c.pause()
    before, uuid = c.pair(), c.uuid
    daemon.fault(f"{point}=kill")
    assert begin_and_die(daemon, "PUT", f"{c.url}/state", {"action": "stop", "stateful": True}), f"{point} was not passed"
    if daemon.cgroup_state(uuid)["populated"]:
        time.sleep(0.5)  # nothing to wait for: it must stay as it is
        state = daemon.cgroup_state(uuid)
        assert state["frozen"] or not state["populated"], "the user's pause was lifted"
    recover(daemon, c, uuid, before)


@pytest.mark.parametrize("point", RESTORE)
def test_killed_in_a_start_with_state(daemon, point):
    c = daemon.counter("c1", "--fill", 4)
    before, uuid = c.pair(), c.uuid
    c.stop_stateful()
    daemon.fault(f"{point}=kill")
    assert begin_and_die(daemon, "PUT", f"{c.url}/state", {"action": "start"}), f"{point} was not passed"
    nothing_stays_frozen(daemon)
    pair = recover(daemon, c, uuid, before)
    goes_on_as_usual(daemon, c, pair)


@pytest.mark.parametrize("point", BOOT)
def test_killed_in_a_fresh_start(daemon, point):
    """It runs, or it is stopped and starts; in no case is it half."""
    c = daemon.counter("c1", start=False)
    daemon.fault(f"{point}=kill")
    assert begin_and_die(daemon, "PUT", f"{c.url}/state", {"action": "start"}), f"{point} was not passed"
    nothing_stays_frozen(daemon)
    daemon.fault("")
    daemon.start()
    wait_until(lambda: not c.info()["stasis"]["busy"], "recovery has ended")
    assert c.status in ("Running", "Stopped")
    if c.status == "Stopped":
        assert not daemon.cgroup_state(c.uuid)["populated"]
        c.start()
    pair = c.counts()
    one_of_each(daemon, c)
    goes_on_as_usual(daemon, c, pair)


@pytest.mark.parametrize("point", BOOT)
def test_killed_in_a_stateless_start(daemon, point):
    """The state goes only after the fresh boot has succeeded; a crash before keeps it."""
    c = daemon.counter("c1")
    before = c.pair()
    c.stop_stateful()
    daemon.fault(f"{point}=kill")
    assert begin_and_die(daemon, "PUT", f"{c.url}/state", {"action": "start", "stateful": False}), f"{point} was not passed"
    nothing_stays_frozen(daemon)
    daemon.fault("")
    daemon.start()
    wait_until(lambda: not c.info()["stasis"]["busy"], "recovery has ended")
    info = c.info()
    if info["status"] == "Stopped":
        assert info["stateful"] is True, "neither the state nor a fresh boot"
        if last_seen(daemon, c.uuid) <= before.count + 5000 and daemon.rest.get(c.url)["stateful"]:
            c.start()
            pair = c.counts()
            assert pair.errors == 0
    else:
        assert info["stateful"] is False, "it has booted afresh on the same disk: the old memory must not come back"
        assert c.counts().run != before.run
    one_of_each(daemon, c)


@pytest.mark.parametrize("point", CREATE)
def test_killed_in_a_create(daemon, point):
    daemon.fault(f"{point}=kill")
    body = {"name": "c1", "source": {"type": "image", "alias": "programs"}, "command": ["/bin/counter"], "start": False}
    assert begin_and_die(daemon, "POST", "/1.0/instances", body), f"{point} was not passed"
    daemon.fault("")
    daemon.start()
    if "c1" in daemon.instances():  # complete, or not at all
        c = daemon["c1"]
        daemon.uuids.add(c.uuid)
        c.start()
        c.counts()
    else:
        left = [p for p in (daemon.root / "lib").rglob("upper")]
        assert not left, f"half an instance: {left}"
        daemon.counter("c1")


@pytest.mark.parametrize("point", DELETE)
def test_killed_in_a_delete(daemon, point):
    c = daemon.counter("c1")
    uuid = c.uuid
    c.stop_stateful()
    daemon.fault(f"{point}=kill")
    assert begin_and_die(daemon, "DELETE", c.url, None), f"{point} was not passed"
    daemon.fault("")
    daemon.start()
    if "c1" in daemon.instances():
        c.delete(force=True)
    daemon.uuids.discard(uuid)
    assert daemon.leftovers_of(uuid) == []


@pytest.mark.parametrize("point", HOST)
def test_killed_in_shutdown_and_boot(daemon, point):
    c = daemon.counter("c1", config={"boot.host_shutdown_action": "stateful-stop", "boot.autostart": "true"})
    before, uuid = c.pair(), c.uuid
    if point.startswith("boot."):
        daemon.rest.put("/1.0/shutdown")
    daemon.fault(f"{point}=kill")
    path = "/1.0/boot" if point.startswith("boot.") else "/1.0/shutdown"
    assert begin_and_die(daemon, "PUT", path, None), f"{point} was not passed"
    nothing_stays_frozen(daemon)
    recover(daemon, c, uuid, before)


# ---- killed in a checkpoint, and on the way back ----------------------------------------------------------------------


def nothing_half(daemon):
    """Checkpoints are whole, and nothing lies beside them or beside what a swap puts aside."""
    lib = daemon.root / "lib"
    found = [str(p) for folder in (lib / "instances", lib / "volumes") if folder.exists()
             for p in [*folder.glob("*.old"), *folder.glob("*.new"), *folder.glob("*/*.old"), *folder.glob("*/*.new"),
                       *folder.glob("*/swap.json")]]
    assert not leftovers(daemon) and not found, (leftovers(daemon), found)


@pytest.mark.parametrize("paused", [False, True], ids=["running", "paused"])
@pytest.mark.parametrize("point", CHECKPOINT)
def test_killed_in_a_live_checkpoint(daemon, point, paused):
    """The container goes on without anybody's help; the checkpoint is whole or not there."""
    c = daemon.counter("c1", "--fill", 4)
    take(c, "whole")
    if paused:
        c.pause()
    before, uuid, pid = c.pair(), c.uuid, c.pid
    daemon.fault(f"{point}=kill")
    assert begin_and_die(daemon, "POST", f"{c.url}/checkpoints", {"name": "s"}), f"{point} was not passed"
    nothing_stays_frozen(daemon, paused)
    if paused:
        time.sleep(0.5)  # nothing to wait for: it must stay as it is
        assert daemon.cgroup_state(uuid)["frozen"], "the user's pause was lifted"
    else:
        goes_on_alone(pid, before)
    daemon.fault("")
    daemon.start()
    wait_until(lambda: not c.info()["stasis"]["busy"], "recovery has ended")
    assert c.pid == pid and c.status == ("Frozen" if paused else "Running") and c.is_frozen() is paused
    if paused:
        c.resume()
    pair = c.counts(before.count)
    assert pair.run == before.run
    assert checkpoints_of(c) in (["whole"], ["whole", "s"])
    one_of_each(daemon, c)
    nothing_half(daemon)
    take(c, "again")
    for name in checkpoints_of(c):
        copy = clone(daemon, f"c1/{name}", f"of-{name}")
        assert copy.counts().run == before.run
    goes_on_as_usual(daemon, c, pair)


def goes_on_alone(pid, before):
    """Without a daemon to ask."""
    wait_until(lambda: Pair.read(pid).count > before.count + 50, "it counts while the daemon is dead", 10)
    pair = Pair.read(pid)
    assert pair.run == before.run and pair.disk <= pair.count and pair.errors == 0


@pytest.mark.parametrize("point", CHECKPOINT)
def test_killed_in_a_checkpoint_without_memory(daemon, point):
    c = daemon.counter("c1")
    before, pid = c.pair(), c.pid
    daemon.fault(f"{point}=kill")
    assert begin_and_die(daemon, "POST", f"{c.url}/checkpoints", {"stateless": True}), f"{point} was not passed"
    nothing_stays_frozen(daemon)
    goes_on_alone(pid, before)
    daemon.fault("")
    daemon.start()
    assert c.pid == pid and c.counts(before.count).run == before.run
    nothing_half(daemon)


# What a way back passes: the stop of what runs, the swap, the start of what was.
BACK = [*ROLLBACK, *STOP, *RESTORE]


@pytest.mark.parametrize("point", BACK)
def test_killed_on_the_way_back(daemon, point):
    """As before, or as the snapshot says, with its memory; never the one's memory on the other's files."""
    c = daemon.counter("c1", "--fill", 2)
    then, uuid = c.pair(), c.uuid
    snapshot(c, "s")
    c.inside("/later").write_text("x")
    now = wait_until(lambda: (lambda p: p if p.count > then.count + 2000 else None)(c.pair()), "it counts on")
    daemon.fault(f"{point}=kill")
    assert begin_and_die(daemon, "PUT", c.url, {"restore": "s"}), f"{point} was not passed"
    nothing_stays_frozen(daemon)
    seen = last_seen(daemon, uuid)
    daemon.fault("")
    daemon.start()
    wait_until(lambda: not c.info()["stasis"]["busy"], "recovery has ended")
    info = c.info()
    if info["status"] == "Stopped":
        assert info["stateful"] is True, f"stopped without a state: its memory is lost\n{daemon.tail()}"
        c.start()
    pair = c.counts()
    assert pair.run == then.run and pair.boots == 1 and pair.errors == 0, pair
    if c.inside("/later").exists():
        assert pair.count >= now.count, f"files of now, memory of then: {pair} {seen}"
    else:
        assert pair.count < now.count, f"files of then, memory of now: {pair}"
    assert checkpoints_of(c) == ["s"]
    one_of_each(daemon, c)
    nothing_half(daemon)
    go_back(c, "s")
    assert not c.inside("/later").exists()
    goes_on_as_usual(daemon, c, c.counts())


@pytest.fixture
def archive(daemon, tmp_path):
    """Of a counter whose file is in a volume; the volume is gone again."""
    daemon.rest.post(VOLUMES, {"name": "v", "type": "custom"})
    c = daemon.create("c1", ["/bin/counter", "--file", "/data/count"],
                      devices={"v": {"type": "disk", "pool": "default", "source": "v", "path": "/data"}})
    wait_until(lambda: c.inside("/data/count").exists() and Pair.read_memory(c.pid)["count"] > 10, "it counts")
    run = Pair.read_memory(c.pid)["run"]
    daemon.cli("checkpoint", "c1", "--export", tmp_path / "archive")
    c.delete(force=True)
    daemon.rest.delete(f"{VOLUMES}/v")
    yield tmp_path / "archive", run
    assert daemon.delete_instances() == []
    for url in daemon.rest.get(VOLUMES):
        daemon.rest.delete(url)


def imported(daemon, archive, run):
    daemon.cli("restore", "--import", archive, "--name", "c2")
    pair = wait_until(lambda: Pair.read(daemon["c2"].pid, "/data/count"), "it counts")
    daemon.uuids.add(daemon["c2"].uuid)
    assert pair.run == run and pair.errors == 0 and pair.boots == 1


def nothing_of_an_import(daemon):
    lib = daemon.root / "lib"
    found = [str(p) for name in ("instances", "volumes", "checkpoints") for p in (lib / name).glob("*")]
    assert daemon.instances() == [] and daemon.rest.get(VOLUMES) == [] and not found, found


@pytest.mark.parametrize("point", [*IMPORT, *CREATE, *RESTORE])
def test_killed_in_an_import(daemon, archive, point):
    """A whole instance, or none and no volume, and the import can be repeated."""
    path, run = archive
    daemon.fault(f"{point}=kill")
    assert daemon.cli("restore", "--import", path, "--name", "c2", check=False).returncode != 0
    daemon.wait_dead(20)
    nothing_stays_frozen(daemon)
    daemon.fault("")
    daemon.start()
    if daemon.instances():  # only the end of the import was missing
        wait_until(lambda: not daemon["c2"].info()["stasis"]["busy"], "recovery has ended")
        daemon.uuids.add(daemon["c2"].uuid)
        if daemon["c2"].status == "Stopped":
            assert daemon["c2"].info()["stateful"] is True
            daemon["c2"].start()
        assert Pair.read(daemon["c2"].pid, "/data/count").run == run
        one_of_each(daemon, daemon["c2"])
        return
    nothing_of_an_import(daemon)
    imported(daemon, path, run)


@pytest.mark.parametrize("point", [*IMPORT, *CREATE, *RESTORE])
def test_failure_in_an_import(daemon, archive, point):
    path, run = archive
    daemon.fault(f"{point}=fail")
    answer = daemon.cli("restore", "--import", path, "--name", "c2", check=False)
    daemon.fault("")
    if answer.returncode == 0:  # it was past the point of no return
        daemon.uuids.add(daemon["c2"].uuid)
        assert Pair.read(daemon["c2"].pid, "/data/count").run == run
        return
    assert "fault injected" in answer.stderr, answer.stderr
    nothing_of_an_import(daemon)
    imported(daemon, path, run)


@pytest.mark.parametrize("what", ["fail", "enospc"])
@pytest.mark.parametrize("point", CHECKPOINT)
def test_failure_in_a_checkpoint(daemon, point, what):
    """Said; the container goes on, nothing is left."""
    c = daemon.counter("c1", "--fill", 4)
    before, pid = c.pair(), c.pid
    daemon.fault(f"{point}={what}")
    with pytest.raises(ApiError, match="fault injected|no space"):
        take(c, "s")
    daemon.fault("")
    assert not c.is_frozen() and c.pid == pid and c.counts(before.count).run == before.run
    assert checkpoints_of(c) == []
    nothing_half(daemon)
    take(c, "s")
    one_of_each(daemon, c)


@pytest.mark.parametrize("status", ["running", "paused", "stopped", "saved"])
@pytest.mark.parametrize("point", [*RESTORE, "stop.dumped", "stop.copied"])
def test_failure_on_the_way_back(daemon, point, status):
    """The instance is as it was before, running included; or it is what the snapshot says."""
    c = daemon.counter("c1", "--fill", 2)
    then = c.pair()
    snapshot(c, "s")
    c.inside("/later").write_text("x")
    now = wait_until(lambda: (lambda p: p if p.count > then.count + 2000 else None)(c.pair()), "it counts on")
    {"running": lambda: None, "paused": c.pause, "stopped": c.stop, "saved": c.stop_stateful}[status]()
    before = c.info()
    daemon.fault(f"{point}=fail:1")  # not on the way out of it
    try:
        go_back(c, "s")
        failed = False
    except ApiError as e:
        failed = True
        assert "fault injected" in e.text, e
    daemon.fault("")
    info = c.info()
    if failed:
        assert (info["status"], info["stateful"]) == (before["status"], before["stateful"]), daemon.tail()
    if c.status == "Frozen":
        c.resume()
    was_off = status == "stopped" and failed
    if c.status == "Stopped":
        c.start()
    pair = c.counts()
    assert c.inside("/later").exists() is failed
    if was_off:
        assert pair.boots == 2
    else:
        assert pair.run == then.run and (pair.count >= now.count) is failed, pair
    one_of_each(daemon, c)
    nothing_half(daemon)


# ---- failed ----------------------------------------------------------------------------------------------------------

COMMITTED = ("stop.committed", "stop.killed")


@pytest.mark.parametrize("what", ["fail", "enospc"])
@pytest.mark.parametrize("point", STOP)
def test_failure_in_a_stateful_stop(daemon, point, what):
    """Before the commit the container runs on; after it the stop is a fact. Both times the answer is true."""
    c = daemon.counter("c1", "--fill", 4)
    before, uuid = c.pair(), c.uuid
    daemon.fault(f"{point}={what}")
    try:
        c.stop_stateful()
        failed = False
    except ApiError as e:
        failed = True
        assert "fault injected" in e.text or "no space" in e.text, e
    daemon.fault("")
    wait_until(lambda: not daemon.frozen(), "nothing is frozen", FREEZE_BOUND)
    info = c.info()
    if point not in COMMITTED:
        assert failed, f"{point} failed and the stop said that it worked"
        assert info["status"] == "Running" and info["stateful"] is False
        manifests = [p for p in daemon.root.rglob("stasis.json") if uuid in str(p)]
        images = [p for p in daemon.root.rglob("pages-*.img") if uuid in str(p)]
        assert not manifests and not images, f"left behind: {manifests} {images}"
        pair = c.counts(before.count)
        assert pair.run == before.run
    else:
        if info["status"] == "Stopped":
            assert info["stateful"] is True
            c.start()
        pair = c.counts(before.count)
        assert pair.run == before.run
    one_of_each(daemon, c)
    goes_on_as_usual(daemon, c, pair)


@pytest.mark.parametrize("what", ["fail", "enospc"])
@pytest.mark.parametrize("point", RESTORE)
def test_failure_in_a_start_with_state(daemon, point, what):
    """The state is kept until the container runs; the retry works."""
    c = daemon.counter("c1", "--fill", 4)
    before = c.pair()
    c.stop_stateful()
    daemon.fault(f"{point}={what}")
    try:
        c.start()
    except ApiError as e:
        assert "fault injected" in e.text or "no space" in e.text, e
    daemon.fault("")
    info = c.info()
    if info["status"] == "Stopped":
        assert info["stateful"] is True, "neither a running container nor a state"
        assert not daemon.cgroup_state(c.uuid)["populated"]
        one_of_each(daemon, c)
        c.start()
    pair = c.counts(before.count)
    assert pair.run == before.run
    one_of_each(daemon, c)
    goes_on_as_usual(daemon, c, pair)


@pytest.mark.parametrize("point", [*BOOT, *CREATE])
def test_failure_in_create_and_start(daemon, point):
    """Said in words, and nothing half is left; or, where nothing can fail any more, it works."""
    daemon.fault(f"{point}=fail")
    try:
        c = daemon.create("c1", ["/bin/counter"])
    except ApiError as e:
        assert "fault injected" in e.text
        daemon.fault("")
        for name in daemon.instances():
            assert daemon[name].status == "Stopped"
            daemon.uuids.add(daemon[name].uuid)
            daemon[name].delete(force=True)
        c = daemon.create("c1", ["/bin/counter"])
    c.counts()
    one_of_each(daemon, c)


# ---- more than one death ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", ["stop.dumped", "stop.committed", "restore.committed", "restore.verified"])
def test_killed_again_and_again(daemon, point):
    """A daemon that dies at the same place three times in a row, and once while it recovers."""
    c = daemon.counter("c1")
    pair, uuid = c.pair(), c.uuid
    action = {"action": "stop", "stateful": True} if point.startswith("stop.") else {"action": "start"}
    for _ in range(3):
        if point.startswith("restore."):
            c.stop_stateful()
        daemon.fault(f"{point}=kill")
        assert begin_and_die(daemon, "PUT", f"{c.url}/state", action), f"{point} was not passed"
        nothing_stays_frozen(daemon)
        pair = recover(daemon, c, uuid, pair)


def test_stopped_daemon_does_not_hold_the_container(daemon):
    """Not dead but hanging (SIGSTOP) inside the frozen window, then killed: the guard lets go."""
    c = daemon.counter("c1")
    before, uuid = c.pair(), c.uuid
    daemon.fault("stop.frozen=stop")
    daemon.rest.begin("PUT", f"{c.url}/state", {"action": "stop", "stateful": True})
    wait_until(lambda: daemon.cgroup_state(uuid)["frozen"], "it is frozen")
    daemon.kill()
    nothing_stays_frozen(daemon)
    recover(daemon, c, uuid, before)


def test_power_cut_at_each_point_of_a_stop(daemon):
    """Everything dies at once, with an emptied run folder: the state is whole or not there."""
    c = daemon.counter("c1")
    uuid = c.uuid
    for point in STOP:
        if c.status != "Running":
            c.start()
        run = c.counts().run
        daemon.fault(f"{point}=kill")
        assert begin_and_die(daemon, "PUT", f"{c.url}/state", {"action": "stop", "stateful": True}), f"{point} was not passed"
        daemon.fault("")
        seen = last_seen(daemon, uuid)
        daemon.reboot()
        wait_until(lambda: not c.info()["stasis"]["busy"], "recovery has ended")
        info = c.info()
        assert info["status"] == "Stopped", point
        stateful = info["stateful"]
        c.start()
        pair = c.counts(seen if stateful else 0)
        assert (pair.run == run) is stateful, point
