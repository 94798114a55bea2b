# SPDX-License-Identifier: Apache-2.0
"""Root file systems for tests, written with tarfile: what a test does not need is not in them."""
import io
import shutil
import subprocess
import tarfile
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
    """busybox, counter and feat."""
    tar = base(Tar(path))
    for name in ("counter", "feat"):
        tar.program(f"bin/{name}", Path(build) / "tests/programs" / name)
    return tar.close()
