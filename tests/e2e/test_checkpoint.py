# SPDX-License-Identifier: Apache-2.0
"""Live checkpoints: memory and all files show one instant, the original never notices, and copies continue from it."""
import contextlib
import os
import re
import stat
import tarfile
import threading
import time
from pathlib import Path

import pytest

from checkpoints import VOLUMES, Quad, clone, folder_of, go_back, leftovers, names, take
from harness import ApiError, Pair, wait_until

# Live checkpoints under load, all file systems together. STASIS_CHECKPOINTS=100 is the whole test.
CHECKPOINTS = int(os.environ.get("STASIS_CHECKPOINTS", "25"))


def runs_on(c, before):
    """The original: the same process, the same run, no error, further than before."""
    after = c.counts(before.count)
    assert after.run == before.run and after.boots == before.boots
    return after


def pair_in(folder):
    return Pair.read_disk(folder / "upper/count")[0]


# ---- the counter -----------------------------------------------------------------------------------------------------


def test_every_live_checkpoint_continues_as_a_copy(daemon, record_property):
    """What Podman's issue 28963 asked for: the disk is never ahead of the memory, nor behind it."""
    c = daemon.counter("c1", "--fill", 4)
    first, pid, made = c.pair(), c.pid, []
    for number in range(8):
        before = c.pair()
        one = take(c, f"s{number}")
        made.append((one, before.count, pair_in(folder_of(daemon, one)), c.pair().count))
        time.sleep(0.02 * number)
    last = runs_on(c, first)
    assert c.pid == pid and last.errors == 0
    record_property("longest_gap_us", last.longest_gap_us)
    print(f"longest gap of the original: {last.longest_gap_us / 1000:.1f} ms; paused "
          f"{[round(one['phases']['paused'] / 1000, 1) for one, *_ in made]} ms")
    for number, (one, before, on_disk, after) in enumerate(made):
        assert before <= on_disk <= after, "the files are of another time"
        copy = clone(daemon, f"c1/s{number}", f"copy{number}")
        pair = copy.counts(on_disk)
        assert pair.run == first.run and pair.boots == 1 and pair.errors == 0
        copy.delete(force=True)
    runs_on(c, last)


def test_the_very_instant(daemon):
    """Of a paused one: at most the one write apart that was under way, in the original and in its copy."""
    c = daemon.counter("c1")
    for number in range(4):
        c.pause()
        pair = c.pair()
        one = take(c, f"s{number}")
        assert c.status == "Frozen" and c.pair() == pair, "it moved"
        assert pair_in(folder_of(daemon, one)) == pair.disk
        copy = clone(daemon, f"c1/s{number}", "copy")
        assert copy.status == "Frozen" and copy.is_frozen(), "what was paused runs"
        twin = copy.pair()
        assert (twin.count, twin.disk, twin.run) == (pair.count, pair.disk, pair.run)
        assert twin.disk in (twin.count, twin.count - 1)
        copy.resume()
        copy.counts(pair.count)
        copy.delete(force=True)
        c.resume()
        c.counts(pair.count)


def test_copies_side_by_side(daemon):
    """Each with its own files, name and network; the original too."""
    c = daemon.counter("c1")
    take(c, "s")
    copies = [clone(daemon, "c1/s", f"copy{n}") for n in range(3)]
    counts = [one.counts() for one in [c, *copies]]
    assert len({pair.run for pair in counts}) == 1
    for one in copies:
        with open(one.inside("/mine"), "w", encoding="ascii") as f:
            f.write(one.name)
    for one in [c, *copies]:
        assert one.inside("/mine").exists() is (one is not c)
        assert one is c or one.read("/mine") == one.name
    namespaces = {os.readlink(f"/proc/{one.pid}/ns/net") for one in [c, *copies]}
    assert len(namespaces) == 4
    for one in copies:
        one.stop_stateful()
        one.start()
        one.counts()
    c.delete(force=True)  # and its checkpoints with it
    for one in copies:
        one.stop_stateful()
        one.start()
        one.counts()


