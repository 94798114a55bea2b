# SPDX-License-Identifier: Apache-2.0
"""Launch, create, start, stop, pause, exec, logs, configuration: what people and programs do with an instance."""
import json
import os
import signal
import subprocess
import time

import pytest

from harness import ApiError, Reader, Terminal, wait_until


def launch(daemon, name, *command, options=()):
    daemon.cli("launch", "programs", name, *options, "--", *command)
    daemon.uuids.add(daemon[name].uuid)
    return daemon[name]


# ---- launch, create, list, info -------------------------------------------------------------------------------------


def test_launch_list_info(daemon):
    c = launch(daemon, "web", "/bin/counter")
    c.counts()
    table = daemon.cli("list").stdout
    assert "web" in table and "running" in table.lower()
    assert [row["name"] for row in daemon.cli_json("list")] == ["web"]
    text = daemon.cli("info", "web").stdout
    assert "web" in text and str(c.pid) in text
    assert daemon.cli("info").returncode == 0


def test_builtin_image(fresh):
    """With no image named there is busybox, made from the host's own."""
    fresh.cli("launch")
    (name,) = fresh.instances()
    fresh.uuids.add(fresh[name].uuid)
    assert fresh[name].status == "Running"
    assert fresh.cli("exec", name, "--", "echo", "hello").stdout == "hello\n"
    before = fresh[name].pid
    fresh[name].stop_stateful()
    fresh[name].start()
    assert fresh[name].pid != before
    assert fresh.cli("exec", name, "--", "sh", "-c", "echo still $((20 + 22))").stdout == "still 42\n"


def test_create_does_not_start(daemon):
    daemon.cli("create", "programs", "later", "--", "/bin/counter")
    c = daemon["later"]
    daemon.uuids.add(c.uuid)
    assert c.status == "Stopped" and c.pid == 0
    assert c.info()["stateful"] is False
    daemon.cli("start", "later")
    c.counts()


def test_fresh_start_keeps_the_disk_and_not_the_memory(daemon):
    c = daemon.counter("c1")
    first = c.pair()
    c.stop()
    c.start()
    second = c.counts()
    assert second.run != first.run and second.boots == 2


def test_unknown_names(daemon):
    for call in (lambda: daemon["nobody"].start(), lambda: daemon["nobody"].info(), lambda: daemon["nobody"].delete()):
        with pytest.raises(ApiError, match="nobody") as e:
            call()
        assert e.value.code == 404
    answer = daemon.cli("start", "nobody", check=False)
    assert answer.returncode == 1 and "nobody" in answer.stderr


@pytest.mark.parametrize("name", ["-a", "a-", "a_b", "a.b", "a/b", "..", "a b", "123", "x" * 64, "ä", "a\n"])
def test_names_refused(daemon, name):
    with pytest.raises(ApiError) as e:
        daemon.create(name, ["/bin/counter"])
    assert e.value.code == 400, e.value
    assert daemon.instances() == []


def test_name_taken(daemon):
    daemon.create("c1", ["/bin/counter"], start=False)
    with pytest.raises(ApiError, match="c1") as e:
        daemon.create("c1", ["/bin/counter"])
    assert e.value.code == 409


def test_unknown_image(daemon):
    with pytest.raises(ApiError, match="nothing-of-the-kind") as e:
        daemon.create("c1", image="nothing-of-the-kind")
    assert e.value.code == 404
    assert daemon.instances() == []


def test_command_that_does_not_exist(daemon):
    with pytest.raises(ApiError, match="/bin/nothing"):
        daemon.create("c1", ["/bin/nothing"])
    for name in daemon.instances():
        daemon.uuids.add(daemon[name].uuid)
        assert daemon[name].status == "Stopped"


# ---- stop, restart, exit codes ---------------------------------------------------------------------------------------


def test_stop_by_signal(daemon):
    c = daemon.counter("c1", "--exit-code", 7)
    c.stop()
    assert c.status == "Stopped"
    assert c.info()["stasis"]["exit_code"] == 7
    assert c.output_lines()[-1].startswith("end count=")


