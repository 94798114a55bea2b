# SPDX-License-Identifier: Apache-2.0
"""Checkpoint images between us and Podman."""
from harness import wait_until
from test_interop import (IMAGE, LOOP, clean, counted, goes_on, image, loop, numbers, ours,  # noqa: F401 - fixtures
                          peers, restore)


def test_podman_continues_our_image(ours, clean, tmp_path):  # noqa: F811
    """Podman gets the volume's content, too; the log stays here."""
    c = loop(ours)
    before = counted(c)
    ours.cli("checkpoint", "c1", "--image", f"oci-archive:{tmp_path}/image.tar:localhost/checkpoint:1")
    after = counted(c)
    path = clean.give(tmp_path / "image.tar", "checkpoint.tar")
    clean.podman("pull", "-q", f"oci-archive:{path}")
    clean.podman("container", "restore", "localhost/checkpoint:1")
    lines = wait_until(lambda: found if len(found := numbers(clean.podman("logs", "c1"))) > 3 else None, "it counts there")
    assert before <= lines[0] <= after + 2, (before, lines, after)
    for file in ("/etc/motd", "/var/new/n", "/data/n", "/dev/shm/n"):
        # the loop truncates before it writes
        found = wait_until(lambda f=file: numbers(clean.podman("exec", "c1", "cat", f)), file)
        assert found[0] >= lines[0], file


def test_podmans_image_continues_here(ours, clean):  # noqa: F811
    clean.podman("run", "-d", "--name", "p1", "--network", "none", IMAGE, "/bin/sh", "-c", LOOP)
    wait_until(lambda: len(clean.podman("logs", "p1").split()) > 5, "it counts")
    clean.podman("container", "checkpoint", "p1", "--create-image", "localhost/theirs:1")
    before = numbers(clean.podman("logs", "p1"))[-1]
    clean.podman("save", "--format", "oci-archive", "-o", "/lab/theirs.tar", "localhost/theirs:1")
    p = restore(ours, f"oci-archive:{clean.lab}/theirs.tar", "p2")
    goes_on(p, before, ["/var/new/n", "/dev/shm/n"])