# ---- several processes, mapped files, volumes, /dev/shm, three file systems -------------------------------------------


@pytest.fixture
def on(another, programs_tar, request):
    """A daemon whose state folder is on a file system of that kind."""

    def make(kind):
        if kind == "host":
            return another()
        daemon = another(started=False)
        request.node.daemon = daemon
        daemon.mount_state_dir(3 << 30, kind)
        daemon.start()
        daemon.import_programs(programs_tar)
        return daemon

    return make


def share(kind):
    """How many of CHECKPOINTS are made there."""
    kinds = ["host", "xfs", "btrfs"]
    return CHECKPOINTS // 3 + (kinds.index(kind) < CHECKPOINTS % 3)


@pytest.mark.parametrize("kind", ["host", "xfs", "btrfs"])
def test_all_places_agree_under_load(on, kind, record_property):
    """Many live checkpoints of four processes; each, restored in place, agrees in memory, files, volume and /dev/shm."""
    daemon = on(kind)
    daemon.rest.post(VOLUMES, {"name": "v", "type": "custom"})
    q = Quad(daemon, "q", "--big", 2, volume="v")
    runs, made = q.runs(), []
    for number in range(share(kind)):
        before = [w.count for w in q.workers()]
        one = take(q.instance, f"s{number}")
        assert one["stateful"] is True and one["processes"] == 5 and one["volumes"] == ["v"]
        q.captured_exactly(folder_of(daemon, one))
        made.append((f"s{number}", before))
        q.goes_on(before)
    now = q.workers()
    gap = max(w.longest_gap_us for w in now)
    record_property("longest_gap_us", gap)
    print(f"{kind}: longest gap of a worker {gap / 1000:.1f} ms, by reflink: {one['reflink']}")
    assert kind == "host" or one["reflink"] is True
    assert [w.run for w in now] == runs
    for name, before in made[::-1]:
        go_back(q.instance, name)
        assert q.runs() == runs
        after = q.continues(runs)
        assert all(w.count > n for w, n in zip(after, before))
    q.instance.pause()
    q.stands_exactly()
    take(q.instance, "last")
    go_back(q.instance, "last")
    assert q.instance.status == "Frozen"
    q.stands_exactly()
    q.instance.resume()
    q.goes_on()
    q.instance.delete(force=True)
    daemon.rest.delete(f"{VOLUMES}/v")


@pytest.mark.parametrize("kind", ["host", "xfs", "btrfs"])
def test_copies_of_quad(on, kind):
    """As copies, while the original goes on; a paused one shows the very instant."""
    daemon = on(kind)
    q = Quad(daemon, "q", "--big", 1)
    runs = q.runs()
    for number in range(2):
        take(q.instance, f"s{number}")
    q.instance.pause()
    take(q.instance, "paused")
    q.instance.resume()
    for number in range(2):
        copy = Quad.of(clone(daemon, f"q/s{number}", f"copy{number}"))
        copy.continues(runs)
    copy = Quad.of(clone(daemon, "q/paused", "copy2"))
    assert copy.instance.status == "Frozen"
    copy.stands_exactly()
    copy.instance.resume()
    copy.continues(runs)
    q.goes_on()


def test_a_copy_cannot_share_volumes(daemon):
    """Said before anything is made; nothing is left of it."""
    daemon.rest.post(VOLUMES, {"name": "v", "type": "custom"})
    try:
        q = Quad(daemon, "q", volume="v")
        take(q.instance, "s")
        with pytest.raises(ApiError, match="volume"):
            clone(daemon, "q/s", "copy")
        assert daemon.instances() == ["q"]
        q.goes_on()
    finally:
        daemon.delete_instances()
        daemon.rest.delete(f"{VOLUMES}/v")


