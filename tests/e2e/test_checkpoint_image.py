# SPDX-License-Identifier: Apache-2.0
"""Checkpoints as OCI images: out and in again by way of layouts, archives and a registry; nothing is left of failures."""
import gzip
import hashlib
import json
import os
import subprocess
import tarfile
import time

import pytest

import rootfs
from checkpoints import leftovers, names, take
from harness import ApiError, wait_until
from registry import registry  # noqa: F401 - a fixture

KEY = "io.podman.annotations.checkpoint."


def write(c, checkpoint, reference, **body):
    return c.rest.post(f"{c.url}/checkpoints/{checkpoint}/image", {"reference": reference, **body})["metadata"]


def restore(daemon, reference, name, start=True, **source):
    op = daemon.rest.post("/1.0/instances", {
        "name": name, "start": start, "source": {"type": "checkpoint-image", "reference": reference, **source}})
    assert op["metadata"]["instance"] == name
    daemon.uuids.add(daemon[name].uuid)
    return daemon[name]


def refused(daemon, reference, words, **source):
    """With these words, and nothing is left of the try."""
    before, images = daemon.instances(), daemon.rest.get("/1.0/images")
    with pytest.raises(ApiError, match=words) as e:
        restore(daemon, reference, "never", **source)
    assert daemon.instances() == before and daemon.rest.get("/1.0/images") == images
    nothing_is_left(daemon)
    return e.value


def nothing_is_left(daemon):
    assert not os.listdir(daemon.root / "lib/tmp") and not leftovers(daemon)


def goes_on(clone, then):
    """It counts on from there, as the same run."""
    pair = clone.counts(then.count)
    assert pair.run == then.run
    return pair


class Layout:
    """What is in a folder that should be an OCI layout; every blob is what its name says."""

    def __init__(self, folder):
        self.folder = folder
        self.index = json.loads((folder / "index.json").read_text())
        self.manifests = {d.get("annotations", {}).get("org.opencontainers.image.ref.name"): json.loads(self.blob(d))
                          for d in self.index["manifests"]}

    def path(self, descriptor):
        return self.folder / "blobs/sha256" / descriptor["digest"].split(":")[1]

    def blob(self, descriptor):
        data = self.path(descriptor).read_bytes()
        assert hashlib.sha256(data).hexdigest() == descriptor["digest"].split(":")[1] and len(data) == descriptor["size"]
        return data

    def is_closed(self):
        assert not self.folder.stat().st_mode & 0o077

    def layer(self, tag):
        return self.path(self.manifests[tag]["layers"][0])


@pytest.fixture
def taken(daemon):
    """A counter with a checkpoint "cp", and what it had when that was begun."""
    c = daemon.counter("c1", "--fill", 4)
    then = c.pair()
    take(c, "cp")
    return c, then


# ---- there and back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_layout(daemon, taken, tmp_path, compression):
    c, then = taken
    done = write(c, "cp", f"oci:{tmp_path}/images:web", compression=compression)
    layout = Layout(tmp_path / "images")
    manifest = layout.manifests["web"]
    assert layout.index["manifests"][0]["digest"] == "sha256:" + done["fingerprint"]
    assert manifest["layers"][0]["mediaType"].endswith({"gzip": "tar+gzip", "zstd": "tar+zstd", "none": "tar"}[compression])
    assert len(manifest["layers"]) == 1 and manifest["layers"][0]["size"] == done["bytes"]
    layout.is_closed()
    assert sorted(os.listdir(tmp_path)) == ["images"]
    nothing_is_left(daemon)
    goes_on(restore(daemon, f"oci:{tmp_path}/images:web", "c2"), then)
    c.counts()


def test_what_is_in_it(daemon, taken, tmp_path):
    c, _ = taken
    write(c, "cp", f"oci:{tmp_path}/images:web")
    layout = Layout(tmp_path / "images")
    manifest = layout.manifests["web"]
    a = manifest["annotations"]
    assert a[KEY + "runtime.name"] == "crun" and a[KEY + "name"] == "c1"
    assert a[KEY + "criu.version"].isdigit() and a[KEY + "host.kernel"] == os.uname().release
    assert a[KEY + "rootfsImageName"] == "localhost/programs:latest"
    assert a["org.criu.checkpoint.container.name"] == a["io.kubernetes.cri-o.annotations.checkpoint.name"] == "c1"
    assert a["org.criu.checkpoint.engine.name"] == "stasis"
    config = json.loads(layout.blob(manifest["config"]))
    packed = layout.blob(manifest["layers"][0])
    assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(gzip.decompress(packed)).hexdigest()]
    assert config["config"] == {"WorkingDir": "/"} and config["os"] == "linux"
    with tarfile.open(layout.layer("web")) as tar:
        members = tar.getnames()
    assert {"config.dump", "spec.dump", "stasis.json", "checkpoint", "rootfs-diff.tar"} <= set(members)


