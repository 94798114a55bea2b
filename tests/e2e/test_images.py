# SPDX-License-Identifier: Apache-2.0
"""Images: tars, OCI layouts, docker archives, a registry; and those that mean harm."""
import contextlib
import gzip
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

import rootfs
from harness import BUILD, ApiError
from registry import registry  # noqa: F401 - a fixture


@pytest.fixture(scope="module")
def layers():
    """Three layers: programs; files; changes to them with whiteouts."""
    def first(tar):
        rootfs.base(tar)
        tar.program("bin/counter", BUILD / "tests/programs/counter")
        tar.folder("data").file("data/keep", "keep").file("data/gone", "gone").file("data/new", "old")
        tar.folder("data/replaced").file("data/replaced/below", "below")
        tar.folder("opaque").file("opaque/hidden", "hidden").folder("opaque/folder")
        tar.file("setuid", "x", mode=0o4755).file("owned", "x", uid=1000, gid=1000, mode=0o640)
        tar.file("original", "linked").hard("hardlink", "original").link("symlink", "data/keep")
        tar.folder("was-folder").file("was-folder/file", "x").file("was-file", "x")

    def second(tar):
        tar.file("data/new", "new").file("data/.wh.gone").file(".wh.nothing-of-the-kind")
        tar.folder("opaque").file("opaque/.wh..wh..opq").file("opaque/seen", "seen")
        tar.file("data/.wh.replaced")

    def third(tar):
        tar.folder("data/replaced").file("data/replaced/other", "other")
        tar.file("was-folder", "now a file").folder("was-file").file("was-file/inside", "x")

    return [rootfs.layer(first), rootfs.layer(second), rootfs.layer(third)]


CONFIG = {"Entrypoint": ["/bin/counter"], "Cmd": ["--every", "50"], "Env": ["PATH=/bin", "FROM_IMAGE=yes"],
          "WorkingDir": "/data", "StopSignal": "SIGTERM"}


def look(daemon, name, script):
    return daemon.cli("exec", name, "--", "sh", "-c", script).stdout


def check_layers(daemon, image):
    c = daemon.create("c1", image=image)
    c.counts()
    assert look(daemon, "c1", "cat /data/keep /data/new") == "keepnew"
    assert look(daemon, "c1", "ls /data").split() == ["keep", "new", "replaced"]
    assert look(daemon, "c1", "ls -A /data/replaced /opaque").split() == ["/data/replaced:", "other", "/opaque:", "seen"]
    assert look(daemon, "c1", "cat /was-folder; ls /was-file") == "now a fileinside\n"
    assert look(daemon, "c1", "stat -c '%a %u %g' /setuid /owned /tmp").split("\n")[:3] == [
        "4755 0 0", "640 1000 1000", "1777 0 0"]
    assert look(daemon, "c1", "stat -c %i /original /hardlink").split()[0] == \
        look(daemon, "c1", "stat -c %i /hardlink").strip()
    assert look(daemon, "c1", "readlink /symlink") == "data/keep\n"
    assert look(daemon, "c1", "find / -xdev -name '.wh.*'") == ""
    assert look(daemon, "c1", "echo $FROM_IMAGE $PWD") == "yes /data\n"
    before = c.pair()
    c.stop_stateful()
    c.start()
    assert c.counts(before.count).run == before.run
    c.delete(force=True)


def delete_image(daemon, name):
    daemon.rest.delete(f"/1.0/images/{name}")


@pytest.mark.parametrize("kind", ["oci folder", "oci tar", "docker archive", "plain layers"])
def test_formats(daemon, layers, tmp_path, kind):
    if kind == "docker archive":
        path = rootfs.docker_archive(tmp_path / "image.tar", layers, **CONFIG)
    else:
        layout = rootfs.OciLayout(tmp_path / "layout", layers, compress=kind != "plain layers", **CONFIG)
        path = layout.tar(tmp_path / "image.tar") if kind == "oci tar" else layout.folder
    fingerprint = daemon.import_image(path, "layered")
    try:
        assert len(fingerprint) == 64
        check_layers(daemon, "layered")
        info = daemon.rest.get("/1.0/images/layered")
        assert info["fingerprint"] == fingerprint
    finally:
        delete_image(daemon, fingerprint)


