# SPDX-License-Identifier: Apache-2.0
"""Archives between engines, for real: Podman, checkpointctl and plain crun with criu run in a root of their own.

tests/peers.sh makes it; CRIU there never sees the host's cgroup v1 hierarchies.
"""
import contextlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest

import rootfs
from checkpoints import clone, go_back, snapshot
from harness import TOP, wait_until

SCRIPT = TOP / "tests/peers.sh"
VOLUMES = "/1.0/storage-pools/default/volumes/custom"
IMAGE = "localhost/interop:latest"
# Counts in memory, in a file of the image that it changes, in a new file, in a volume and in shared memory.
LOOP = ("i=0; mkdir -p /var/new; rm -f /etc/group; while :; do i=$((i+1)); echo $i; echo $i >/etc/motd; echo $i >/var/new/n; "
        "[ ! -d /data ] || echo $i >/data/n; echo $i >/dev/shm/n; sleep 0.1; done")
FILES = ("/etc/motd", "/var/new/n", "/data/n", "/dev/shm/n")


class Peers:
    """A running root; what it runs ends with it."""

    def __init__(self):
        self.lab = Path(tempfile.mkdtemp(prefix="st-peers-", dir="/tmp"))
        self.process = subprocess.Popen([SCRIPT, "up", self.lab, "sh", "-c", "echo >/lab/ready; exec sleep infinity"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        wait_until(lambda: (self.lab / "ready").exists() or self.process.poll() is not None, "the peers are up", 600)
        assert self.process.poll() is None, self.process.stderr.read()
        outer = (self.lab / "pid").read_text().strip()
        self.init = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()[0]

    def run(self, *command, check=True, timeout=120):
        done = subprocess.run(["nsenter", "-t", self.init, "-m", "-p", "-n", "-u", "-i", "-C", "-r", "-w", "--", "prlimit",
                               f"--fsize={4 << 30}", "timeout", "-k", "5", str(timeout - 10), *map(str, command)],
                              capture_output=True, text=True, timeout=timeout, check=False, stdin=subprocess.DEVNULL,
                              env={"HOME": "/root", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"})
        assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}{self.criu_log()}"
        return done

    def criu_log(self):
        logs = sorted(self.lab.glob("storage/overlay-containers/*/userdata/*.log"), key=os.path.getmtime)
        return logs[-1].read_text(errors="replace")[-3000:] if logs else ""

    def podman(self, *arguments, **kw):
        return self.run("podman", *arguments, **kw).stdout

    def give(self, path, name):
        shutil.copy(path, self.lab / name)
        return f"/lab/{name}"

    def close(self):
        self.process.terminate()
        self.process.wait(30)
        for _ in range(3):
            with contextlib.suppress(OSError):
                shutil.rmtree(self.lab)
        assert not self.lab.exists(), self.lab


@pytest.fixture(scope="module")
def peers(image):
    made = Peers()
    try:
        made.podman("load", "-q", "-i", made.give(image, "image.tar"))
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def image(programs_tar, scratch):
    """One OCI image, the same bytes for everybody: its configuration's digest is its id."""
    layer = rootfs.layer(lambda t: t.file("etc/motd", "image\n"))
    layout = rootfs.OciLayout(Path(tempfile.mkdtemp(prefix="interop-", dir=scratch)) / "layout", [Path(programs_tar).read_bytes(), layer], name=IMAGE, Cmd=["/bin/sh"])
    return layout.tar(scratch / "interop.tar")


@pytest.fixture
def ours(daemon, image):
    """Our daemon with the image; all volumes are deleted at the end."""
    daemon.import_image(image, IMAGE)
    yield daemon
    problems = daemon.delete_instances()
    for url in daemon.rest.get(VOLUMES):
        daemon.rest.delete(url)
    assert not problems, problems


@pytest.fixture
def clean(peers):
    """Podman without containers and volumes afterwards."""
    yield peers
    peers.podman("rm", "-f", "-t", "0", "-a", check=False)
    peers.podman("volume", "rm", "-f", "-a", check=False)


def loop(daemon, name="c1"):
    daemon.rest.post(VOLUMES, {"name": "data", "type": "custom"})
    instance = daemon.create(name, ["/bin/sh", "-c", LOOP], image=IMAGE, devices={
        "data": {"type": "disk", "pool": "default", "source": "data", "path": "/data"}})
    wait_until(lambda: counted(instance) > 3, "it counts")
    return instance


def numbers(text):
    return [int(word) for word in text.split() if word.isdigit()]


def counted(instance):
    found = numbers("\n".join(instance.output_lines()))
    return found[-1] if found else 0


def export(instance, path, *arguments):
    instance.daemon.cli("checkpoint", instance.name, "--export", path, *arguments)
    return path


def restore(daemon, path, name, *arguments, check=True):
    done = daemon.cli("restore", "--import", path, "--name", name, *arguments, check=check)
    instance = daemon[name]
    if done.returncode == 0:
        daemon.uuids.add(instance.uuid)
    return instance if check else done


def member(path, name):
    with subprocess.Popen(["zstd", "-qdc", path], stdout=subprocess.PIPE) as unpacked, \
            tarfile.open(fileobj=unpacked.stdout, mode="r|") as tar:
        for info in tar:
            if info.name.removeprefix("./") == name:
                return tar.extractfile(info).read()
    raise KeyError(name)


def goes_on(instance, beyond, files=FILES):
    """It counts without a gap, from where it was; its files are of the same instant."""
    wait_until(lambda: counted(instance) > beyond + 3, lambda: f"it counts beyond {beyond}: {instance.describe()}")
    found = numbers("\n".join(instance.output_lines()))
    assert found[0] <= beyond + 2, found
    assert found == list(range(found[0], found[-1] + 1))
    for file in files:
        assert numbers(instance.read(file))[0] >= found[0], file
    assert not instance.inside("/etc/group").exists(), "a file that was removed is back"


# ---- (a) ours there --------------------------------------------------------------------------------------------------


def test_podman_continues_ours(ours, clean, tmp_path):
    c = loop(ours)
    before = counted(c)
    archive = clean.give(export(c, tmp_path / "a.tar.zst"), "ours.tar.zst")
    after = counted(c)
    clean.podman("container", "restore", "-i", archive)
    lines = wait_until(lambda: found if len(found := numbers(clean.podman("logs", "c1"))) > 3 else None, "it counts there")
    assert before <= lines[0] <= after + 2, (before, lines, after)
    assert lines == list(range(lines[0], lines[-1] + 1))
    for file in FILES:
        assert numbers(clean.podman("exec", "c1", "cat", file))[0] >= lines[0], file
    assert clean.run("podman", "exec", "c1", "ls", "/etc/group", check=False).returncode != 0
    counts = counted(c)
    wait_until(lambda: counted(c) > counts, "the original runs on")


# ---- (b) theirs here -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compress", ["zstd", "gzip", "none"])
def test_podmans_continues_here(ours, clean, compress):
    clean.podman("run", "-d", "--name", "p_1", "--network", "none", "-v", "vol1:/data", IMAGE, "/bin/sh", "-c", LOOP)
    wait_until(lambda: len(clean.podman("logs", "p_1").split()) > 5, "it counts")
    clean.podman("container", "checkpoint", "p_1", "-e", "/lab/p.tar", "-c", compress)
    before = numbers(clean.podman("logs", "p_1"))[-1]
    # Podman leaves out files of the image that were changed (ref: its own loss)
    files = [file for file in FILES if file != "/etc/motd"]
    p = restore(ours, clean.lab / "p.tar", "p1")
    goes_on(p, before, files)
    assert ours.rest.get(p.url)["devices"] == {
        "vol1": {"type": "disk", "pool": "default", "source": "vol1", "path": "/data"}}
    for _ in range(2):
        p.stop_stateful()
        at = counted(p)
        p.start()
        wait_until(lambda: counted(p) > at + 3, "it goes on after a stop with state")
    q = restore(ours, clean.lab / "p.tar", "p2", "--ignore-volumes")
    wait_until(lambda: counted(q) > before + 3, "a clone beside it counts")


def test_the_name_is_mended(ours, clean):
    clean.podman("run", "-d", "--name", "odd_name.x", "--network", "none", IMAGE, "/bin/sh", "-c", LOOP)
    clean.podman("container", "checkpoint", "odd_name.x", "-e", "/lab/n.tar")
    ours.cli("restore", "--import", clean.lab / "n.tar")
    assert ours.instances() == ["odd-name-x"]
    ours.uuids.add(ours["odd-name-x"].uuid)


# ---- (c) checkpointctl -----------------------------------------------------------------------------------------------


def test_checkpointctl_reads_ours(ours, peers, tmp_path):
    c = loop(ours)
    archive = peers.give(export(c, tmp_path / "a.tar.zst"), "ctl.tar.zst")
    shown = peers.run("checkpointctl", "show", archive).stdout
    assert "c1" in shown and IMAGE in shown and "Podman" in shown, shown
    inspected = peers.run("checkpointctl", "inspect", "--all", archive).stdout
    for wanted in ("c1", "CRIU dump statistics", "Process tree", "[1]", "Overview of mounts", "/dev/shm", "crun"):
        assert wanted in inspected, (wanted, inspected)
    as_json = json.loads(peers.run("checkpointctl", "inspect", "--all", "--format", "json", archive).stdout)
    assert as_json[0]["container_name"] == "c1", as_json


# ---- (d) crun and criu alone -----------------------------------------------------------------------------------------


def plain_archive(peers, programs, path, more=None):
    """What somebody without any engine has: config.json, checkpoint/. What @more adds to the spec is not told."""
    folder = peers.lab / "plain"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "rootfs").mkdir(parents=True)
    subprocess.run(["tar", "-C", folder / "rootfs", "-xf", programs], check=True)
    (folder / "rootfs").chmod(0o555)
    peers.run("sh", "-c", "cd /lab/plain && crun spec")
    spec = json.loads((folder / "config.json").read_text())
    # it opens no files: without an engine nobody brings them along
    spec["process"].update(terminal=False, args=["/bin/sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.1; done"])
    spec["root"] = {"path": "rootfs", "readonly": False}
    told = json.dumps(spec)
    if more:
        more(spec)
    (folder / "config.json").write_text(json.dumps(spec))
    peers.run("sh", "-c", "cd /lab/plain && { crun run -d plain </dev/null 2>&1 | cat >/lab/plain/out 2>/dev/null & }")
    out = folder / "out"
    wait_until(lambda: out.exists() and len(numbers(out.read_text())) > 3, "it counts")
    peers.run("crun", "checkpoint", "--image-path", "/lab/plain/checkpoint", "--work-path", "/lab/plain/work", "plain")
    (folder / "config.json").write_text(told)
    with tarfile.open(path, "w") as tar:
        for name in ("config.json", "checkpoint"):
            tar.add(folder / name, name)
    return path


def test_plain_crun_and_criu(ours, peers, programs_tar, tmp_path):
    archive = plain_archive(peers, programs_tar, tmp_path / "plain.tar")
    done = restore(ours, archive, "x1", check=False)
    assert done.returncode != 0 and "which image" in done.stderr, done.stderr
    assert ours.instances() == []
    x = restore(ours, archive, "x1", "--image", "programs")
    before = numbers((peers.lab / "plain/out").read_text())[-1]
    wait_until(lambda: counted(x) > before + 3, "it counts here")
    assert numbers("\n".join(x.output_lines()))[0] == before + 1


def all_capabilities(spec):
    for kind in ("bounding", "effective", "permitted"):
        spec["process"]["capabilities"][kind].append("CAP_SYS_ADMIN")


def a_writable_sys(spec):
    for mount in spec["mounts"]:
        if mount["destination"] == "/sys":
            mount["options"].remove("ro")


def a_debug_fs(spec):
    spec["mounts"].append({"destination": "/tmp", "type": "debugfs", "source": "debugfs"})


@pytest.mark.parametrize(("more", "words"), [(all_capabilities, "capabilities that no instance has"),
                                             (a_writable_sys, "type sysfs at '/sys'"), (a_debug_fs, "type debugfs")])
def test_images_that_hold_more_than_the_spec_says(ours, peers, programs_tar, tmp_path, more, words):
    archive = plain_archive(peers, programs_tar, tmp_path / "plain.tar", more)
    before = state_of(ours)
    done = restore(ours, archive, "x1", "--image", "programs", check=False)
    assert done.returncode != 0 and words in done.stderr, done.stderr
    wait_until(lambda: state_of(ours) == before, lambda: f"{before}\n{state_of(ours)}", 10)


# ---- imports that must fail, and leave nothing -----------------------------------------------------------------------


def state_of(daemon):
    """All that an import could leave: names in the state folder."""
    folders = ("instances", "volumes", "tmp", "checkpoints")
    return {name: sorted(os.listdir(daemon.root / "lib" / name)) for name in folders} | {
        "rows": daemon.instances(), "logs": sorted(os.listdir(daemon.root / "log")),
        "volumes by row": daemon.rest.get(VOLUMES), "cgroups": sorted(map(str, daemon.cgroups()))}


def remade(source, target, change):
    """The archive with members changed: change(name, data) gives the new data, or None to leave it out."""
    with subprocess.Popen(["zstd", "-qdc", source], stdout=subprocess.PIPE) as unpacked, \
            tarfile.open(fileobj=unpacked.stdout, mode="r|") as tar, tarfile.open(target, "w") as out:
        for info in tar:
            data = tar.extractfile(info).read() if info.isfile() else None
            if data is not None:
                data = change(info.name, data)
                if data is None:
                    continue
                info.size = len(data)
                info.pax_headers = {}
            out.addfile(info, io.BytesIO(data) if data is not None else None)
    return target


def edit_spec(edit):
    def change(name, data):
        if name != "spec.dump":
            return data
        spec = json.loads(data)
        edit(spec)
        return json.dumps(spec).encode()
    return change


def flip(name, data):
    return data[:100] + bytes([data[100] ^ 1]) + data[101:] if name == "checkpoint/pages-1.img" else data


def without(which):
    return lambda name, data: None if name == which else data


def in_config(**members):
    return lambda name, data: json.dumps(json.loads(data) | members).encode() if name == "config.dump" else data


def no_image(name, data):
    if name == "stasis.json":
        return None
    return in_config(rootfsImageID="0" * 64, rootfsImageName="example.org/x:1")(name, data)


BAD = {
    "a flipped bit": (flip, "damaged"),
    "no memory": (without("checkpoint/pages-1.img"), "damaged"),
    "no inventory": (without("checkpoint/inventory.img"), "inventory"),
    "a manifest that was edited": (lambda n, d: d.replace(b'"has_memory": true', b'"has_memory": false')
                                   if n == "stasis.json" else d, "manifest"),
    "a host folder": (edit_spec(lambda s: s["mounts"].append(
        {"destination": "/mnt", "type": "bind", "source": "/etc", "options": ["rbind"]})), "the host's '/etc' at /mnt"),
    "a hook": (edit_spec(lambda s: s.update(hooks={"prestart": [{"path": "/bin/sh"}]})), "hooks"),
    "a capability": (edit_spec(lambda s: s["process"]["capabilities"]["bounding"].append("CAP_SYS_ADMIN")),
                     "CAP_SYS_ADMIN"),
    "the host's network": (edit_spec(lambda s: s["linux"].update(
        namespaces=[n for n in s["linux"]["namespaces"] if n["type"] != "network"])), "network namespace"),
    "another image": (no_image, "import or pull that image first"),
    "a volume at /proc": (in_config(namedVolumes=[{"volumeName": "data", "dest": "/proc/x"}]), "/proc"),
    "a volume without a place": (in_config(namedVolumes=[]), "where it belongs"),
    "no spec": (without("spec.dump"), "spec.dump"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_archive_leaves_nothing(ours, tmp_path, what):
    change, words = BAD[what]
    c = loop(ours)
    good = export(c, tmp_path / "good.tar.zst")
    c.delete(force=True)
    ours.rest.delete(f"{VOLUMES}/data")
    bad = remade(good, tmp_path / "bad.tar", change)
    before = state_of(ours)
    for _ in range(2):
        done = restore(ours, bad, "k1", check=False)
        assert done.returncode != 0 and words in done.stderr, done.stderr
        assert state_of(ours) == before
    restore(ours, good, "k1")


def test_a_name_or_a_volume_that_is_taken(ours, tmp_path):
    c = loop(ours)
    archive = export(c, tmp_path / "a.tar.zst")
    before = state_of(ours)
    for name, words in (("c1", "already"), ("k1", "volume 'data'")):
        done = restore(ours, archive, name, check=False)
        assert done.returncode != 0 and words in done.stderr, done.stderr
        assert state_of(ours) == before


def test_a_restore_that_criu_refuses_leaves_nothing(ours, tmp_path):
    """Everything looks well until CRIU reads it: the digests fit, because whoever made this made them."""
    c = loop(ours)
    good = export(c, tmp_path / "good.tar.zst")
    c.delete(force=True)
    ours.rest.delete(f"{VOLUMES}/data")

    def change(name, data):
        if name == "stasis.json":
            return None
        return data[:8] + bytes(len(data) - 8) if name == "checkpoint/pstree.img" else data

    bad = remade(good, tmp_path / "bad.tar", change)
    before = state_of(ours)
    done = restore(ours, bad, "k1", check=False)
    assert done.returncode != 0, done.stdout
    wait_until(lambda: state_of(ours) == before, lambda: f"{before}\n{state_of(ours)}", 10)
    restore(ours, good, "k1")


def test_clones_side_by_side(ours, tmp_path):
    c = loop(ours)
    archive = export(c, tmp_path / "a.tar.zst", "--ignore-volumes")
    clones = [restore(ours, archive, f"k{i}", "--ignore-volumes") for i in range(3)]
    for i, clone in enumerate(clones):
        at = counted(clone)
        wait_until(lambda clone=clone, at=at: counted(clone) > at + 2, "it counts")
        host_name = subprocess.run(["nsenter", "-t", str(clone.pid), "-u", "hostname"], capture_output=True, text=True,
                                   check=True).stdout
        assert host_name.strip() == f"k{i}"
    assert len({clone.pid for clone in clones}) == 3


def test_shared_memory_of_podmans_belongs_to_checkpoints(ours, clean):
    """Podman's /dev/shm is a mount from outside: here it is a folder of the instance, and part of what is captured."""
    clean.podman("run", "-d", "--name", "s1", "--network", "none", IMAGE, "/bin/sh", "-c", LOOP)
    wait_until(lambda: len(clean.podman("logs", "s1").split()) > 3, "it counts")
    clean.podman("container", "checkpoint", "s1", "-e", "/lab/s.tar")
    s = restore(ours, clean.lab / "s.tar", "s1")
    snapshot(s, "then")
    at = counted(s)
    wait_until(lambda: counted(s) > at + 5, "it counts on")
    copy = clone(ours, "s1/then", "s2")
    assert at - 3 <= numbers(copy.read("/dev/shm/n"))[0]
    own = numbers(s.read("/dev/shm/n"))[0]
    wait_until(lambda: counted(copy) > own + 5, "the copy counts beyond the original")
    copy.change("freeze")
    there = numbers(copy.read("/dev/shm/n"))[0]
    wait_until(lambda: numbers(s.read("/dev/shm/n"))[0] > there + 3, "each has a /dev/shm of its own")
    assert numbers(copy.read("/dev/shm/n"))[0] == there
    before = counted(s)
    go_back(s, "then")
    assert numbers(s.read("/dev/shm/n"))[0] < before
    wait_until(lambda: counted(s) > before, "it goes on from then")