def test_without_volumes(daemon):
    """ignore_volumes: they are not part of it, and going back leaves them alone."""
    daemon.rest.post(VOLUMES, {"name": "v", "type": "custom"})
    try:
        c = daemon.create("c1", ["/bin/counter"], devices={"d": {"type": "disk", "pool": "default", "source": "v",
                                                                 "path": "/data"}})
        before = c.counts()
        one = take(c, "s", ignore_volumes=True)
        assert one["volumes"] == [] and not (folder_of(daemon, one) / "volumes").exists()
        c.inside("/data/later").write_text("x")
        go_back(c, "s")
        assert c.counts(before.count).run == before.run
        assert c.read("/data/later") == "x"
    finally:
        daemon.delete_instances()
        daemon.rest.delete(f"{VOLUMES}/v")


# ---- paused, stopped, limits -----------------------------------------------------------------------------------------


def test_paused_through_a_stop_with_state(daemon):
    c = daemon.counter("c1")
    c.pause()
    pair = c.pair()
    c.stop_stateful()
    c.start()
    assert c.status == "Frozen" and c.is_frozen() and (c.pair().count, c.pair().disk) == (pair.count, pair.disk)
    c.resume()
    c.counts(pair.count)


def test_max_pause(daemon):
    """What cannot be kept is refused, before or in the middle of it; it runs on, and nothing is left."""
    c = daemon.counter("c1", "--fill", 64)
    before = c.pair()
    for limit in "1ms", "20ms":
        with pytest.raises(ApiError, match="longest pause"):
            take(c, "s", max_pause=limit)
        assert not c.is_frozen() and c.status == "Running"
        before = runs_on(c, before)
    assert names(c) == [] and leftovers(daemon) == []
    assert take(c, "s", max_pause="1m")["phases"]["paused"] > 0
    runs_on(c, before)


def test_of_a_stopped_instance(daemon):
    """Its files only; a copy boots on them."""
    c = daemon.counter("c1")
    c.stop()
    disk = Pair.read_disk(daemon.root / "lib/instances" / c.uuid / "upper/count")
    one = take(c, "s")
    assert one["stateful"] is False and c.status == "Stopped"
    assert Pair.read_disk(folder_of(daemon, one) / "upper/count") == disk
    copy = clone(daemon, "c1/s", "copy")
    if copy.status == "Stopped":
        copy.start()
    assert copy.counts().boots == disk[2] + 1
    c.start()
    assert c.counts().boots == disk[2] + 1


def test_of_one_that_never_ran(daemon):
    c = daemon.counter("c1", start=False)
    take(c, "s")
    clone(daemon, "c1/s", "copy", start=False).start()
    daemon["copy"].counts()
    go_back(c, "s")
    assert c.status == "Stopped"
    c.start()
    c.counts()


def test_of_one_with_a_saved_state(daemon):
    """Its memory is part of it; the state itself stays."""
    c = daemon.counter("c1", "--fill", 2)
    before = c.pair()
    c.stop_stateful()
    one = take(c, "s")
    assert one["stateful"] is True and one["memory_bytes"] > 2 << 20
    info = c.info()
    assert info["status"] == "Stopped" and info["stateful"] is True
    copy = clone(daemon, "c1/s", "copy")
    assert copy.counts(before.count).run == before.run
    c.start()
    runs_on(c, before)
    go_back(c, "s")
    assert c.status == "Stopped" and c.info()["stateful"] is True
    c.start()
    runs_on(c, before)


def test_of_a_paused_one_with_a_saved_state(daemon):
    c = daemon.counter("c1")
    c.pause()
    pair = c.pair()
    c.stop_stateful()
    take(c, "s")
    copy = clone(daemon, "c1/s", "copy")
    assert copy.status == "Frozen" and copy.pair().count == pair.count


