# SPDX-License-Identifier: Apache-2.0
"""Snapshots, checkpoints, archives and copies."""
import pytest

from test_websockets import wait_until

SNAPSHOTS = "/1.0/instances/web/snapshots"
CHECKPOINTS = "/1.0/instances/web/checkpoints"
NEVER = "0001-01-01T00:00:00Z"


def take(api, body=None, path=CHECKPOINTS):
    operation = api.wait(api.request("POST", path, body or {}))
    assert operation["status"] == "Success", operation
    return operation


def set_config(api, name, **config):
    body = {"config": {key.replace("_", "."): value for key, value in config.items()}}
    api.request("PATCH", f"/1.0/instances/{name}", body).metadata


def delete(api, name):
    api.wait(api.request("DELETE", f"/1.0/instances/{name}?force=1"))


def test_snapshots_as_lxd_has_them(web):
    answer = web.request("POST", SNAPSHOTS, {"name": "s0", "stateful": True, "expires_at": None})
    assert answer.metadata["resources"]["instances_snapshots"] == [f"{SNAPSHOTS}/s0"]
    assert answer.metadata["resources"]["containers_snapshots"] == ["/1.0/containers/web/snapshots/s0"]
    assert web.wait(answer)["status"] == "Success"
    assert web.get(SNAPSHOTS).metadata == [f"{SNAPSHOTS}/s0"]
    assert web.get("/1.0/containers/web/snapshots").metadata == ["/1.0/containers/web/snapshots/s0"]
    one, = web.get(f"{SNAPSHOTS}?recursion=1").metadata
    assert one == web.get(f"{SNAPSHOTS}/s0").metadata
    assert one["name"] == "s0" and one["stateful"] is True and one["expires_at"] == NEVER
    assert one["size"] == 268435456 + 12582912 and one["created_at"] > "2026"
    full, = web.get("/1.0/instances?recursion=2").metadata
    assert full["snapshots"] == [one]
    assert web.get("/1.0/instances/web?recursion=1").metadata["snapshots"] == [one]
    assert "snapshots" not in web.get("/1.0/instances/web").metadata
    assert web.wait(web.request("POST", f"{SNAPSHOTS}/s0", {"name": "s1", "migration": False}))["status_code"] == 200
    web.get(f"{SNAPSHOTS}/s0").error(404)
    assert web.wait(web.request("DELETE", f"{SNAPSHOTS}/s1"))["status_code"] == 200
    assert web.get(SNAPSHOTS).metadata == []


def test_the_name_is_told_before_the_snapshot_exists(web):
    names = []
    for _ in range(3):
        answer = web.request("POST", SNAPSHOTS, {"name": ""})
        names.append(answer.metadata["resources"]["instances_snapshots"][0].split("/")[-1])
        web.wait(answer)
    assert names == ["snap0", "snap1", "snap2"]
    web.wait(web.request("DELETE", f"{SNAPSHOTS}/snap1"))
    assert take(web, {}, SNAPSHOTS)["resources"]["instances_snapshots"] == [f"{SNAPSHOTS}/snap1"]
    assert "already" in web.request("POST", SNAPSHOTS, {"name": "snap1"}).error(409)


def test_expiry(web):
    answer = web.request("POST", SNAPSHOTS, {"name": "s", "expires_at": "2099-01-01T00:00:00Z"})
    web.wait(answer)
    assert web.get(f"{SNAPSHOTS}/s").metadata["expires_at"].startswith("2099-01-01T00:00:00")
    web.wait(web.request("PUT", f"{SNAPSHOTS}/s", {"expires_at": NEVER}))
    assert web.get(f"{SNAPSHOTS}/s").metadata["expires_at"] == NEVER
    web.wait(web.request("PUT", f"{SNAPSHOTS}/s", {"expires_at": None}))
    for bad in "yesterday", "2001-01-01T00:00:00Z", 7, True, [], {}, "2099", "9" * 5000:
        web.request("PUT", f"{SNAPSHOTS}/s", {"expires_at": bad}).error(400)
        web.request("POST", SNAPSHOTS, {"expires_at": bad}).error(400)
    web.request("PUT", f"{SNAPSHOTS}/s", {}).error(400)
    web.request("PUT", f"{SNAPSHOTS}/none", {"expires_at": None}).error(404)


