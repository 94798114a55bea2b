# SPDX-License-Identifier: Apache-2.0
"""Containers outlive the daemon; the next one finds them; two daemons do not see each other."""
import os
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

from harness import ApiError, Reader, wait_until


@pytest.mark.parametrize("kill", [False, True], ids=["SIGTERM", "SIGKILL"])
def test_containers_run_on(fresh, kill):
    """The daemon goes, by request or by force; nothing happens to containers, and the next daemon knows them."""
    c = fresh.counter("c1", "--every", 20)
    paused = fresh.counter("p1")
    paused.pause()
    saved = fresh.counter("s1")
    saved_before = saved.pair()
    saved.stop_stateful()
    before, pid, still = c.pair(), c.pid, paused.pair()

    if kill:
        fresh.kill()
    else:
        fresh.stop()
    root = f"/proc/{pid}/root/count"
    first = os.stat(root).st_mtime_ns
    wait_until(lambda: os.stat(root).st_mtime_ns > first, "the container runs on without a daemon")
    fresh.start()

    assert c.pid == pid and c.status == "Running"
    after = c.counts(before.count)
    assert after.run == before.run and after.gaps == before.gaps, "the container stood still meanwhile"
    assert paused.status == "Frozen" and paused.pair().count == still.count
    assert saved.info()["stateful"] is True
    saved.start()
    assert saved.counts(saved_before.count).run == saved_before.run
    paused.resume()
    paused.counts(still.count)
    numbers = [int(line.split()[0][5:]) for line in c.output_lines() if line.startswith("line=")]
    assert numbers == list(range(1, len(numbers) + 1)), "output was lost while there was no daemon"


def test_everything_works_after_a_restart(fresh):
    """What a daemon adopted is as much its own as what it started."""
    c = fresh.counter("c1", "--exit-code", 5)
    fresh.restart(kill=True)
    assert fresh.cli("exec", "c1", "--", "echo", "hi").stdout == "hi\n"
    before = c.pair()
    c.stop_stateful()
    fresh.restart()
    c.start()
    fresh.restart(kill=True)
    assert c.counts(before.count).run == before.run
    c.pause()
    fresh.restart()
    c.resume()
    c.stop()
    assert c.info()["stasis"]["exit_code"] == 5


def test_exit_while_the_daemon_is_down(fresh):
    """What ended meanwhile is found with its exit code; ephemeral ones are gone."""
    c = fresh.counter("c1", "--exit-code", 9)
    e = fresh.counter("e1", ephemeral=True)
    k = fresh.counter("k1")
    pids = [c.pid, e.pid, k.pid]
    fresh.kill()
    for pid, with_what in zip(pids, (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL)):
        os.kill(pid, with_what)
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), "they have ended")
    fresh.start()
    wait_until(lambda: c.status == "Stopped", "c1 is seen to have ended")
    assert c.info()["stasis"]["exit_code"] == 9
    wait_until(lambda: k.status == "Stopped", "k1 is seen to have ended")
    assert k.info()["stasis"]["exit_code"] == 137
    wait_until(lambda: "e1" not in fresh.instances(), "the ephemeral one is deleted")
    c.start()
    assert c.counts().boots == 2


def test_logs_follow_goes_with_the_daemon(fresh):
    """A client that follows does not hang when its daemon dies."""
    fresh.counter("c1", "--every", 20)
    client = fresh.cli_start("logs", "--follow", "c1")
    reader = Reader(client.stdout.fileno())
    reader.expect("line=000003")
    fresh.kill()
    try:
        assert client.wait(20) is not None
    finally:
        client.kill()
        client.communicate()
    fresh.start()


def test_one_daemon_for_each_folder(fresh):
    """A second daemon on the same folders says who has them, and does no harm."""
    c = fresh.counter("c1")
    second = subprocess.run(fresh.command(), capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode != 0
    assert str(fresh.root) in second.stderr, second.stderr
    c.counts(c.pair().count)


def test_two_daemons_side_by_side(fresh, another):
    other = another()
    ours, theirs = fresh.counter("same"), other.counter("same")
    before = theirs.pair()
    ours.stop_stateful()
    assert theirs.status == "Running"
    assert theirs.counts(before.count).gaps == before.gaps
    theirs.stop_stateful()
    ours.start()
    assert theirs.info()["stateful"] is True
    ours.counts()
    fresh.kill()
    theirs.start()
    assert theirs.counts(before.count).run == before.run
    fresh.start()
    ours.counts()


def test_wrong_settings_are_told(fresh):
    for arguments, words in ((["--no-such-setting", "1"], "no-such-setting"), (["--freeze-timeout", "soon"], "soon")):
        done = subprocess.run([*fresh.command()[:1], "--root", str(fresh.root / "other"), *arguments],
                              capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode != 0 and words in done.stderr, done.stderr
    assert not (fresh.root / "other/run/stasis.socket").exists()


def test_killed_at_random_moments(fresh):
    """SIGKILL in the middle of stops and starts: never stuck, never lost, never twice."""
    c = fresh.counter("c1", "--fill", 8)
    last = c.pair()
    for number in range(10):
        action = {"action": "stop", "stateful": True} if c.status == "Running" else {"action": "start"}
        fresh.rest.begin("PUT", f"{c.url}/state", action)
        time.sleep(0.02 + 0.04 * number)  # not to wait for something: a different moment each time
        fresh.kill()
        wait_until(lambda: not fresh.frozen(), "nothing is frozen", 3)
        fresh.start()
        wait_until(lambda: c.info()["stasis"]["busy"] in (False, None, ""), "recovery has ended")
        if c.status != "Running":
            assert c.info()["stateful"] is True, f"round {number}: stopped and no state: {c.describe()}"
            c.start()
        pair = c.counts(last.count)
        assert pair.run == last.run, f"round {number}: a fresh boot"
        last = pair
    assert len([line for line in fresh.processes().values() if "conmon" in line.split(" ")[0]]) == 1


def test_host_information(daemon):
    """/1.0 says whether this host can checkpoint, proven by doing it."""
    checkpoint = daemon.rest.get("/1.0")["environment"]["checkpoint"]
    assert checkpoint["works"] is True, checkpoint["reason"]
    assert checkpoint["criu_version"] and checkpoint["criu_path"].startswith("/")
    assert checkpoint["cgroups"] in ("cgroup2", "hybrid")


def test_wrong_tools_are_told(another):
    """A host whose criu does not work says so, and refuses before it freezes anything."""
    folder = tempfile.mkdtemp(prefix="st-tools-", dir="/tmp")
    try:
        with open(f"{folder}/criu", "w", encoding="ascii") as f:
            f.write("#!/bin/sh\n[ \"$1\" != --version ] || echo 'Version: 4.2'\nexit 1\n")
        os.chmod(f"{folder}/criu", 0o755)
        crun = shutil.which("crun", path=f"/usr/local/lib/stasis/bin:{os.environ['PATH']}")
        os.symlink(crun, f"{folder}/crun")
        lame = another(arguments=["--tools-dir", folder])
        checkpoint = lame.rest.get("/1.0")["environment"]["checkpoint"]
        assert checkpoint["works"] is False and checkpoint["reason"]
        c = lame.counter("c1")
        before = c.pair()
        with pytest.raises(ApiError):
            c.stop_stateful()
        assert c.status == "Running" and not c.is_frozen()
        assert c.counts(before.count).run == before.run
    finally:
        shutil.rmtree(folder)
