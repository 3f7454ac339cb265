# SPDX-License-Identifier: ISC
"""What fails while the machine itself stands still is run again; what fails while it runs has failed."""
import os
import signal
import subprocess
import sys
import time

import servers

CASES = '''
import os

def count(name):
    with open(name, "a+") as file:
        file.write("x")
        file.seek(0)
        return len(file.read())

def test_passes():
    assert count("passes") == 1

def test_fails_once(stage, tmp_path):
    assert count("once") == 2, "a late answer"

def test_fails_always(stage):
    assert count("always") == 0

def test_passes_too(stage):
    assert count("too") == 1
'''


def verdicts(folder, stood_still):
    """Runs the cases with a witness of our own; pytest's output and how often each case ran."""
    os.makedirs(folder / "tests")
    witness = folder / "tests" / "witness"
    witness.write_text("#!/bin/sh\necho ready\n" + ("echo 0 1000000000000000\n" if stood_still else "") + "exec cat\n")
    witness.chmod(0o700)
    (folder / "test_cases.py").write_text(CASES)
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "conftest",
                           "--rootdir", folder, "test_cases.py"], cwd=folder, text=True, capture_output=True,
                          env=os.environ | {"PYTHONPATH": os.path.dirname(__file__), "UNDERSTUDY_BUILD": str(folder)})
    runs = {name: len((folder / name).read_text()) for name in ("passes", "once", "always", "too")}
    return done.stdout + done.stderr, runs


def test_failure_while_the_machine_stood_still_is_run_again(tmp_path):
    said, runs = verdicts(tmp_path, stood_still=True)
    assert runs == {"passes": 1, "once": 2, "always": 3, "too": 1}, said
    assert "1 failed, 3 passed" in said and "FAILED test_cases.py::test_fails_always" in said, said
    assert "run again: test_cases.py::test_fails_once: the machine stood still" in said and "a late answer" in said


def test_failure_while_the_machine_runs_has_failed(tmp_path):
    said, runs = verdicts(tmp_path, stood_still=False)
    assert runs == {"passes": 1, "once": 1, "always": 1, "too": 1}, said
    assert "2 failed, 2 passed" in said and "run again" not in said, said


def test_witness_tells_when_it_had_no_cpu():
    witness = subprocess.Popen([os.path.join(servers.BUILD, "tests", "witness")], text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert witness.stdout.readline() == "ready\n"
        stopped = time.monotonic()
        witness.send_signal(signal.SIGSTOP)
        servers.wait_for(lambda: time.monotonic() > stopped + 0.1, "a tenth of a second to pass")
        went_on = time.monotonic()
        witness.send_signal(signal.SIGCONT)
        ended = 0
        while ended < went_on:
            began, ended = (int(word) / 1e6 for word in witness.stdout.readline().split())
        assert ended - began >= 0.08, (stopped, began, ended)
    finally:
        witness.stdin.close()
        assert witness.wait(10) == 0
