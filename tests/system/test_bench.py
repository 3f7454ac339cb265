# SPDX-License-Identifier: ISC
"""Every row of `make bench` still runs, with sizes so small that its figures mean nothing."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

import pytest

from servers import BUILD, IS_SANITIZED, ROOT, TOOLS

BENCH = os.path.join(ROOT, "tests", "bench", "bench.py")
TINY = {"BENCH_SECONDS": "0.2", "BENCH_REPETITIONS": "1", "BENCH_ROUNDS": "1", "BENCH_HOSTS": "500", "BENCH_RECORDS": "5000",
        "BENCH_CHANGES": "2", "BENCH_ZONES": "50", "BENCH_CLIENTS": "100", "BENCH_BUSY_CLIENTS": "10",
        "BENCH_GROWTH_SECONDS": "1"}
ROWS = {"mirror-positive": {"echo", "understudy", "nsd", "knot", "bind"},
        "mirror-denied": {"echo", "understudy", "nsd", "knot", "bind"},
        "forward": {"relay", "understudy", "dnsdist"},
        "latency": {"relay", "understudy", "understudy-busy", "dnsdist"},
        "syscalls": {"relay", "understudy", "dnsdist", "understudy-mirror", "nsd", "knot", "bind"},
        "axfr": {"understudy", "understudy, Redis", "nsd", "knot", "bind"},
        "cold-start": {"snapshot", "Redis", "nsd", "knot", "bind"},
        "ixfr": {"understudy", "nsd", "knot", "bind"},
        "transfer-latency": {kind + store for kind in ("quiet", "AXFR", "IXFR") for store in ("", ", Redis")},
        "zone": {"records", "build_s", "bytes_per_record", "found_ns", "missing_ns", "ten_changes_us", "ten_changes_bytes",
                 "free_old_us", "snapshot_bytes_per_record", "snapshot_write_s", "snapshot_read_s",
                 "zonemd_s", "zonemd_step_records", "zonemd_step_ms", "dump_bytes_per_record", "dump_s", "free_s"},
        "many-zones": {"understudy", "nsd", "knot"},
        "tcp-clients": {"understudy", "dnsdist", "understudy-mirror"},
        "day": {"forwarded", "from the mirror"},
        "names": {"500 names", "5000 names"},
        "backends": {"1 backends", "10 backends", "100 backends"},
        "workers": {"echo", "mirror", "relay", "forwarded"},
        "xdp": {"echo", "understudy", "understudy-xdp", "knot", "knot-xdp"}}
NEEDS = {"forward": ["dnsdist"], "latency": ["dnsdist"], "tcp-clients": ["dnsdist"], "syscalls": ["dnsdist", "strace"]}


@pytest.fixture
def folder():
    """With a short name: what rows make in it has UNIX sockets."""
    with tempfile.TemporaryDirectory(prefix="u-") as there:
        yield there


@pytest.mark.soak
@pytest.mark.skipif(IS_SANITIZED, reason="a sanitizer's figures are not the product's")
@pytest.mark.parametrize("row", ROWS)
def test_row_runs(row, tmp_path, folder):
    missing = [program for program in NEEDS.get(row, []) if not shutil.which(program)]
    if missing:
        pytest.skip(f"{missing[0]} is missing: contrib/install-deps bench")
    figures = tmp_path / "bench.json"
    done = subprocess.run([sys.executable, BENCH, row], capture_output=True, text=True, timeout=300,
                          env={**os.environ, **TINY, "BENCH_JSON": str(figures), "TMPDIR": folder,
                               "UNDERSTUDY_BUILD": BUILD, "UNDERSTUDY_TOOLS": os.path.dirname(TOOLS)})
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(figures.read_text())
    assert set(told["rows"][row]) == ROWS[row]
    assert told["sizes"]["RECORDS"] == 5000


@pytest.mark.soak
def test_no_row_is_forgotten():
    done = subprocess.run([sys.executable, BENCH, "nothing"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert set(done.stderr.split("there are: ")[1].split()) == set(ROWS)
