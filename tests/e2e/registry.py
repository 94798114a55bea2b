# SPDX-License-Identifier: Apache-2.0
"""Debian's docker-registry on a port of loopback, as a fixture."""
import contextlib
import os
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from harness import TESTS_CACHE, wait_until


def registry_program():
    for candidate in (os.environ.get("STASIS_REGISTRY"), TESTS_CACHE / "tools/usr/bin/docker-registry",
                      shutil.which("docker-registry")):
        if candidate and Path(candidate).exists():
            return str(candidate)
    return None


@pytest.fixture
def registry(tmp_path):
    program = registry_program()
    if program is None:
        pytest.skip("no docker-registry here (./setup.sh test unpacks it)")
    if not shutil.which("skopeo"):
        pytest.skip("no skopeo here")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    config = tmp_path / "registry.yml"
    config.write_text(f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {tmp_path}/registry}}}}\n"
                      f"http: {{addr: 127.0.0.1:{port}}}\n")
    process = subprocess.Popen([program, "serve", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answers():
        assert process.poll() is None, "docker-registry has ended"
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=5).status == 200
        return False

    try:
        wait_until(answers, "the registry answers")
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
