# SPDX-License-Identifier: Apache-2.0
"""Checkpoints as archives: out by the command line, in again as instances that continue; all or nothing both ways."""
import io
import json
import os
import re
import subprocess
import tarfile
import time

import pytest

from checkpoints import VOLUMES, Quad, names
from harness import Pair, wait_until

COMPRESSIONS = {"zstd": b"\x28\xb5\x2f\xfd", "gzip": b"\x1f\x8b", "none": None}


@pytest.fixture
def out(tmp_path_factory):
    """A folder for archives; whatever a failure leaves there shows."""
    return tmp_path_factory.mktemp("archives")


def restore(daemon, archive, name, *arguments, **kw):
    answer = daemon.cli("restore", "--import", archive, "--name", name, *arguments, **kw)
    if name in daemon.instances():
        daemon.uuids.add(daemon[name].uuid)
    return answer


def state_of(daemon):
    """All that an import which failed might leave."""
    lib = daemon.root / "lib"
    return {folder: sorted(os.listdir(lib / folder)) for folder in ("instances", "volumes", "checkpoints", ".")
            if (lib / folder).exists()}


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_out_and_in(daemon, out, compression):
    """The original runs on, copies run side by side, each from its own files; nothing else is kept."""
    c = daemon.counter("c1", "--fill", 4)
    before, archive = c.pair(), out / "c1.tar"
    answer = daemon.cli("checkpoint", "c1", "--export", archive, "--compress", compression)
    assert "c1" in answer.stdout + answer.stderr
    assert os.listdir(out) == ["c1.tar"] and archive.stat().st_mode & 0o777 == 0o600
    magic = COMPRESSIONS[compression]
    assert archive.read_bytes()[:4].startswith(magic) if magic else tarfile.is_tarfile(archive)
    assert names(c) == [] and c.counts(before.count).run == before.run
    for name in "c2", "c3":
        restore(daemon, archive, name)
        assert daemon[name].counts(before.count).run == before.run
    daemon["c2"].inside("/mine").write_text("x")
    assert not c.inside("/mine").exists() and not daemon["c3"].inside("/mine").exists()
    c.delete(force=True)
    restore(daemon, archive, "c1")
    c = daemon["c1"]
    pair = c.counts(before.count)
    assert pair.run == before.run and pair.boots == 1
    for name in "c1", "c2", "c3":
        daemon[name].stop_stateful()
        daemon[name].start()
        daemon[name].counts()


def test_through_pipes(daemon):
    c = daemon.counter("c1")
    before = c.pair()
    with subprocess.Popen(daemon.cli_command("checkpoint", "c1", "--export", "-"), env=daemon.cli_environment(),
                          stdout=subprocess.PIPE) as left:
        right = subprocess.run(daemon.cli_command("restore", "--import", "-", "--name", "c2"), stdin=left.stdout,
                               env=daemon.cli_environment(), capture_output=True, text=True, timeout=60, check=False)
    assert right.returncode == 0, right.stderr
    daemon.uuids.add(daemon["c2"].uuid)
    assert daemon["c2"].counts(before.count).run == before.run
    assert c.counts(before.count).run == before.run and names(c) == []


def test_stop_and_move(daemon, out):
    """--stop: nothing runs in between, not a tick is done twice."""
    c = daemon.counter("c1")
    before = c.pair()
    daemon.cli("checkpoint", "c1", "--export", out / "a", "--stop")
    assert c.status == "Stopped"
    disk = Pair.read_disk(daemon.root / "lib/instances" / c.uuid / "upper/count")[0]
    c.delete(force=True)
    restore(daemon, out / "a", "c1")
    assert daemon["c1"].counts(disk).run == before.run


def test_paused_stays_paused(daemon, out):
    c = daemon.counter("c1")
    c.pause()
    pair = c.pair()
    daemon.cli("checkpoint", "c1", "--export", out / "a")
    assert c.status == "Frozen"
    restore(daemon, out / "a", "c2")
    twin = daemon["c2"]
    assert twin.status == "Frozen" and (twin.pair().count, twin.pair().disk) == (pair.count, pair.disk)
    twin.resume()
    twin.counts(pair.count)


