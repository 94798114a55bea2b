# SPDX-License-Identifier: Apache-2.0
"""Clients that are broken, slow, impatient or malicious."""
import subprocess
import threading
import time

import pytest

from client import Client
from conftest import FAKE, Server


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"1", b'"x"', b"null", b"{} {}", b'{"name":"a","name":"b"}', b'{"name":"\xff"}',
    b'{"name":"\\ud800"}', b'{"name":"a\\u0000b"}', b'{"a":1,}', b"{'a':1}", b"\xef\xbb\xbf{}",
    b"[" * 100000, b'{"a":' * 1000 + b"1" + b"}" * 1000, b'{"config":' + b"1" * 1000 + b"}", b"\x00" * 100])
def test_bad_json(api, body):
    assert api.request("POST", "/1.0/instances", body).error(400)


def test_a_body_of_exactly_one_mib_is_read_and_one_more_is_not(api):
    body = b'{"x":"' + b"y" * (1024 * 1024 - 8) + b'"}'
    assert "unknown member 'x'" in api.request("POST", "/1.0/instances", body).error(400)
    assert "1 MiB" in api.request("POST", "/1.0/instances", body + b" ").error(413)


def test_a_huge_body(api):
    """Swallowed up to a limit so that the client can read its 413, then hung up."""
    assert api.request("POST", "/1.0/instances", b"x" * 20000000).error(413)
    assert api.request("POST", "/1.0/instances", (b"x" * 100000 for _ in range(200))).error(413)
    assert api.request("PUT", "/1.0/boot", b"x" * 20000000).error(413)
    with pytest.raises((BrokenPipeError, ConnectionResetError, ConnectionAbortedError, OSError)):
        api.request("POST", "/1.0/instances", (b"x" * 100000 for _ in range(100000)))
    assert api.get("/").status == 200


def test_a_get_with_a_body(api):
    assert api.request("GET", "/1.0", b"anything").status == 200


def test_unknown_paths_and_methods(api):
    api.get("/2.0").error(404)
    api.get("/1.0/events").error(404)
    assert api.request("PUT", "/1.0", b"{}").error(405)
    assert api.request("PUT", "/1.0").headers["Allow"] == "GET"
    assert api.request("BREW", "/1.0/instances").headers["Allow"] == "GET, POST, PUT"
    api.get("/1.0/%zz").error(400)
    api.get("/1.0/%00").error(400)
    answer = api.request("HEAD", "/1.0")
    assert answer.status == 200 and answer.body == b""


