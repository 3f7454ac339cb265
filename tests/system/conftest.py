# SPDX-License-Identifier: ISC
"""Fixtures of the system tests: a stage with real servers, zones and questions."""
import os
import resource
import shutil
import subprocess
import sys
import threading
import time

import pytest
from _pytest.runner import runtestprotocol

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import servers  # noqa: E402  (after the path is set)


def pytest_addoption(parser):
    parser.addoption("--soak-seconds", type=int, default=60, help="how long the soak test runs")


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes more than some seconds; not under sanitizers")
    config.addinivalue_line("markers", "timing: asserts times that sanitizers would spoil")
    config.addinivalue_line("markers", "alone: asserts times; in the plain build nothing else runs beside it")
    config.addinivalue_line("markers", "threads: worth running under ThreadSanitizer")
    config.addinivalue_line("markers", "soak: only for `make check-long`")


def pytest_collection_modifyitems(config, items):
    if "soak" in (config.getoption("-m") or ""):
        return
    for item in items:
        if item.get_closest_marker("soak"):
            item.add_marker(pytest.mark.skip(reason="runs in make check-long"))


# ---- What a test says while the machine itself stands still ----

STILL_S = 0.02      # at once; less is what servers and tests must bear
AGAIN_MOST = 2


class Witness:
    """Knows when the machine stood still (witness.c)."""

    def __init__(self):
        self.times, self.again = [], []
        self.process = subprocess.Popen([os.path.join(servers.BUILD, "tests", "witness")], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == "ready\n"
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self):
        for line in self.process.stdout:
            began_us, ended_us = map(int, line.split())
            self.times.append((began_us / 1e6, ended_us / 1e6))

    def longest_since(self, since):
        """The longest time that the machine stood still and that was not over by then, in seconds."""
        return max((ended - began for began, ended in list(self.times) if ended > since), default=0)

    def close(self):
        self.process.kill()         # by its own will it takes a second under ThreadSanitizer
        self.process.wait()
        self.thread.join()


WITNESS = pytest.StashKey()


def pytest_sessionstart(session):
    session.config.stash[WITNESS] = Witness()


def pytest_sessionfinish(session):
    session.config.stash[WITNESS].close()


def pytest_runtest_protocol(item, nextitem):
    """
    A virtual machine is now and then not run by its host. A server that answers late then did nothing wrong, and the
    primary beside it did not fail: what a test says of such a time is void, and it is run again. One that fails
    while the machine runs has failed.
    """
    witness = item.config.stash[WITNESS]
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for tries_left in reversed(range(AGAIN_MOST + 1)):
        began = time.monotonic()
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        failed = [report for report in reports if report.failed]
        still = witness.longest_since(began) if failed else 0
        if still < STILL_S or not tries_left:
            break
        witness.again.append((item.nodeid, still, failed[0].longreprtext))
        item._initrequest()     # pytest's own way to give a test its fixtures
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_terminal_summary(terminalreporter, config):
    for name, still, text in config.stash[WITNESS].again:
        terminalreporter.write_line(f"run again: {name}: the machine stood still for {still * 1000:.0f} ms; it said:")
        terminalreporter.write_line(text)


@pytest.fixture(scope="session", autouse=True)
def enough_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))


@pytest.fixture
def stage(tmp_path):
    """Ends whatever the test put on it; a sanitizer's cry or a bad exit fails the test."""
    there = servers.Stage(tmp_path)
    yield there
    there.close()
    # big zones would fill the disk; pytest keeps the folders of the last runs
    for name in ("state", "redis", "nsd", "knot"):
        for folder in tmp_path.glob("*"):
            if folder.name.startswith(name):
                shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def example_zone():
    """The zone of the demonstration: it has one of everything that a zone may hold."""
    with open(os.path.join(servers.ROOT, "conf", "example.com.zone")) as file:
        return file.read()


@pytest.fixture(scope="session")
def questions():
    return os.path.join(HERE, "questions")
