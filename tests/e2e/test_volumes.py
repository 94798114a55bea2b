# SPDX-License-Identifier: Apache-2.0
"""Named volumes: they outlive instances, are shared by them, and survive what the instances survive."""
import os
import subprocess
import tarfile

import pytest

from harness import ApiError, Pair, wait_until

VOLUMES = "/1.0/storage-pools/default/volumes/custom"
SLEEPER = ["/bin/sh", "-c", "while :; do sleep 0.05; done"]


@pytest.fixture
def volumes(daemon):
    """Makes volumes; all are deleted at the end, after their instances."""
    made = []

    def make(name):
        daemon.rest.post(VOLUMES, {"name": name, "type": "custom"})
        made.append(name)
        return daemon.root / "lib/volumes" / name

    yield make
    problems = daemon.delete_instances()
    assert not problems, problems
    for name in made:
        if f"{VOLUMES}/{name}" in daemon.rest.get(VOLUMES):
            daemon.rest.delete(f"{VOLUMES}/{name}")
    assert os.listdir(daemon.root / "lib/volumes") == []


def disk(source, path, **more):
    return {"type": "disk", "pool": "default", "source": source, "path": path, **more}


def users(daemon, volume):
    return daemon.rest.get(f"{VOLUMES}/{volume}")["stasis"]["attached"]


class VolumeCounter:
    """A counter whose file is in a volume."""

    def __init__(self, daemon, name, volume, path="/data"):
        self.file = f"{path}/count"
        self.instance = daemon.create(name, ["/bin/counter", "--file", self.file],
                                      devices={"d": disk(volume, path)})
        self.goes_on()

    def pair(self):
        pair = Pair.read(self.instance.pid, self.file)
        assert pair.disk <= pair.count and pair.disk_run == pair.run and pair.errors == 0, pair
        return pair

    def goes_on(self, beyond=0):
        def ready():
            try:
                pair = self.pair()
            except (OSError, AssertionError):
                return None
            return pair if pair.count > beyond else None

        return wait_until(ready, lambda: f"it counts beyond {beyond}: {self.instance.describe()}")

    def continues(self, before):
        """It goes on where it was: the same run, and no tick lost."""
        after = self.goes_on(before.count)
        assert after.run == before.run and after.boots == before.boots, (before, after)
        return after


# ---- stateful ------------------------------------------------------------------------------------------------------


def test_counter_in_a_volume_over_stop_and_start(daemon, volumes):
    folder = volumes("data")
    c = VolumeCounter(daemon, "c1", "data")
    for _ in range(3):
        before = c.pair()
        c.instance.stop_stateful()
        on_disk = Pair.read_disk(folder / "count")
        assert on_disk[1] == before.run and on_disk[0] >= before.disk
        c.instance.start()
        c.continues(before)
    c.instance.restart(stateful=True)
    c.continues(before)


def test_counter_in_a_volume_over_daemon_restart_and_reboot(fresh):
    fresh.rest.post(VOLUMES, {"name": "data"})
    c = VolumeCounter(fresh, "c1", "data")
    before = c.pair()
    fresh.restart()
    c.continues(before)
    fresh.restart(kill=True)
    before = c.continues(before)
    c.instance.stop_stateful()
    fresh.reboot()
    assert c.instance.info()["devices"] == {"d": disk("data", "/data")}
    c.instance.start()
    c.continues(before)
    fresh.reboot()
    c.instance.start()
    assert c.goes_on().boots == before.boots + 1
    c.instance.delete(force=True)
    fresh.rest.delete(f"{VOLUMES}/data")


