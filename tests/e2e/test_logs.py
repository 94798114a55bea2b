# SPDX-License-Identifier: Apache-2.0
"""The log goes on in order over restores, whatever the program has done to its descriptors."""
import re

import pytest

from harness import Reader, wait_until


def numbers(instance):
    return [int(found[1]) for found in (re.match(r"line=(\d+) ", line) for line in instance.output_lines()) if found]


@pytest.mark.parametrize("redirect", [False, True], ids=["plain", "fd 1 redirected"])
def test_output_goes_on(daemon, redirect):
    """crun notes the descriptors of the running program for the next restore; a program whose fd 1 is something else at
    that moment lost its output for ever."""
    c = daemon.counter("c1", "--every", 20, *(["--redirect"] if redirect else []))
    for _ in range(4):
        lines = c.pair().lines
        c.stop_stateful()
        c.start()
        wait_until(lambda: c.pair().lines > lines + 2, "it prints on")
    count = c.pair().lines
    wait_until(lambda: len(numbers(c)) >= count, "all is logged")
    found = numbers(c)
    assert found == list(range(1, len(found) + 1))
    assert len([line for line in c.output_lines() if line.startswith("begin")]) == 1


def test_standard_error_too(daemon):
    script = "exec 3>&1 4>&2 >/dev/null 2>&1; n=0; while :; do n=$((n+1)); echo out $n >&3; echo err $n >&4; sleep 0.05; done"
    c = daemon.create("c1", ["/bin/sh", "-c", script])
    for _ in range(3):
        before = len(c.output_lines("stderr"))
        wait_until(lambda: len(c.output_lines("stderr")) > before + 2, "it prints on")
        c.stop_stateful()
        c.start()
    before = len(c.output_lines("stderr"))
    wait_until(lambda: len(c.output_lines("stderr")) > before + 2, "it prints on")
    for stream, word in (("stdout", "out"), ("stderr", "err")):
        lines = c.output_lines(stream)
        assert lines == [f"{word} {n}" for n in range(1, len(lines) + 1)]


def test_output_on_a_terminal_goes_on(daemon):
    c = daemon.counter("c1", "--every", 20, config={"console.tty": "true"})
    for _ in range(3):
        lines = c.pair().lines
        c.stop_stateful()
        c.start()
        wait_until(lambda: c.pair().lines > lines + 2, "it prints on")
    count = c.pair().lines
    wait_until(lambda: len(numbers(c)) >= count, "all is logged")
    found = numbers(c)
    assert found == list(range(1, len(found) + 1))


def test_follow_over_a_restore(daemon):
    """Who follows the log sees it go on, or is told the end and can follow again; no line is lost or twice."""
    c = daemon.counter("c1", "--every", 20)
    client = daemon.cli_start("logs", "--follow", "c1")
    reader = Reader(client.stdout.fileno())
    try:
        reader.expect("line=000003 ")
        c.stop_stateful()
        c.start()
        lines = c.counts().lines
        wait_until(lambda: reader.ended or f"line={lines + 2:06} " in reader.text, "the log goes on, or ends")
        seen = [int(n) for n in re.findall(r"^line=(\d+) .*\n", reader.text, re.M)]
        assert seen == list(range(1, len(seen) + 1))
    finally:
        client.kill()
        client.wait()


def test_log_over_boots(daemon):
    """A new boot goes on in the same log; nothing of the old run is overwritten."""
    c = daemon.counter("c1", "--every", 20)
    c.restart()
    c.counts()
    begins = [line for line in c.output_lines() if line.startswith("begin")]
    assert len(begins) in (1, 2)
    assert "boots=2" in begins[-1]


def test_logs_of_criu_are_kept(daemon):
    c = daemon.counter("c1")
    c.stop_stateful()
    c.start()
    c.counts()
    names = c.logs()
    assert "output.log" in names and "stasis.log" in names
    assert any(re.match(r"checkpoint_dump_.*\.log", name) for name in names), names
    assert any(re.match(r"checkpoint_restore_.*\.log", name) for name in names), names
    dump = next(name for name in names if name.startswith("checkpoint_dump_"))
    assert "Dumping finished" in c.log_file(dump) or "finished successfully" in c.log_file(dump)
    assert c.log_file("lxc.log") == c.log_file("stasis.log")


def test_a_flood(daemon):
    """Much output at once, through a stop in the middle: everything that was written before is there."""
    c = daemon.create("c1", ["/bin/sh", "-c", "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); echo $i; done; exec sleep 1000"])
    c.stop_stateful()
    c.start()
    wait_until(lambda: c.output_lines()[-1:] == ["30000"], lambda: f"the last line: {c.output_lines()[-1:]}")
    assert c.output_lines() == [str(n) for n in range(1, 30001)]


def test_names_of_log_files_are_checked(daemon):
    c = daemon.create("c1", ["/bin/counter"], start=False)
    for name in ("..", "%2e%2e%2fdaemon.out", "..%2f..%2fetc%2fpasswd", "nothing.log", ""):
        reply = daemon.rest.request("GET", f"{c.url}/logs/{name}")
        assert reply.status in (200, 400, 404) and b"root:x:0" not in reply.data
        assert name == "" or reply.status != 200