def test_stateless(daemon):
    """Files of one instant without memory: a copy boots on them."""
    c = daemon.counter("c1")
    before = c.pair()
    one = take(c, "s", stateless=True)
    assert one["stateful"] is False and one["memory_bytes"] == 0
    assert not (folder_of(daemon, one) / "checkpoint").exists()
    copy = clone(daemon, "c1/s", "copy")
    if copy.status == "Stopped":
        copy.start()
    pair = copy.counts()
    assert pair.boots == 2 and pair.run != before.run
    runs_on(c, before)


def test_what_cannot_be_checkpointed_is_refused_and_runs_on(daemon):
    c = daemon.create("f1", ["/bin/feat", "memfd-secret"], config={"checkpoint.profile": "full"})

    def ready():
        with contextlib.suppress(OSError):
            return c.read("/status").split()[:1]
        return None

    if wait_until(ready, "feat is ready") == ["unsupported"]:
        pytest.skip("memfd_secret is switched off here")
    with pytest.raises(ApiError, match="secret"):
        take(c, "s")
    assert c.status == "Running" and not c.is_frozen() and names(c) == [] and leftovers(daemon) == []
    take(c, "files", stateless=True)


# ---- at the same time ------------------------------------------------------------------------------------------------


def test_two_at_once(daemon):
    """One of them is told who is busy; the other one works."""
    c = daemon.counter("c1", "--fill", 64)
    before = c.pair()
    answers = []

    def ask():
        answers.append(daemon.rest.request("POST", f"{c.url}/checkpoints", {}))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(reply.status for reply in answers) == [202, 409], [reply.json for reply in answers]
    for reply in answers:
        if reply.status == 202:
            daemon.rest.finish(reply.json["metadata"]["id"])
        else:
            assert "taking a checkpoint" in reply.json["error"]
    assert len(names(c)) == 1
    runs_on(c, before)


def test_of_several_instances_at_once(daemon):
    made = [daemon.counter(f"c{n}", "--fill", 8) for n in range(4)]
    before = [c.pair() for c in made]
    operations = [daemon.rest.begin("POST", f"{c.url}/checkpoints", {"name": "s"}) for c in made]
    for operation in operations:
        daemon.rest.finish(operation)
    for c, pair in zip(made, before):
        runs_on(c, pair)
        assert clone(daemon, f"{c.name}/s", f"{c.name}-copy").counts(pair.count).run == pair.run


def test_with_an_exec_session(daemon):
    """It goes on, and is no part of the copy."""
    c = daemon.counter("c1")
    before = c.pair()
    session = daemon.cli_start("exec", "c1", "--", "sh", "-c", "i=0; while :; do echo $i; i=$((i+1)); sleep 0.05; done")
    try:
        for _ in range(3):
            assert session.stdout.readline()
        take(c, "s")
        assert session.poll() is None, "the session was ended"
        for _ in range(20):
            assert session.stdout.readline(), "the session says nothing any more"
        runs_on(c, before)
        copy = clone(daemon, "c1/s", "copy")
        assert copy.counts(before.count).run == before.run
    finally:
        session.kill()
        session.communicate()


def test_cancelled(daemon):
    """Whenever that is: a whole checkpoint or none, and the original goes on."""
    c = daemon.counter("c1", "--fill", 96)
    before = c.pair()
    for pause in 0, 0.05, 0.15, 0.3:
        operation = daemon.rest.begin("POST", f"{c.url}/checkpoints", {"name": "s"})
        time.sleep(pause)
        with contextlib.suppress(ApiError):
            daemon.rest.delete(f"/1.0/operations/{operation}")
        with contextlib.suppress(ApiError):
            daemon.rest.finish(operation)
        wait_until(lambda: not c.info()["stasis"]["busy"], "it is over")
        assert not c.is_frozen() and leftovers(daemon) == []
        before = runs_on(c, before)
        if names(c):
            daemon.rest.delete(f"{c.url}/checkpoints/s")


# ---- features that need files which have no name ----------------------------------------------------------------------


