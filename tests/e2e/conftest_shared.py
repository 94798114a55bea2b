# SPDX-License-Identifier: Apache-2.0
"""Fixtures: a daemon that tests share, and one of their own for those that kill it."""
import os
import shutil
import tempfile
from pathlib import Path

import pytest

import rootfs
from harness import BUILD, Daemon


@pytest.fixture(scope="session")
def scratch():
    """A folder for the whole session, gone at its end."""
    folder = Path(tempfile.mkdtemp(prefix="st-session-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def programs_tar(scratch):
    assert os.geteuid() == 0, "the end-to-end tests need root"
    for program in ("src/daemon/stasisd", "src/cli/stasis", "src/guard/stasis-guard", "tests/programs/counter"):
        assert (BUILD / program).exists(), f"{BUILD / program} is not built (STASIS_BUILD names another build folder)"
    return rootfs.programs(scratch / "programs.tar", BUILD)


class Shared:
    """Keeps one daemon for the session; one that has ended or left something behind is replaced."""

    def __init__(self, programs_tar):
        self.programs_tar = programs_tar
        self.daemon = None

    def get(self):
        if self.daemon is None:
            self.daemon = Daemon()
            self.daemon.start()
            self.daemon.import_programs(self.programs_tar)
        return self.daemon

    def after_test(self):
        daemon = self.daemon
        problems = []
        if not daemon.is_running:
            problems.append(f"stasisd has ended with {daemon.process and daemon.process.poll()}:\n{daemon.tail()}")
        else:
            problems = daemon.delete_instances()
        if problems:
            self.daemon = None
            daemon.clean_host()
        assert not problems, "\n".join(problems)

    def close(self):
        if self.daemon:
            self.daemon.close()


@pytest.fixture(scope="session")
def shared(programs_tar):
    keeper = Shared(programs_tar)
    yield keeper
    keeper.close()


@pytest.fixture
def daemon(shared, request):
    """A running daemon with the image "programs", shared with other tests; all instances are deleted afterwards."""
    request.node.daemon = shared.get()
    yield shared.daemon
    shared.after_test()


@pytest.fixture
def fresh(programs_tar, request):
    """A running daemon of the test's own, with the image "programs"."""
    made = make_daemon(programs_tar, request)
    yield made
    made.close()


@pytest.fixture
def another(programs_tar, request):
    """Makes further daemons."""
    made = []

    def make(started=True, **kw):
        made.append(make_daemon(programs_tar, request, **kw) if started else Daemon(**kw))
        return made[-1]

    yield make
    for one in made:
        one.close()


def make_daemon(programs_tar, request, **kw):
    made = Daemon(**kw)
    request.node.daemon = made
    try:
        made.start()
        made.import_programs(programs_tar)
    except BaseException:
        made.clean_host()
        raise
    return made


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows what its daemon said."""
    outcome = yield
    report = outcome.get_result()
    daemon = getattr(item, "daemon", None)
    if report.failed and daemon is not None and daemon.output.exists():
        report.sections.append((f"stasisd ({daemon.name}) during {report.when}", daemon.tail()))
