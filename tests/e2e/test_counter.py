# SPDX-License-Identifier: Apache-2.0
"""The main promise: memory and disk of a restored container show one instant, and nothing is lost."""
import pytest


def test_stop_and_start_once(daemon):
    c = daemon.counter("c1", "--fill", 4)
    before = c.pair()
    op = c.stop_stateful()
    state = c.info()["stasis"]["state"]
    assert state["processes"] == 1
    assert state["bytes"] > 4 << 20
    assert state["frozen_ms"] >= 0 and state["sync_ms"] >= 0
    assert op["status_code"] == 200
    assert c.pid == 0
    c.start()
    after = c.counts(before.count)
    assert after.run == before.run, "a fresh boot instead of a restore"
    assert after.boots == 1
    assert c.info()["stateful"] is False


def test_the_pair_at_the_instant_of_the_stop(daemon):
    """Restored and at once paused: memory and disk are at most the one write apart that may be under way."""
    c = daemon.counter("c1")
    for _ in range(5):
        c.stop_stateful()
        c.start()
        c.pause()
        pair = c.pair()
        assert pair.disk in (pair.count, pair.count - 1), pair
        c.resume()


def test_fifty_rounds(daemon):
    """Stateful stop and start on one instance: 0 of 50 lost, the disk never ahead, neither ever goes back."""
    c = daemon.counter("c1", "--fill", 2, "--every", 50)
    last = first = c.pair()
    for number in range(50):
        c.stop_stateful()
        c.start()
        pair = c.counts(last.count)
        assert pair.run == first.run, f"round {number}: a fresh boot instead of a restore"
        assert pair.lines >= last.lines
        last = pair
    assert last.boots == 1
    assert last.pages_checked > 0
    lines = c.output_lines()
    numbers = [int(line.split()[0].split("=")[1]) for line in lines if line.startswith("line=")]
    assert numbers == list(range(1, len(numbers) + 1)), "lines of the log are lost or twice"
    assert len(numbers) >= first.lines


@pytest.mark.parametrize("fill", [64])
def test_memory_is_what_it_was(daemon, fill):
    """All of the memory is checked after a gap in time, by the program itself."""
    c = daemon.counter("c1", "--fill", fill)
    before = c.pair()
    c.stop_stateful()
    c.start()
    after = c.counts(before.count)
    assert after.run == before.run
    if after.gaps > before.gaps:
        assert after.pages_checked >= before.pages_checked + fill * 256


def test_several_at_once(daemon):
    """Eight of them stopped and started together."""
    names = [f"c{n}" for n in range(8)]
    before = {name: daemon.counter(name, "--fill", 1).pair() for name in names}
    result = daemon.rest.put("/1.0/instances", {"state": {"action": "stop", "stateful": True}})
    assert result["metadata"]["results"] == {name: "" for name in names}
    assert all(daemon[name].info()["stateful"] for name in names)
    result = daemon.rest.put("/1.0/instances", {"state": {"action": "start"}})
    assert result["metadata"]["results"] == {name: "" for name in names}
    for name in names:
        after = daemon[name].counts(before[name].count)
        assert after.run == before[name].run
