# SPDX-License-Identifier: Apache-2.0
"""Crash tests need a build with fault points: meson setup build-faults -Dfaults=true (make crash)."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from conftest_shared import *  # noqa: E402,F401,F403 - the fixtures
from harness import BUILD  # noqa: E402


def pytest_configure(config):
    program = BUILD / "src/daemon/stasisd"
    if not program.exists() or b"fault injected at" not in program.read_bytes():
        pytest.exit(f"{program} is not built with -Dfaults=true: make crash does that", returncode=2)
