# SPDX-License-Identifier: Apache-2.0
"""What each path answers."""
import threading
import time

import pytest

from client import Connection
from test_websockets import wait_until


def test_root_and_server(api):
    assert api.get("/").metadata == ["/1.0"]
    server = api.get("/1.0").metadata
    assert server["api_version"] == "1.0" and server["auth"] == "trusted"
    assert server["environment"]["server"] == "stasis"
    assert server["environment"]["checkpoint"]["works"] is True
    assert "instance_bulk_state_change" not in server["api_extensions"]
    assert server["api_extensions"] == sorted(server["api_extensions"])


def test_the_life_of_an_instance(api):
    answer = api.request("POST", "/1.0/instances", {"name": "a1", "description": "d", "source": {"type": "image", "alias": "busybox"}})
    assert answer.metadata["resources"]["instances"] == ["/1.0/instances/a1"]
    assert answer.headers["Location"] == answer.json["operation"]
    assert api.wait(answer)["status_code"] == 200
    assert "/1.0/instances/a1" in api.get("/1.0/instances").metadata
    assert "/1.0/containers/a1" in api.get("/1.0/containers").metadata
    assert api.get("/1.0/instances/a1").metadata["status_code"] == 102
    for action, status in ("start", "Running"), ("freeze", "Frozen"), ("unfreeze", "Running"), ("stop", "Stopped"):
        operation = api.wait(api.request("PUT", "/1.0/instances/a1/state", {"action": action}))
        assert operation["status"] == "Success", operation
        assert api.get("/1.0/instances/a1/state").metadata["status"] == status
    assert api.wait(api.request("POST", "/1.0/instances/a1", {"name": "a2", "migration": False}))["status_code"] == 200
    api.get("/1.0/instances/a1").error(404)
    assert api.wait(api.request("DELETE", "/1.0/instances/a2"))["status_code"] == 200
    api.get("/1.0/instances/a2").error(404)


def test_a_made_up_name_is_told(api):
    answer = api.request("POST", "/1.0/instances", {})
    url, = answer.metadata["resources"]["instances"]
    api.wait(answer)
    assert api.get(url).metadata["name"] == url.split("/")[-1]
    api.wait(api.request("DELETE", url))


def test_stateful(web):
    api = web
    api.wait(api.request("PUT", "/1.0/instances/web/state", {"action": "stop", "stateful": True}))
    instance = api.get("/1.0/instances/web").metadata
    assert instance["stateful"] is True and instance["stasis"]["state"]["frozen_ms"] == 31
    api.wait(api.request("PUT", "/1.0/instances/web/state", {"action": "start"}))
    assert api.get("/1.0/instances/web").metadata["stasis"]["state"] is None
    assert api.get("/1.0/instances/web/console").body.endswith(b"restored\n")
    api.wait(api.request("PUT", "/1.0/instances/web/state", {"action": "stop", "stateful": True}))
    api.wait(api.request("PUT", "/1.0/instances/web/state", {"action": "start", "stateful": False}))
    assert api.get("/1.0/instances/web/console").body.endswith(b"booted\n")


def test_recursion(web):
    one, = web.get("/1.0/instances?recursion=1").metadata
    assert "state" not in one
    one, = web.get("/1.0/instances?recursion=2").metadata
    assert one["state"]["processes"] == 3 and one["snapshots"] == []
    assert "state" not in web.get("/1.0/instances/web").metadata
    assert "state" in web.get("/1.0/instances/web?recursion=1").metadata
    web.get("/1.0/instances?recursion=3").error(400)
    web.get("/1.0/instances?recursion=x").error(400)
    assert "filter" in web.get("/1.0/instances?filter=status+eq+running").error(501)


def test_busy_is_said_at_once(api):
    api.launch("slow")
    api.request("PATCH", "/1.0/instances/slow", {"config": {"user.fake.delay": "3s"}})
    first = api.request("PUT", "/1.0/instances/slow/state", {"action": "stop"})
    text = api.request("PUT", "/1.0/instances/slow/state", {"action": "start"}).error(409)
    assert text == "'slow' is busy: stopping"
    assert api.get("/1.0/instances/slow").metadata["stasis"]["busy"] is True
    wait_until(lambda: (api.get(first.json["operation"]).metadata["metadata"] or {}).get("fake_progress") == "under way",
               "it tells how far it is")
    assert api.wait(first, timeout=0)["status"] == "Running"
    assert api.wait(first)["status"] == "Success"
    api.wait(api.request("DELETE", "/1.0/instances/slow"))