@pytest.mark.parametrize("compression", ["none", "gzip", "xz", "zstd"])
def test_rootfs_tar(daemon, programs_tar, tmp_path, compression):
    data = Path(programs_tar).read_bytes()
    path = tmp_path / "rootfs"
    if compression == "gzip":
        path.write_bytes(gzip.compress(data, 1))
    elif compression == "none":
        path.write_bytes(data)
    else:
        if not shutil.which(compression):
            pytest.skip(f"no {compression} program to make the archive with")
        path.write_bytes(subprocess.run([compression, "-1", "-c"], input=data, capture_output=True, check=True).stdout)
    fingerprint = daemon.import_image(path, "again")
    c = daemon.counter("c1", image="again")
    c.delete(force=True)
    if daemon.rest.get("/1.0/images/programs")["fingerprint"] == fingerprint:
        daemon.rest.delete("/1.0/images/aliases/again")
    else:
        delete_image(daemon, "again")


def test_root_mode_0555(daemon, tmp_path):
    """/ of the image is read-only for its owner; the instance starts, and / shows that mode."""
    tar = rootfs.base(rootfs.Tar(tmp_path / "r.tar"), root_mode=0o555)
    tar.program("bin/counter", BUILD / "tests/programs/counter")
    daemon.import_image(tar.close(), "readonly-root")
    try:
        c = daemon.counter("c1", image="readonly-root")
        assert look(daemon, "c1", "stat -c %a /") == "555\n"
        before = c.pair()
        c.stop_stateful()
        c.start()
        assert c.counts(before.count).run == before.run
        assert look(daemon, "c1", "stat -c %a /") == "555\n"
        c.delete(force=True)
    finally:
        delete_image(daemon, "readonly-root")


def test_command_line(daemon, programs_tar):
    daemon.cli("image", "import", programs_tar, "mine")
    try:
        assert "mine" in daemon.cli("image", "list").stdout
        assert daemon.cli("image", "info", "mine").returncode == 0
        daemon.cli("launch", "mine", "c1", "--", "/bin/counter")
        daemon.uuids.add(daemon["c1"].uuid)
        busy = daemon.cli("image", "delete", "mine", check=False)
        assert busy.returncode == 1 and "c1" in busy.stderr
        daemon.cli("delete", "--force", "c1")
    finally:
        with contextlib.suppress(ApiError):
            daemon.rest.delete("/1.0/images/aliases/mine")


def test_upload(daemon, programs_tar):
    """The octets themselves instead of a path on the daemon's host."""
    reply = daemon.rest.request("POST", "/1.0/images", Path(programs_tar).read_bytes(),
                                {"Content-Type": "application/octet-stream", "X-Stasis-alias": "uploaded"})
    assert reply.status == 202, reply
    op = daemon.rest.finish(reply.json["metadata"]["id"])
    assert len(op["metadata"]["fingerprint"]) == 64
    c = daemon.counter("c1", image="uploaded")
    c.delete(force=True)
    daemon.rest.delete("/1.0/images/aliases/uploaded")


def test_layers_are_unpacked_once(fresh, layers, tmp_path):
    """Two images with a common layer share it, and the layer goes with the last of them."""
    a = rootfs.OciLayout(tmp_path / "a", layers[:2], **CONFIG)
    b = rootfs.OciLayout(tmp_path / "b", layers, **CONFIG)
    count = len(os.listdir(fresh.root / "lib/layers"))
    fresh.import_image(a.folder, "a")
    assert len(os.listdir(fresh.root / "lib/layers")) == count + 2
    fresh.import_image(b.folder, "b")
    assert len(os.listdir(fresh.root / "lib/layers")) == count + 3
    delete_image(fresh, "b")
    assert len(os.listdir(fresh.root / "lib/layers")) == count + 2
    delete_image(fresh, "a")
    assert len(os.listdir(fresh.root / "lib/layers")) == count