def feature(daemon, name):
    c = daemon.create("f1", ["/bin/feat", name])

    def ready():
        with contextlib.suppress(OSError):
            return c.read("/status").split(maxsplit=2) or None
        return None

    status = wait_until(ready, lambda: f"feat {name}: {c.describe()}")
    assert status[0] == "ready", status
    return c


def verify(c, number):
    os.kill(c.pid, 10)

    def answered():
        with contextlib.suppress(OSError):
            words = c.read("/status").split(maxsplit=2)
            return words if words and words[0] in ("ok", "fail") and int(words[1]) >= number else None
        return None

    words = wait_until(answered, lambda: f"verification {number}: {c.describe()}")
    assert words[0] == "ok", words


@pytest.mark.parametrize("name", ["deleted-big", "deleted-small", "link-gone", "inotify", "mapped", "memfd", "processes", "tcp",
                                  "tmpfs", "unix", "flock"])
def test_features_in_a_copy(daemon, name):
    """Ghost files, removed hard links (link-remap) and the like: the original and the copy both have them."""
    c = feature(daemon, name)
    verify(c, 1)
    before = tree(c)
    take(c, "s")
    verify(c, 2)
    remap = [path for path in tree(c) if re.search(r"link_remap|\.cr\.", path) and path not in before]
    assert not remap, f"left in the original: {remap}"
    copy = clone(daemon, "f1/s", "copy")
    verify(copy, 2)
    take(c, "t")
    verify(c, 3)
    take(copy, "u")
    verify(copy, 3)


# ---- the files, faithfully --------------------------------------------------------------------------------------------


def xattrs(path):
    found = {}
    for name in os.listxattr(path, follow_symlinks=False):
        if not name.startswith("trusted.overlay."):
            found[name] = os.getxattr(path, name, follow_symlinks=False)
    return found


def describe(path):
    st = os.lstat(path)
    mtime = None if re.fullmatch(r"/proc/\d+/root/tmp", str(path)) else st.st_mtime_ns  # CRIU works in there
    return [oct(st.st_mode), st.st_uid, st.st_gid, mtime, xattrs(path)]


SKIPPED = {"proc", "sys", "dev"}


def tree(instance):
    """All that lstat, listxattr, readlink and read can tell of a root file system; names of one file are one group."""
    root = f"/proc/{instance.pid}/root/."
    found, groups = {".": describe(root)}, {}
    for folder, folders, files in os.walk(root):
        inside = os.path.relpath(folder, root)
        if inside == ".":
            folders[:] = [f for f in folders if f not in SKIPPED]
        for name in [*folders, *files]:
            path, key = Path(folder, name), os.path.normpath(f"{inside}/{name}")
            st, row = os.lstat(path), describe(path)
            if stat.S_ISREG(st.st_mode):
                row += [st.st_size, st.st_nlink, path.read_bytes() if st.st_size < 1 << 20 else holes(path)]
                groups.setdefault((st.st_dev, st.st_ino), []).append(key)
            elif stat.S_ISLNK(st.st_mode):
                row.append(os.readlink(path))
            elif not stat.S_ISDIR(st.st_mode):
                row += [st.st_rdev, st.st_nlink]
            found[key] = row
    for group in groups.values():
        for key in group:
            found[key].append(sorted(group))
    return found


def holes(path):
    """Data as [(offset, bytes)], so that a hole that was filled shows."""
    parts = []
    with open(path, "rb") as f:
        at = 0
        while True:
            try:
                start = os.lseek(f.fileno(), at, os.SEEK_DATA)
            except OSError:
                return parts
            at = os.lseek(f.fileno(), start, os.SEEK_HOLE)
            parts.append((start, os.pread(f.fileno(), at - start, start)))


def acl(*entries):
    """A POSIX ACL as the kernel takes it: (tag, permissions, id)."""
    import struct
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


