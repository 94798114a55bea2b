# SPDX-License-Identifier: Apache-2.0
"""One stasis daemon with a folder, a cgroup parent and a bridge of its own, and what tests ask of it.

Several test processes may run at once: whatever is made carries the random name of the daemon's root folder
(/tmp/st-XXXXXXXX), and only what carries that name is looked at or removed.
"""
import contextlib
import dataclasses
import http.client
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("STASIS_BUILD", TOP / "build"))
TESTS_CACHE = Path(os.environ.get("STASIS_TESTS_CACHE", "/var/cache/stasis-tests"))

# Everything that is waited for ends by itself much sooner; these bounds only keep a broken product from hanging a test.
WAIT = 60
SANITIZED = os.environ.get("STASIS_SANITIZED", "") != ""
if SANITIZED:
    WAIT *= 3


class ApiError(Exception):
    """The daemon answered with an error, or an operation failed."""

    def __init__(self, text, code=None, operation=None):
        super().__init__(text)
        self.text = text
        self.code = code
        self.operation = operation


class DaemonGone(Exception):
    """The daemon did not answer at all."""


def wait_until(condition, what, timeout=None, pause=0.02):
    """Polls until the condition holds and returns its value; fails naming what was waited for."""
    deadline = time.monotonic() + (timeout or WAIT)
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {timeout or WAIT} s: {what() if callable(what) else what}"
        time.sleep(pause)


def fault_names():
    """All fault points that the daemon knows."""
    done = subprocess.run([BUILD / "src/daemon/stasisd", "--list-faults"], capture_output=True, text=True, check=True)
    return done.stdout.split()


