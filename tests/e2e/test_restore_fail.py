# SPDX-License-Identifier: Apache-2.0
"""A start that fails leaves the state, says why, and the retry works."""
import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading

import pytest

from harness import ApiError, Daemon, Pair, wait_until


def state_folder(daemon, instance):
    """The folder that holds the saved state's manifest."""
    uuid = instance.uuid
    found = [path.parent for path in daemon.root.rglob("stasis.json") if uuid in str(path)]
    assert len(found) == 1, f"{len(found)} manifests: {found}"
    return found[0]


def files_of(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def find(folder, pattern):
    found = [path for path in files_of(folder) if re.fullmatch(pattern, path.name)]
    assert found, f"no {pattern} in {[p.name for p in files_of(folder)]}"
    return found[0]


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path):
    os.truncate(path, max(0, path.stat().st_size - 4096))


def remove(path):
    path.unlink()


CORRUPTIONS = [
    ("a flipped bit in memory", r"pages-\d+\.img", flip),
    ("shortened memory", r"pages-\d+\.img", truncate),
    ("a flipped bit in the process list", r"pstree\.img", flip),
    ("a missing descriptor table", r"fdinfo-\d+\.img", remove),
    ("a missing file table", r"files\.img", remove),
    ("an empty namespace", r"netns-\d+\.img", lambda path: path.write_bytes(b"")),
    ("a flipped bit in the manifest", r"stasis\.json", flip),
    ("a missing descriptors.json", r"descriptors\.json", remove),
]


@pytest.fixture
def saved(daemon):
    c = daemon.counter("c1", "--fill", 1)
    before = c.pair()
    c.stop_stateful()
    return c, before, state_folder(daemon, c)


@pytest.mark.parametrize("what,pattern,damage", CORRUPTIONS, ids=[row[0] for row in CORRUPTIONS])
def test_damaged_state(daemon, saved, what, pattern, damage):
    """Refused by name before anything starts; the state stays; mended, it works; otherwise --stateless does."""
    c, before, folder = saved
    victim = find(folder, pattern)
    shutil.copy2(victim, daemon.root / "good")
    damage(victim)
    for _ in range(2):
        with pytest.raises(ApiError, match=re.escape(victim.name)):
            c.start()
        assert c.status == "Stopped"
        assert folder.exists()
        assert not daemon.cgroup_state(c.uuid)["populated"]
    shutil.copy2(daemon.root / "good", victim)
    c.start()
    assert c.counts(before.count).run == before.run


def test_damaged_state_and_stateless(daemon, saved):
    """Whoever gives the state up boots afresh with one flag."""
    c, before, folder = saved
    flip(find(folder, r"pages-\d+\.img"))
    with pytest.raises(ApiError, match="pages-"):
        c.start()
    assert c.info()["stateful"] is True
    assert "pages-" in c.info()["stasis"]["last_error"]
    c.start(stateful=False)
    after = c.counts()
    assert after.run != before.run and after.boots == 2
    assert c.info()["stateful"] is False
    assert not folder.exists()


def test_added_file_is_not_trusted(daemon, saved):
    """A file that the manifest does not name is not part of the state."""
    c, before, folder = saved
    images = find(folder, r"inventory\.img").parent
    (images / "core-99.img").write_bytes(b"rubbish")
    try:
        c.start()
    except ApiError as e:
        assert "core-99.img" in e.text
        (images / "core-99.img").unlink()
        c.start()
    assert c.counts(before.count).run == before.run


def test_stateless_that_cannot_boot_keeps_the_state(daemon):
    """The state goes only when the fresh boot has worked."""
    c = daemon.create("c1", ["/bin/sh", "-c", "cp /bin/counter /counter; exec /counter"])
    before = c.counts()
    os.rename(c.inside("/bin/sh"), c.inside("/bin/sh.away"))
    c.stop_stateful()
    with pytest.raises(ApiError):
        c.start(stateful=False)
    assert c.status == "Stopped"
    assert c.info()["stateful"] is True, "the state is gone although the fresh boot failed"
    c.start()
    assert c.counts(before.count).run == before.run


def test_restore_that_criu_refuses(daemon):
    """The program's own file has another size than its mapping remembers: CRIU refuses, everything is left as it was."""
    c = daemon.create("c1", ["/bin/feat", "offsets"])
    wait_until(lambda: "feat ready" in c.output(), "feat is ready")
    uuid = c.uuid
    c.stop_stateful()
    disk = [p for p in daemon.root.rglob("offsets") if uuid in str(p) and p.is_file()]
    assert disk, "the instance's own layer holds its file"
    good = {path: path.read_bytes() for path in disk}
    for path in disk:
        path.write_bytes(b"short")
    for _ in range(2):
        with pytest.raises(ApiError) as e:
            c.start()
        assert len(e.value.text) > 20
        info = c.info()
        assert info["status"] == "Stopped" and info["stateful"] is True and info["stasis"]["pid"] == 0
        assert not daemon.cgroup_state(uuid)["populated"], "a half-restored process is left"
        assert not [m for m in daemon.mounts(daemon.process.pid) if "criu-root" in m], "criu-root is still mounted"
    assert any(name.startswith("checkpoint_restore") for name in c.logs()), c.logs()
    for path, data in good.items():
        path.write_bytes(data)
    c.start()
    assert c.status == "Running"