NO_ID = 0xFFFFFFFF
ACL = acl((1, 6, NO_ID), (2, 4, 1000), (4, 4, NO_ID), (0x10, 4, NO_ID), (0x20, 0, NO_ID))
OLD_MTIME = 1700000000


@pytest.fixture(scope="module")
def app_image(shared, scratch, programs_tar):
    """The programs and a folder /app whose files the table below changes."""
    root = scratch / "app-image"
    root.mkdir()
    with tarfile.open(programs_tar) as tar:
        tar.extractall(root)
    app = root / "app"
    for name in "again", "to-file", "meta", "kept/below", "moved", "opaque/sub":
        (app / name).mkdir(parents=True)
        (app / name / "old").write_text("from the image\n")
    for name in "conf", "to-dir", "gone", "mode", "owner", "attr", "one", "trusted", "acl", "cap", "time", "link-target":
        (app / name).write_text("orig\n")
    os.link(app / "one", app / "two")
    os.symlink("conf", app / "link")
    os.setxattr(app / "attr", "user.colour", b"red")
    for path in [app, *app.rglob("*")]:
        os.utime(path, ns=(OLD_MTIME * 10**9, OLD_MTIME * 10**9), follow_symlinks=False)
    path = scratch / "app.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        tar.add(root, ".")
    shared.get().import_image(path, "app")
    yield "app"
    with contextlib.suppress(ApiError):
        shared.daemon.rest.delete("/1.0/images/app")


def rmtree(path):
    import shutil
    shutil.rmtree(path)


def do_again(p):
    rmtree(p / "again")
    (p / "again").mkdir()
    (p / "again/new").write_text("new")


def do_to_file(p):
    rmtree(p / "to-file")
    (p / "to-file").write_text("now a file")


def do_to_dir(p):
    (p / "to-dir").unlink()
    (p / "to-dir").mkdir()
    (p / "to-dir/in").write_text("now a folder")


def do_meta(p):
    os.chmod(p / "meta", 0o2751)
    os.chown(p / "meta", 12, 34)


def do_hard_links(p):
    os.link(p / "one", p / "three")
    with open(p / "one", "a", encoding="ascii") as f:
        f.write("more\n")


def do_trusted(p):
    os.setxattr(p / "trusted", "trusted.mine", b"\0secret\0")
    os.setxattr(p / "kept", "trusted.dir", b"d")
    os.setxattr(p / "kept", "user.dir", b"u")


def do_acl(p):
    os.setxattr(p / "acl", "system.posix_acl_access", ACL)
    os.setxattr(p / "kept", "system.posix_acl_default", ACL)