def test_two_in_one_layout(daemon, taken, tmp_path):
    """The second one is added; the first one stays what it is."""
    c, then = taken
    reference = f"oci:{tmp_path}/images"
    write(c, "cp", reference + ":one")
    later = c.counts(then.count + 500)
    take(c, "later")
    write(c, "later", reference + ":two")
    assert sorted(Layout(tmp_path / "images").manifests) == ["one", "two"]
    modes = {p.stat().st_mode & 0o777 for p in (tmp_path / "images/blobs/sha256").iterdir()}
    assert modes <= {0o600, 0o644} and not (tmp_path / "images").stat().st_mode & 0o077
    goes_on(restore(daemon, reference + ":one", "c2"), then)
    goes_on(restore(daemon, reference + ":two", "c3"), later)
    refused(daemon, reference, "more than one|multiple")
    refused(daemon, reference + ":three", "three|no descriptor|not found")
    write(c, "cp", reference + ":two")  # skopeo keeps what had the tag before, without one
    goes_on(restore(daemon, reference + ":two", "c4"), then)


def test_archive(daemon, taken, tmp_path):
    c, then = taken
    path = tmp_path / "image.tar"
    path.write_text("what was there before")
    write(c, "cp", f"oci-archive:{path}:web")
    assert path.stat().st_mode & 0o777 == 0o600 and os.listdir(tmp_path) == ["image.tar"]
    with tarfile.open(path) as tar:
        assert {"index.json", "oci-layout"} <= {name.removeprefix("./") for name in tar.getnames()}
    goes_on(restore(daemon, f"oci-archive:{path}", "c2"), then)
    stopped = restore(daemon, f"oci-archive:{path}:web", "c3", start=False)
    assert stopped.status == "Stopped" and stopped.info()["stateful"]
    stopped.start()
    goes_on(stopped, then)


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_registry(daemon, taken, registry, compression):  # noqa: F811
    c, then = taken
    reference = f"docker://{registry}/some/checkpoint:1.0"
    done = write(c, "cp", reference, insecure=True, compression=compression)
    raw = subprocess.run(["skopeo", "inspect", "--raw", "--tls-verify=false", reference], check=True, capture_output=True)
    assert hashlib.sha256(raw.stdout).hexdigest() == done["fingerprint"]
    goes_on(restore(daemon, reference, "c2", insecure=True), then)
    refused(daemon, f"docker://{registry}/some/other:1.0", "other", insecure=True)
    refused(daemon, reference, "HTTP")


def test_command_line(daemon, registry, tmp_path, monkeypatch):  # noqa: F811
    c = daemon.counter("c1")
    then = c.pair()
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    reference = f"docker://{registry}/web:1"
    said = daemon.cli("checkpoint", "c1", "--image", reference, "--insecure").stdout
    assert reference in said and names(c) == []
    daemon.cli("checkpoint", "c1", "--image", "oci:here:web", "--export", "file.tar.zst", "--name", "kept")
    assert names(c) == ["kept"] and sorted(os.listdir()) == ["file.tar.zst", "here"]
    for i, source in enumerate([[reference, "--insecure"], ["oci:here:web"], ["here"], [str(tmp_path / "cwd/here")]]):
        daemon.cli("restore", "--import", *source, "--name", f"r{i}")
        daemon.uuids.add(daemon[f"r{i}"].uuid)
        goes_on(daemon[f"r{i}"], then)
    assert daemon.cli("checkpoint", "c1", "--image", "web:1", check=False).returncode == 2
    assert daemon.cli("checkpoint", "c1", "--insecure", check=False).returncode == 2
    failed = daemon.cli("checkpoint", "c1", "--image", "docker-archive:x.tar", check=False)
    assert failed.returncode == 2 and "oci-archive" in failed.stderr
    failed = daemon.cli("restore", "--import", ".", check=False)
    assert failed.returncode == 1 and "index.json" in failed.stderr
    assert names(c) == ["kept"]
    nothing_is_left(daemon)


# ---- what is refused -------------------------------------------------------------------------------------------------


def test_a_plain_image_is_no_checkpoint(daemon, tmp_path):
    layout = rootfs.OciLayout(tmp_path / "layout", [rootfs.layer(rootfs.base)])
    refused(daemon, f"oci:{layout.folder}", "is not a checkpoint")
    subprocess.run(["skopeo", "copy", "--quiet", f"oci:{layout.folder}", f"docker-archive:{tmp_path}/image.tar:a:1"],
                   check=True, capture_output=True)
    refused(daemon, f"docker-archive:{tmp_path}/image.tar", "is not a checkpoint")


def forge(layout, tag, change):
    """A manifest with other words, and an index that leads to it."""
    manifest = layout.manifests[tag]
    change(manifest)
    data = json.dumps(manifest).encode()
    entry = layout.index["manifests"][0]
    entry.update(digest="sha256:" + hashlib.sha256(data).hexdigest(), size=len(data))
    layout.path(entry).write_bytes(data)
    (layout.folder / "index.json").write_text(json.dumps(layout.index))


