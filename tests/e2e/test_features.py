# SPDX-License-Identifier: Apache-2.0
"""What the kernel knows of a process and CRIU brings back; each program verifies itself (tests/programs/feat*.c)."""
import os
import re
import signal

import pytest

from harness import ApiError, Terminal, wait_until

ROUNDS = 2


def status_of(instance):
    """The word, the round and the rest of the program's status file."""
    try:
        words = instance.read("/status").strip().split(maxsplit=2)
    except OSError:
        return None
    return words or None


def start_feature(daemon, name, **kw):
    c = daemon.create("f1", ["/bin/feat", name], **kw)
    status = wait_until(lambda: status_of(c), lambda: f"feat {name} is ready: {c.describe()}")
    if status[0] == "unsupported":
        pytest.skip(f"feat {name}: this host or profile does not give it: {' '.join(status[1:])}")
    assert status[0] == "ready", status
    return c


def verify(instance, number):
    """Asks the program for its verification and returns what it says."""
    os.kill(instance.pid, signal.SIGUSR1)

    def answered():
        status = status_of(instance)
        return status if status and status[0] in ("ok", "fail") and int(status[1]) >= number else None

    status = wait_until(answered, lambda: f"verification {number}: {instance.describe()}")
    assert status[0] == "ok", " ".join(status)
    return status[2] if len(status) > 2 else ""


# name, configuration
SURVIVE = [
    ("affinity", {}), ("cwd", {}), ("deleted-big", {}), ("deleted-small", {}), ("epoll", {}), ("eventfd", {}),
    ("flock", {}), ("inotify", {}), ("link-gone", {}), ("mapped", {}), ("memfd", {}), ("offsets", {}), ("pipe", {}),
    ("posix-timer", {}), ("processes", {}), ("profile", {}), ("signals", {}), ("socketpair", {}),
    ("sysv", {}), ("tcp", {}), ("tcp-time-wait", {}), ("threads", {}), ("timerfd", {}), ("tmpfs", {}), ("tty", {"console.tty": "true"}), ("udp", {}),
    ("unix", {}), ("uring", {}), ("vfork", {}), ("zombie", {}),
]


@pytest.mark.parametrize("name,config", SURVIVE, ids=[row[0] for row in SURVIVE])
def test_survives(daemon, name, config):
    c = start_feature(daemon, name, config=config)
    verify(c, 1)
    for number in range(ROUNDS):
        c.stop_stateful()
        c.start()
        verify(c, 2 + number)


# What CRIU 4.2.1 loses without a word, and what the check must say of it if the engine cannot keep it.
SILENT = [("lock-mapped", r"(?i)lock"), ("semaphore", r"(?i)semaphore"), ("timerfd-short", r"(?i)timer")]


@pytest.mark.parametrize("name,words", SILENT, ids=[row[0] for row in SILENT])
def test_kept_or_named(daemon, name, words):
    """Nothing is lost silently: the thing survives, or the pre-flight names it."""
    c = start_feature(daemon, name)
    verify(c, 1)
    report = daemon.rest.get(f"{c.url}/check")
    if any(re.search(words, o["resource"] + o["remedy"]) for o in report["obstacles"]):
        return
    c.stop_stateful()
    c.start()
    verify(c, 2)


def test_io_uring_falls_back(daemon):
    """Under the checkpointable profile a program that wants io_uring is told that there is none, and reads."""
    c = start_feature(daemon, "uring")
    assert verify(c, 1) == "read"


def test_terminal_speaks_after_restore(daemon):
    c = start_feature(daemon, "tty", config={"console.tty": "true"})
    for number in range(ROUNDS):
        c.stop_stateful()
        c.start()
        with Terminal(daemon, "console", "f1", rows=33, columns=111) as terminal:
            word = f"word{number}"
            terminal.type(f"{word}\r")
            terminal.expect(rf"heard: {word}")
        verify(c, 1 + number)


FULL = {"checkpoint.profile": "full"}

# name, configuration, what the refusal must say
REFUSED = [
    ("memfd-secret", FULL, r"secret"),
    ("mqueue", FULL, r"(?i)message queue|mqueue"),
    ("nested", FULL, r"(?i)namespace"),
    ("odirect-pipe", FULL, r"(?i)O_DIRECT|packet"),
    ("traced", {}, r"(?i)trace"),
    ("uring", FULL, r"io_uring"),
    ("userfaultfd", FULL, r"(?i)userfault"),
    ("vsock", FULL, r"(?i)vsock"),
]


@pytest.mark.parametrize("name,config,words", REFUSED, ids=[row[0] for row in REFUSED])
def test_refused_in_plain_words(daemon, name, config, words):
    """The pre-flight names process, resource and remedy; the container notices nothing."""
    c = start_feature(daemon, name, config=config)
    pid = c.pid

    report = daemon.rest.get(f"{c.url}/check")
    assert report["can_checkpoint"] is False
    fatal = [o for o in report["obstacles"] if o["fatal"]]
    assert fatal and any(re.search(words, o["resource"] + o["remedy"]) for o in fatal), report
    for obstacle in fatal:
        assert obstacle["command"] == "feat" and obstacle["pid"] >= 1
        assert len(obstacle["remedy"]) > 10, obstacle

    with pytest.raises(ApiError, match=words) as refusal:
        c.stop_stateful()
    assert "feat" in refusal.value.text, "the refusal does not name the process"

    info = c.info()
    assert info["status"] == "Running" and info["stateful"] is False
    assert c.pid == pid
    assert not c.is_frozen()
    if name != "uring":
        wait_until(lambda: c.inside("/ticks").exists(), "it ticks")
        before = c.read("/ticks")
        wait_until(lambda: c.read("/ticks") > before, "the container runs on")

    answer = daemon.cli("check", "f1", check=False)
    assert answer.returncode == 1
    assert re.search(words, answer.stdout + answer.stderr), answer


def test_check_of_a_good_one(daemon):
    daemon.counter("c1")
    report = daemon.rest.get("/1.0/instances/c1/check")
    assert report["can_checkpoint"] is True
    assert not [o for o in report["obstacles"] if o["fatal"]]
    assert report["processes"] == 1 and report["threads"] == 1
    assert report["memory"] > 0
    assert daemon.cli("check", "c1").returncode == 0


def test_exec_session_is_not_part_of_it(daemon):
    """A session from outside is said to be lost, and does not stop the checkpoint."""
    c = daemon.counter("c1")
    session = daemon.cli_start("exec", "c1", "--", "sleep", "1000")
    try:
        wait_until(lambda: daemon.rest.get(f"{c.url}/check")["processes"] == 2 or
                   daemon.rest.get(f"{c.url}/check")["obstacles"], "the session is seen")
        report = daemon.rest.get(f"{c.url}/check")
        assert report["can_checkpoint"] is True, report
        before = c.pair()
        c.stop_stateful()
        assert session.wait(60) != 0
        c.start()
        assert c.counts(before.count).run == before.run
    finally:
        session.kill()
        session.communicate()