def test_stop_times_out_and_kills(daemon):
    c = daemon.counter("c1", "--ignore-term")
    c.stop(timeout=1)
    assert c.status == "Stopped"
    assert c.info()["stasis"]["exit_code"] == 137
    assert not c.output_lines()[-1].startswith("end")


def test_stop_force(daemon):
    c = daemon.counter("c1", "--ignore-term")
    daemon.cli("stop", "c1", "--force")
    assert c.status == "Stopped" and c.info()["stasis"]["exit_code"] == 137


def test_stop_signal_of_the_configuration(daemon):
    """stop.signal goes to the first process, instead of SIGTERM."""
    c = daemon.create("c1", ["/bin/sh", "-c", "trap 'exit 5' INT; trap '' TERM; echo up; while :; do sleep 0.05; done"],
                      config={"stop.signal": "SIGINT"})
    wait_until(lambda: "up" in c.output(), "the trap is set")
    c.stop()
    assert c.info()["stasis"]["exit_code"] == 5


def test_stop_of_a_paused_one(daemon):
    """It is let go, so that it hears the signal and ends in order."""
    c = daemon.counter("c1")
    c.pause()
    c.stop()
    assert c.status == "Stopped"
    assert c.info()["stasis"]["exit_code"] == 0 and c.output_lines()[-1].startswith("end count=")


def test_stop_of_a_stopped_one_is_refused(daemon):
    c = daemon.create("c1", ["/bin/counter"], start=False)
    for body in ({}, {"force": True}, {"stateful": True}):
        with pytest.raises(ApiError, match="(?i)not running|stopped"):
            c.stop(**body)
    assert c.info()["stateful"] is False


def test_exit_by_itself(daemon):
    c = daemon.create("c1", ["/bin/counter", "--exit-after", "30", "--exit-code", "3"])
    wait_until(lambda: c.status == "Stopped", "its end is noticed")
    assert c.info()["stasis"]["exit_code"] == 3
    assert c.pid == 0


def test_killed_from_outside(daemon):
    c = daemon.counter("c1")
    os.kill(c.pid, signal.SIGKILL)
    wait_until(lambda: c.status == "Stopped", "its end is noticed")
    assert c.info()["stasis"]["exit_code"] == 137
    c.start()
    assert c.counts().boots == 2


def test_restart(daemon):
    c = daemon.counter("c1")
    first = c.pair()
    daemon.cli("restart", "c1")
    second = c.counts()
    assert second.run != first.run and second.boots == 2
    c.restart(stateful=True)
    third = c.counts(second.count)
    assert third.run == second.run, "a stateful restart booted afresh"


def test_restart_uses_a_saved_state(daemon):
    """restart follows the same rule as start: a state that exists is used."""
    c = daemon.counter("c1")
    before = c.pair()
    c.stop_stateful()
    try:
        c.restart()
    except ApiError as e:  # to restart what does not run may be refused, but the state must stay
        assert c.info()["stateful"] is True, e
        c.start()
    assert c.counts(before.count).run == before.run


def test_start_of_a_running_one_is_refused(daemon):
    c = daemon.counter("c1")
    with pytest.raises(ApiError, match="(?i)running"):
        c.start()
    c.counts()


# ---- pause and resume ------------------------------------------------------------------------------------------------


def test_pause_and_resume(daemon):
    c = daemon.counter("c1")
    daemon.cli("pause", "c1")
    assert c.status == "Frozen"
    still = c.pair()
    assert c.is_frozen()
    for _ in range(10):
        assert c.pair().count == still.count
    daemon.cli("resume", "c1")
    assert c.status == "Running"
    c.counts(still.count)


def test_start_resumes_a_paused_one(daemon):
    c = daemon.counter("c1")
    c.pause()
    before = c.pair()
    c.start()
    assert c.status == "Running"
    assert c.counts(before.count).run == before.run


def test_pause_twice_and_resume_twice(daemon):
    c = daemon.counter("c1")
    with pytest.raises(ApiError):
        c.resume()
    c.pause()
    with pytest.raises(ApiError):
        c.pause()
    assert c.status == "Frozen"
    c.resume()
    c.counts()


# ---- stop with state -------------------------------------------------------------------------------------------------


