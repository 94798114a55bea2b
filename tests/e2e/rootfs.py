# SPDX-License-Identifier: Apache-2.0
"""Root file systems for tests, written with tarfile: what a test does not need is not in them."""
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

BUSYBOX = shutil.which("busybox") or "/bin/busybox"


class Tar:
    """A tar that is written entry by entry, so that hostile ones can be made too."""

    def __init__(self, path, mode="w"):
        self.path = Path(path)
        self.tar = tarfile.open(self.path, mode)

    def entry(self, name, kind=tarfile.REGTYPE, data=b"", mode=0o644, link="", uid=0, gid=0, mtime=1700000000, **pax):
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.linkname, info.uid, info.gid, info.mtime = kind, mode, link, uid, gid, mtime
        info.size = len(data)
        for key, value in pax.items():
            setattr(info, key, value)
        self.tar.addfile(info, io.BytesIO(data))
        return self

    def folder(self, name, mode=0o755, **kw):
        return self.entry(name, tarfile.DIRTYPE, mode=mode, **kw)

    def file(self, name, data="", mode=0o644, **kw):
        return self.entry(name, data=data.encode() if isinstance(data, str) else data, mode=mode, **kw)

    def link(self, name, target, **kw):
        return self.entry(name, tarfile.SYMTYPE, link=target, mode=0o777, **kw)

    def hard(self, name, target, **kw):
        return self.entry(name, tarfile.LNKTYPE, link=target, **kw)

    def program(self, name, source):
        return self.file(name, Path(source).read_bytes(), mode=0o755)

    def close(self):
        self.tar.close()
        return self.path


def base(tar, root_mode=0o755):
    """Folders, busybox with its applets, passwd."""
    tar.folder("./", mode=root_mode)
    for name in ("bin", "dev", "etc", "proc", "root", "run", "sbin", "sys", "usr", "usr/bin", "var", "var/lib", "var/log"):
        tar.folder(name)
    tar.folder("tmp", mode=0o1777)
    tar.file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/tmp:/bin/sh\n")
    tar.file("etc/group", "root:x:0:\nuser:x:1000:\n")
    tar.program("bin/busybox", BUSYBOX)
    for applet in subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split():
        if applet != "busybox":
            tar.link(f"bin/{applet}", "busybox")
    return tar


def programs(path, build):
    """busybox, counter, feat and quad."""
    tar = base(Tar(path))
    for name in ("counter", "feat", "quad"):
        tar.program(f"bin/{name}", Path(build) / "tests/programs" / name)
    return tar.close()


# ---- image formats ---------------------------------------------------------------------------------------------------


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def image_config(layers, **config):
    """The OCI image configuration for uncompressed layers."""
    return json.dumps({
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine], "os": "linux",
        "created": "2026-01-02T03:04:05Z", "config": config,
        "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]}}).encode()


class OciLayout:
    """A folder in the layout of OCI images; `layers` are uncompressed tars as bytes."""

    def __init__(self, folder, layers, name="test", compress=True, **config):
        self.folder = Path(folder)
        (self.folder / "blobs/sha256").mkdir(parents=True)
        self.descriptors = []
        for layer in layers:
            kind = "application/vnd.oci.image.layer.v1.tar"
            blob = layer
            if compress:
                blob, kind = gzip.compress(layer, 1, mtime=0), kind + "+gzip"
            self.descriptors.append(self.blob(blob, kind))
        manifest = {
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": self.blob(image_config(layers, **config), "application/vnd.oci.image.config.v1+json"),
            "layers": self.descriptors}
        self.manifest = self.blob(json.dumps(manifest).encode(), manifest["mediaType"])
        self.manifest["annotations"] = {"org.opencontainers.image.ref.name": name}
        (self.folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        (self.folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [self.manifest]}))

    def path_of(self, descriptor):
        return self.folder / "blobs/sha256" / descriptor["digest"].split(":")[1]

    def blob(self, data, kind):
        descriptor = {"mediaType": kind, "digest": digest(data), "size": len(data)}
        self.path_of(descriptor).write_bytes(data)
        return descriptor

    def tar(self, path):
        with tarfile.open(path, "w") as tar:
            for entry in sorted(self.folder.iterdir()):
                tar.add(entry, entry.name)
        return path


def docker_archive(path, layers, name="test:latest", **config):
    """What `docker save` writes."""
    tar = Tar(path)
    text = image_config(layers, **config)
    config_name = hashlib.sha256(text).hexdigest() + ".json"
    names = []
    for layer in layers:
        folder = hashlib.sha256(layer).hexdigest()
        tar.folder(folder).file(f"{folder}/VERSION", "1.0").file(f"{folder}/layer.tar", layer)
        names.append(f"{folder}/layer.tar")
    tar.file(config_name, text)
    tar.file("manifest.json", json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": names}]))
    return tar.close()


def layer(*steps):
    """The bytes of a tar; each step is a function that is given the Tar."""
    with tempfile.NamedTemporaryFile(suffix=".tar") as f:
        tar = Tar(f.name)
        for step in steps:
            step(tar)
        tar.close()
        return Path(f.name).read_bytes()
