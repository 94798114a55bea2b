# SPDX-License-Identifier: Apache-2.0
"""One stasisd-fake for all tests; at its end nothing may be left open."""
import os
import subprocess
import time

import pytest

from client import Client

FAKE = os.environ.get("STASISD_FAKE", "build/tests/fake/stasisd-fake")


class Server:
    def __init__(self, folder):
        self.folder = folder
        self.log_path = folder / "stderr"
        self.path = str(folder / "socket")
        self.log = open(self.log_path, "w")
        self.process = subprocess.Popen([FAKE, str(folder)], stderr=self.log)
        self.wait_for(self.is_answering, "no answer")

    def is_answering(self):
        try:
            return Client(self.path).get("/").status == 200
        except (ConnectionRefusedError, FileNotFoundError):
            return False

    def wait_for(self, is_true, what, seconds=10):
        end = time.monotonic() + seconds
        while not is_true():
            assert self.process.poll() is None, self.log_path.read_text()[-4000:]
            assert time.monotonic() < end, what
            time.sleep(0.01)

    def count(self, what):
        return len(os.listdir(f"/proc/{self.process.pid}/{what}"))

    def stop(self):
        self.process.terminate()
        code = self.process.wait(15)
        self.log.close()
        assert code == 0, self.log_path.read_text()[-4000:]


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("fake"))
    Client(server.path).get("/")
    time.sleep(0.3)
    n_fds, n_threads = server.count("fd"), server.count("task")
    yield server
    try:
        server.wait_for(lambda: server.count("fd") <= n_fds, "descriptors are left open")
        server.wait_for(lambda: server.count("task") <= n_threads, "threads are left")
    finally:
        server.stop()


@pytest.fixture
def own_server(tmp_path):
    """For tests that stop it."""
    server = Server(tmp_path)
    yield server
    if server.process.poll() is None:
        server.stop()


@pytest.fixture
def api(server):
    return Client(server.path)


@pytest.fixture
def web(api):
    """A running instance "web"."""
    api.launch("web")
    yield api
    api.wait(api.request("DELETE", "/1.0/instances/web?force=1"))