def test_two_instances_share_a_volume(daemon, volumes):
    volumes("shared")
    one = daemon.create("one", SLEEPER, devices={"s": disk("shared", "/a")})
    two = daemon.create("two", SLEEPER,
                        devices={"s": disk("shared", "/b", readonly="true")})
    assert users(daemon, "shared") == ["one:/a", "two:/b"]
    daemon.cli("exec", "one", "--", "sh", "-c", "echo hello >/a/x")
    assert daemon.cli("exec", "two", "--", "cat", "/b/x").stdout == "hello\n"
    refused = daemon.cli("exec", "two", "--", "sh", "-c", "echo bye >/b/x", check=False)
    assert refused.returncode != 0 and "Read-only" in refused.stderr
    two.stop_stateful()
    daemon.cli("exec", "one", "--", "sh", "-c", "echo more >>/a/x")
    two.start()
    assert daemon.cli("exec", "two", "--", "cat", "/b/x").stdout == "hello\nmore\n"
    # what was read-only is so after a restore
    refused = daemon.cli("exec", "two", "--", "sh", "-c", "echo bye >/b/x", check=False)
    assert refused.returncode != 0 and "Read-only" in refused.stderr
    one.stop_stateful()
    one.start()
    assert daemon.cli("exec", "one", "--", "cat", "/a/x").stdout == "hello\nmore\n"


def test_nested_and_symlinked_paths(daemon, volumes):
    """A folder before what is in it; a path through a symlink, made before the instance boots with the volume."""
    for name in "outer", "inner", "linked":
        volumes(name)
    script = "echo o >/srv/v/o; echo i >/srv/v/deep/i; echo l >/run/link/l; echo up; while :; do sleep 0.05; done"
    c = daemon.create("c1", ["/bin/sh", "-c", "mkdir -p /real/place /run; ln -sfn /real/place /run/link; " + script],
                      devices={"a": disk("inner", "/srv/v/deep"), "b": disk("outer", "/srv/v")}, start=False)
    c.start()
    wait_until(lambda: "up" in c.output(), "it is up")
    c.stop(force=True)
    daemon.rest.patch(c.url, {"devices": {"c": disk("linked", "/run/link")}})
    c.start()
    wait_until(lambda: c.output().count("up") == 2, "it is up again")
    lib = daemon.root / "lib/volumes"
    assert sorted(os.listdir(lib / "outer")) == ["deep", "o"]
    assert os.listdir(lib / "inner") == ["i"] and os.listdir(lib / "linked") == ["l"]
    assert c.read("/real/place/l") == "l\n"
    for _ in range(2):
        c.stop_stateful()
        c.start()
    assert daemon.cli("exec", "c1", "--", "cat", "/run/link/l", "/srv/v/deep/i").stdout == "l\ni\n"


def test_strange_names_of_paths(daemon, volumes):
    volumes("data")
    for path in "/with blank", "/ä]b", "/quo\"te", "/a,b=c":
        c = daemon.create("c1", SLEEPER, devices={"d": disk("data", path)})
        c.stop_stateful()
        c.start()
        daemon.cli("exec", "c1", "--", "touch", f"{path}/here")
        c.delete(force=True)


# ---- attaching -----------------------------------------------------------------------------------------------------


def test_attach_needs_a_stopped_instance_without_state(daemon, volumes):
    volumes("data")
    c = daemon.counter("c1")
    body = {"devices": {"d": disk("data", "/data")}}
    with pytest.raises(ApiError, match="'c1' is running: volumes change only while it is stopped") as e:
        daemon.rest.patch(c.url, body)
    assert e.value.code == 409
    c.stop_stateful()
    with pytest.raises(ApiError, match="'c1' has a saved state") as e:
        daemon.rest.patch(c.url, body)
    assert e.value.code == 409
    c.start(stateful=False)
    c.counts()
    c.stop()
    daemon.rest.patch(c.url, body)
    assert c.info()["devices"] == body["devices"]
    c.start()
    assert os.path.isdir(c.inside("/data"))
    with pytest.raises(ApiError, match="running"):
        daemon.rest.patch(c.url, {"devices": {"d": None}})
    daemon.rest.patch(c.url, {"config": {"user.x": "y"}})  # says nothing of devices
    daemon.rest.put(c.url, {"config": {}, "devices": body["devices"]})


@pytest.mark.parametrize("path", ["data", "", "/", "//", "/./", "/a/../b", "/..", "/proc", "/proc/sys", "/sys", "/sys/x",
                                  "/dev", "/dev/shm", "//dev//shm/", "/a:b", "/a\nb", "/" + "x" * 256])