def test_stateful_stop_by_command_line(daemon):
    c = launch(daemon, "c1", "/bin/counter", "--fill", "1")
    before = c.counts()
    text = daemon.cli("stop", "--stateful", "c1").stdout
    assert "c1" in text
    assert c.info()["stateful"] is True
    assert "c1" in daemon.cli("list").stdout
    text = daemon.cli("start", "c1").stdout
    assert c.counts(before.count).run == before.run


def test_stateful_stop_of_a_paused_one(daemon):
    """Its state is saved, and what was paused comes back paused."""
    c = daemon.counter("c1")
    c.pause()
    before = c.pair()
    c.stop_stateful()
    c.start()
    if c.status == "Frozen":
        c.resume()
    after = c.counts(before.count)
    assert after.run == before.run


def test_stateful_stop_of_a_starting_or_busy_one(daemon):
    """While somebody else has it, the answer comes at once, says so, and nothing happens to the instance."""
    c = daemon.counter("c1", "--ignore-term")
    operation = daemon.rest.begin("PUT", f"{c.url}/state", {"action": "stop", "timeout": 3})
    refused = None
    for action in ({"action": "stop", "stateful": True}, {"action": "freeze"}, {"action": "restart"}):
        began = time.monotonic()
        with pytest.raises(ApiError, match="(?i)busy") as refused:
            daemon.rest.put(f"{c.url}/state", action)
        assert refused.value.code == 409
        assert time.monotonic() - began < 2, "the answer did not come at once"
    daemon.rest.finish(operation)
    assert c.status == "Stopped" and c.info()["stateful"] is False


def test_stateful_stop_of_a_starting_one(daemon):
    """Start and stop on each other's heels: one of them is told to wait, or it works; never half."""
    c = daemon.create("c1", ["/bin/counter"], start=False)
    operation = daemon.rest.begin("PUT", f"{c.url}/state", {"action": "start"})
    try:
        c.stop_stateful()
    except ApiError as e:
        assert "busy" in e.text.lower() or "running" in e.text.lower(), e
        daemon.rest.finish(operation)
        c.counts()
    else:
        daemon.rest.finish(operation)
        c.start()
        assert c.counts().boots == 1


def test_second_stateful_stop_works(daemon):
    """Incus cannot: no dump after a restore."""
    c = daemon.counter("c1", "--fill", 1)
    run = c.pair().run
    for _ in range(3):
        c.stop_stateful()
        c.start()
        assert c.counts().run == run


def test_start_stateless_discards_the_state(daemon):
    c = daemon.counter("c1")
    before = c.pair()
    c.stop_stateful()
    daemon.cli("start", "--stateless", "c1")
    after = c.counts()
    assert after.run != before.run and after.boots == 2
    info = c.info()
    assert info["stateful"] is False and info["stasis"]["state"] is None
    c.stop()
    c.start()
    assert c.counts().boots == 3


def test_plain_stop_does_not_touch_an_older_state(daemon):
    """Stopped with state, started, stopped plainly: what was used is not used again."""
    c = daemon.counter("c1")
    run = c.pair().run
    c.stop_stateful()
    c.start()
    assert c.counts().run == run
    c.stop()
    assert c.info()["stateful"] is False
    c.start()
    assert c.counts().boots == 2


def test_files_of_a_state_are_private(daemon):
    c = daemon.counter("c1")
    uuid = c.uuid
    c.stop_stateful()
    manifests = [path for path in daemon.root.rglob("stasis.json") if uuid in str(path)]
    assert manifests, "no manifest of the saved state"
    for manifest in manifests:
        state = manifest.parent
        assert state.stat().st_mode & 0o777 == 0o700, f"{state} is {state.stat().st_mode:o}"
        for path in state.rglob("*"):
            mode = path.lstat().st_mode & 0o777
            if path.is_dir():
                assert mode == 0o700, f"{path} is {mode:o}"
            elif not path.is_symlink() and "upper" not in path.parts:
                assert mode == 0o600, f"{path} is {mode:o}"
        content = json.loads(manifest.read_text())
        assert "pages" in json.dumps(content), "the manifest names no files"