def test_what_is_damaged_is_refused(daemon, taken, tmp_path):
    c, then = taken
    write(c, "cp", f"oci:{tmp_path}/images:web")
    layer = Layout(tmp_path / "images").layer("web")
    good = layer.read_bytes()
    for bad in good[:-1], good[:len(good) // 2] + bytes([good[len(good) // 2] ^ 1]) + good[len(good) // 2 + 1:], b"":
        layer.write_bytes(bad)
        refused(daemon, f"oci:{tmp_path}/images:web", "[Dd]igest|SHA-256|size|EOF")
    layer.write_bytes(good)
    goes_on(restore(daemon, f"oci:{tmp_path}/images:web", "c2"), then)


def test_what_is_forged_is_refused(daemon, taken, tmp_path):
    """Images that say they are checkpoints, with right digests."""
    c, _ = taken
    reference = f"oci:{tmp_path}/images:web"
    write(c, "cp", reference)
    forge(Layout(tmp_path / "images"), "web", lambda m: m["layers"].append(dict(m["layers"][0])))
    assert refused(daemon, reference, "layers").code == 400
    layout = rootfs.OciLayout(tmp_path / "plain", [rootfs.layer(rootfs.base)])
    text = json.loads(layout.path_of(layout.manifest).read_text())
    text["annotations"] = {KEY + "runtime.name": "crun"}
    new = layout.blob(json.dumps(text).encode(), layout.manifest["mediaType"])
    index = json.loads((layout.folder / "index.json").read_text())
    index["manifests"][0].update(digest=new["digest"], size=new["size"])
    (layout.folder / "index.json").write_text(json.dumps(index))
    refused(daemon, f"oci:{layout.folder}", "cannot import the archive")


@pytest.mark.parametrize("reference, words", [
    ("oci:relative:x", "absolute"), ("web", "no place"), ("docker-archive:/x", "oci-archive"), ("docker://", "no place"),
    ("oci:/a b", "blanks"), ("oci:/no/such/folder/x:y", "/no/such/folder"),
    ("docker://127.0.0.1:1/x:y", "127.0.0.1:1"),
])
def test_bad_places(daemon, taken, reference, words):
    c, _ = taken
    with pytest.raises(ApiError, match=words):
        write(c, "cp", reference)
    nothing_is_left(daemon)


def test_nothing_is_overwritten_by_a_failure(daemon, taken, tmp_path):
    """What is there already, and is no layout, stays."""
    c, _ = taken
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/mine").write_text("x")
    (tmp_path / "file").write_text("x")
    for name in "folder", "file":
        with pytest.raises(ApiError, match="no OCI layout"):
            write(c, "cp", f"oci:{tmp_path}/{name}:x")
    with pytest.raises(ApiError, match="folder"):
        write(c, "cp", f"oci-archive:{tmp_path}/folder:x")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"] and os.listdir(tmp_path / "folder") == ["mine"]
    nothing_is_left(daemon)


def test_no_room(another, programs_tar):
    """What does not fit leaves nothing, neither in a layout that is there already nor beside what was to be made."""
    daemon = another(started=False)
    small = daemon.root / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", daemon.name, str(small)], check=True)
    daemon.own_mounts.append(str(small))
    layout = rootfs.OciLayout(small / "images", [rootfs.layer(lambda tar: tar.file("x", "x"))])
    before = sorted(small.rglob("*"))
    daemon.start()
    daemon.import_programs(programs_tar)
    c = daemon.counter("c1", "--fill", 4)
    take(c, "cp")
    for reference in f"oci:{layout.folder}:web", f"oci:{small}/new:web", f"oci-archive:{small}/new.tar":
        with pytest.raises(ApiError, match="no space"):
            write(c, "cp", reference)
        assert sorted(small.rglob("*")) == before
        nothing_is_left(daemon)
    c.counts()


def test_taken_name(daemon, taken, tmp_path):
    c, _ = taken
    write(c, "cp", f"oci:{tmp_path}/images:web")
    with pytest.raises(ApiError, match="c1") as e:
        restore(daemon, f"oci:{tmp_path}/images:web", "c1")
    assert e.value.code == 409
    c.counts()


# ---- cancelled -------------------------------------------------------------------------------------------------------


class Slow:
    """A registry that accepts connections and never answers."""

    def __enter__(self):
        import socket
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(16)
        return f"docker://127.0.0.1:{self.socket.getsockname()[1]}/x:y"

    def __exit__(self, *unused):
        self.socket.close()


def cancel(daemon, operation):
    time.sleep(1.0)
    daemon.rest.request("DELETE", f"/1.0/operations/{operation}")
    with pytest.raises(ApiError) as e:
        daemon.rest.finish(operation)
    assert e.value.code == 401, e.value.text
    wait_until(lambda: not os.listdir(daemon.root / "lib/tmp"), "nothing is left")


def test_cancel(daemon, taken):
    c, _ = taken
    with Slow() as reference:
        cancel(daemon, daemon.rest.begin("POST", f"{c.url}/checkpoints/cp/image", {"reference": reference}))
        cancel(daemon, daemon.rest.begin("POST", "/1.0/instances", {
            "name": "never", "source": {"type": "checkpoint-image", "reference": reference}}))
    assert daemon.instances() == ["c1"] and names(c) == ["cp"]
    c.counts()