def test_checkpoints(web):
    operation = take(web, {"name": "c", "description": "d", "max_pause": "500ms", "tcp_established": True,
                           "file_locks": False, "ignore_rootfs": True, "ignore_volumes": True})
    told = operation["metadata"]["checkpoint"]
    assert told["name"] == "c" and told["phases"]["paused"] == 210000
    one = web.get(f"{CHECKPOINTS}/c").metadata
    assert one.pop("manifest") == {"version": 1, "tcp_established": 1, "max_pause_us": 500000}
    assert one == told == web.get(f"{CHECKPOINTS}?recursion=1").metadata[0]
    assert one == web.get("/1.0/checkpoints?recursion=1").metadata[0]
    assert web.get("/1.0/checkpoints").metadata == [f"{CHECKPOINTS}/c"] == web.get(CHECKPOINTS).metadata
    assert one["instance"] == "web" and one["volumes"] == ["data"] and one["stateful"] is True
    assert web.get(f"{CHECKPOINTS}/{one['uuid']}").metadata["name"] == "c"
    take(web, {"name": "n", "stateless": True, "tcp_established": None})
    assert web.get(f"{CHECKPOINTS}/n").metadata["stateful"] is False
    assert web.get(f"{CHECKPOINTS}/n").metadata["manifest"]["tcp_established"] == -1
    assert web.wait(web.request("DELETE", f"{CHECKPOINTS}/c"))["status_code"] == 200
    web.request("DELETE", f"{CHECKPOINTS}/c").error(404)


@pytest.mark.parametrize("body", [
    {"name": "a/b"}, {"name": ".."}, {"name": "."}, {"name": "-x"}, {"name": "a b"}, {"name": "x" * 64},
    {"name": "a\u0000b"}, {"name": "ä"}, {"name": "a\nb"}, {"name": 1}, {"max_pause": "soon"}, {"max_pause": 5},
    {"tcp_established": "yes"}, {"file_locks": 1}, {"ignore_rootfs": "no"}, {"stateless": None, "x": 1},
    {"description": []}, {"stateful": True}])
def test_bad_checkpoints(web, body):
    web.request("POST", CHECKPOINTS, body).error(400)
    assert web.get(CHECKPOINTS).metadata == []
    assert web.get("/1.0/instances/web").metadata["stasis"]["busy"] is False


@pytest.mark.parametrize("path", ["/1.0/instances/none/snapshots", "/1.0/instances/none/checkpoints",
                                  SNAPSHOTS + "/none", CHECKPOINTS + "/none", CHECKPOINTS + "/none/export",
                                  CHECKPOINTS + "/..%2f..%2fetc", CHECKPOINTS + "/" + "x" * 3000], ids=range(7))
def test_what_does_not_exist(web, path):
    web.get(path).error(404)


def test_methods(web):
    web.request("PATCH", SNAPSHOTS + "/s", {}).error(405)
    web.request("POST", SNAPSHOTS + "/none", {"name": "x"}).error(404)
    web.request("POST", SNAPSHOTS + "/none", {"name": "../x"}).error(400)
    web.request("POST", SNAPSHOTS + "/none", {"name": "x", "migration": True}).error(501)
    web.get(SNAPSHOTS + "?recursion=3").error(400)


def test_a_busy_instance(api):
    api.launch("slow")
    take(api, {"name": "s"}, "/1.0/instances/slow/checkpoints")
    set_config(api, "slow", user_fake_delay="3s")
    first = api.request("POST", "/1.0/instances/slow/snapshots", {})
    for method, path, body in [
            ("POST", "/1.0/instances/slow/snapshots", {}), ("POST", "/1.0/instances/slow/checkpoints", {}),
            ("PUT", "/1.0/instances/slow", {"restore": "s"}), ("DELETE", "/1.0/instances/slow/snapshots/s", None),
            ("PUT", "/1.0/instances/slow/snapshots/s", {"expires_at": None}),
            ("POST", "/1.0/instances/slow/snapshots/s", {"name": "t"}),
            ("POST", "/1.0/instances", {"name": "c", "source": {"type": "copy", "source": "slow"}})]:
        assert "busy: taking a checkpoint" in api.request(method, path, body).error(409)
    assert api.get(first.json["operation"]).metadata["status"] == "Running", "nobody was told at once"
    assert api.wait(first)["status"] == "Success"
    delete(api, "slow")


