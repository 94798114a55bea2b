# SPDX-License-Identifier: Apache-2.0
"""Checkpoints, snapshots and copies by REST, and what tests/programs/quad.c keeps in memory and in many places."""
import dataclasses
import struct
from pathlib import Path

from harness import wait_until

PLACES = ("/quad", "/dev/shm")
VOLUMES = "/1.0/storage-pools/default/volumes/custom"


# ---- by REST ---------------------------------------------------------------------------------------------------------


def take(instance, name="", **body):
    """A checkpoint of an instance that goes on; what is known of it."""
    op = instance.rest.post(f"{instance.url}/checkpoints", {"name": name, **body})
    return op["metadata"]["checkpoint"]


def snapshot(instance, name="", stateful=True, **body):
    instance.rest.post(f"{instance.url}/snapshots", {"name": name, "stateful": stateful, **body})


def go_back(instance, name, **body):
    return instance.rest.put(instance.url, {"restore": name, **body})


def clone(daemon, source, name, start=True, **body):
    """A new instance from "instance/checkpoint" or "instance"."""
    daemon.rest.post("/1.0/instances", {"name": name, "start": start, "source": {"type": "copy", "source": source}, **body})
    instance = daemon[name]
    daemon.uuids.add(instance.uuid)
    return instance


def names(instance):
    return [url.rsplit("/", 1)[1] for url in instance.rest.get(f"{instance.url}/checkpoints")]


def folder_of(daemon, checkpoint):
    return daemon.root / "lib/checkpoints" / checkpoint["uuid"]


def leftovers(daemon):
    """Folders below checkpoints/ that are no checkpoint."""
    folder = daemon.root / "lib/checkpoints"
    return [p.name for p in folder.iterdir() if not (p / "stasis.json").exists() or p.name.endswith(".new")] \
        if folder.exists() else []


# ---- quad ------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Worker:
    """One process of quad at one moment."""

    count: int
    run: int
    errors: int
    worker: int
    gaps: int
    longest_gap_us: int
    bad_place: int
    bad_expected: int
    bad_found: int
    pid: int = 0

    PAGE = 0x200000000000
    LAYOUT = struct.Struct("<8s9Q")

    @classmethod
    def read(cls, pid):
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            memory.seek(cls.PAGE)
            values = cls.LAYOUT.unpack(memory.read(cls.LAYOUT.size))
        return cls(*values[1:], pid) if values[0] == b"STASISQ1" else None


class Ring:
    """A place: the last numbers that were put into it."""

    SLOTS = 2048

    def __init__(self, path):
        data = Path(path).read_bytes()
        assert len(data) == self.SLOTS * 8, f"{path}: {len(data)} bytes"
        self.slots = struct.unpack(f"<{self.SLOTS}Q", data)
        self.last = max(self.slots)
        whole = {n % self.SLOTS: n for n in range(max(0, self.last - self.SLOTS + 1), self.last + 1)}
        wrong = {i: (self.slots[i], n) for i, n in whole.items() if self.slots[i] != n}
        assert not wrong, f"{path} is a mixture: slots (found, expected) {dict(list(wrong.items())[:5])}"


class Quad:
    """A started quad."""

    WORKERS = 4

    def __init__(self, daemon, name="q", *arguments, volume=None, **kw):
        self.folders = ["/quad", *(["/data"] if volume else []), "/dev/shm"]
        command = ["/bin/quad", *map(str, arguments)]
        if volume:
            command += ["--volume", "/data"]
            kw["devices"] = {"d": {"type": "disk", "pool": "default", "source": volume, "path": "/data"}}
        self.instance = daemon.create(name, command, **kw)
        self.daemon = daemon
        self.goes_on()

    @classmethod
    def of(cls, instance, folders=PLACES):
        """Another instance that came from one."""
        made = cls.__new__(cls)
        made.instance, made.daemon, made.folders = instance, instance.daemon, list(folders)
        return made

    def pids(self):
        payload = self.daemon.cgroup / self.instance.uuid / "payload"
        return [int(line) for path in payload.rglob("cgroup.procs") for line in path.read_text().split()]

    def workers(self):
        """By number; None while there are not all of them."""
        try:
            found = {w.worker: w for w in map(Worker.read, self.pids()) if w}
        except (OSError, struct.error):
            return None
        return [found[n] for n in sorted(found)] if len(found) == self.WORKERS else None

    def goes_on(self, beyond=None):
        """All workers count beyond what they had, and no place has ever disagreed."""
        before = beyond or [w.count for w in wait_until(self.workers, lambda: f"workers: {self.instance.describe()}")]

        def further():
            now = self.workers()
            return now if now and all(w.count > n + 3 for w, n in zip(now, before)) else None

        now = wait_until(further, lambda: f"all count beyond {before}: {self.workers()} {self.instance.describe()}")
        self.agrees(now)
        return now

    def agrees(self, workers=None):
        for w in workers or self.workers():
            assert w.errors == 0, f"place {w.bad_place} held {w.bad_found} instead of {w.bad_expected}: {w}"

    def continues(self, run):
        """Restored from what the worker with this run had: it goes on, and after the gap it has looked at everything."""
        now = self.goes_on()
        assert [w.run for w in now] == run, "a fresh boot instead of a restore"
        wait_until(lambda: all(w.gaps > 0 for w in self.workers()), lambda: f"all has been looked at: {self.workers()}")
        self.agrees()
        return now

    def runs(self):
        return [w.run for w in self.workers()]

    def files(self, worker, folders):
        return [f"{folder}/{kind}{worker}" for folder in folders for kind in ("written", "mapped")]

    def stands_exactly(self):
        """Paused: no place is ahead of the memory, none more than the one step behind that is under way."""
        root = f"/proc/{self.instance.pid}/root"
        for w in self.workers():
            in_order([w.count, *(Ring(root + f).last for f in self.files(w.worker, self.folders))])

    def captured_exactly(self, folder):
        """The files of a checkpoint, among themselves; memory and /dev/shm are in CRIU's images."""
        for n in range(self.WORKERS):
            values = [Ring(folder / "upper/quad" / f"{kind}{n}").last for kind in ("written", "mapped")]
            if "/data" in self.folders:
                values += [Ring(folder / "volumes/v" / f"{kind}{n}").last for kind in ("written", "mapped")]
            in_order(values)


def in_order(values):
    """As they are written one after the other: all the same, or from one on a step behind."""
    assert all(a >= b for a, b in zip(values, values[1:])) and values[0] - values[-1] <= 1, \
        f"not of one instant: {values}"