def test_to_another_host(daemon, another, out):
    """Another daemon, which knows the image only: volumes come along."""
    daemon.rest.post(VOLUMES, {"name": "v", "type": "custom"})
    try:
        q = Quad(daemon, "q", "--big", 1, volume="v")
        runs = q.runs()
        q.instance.pause()
        daemon.cli("checkpoint", "q", "--export", out / "a")
        q.instance.resume()
        there = another()
        restore(there, out / "a", "q2")
        twin = Quad.of(there["q2"], q.folders)
        assert twin.instance.status == "Frozen"
        twin.stands_exactly()
        twin.instance.resume()
        twin.continues(runs)
        q.goes_on()
        there.delete_instances()
        for url in there.rest.get(VOLUMES):
            there.rest.delete(url)
    finally:
        daemon.delete_instances()
        daemon.rest.delete(f"{VOLUMES}/v")


def test_of_a_kept_checkpoint(daemon, out):
    c = daemon.counter("c1")
    daemon.cli("checkpoint", "c1", "--export", out / "a", "--name", "mine")
    assert names(c) == ["mine"]
    reply = daemon.rest.request("GET", f"{c.url}/checkpoints/mine/export?compression=none")
    assert reply.status == 200
    with tarfile.open(fileobj=io.BytesIO(reply.data)) as tar:
        members = tar.getnames()
    for wanted in "spec.dump", "config.dump", "rootfs-diff.tar", "stasis.json":
        assert wanted in members, members
    assert "checkpoint" in [name.rstrip("/") for name in members]


def test_print_stats(daemon, out):
    daemon.counter("c1")
    stats = json.loads(daemon.cli("checkpoint", "c1", "--export", out / "a", "--print-stats").stdout)
    assert stats
    stats = json.loads(restore(daemon, out / "a", "c2", "--print-stats").stdout)
    assert stats


# ---- what cannot be written, found before anything stands still --------------------------------------------------------


def stands_never(daemon, c, *arguments, words):
    """Refused, and nothing was frozen: the longest gap is that of a busy machine, not of a checkpoint."""
    notes = c.log_file("stasis.log") if "stasis.log" in c.logs() else ""
    before = c.pair()
    answer = daemon.cli("checkpoint", "c1", *arguments, check=False)
    assert answer.returncode == 1, answer
    assert words in answer.stderr.lower(), answer.stderr
    after = c.log_file("stasis.log") if "stasis.log" in c.logs() else ""
    assert after == notes, f"a checkpoint was made all the same: {after[len(notes):]}"
    assert c.counts(before.count).run == before.run and names(c) == []


def test_targets_that_cannot_be(daemon, out):
    c = daemon.counter("c1", "--fill", 16)
    (out / "file").write_text("x")
    stands_never(daemon, c, "--export", out / "none/a", words="no such file")
    stands_never(daemon, c, "--export", out / "file/a", words="not a directory")
    stands_never(daemon, c, "--export", out, words=str(out))
    stands_never(daemon, c, "--export", "/dev/full", words="/dev/full")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "st-full", str(out)], check=True)
    try:
        stands_never(daemon, c, "--export", out / "a", words="no room")
        assert os.listdir(out) == []
        subprocess.run(["mount", "-o", "remount,ro", str(out)], check=True)
        stands_never(daemon, c, "--export", out / "a", words="read-only")
    finally:
        subprocess.run(["umount", str(out)], check=True)


def test_a_target_that_exists_is_replaced_whole(daemon, out):
    daemon.counter("c1")
    (out / "a").write_text("old")
    daemon.cli("checkpoint", "c1", "--export", out / "a")
    assert (out / "a").stat().st_size > 1000 and os.listdir(out) == ["a"]
    answer = daemon.cli("checkpoint", "none", "--export", out / "b", check=False)
    assert answer.returncode == 1 and os.listdir(out) == ["a"]


# ---- what cannot be read ------------------------------------------------------------------------------------------------


@pytest.fixture
def archive(daemon, out):
    daemon.counter("c1", "--fill", 2)
    daemon.cli("checkpoint", "c1", "--export", out / "good", "--compress", "none")
    return out / "good"


