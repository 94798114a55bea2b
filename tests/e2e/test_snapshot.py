# SPDX-License-Identifier: Apache-2.0
"""Snapshots: going back brings memory and files of one instant, or nothing at all changes."""
import os
import shutil
import time

import pytest

from checkpoints import VOLUMES, Quad, folder_of, go_back, leftovers, names, snapshot, take
from harness import ApiError, Pair, wait_until

NEVER = "0001-01-01T00:00:00Z"


def upper(c):
    return c.daemon.root / "lib/instances" / c.uuid / "upper"


def no_leftovers(c):
    """Of a swap, wherever it ended."""
    daemon, folder = c.daemon, upper(c).parent
    left = [p.name for p in folder.iterdir() if p.name.endswith((".new", ".old")) or p.name == "swap.json"]
    volumes = daemon.root / "lib/volumes"
    left += [p.name for p in volumes.iterdir() if p.name.endswith((".new", ".old"))] if volumes.exists() else []
    assert not left and not leftovers(daemon), (left, leftovers(daemon))


def is_back(c, then, now):
    """It continues from then: what was counted since is not in it."""
    pair = c.counts()
    assert pair.run == then.run and pair.errors == 0
    assert then.count <= pair.count < now.count, (then, pair, now)
    no_leftovers(c)
    return pair


def count_far(c, pair, ticks=1500):
    return wait_until(lambda: (lambda p: p if p.count > pair.count + ticks else None)(c.pair()), "it counts on")


# ---- going back ------------------------------------------------------------------------------------------------------


def test_back_and_back_again(daemon):
    c = daemon.counter("c1", "--fill", 4)
    one = c.pair()
    snapshot(c, "one")
    two = count_far(c, one, 3000)
    snapshot(c, "two")
    c.inside("/later").write_text("x")
    three = count_far(c, two, 3000)
    go_back(c, "one")
    is_back(c, one, two)
    assert not c.inside("/later").exists()
    go_back(c, "two", stateful=True)
    is_back(c, two, three)
    assert not c.inside("/later").exists()
    for _ in range(3):
        go_back(c, "one")
    is_back(c, one, two)
    c.stop_stateful()
    c.start()
    c.counts()


def test_back_from_every_status(daemon):
    """Whatever it does now: it becomes what it was, which ran."""
    c = daemon.counter("c1")
    then = c.pair()
    snapshot(c, "s")
    now = count_far(c, then)
    c.pause()
    go_back(c, "s")
    assert c.status == "Running" and not c.is_frozen()
    now = count_far(c, is_back(c, then, now))
    c.stop_stateful()
    go_back(c, "s")
    assert c.info()["stateful"] is False
    now = count_far(c, is_back(c, then, now))
    c.stop()
    go_back(c, "s")
    is_back(c, then, now)


def test_back_to_a_pause(daemon):
    c = daemon.counter("c1")
    c.pause()
    then = c.pair()
    snapshot(c, "s")
    assert c.status == "Frozen" and c.is_frozen()
    c.resume()
    count_far(c, then)
    for prepare in (lambda: None, c.stop):
        prepare()
        go_back(c, "s")
        assert c.status == "Frozen" and c.is_frozen()
        assert (c.pair().count, c.pair().disk) == (then.count, then.disk)
        c.resume()
        c.counts(then.count)


def test_back_to_what_was_stopped(daemon):
    """Files only: what runs is booted again, what is stopped stays so."""
    c = daemon.counter("c1")
    c.stop()
    snapshot(c, "off", stateful=False)
    disk = Pair.read_disk(upper(c) / "count")
    c.start()
    run = c.counts().run
    go_back(c, "off")
    pair = c.counts()
    assert pair.boots == disk[2] + 1 and pair.run != run and c.info()["stateful"] is False
    c.stop()
    go_back(c, "off")
    assert c.status == "Stopped" and Pair.read_disk(upper(c) / "count") == disk
    with pytest.raises(ApiError, match="no memory"):
        go_back(c, "off", stateful=True)
    no_leftovers(c)


