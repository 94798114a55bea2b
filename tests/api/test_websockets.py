# SPDX-License-Identifier: Apache-2.0
"""exec and console."""
import json
import os
import time

import pytest

from client import BINARY, CLOSE, PING, PONG, TEXT, Session, Websocket


def is_alive(pid):
    try:
        return open(f"/proc/{pid}/stat").read().split()[2] != "Z"
    except FileNotFoundError:
        return False


def wait_until(is_true, what, seconds=5):
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def test_streams_and_exit_code(web):
    session = web.exec("web", ["sh", "-c", "cat; echo err >&2; exit 3"])
    assert sorted(session.fds) == ["0", "1", "2", "control"]
    assert session.answer.metadata["class"] == "websocket"
    ws = session.open_all()
    ws["0"].send(BINARY, b"hello ")
    ws["0"].send(BINARY, b"world")
    ws["0"].send(TEXT)
    assert ws["1"].read() == b"hello world"
    assert ws["2"].read() == b"err\n"
    operation = session.end()
    assert operation["status"] == "Success" and operation["metadata"]["return"] == 3


def test_environment_and_cwd(web):
    session = web.exec("web", ["sh", "-c", 'printf "%s " "$A" "$PWD"'], environment={"A": "b=c"}, cwd="/tmp")
    ws = session.open_all()
    assert ws["1"].read() == b"b=c /tmp "
    assert session.end()["metadata"]["return"] == 0


def test_without_control(web):
    session = web.exec("web", ["echo", "x"])
    ws = session.open_all(control=False)
    assert ws["1"].read() == b"x\n"
    assert session.end()["metadata"]["return"] == 0


def test_much_data_both_ways(web):
    import threading
    data = os.urandom(1 << 20) * 3
    session = web.exec("web", ["cat"])
    ws = session.open_all()

    def send():
        for i in range(0, len(data), 300000):
            ws["0"].send(BINARY, data[i:i + 300000])
        ws["0"].send(TEXT)

    sender = threading.Thread(target=send)
    sender.start()
    assert ws["1"].read() == data
    sender.join()
    assert session.end()["metadata"]["return"] == 0


def test_output_is_complete_when_the_reader_is_slow(web):
    session = web.exec("web", ["sh", "-c", "seq 1 200000"])
    ws = session.open_all()
    time.sleep(0.5)
    assert ws["1"].read().split()[-1] == b"200000"
    assert session.end()["metadata"]["return"] == 0


def test_a_child_left_behind_does_not_hold_the_end_up(web):
    session = web.exec("web", ["sh", "-c", "sleep 30 & echo $!"])
    ws = session.open_all()
    begin = time.monotonic()
    pid = int(ws["1"].read())
    assert session.end()["metadata"]["return"] == 0
    assert time.monotonic() - begin < 5
    os.kill(pid, 9)


def test_terminal(web):
    session = web.exec("web", ["sh"], interactive=True, width=77, height=33, environment={"PS1": "> "})
    assert sorted(session.fds) == ["0", "control"]
    ws = session.open_all()
    ws["0"].send(BINARY, b"stty size; tty >/dev/null && echo is-a-$((1+1))-tty\n")
    assert b"33 77" in ws["0"].read_until(b"is-a-2-tty\r\n")
    ws["control"].send(TEXT, json.dumps({"command": "window-resize", "args": {"width": "100", "height": "50"}}))
    time.sleep(0.2)
    ws["0"].send(BINARY, b"stty size; exit 7\n")
    assert b"50 100" in ws["0"].read()
    assert session.end()["metadata"]["return"] == 7


def test_signal(web):
    session = web.exec("web", ["sleep", "30"])
    ws = session.open_all()
    time.sleep(0.2)
    for nonsense in b"", b"{", b"[]", b'{"command":1}', b'{"command":"signal","signal":999}', b'{"command":"dance"}':
        ws["control"].send(TEXT, nonsense)
    ws["control"].send(TEXT, json.dumps({"command": "signal", "signal": 15}))
    assert session.end()["metadata"]["return"] == 128 + 15