def test_cancel(api):
    api.launch("c1")
    api.request("PATCH", "/1.0/instances/c1", {"config": {"user.fake.delay": "20s"}})
    answer = api.request("PUT", "/1.0/instances/c1/state", {"action": "stop"})
    assert api.request("DELETE", answer.json["operation"]).status == 200
    assert api.wait(answer)["status"] == "Cancelled"
    api.wait(api.request("DELETE", "/1.0/instances/c1?force=true"))
    api.request("DELETE", "/1.0/operations/6af99de6-b29d-45b9-be57-c5edf422c53d").error(404)


def test_a_failing_operation_says_why(web):
    web.request("PATCH", "/1.0/instances/web", {"config": {"user.fake.fail": "criu says no: \u00e4"}})
    operation = web.wait(web.request("PUT", "/1.0/instances/web/state", {"action": "stop"}))
    assert (operation["status_code"], operation["err"]) == (400, "criu says no: \u00e4")
    web.request("PATCH", "/1.0/instances/web", {"config": {"user.fake.fail": None}})


@pytest.mark.parametrize("body", [
    {}, {"action": "jump"}, {"action": 1}, {"action": "stop", "timeout": "x"}, {"action": "stop", "timeout": -2},
    {"action": "stop", "timeout": 1 << 60}, {"action": "stop", "force": "yes"}, {"action": "stop", "unknown": 1},
    {"action": None}])
def test_bad_state_requests(web, body):
    assert web.request("PUT", "/1.0/instances/web/state", body).error(400)


@pytest.mark.parametrize("body,status", [
    ({"name": "no_underscore"}, 400), ({"name": 5}, 400), ({"type": "virtual-machine"}, 400), ({"nonsense": 1}, 400),
    ({"config": {"user.x": 1}}, 400), ({"config": {"no.such.key": "1"}}, 400), ({"config": [1]}, 400),
    ({"config": {"a=b": "c"}}, 400), ({"devices": {"eth0": {"type": "nic"}}}, 400), ({"profiles": ["x"]}, 400),
    ({"command": "sh"}, 400), ({"command": [1]}, 400), ({"source": "image"}, 400), ({"source": {"type": "copy"}}, 400),
    ({"source": {"type": "image", "alias": "missing"}}, 404),
    ({"source": {"type": "image", "server": "https://x", "alias": "y"}}, 501), ({"name": "web"}, 409)])
def test_bad_instances_are_refused_in_the_request(web, body, status):
    assert web.request("POST", "/1.0/instances", body).error(status)


def test_what_lxd_clients_send_is_taken(api):
    body = {"name": "l1", "source": {"type": "image", "certificate": "", "fingerprint": "0123", "live": False,
                                     "instance_only": False, "source": ""},
            "config": {}, "devices": {}, "profiles": None, "ephemeral": False, "type": "container", "start": True,
            "architecture": "", "restore": "", "stateful": False, "instance_type": "", "description": ""}
    assert api.wait(api.request("POST", "/1.0/instances", body))["status"] == "Success"
    api.wait(api.request("DELETE", "/1.0/instances/l1?force=1"))


def test_put_with_etag(web):
    answer = web.get("/1.0/instances/web")
    etag = answer.headers["ETag"]
    body = {"config": {"user.a": "1", "volatile.uuid": "x", "image.description": "y"}, "description": "new",
            "ephemeral": True, "devices": {}, "profiles": [], "architecture": "x86_64", "stateful": False, "restore": ""}
    for good in etag, etag.strip('"'):
        assert web.get("/1.0/instances/web").headers["ETag"] == etag
        answer = web.request("PUT", "/1.0/instances/web", body, {"If-Match": good})
        assert web.wait(answer)["status"] == "Success"
        web.request("PUT", "/1.0/instances/web", body, {"If-Match": etag}).error(412)
        assert web.wait(web.request("PUT", "/1.0/instances/web", {"description": ""}))["status"] == "Success"
    web.wait(web.request("PUT", "/1.0/instances/web", body, {"If-Match": "*"}))
    instance = web.get("/1.0/instances/web").metadata
    assert instance["config"] == {"user.a": "1"} and instance["description"] == "new" and instance["ephemeral"]
    web.request("PUT", "/1.0/instances/web", {"config": {"no.such": "1"}}).error(400)
    web.request("PUT", "/1.0/instances/web", {"restore": "web/s0"}).error(404)