def test_paths_refused(daemon, volumes, path):
    volumes("data")
    with pytest.raises(ApiError) as e:
        daemon.create("c1", ["/bin/counter"], devices={"d": disk("data", path)})
    assert e.value.code == 400, e.value
    assert daemon.instances() == [] and users(daemon, "data") == []


def test_devices_refused_leave_nothing(daemon, volumes):
    volumes("data")
    for devices, code in [({"a": disk("data", "/a"), "b": disk("data", "/b")}, 409), ({"a": disk("none", "/a")}, 404)]:
        with pytest.raises(ApiError) as e:
            daemon.create("c1", ["/bin/counter"], devices=devices)
        assert e.value.code == code
        assert daemon.instances() == [] and users(daemon, "data") == []
    c = daemon.create("c1", ["/bin/counter"], devices={"a": disk("data", "/a/./b//")}, start=False)
    assert c.info()["devices"] == {"a": disk("data", "/a/b")}


def test_a_volume_in_use_is_not_deleted(daemon, volumes):
    volumes("data")
    c = daemon.counter("c1", devices={"d": disk("data", "/data")})
    with pytest.raises(ApiError, match="volume 'data' is attached: c1:/data") as e:
        daemon.rest.delete(f"{VOLUMES}/data")
    assert e.value.code == 409
    c.stop()
    daemon.rest.post(c.url, {"name": "c2"})
    assert users(daemon, "data") == ["c2:/data"]
    daemon["c2"].delete()
    assert users(daemon, "data") == []
    daemon.rest.delete(f"{VOLUMES}/data")


def test_data_outlives_instances(daemon, volumes):
    folder = volumes("data")
    c = daemon.create("c1", ["/bin/sh", "-c", "echo kept >/data/file"], devices={"d": disk("data", "/data")})
    wait_until(lambda: c.status == "Stopped", "it ends")
    c.delete()
    assert (folder / "file").read_text() == "kept\n"
    assert daemon.rest.get(f"{VOLUMES}/data")["stasis"]["usage"] >= 4096
    c = daemon.create("c2", ["/bin/cat", "/elsewhere/file"], devices={"d": disk("data", "/elsewhere")})
    wait_until(lambda: c.status == "Stopped", "it ends")
    assert c.output() == "kept"


def test_the_volumes_folder_is_closed_to_others(daemon, volumes):
    """A container's root may leave set-user-ID programs in a volume."""
    volumes("data")
    assert os.stat(daemon.root / "lib/volumes").st_mode & 0o777 == 0o700


def test_a_volume_without_its_folder(daemon, volumes):
    folder = volumes("data")
    c = daemon.create("c1", ["/bin/counter"], devices={"d": disk("data", "/data")}, start=False)
    folder.rmdir()
    with pytest.raises(ApiError, match="volume 'data': its folder '.*/volumes/data' is gone"):
        c.start()
    assert c.status == "Stopped"


# ---- what is in the image ------------------------------------------------------------------------------------------


@pytest.fixture
def image(daemon, scratch, programs_tar):
    """An image with a folder of content, and with symlinks that lead astray."""
    root = scratch / "volume-image"
    if not root.exists():
        root.mkdir()
        with tarfile.open(programs_tar) as tar:
            tar.extractall(root)
        (root / "content/sub").mkdir(parents=True)
        (root / "content/file").write_text("from the image\n")
        (root / "content/sub/two").write_text("2\n")
        os.link(root / "content/file", root / "content/same")
        os.symlink("/etc/passwd", root / "content/link")
        os.chown(root / "content/file", 1000, 1001)
        os.setxattr(root / "content/file", "user.colour", b"red")
        os.chown(root / "content", 70, 71)
        os.chmod(root / "content", 0o1770)
        os.symlink("/content", root / "way")
        os.symlink("/", root / "to-root")
        os.symlink("../../../../../../proc", root / "to-proc")
        os.symlink("../../../../../../../../etc", root / "outside")
        subprocess.run(["tar", "--xattrs", "--numeric-owner", "-C", root, "-cf", scratch / "volume-image.tar", "."],
                       check=True)
    daemon.import_image(scratch / "volume-image.tar", "with-content")
    yield "with-content"
    daemon.delete_instances()
    daemon.rest.delete("/1.0/images/with-content")


