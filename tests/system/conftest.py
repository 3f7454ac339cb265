# SPDX-License-Identifier: ISC
"""Fixtures of the system tests: a stage with real servers, zones and questions."""
import os
import resource
import shutil
import sys

import pytest

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