def test_a_checkpoint_is_cancelled(api):
    api.launch("slow")
    set_config(api, "slow", user_fake_delay="10s")
    first = api.request("POST", "/1.0/instances/slow/checkpoints", {})

    def is_writing():
        return (api.get(first.json["operation"]).metadata["metadata"] or {}).get("checkpoint_progress", "").startswith("Writing")

    wait_until(is_writing, "it tells how far it is")
    api.request("DELETE", first.json["operation"])
    assert api.wait(first)["status"] == "Cancelled"
    assert api.get("/1.0/instances/slow/checkpoints").metadata == []
    delete(api, "slow")


def test_restore(web):
    take(web, {"name": "s", "stateful": True}, SNAPSHOTS)
    take(web, {"name": "files"}, SNAPSHOTS)
    lxd = {"architecture": "", "config": None, "devices": None, "ephemeral": False, "profiles": None,
           "description": "", "disk_only": False}
    before = web.get("/1.0/instances/web").metadata["description"]

    def restore(which, **more):
        return web.request("PUT", "/1.0/instances/web", {"restore": which, **more})

    assert web.wait(restore("web/s", stateful=True, **lxd))["status"] == "Success"
    assert web.get("/1.0/instances/web").metadata["status"] == "Running"
    assert web.get("/1.0/instances/web").metadata["description"] == before
    web.wait(restore("s", stateful=False, **lxd))
    assert web.get("/1.0/instances/web").metadata["status"] == "Stopped"
    web.wait(restore("s"))
    assert web.get("/1.0/instances/web").metadata["status"] == "Running"
    web.wait(restore("files"))
    assert web.get("/1.0/instances/web").metadata["status"] == "Stopped"
    assert "no memory" in restore("files", stateful=True).error(400)
    restore("s", stateful="yes").error(400)
    restore("other/s").error(400)
    restore("none").error(404)
    restore("../s").error(400)
    web.request("PATCH", "/1.0/instances/web", {"restore": "s"}).error(400)
    assert web.get("/1.0/instances/web").metadata["stasis"]["busy"] is False


# ---- copies --------------------------------------------------------------------------------------------------------

def copy(api, source, name="twin", **more):
    return api.request("POST", "/1.0/instances", {"name": name, "source": {"type": "copy", "source": source}, **more})


def test_copy(web):
    answer = copy(web, "web", start=True)
    assert answer.metadata["resources"]["instances"] == ["/1.0/instances/twin"]
    assert web.wait(answer)["status"] == "Success"
    assert web.get("/1.0/instances/twin").metadata["status"] == "Running"
    assert web.get(CHECKPOINTS).metadata == []  # what was made for it is gone
    assert "already" in copy(web, "web").error(409)
    delete(web, "twin")
    web.wait(copy(web, "web"))
    twin = web.get("/1.0/instances/twin").metadata
    assert twin["status"] == "Stopped" and twin["stateful"] is True
    delete(web, "twin")
    take(web, {"name": "c"})
    web.wait(copy(web, "web/c", stateless=True, ignore_volumes=True, start=True, config={"user.a": "b", "volatile.uuid": "x"},
                  description="d", ephemeral=True))
    twin = web.get("/1.0/instances/twin").metadata
    assert twin["status"] == "Stopped" and twin["stateful"] is False and twin["ephemeral"] is True
    assert twin["config"] == {"user.a": "b"} and twin["description"] == "d"
    delete(web, "twin")


def test_bad_copies(web):
    copy(web, "none").error(404)
    copy(web, "web/none").error(404)
    copy(web, "").error(400)
    copy(web, None).error(400)
    copy(web, "web", name="").error(400)
    copy(web, "web", name="a/b").error(400)
    copy(web, "web", config={"no.such": "key"}).error(400)
    copy(web, "web", stateless="x").error(400)
    copy(web, "web", ignore_volumes=1).error(400)
    web.request("POST", "/1.0/instances", {"name": "t", "stateless": True}).error(400)
    web.request("POST", "/1.0/instances", {"name": "t", "source": {"type": "copy"}}).error(400)
    assert web.get("/1.0/instances/web").metadata["stasis"]["busy"] is False


def test_a_copy_that_fails_leaves_nothing(web):
    set_config(web, "web", user_fake_fail="criu says no")
    operation = web.wait(copy(web, "web"))
    assert operation["status"] == "Failure" and operation["err"] == "criu says no"
    web.get("/1.0/instances/twin").error(404)
    assert web.get(CHECKPOINTS).metadata == []
