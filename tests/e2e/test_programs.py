# SPDX-License-Identifier: Apache-2.0
"""Real programs from Debian packages: servers, databases, interpreters."""
import os
import re
import subprocess

import pytest

from checkpoints import clone, take
from harness import TOP, ApiError, wait_until

ROUNDS = 3


def rootfs_tar(scratch, name):
    done = subprocess.run([str(TOP / "tests/rootfs.sh"), str(scratch), name], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.fail(f"tests/rootfs.sh {name}: {done.stdout}{done.stderr}")
    return scratch / f"{name}.tar"


@pytest.fixture(scope="module")
def debian(scratch):
    return rootfs_tar(scratch, "debian")


def has_image(daemon, alias):
    try:
        daemon.rest.get(f"/1.0/images/{alias}")
        return True
    except ApiError:
        return False


def create(daemon, tar, name, command, **kw):
    alias = tar.stem
    if not has_image(daemon, alias):
        daemon.import_image(tar, alias, timeout=120)
    return daemon.create(name, command, image=alias, **kw)


def python(script):
    return ["python3", "-u", "-c", script]


def last_number(instance, word):
    """The number behind the last "WORD n" of the output; a line that begins with ERROR fails."""
    numbers = []
    for line in instance.output_lines():
        assert not line.startswith(("ERROR", "Traceback")), "\n".join(instance.output_lines()[-20:])
        found = re.match(rf"{word} (\d+)$", line)
        if found:
            numbers.append(int(found[1]))
    assert numbers == sorted(numbers), "the sequence went back"
    return numbers[-1] if numbers else 0


def rounds(instance, word):
    """Stops and starts it; each time the sequence must go on where it was."""
    wait_until(lambda: last_number(instance, word) > 0, lambda: f"{word}: {instance.describe()}")
    for _ in range(ROUNDS):
        before = last_number(instance, word)
        instance.stop_stateful()
        instance.start()
        wait_until(lambda: last_number(instance, word) > before + 2, lambda: f"{word} goes on: {instance.describe()}")
    return last_number(instance, word)


REDIS = r"""
import socket, subprocess, sys, time
server = subprocess.Popen(["redis-server", "--bind", "127.0.0.1", "--port", "6379", "--dir", "/var/lib", "--save", "",
                           "--appendonly", "yes", "--appendfsync", "always"], stdout=open("/var/log/redis.log", "a"))
deadline = time.time() + 50
while True:
    try:
        s = socket.create_connection(("127.0.0.1", 6379))
        break
    except OSError:
        if time.time() > deadline: sys.exit("ERROR redis does not listen")
        time.sleep(0.05)
f = s.makefile("rb")
def ask(*words):
    s.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
    line = f.readline()
    if line.startswith(b"$"):
        n = int(line[1:])
        return None if n < 0 else f.read(n + 2)[:-2]
    return line.strip()
while ask(b"PING") != b"+PONG": time.sleep(0.05)
last = int(ask(b"GET", b"n") or 0)
print("start", last)
while True:
    n = int(ask(b"INCR", b"n")[1:])
    if n != last + 1: print("ERROR redis said", n, "after", last)
    last = n
    if n % 100 == 0: print("redis", n)
    time.sleep(0.002)
"""


def test_redis(daemon, debian):
    """Append-only file, one client with an established connection: no number is missing or twice."""
    c = create(daemon, debian, "redis", python(REDIS))
    reached = rounds(c, "redis")
    assert daemon.cli("exec", "redis", "--", "redis-cli", "ping").stdout.strip() == "PONG"
    c.stop(timeout=5)
    c.start()  # afresh: what the append-only file holds is not less than what was answered
    wait_until(lambda: c.output_lines()[-1:] and len([x for x in c.output_lines() if x.startswith("start ")]) == 2,
               lambda: c.describe())
    again = int([x for x in c.output_lines() if x.startswith("start ")][-1].split()[1])
    assert again >= reached


def test_redis_under_load(daemon, debian):
    """Live checkpoints while it writes: each copy goes on without a gap, and its append-only file is whole and as far as its memory."""
    c = create(daemon, debian, "redis", python(REDIS))
    wait_until(lambda: last_number(c, "redis") > 0, lambda: c.describe())
    for i in range(3):
        before = last_number(c, "redis")
        take(c, f"s{i}")
        wait_until(lambda: last_number(c, "redis") > before + 200, lambda: f"it goes on: {c.describe()}")
    for i in range(3):
        copy = clone(daemon, f"redis/s{i}", f"copy{i}")
        wait_until(lambda: last_number(copy, "redis") > 0, lambda: f"the copy goes on: {copy.describe()}")
        first = int(next(line.split()[1] for line in copy.output_lines() if line.startswith("redis ")))
        wait_until(lambda: last_number(copy, "redis") > first + 100, lambda: copy.describe())
        assert not [line for line in copy.output_lines() if line.startswith("start")], "it did not continue, it began"
        copy.delete(force=True)
        disk = clone(daemon, f"redis/s{i}", f"disk{i}", stateless=True)
        disk.start()
        wait_until(lambda: [x for x in disk.output_lines() if x.startswith("start ")], lambda: disk.describe())
        on_disk = int(next(line.split()[1] for line in disk.output_lines() if line.startswith("start ")))
        # The copy prints every hundredth number: its first one is the next hundred after the instant, and always synced means
        # that the file is behind by no more than the one under way.
        assert first - 101 <= on_disk <= first, f"memory is at most {first}, the file says {on_disk}"
        checked = daemon.cli("exec", disk.name, "--", "sh", "-c",
                             "cd /var/lib/appendonlydir 2>/dev/null || cd /var/lib; redis-check-aof $(ls *.manifest *.aof 2>/dev/null | head -1)",
                             check=False)
        assert "not valid" not in checked.stdout + checked.stderr and checked.returncode == 0, checked
        disk.delete(force=True)



THREADS = r"""
import hashlib, queue, threading, time
jobs, done = queue.Queue(), queue.Queue()
def work():
    while True:
        n = jobs.get()
        done.put((n, hashlib.sha256(str(n).encode()).hexdigest()))
for _ in range(8): threading.Thread(target=work, daemon=True).start()
n = 0
while True:
    n += 1
    batch = range(n * 20, n * 20 + 20)
    for job in batch: jobs.put(job)
    got = sorted(done.get(timeout=60) for _ in batch)
    if got != [(j, hashlib.sha256(str(j).encode()).hexdigest()) for j in batch]: print("ERROR", got)
    if n % 20 == 0: print("threads", n)
    time.sleep(0.002)
"""


def test_python_threads(daemon, debian):
    rounds(create(daemon, debian, "python", python(THREADS)), "threads")


SQLITE = r"""
import sqlite3, threading, time
path = "/var/lib/data.db"
writer = sqlite3.connect(path, isolation_level=None)
print("mode", writer.execute("pragma journal_mode=wal").fetchone()[0])
writer.execute("create table if not exists t (n integer primary key, text text)")
n = writer.execute("select coalesce(max(n), 0) from t").fetchone()[0]
print("integrity", writer.execute("pragma integrity_check").fetchone()[0])
print("start", n)
def read():
    reader = sqlite3.connect(path)
    last = 0
    while True:
        top, rows = reader.execute("select max(n), count(*) from t").fetchone()
        if top is not None and (top != rows or top < last): print("ERROR", top, rows, last)
        last = top or 0
        time.sleep(0.003)
threading.Thread(target=read, daemon=True).start()
while True:
    found = writer.execute("select coalesce(max(n), 0) from t").fetchone()[0]
    if found != n: print("ERROR disk", found, "memory", n)
    writer.execute("begin immediate")
    n += 1
    writer.execute("insert into t values (?, ?)", (n, "x" * 200))
    writer.execute("commit")
    if n % 50 == 0: print("sqlite", n)
    time.sleep(0.002)
"""


def test_sqlite_wal(daemon, debian):
    """Write-ahead log with its shared memory file: disk and memory agree at each step, and the file is sound."""
    c = create(daemon, debian, "sqlite", python(SQLITE))
    reached = rounds(c, "sqlite")
    assert "mode wal" in c.output_lines()
    c.stop(force=True)
    c.start()
    wait_until(lambda: len([x for x in c.output_lines() if x.startswith("start ")]) == 2, lambda: c.describe())
    assert int([x for x in c.output_lines() if x.startswith("start ")][-1].split()[1]) >= reached
    assert [x for x in c.output_lines() if x.startswith("integrity")] == ["integrity ok"] * 2


def test_sqlite_wal_and_a_second_process(daemon, debian):
    """CRIU 4.2.1 loses POSIX locks on mapped files: the next process that opens the database takes itself for the only
    one and cuts the index short under the first. Kept, or named by the check."""
    c = create(daemon, debian, "sqlite", python(SQLITE))
    wait_until(lambda: last_number(c, "sqlite") > 0, lambda: c.describe())
    report = daemon.rest.get(f"{c.url}/check")
    if any("lock" in o["resource"] + o["remedy"] for o in report["obstacles"]):
        return
    c.stop_stateful()
    c.start()
    check = daemon.cli("exec", "sqlite", "--", "sqlite3", "-cmd", ".timeout 20000", "/var/lib/data.db",
                       "pragma integrity_check", check=False)
    assert check.stdout.strip() == "ok", f"exit {check.returncode}; the instance: {c.describe()}"
    before = last_number(c, "sqlite")
    wait_until(lambda: last_number(c, "sqlite") > before, lambda: c.describe())


MEMCACHED = r"""
import socket, subprocess, sys, time
subprocess.Popen(["memcached", "-u", "root", "-l", "127.0.0.1", "-p", "11211", "-t", "4", "-m", "64"])
deadline = time.time() + 50
while True:
    try:
        s = socket.create_connection(("127.0.0.1", 11211))
        break
    except OSError:
        if time.time() > deadline: sys.exit("ERROR memcached does not listen")
        time.sleep(0.05)
f = s.makefile("rb")
value = b"v" * 1000
for i in range(2000):
    s.sendall(b"set key%d 0 0 %d\r\n%s\r\n" % (i, len(value), value))
    if f.readline() != b"STORED\r\n": print("ERROR set")
s.sendall(b"set n 0 0 1\r\n0\r\n"); f.readline()
n = 0
while True:
    s.sendall(b"incr n 1\r\n")
    got = int(f.readline()); n += 1
    if got != n: print("ERROR memcached said", got, "instead of", n)
    s.sendall(b"get key%d\r\n" % (n % 2000))
    if f.readline().split()[:1] != [b"VALUE"] or f.readline().strip() != value or f.readline() != b"END\r\n": print("ERROR get")
    if n % 100 == 0: print("memcached", n)
    time.sleep(0.002)
"""


def test_memcached(daemon, debian):
    """Cache in memory alone: every key is still there."""
    rounds(create(daemon, debian, "memcached", python(MEMCACHED)), "memcached")


SHELL = "n=0; while :; do n=$((n+1)); m=$(expr $n + 0); [ $m = $n ] || echo ERROR; [ $((n % 20)) != 0 ] || echo shell $n; done"


def test_busy_shell(daemon, debian):
    """dash uses vfork: most of the time somebody cannot be frozen in a state that CRIU takes."""
    rounds(create(daemon, debian, "shell", ["sh", "-c", SHELL]), "shell")


MARIADB = r"""
set -e
mkdir -p /var/lib/mysql /run/mysqld
cd /var/lib/mysql
exec 2>&1
mariadbd --no-defaults --user=root --datadir=/var/lib/mysql --skip-grant-tables --skip-networking --socket=/run/mysqld/s \
	--innodb-buffer-pool-size=8M --innodb-log-file-size=8M --performance-schema=off --aria-pagecache-buffer-size=4M \
	--key-buffer-size=1M --pid-file=/run/mysqld/pid &
i=0
until mariadb --no-defaults -S /run/mysqld/s -e 'select 1' >/dev/null 2>&1; do
	i=$((i+1)); [ $i -lt 400 ] || { echo ERROR mariadbd does not answer; exit 1; }; sleep 0.1
done
q() { mariadb --no-defaults -S /run/mysqld/s -N -B -e "$1"; }
q 'create database d; create table d.t (n int primary key) engine=innodb'
n=0
while :; do
	n=$((n+1))
	got=$(q "insert into d.t values ($n); select count(*) from d.t")
	[ "$got" = $n ] || echo ERROR $got instead of $n
	echo mariadb $n
done
"""


def start_mariadb(daemon, scratch, **kw):
    tar = rootfs_tar(scratch, "mariadb")
    c = create(daemon, tar, "mariadb", ["sh", "-c", MARIADB], **kw)
    wait_until(lambda: last_number(c, "mariadb") > 0, lambda: f"mariadbd works: {c.describe()}")
    return c


def test_mariadb_falls_back(daemon, scratch):
    """MariaDB wants io_uring; the checkpointable profile refuses it, it goes on by other means and can be checkpointed."""
    c = start_mariadb(daemon, scratch)
    rounds(c, "mariadb")


def test_mariadb_is_refused_with_io_uring(daemon, scratch):
    """The same with profile=full: told in plain words before anything is frozen, and the server goes on."""
    c = start_mariadb(daemon, scratch, config={"checkpoint.profile": "full"})
    held = [os.readlink(f"/proc/{pid}/fd/{fd}") for pid in (c.daemon.processes()) for fd in safe_list(f"/proc/{pid}/fd")
            if os.path.islink(f"/proc/{pid}/fd/{fd}")]
    if not any("io_uring" in target for target in held):
        pytest.skip("this build of mariadbd does not use io_uring")
    with pytest.raises(ApiError, match="io_uring") as e:
        c.stop_stateful()
    assert "mariadbd" in e.value.text and "checkpointable" in e.value.text
    assert c.status == "Running" and not c.is_frozen()
    before = last_number(c, "mariadb")
    wait_until(lambda: last_number(c, "mariadb") > before + 1, "it goes on")


def safe_list(folder):
    try:
        return os.listdir(folder)
    except OSError:
        return []