def test_image_content_fills_a_fresh_volume(daemon, volumes, image):
    folder = volumes("data")
    c = daemon.create("c1", SLEEPER, image=image, devices={"d": disk("data", "/way")})
    assert sorted(os.listdir(folder)) == ["file", "link", "same", "sub"]
    assert (folder / "file").read_text() == "from the image\n" and (folder / "sub/two").read_text() == "2\n"
    st = os.lstat(folder / "file")
    assert (st.st_uid, st.st_gid, st.st_nlink) == (1000, 1001, 2)
    assert os.path.samefile(folder / "file", folder / "same")
    assert os.readlink(folder / "link") == "/etc/passwd"
    st = os.stat(folder)
    assert (st.st_uid, st.st_gid, st.st_mode & 0o7777) == (70, 71, 0o1770)
    assert c.read("/content/sub/two") == "2\n"
    assert os.listdir(folder.parent) == ["data"]
    # only the first boot does that
    c.stop(force=True)
    subprocess.run(["rm", "-r", *[folder / name for name in os.listdir(folder)]], check=True)
    c.start()
    assert os.listdir(folder) == []


def test_image_content_leaves_a_volume_that_has_its_own(daemon, volumes, image):
    folder = volumes("data")
    (folder / "mine").write_text("x")
    daemon.create("c1", SLEEPER, image=image, devices={"d": disk("data", "/content")})
    assert os.listdir(folder) == ["mine"]


def test_a_copy_that_was_interrupted_is_ended(daemon, volumes, image):
    folder = volumes("data")
    copy = folder.parent / ".fill-data"
    copy.mkdir(mode=0o700)
    (copy / "rest").write_text("rest")
    (folder / "moved").write_text("moved")
    (folder.parent / ".new-x").mkdir()
    daemon.restart()
    assert copy.exists() and not (folder.parent / ".new-x").exists()
    daemon.create("c1", SLEEPER, image=image, devices={"d": disk("data", "/content")})
    assert sorted(os.listdir(folder)) == ["moved", "rest"] and not copy.exists()
    assert os.stat(folder).st_mode & 0o777 == 0o700


@pytest.mark.parametrize("path", ["/to-root", "/to-proc"])
def test_symlinks_that_lead_where_no_volume_can_be(daemon, volumes, image, path):
    volumes("data")
    c = daemon.create("c1", ["/bin/true"], image=image, devices={"d": disk("data", path)}, start=False)
    with pytest.raises(ApiError, match="where no volume can be"):
        c.start()


def test_a_symlink_out_of_the_root_stays_inside(daemon, volumes, image):
    folder = volumes("data")
    c = daemon.create("c1", SLEEPER, image=image,
                      devices={"d": disk("data", "/outside")})
    assert "shadow" not in os.listdir(folder)
    daemon.cli("exec", "c1", "--", "touch", "/etc/here")
    assert "here" in os.listdir(folder)


def test_a_file_is_no_place_for_a_volume(daemon, volumes, image):
    volumes("data")
    c = daemon.create("c1", ["/bin/true"], image=image, devices={"d": disk("data", "/content/file")}, start=False)
    with pytest.raises(ApiError, match="/content/file is no folder"):
        c.start()


# ---- after a crash -------------------------------------------------------------------------------------------------


def test_what_has_no_row_is_swept(fresh):
    fresh.rest.post(VOLUMES, {"name": "data"})
    lib = fresh.root / "lib/volumes"
    (lib / "data/file").write_text("kept")
    (lib / "half").mkdir()
    (lib / ".gone-1234/x").mkdir(parents=True)
    fresh.restart(kill=True)
    assert os.listdir(lib) == ["data"] and (lib / "data/file").read_text() == "kept"
    assert fresh.rest.get(VOLUMES) == [f"{VOLUMES}/data"]
    fresh.rest.delete(f"{VOLUMES}/data")
    assert os.listdir(lib) == []