def test_patch(web):
    assert web.request("PATCH", "/1.0/instances/web", {"config": {"user.a": "1", "user.b": "2"}}).status == 200
    assert web.request("PATCH", "/1.0/instances/web", {"config": {"user.a": None, "user.c": "=3="}}).status == 200
    instance = web.get("/1.0/instances/web").metadata
    assert instance["config"] == {"user.b": "2", "user.c": "=3="}
    assert web.request("PATCH", "/1.0/instances/web", {"description": "x"}).status == 200
    instance = web.get("/1.0/instances/web").metadata
    assert instance["config"] == {"user.b": "2", "user.c": "=3="} and instance["description"] == "x"
    web.request("PATCH", "/1.0/instances/web", {"config": {"user.a": 1}}).error(400)
    web.request("PATCH", "/1.0/instances/web", {"config": {"volatile.last_state.power": "x"}}).error(400)
    etag = web.get("/1.0/instances/web").headers["ETag"]
    web.request("PATCH", "/1.0/instances/web", {"description": "y"}, {"If-Match": '"0"'}).error(412)
    assert web.request("PATCH", "/1.0/instances/web", {"description": "y"}, {"If-Match": etag}).status == 200


def test_bulk(api):
    for i in range(20):
        api.launch(f"b{i}", **{"user.fake.delay": "50ms"})
    api.request("PATCH", "/1.0/instances/b7", {"config": {"user.fake.fail": "broken"}})
    operation = api.wait(api.request("PUT", "/1.0/instances", {"state": {"action": "stop"}}))
    assert operation["status"] == "Failure" and "1 of 20 failed" in operation["err"], operation
    results = operation["metadata"]["results"]
    assert len(results) == 20 and results["b7"] == "broken" and results["b0"] == ""
    assert operation["metadata"]["instances_progress"] == "20 of 20"
    assert api.get("/1.0/instances/b3/state").metadata["status"] == "Stopped"
    api.request("PUT", "/1.0/instances", {"state": {"action": "fly"}}).error(400)
    api.request("PUT", "/1.0/instances", {"state": "stop"}).error(400)
    operation = api.wait(api.request("PUT", "/1.0/instances", {"state": {"action": "unfreeze"}}))
    assert operation["status"] == "Success" and operation["metadata"]["results"] == {}
    for i in range(20):
        api.wait(api.request("DELETE", f"/1.0/instances/b{i}?force=1"))


def test_operations_are_listed_by_status(web):
    groups = web.get("/1.0/operations?recursion=1").metadata
    assert all(o["status"] == "Success" for o in groups["success"])
    assert all(u.startswith("/1.0/operations/") for u in web.get("/1.0/operations").metadata["success"])


def test_logs(web):
    urls = web.get("/1.0/instances/web/logs").metadata
    assert "/1.0/instances/web/logs/output.log" in urls
    answer = web.get("/1.0/instances/web/logs/output.log")
    assert b" stdout P boo\n" in answer.body and answer.headers["Content-Type"].startswith("text/plain")
    assert b"started" in web.get("/1.0/instances/web/logs/lxc.log").body
    assert web.get("/1.0/instances/web/console").body.endswith(b"booted\n")
    web.get("/1.0/instances/web/logs/..%2F..%2Fetc%2Fpasswd").error(400)
    web.get("/1.0/instances/web/logs/nope.log").error(404)
    web.get("/1.0/instances/nope/logs/output.log").error(404)
    web.get("/1.0/instances/web/logs/stasis.log?follow=true").error(400)


def test_follow(web):
    connection = Connection(web.path)
    connection.request("GET", "/1.0/instances/web/logs/output.log?follow=true")
    answer = connection.getresponse()
    first = answer.readline()
    assert b"stdout" in first
    threading.Timer(0.3, lambda: web.request("PUT", "/1.0/instances/web/state", {"action": "stop"})).start()
    rest = answer.read()
    connection.close()
    assert rest.endswith(b"stopped\n")


def test_follow_ends_when_the_client_goes(web, server):
    def is_over():
        return server.count("task") <= n

    n = server.count("task")
    connection = Connection(web.path)
    connection.request("GET", "/1.0/instances/web/logs/output.log?follow=true")
    assert connection.getresponse().readline()
    connection.close()
    server.wait_for(is_over, "the follower's threads are left")


def test_check(web):
    report = web.get("/1.0/instances/web/check").metadata
    assert report["can_checkpoint"] is False
    assert report["obstacles"][0] == {"pid": 7, "command": "ringer", "fatal": True, "remedy": "use epoll",
                                      "resource": "file descriptor 5: anon_inode:[io_uring]"}
    web.get("/1.0/instances/nope/check").error(404)


def test_config_keys(api):
    keys = {k["name"]: k for k in api.get("/1.0/config-keys").metadata}
    assert keys["boot.host_shutdown_action"]["type"] == "enum"


