# SPDX-License-Identifier: Apache-2.0
"""The REST API as curl and any other client sees it."""
import json
import re
import shutil
import socket
import subprocess
import threading

import pytest

from harness import ApiError, wait_until

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def curl(daemon, path, *arguments):
    if not shutil.which("curl"):
        pytest.skip("no curl on this machine")
    done = subprocess.run(["curl", "-sS", "--max-time", "60", "--unix-socket", str(daemon.socket), *arguments,
                           f"http://localhost{path}"], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_with_curl(daemon):
    assert curl(daemon, "/")["metadata"] == ["/1.0"]
    answer = curl(daemon, "/1.0/instances", "-X", "POST", "-d", json.dumps(
        {"name": "c1", "source": {"type": "image", "alias": "programs"}, "command": ["/bin/counter"], "start": True}))
    assert answer["type"] == "async"
    answer = curl(daemon, answer["operation"] + "/wait")
    assert answer["metadata"]["status"] == "Success"
    c = daemon["c1"]
    daemon.uuids.add(c.uuid)
    before = c.counts()
    for body in ({"action": "stop", "stateful": True}, {"action": "start"}):
        answer = curl(daemon, "/1.0/instances/c1/state", "-X", "PUT", "-d", json.dumps(body))
        answer = curl(daemon, answer["operation"] + "/wait?timeout=60")
        assert answer["metadata"]["status_code"] == 200, answer
    assert c.counts(before.count).run == before.run


def test_envelopes(daemon):
    reply = daemon.rest.request("GET", "/1.0")
    answer = reply.json
    assert reply.status == 200 and reply.headers["content-type"].startswith("application/json")
    assert {key: answer[key] for key in ("type", "status", "status_code", "operation", "error_code", "error")} == {
        "type": "sync", "status": "Success", "status_code": 200, "operation": "", "error_code": 0, "error": ""}
    assert answer["metadata"]["api_version"] == "1.0" and answer["metadata"]["auth"] == "trusted"
    assert answer["metadata"]["environment"]["server"] == "stasis"
    assert "instance_bulk_state_change" not in answer["metadata"]["api_extensions"], \
        "clients would then throw saved states away"

    reply = daemon.rest.request("GET", "/1.0/instances/nobody")
    assert reply.status == 404
    assert reply.json["type"] == "error" and reply.json["error_code"] == 404 and "nobody" in reply.json["error"]

    reply = daemon.rest.request("POST", "/1.0/instances", {"name": "c1", "source": {"type": "image", "alias": "programs"},
                                                           "command": ["/bin/counter"]})
    answer = reply.json
    assert reply.status == 202 and answer["type"] == "async" and answer["status_code"] == 100
    assert re.fullmatch(f"/1.0/operations/{UUID}", answer["operation"])
    assert reply.headers["location"].endswith(answer["operation"])
    operation = answer["metadata"]
    assert operation["resources"]["instances"] == ["/1.0/instances/c1"]
    assert operation["class"] == "task" and re.fullmatch(UUID, operation["id"])
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", operation["created_at"])
    daemon.rest.finish(operation["id"])
    daemon.uuids.add(daemon["c1"].uuid)


def test_instance_and_state(daemon):
    c = daemon.counter("c1", config={"user.x": "1"})
    info = c.info()
    assert info["name"] == "c1" and info["type"] == "container" and info["project"] == "default"
    assert info["status"] == "Running" and info["status_code"] == 103
    assert info["config"]["user.x"] == "1" and info["expanded_config"]["user.x"] == "1"
    assert info["ephemeral"] is False and info["stateful"] is False
    assert info["profiles"] == [] or isinstance(info["profiles"], list)
    assert info["architecture"] in ("x86_64", "aarch64")
    state = daemon.rest.get(f"{c.url}/state")
    assert state["status"] == "Running" and state["pid"] == c.pid and state["processes"] == 1
    assert state["memory"]["usage"] > 0 and state["cpu"]["usage"] > 0
    c.pause()
    assert c.info()["status_code"] == 110
    c.resume()
    c.stop_stateful()
    info = c.info()
    assert info["status_code"] == 102 and info["stateful"] is True
    saved = info["stasis"]["state"]
    assert re.fullmatch(UUID, saved["uuid"])
    for key in ("bytes", "processes", "frozen_ms", "dump_ms", "copy_ms", "sync_ms"):
        assert isinstance(saved[key], (int, float)) and saved[key] >= 0, key


def test_recursion(daemon):
    daemon.create("a1", ["/bin/counter"], start=False)
    daemon.create("b1", ["/bin/counter"], start=False)
    assert daemon.rest.get("/1.0/instances") == ["/1.0/instances/a1", "/1.0/instances/b1"]
    assert [i["name"] for i in daemon.rest.get("/1.0/instances?recursion=1")] == ["a1", "b1"]
    assert all("state" in i for i in daemon.rest.get("/1.0/instances?recursion=2"))
    assert "state" in daemon.rest.get("/1.0/instances/a1?recursion=1")


def test_containers_is_the_same(daemon):
    c = daemon.counter("c1")
    assert daemon.rest.get("/1.0/containers/c1")["name"] == "c1"
    daemon.rest.put("/1.0/containers/c1/state", {"action": "stop", "stateful": True})
    assert daemon.rest.get("/1.0/containers/c1")["stateful"] is True
    daemon.rest.put("/1.0/containers/c1/state", {"action": "start"})
    c.counts()
    assert len(daemon.rest.get("/1.0/containers")) == 1


def test_etag(daemon):
    c = daemon.create("c1", ["/bin/counter"], start=False)
    etag = daemon.rest.request("GET", c.url).headers["etag"]
    body = {"config": {"user.x": "1"}, "description": "one", "ephemeral": False}
    reply = daemon.rest.request("PUT", c.url, body, {"If-Match": etag, "Content-Type": "application/json"})
    assert reply.status == 202
    daemon.rest.finish(reply.json["metadata"]["id"])
    assert c.info()["description"] == "one"
    reply = daemon.rest.request("PUT", c.url, body, {"If-Match": etag, "Content-Type": "application/json"})
    assert reply.status == 412


def test_patch_keeps_and_put_replaces(daemon):
    c = daemon.create("c1", ["/bin/counter"], config={"user.a": "1", "user.b": "2"}, start=False)
    daemon.rest.patch(c.url, {"config": {"user.a": "3"}})
    assert {k: v for k, v in c.info()["config"].items() if k.startswith("user.")} == {"user.a": "3", "user.b": "2"}
    daemon.rest.patch(c.url, {"config": {"user.a": None}})
    assert {k: v for k, v in c.info()["config"].items() if k.startswith("user.")} == {"user.b": "2"}
    daemon.rest.put(c.url, {"config": {"user.c": "4"}, "description": "", "ephemeral": False})
    assert {k: v for k, v in c.info()["config"].items() if k.startswith("user.")} == {"user.c": "4"}
    assert c.info()["config"].get("boot.autostart") is None


def test_operations(daemon):
    c = daemon.counter("c1", "--ignore-term")
    operation = daemon.rest.begin("PUT", f"{c.url}/state", {"action": "stop", "timeout": 2})
    running = daemon.rest.get("/1.0/operations?recursion=1").get("running", [])
    assert operation in [op["id"] for op in running]
    assert daemon.rest.get(f"/1.0/operations/{operation}")["status"] == "Running"
    reply = daemon.rest.request("GET", f"/1.0/operations/{operation}/wait?timeout=0")
    assert reply.status == 200 and reply.json["metadata"]["status"] in ("Running", "Success")
    assert daemon.rest.finish(operation)["status"] == "Success"
    assert daemon.rest.get(f"/1.0/operations/{operation}")["status"] == "Success", "a finished one stays readable for 5 s"
    reply = daemon.rest.request("GET", "/1.0/operations/00000000-0000-0000-0000-000000000000")
    assert reply.status == 404


def test_failed_operation(daemon):
    c = daemon.create("f1", ["/bin/feat", "traced"])
    wait_until(lambda: "feat ready" in c.output(), "feat is ready")
    reply = daemon.rest.request("PUT", f"{c.url}/state", {"action": "stop", "stateful": True})
    if reply.status == 202:
        answer = daemon.rest.request("GET", reply.json["operation"] + "/wait?timeout=60").json
        assert answer["type"] == "sync" and answer["metadata"]["status_code"] == 400
        assert "trac" in answer["metadata"]["err"]
    else:
        assert reply.json["type"] == "error" and "trac" in reply.json["error"]
    assert "trac" in c.info()["stasis"]["last_error"]


def test_logs(daemon):
    c = daemon.counter("c1")
    assert f"{c.url}/logs/output.log" in daemon.rest.get(f"{c.url}/logs")
    reply = daemon.rest.request("GET", f"{c.url}/logs/output.log")
    assert reply.status == 200 and b" stdout F begin run=" in reply.data


def test_console_output(daemon):
    c = daemon.counter("c1")
    reply = daemon.rest.request("GET", f"{c.url}/console")
    assert reply.status == 200 and b"begin run=" in reply.data


BAD = [
    ("GET", "/1.0/nothing", None, 404), ("GET", "/2.0", None, 404), ("DELETE", "/1.0", None, (404, 405)),
    ("POST", "/1.0/instances", b"{", 400), ("POST", "/1.0/instances", b"[]", 400), ("POST", "/1.0/instances", b"", 400),
    ("POST", "/1.0/instances", {"name": "c1", "sauce": {}}, 400),
    ("POST", "/1.0/instances", {"name": ["c1"], "source": {"type": "image", "alias": "programs"}}, 400),
    ("POST", "/1.0/instances", b'{"name":"c1","name":"c2"}', 400),
    ("POST", "/1.0/instances", b'{"name":"c1"} x', 400),
    ("POST", "/1.0/instances", b"[" * 100000, 400),
    ("POST", "/1.0/instances", b'{"name":"' + b"x" * (2 << 20) + b'"}', (400, 413)),
    ("PUT", "/1.0/instances/c1/state", {"action": "dance"}, 400),
    ("PUT", "/1.0/instances/c1/state", {"action": "stop", "timeout": "soon"}, 400),
    ("PUT", "/1.0/instances/nobody/state", {"action": "start"}, 404),
    ("POST", "/1.0/instances/c1/exec", {"command": []}, 400),
    ("GET", "/1.0/instances/%2e%2e", None, (400, 404)),
    ("GET", "/1.0/instances/a%00b", None, (400, 404)),
]


@pytest.mark.parametrize("method,path,body,status", BAD, ids=[f"{i}" for i in range(len(BAD))])
def test_refused(daemon, method, path, body, status):
    """Answers with an envelope and the right number, and the daemon lives."""
    if "/c1/" in path:
        daemon.create("c1", ["/bin/counter"], start=False)
    reply = daemon.rest.request(method, path, body, {"Content-Type": "application/json"})
    assert reply.status in (status if isinstance(status, tuple) else (status,)), reply
    assert reply.json["type"] == "error" and reply.json["error"]
    assert daemon.is_running


def raw(daemon, data):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(30)
        s.connect(str(daemon.socket))
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := s.recv(65536):
            answer += piece
    return answer


def test_http_traps(daemon):
    answer = raw(daemon, b"GET /1.0 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
    assert b" 200 " in answer.splitlines()[0], "a body with GET must be swallowed"
    answer = raw(daemon, b"POST /1.0/instances HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n"
                 b"Connection: close\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
    assert not answer or b" 400 " in answer.splitlines()[0], answer[:200]
    body = json.dumps({"name": "c1", "source": {"type": "image", "alias": "nothing"}}).encode()
    answer = raw(daemon, b"POST /1.0/instances HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" +
                 f"{len(body):x}".encode() + b"\r\n" + body + b"\r\n0\r\n\r\n")
    assert b" 404 " in answer.splitlines()[0], answer[:200]
    raw(daemon, b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1")
    assert daemon.is_running


def test_many_clients(daemon):
    """Thirty clients at once get their answers."""
    daemon.counter("c1")
    problems = []

    def ask():
        try:
            for _ in range(10):
                assert daemon.rest.get("/1.0/instances/c1")["name"] == "c1"
        except Exception as e:
            problems.append(e)

    threads = [threading.Thread(target=ask) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems, problems[0]


def test_idle_connections_do_not_block(daemon):
    """Clients that connect and say nothing leave room for others, and their end is noticed."""
    sockets = []
    try:
        for _ in range(40):
            s = socket.socket(socket.AF_UNIX)
            s.connect(str(daemon.socket))
            sockets.append(s)
        assert daemon.rest.get("/1.0")["api_version"] == "1.0"
    finally:
        for s in sockets:
            s.close()


def test_socket_is_private(daemon):
    mode = daemon.socket.stat().st_mode & 0o777
    assert mode == 0o660, f"{mode:o}"


def test_busy_is_told(daemon):
    c = daemon.counter("c1", "--ignore-term")
    operation = daemon.rest.begin("PUT", f"{c.url}/state", {"action": "stop", "timeout": 2})
    assert c.info()["stasis"]["busy"]
    with pytest.raises(ApiError, match="(?i)busy") as e:
        daemon.rest.put(f"{c.url}/state", {"action": "freeze"})
    assert e.value.code == 409
    daemon.rest.finish(operation)
