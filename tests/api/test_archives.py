# SPDX-License-Identifier: Apache-2.0
"""Archives of checkpoints: streamed out, streamed in."""
import time

import pytest

from client import Client, Connection

CHECKPOINTS = "/1.0/instances/web/checkpoints"
OCTETS = {"Content-Type": "application/octet-stream"}


def take(api, body=None, path=CHECKPOINTS):
    operation = api.wait(api.request("POST", path, body or {}))
    assert operation["status"] == "Success", operation
    return operation


def set_config(api, name, **config):
    body = {"config": {key.replace("_", "."): value for key, value in config.items()}}
    api.request("PATCH", f"/1.0/instances/{name}", body).metadata


def delete(api, name):
    api.wait(api.request("DELETE", f"/1.0/instances/{name}?force=1"))


def test_export(web):
    take(web, {"name": "c"})
    set_config(web, "web", user_fake_export="3000000")
    answer = web.get(CHECKPOINTS + "/c/export")
    assert answer.status == 200 and len(answer.body) == 3000000 + len(b"FAKE web\n")
    assert answer.headers["Content-Type"] == "application/zstd"
    assert web.get(answer.headers["X-Stasis-operation"]).metadata["status"] == "Success"
    assert web.get(CHECKPOINTS + "/c/export?compression=gzip").headers["Content-Type"] == "application/gzip"
    answer = web.get(CHECKPOINTS + "/c/export?compression=none&ignore_rootfs=true&ignore_volumes=1")
    assert answer.headers["Content-Type"] == "application/x-tar"
    for bad in "compression=xz", "ignore_rootfs=maybe", "ignore_volumes=2":
        web.get(CHECKPOINTS + "/c/export?" + bad).error(400)


def test_an_export_that_fails_at_once_is_an_error(web):
    take(web, {"name": "c"})
    set_config(web, "web", user_fake_fail="no room")
    assert web.get(CHECKPOINTS + "/c/export").error(507) == "no room"


def test_an_export_that_fails_later_is_cut(web):
    take(web, {"name": "c"})
    set_config(web, "web", user_fake_export="8MiB", user_fake_broken="true")
    connection = Connection(web.path)
    connection.request("GET", CHECKPOINTS + "/c/export")
    answer = connection.getresponse()
    assert answer.status == 200
    with pytest.raises(Exception, match="IncompleteRead|reset"):
        answer.read()
    connection.close()
    operation = web.get(answer.headers["X-Stasis-operation"]).metadata
    assert operation["status"] == "Failure" and operation["err"] == "the disk is broken"


def wait_for_end(api, url):
    for _ in range(200):
        operation = api.get(url).metadata
        if operation["status_code"] >= 200:
            return operation["status"]
        time.sleep(0.02)
    return operation["status"]