def rewritten(archive, change):
    """The archive with members changed: change(name, data) is the new data, or None to leave it out."""
    path = archive.with_name("bad")
    with tarfile.open(archive) as old, tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as new:
        for member in old:
            if not member.isreg():
                new.addfile(member)
                continue
            data = change(member.name, old.extractfile(member).read())
            if data is not None:
                member.size = len(data)
                new.addfile(member, io.BytesIO(data))
    return path


def flipped(data):
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


def without(part):
    return lambda name, data: None if part in name else data


def damaged(part):
    return lambda name, data: flipped(data) if part in name else data


BAD = {
    "memory": damaged("pages-"), "a core image": damaged("core-"), "the manifest": damaged("stasis.json"),
    "the files": lambda name, data: data.replace(b" run=", b" rum=") if "rootfs-diff" in name else data, "no memory": without("pages-"), "no files": without("rootfs-diff.tar"),
    "no spec": without("spec.dump"), "an image of CRIU less": without("fdinfo-"), "no descriptors": without("descriptors.json"),
}


@pytest.mark.parametrize("what", BAD)
def test_damaged_archives(daemon, archive, what):
    """Refused; nothing is left; the good one works afterwards."""
    before = state_of(daemon)
    answer = restore(daemon, rewritten(archive, BAD[what]), "c2", check=False)
    assert answer.returncode == 1 and answer.stderr.strip(), answer
    assert daemon.instances() == ["c1"]
    assert state_of(daemon) == before
    restore(daemon, archive, "c2")
    daemon["c2"].counts()


def test_wrong_archives(daemon, archive):
    """Cut, empty, of something else, under a name that cannot be."""
    before, data = state_of(daemon), archive.read_bytes()
    bad = archive.with_name("bad")

    for content in b"", b"hello\n", os.urandom(100000), data[:len(data) // 2], data[:-20000], data[:512]:
        bad.write_bytes(content)
        answer = restore(daemon, bad, "c2", check=False)
        assert answer.returncode == 1 and answer.stderr.strip(), (len(content), answer)
        assert daemon.instances() == ["c1"] and state_of(daemon) == before, len(content)
    with tarfile.open(bad, "w") as tar:
        tar.add(__file__, "some/file")
    assert restore(daemon, bad, "c2", check=False).returncode == 1
    assert restore(daemon, archive, "c1", check=False).returncode == 1  # the name is taken
    assert restore(daemon, archive, "no/name", check=False).returncode == 1
    assert daemon.instances() == ["c1"] and state_of(daemon) == before
    assert daemon["c1"].status == "Running"


def test_a_client_that_goes_away(daemon, archive):
    """In the middle of an upload, and in the middle of a download: nothing is left of either."""
    before = state_of(daemon)
    client = daemon.cli_start("restore", "--import", "-", "--name", "c2")
    client.stdin.write(archive.read_bytes()[:1 << 20])
    client.stdin.flush()
    time.sleep(0.3)
    client.kill()
    client.communicate()
    wait_until(lambda: state_of(daemon) == before, lambda: f"{before} {state_of(daemon)}", 10)
    assert daemon.instances() == ["c1"]
    client = daemon.cli_start("checkpoint", "c1", "--export", "-")
    client.stdout.read(100)
    client.kill()
    client.communicate()
    wait_until(lambda: not daemon["c1"].info()["stasis"]["busy"], "it is free again")
    daemon["c1"].counts()


def test_no_room_for_an_import(another, programs_tar, archive):
    """The daemon's disk is full: said in words, nothing is left, and with room it works."""
    there = another(started=False)
    there.mount_state_dir("24m")
    there.start()
    there.import_programs(programs_tar)
    with open(there.root / "lib/fill", "wb") as f:
        free = os.statvfs(there.root / "lib")
        f.write(b"x" * max(0, free.f_bavail * free.f_frsize - (1 << 20)))
    before = state_of(there)
    answer = restore(there, archive, "c2", check=False)
    assert answer.returncode == 1
    assert re.search("space|room|unpacks to more than", answer.stderr), answer.stderr
    assert state_of(there) == before and there.instances() == []
    (there.root / "lib/fill").unlink()
    restore(there, archive, "c2")
    there["c2"].counts()