def test_what_going_back_has_put_aside_is_no_leftover(fresh):
    """While a swap (engine/swap.h) is open, NAME.old may be the only copy there is."""
    fresh.rest.post(VOLUMES, {"name": "data"})
    c = fresh.create("c1", SLEEPER, devices={"d": disk("data", "/data")}, start=False)
    note = fresh.root / "lib/instances" / c.uuid / "swap.json"
    note.write_text("{")
    old = fresh.root / "lib/volumes/data.old"
    old.mkdir()
    fresh.restart()
    assert old.exists()
    note.unlink()
    fresh.restart()
    assert not old.exists()
    c.delete()
    fresh.rest.delete(f"{VOLUMES}/data")


# ---- the command line ----------------------------------------------------------------------------------------------


@pytest.fixture
def clean(daemon):
    yield daemon
    assert daemon.delete_instances() == []
    left = [row["name"] for row in daemon.cli_json("volume", "list")]
    for name in left:
        daemon.cli("volume", "delete", name)


def test_cli(clean):
    daemon = clean
    assert daemon.cli("volume", "create", "data", "more").stdout.startswith("data: created")
    rows = [line.split() for line in daemon.cli("volume", "list").stdout.splitlines()]
    assert rows[0][:2] == ["NAME", "USAGE"] and [row[0] for row in rows[1:]] == ["data", "more"]
    assert daemon.cli("volume", "create", "data", check=False).returncode == 1
    daemon.create("c1", SLEEPER, start=False)
    daemon.cli("volume", "attach", "data", "c1", "/data")
    daemon.cli("volume", "attach", "more", "c1", "/more", "--readonly")
    assert daemon["c1"].info()["devices"] == {"data": disk("data", "/data"),
                                              "more": disk("more", "/more", readonly="true")}
    again = daemon.cli("volume", "attach", "data", "c1", "/elsewhere", check=False)
    assert again.returncode == 1 and "attached to 'c1' at /data already" in again.stderr
    text = daemon.cli("info", "c1").stdout
    assert "data at /data" in text and "more at /more (read-only)" in text
    text = daemon.cli("volume", "info", "data").stdout
    assert "c1 at /data" in text
    in_use = daemon.cli("volume", "delete", "data", check=False)
    assert in_use.returncode == 1 and "c1:/data" in in_use.stderr
    daemon.cli("start", "c1")
    running = daemon.cli("volume", "detach", "data", "c1", check=False)
    assert running.returncode == 1 and "running" in running.stderr
    daemon.cli("stop", "--force", "c1")
    daemon.cli("volume", "detach", "data", "c1")
    assert "is not attached" in daemon.cli("volume", "detach", "data", "c1", check=False).stderr
    daemon.cli("volume", "delete", "data")
    assert [row["name"] for row in daemon.cli_json("volume", "list")] == ["more"]


def test_cli_launch_with_volumes(clean):
    daemon = clean
    daemon.cli("launch", "programs", "c1", "--volume", "data:/data", "--volume", "more:/more:ro", "--", *SLEEPER)
    daemon.uuids.add(daemon["c1"].uuid)
    assert daemon["c1"].info()["devices"] == {"data": disk("data", "/data"),
                                              "more": disk("more", "/more", readonly="true")}
    # what a failed create has made for itself goes again
    for wrong in ("new:/proc/x", "new:/a/../b:ro", "new:relative"):
        words = ["create", "programs", "c1", "--volume", wrong]
        assert daemon.cli(*words, check=False).returncode in (1, 2)
        assert [row["name"] for row in daemon.cli_json("volume", "list")] == ["data", "more"]
    for wrong in ("data", "data:", ":/data", "data:/x:rx", "data:/x:ro:ro"):
        assert daemon.cli("create", "programs", "c2", "--volume", wrong, check=False).returncode == 2
    twice = daemon.cli("create", "programs", "c2", "--volume", "data:/a", "--volume", "data:/b", check=False)
    assert twice.returncode == 2 and "twice" in twice.stderr
    assert daemon.instances() == ["c1"]


def test_cli_completion(clean):
    daemon = clean
    daemon.cli("volume", "create", "data")
    assert "attach" in daemon.cli("__complete", "--", "volume", "").stdout
    assert "data" in daemon.cli("__complete", "--", "volume", "delete", "d").stdout
    assert "data" not in daemon.cli("__complete", "--", "volume", "attach", "data", "d").stdout