def test_host_actions(api):
    for path in "/1.0/shutdown", "/1.0/boot":
        assert api.wait(api.request("PUT", path))["status"] == "Success"


def test_images(api):
    body = {"source": {"type": "image", "mode": "pull", "reference": "docker://x/y:1"},
            "aliases": [{"name": "y"}, {"name": "alpine/3.18", "description": ""}], "public": False, "properties": None}
    fingerprint = api.wait(api.request("POST", "/1.0/images", body))["metadata"]["fingerprint"]
    assert f"/1.0/images/{fingerprint}" in api.get("/1.0/images").metadata
    image = api.get("/1.0/images/alpine%2F3.18").metadata
    assert [a["name"] for a in image["aliases"]] == ["y", "alpine/3.18"] and image["architecture"] == "x86_64"
    assert api.get("/1.0/images/aliases/alpine%2F3.18").metadata["target"] == fingerprint
    assert "/1.0/images/aliases/alpine%2F3.18" in api.get("/1.0/images/aliases").metadata
    answer = api.request("POST", "/1.0/images/aliases", {"name": "z", "target": fingerprint})
    assert answer.status == 201 and answer.headers["Location"] == "/1.0/images/aliases/z"
    api.request("POST", "/1.0/images/aliases", {"name": "z", "target": fingerprint}).error(409)
    assert api.request("DELETE", "/1.0/images/aliases/z").status == 200
    api.get("/1.0/images/aliases/z").error(404)
    assert api.wait(api.request("DELETE", "/1.0/images/y"))["status"] == "Success"
    api.get(f"/1.0/images/{fingerprint}").error(404)


@pytest.mark.parametrize("body,status", [
    ({}, 400), ({"source": 1}, 400), ({"source": {}}, 400), ({"source": {"type": "image"}}, 400),
    ({"source": {"type": "file", "path": "relative"}}, 400), ({"source": {"type": "instance", "name": "x"}}, 400),
    ({"source": {"type": "instance"}}, 501), ({"source": {"type": "image", "mode": "push", "reference": "x"}}, 400),
    ({"source": {"type": "image", "reference": "x"}, "aliases": "y"}, 400),
    ({"source": {"type": "image", "reference": "x"}, "aliases": [{"name": ""}]}, 400)])
def test_bad_images(api, body, status):
    assert api.request("POST", "/1.0/images", body).error(status)


def test_upload(api):
    data = bytes(range(256)) * 20000
    answer = api.request("POST", "/1.0/images", data, {"Content-Type": "application/octet-stream", "X-Stasis-alias": "up"})
    operation = api.wait(answer)
    assert operation["status"] == "Success", operation
    assert api.get("/1.0/images/up").metadata["size"] == len(data)
    api.wait(api.request("DELETE", "/1.0/images/up"))


def test_chunked_upload(api):
    pieces = (b"x" * 1000 for _ in range(100))
    answer = api.request("POST", "/1.0/images", pieces, {"Content-Type": "application/octet-stream", "X-Stasis-alias": "ch"})
    assert api.wait(answer)["status"] == "Success"
    assert api.get("/1.0/images/ch").metadata["size"] == 100000
    api.wait(api.request("DELETE", "/1.0/images/ch"))


def test_a_refused_upload_is_an_error_at_its_end(api):
    headers = {"Content-Type": "application/octet-stream"}
    assert api.request("POST", "/1.0/images", b"REFUSE" + b"x" * 10000000, headers).error(400) == "that is no image"


