# SPDX-License-Identifier: ISC
"""What the bench takes for the machine's delay is not the server's: a server that freezes is told of in the cleaned figures, too."""
import contextlib
import json
import os
import signal
import subprocess
import threading

import pytest

from servers import TOOLS, NameServer, free_port

SECONDS, RATE = 1.5, 5000
CPUS = sorted(os.sched_getaffinity(0))
FROZEN_S, RUNNING_S = 0.02, 0.04


class Echo(NameServer):
    """It answers whatever it is asked, at once."""

    def __init__(self, folder):
        super().__init__(folder, "echo", ("127.0.0.1", free_port("127.0.0.1")))

    def start(self):
        self.spawn(["taskset", "-c", str(CPUS[0]), os.path.join(TOOLS, "bench", "echo"), f"127.0.0.1:{self.port}"])
        return self


@contextlib.contextmanager
def freezing(server):
    """Over and over, by hand."""
    is_over = threading.Event()

    def run():
        while not is_over.wait(RUNNING_S):
            os.kill(server.process.pid, signal.SIGSTOP)
            is_over.wait(FROZEN_S)
            os.kill(server.process.pid, signal.SIGCONT)
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def flood(server, tmp_path):
    questions = tmp_path / "questions"
    questions.write_text("www.example.com. 1\n")
    cpus = ",".join(map(str, {CPUS[0], CPUS[-1]}))
    done = subprocess.run(["taskset", "-c", str(CPUS[-1]), os.path.join(TOOLS, "bench", "flood"), "-s", f"127.0.0.1:{server.port}", "-q", questions,
                           "-d", str(SECONDS), "-r", str(RATE), "-c", cpus, "-g", str(server.process.pid)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    if "ran_p50_us" not in told:
        pytest.skip("the kernel does not let us watch CPUs")
    return told


@pytest.mark.soak       # it is the machine's timers that are asked, and no two machines' are alike
def test_a_server_that_freezes_is_not_taken_for_the_machine(stage, tmp_path):
    echo = stage.add(Echo(tmp_path)).start()
    with freezing(echo):
        told = flood(echo, tmp_path)
    assert told["ran_p99_us"] > FROZEN_S / 2 * 1e6, told
    assert told["left_out"] < told["answered"] / 2, told
