# SPDX-License-Identifier: Apache-2.0
"""Checkpoints as OCI images: what the API takes, and what it refuses."""
import pytest

CHECKPOINT = "/1.0/instances/web/checkpoints/c"
REFERENCE = "oci:/tmp/images:web"


@pytest.fixture
def taken(web):
    operation = web.wait(web.request("POST", "/1.0/instances/web/checkpoints", {"name": "c"}))
    assert operation["status"] == "Success", operation
    return web


def push(api, path=CHECKPOINT, **body):
    return api.request("POST", path + "/image", body)


def pull(api, source, **body):
    return api.request("POST", "/1.0/instances", {"source": {"type": "checkpoint-image", **source}, **body})


def test_out(taken):
    done = taken.wait(push(taken, reference=REFERENCE))
    assert done["status"] == "Success" and done["description"] == "Writing checkpoint image"
    assert done["metadata"]["reference"] == REFERENCE and done["metadata"]["insecure"] is False
    gzip = done["metadata"]["compression"]
    done = taken.wait(push(taken, reference=REFERENCE, insecure=True, compression="zstd", ignore_rootfs=True))
    assert done["metadata"]["insecure"] is True and done["metadata"]["compression"] != gzip


@pytest.mark.parametrize("body", [{}, {"reference": 1}, {"reference": None}, {"reference": REFERENCE, "compression": "xz"},
                                  {"reference": REFERENCE, "insecure": "yes"}, {"reference": REFERENCE, "more": 1}])
def test_bad_bodies(taken, body):
    push(taken, **body).error(400)


def test_out_of_nothing(taken):
    push(taken, path="/1.0/instances/web/checkpoints/none", reference=REFERENCE).error(404)
    push(taken, path="/1.0/instances/none/checkpoints/c", reference=REFERENCE).error(404)
    taken.get(CHECKPOINT + "/image").error(405)


def test_in(api):
    done = api.wait(pull(api, {"reference": "oci:/tmp/images:own"}))
    assert done["status"] == "Success" and done["metadata"]["instance"] == "own"
    answer = pull(api, {"reference": REFERENCE, "insecure": True}, name="named", start=False, image="busybox")
    assert answer.metadata["resources"]["instances"] == ["/1.0/instances/named"]
    assert api.wait(answer)["metadata"]["insecure"] is True
    assert api.get("/1.0/instances/named").metadata["stateful"] is True
    assert "already" in pull(api, {"reference": REFERENCE}, name="named").error(409)
    for name in "own", "named":
        api.wait(api.request("DELETE", f"/1.0/instances/{name}?force=1"))


def test_in_of_what_is_none(api):
    answer = pull(api, {"reference": "oci:/tmp/images:plain"}, name="plain")
    text = answer.error(400) if answer.status == 400 else api.wait(answer)["err"]
    assert "is not a checkpoint" in text
    api.get("/1.0/instances/plain").error(404)


@pytest.mark.parametrize("source, body", [
    ({}, {}), ({"reference": 1}, {}), ({"reference": REFERENCE, "more": 1}, {}), ({"reference": REFERENCE, "insecure": 1}, {}),
    ({"reference": REFERENCE}, {"name": "a/b"}), ({"reference": REFERENCE}, {"start": "no"}),
    ({"reference": REFERENCE}, {"config": {}}), ({"reference": REFERENCE}, {"image": 1}),
])
def test_bad_sources(api, source, body):
    pull(api, source, **body).error(400)