def cgroup_root():
    """Where this host has cgroup2: /sys/fs/cgroup, or /sys/fs/cgroup/unified on a hybrid one."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, right = line.split(" - ")
        folder = Path(left.split()[4])
        if right.split()[0] == "cgroup2" and (folder / "cgroup.controllers").exists():
            return folder
    raise RuntimeError("no cgroup2 is mounted")


def has_capability(number):
    found = re.search(r"^CapEff:\s*(\w+)", Path("/proc/self/status").read_text(), re.M)
    return bool(int(found[1], 16) >> number & 1)


CAP_SYS_RESOURCE = 24


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


@dataclasses.dataclass
class Reply:
    status: int
    headers: dict
    data: bytes

    @property
    def json(self):
        return json.loads(self.data)


class Rest:
    """A tiny client of the REST API."""

    def __init__(self, path):
        self.path = path

    def request(self, method, path, body=None, headers=None, timeout=None):
        connection = UnixConnection(self.path, timeout or WAIT)
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        except (ConnectionError, FileNotFoundError, http.client.HTTPException) as e:
            raise DaemonGone(f"{method} {path}: {e!r}") from e
        finally:
            connection.close()

    def call(self, method, path, body=None, timeout=None, headers=None):
        """The metadata of a synchronous answer, or of a finished operation."""
        reply = self.request(method, path, body, headers, timeout)
        answer = reply.json
        if answer["type"] == "error":
            raise ApiError(answer["error"], answer.get("error_code", reply.status))
        if answer["type"] == "sync":
            return answer["metadata"]
        return self.finish(answer["metadata"]["id"], timeout)

    def finish(self, operation, timeout=None):
        """Waits for an operation; fails with its words when it failed."""
        seconds = int(timeout or WAIT)
        reply = self.request("GET", f"/1.0/operations/{operation}/wait?timeout={seconds}", timeout=seconds + 30)
        answer = reply.json
        if answer["type"] == "error":
            raise ApiError(answer["error"], answer.get("error_code", reply.status))
        op = answer["metadata"]
        assert op["status_code"] >= 200, f"operation still {op['status']} after {seconds} s: {op}"
        if op["status_code"] != 200:
            raise ApiError(op["err"], op["status_code"], op)
        return op

    def begin(self, method, path, body=None):
        """Starts an operation and returns its id without waiting."""
        reply = self.request(method, path, body)
        answer = reply.json
        if answer["type"] == "error":
            raise ApiError(answer["error"], answer.get("error_code", reply.status))
        assert answer["type"] == "async", answer
        return answer["metadata"]["id"]

    def get(self, path, **kw):
        return self.call("GET", path, **kw)

    def post(self, path, body=None, **kw):
        return self.call("POST", path, body, **kw)

    def put(self, path, body=None, **kw):
        return self.call("PUT", path, body, **kw)

    def patch(self, path, body=None, **kw):
        return self.call("PATCH", path, body, **kw)

    def delete(self, path, **kw):
        return self.call("DELETE", path, **kw)


@dataclasses.dataclass
class Pair:
    """What tests/programs/counter.c has in memory and on disk."""

    count: int
    run: int
    errors: int
    lines: int
    gaps: int
    longest_gap_us: int
    pages_checked: int
    boots: int
    disk: int
    disk_run: int

    PAGE = 0x200000000000
    LAYOUT = struct.Struct("<8s8Q")
    RECORD = re.compile(rb"(count=(\d{20}) run=([0-9a-f]{16}) boots=(\d{6}) errors=(\d{6})) sum=([0-9a-f]{8})\n\Z")

    @staticmethod
    def checksum(text):
        value = 2166136261
        for byte in text:
            value = (value ^ byte) * 16777619 & 0xFFFFFFFF
        return value

    @classmethod
    def read_disk(cls, path):
        """Count and run in the file; the counter writes it all the time, so a torn read is read again."""
        for _ in range(200):
            found = cls.RECORD.match(Path(path).read_bytes())
            if found and int(found[6], 16) == cls.checksum(found[1]):
                return int(found[2]), int(found[3], 16), int(found[4])
            time.sleep(0.001)
        raise AssertionError(f"{path} holds no record: {Path(path).read_bytes()!r}")

    FIELDS = ("count", "run", "errors", "lines", "gaps", "longest_gap_us", "pages_checked", "boots")

    @classmethod
    def read_memory(cls, pid):
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            memory.seek(cls.PAGE)
            values = cls.LAYOUT.unpack(memory.read(cls.LAYOUT.size))
        assert values[0] == b"STASISC1", values
        return dict(zip(cls.FIELDS, values[1:]))

    @classmethod
    def read(cls, pid, file="/count"):
        """The disk first: then the memory can only be ahead."""
        disk, disk_run, _ = cls.read_disk(f"/proc/{pid}/root{file}")
        return cls(**cls.read_memory(pid), disk=disk, disk_run=disk_run)


class Instance:
    """One instance by its name; nothing is cached."""

    def __init__(self, daemon, name):
        self.daemon = daemon
        self.rest = daemon.rest
        self.name = name
        self.url = f"/1.0/instances/{name}"

    def info(self):
        return self.rest.get(self.url)

    @property
    def status(self):
        return self.info()["status"]

    @property
    def pid(self):
        return self.info()["stasis"]["pid"]

    @property
    def uuid(self):
        return self.info()["stasis"]["uuid"]

    def change(self, action, **body):
        return self.rest.put(f"{self.url}/state", {"action": action, **body})

    def start(self, **body):
        return self.change("start", **body)

    def stop(self, **body):
        return self.change("stop", **body)

    def stop_stateful(self):
        op = self.change("stop", stateful=True)
        info = self.info()
        assert info["status"] == "Stopped", info["status"]
        assert info["stateful"] is True
        return op

    def pause(self):
        return self.change("freeze")

    def resume(self):
        return self.change("unfreeze")

    def restart(self, **body):
        return self.change("restart", **body)

    def delete(self, force=False):
        return self.rest.delete(self.url + ("?force=true" if force else ""))

    def set(self, **config):
        """Configuration keys with '.' written as '__'; None removes one."""
        self.rest.patch(self.url, {"config": {key.replace("__", "."): value for key, value in config.items()}})

    # -- the inside, seen from the host

    def inside(self, path):
        return Path(f"/proc/{self.pid}/root{path}")

    def read(self, path):
        return self.inside(path).read_text()

    def pair(self):
        """The counter pair; whatever was done to the container before, the two must fit."""
        pair = Pair.read(self.pid)
        assert pair.disk <= pair.count, f"the disk is ahead of the memory: {pair}"
        assert pair.disk_run == pair.run, f"the disk belongs to another run than the memory: {pair}"
        assert pair.errors == 0, f"the counter noticed errors: {pair}\n{self.output()[-2000:]}"
        return pair

    def counts(self, beyond=None):
        """Waits until the counter runs, further than a given count, and returns the pair."""

        def ready():
            with contextlib.suppress(OSError, AssertionError, struct.error):
                pair = Pair.read(self.pid)
                return pair if pair.count > (beyond or 0) else None
            return None

        before = wait_until(ready, lambda: f"'{self.name}' counts beyond {beyond}: {self.describe()}")
        wait_until(lambda: Pair.read(self.pid).count > before.count, "the counter goes on")
        return self.pair()

    def describe(self):
        with contextlib.suppress(ApiError, DaemonGone):
            info = self.info()
            return f"{info['status']}, last error {info['stasis']['last_error']!r}, output {self.output()[-500:]!r}"
        return "(no information)"

    # -- logs

    def log_file(self, name, **kw):
        reply = self.rest.request("GET", f"{self.url}/logs/{name}", **kw)
        if reply.status != 200:
            raise ApiError(reply.data.decode(errors="replace"), reply.status)
        return reply.data.decode(errors="replace")

    def logs(self):
        return [url.rsplit("/", 1)[1] for url in self.rest.get(f"{self.url}/logs")]

    LOG_LINE = re.compile(r"^(\S+) (stdout|stderr) ([FP]) (.*)$")

    def output_lines(self, stream=None):
        """The container's output, without conmon's time stamps; parts of long lines are joined."""
        lines, parts = [], {}
        for raw in self.log_file("output.log").splitlines():
            found = self.LOG_LINE.match(raw)
            assert found, f"not a line of a k8s-file log: {raw!r}"
            _, which, kind, text = found.groups()
            if stream and which != stream:
                continue
            text = parts.pop(which, "") + text
            if kind == "F":
                lines.append(text)
            else:
                parts[which] = text
        return lines + list(parts.values())

    def output(self):
        with contextlib.suppress(ApiError):
            return "\n".join(self.output_lines())
        return ""

    def everything_logged(self):
        """All log files in one text, for messages and searches."""
        return "\n".join(f"==> {name} <==\n{self.log_file(name)}" for name in self.logs())

    # -- state

    def is_frozen(self):
        return self.daemon.cgroup_state(self.uuid)["frozen"]


class Daemon:
    """A stasisd of our own; `close` fails when anything is left behind, and then removes it."""

    def __init__(self, build=BUILD, arguments=(), environment=None):
        self.build = Path(build)
        self.root = Path(tempfile.mkdtemp(prefix="st-", dir="/tmp"))
        self.name = self.root.name
        self.cgroup = cgroup_root() / self.name
        self.socket = self.root / "run/stasis.socket"
        self.rest = Rest(self.socket)
        self.arguments = list(arguments)
        self.environment = dict(environment or {})
        self.fault_file = self.root / "faults"
        self.output = self.root / "daemon.out"
        self.process = None
        self.uuids = set()
        self.programs_image = None
        self.own_mounts = []  # made by a test

    # -- the daemon itself

    def command(self):
        return [str(self.build / "src/daemon/stasisd"), "--root", str(self.root), "--cgroup-parent", self.name,
                "--guard", str(self.build / "src/guard/stasis-guard"), "--bridge", self.name,
                "--socket-group", "", *self.arguments]

    def start(self, timeout=None):
        assert self.process is None, "the daemon runs already"
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("STASIS_", "NOTIFY_"))}
        environment.update({"STASIS_FAULT_FILE": str(self.fault_file)}, **self.environment)
        with open(self.output, "ab") as out:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            env=environment, start_new_session=True)
        self.wait_ready(timeout)
        return self

    def wait_ready(self, timeout=None):
        def answers():
            code = self.process.poll()
            assert code is None, f"stasisd ended with {code} instead of serving:\n{self.tail()}"
            with contextlib.suppress(DaemonGone, OSError):
                return self.rest.get("/1.0", timeout=5)
            return None

        wait_until(answers, lambda: f"stasisd answers at {self.socket}:\n{self.tail()}", timeout)

    def tail(self, n=4000):
        with contextlib.suppress(OSError):
            return self.output.read_text(errors="replace")[-n:]
        return ""

    @property
    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """kill -9, as the kernel's OOM killer does it."""
        self.process.kill()
        self.wait_dead()

    def wait_dead(self, timeout=None):
        code = self.process.wait(timeout or WAIT)
        self.process = None
        return code

    def stop(self):
        self.process.terminate()
        code = self.wait_dead()
        assert code == 0, f"stasisd ended with {code} after SIGTERM:\n{self.tail()}"

    def restart(self, kill=False):
        if kill:
            self.kill()
        else:
            self.stop()
        self.start()

    def fault(self, text):
        """Fault points of a build with -Dfaults=true; '' switches them off."""
        new = self.fault_file.with_suffix(".new")
        new.write_text(text)
        new.rename(self.fault_file)

    def mount_state_dir(self, size, kind="tmpfs"):
        """Gives the state folder a file system of its own; before the daemon is started. Skips what the host cannot make."""
        folder = self.root / "lib"
        folder.mkdir()
        if kind == "tmpfs":
            source, options = self.name, f"size={size},mode=0711"
        else:
            source, options = self.root / "lib.img", "loop"
            self.make_file_system(source, size, kind)
        done = subprocess.run(["mount", "-t", kind, "-o", options, str(source), str(folder)], capture_output=True, text=True,
                              check=False)
        if done.returncode != 0 and kind != "tmpfs":
            import pytest  # not in the virtual machine
            pytest.skip(f"no {kind} on a loop device here: {done.stderr.strip()}")
        assert done.returncode == 0, done.stderr
        self.own_mounts.append(str(folder))
        folder.chmod(0o711)

    @staticmethod
    def make_file_system(image, size, kind):
        """In a sparse file; the loop device of the mount goes with it."""
        mkfs = shutil.which(f"mkfs.{kind}", path="/usr/sbin:/sbin:/usr/bin:/bin")
        if mkfs is None:
            import pytest  # not in the virtual machine
            pytest.skip(f"no mkfs.{kind} (packages xfsprogs, btrfs-progs)")
        with open(image, "wb") as f:
            f.truncate(size)
        subprocess.run([mkfs, "-q", *(["-m", "reflink=1"] if kind == "xfs" else []), str(image)],
                       check=True, capture_output=True)

    # -- the command line

    def cli_environment(self):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("STASIS_")}
        return {**environment, "STASIS_SOCKET": str(self.socket), "LC_ALL": "C.UTF-8", "NO_COLOR": "1"}

    def cli_command(self, *arguments):
        return [str(self.build / "src/cli/stasis"), *map(str, arguments)]

    def cli(self, *arguments, input=None, check=True, timeout=None):
        """Runs the client; result.stdout and .stderr are text."""
        result = subprocess.run(self.cli_command(*arguments), input=input if input is not None else "",
                                capture_output=True, text=True, errors="replace", timeout=timeout or WAIT,
                                env=self.cli_environment(), check=False)
        if check:
            assert result.returncode == 0, \
                f"stasis {' '.join(map(str, arguments))}: exit {result.returncode}\n{result.stdout}{result.stderr}"
        return result

    def cli_json(self, *arguments):
        return json.loads(self.cli(*arguments, "--format", "json").stdout)

    def cli_start(self, *arguments, **kw):
        """The client as a running process (pipes, text off)."""
        return subprocess.Popen(self.cli_command(*arguments), env=self.cli_environment(), stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kw)

    # -- images and instances

    def import_image(self, path, alias, timeout=None):
        op = self.rest.post("/1.0/images", {"source": {"type": "file", "path": str(path)},
                                            "aliases": [{"name": alias}]}, timeout=timeout)
        return op["metadata"]["fingerprint"]

    def import_programs(self, tar):
        if self.programs_image is None:
            self.programs_image = self.import_image(tar, "programs")

    def __getitem__(self, name):
        return Instance(self, name)

    def create(self, name, command=None, image="programs", config=None, start=True, ephemeral=False, **body):
        """Creates an instance by REST and, if wanted, starts it."""
        request = {"name": name, "type": "container", "source": {"type": "image", "alias": image},
                   "config": dict(config or {}), "ephemeral": ephemeral, "start": start, **body}
        if command is not None:
            request["command"] = list(command)
        self.rest.post("/1.0/instances", request)
        instance = self[name]
        self.uuids.add(instance.uuid)
        return instance

    def counter(self, name="c1", *arguments, **kw):
        """A started counter; its pair is there when this returns."""
        instance = self.create(name, ["/bin/counter", *map(str, arguments)], **kw)
        if kw.get("start", True):
            instance.counts()
        return instance

    def instances(self):
        return [url.rsplit("/", 1)[1] for url in self.rest.get("/1.0/instances")]

    # -- what the kernel knows of us

    def cgroup_state(self, uuid):
        """{'populated': …, 'frozen': …} of an instance's payload cgroup; all False when there is none."""
        try:
            text = (self.cgroup / uuid / "payload/cgroup.events").read_text()
        except OSError:
            return {"populated": False, "frozen": False}
        return {key: value == "1" for key, value in (line.split() for line in text.splitlines())}

    def cgroups(self):
        """All cgroups below our parent, deepest first."""
        if not self.cgroup.exists():
            return []
        return [Path(folder) for folder, _, _ in os.walk(self.cgroup, topdown=False)][:-1]

    def frozen(self):
        """Cgroups that hold somebody still."""
        found = []
        for cgroup in self.cgroups():
            with contextlib.suppress(OSError):
                events = (cgroup / "cgroup.events").read_text()
                if "populated 1" in events and "frozen 1" in events:
                    found.append(cgroup)
        return found

    def processes(self):
        """Processes of ours except the daemon itself: by cgroup, or because our root folder is in their command line."""
        found = {}
        own = self.process.pid if self.process else None
        needle = f"{self.root}".encode()
        in_cgroup = re.compile(rf"^0::.*/{re.escape(self.name)}(/|$)", re.M)
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) in (own, os.getpid()):
                continue
            with contextlib.suppress(OSError):
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
                if state in "ZX":
                    continue
                if (needle in line and not is_cli(line)) or in_cgroup.search((entry / "cgroup").read_text()):
                    found[int(entry.name)] = line.decode(errors="replace").strip()
        return found

    def mounts(self, pid="self"):
        """Mounts that carry our name, in the mount namespace of a process."""
        with contextlib.suppress(OSError):
            return [line.split()[4] for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
                    if re.search(rf"{re.escape(self.name)}\b", line)]
        return []

    def instance_mounts(self):
        """Mounts of instances in the daemon's private namespace."""
        if not self.is_running:
            return []
        return [m for m in self.mounts(self.process.pid) if any(uuid in m for uuid in self.uuids)]

    def files_of(self, uuids):
        """Files and folders below the root that carry an instance's uuid."""
        found = []
        for folder, folders, files in os.walk(self.root):
            found += [str(Path(folder, name)) for name in folders + files if any(uuid in name for uuid in uuids)]
        return found

    def host_leftovers(self):
        """What a daemon that has ended may not leave on the host."""
        found = [f"process {pid}: {line}" for pid, line in self.processes().items()]
        found += [f"cgroup {path}" for path in self.cgroups()]
        found += [f"mount {path}" for path in self.mounts() if path not in [*self.pins(), *self.own_mounts]]
        found += [f"link {name}" for name in os.listdir("/sys/class/net") if self.name in name]
        for hierarchy in Path("/sys/fs/cgroup").glob(f"*/{self.name}"):
            if hierarchy != self.cgroup:
                found.append(f"v1 cgroup {hierarchy}")
        if Path("/run/netns").exists():
            found += [f"netns {name}" for name in os.listdir("/run/netns") if self.name in name]
        return found

    def pins(self):
        """The namespace pin in the run folder may stay until somebody unmounts it."""
        return [str(self.root / "run/ns"), str(self.root / "run/ns/mnt")]

    # -- the end

    def delete_instances(self):
        """Deletes all instances and returns what they left behind."""
        problems = []
        for name in self.instances():
            try:
                self[name].delete(force=True)
            except ApiError as e:
                problems.append(f"cannot delete '{name}': {e}")
        for uuid in self.uuids:
            for what in self.leftovers_of(uuid):
                problems.append(f"left after the delete of {uuid}: {what}")
        self.uuids.clear()
        return problems

    def leftovers_of(self, uuid):
        """What is still there of a deleted instance, after a moment of grace for processes that are on their way out."""

        def look():
            found = [str(path) for path in self.cgroups() if uuid in str(path)]
            found += [f"process {pid}: {line}" for pid, line in self.processes().items() if uuid in line]
            found += [f"mount {path}" for path in self.instance_mounts() if uuid in path]
            return found + self.files_of({uuid})

        with contextlib.suppress(AssertionError):
            wait_until(lambda: not look(), "nothing is left", 5)
        return look()

    def close(self):
        """The end: deletes everything, stops the daemon, fails when something is left, and removes it all the same."""
        problems = []
        try:
            problems = self.end_orderly()
        except Exception as e:  # whatever happens, the machine is cleaned
            problems.append(f"teardown: {e!r}")
        finally:
            with contextlib.suppress(Exception):
                problems += self.sanitizer_reports()
            self.clean_host()
        assert not problems, "\n".join(problems)

    def end_orderly(self):
        self.fault("")
        if self.process and not self.is_running:
            problems = [f"stasisd had ended with {self.process.returncode}:\n{self.tail()}"]
            self.process = None
            return problems + self.host_leftovers()
        if self.process is None:
            self.start()
        problems = self.delete_instances()
        self.stop()
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not self.host_leftovers(), "nothing is left on the host", 5)
        return problems + [f"left on the host: {what}" for what in self.host_leftovers()]

    def sanitizer_reports(self):
        text = self.output.read_text(errors="replace")
        found = re.search(r"^.*(ERROR: (Address|Leak|Thread)Sanitizer|runtime error:).*$", text, re.M)
        return [f"sanitizer: {text[found.start():][:6000]}"] if found else []

    def clean_host(self):
        """By force, in an order that works whatever state things are in."""
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            self.process.wait(WAIT)
            self.process = None
        self.kill_all()
        for path in self.mounts()[::-1]:
            subprocess.run(["umount", "-l", path], capture_output=True, check=False)
        self.remove_cgroups()
        shutil.rmtree(self.root, ignore_errors=True)
        assert not self.root.exists(), f"cannot remove {self.root}"

    def kill_all(self):
        """Kills every process of ours but the daemon: the cgroups as a whole, the rest by pid."""
        for _ in range(100):
            for cgroup in self.cgroups():
                with contextlib.suppress(OSError):
                    (cgroup / "cgroup.kill").write_text("1")
            left = self.processes()
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if not left:
                return
            time.sleep(0.05)

    def remove_cgroups(self):
        def gone():
            for cgroup in [*self.cgroups(), self.cgroup]:
                with contextlib.suppress(OSError):
                    cgroup.rmdir()
            return not self.cgroup.exists()

        with contextlib.suppress(AssertionError):
            wait_until(gone, "cgroups are removed", 5)

    def reboot(self, start=True):
        """A host that reboots without warning: everything dies, /run is empty, cgroups and mounts are gone."""
        if self.is_running:
            self.process.kill()
            self.process.wait(WAIT)
        self.process = None
        self.kill_all()
        for path in self.mounts()[::-1]:
            subprocess.run(["umount", "-l", path], capture_output=True, check=True)
        self.remove_cgroups()
        assert not self.cgroup.exists(), f"{self.cgroup} cannot be removed"
        shutil.rmtree(self.root / "run")
        if start:
            self.start()