def test_start_all_and_stop_all(daemon):
    one, two = daemon.counter("one"), daemon.counter("two")
    three = daemon.create("three", ["/bin/counter"], start=False)
    runs = {c.name: c.pair().run for c in (one, two)}
    daemon.cli("stop", "--all", "--stateful")
    assert one.info()["stateful"] and two.info()["stateful"] and not three.info()["stateful"]
    daemon.cli("start", "--all")
    assert one.counts().run == runs["one"] and two.counts().run == runs["two"]
    assert three.counts().boots == 1
    daemon.cli("stop", "--all")
    assert {daemon[name].status for name in daemon.instances()} == {"Stopped"}
    assert not any(daemon[name].info()["stateful"] for name in daemon.instances())


# ---- ephemeral -------------------------------------------------------------------------------------------------------


def test_ephemeral_goes_on_stop(daemon):
    c = daemon.counter("e1", ephemeral=True)
    c.stop()
    wait_until(lambda: daemon.instances() == [], "it is deleted")


def test_ephemeral_goes_when_it_ends_by_itself(daemon):
    daemon.create("e1", ["/bin/counter", "--exit-after", "400"], ephemeral=True)
    wait_until(lambda: daemon.instances() == [], "it is deleted")


def test_ephemeral_stays_on_a_stateful_stop(daemon):
    c = daemon.counter("e1", ephemeral=True)
    before = c.pair()
    c.stop_stateful()
    assert daemon.instances() == ["e1"]
    c.start()
    assert c.counts(before.count).run == before.run
    c.stop()
    wait_until(lambda: daemon.instances() == [], "it is deleted")


def test_ephemeral_stays_on_restart(daemon):
    c = daemon.counter("e1", ephemeral=True)
    c.restart()
    assert c.counts().boots == 2


# ---- delete, rename --------------------------------------------------------------------------------------------------


def test_delete(daemon):
    c = daemon.counter("c1")
    uuid = c.uuid
    with pytest.raises(ApiError, match="(?i)running") as e:
        c.delete()
    assert e.value.code in (400, 409)
    c.counts()
    daemon.cli("delete", "--force", "c1")
    assert daemon.instances() == []
    assert daemon.leftovers_of(uuid) == []


def test_delete_takes_the_saved_state_along(daemon):
    c = daemon.counter("c1", "--fill", 4)
    uuid = c.uuid
    c.stop_stateful()
    c.delete()
    assert daemon.leftovers_of(uuid) == []


def test_delete_of_a_paused_one(daemon):
    c = daemon.counter("c1")
    c.pause()
    with pytest.raises(ApiError):
        c.delete()
    c.delete(force=True)


def test_rename(daemon):
    c = daemon.counter("old")
    before = c.pair()
    c.stop_stateful()
    daemon.cli("rename", "old", "new")
    assert daemon.instances() == ["new"]
    daemon["new"].start()
    assert daemon["new"].counts(before.count).run == before.run
    daemon["new"].stop()
    daemon.create("other", ["/bin/counter"], start=False)
    with pytest.raises(ApiError) as e:
        daemon.rest.post("/1.0/instances/new", {"name": "other"})
    assert e.value.code in (400, 409) and "other" in e.value.text
    with pytest.raises(ApiError) as e:
        daemon.rest.post("/1.0/instances/new", {"name": "no/good"})
    assert e.value.code == 400


# ---- exec ------------------------------------------------------------------------------------------------------------