@pytest.mark.parametrize("n_read", [0, 1000, 2000000])
def test_a_client_that_vanishes_cancels_the_export(web, server, n_read):
    take(web, {"name": "c"})
    set_config(web, "web", user_fake_export="64GiB")
    raw = web.connect()
    raw.sendall(f"GET {CHECKPOINTS}/c/export HTTP/1.1\r\nHost: s\r\n\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += raw.recv(1)
    while n_read > 0:
        n_read -= len(raw.recv(65536))
    url = [line.split(b": ")[1] for line in head.split(b"\r\n") if line.startswith(b"X-Stasis-operation")][0].decode()
    assert web.get(url).metadata["status"] == "Running"
    raw.close()
    assert wait_for_end(web, url) == "Cancelled"


def test_an_export_is_cancelled_by_its_operation(web):
    take(web, {"name": "c"})
    set_config(web, "web", user_fake_export="64GiB")
    connection = Connection(web.path)
    connection.request("GET", CHECKPOINTS + "/c/export")
    answer = connection.getresponse()
    answer.read(100000)
    url = answer.headers["X-Stasis-operation"]
    assert web.get(url).metadata["metadata"]["export_progress"].startswith("Writing the archive")
    web.request("DELETE", url).metadata
    with pytest.raises(Exception, match="IncompleteRead|reset"):
        answer.read()
    connection.close()
    assert wait_for_end(web, url) == "Cancelled"


def test_many_exports_with_readers_that_come_and_go(web, server):
    take(web, {"name": "c"})
    set_config(web, "web", user_fake_export="1GiB")
    raws = []
    for _ in range(20):
        raw = web.connect()
        raw.sendall(f"GET {CHECKPOINTS}/c/export HTTP/1.1\r\nHost: s\r\n\r\n".encode())
        raws.append(raw)
    for raw in raws[::2]:
        raw.close()
    assert web.get("/1.0").status == 200
    for raw in raws[1::2]:
        raw.recv(100)
        raw.close()
    for _ in range(500):
        if not web.get("/1.0/operations").metadata.get("running"):
            break
        time.sleep(0.02)
    assert not web.get("/1.0/operations").metadata.get("running")


def test_stop_while_an_export_runs(own_server):
    api = Client(own_server.path)
    api.launch("web")
    take(api, {"name": "c"})
    set_config(api, "web", user_fake_export="64GiB")
    raw = api.connect()
    raw.sendall(f"GET {CHECKPOINTS}/c/export HTTP/1.1\r\nHost: s\r\n\r\n".encode())
    raw.recv(1000)
    begin = time.monotonic()
    own_server.stop()
    assert time.monotonic() - begin < 5
    raw.close()


def import_archive(api, body, **headers):
    named = {"X-Stasis-" + key.replace("_", "-"): value for key, value in headers.items()}
    return api.request("POST", "/1.0/instances", body, {**OCTETS, **named})


def test_import(api):
    operation = api.wait(import_archive(api, b"FAKE clone\n" + bytes(3000000)))
    assert operation["status"] == "Success" and operation["metadata"]["instance"] == "clone"
    assert operation["metadata"]["duration_us"] > 0
    assert api.get("/1.0/instances/clone").metadata["status"] == "Running"
    answer = import_archive(api, b"FAKE clone\n", name="other", image="busybox", ignore_rootfs="true", ignore_volumes="1")
    assert answer.metadata["resources"]["instances"] == ["/1.0/instances/other"]
    api.wait(answer)
    api.wait(import_archive(api, b"FAKE clone\n", name="third", stopped="true"))
    assert api.get("/1.0/instances/third").metadata["stateful"] is True
    assert "already" in import_archive(api, b"FAKE clone\n", name="other").error(409)
    answer = import_archive(api, b"FAKE clone\n" + bytes(100000))
    assert "already" in (answer.error(409) if answer.status == 409 else api.wait(answer)["err"])
    for name in "clone", "other", "third":
        delete(api, name)


def test_a_round_trip(web):
    take(web, {"name": "c"})
    archive = web.get(CHECKPOINTS + "/c/export").body
    assert web.wait(import_archive(web, archive, name="again"))["status"] == "Success"
    delete(web, "again")


@pytest.mark.parametrize("body", [b"", b"FAKE", b"junk" * 100000, b"{}", bytes(5000000)], ids=range(5))
def test_archives_that_are_none(api, body):
    before = api.get("/1.0/instances").metadata
    answer = import_archive(api, body)
    if answer.status == 202:  # sent before the operation had seen it all
        operation = api.wait(answer)
        assert operation["status"] == "Failure" and "no checkpoint archive" in operation["err"]
    else:
        assert "no checkpoint archive" in answer.error(400)
    assert api.get("/1.0/instances").metadata == before


@pytest.mark.parametrize("headers", [{"name": "a/b"}, {"name": "../x"}, {"name": "a b"}, {"stopped": "perhaps"}, {"image": b"\xff"},
                                     {"ignore_rootfs": "2"}, {"ignore_volumes": "x" * 3000}])
def test_bad_import_headers(api, headers):
    import_archive(api, b"FAKE x\n" + bytes(1000000), **headers).error(400)


def test_a_broken_off_import_leaves_nothing(api):
    raw = api.connect()
    raw.sendall(b"POST /1.0/instances HTTP/1.1\r\nHost: s\r\nContent-Type: application/octet-stream\r\n"
                b"X-Stasis-name: half\r\nContent-Length: 100000\r\n\r\nFAKE half\nand a")
    time.sleep(0.2)
    raw.close()
    time.sleep(0.3)
    api.get("/1.0/instances/half").error(404)


def test_json_is_json_whatever_the_client_calls_it(api):
    for content_type in "application/x-www-form-urlencoded", "text/plain", "application/json; charset=utf-8":
        answer = api.request("POST", "/1.0/instances", '{"name": "typed"}', {"Content-Type": content_type})
        assert api.wait(answer)["status"] == "Success"
        delete(api, "typed")


def test_methods(web):
    web.request("POST", CHECKPOINTS + "/c/export", {}).error(405)
    web.get(CHECKPOINTS + "/none/export").error(404)
    web.get("/1.0/instances/none/checkpoints/c/export").error(404)