def test_a_broken_off_upload_leaves_nothing(api):
    before = api.get("/1.0/images").metadata
    with api.connect() as raw:
        raw.sendall(b"POST /1.0/images HTTP/1.1\r\nHost: s\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 100000)
    time.sleep(0.3)
    assert api.get("/1.0/images").metadata == before
    assert "cancelled" in api.get("/1.0/operations").metadata


# ---- volumes ---------------------------------------------------------------------------------------------------------

VOLUMES = "/1.0/storage-pools/default/volumes/custom"


@pytest.fixture
def volume(api):
    answer = api.request("POST", VOLUMES, {"name": "data", "type": "custom"})
    assert answer.status == 201 and answer.headers["Location"] == f"{VOLUMES}/data"
    yield "data"
    api.request("DELETE", f"{VOLUMES}/data")


def disk(source, path, **more):
    return {"type": "disk", "pool": "default", "source": source, "path": path, **more}


def test_volumes(api, volume):
    assert api.get(VOLUMES).metadata == [f"{VOLUMES}/data"]
    assert api.get("/1.0/storage-pools/default/volumes").metadata == [f"{VOLUMES}/data"]
    shown = api.get(f"{VOLUMES}/data").metadata
    assert (shown["name"], shown["type"], shown["content_type"]) == ("data", "custom", "filesystem")
    assert shown["used_by"] == [] and shown["stasis"] == {"usage": 8192, "attached": []}
    assert "usage" not in api.get(f"{VOLUMES}?recursion=1").metadata[0]["stasis"]
    assert api.get(f"{VOLUMES}?recursion=2").metadata == [shown]
    api.request("POST", VOLUMES, {"name": "data"}).error(409)
    for body in {}, {"name": "a/b"}, {"name": "d", "type": "image"}, {"name": 5}, {"name": "d", "unknown": 1}:
        api.request("POST", VOLUMES, body).error(400)
    for body in {"content_type": "block"}, {"config": {"size": "1GiB"}}, {"source": {"type": "copy", "name": "data"}}:
        api.request("POST", VOLUMES, {"name": "d", **body}).error(501)
    for path in f"{VOLUMES}/none", "/1.0/storage-pools/other", "/1.0/storage-pools/other/volumes/custom":
        api.get(path).error(404)
    api.request("POST", "/1.0/storage-pools/other/volumes/custom", {"name": "d"}).error(404)
    api.request("DELETE", f"{VOLUMES}/none").error(404)


def test_the_storage_pool(api, volume):
    assert api.get("/1.0/storage-pools").metadata == ["/1.0/storage-pools/default"]
    pool = api.get("/1.0/storage-pools/default").metadata
    assert (pool["name"], pool["used_by"]) == ("default", [f"{VOLUMES}/data"])
    assert api.get("/1.0/storage-pools?recursion=1").metadata == [pool]


def test_devices(api, volume):
    api.wait(api.request("POST", "/1.0/instances", {"name": "d1", "devices": {"d": disk("data", "/data", readonly="true")}}))
    try:
        shown = api.get("/1.0/instances/d1").metadata
        assert shown["devices"] == shown["expanded_devices"] == {"d": disk("data", "/data", readonly="true")}
        assert api.get(f"{VOLUMES}/data").metadata["used_by"] == ["/1.0/instances/d1"]
        assert api.get(f"{VOLUMES}/data").metadata["stasis"]["attached"] == ["d1:/data"]
        api.request("DELETE", f"{VOLUMES}/data").error(409)
        etag = api.get("/1.0/instances/d1").headers["ETag"]
        # PATCH: absent ones stay, a null goes
        assert api.request("PATCH", "/1.0/instances/d1", {"devices": {}}).status == 200
        assert api.get("/1.0/instances/d1").metadata["devices"] == shown["devices"]
        assert api.request("PATCH", "/1.0/instances/d1", {"devices": {"d": disk("data", "/x")}}).status == 200
        assert api.get("/1.0/instances/d1").metadata["devices"] == {"d": disk("data", "/x")}
        assert api.get("/1.0/instances/d1").headers["ETag"] != etag
        assert api.request("PATCH", "/1.0/instances/d1", {"devices": {"d": None}}).status == 200
        assert api.get("/1.0/instances/d1").metadata["devices"] == {}
        # PUT: all of them
        body = {"config": {}, "devices": {"e": disk("data", "/y")}}
        api.wait(api.request("PUT", "/1.0/instances/d1", body))
        assert api.get("/1.0/instances/d1").metadata["devices"] == body["devices"]
        api.wait(api.request("PUT", "/1.0/instances/d1/state", {"action": "start"}))
        assert api.wait(api.request("PUT", "/1.0/instances/d1", body))["status"] == "Success"  # no change
        api.request("PUT", "/1.0/instances/d1", {"config": {}}).error(409)
        api.request("PATCH", "/1.0/instances/d1", {"devices": {"e": None}}).error(409)
    finally:
        api.wait(api.request("DELETE", "/1.0/instances/d1?force=1"))


@pytest.mark.parametrize("device,status", [
    ({"type": "nic"}, 400), ({"type": "disk"}, 400), (5, 400), (None, 400), (disk("none", "/x"), 404),
    (disk("data", "/x", pool="other"), 404), (disk("data", "/x", readonly="perhaps"), 400),
    (disk("/etc", "/x"), 400), (disk("data", "/x", size="5"), 400), (disk("data", 5), 400)])
def test_bad_devices(web, volume, device, status):
    web.request("PUT", "/1.0/instances/web", {"devices": {"d": device}}).error(status)
    web.request("PUT", "/1.0/instances/web", {"devices": [device]}).error(400)
    if device is not None:
        web.request("PATCH", "/1.0/instances/web", {"devices": {"d": device}}).error(status)