def test_secrets_are_for_one_use_and_for_those_who_know(web):
    session = web.exec("web", ["true"])
    assert all(len(s) == 32 for s in session.fds.values())
    for wrong in "", "0" * 32, session.fds["0"][:31], session.fds["0"] + "0":
        assert Websocket(web, f"{session.url}/websocket?secret={wrong}").status == 403
    assert Websocket(web, f"{session.url}/websocket").status == 403
    web.get(f"{session.url}/websocket?secret={session.fds['0']}").error(400)  # no handshake: not used up
    ws = session.open("0")
    assert Websocket(web, f"{session.url}/websocket?secret={session.fds['0']}").status == 403
    rest = [session.open("1"), session.open("2")]
    assert session.end()["metadata"]["return"] == 0
    for w in [ws] + rest:
        w.close()
    assert Websocket(web, "/1.0/operations/nope/websocket?secret=x").status == 404


def test_a_websocket_that_connects_when_all_is_over(web):
    """A short command has ended before the client has connected control."""
    session = web.exec("web", ["true"])
    ws = session.open_all(control=False)
    assert session.end()["metadata"]["return"] == 0
    late = session.open("control")
    assert late.recv() == (CLOSE, b"\x03\xe8")
    late.close()
    assert ws


def test_half_an_input_does_not_look_like_all_of_it(web, tmp_path):
    proof = tmp_path / "proof"
    session = web.exec("web", ["sh", "-c", f"cat; echo ended >{proof}"])
    ws = session.open_all()
    ws["0"].send(BINARY, b"half")
    assert ws["1"].recv() == (BINARY, b"half")
    for w in ws.values():
        w.close()
    assert session.end()["status"] == "Failure"
    time.sleep(0.2)
    assert not proof.exists()


def test_other_operations_have_no_websockets(web):
    answer = web.request("PUT", "/1.0/boot")
    assert Websocket(web, answer.json["operation"] + "/websocket?secret=x").status == 404
    web.wait(answer)