def test_files_alone_of_one_with_memory(daemon):
    """stateful=False: the memory of then stays unused, that of now is lost with its files."""
    c = daemon.counter("c1")
    then = c.pair()
    snapshot(c, "s")
    now = count_far(c, then)
    go_back(c, "s", stateful=False)
    pair = c.counts()
    assert pair.boots == 2 and pair.run != then.run and pair.errors == 0
    c.stop_stateful()
    go_back(c, "s", stateful=False)
    info = c.info()
    assert info["status"] == "Stopped" and info["stateful"] is False, "memory of now with files of then"
    assert Pair.read_disk(upper(c) / "count")[2] == 1
    go_back(c, "s")
    is_back(c, then, now)


def test_without_memory_while_it_runs(daemon):
    c = daemon.counter("c1")
    snapshot(c, "s", stateful=False)
    assert daemon.rest.get(f"{c.url}/snapshots/s")["stateful"] is False
    c.inside("/later").write_text("x")
    go_back(c, "s")
    pair = c.counts()
    assert pair.boots == 2 and not c.inside("/later").exists()
    no_leftovers(c)


def test_volumes_go_back_too(daemon):
    daemon.rest.post(VOLUMES, {"name": "v", "type": "custom"})
    try:
        q = Quad(daemon, "q", "--big", 1, volume="v")
        runs = q.runs()
        folder = daemon.root / "lib/volumes/v"
        (folder / "sub").mkdir()
        os.setxattr(folder / "sub", "trusted.x", b"y")
        os.chmod(folder, 0o1751)
        snapshot(q.instance, "s")
        (folder / "later").write_text("x")
        (folder / "sub").rmdir()
        os.chmod(folder, 0o700)
        go_back(q.instance, "s")
        q.continues(runs)
        assert not (folder / "later").exists() and os.getxattr(folder / "sub", "trusted.x") == b"y"
        assert folder.stat().st_mode & 0o7777 == 0o1751
        no_leftovers(q.instance)
        # somebody else writes to it: it cannot go back in time
        other = daemon.create("other", ["/bin/sleep", "1000"], devices={"d": {"type": "disk", "pool": "default",
                                                                             "source": "v", "path": "/v"}})
        with pytest.raises(ApiError, match="'v' is in use by 'other'") as e:
            go_back(q.instance, "s")
        assert e.value.code in (400, 409)
        q.goes_on()
        no_leftovers(q.instance)
        other.stop(force=True)
        go_back(q.instance, "s")
        q.continues(runs)
    finally:
        daemon.delete_instances()
        daemon.rest.delete(f"{VOLUMES}/v")


# ---- never a mixture -------------------------------------------------------------------------------------------------


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def one_of(pattern):
    return lambda folder: sorted(folder.glob(pattern))[0]


DAMAGES = [
    ("a flipped bit in memory", one_of("checkpoint/pages-*.img"), flip),
    ("shortened memory", one_of("checkpoint/pages-*.img"), lambda p: os.truncate(p, p.stat().st_size - 4096)),
    ("a missing image", one_of("checkpoint/core-*.img"), os.unlink),
    ("a missing list of files", one_of("upper.sums"), os.unlink),
    ("a flipped bit in the spec", one_of("spec.dump"), flip),
    ("a changed file", one_of("upper/count"), flip),
    ("a missing file", one_of("upper/count"), os.unlink),
    ("no files at all", one_of("upper"), shutil.rmtree),
    ("a flipped bit in the manifest", one_of("stasis.json"), flip),
    ("no manifest", one_of("stasis.json"), os.unlink),
]