def test_two_lengths_are_refused(api):
    for extra in (b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"Transfer-Encoding: gzip, chunked\r\n",
                  b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n"):
        answer = api.raw(b"POST /1.0/instances HTTP/1.1\r\nHost: s\r\n" + extra + b"\r\n5\r\nhello\r\n0\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 400") and answer.count(b"HTTP/1.1") == 1, answer


@pytest.mark.parametrize("data", [
    b"\n\n\n\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"G" * 100000,
    b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: s\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20000 + b"\r\n",
    b"POST /1.0/instances HTTP/1.1\r\nHost: s\r\nContent-Length: -1\r\n\r\n",
    b"POST /1.0/instances HTTP/1.1\r\nHost: s\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    b"POST /1.0/instances HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET http://s/1.0 HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n"])
def test_bad_http(api, data):
    try:
        api.raw(data, half_close=True)
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert api.get("/").status == 200


def test_pipelining(api):
    one = b"GET / HTTP/1.1\r\nHost: s\r\n\r\n"
    last = b"GET /1.0/nope HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n"
    answer = api.raw(one * 20 + last)
    assert answer.count(b"HTTP/1.1 200") == 20 and answer.count(b"HTTP/1.1 404") == 1


def test_a_half_closed_client_gets_its_answer(web):
    web.request("PATCH", "/1.0/instances/web", {"config": {"user.fake.delay": "600ms"}})
    operation = web.request("PUT", "/1.0/instances/web/state", {"action": "stop"}).json["operation"]
    answer = web.raw(f"GET {operation}/wait HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n".encode(), half_close=True)
    assert b'"status":"Success"' in answer


def test_a_waiting_client_that_goes_frees_its_thread(api, server):
    api.launch("w1")
    api.request("PATCH", "/1.0/instances/w1", {"config": {"user.fake.delay": "20s"}})
    n = server.count("task")
    answer = api.request("PUT", "/1.0/instances/w1/state", {"action": "stop"})
    for _ in range(5):
        with api.connect() as raw:
            raw.sendall(f"GET {answer.json['operation']}/wait HTTP/1.1\r\nHost: s\r\n\r\n".encode())
            time.sleep(0.05)
    server.wait_for(lambda: server.count("task") <= n + 1, "waiting threads are left", 5)
    api.request("DELETE", answer.json["operation"])
    api.wait(answer)
    api.wait(api.request("DELETE", "/1.0/instances/w1?force=1"))


def test_clients_that_vanish_in_every_phase(api, server):
    request = (b"POST /1.0/instances HTTP/1.1\r\nHost: s\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n"
               b'{"name":"bad_name"}\n')
    for n in list(range(0, len(request), 3)) + [len(request)]:
        with api.connect() as raw:
            raw.sendall(request[:n])
    target = "/1.0/instances?recursion=2"
    with api.connect() as raw:
        raw.sendall(f"GET {target} HTTP/1.1\r\nHost: s\r\n\r\n".encode())
    assert api.get("/").status == 200


def test_a_slow_sender_is_served(api):
    request = b"GET /1.0 HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n"
    with api.connect() as raw:
        for byte in request:
            raw.sendall(bytes([byte]))
            time.sleep(0.005)
        answer = b""
        while piece := raw.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 200")


def test_many_at_once(api):
    def work():
        try:
            for _ in range(20):
                assert api.get("/1.0/instances?recursion=1").status == 200
        except Exception as e:
            failures.append(e)

    failures = []
    threads = [threading.Thread(target=work) for _ in range(20)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures, failures


def answers(api):
    try:
        return api.get("/").status == 200
    except BlockingIOError:  # those who have hung up still wait for accept(2)
        return False


def test_more_connections_than_allowed(api, server):
    idle = []
    end = time.monotonic() + 10
    while len(idle) < 1000 and time.monotonic() < end:
        try:
            idle.append(api.connect())
        except BlockingIOError:  # the queue of those who wait for accept(2) is full
            time.sleep(0.01)
    assert len(idle) > 500
    for raw in idle:
        raw.close()
    server.wait_for(lambda: server.count("task") < 20, "threads are left")
    server.wait_for(lambda: answers(api), "it answers again")


def test_stop_with_waiting_clients(own_server):
    api = Client(own_server.path)
    api.launch("s1")
    api.launch("s2")
    session = api.exec("s1", ["sleep", "100"])
    session.open_all()
    unconnected = api.exec("s1", ["sleep", "100"])
    assert unconnected.fds
    follower = api.connect()
    follower.sendall(b"GET /1.0/instances/s1/logs/output.log?follow=1 HTTP/1.1\r\nHost: s\r\n\r\n")
    assert follower.recv(10)
    waiter = api.connect()
    waiter.sendall(f"GET {session.url}/wait HTTP/1.1\r\nHost: s\r\n\r\n".encode())
    idle = api.connect()
    half = api.connect()
    half.sendall(b"POST /1.0/instances HTTP/1.1\r\nContent-Le")
    upload = api.connect()
    upload.sendall(b"POST /1.0/images HTTP/1.1\r\nHost: s\r\nContent-Length: 1000\r\n\r\nabc")
    time.sleep(0.3)
    begin = time.monotonic()
    own_server.stop()
    assert time.monotonic() - begin < 5
    assert idle.recv(100) == b""
    half.close()
    upload.close()
    with pytest.raises((FileNotFoundError, ConnectionRefusedError)):
        api.get("/")


def test_a_second_daemon_is_refused_and_a_stale_socket_replaced(own_server, tmp_path):
    second = subprocess.run([FAKE, str(tmp_path)], stderr=subprocess.PIPE, timeout=20)
    assert second.returncode == 1 and b"another daemon answers" in second.stderr
    own_server.process.kill()
    own_server.process.wait()
    assert (tmp_path / "socket").exists()
    third = Server(tmp_path)
    assert (tmp_path / "socket").stat().st_mode & 0o777 == 0o660
    third.stop()
    assert not (tmp_path / "socket").exists()