def test_disk_that_moved_on_is_noticed(daemon):
    """Somebody changed the instance's files after the stop: either the start refuses, or the program sees it at once."""
    c = daemon.counter("c1")
    uuid = c.uuid
    c.stop_stateful()
    files = [p for p in daemon.root.rglob("count") if uuid in str(p) and p.is_file()]
    assert files
    for path in files:  # the same size, which CRIU accepts
        path.write_bytes(path.read_bytes().replace(b"run=", b"ruN="))
    try:
        c.start()
    except ApiError:
        assert c.info()["stateful"] is True
    else:
        wait_until(lambda: Pair.read_memory(c.pid)["errors"] > 0, "the counter notices")


def test_half_a_state_is_removed_at_start_up(fresh):
    """A folder without a manifest is rubbish."""
    c = fresh.counter("c1")
    before = c.pair()
    c.stop_stateful()
    folder = state_folder(fresh, c)
    fresh.stop()
    half = folder.with_name("state.new")
    shutil.copytree(folder, half)
    (half / "stasis.json").unlink()
    fresh.start()
    assert c.info()["stateful"] is True
    assert not half.exists()
    c.start()
    assert c.counts(before.count).run == before.run


def test_missing_manifest_is_no_state(fresh):
    c = fresh.counter("c1")
    c.stop_stateful()
    folder = state_folder(fresh, c)
    fresh.stop()
    (folder / "stasis.json").unlink()
    fresh.start()
    assert c.info()["stateful"] is False
    c.start()
    assert c.counts().boots == 2


def test_state_is_dropped_when_proven(another):
    """After the restored one has run for a while its used state is removed; before that it is kept as 'previous'."""
    daemon = another(arguments=["--proof-time", "2s"])
    c = daemon.counter("c1", "--fill", 1)
    uuid = c.uuid
    c.stop_stateful()
    c.start()
    info = c.info()["stasis"]
    assert info["state"] is None
    wait_until(lambda: c.info()["stasis"]["previous"] is None, "the used state is removed")
    wait_until(lambda: not [p for p in daemon.root.rglob("pages-*.img") if uuid in str(p)], "its files are removed")
    assert c.status == "Running"


@contextlib.contextmanager
def hunter(daemon):
    """Kills the first criu of this daemon that shows up."""
    end = threading.Event()

    def hunt():
        while not end.is_set():
            for pid, line in daemon.processes().items():
                if os.path.basename(line.split(" ")[0]) == "criu":
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        end.set()

    thread = threading.Thread(target=hunt, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def test_retry_after_criu_was_killed(daemon, saved):
    """A restore that dies in the middle is cleaned up, and the next try works (crun leaves a half-restored init)."""
    c, before, _ = saved
    with hunter(daemon):
        try:
            c.start()
        except ApiError:
            pass
    if c.status != "Running":
        assert c.info()["stateful"] is True
        assert not daemon.cgroup_state(c.uuid)["populated"]
        c.start()
    assert c.counts(before.count).run == before.run


def test_dump_that_is_killed(daemon):
    """criu dies in the middle of a dump: the container runs on, thawed, or is saved completely."""
    c = daemon.counter("c1", "--fill", 64)
    before = c.pair()
    with hunter(daemon):
        try:
            c.stop_stateful()
        except ApiError:
            pass
    info = c.info()
    if info["status"] == "Running":
        assert info["stateful"] is False
        wait_until(lambda: not c.is_frozen(), "it is thawed", 2)
    else:
        assert info["status"] == "Stopped" and info["stateful"] is True, info
        c.start()
    assert c.counts(before.count).run == before.run


def test_no_space_for_the_state(programs_tar, request):
    """A disk that is full: said in words, the container runs on, nothing is left; with room again it works."""
    daemon = Daemon()
    request.node.daemon = daemon
    try:
        daemon.mount_state_dir("48m")
        daemon.start()
        daemon.import_programs(programs_tar)
        c = daemon.counter("c1", "--fill", 64)
        before = c.pair()
        used = disk_used(daemon)
        with pytest.raises(ApiError, match="(?i)space") as e:
            c.stop_stateful()
        assert "c1" in e.value.text or "MiB" in e.value.text, e.value
        assert c.status == "Running" and c.info()["stateful"] is False and not c.is_frozen()
        before = c.counts(before.count)
        wait_until(lambda: disk_used(daemon) < used + (1 << 20), "what the failed stop wrote is removed", 10)
        subprocess.run(["mount", "-o", "remount,size=400m", str(daemon.root / "lib")], check=True)
        c.stop_stateful()
        c.start()
        assert c.counts(before.count).run == before.run
    finally:
        daemon.close()


def disk_used(daemon):
    fs = os.statvfs(daemon.root / "lib")
    return (fs.f_blocks - fs.f_bfree) * fs.f_frsize