def test_bad_handshakes(web):
    session = web.exec("web", ["true"])
    target = f"{session.url}/websocket?secret={session.fds['0']}"
    good = {"Upgrade": "websocket", "Connection": "keep-alive, Upgrade", "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    for name, value in ("Upgrade", "h2c"), ("Connection", "close"), ("Sec-WebSocket-Version", "8"), ("Sec-WebSocket-Key", "x"):
        web.request("GET", target, None, {**good, name: value}).error(400)
    session.open_all()
    assert session.end()["metadata"]["return"] == 0


def test_a_client_that_vanishes_takes_its_command_along(web):
    for vanish in (["0", "1", "2", "control"], ["control"], ["0"]):
        session = web.exec("web", ["sh", "-c", "echo $$; exec sleep 100"])
        ws = session.open_all()
        pid = int(ws["1"].read_until(b"\n"))
        for name in vanish:
            ws[name].close()
        wait_until(lambda: not is_alive(pid), f"the command outlives {vanish}")
        assert session.end()["status"] == "Failure"


def test_a_silent_client_without_control_that_vanishes(web):
    session = web.exec("web", ["sh", "-c", "echo $$; exec sleep 100"])
    ws = session.open_all(control=False)
    ws["0"].send(TEXT)  # the end of input is no reason to go
    pid = int(ws["1"].read_until(b"\n"))
    time.sleep(0.3)
    assert is_alive(pid)
    for w in ws.values():
        w.close()
    wait_until(lambda: not is_alive(pid), "the command outlives its client")
    session.end()


def test_output_that_nobody_reads_ends_the_writer(web):
    session = web.exec("web", ["sh", "-c", "trap '' TERM; while echo x; do :; done"])
    ws = session.open_all()
    ws["1"].close()
    operation = session.end()
    assert operation["status"] == "Success", operation


def test_a_client_that_reads_nothing_can_be_cancelled(web):
    session = web.exec("web", ["sh", "-c", "echo $$ >&2; yes"])
    ws = session.open_all()
    pid = int(ws["2"].read_until(b"\n"))
    time.sleep(0.3)
    assert web.request("DELETE", session.url).status == 200
    assert session.end()["status"] == "Cancelled"
    wait_until(lambda: not is_alive(pid), "the command is left")


def test_a_client_that_never_connects(web):
    session = web.exec("web", ["true"])
    assert web.request("DELETE", session.url).status == 200
    assert session.end()["status"] == "Cancelled"


def test_broken_frames(web):
    for bad in b"\x82\x05hello", b"\xff\xff\xff\xff", b"\x83\x80abcd", b"\x82\xff" + b"\xff" * 8 + b"mask":
        session = web.exec("web", ["cat"])
        ws = session.open_all()
        ws["0"].raw.sendall(bad)
        assert session.end()["status"] == "Failure", bad


def test_ping(web):
    session = web.exec("web", ["cat"])
    ws = session.open_all()
    ws["0"].send(PING, b"abc")
    assert ws["0"].recv() == (PONG, b"abc")
    ws["0"].send(TEXT)
    assert session.end()["metadata"]["return"] == 0


@pytest.mark.parametrize("body,status", [
    ({}, 400), ({"command": []}, 400), ({"command": [""]}, 400), ({"command": "sh"}, 400), ({"command": [None]}, 400),
    ({"command": ["x"], "user": -2}, 400), ({"command": ["x"], "user": "root"}, 400),
    ({"command": ["x"], "width": 70000}, 400), ({"command": ["x"], "cwd": "tmp"}, 400),
    ({"command": ["x"], "interactive": True}, 400), ({"command": ["x"], "record-output": True}, 501),
    ({"command": ["x"], "environment": {"A=B": "c"}}, 400), ({"command": ["x"], "environment": ["A=B"]}, 400),
    ({"command": ["x"], "magic": 1}, 400)])
def test_bad_exec(web, body, status):
    assert web.request("POST", "/1.0/instances/web/exec", body).error(status)


def test_exec_where_nothing_runs(api):
    api.request("POST", "/1.0/instances/nope/exec", {"command": ["x"]}).error(404)
    api.wait(api.request("POST", "/1.0/instances", {"name": "off"}))
    assert "not running" in api.request("POST", "/1.0/instances/off/exec", {"command": ["x"]}).error(400)
    api.request("POST", "/1.0/instances/off/console", {}).error(400)
    api.wait(api.request("PUT", "/1.0/instances/off/state", {"action": "start"}))
    api.wait(api.request("PUT", "/1.0/instances/off/state", {"action": "freeze"}))
    assert "paused" in api.request("POST", "/1.0/instances/off/exec", {"command": ["x"]}).error(409)
    api.wait(api.request("DELETE", "/1.0/instances/off?force=1"))


def test_exec_without_a_client(web):
    answer = web.request("POST", "/1.0/instances/web/exec", {"command": ["sh", "-c", "seq 1 100000; exit 5"]})
    operation = web.wait(answer)
    assert operation["class"] == "task" and operation["metadata"]["return"] == 5


def test_exec_of_nothing(web):
    session = web.exec("web", ["/nonexistent"])
    session.open_all()
    assert session.end()["status"] == "Failure"  # the real engine says 127


def test_console(web):
    session = Session(web, web.request("POST", "/1.0/instances/web/console", {"width": 80, "height": 24, "type": "console"}))
    assert sorted(session.fds) == ["0", "control"]
    ws = session.open_all()
    assert ws["0"].recv() == (BINARY, b"hello\n")
    ws["0"].send(BINARY, b"echo me")
    assert ws["0"].recv() == (BINARY, b"echo me")
    ws["control"].send(TEXT, json.dumps({"command": "window-resize", "args": {"width": 10, "height": 10}}))
    ws["0"].send(BINARY, b"quit")
    assert ws["0"].recv() == (TEXT, b"")
    assert session.end()["status"] == "Success"


def test_console_detach(web):
    session = Session(web, web.request("POST", "/1.0/instances/web/console", {}))
    ws = session.open_all()
    assert ws["0"].recv() == (BINARY, b"hello\n")
    ws["control"].send(CLOSE, b"\x03\xe8")
    assert session.end()["status"] == "Success"
    assert web.get("/1.0/instances/web/state").metadata["status"] == "Running"


def test_many_sessions(web):
    sessions = [web.exec("web", ["sh", "-c", f"cat; exit {i}"]) for i in range(30)]
    opened = [s.open_all() for s in sessions]
    for ws in opened:
        ws["0"].send(BINARY, b"x")
        ws["0"].send(TEXT)
    for i, (s, ws) in enumerate(zip(sessions, opened)):
        assert ws["1"].read() == b"x"
        assert s.end()["metadata"]["return"] == i