def test_delete_refused_while_in_use(fresh, layers, tmp_path):
    layout = rootfs.OciLayout(tmp_path / "a", layers, **CONFIG)
    fingerprint = fresh.import_image(layout.folder, "used")
    c = fresh.create("c1", image="used")
    before = c.counts()
    for state in ("running", "saved"):
        if state == "saved":
            c.stop_stateful()
        with pytest.raises(ApiError, match="c1") as e:
            delete_image(fresh, "used")
        assert e.value.code in (400, 409)
    assert fresh.rest.get(f"/1.0/images/{fingerprint}")["fingerprint"] == fingerprint
    c.start()
    assert c.counts(before.count).run == before.run
    c.delete(force=True)
    delete_image(fresh, "used")
    with pytest.raises(ApiError) as e:
        fresh.rest.get(f"/1.0/images/{fingerprint}")
    assert e.value.code == 404


def test_aliases(daemon, layers, tmp_path):
    layout = rootfs.OciLayout(tmp_path / "a", layers, **CONFIG)
    fingerprint = daemon.import_image(layout.folder, "first")
    daemon.rest.post("/1.0/images/aliases", {"name": "second", "target": fingerprint})
    assert daemon.rest.get("/1.0/images/aliases/second")["target"] == fingerprint
    assert daemon.rest.get(f"/1.0/images/{fingerprint[:12]}")["fingerprint"] == fingerprint
    daemon.rest.delete("/1.0/images/aliases/first")
    with pytest.raises(ApiError):
        daemon.rest.get("/1.0/images/aliases/first")
    delete_image(daemon, "second")


# ---- a registry ------------------------------------------------------------------------------------------------------


def test_pull_from_a_registry(daemon, registry, layers, tmp_path):
    layout = rootfs.OciLayout(tmp_path / "layout", layers, **CONFIG)
    subprocess.run(["skopeo", "copy", "--quiet", "--dest-tls-verify=false", f"oci:{layout.folder}:test",
                    f"docker://{registry}/some/program:1.0"], check=True, capture_output=True)
    reference = f"docker://{registry}/some/program:1.0"
    op = daemon.rest.post("/1.0/images", {
        "source": {"type": "image", "mode": "pull", "reference": reference, "insecure": True},
        "aliases": [{"name": "pulled"}]})
    assert len(op["metadata"]["fingerprint"]) == 64
    try:
        check_layers(daemon, "pulled")
    finally:
        delete_image(daemon, "pulled")
    daemon.cli("image", "pull", "--insecure", reference, "pulled-again")
    delete_image(daemon, "pulled-again")
    with pytest.raises(ApiError, match="no-such"):
        daemon.rest.post("/1.0/images", {"source": {"type": "image", "mode": "pull", "insecure": True,
                                                    "reference": f"docker://{registry}/some/no-such:1.0"}})


# ---- what means harm -------------------------------------------------------------------------------------------------


def hostile(make):
    def build(path, outside):
        tar = rootfs.base(rootfs.Tar(path))
        make(tar, outside)
        return tar.close()
    return build