def do_capability(p):
    os.setxattr(p / "cap", "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))


def do_times(p):
    os.utime(p / "time", ns=(1, 1234567890123456789))
    os.utime(p / "kept/below", ns=(1, 1111111111222222222))
    os.utime(p / "link", ns=(1, 999999999_000000007), follow_symlinks=False)


def do_sparse(p):
    with open(p / "sparse", "wb") as f:
        f.truncate(200 << 20)
        os.pwrite(f.fileno(), b"x" * 4096, 100 << 20)
        os.pwrite(f.fileno(), b"end", (200 << 20) - 3)


def do_odd_kinds(p):
    os.mkfifo(p / "fifo", 0o620)
    os.mknod(p / "null", 0o644 | stat.S_IFCHR, os.makedev(1, 3))
    os.mknod(p / "block", 0o600 | stat.S_IFBLK, os.makedev(7, 99))
    os.symlink("/nowhere", p / "dangling")


def do_names(p):
    (p / ("ä" * 120)).write_text("long")
    (p / "with\nline").write_text("x")
    Path(os.fsdecode(os.fsencode(p) + b"/\xff\xfe")).write_text("no utf-8")
    (p / "-dash").write_text("x")


def do_moves(p):
    (p / "moved/old").rename(p / "moved/new")
    (p / "gone").unlink()
    os.unlink(p / "link-target")
    os.symlink("elsewhere", p / "link-target")
    (p / "link").unlink()
    os.symlink("mode", p / "link")


def do_whiteout_below_replaced(p):
    rmtree(p / "opaque")
    (p / "opaque/sub").mkdir(parents=True)
    (p / "opaque/sub/only").write_text("only")


def do_root(p):
    os.chmod(p.parent, 0o751)
    os.utime(p.parent, ns=(5, 777777777_123456789))


CHANGES = {
    "a file of the image is modified": lambda p: (p / "conf").write_text("changed\n"),
    "a folder is removed and made again": do_again,
    "a folder becomes a file": do_to_file,
    "a file becomes a folder": do_to_dir,
    "mode and owner of a folder": do_meta,
    "mode of a file": lambda p: os.chmod(p / "mode", 0o4711),
    "owner of a file": lambda p: os.chown(p / "owner", 1000, 1001),
    "an extended attribute is removed": lambda p: os.removexattr(p / "attr", "user.colour") if xattrs(p / "attr") else
    os.setxattr(p / "attr", "user.new", b"n"),
    "hard links to a file of the image": do_hard_links,
    "trusted attributes": do_trusted,
    "ACLs": do_acl,
    "capabilities": do_capability,
    "sparse files": do_sparse,
    "fifos and devices": do_odd_kinds,
    "names": do_names,
    "moved, removed, turned": do_moves,
    "a folder replaced with the same names below": do_whiteout_below_replaced,
    "time stamps to the nanosecond": do_times,
    "the root folder itself": do_root,
}


def compare(expected, found):
    missing, extra = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    assert not missing and not extra, f"missing {missing[:9]}, extra {extra[:9]}"
    for key, row in expected.items():
        shown = [(a, b) for a, b in zip(row, found[key]) if a != b]
        assert row == found[key], f"{key!r}: {str(shown)[:600]}"


@pytest.mark.parametrize("what", [*CHANGES, "all of it"])
def test_files_faithfully(daemon, app_image, what):
    """Copy and original look the same to lstat, listxattr, readlink and read, after every kind of change."""
    c = daemon.create("c1", ["/bin/sleep", "1000"], image=app_image)
    app = Path(f"/proc/{c.pid}/root/app")
    for name, change in CHANGES.items():
        if what in (name, "all of it"):
            change(app)
    before = tree(c)
    take(c, "s")
    assert tree(c) == before, "the original was changed"
    copy = clone(daemon, "c1/s", "copy")
    compare(before, tree(copy))
    if what != "all of it":
        return
    take(copy, "t")
    compare(before, tree(clone(daemon, "copy/t", "copy2")))  # of a copy, which has no image file of its own left
    rmtree(app / "kept")
    go_back(c, "s")
    compare(before, tree(c))


def test_files_faithfully_through_an_archive(daemon, app_image, tmp_path):
    """All changes at once, out by an archive and in again."""
    c = daemon.create("c1", ["/bin/sleep", "1000"], image=app_image)
    app = Path(f"/proc/{c.pid}/root/app")
    for change in CHANGES.values():
        change(app)
    before = tree(c)
    daemon.cli("checkpoint", "c1", "--export", tmp_path / "a")
    assert (tmp_path / "a").stat().st_size < 20 << 20, "holes are written out"
    daemon.cli("restore", "--import", tmp_path / "a", "--name", "c2")
    daemon.uuids.add(daemon["c2"].uuid)
    compare(before, tree(daemon["c2"]))


def test_holes_cost_nothing(daemon, app_image):
    c = daemon.create("c1", ["/bin/sleep", "1000"], image=app_image)
    do_sparse(Path(f"/proc/{c.pid}/root/app"))
    one = take(c, "s")
    used = sum(p.lstat().st_blocks * 512 for p in (folder_of(daemon, one) / "upper").rglob("*"))
    assert used < 1 << 20, f"{used} bytes on disk"