@pytest.mark.parametrize("what,find,damage", DAMAGES, ids=[row[0] for row in DAMAGES])
@pytest.mark.parametrize("status", ["running", "paused", "stopped", "saved"])
def test_a_damaged_one_changes_nothing(daemon, status, what, find, damage):
    """Refused; the instance is as it was: running included, its counter goes on."""
    c = daemon.counter("c1")
    one = take(c, "s")
    before = count_far(c, c.pair(), 50)
    pid = c.pid
    {"running": lambda: None, "paused": c.pause, "stopped": c.stop, "saved": c.stop_stateful}[status]()
    shown = c.info()["status"]
    disk = Pair.read_disk(upper(c) / "count") if status in ("stopped", "saved") else None
    damage(find(folder_of(daemon, one)))
    try:
        with pytest.raises(ApiError):
            go_back(c, "s")
    finally:  # one without a manifest is none: the next start-up sweeps it
        shutil.rmtree(folder_of(daemon, one))
    info = c.info()
    assert info["status"] == shown and info["stateful"] is (status == "saved")
    no_leftovers(c)
    if status == "running":
        pair = c.counts(before.count)
        assert pair.run == before.run and c.pid == pid, "it was stopped for a checkpoint that is damaged"
    elif status == "paused":
        assert c.is_frozen() and c.pid == pid
        c.resume()
        assert c.counts(before.count).run == before.run
    else:
        assert Pair.read_disk(upper(c) / "count") == disk
        c.start()
        assert (c.counts().run == before.run) is (status == "saved")


def test_criu_fails_in_the_middle(daemon):
    """Found out only after the old one was stopped: an image that is whole by its digests, but no longer fits."""
    c = daemon.counter("c1")
    before = c.pair()
    snapshot(c, "s")
    # the check of all images is the engine's; what it cannot know is what CRIU finds missing: the binary itself
    found = folder_of(daemon, daemon.rest.get(f"{c.url}/checkpoints/s")) / "upper"
    os.mkdir(found / "bin")
    os.mknod(found / "bin/counter", 0o600 | 0o020000, os.makedev(0, 0))  # a whiteout: the program is gone
    now = count_far(c, before)
    with pytest.raises(ApiError):
        go_back(c, "s")
    pair = c.counts(now.count)
    assert pair.run == before.run and pair.errors == 0 and c.status == "Running"
    assert c.inside("/bin/counter").exists()
    no_leftovers(c)


# ---- what a snapshot is -----------------------------------------------------------------------------------------------


def test_names_and_infos(daemon):
    c = daemon.counter("c1")
    snapshot(c)
    snapshot(c, stateful=False)
    snapshot(c, "mine", description="before the update")
    assert names(c) == ["snap0", "snap1", "mine"]
    info = daemon.rest.get(f"{c.url}/snapshots/mine")
    assert info["stateful"] is True and info["expires_at"] == NEVER and info["size"] > 0
    full = daemon.rest.get(f"{c.url}/checkpoints/mine")
    assert full["description"] == "before the update" and full["processes"] == 1
    phases = full["phases"]
    assert 0 < phases["dump"] <= phases["paused"] < phases["total"]
    with pytest.raises(ApiError, match="already") as e:
        snapshot(c, "mine")
    assert e.value.code == 409
    daemon.rest.post(f"{c.url}/snapshots/mine", {"name": "yours"})
    with pytest.raises(ApiError, match="already"):
        daemon.rest.post(f"{c.url}/snapshots/yours", {"name": "snap0"})
    daemon.rest.delete(f"{c.url}/snapshots/snap0")
    assert names(c) == ["snap1", "yours"]
    go_back(c, "yours")
    c.counts()
    daemon.restart()
    assert names(c) == ["snap1", "yours"]
    go_back(c, "yours")
    c.counts()


def test_after_a_rename_of_the_instance(daemon):
    c = daemon.counter("c1")
    then = c.pair()
    snapshot(c, "s")
    c.stop()
    daemon.rest.post(c.url, {"name": "c2"})
    c = daemon["c2"]
    assert names(c) == ["s"]
    go_back(c, "s")
    assert c.counts(then.count).run == then.run