HOSTILE = {
    "dot-dot": lambda tar, outside: tar.file(f"../../../../../../../..{outside}/victim", "evil"),
    "dot-dot inside": lambda tar, outside: tar.file(f"bin/../../../../../../..{outside}/victim", "evil"),
    "absolute": lambda tar, outside: tar.file(f"{outside}/victim", "evil"),
    "through an absolute link": lambda tar, outside: tar.link("door", str(outside)).file("door/victim", "evil"),
    "through a relative link": lambda tar, outside: tar.link("door", f"../../../../../../..{outside}").file("door/victim", "evil"),
    "through a chain of links": lambda tar, outside: tar.link("a", "b").link("b", str(outside)).file("a/victim", "evil"),
    "folder over a link": lambda tar, outside: tar.link("door", str(outside)).folder("door").file("door/victim", "evil"),
    "hard link to the host": lambda tar, outside: tar.hard("grab", f"{outside}/secret").file("grab", "evil"),
    "hard link through dot-dot": lambda tar, outside: tar.hard("grab", f"../../../../../..{outside}/secret").file("grab", "evil"),
    "hard link through a link": lambda tar, outside: tar.link("door", str(outside)).hard("grab", "door/secret").file("grab", "evil"),
    "file over a link to a file": lambda tar, outside: tar.link("door", f"{outside}/secret").file("door", "evil"),
    "whiteout outside": lambda tar, outside: tar.file(f"../../../../../../..{outside}/.wh.secret"),
    "whiteout through a link": lambda tar, outside: tar.link("door", str(outside)).file("door/.wh.secret"),
    "opaque through a link": lambda tar, outside: tar.link("door", str(outside)).file("door/.wh..wh..opq"),
    "whiteout of dot-dot": lambda tar, outside: tar.file(".wh...").file("bin/.wh...").file(".wh."),
    "mode through a link": lambda tar, outside: tar.link("door", f"{outside}/secret").entry("door", mode=0o777),
    "device": lambda tar, outside: tar.entry("disk", tarfile.BLKTYPE, mode=0o666, devmajor=254, devminor=0),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_hostile(daemon, tmp_path, how):
    """Refused or tamed; whatever the layer holds, nothing outside the image's folder changes."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("untouched")
    path = hostile(HOSTILE[how])(tmp_path / "evil.tar", outside)
    before = sorted(p.name for p in outside.iterdir())
    fingerprint = None
    try:
        fingerprint = daemon.import_image(path, "evil")
    except ApiError as e:
        assert len(e.text) > 10
    assert sorted(p.name for p in outside.iterdir()) == before
    secret = outside / "secret"
    assert secret.read_text() == "untouched" and secret.stat().st_mode & 0o777 == 0o644 and secret.stat().st_nlink == 1
    if how == "device" and fingerprint:
        for found in daemon.root.rglob("disk"):
            assert not found.is_block_device(), "a block device came out of an image"
    if fingerprint:
        delete_image(daemon, "evil")


def test_damaged_layout_is_refused(daemon, layers, tmp_path):
    """A blob that is not what its digest says."""
    layout = rootfs.OciLayout(tmp_path / "layout", layers, compress=False, **CONFIG)
    victim = layout.path_of(layout.descriptors[1])
    data = bytearray(victim.read_bytes())
    data[600] ^= 1
    victim.write_bytes(data)
    with pytest.raises(ApiError, match=layout.descriptors[1]["digest"].split(":")[1][:8]):
        daemon.import_image(layout.folder, "damaged")
    with pytest.raises(ApiError):
        daemon.rest.get("/1.0/images/damaged")


def test_diff_id_is_checked(daemon, layers, tmp_path):
    """A compressed layer whose content is not what the configuration promises."""
    layout = rootfs.OciLayout(tmp_path / "layout", layers[:1], **CONFIG)
    text = (layout.folder / "index.json").read_text()
    manifest = json.loads(layout.path_of(layout.manifest).read_text())
    manifest["layers"] = [layout.blob(gzip.compress(layers[1], 1), manifest["layers"][0]["mediaType"])]
    new = layout.blob(json.dumps(manifest).encode(), layout.manifest["mediaType"])
    (layout.folder / "index.json").write_text(text.replace(layout.manifest["digest"], new["digest"]).replace(
        f'"size": {layout.manifest["size"]}', f'"size": {new["size"]}'))
    with pytest.raises(ApiError):
        daemon.import_image(layout.folder, "lying")


@pytest.mark.parametrize("data", [b"", b"not an archive at all" * 100, b"\0" * 10240, gzip.compress(b"x" * 1000)[:-8]])
def test_rubbish_is_refused(daemon, tmp_path, data):
    path = tmp_path / "rubbish"
    path.write_bytes(data)
    layers_before = os.listdir(daemon.root / "lib/layers")
    with pytest.raises(ApiError) as e:
        daemon.import_image(path, "rubbish")
    assert len(e.value.text) > 10
    assert os.listdir(daemon.root / "lib/layers") == layers_before


def test_missing_file(daemon):
    with pytest.raises(ApiError, match="/nowhere/at/all"):
        daemon.import_image("/nowhere/at/all", "x")


def test_truncated_tar_leaves_nothing(daemon, programs_tar, tmp_path):
    path = tmp_path / "short.tar"
    path.write_bytes(Path(programs_tar).read_bytes()[:2000000])
    layers_before = sorted(os.listdir(daemon.root / "lib/layers"))
    with pytest.raises(ApiError):
        daemon.import_image(path, "short")
    assert sorted(os.listdir(daemon.root / "lib/layers")) == layers_before