def is_cli(line):
    return b"/src/cli/stasis " in line or line.startswith((b"curl ", b"pytest"))


class Reader:
    """Collects what a file descriptor says, in a thread, and waits for words in it."""

    def __init__(self, fd):
        self.fd = fd
        self.text = ""
        self.ended = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            try:
                data = os.read(self.fd, 65536)
            except OSError:  # EIO: the other side of a terminal is closed
                data = b""
            if not data:
                break
            self.text += data.decode(errors="replace")
        self.ended = True

    def expect(self, pattern, timeout=None):
        return wait_until(lambda: re.search(pattern, self.text), lambda: f"{pattern!r} in {self.text[-2000:]!r}", timeout)


class Terminal:
    """The client on a terminal of its own."""

    def __init__(self, daemon, *arguments, rows=24, columns=80):
        self.master, slave = os.openpty()
        import fcntl
        import termios
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(daemon.cli_command(*arguments), env={**daemon.cli_environment(), "TERM": "xterm"},
                                        stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)
        self.reader = Reader(self.master)

    @property
    def text(self):
        return self.reader.text

    def type(self, text):
        os.write(self.master, text.encode())

    def expect(self, pattern, timeout=None):
        return self.reader.expect(pattern, timeout)

    def resize(self, rows, columns):
        import fcntl
        import termios
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process.send_signal(signal.SIGWINCH)

    def wait(self, timeout=None):
        return self.process.wait(timeout or WAIT)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(WAIT)
        self.reader.thread.join(1)
        os.close(self.master)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()


class FreezeWatch:
    """Watches, in a thread, how long any cgroup of a daemon is frozen in one piece."""

    def __init__(self, daemon, ignore=()):
        self.daemon = daemon
        self.ignore = set(ignore)
        self.longest = 0.0
        self.end = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        since = {}
        while not self.end.is_set():
            now = time.monotonic()
            frozen = {path for path in self.daemon.frozen() if not any(uuid in str(path) for uuid in self.ignore)}
            since = {path: since.get(path, now) for path in frozen}
            self.longest = max([self.longest, *(now - t for t in since.values())])
            self.end.wait(0.02)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *unused):
        self.end.set()
        self.thread.join()