def test_expiry(daemon):
    """Gone by itself; what does not expire stays."""
    c = daemon.counter("c1", start=False)
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))
    snapshot(c, "short", stateful=False, expires_at=soon)
    snapshot(c, "long", stateful=False, expires_at="2099-01-01T00:00:00Z")
    snapshot(c, "ever", stateful=False)
    snapshot(c, "saved", stateful=False, expires_at=soon)
    daemon.rest.put(f"{c.url}/snapshots/saved", {"expires_at": NEVER})
    wait_until(lambda: names(c) == ["long", "ever", "saved"], "it is gone by itself")
    late = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))
    daemon.rest.put(f"{c.url}/snapshots/long", {"expires_at": late})
    daemon.stop()
    time.sleep(3)
    daemon.start()
    wait_until(lambda: names(c) == ["ever", "saved"], "what expired meanwhile is gone, too")


def test_they_go_with_their_instance(daemon):
    c, other = daemon.counter("c1"), daemon.counter("c2")
    snapshot(c)
    snapshot(c)
    snapshot(other)
    c.delete(force=True)
    assert [url.split("/")[3] for url in daemon.rest.get("/1.0/checkpoints")] == ["c2"]
    assert len(list((daemon.root / "lib/checkpoints").iterdir())) == 1
    other.delete(force=True)
    assert not list((daemon.root / "lib/checkpoints").iterdir())


def test_of_an_ephemeral_instance(daemon):
    """It is not deleted by being stopped for a moment on its way back; a real stop deletes it and them."""
    c = daemon.counter("c1", ephemeral=True)
    then = c.pair()
    snapshot(c, "s")
    now = count_far(c, then)
    go_back(c, "s")
    is_back(c, then, now)
    go_back(c, "s", stateful=False)
    assert c.counts().boots == 2
    c.stop()
    wait_until(lambda: "c1" not in daemon.instances(), "it is deleted")
    assert not list((daemon.root / "lib/checkpoints").iterdir())


def test_of_an_ephemeral_instance_that_cannot_be_saved(daemon):
    """Its files can go back all the same; it must not be taken for one that was stopped for good."""
    c = daemon.create("f1", ["/bin/feat", "memfd-secret"], config={"checkpoint.profile": "full"}, ephemeral=True)

    def status():
        try:
            return c.read("/status").split()[:1]
        except OSError:
            return None

    if wait_until(status, "feat is ready") == ["unsupported"]:
        pytest.skip("memfd_secret is switched off here")
    snapshot(c, "s", stateful=False)
    c.inside("/later").write_text("x")
    go_back(c, "s")
    assert c.status == "Running" and not c.inside("/later").exists()


def test_configuration_is_not_touched(daemon):
    c = daemon.counter("c1")
    snapshot(c, "s")
    c.set(user__colour="red")
    go_back(c, "s")
    assert c.info()["config"]["user.colour"] == "red"


# ---- the command line -------------------------------------------------------------------------------------------------


def test_cli(daemon):
    c = daemon.counter("c1")
    then = c.pair()
    assert "s1" in daemon.cli("snapshot", "create", "c1", "s1", "--description", "first").stdout
    daemon.cli("snapshot", "create", "c1", "s2", "--stateless", "--expires", "7d")
    assert [row["name"] for row in daemon.cli_json("snapshot", "list", "c1")] == ["s1", "s2"]
    text = daemon.cli("snapshot", "info", "c1", "s1").stdout
    assert "first" in text and "s1" in text
    now = count_far(c, then)
    daemon.cli("snapshot", "restore", "c1", "s1")
    is_back(c, then, now)
    daemon.cli("snapshot", "rename", "c1", "s1", "best")
    daemon.cli("snapshot", "expires", "c1", "s2", "never")
    assert daemon.rest.get(f"{c.url}/snapshots/s2")["expires_at"] == NEVER
    daemon.cli("snapshot", "delete", "c1", "s2")
    assert names(c) == ["best"]
    for arguments in ["restore", "c1", "s2"], ["info", "c1", "s2"], ["delete", "c1", "s2"], ["rename", "c1", "s2", "x"]:
        answer = daemon.cli("snapshot", *arguments, check=False)
        assert answer.returncode == 1 and "s2" in answer.stderr
    daemon.cli("copy", "c1/best", "c2")
    daemon.uuids.add(daemon["c2"].uuid)
    assert daemon["c2"].counts().run == then.run