def test_exec_output_and_exit_codes(daemon):
    daemon.counter("c1")
    done = daemon.cli("exec", "c1", "--", "sh", "-c", "echo out; echo err >&2; exit 7", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")
    assert daemon.cli("exec", "c1", "--", "true").returncode == 0
    assert daemon.cli("exec", "c1", "--", "/bin/nothing", check=False).returncode == 127
    assert daemon.cli("exec", "c1", "--", "/etc/passwd", check=False).returncode == 126
    assert daemon.cli("exec", "c1", "--", "sh", "-c", "kill -9 $$", check=False).returncode == 137


def test_exec_standard_input(daemon):
    daemon.counter("c1")
    text = "".join(f"line {n}\n" for n in range(20000))
    assert daemon.cli("exec", "c1", "--", "cat", input=text).stdout == text
    assert daemon.cli("exec", "c1", "--", "wc", "-l", input=text).stdout.strip() == "20000"


def test_exec_much_output(daemon):
    daemon.counter("c1")
    done = daemon.cli("exec", "c1", "--", "sh", "-c", "seq 1 200000; seq 1 50000 >&2")
    assert done.stdout.split() == [str(n) for n in range(1, 200001)]
    assert done.stderr.split() == [str(n) for n in range(1, 50001)]


def test_exec_environment_folder_user(daemon):
    daemon.counter("c1")
    out = daemon.cli("exec", "--env", "COLOUR=green", "--cwd", "/tmp", "--user", "1000", "c1", "--",
                     "sh", "-c", "echo $COLOUR $PWD $(id -u)").stdout
    assert out == "green /tmp 1000\n"


def test_exec_on_a_terminal(daemon):
    daemon.counter("c1")
    with Terminal(daemon, "exec", "-t", "c1", "--", "sh", "-c", "tty; stty size; read word; echo heard $word; exit 3",
                  rows=30, columns=100) as terminal:
        terminal.expect(r"/dev/pts/\d+\s+30 100")
        terminal.type("hello\r")
        terminal.expect("heard hello")
        assert terminal.wait() == 3


def test_exec_where_nothing_runs(daemon):
    c = daemon.create("c1", ["/bin/counter"], start=False)
    assert daemon.cli("exec", "c1", "--", "true", check=False).returncode not in (0, 127)
    c.start()
    c.pause()
    done = daemon.cli("exec", "c1", "--", "true", check=False)
    assert done.returncode != 0 and "paused" in done.stderr.lower() + done.stdout.lower()


def test_exec_session_ends_with_its_client(daemon):
    """A client that is gone leaves no process behind in the container."""
    c = daemon.counter("c1")
    client = daemon.cli_start("exec", "c1", "--", "sleep", "1234")

    def sessions():
        return [line for line in daemon.processes().values() if line == "sleep 1234"]

    wait_until(sessions, "the session runs")
    client.kill()
    client.communicate()
    wait_until(lambda: not sessions(), "the session has ended")
    c.counts()


# ---- logs and console ------------------------------------------------------------------------------------------------


def test_logs(daemon):
    """Each line goes where the program wrote it."""
    c = daemon.create("c1", ["/bin/sh", "-c", "echo one; echo two >&2; printf three; sleep 1000"])
    wait_until(lambda: sorted(c.output_lines()) == ["one", "three", "two"], lambda: c.output())
    done = daemon.cli("logs", "c1")
    assert done.stdout.split() == ["one", "three"] and done.stderr.split() == ["two"]
    assert daemon.cli("logs", "--tail", "1", "c1").stdout.split() in (["three"], [])


def test_logs_follow(daemon):
    """Follows over a stateful stop and start, or ends with the instance; lines are never lost or twice."""
    daemon.counter("c1", "--every", 20)
    client = daemon.cli_start("logs", "--follow", "c1")
    reader = Reader(client.stdout.fileno())
    try:
        reader.expect("line=000010 ")
        reader.expect("line=000030 ")
        numbers = [int(line.split()[0][5:]) for line in reader.text.splitlines()[:-1] if line.startswith("line=")]
        assert numbers == list(range(1, len(numbers) + 1))
    finally:
        client.kill()
        client.wait()


def test_console(daemon):
    """A shell on the instance's own terminal."""
    c = daemon.create("c1", ["/bin/sh"], config={"console.tty": "true"})
    with Terminal(daemon, "console", "c1") as terminal:
        terminal.expect("Attached to c1")
        terminal.type("echo $((40 + 2)) answers\r")
        terminal.expect("42 answers")
        terminal.type("\x01q")
        assert terminal.wait() == 0
    assert c.status == "Running", "leaving the console has ended the instance"
    with Terminal(daemon, "console", "c1") as terminal:
        terminal.expect("Attached to c1")
        terminal.type("exit 9\r")
        assert terminal.wait() == 0
    wait_until(lambda: c.status == "Stopped", "the shell has ended")
    assert c.info()["stasis"]["exit_code"] == 9


def test_console_of_a_lost_client(daemon):
    """A client that dies leaves the instance alone, and the next one gets through."""
    c = daemon.create("c1", ["/bin/sh"], config={"console.tty": "true"})
    for number in range(3):
        with Terminal(daemon, "console", "c1") as terminal:
            terminal.expect("Attached to c1")
            terminal.type(f"echo $((40 + {number})) answers\r")
            terminal.expect(f"{40 + number} answers")
    assert c.status == "Running"


# ---- configuration ---------------------------------------------------------------------------------------------------


def test_config(daemon):
    c = daemon.create("c1", ["/bin/counter"], config={"user.colour": "green"}, start=False)
    assert daemon.cli("config", "get", "c1", "user.colour").stdout == "green\n"
    daemon.cli("config", "set", "c1", "user.colour=blue", "boot.autostart=true")
    assert c.info()["config"]["user.colour"] == "blue"
    assert c.info()["config"]["boot.autostart"] == "true"
    daemon.cli("config", "unset", "c1", "user.colour")
    assert "user.colour" not in c.info()["config"]


def test_config_is_checked(daemon):
    c = daemon.create("c1", ["/bin/counter"], config={"boot.autostart": "true"}, start=False)
    for key, value, words in (("boot.autostrat", "true", "boot.autostart"), ("boot.autostart", "perhaps", "perhaps"),
                              ("boot.host_shutdown_action", "dance", "stateful-stop"),
                              ("boot.autostart.priority", "high", "high"), ("no.such.key", "1", "no.such.key"),
                              ("volatile.uuid", "1", "volatile")):
        with pytest.raises(ApiError, match=words) as e:
            daemon.rest.patch(c.url, {"config": {key: value}})
        assert e.value.code == 400
    assert c.info()["config"].get("boot.autostart") == "true"
    with pytest.raises(ApiError, match="boot.autostrat"):
        daemon.create("c2", ["/bin/counter"], config={"boot.autostrat": "true"})
    assert daemon.instances() == ["c1"]


def test_config_keys_are_told(daemon):
    keys = daemon.rest.get("/1.0/config-keys")
    names = [row["name"] for row in keys]
    assert names == sorted(names)
    for name in ("boot.autostart", "boot.autostart.delay", "boot.autostart.priority", "boot.host_shutdown_action",
                 "boot.host_shutdown_timeout", "boot.stop.priority", "checkpoint.profile", "stop.signal", "stop.timeout"):
        assert name in names
    assert all(row["help"] for row in keys)


def test_environment_of_the_configuration(daemon):
    c = daemon.create("c1", ["/bin/sh", "-c", "echo $GREETING $(hostname); sleep 1000"],
                      config={"environment.GREETING": "hello"})
    wait_until(lambda: c.output_lines() == ["hello c1"], lambda: c.output())


# ---- the command line itself -----------------------------------------------------------------------------------------


def test_usage_errors(daemon):
    assert daemon.cli("nonsense", check=False).returncode == 2
    assert daemon.cli("stop", check=False).returncode == 2
    assert daemon.cli("start", "--no-such-option", "c1", check=False).returncode == 2
    answer = daemon.cli("strat", "c1", check=False)
    assert "start" in answer.stderr
    assert daemon.cli("--help").returncode == 0
    assert daemon.cli("help", "stop").stdout.startswith(("Usage", "usage", "stasis"))


def test_no_daemon(daemon, tmp_path):
    done = subprocess.run(daemon.cli_command("list", "--socket", tmp_path / "nobody"), capture_output=True, text=True,
                          env=daemon.cli_environment(), check=False)
    assert done.returncode == 3 and "nobody" in done.stderr


def test_show_log_after_a_failed_checkpoint(daemon):
    c = daemon.create("f1", ["/bin/feat", "traced"])
    wait_until(lambda: "feat ready" in c.output(), "feat is ready")
    assert daemon.cli("stop", "--stateful", "f1", check=False).returncode == 1
    text = daemon.cli("info", "--show-log", "f1").stdout
    assert "trac" in text


def test_list_formats(daemon):
    daemon.create("c1", ["/bin/counter"], start=False)
    assert daemon.cli("list", "--format", "csv").stdout.startswith("c1,")
    assert daemon.cli_json("list")[0]["name"] == "c1"
    assert "c1" in daemon.cli("list", "--format", "compact").stdout
