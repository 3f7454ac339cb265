# SPDX-License-Identifier: ISC
"""
What a query costs in instructions, from its bytes to the answer's, sockets not counted. The counts are the
same on each run with one compiler, so that a change which costs more is seen on a busy machine, too. They are
recorded in tests/bench/instructions.txt: who makes a query cheaper, or dearer for a reason, writes the new
ones there.
"""
import os
import re
import subprocess

import pytest

from servers import BUILD, IS_SANITIZED, ROOT

QUERIES = 500
MORE = 1.10

with open(os.path.join(ROOT, "tests", "bench", "instructions.txt")) as file:
    RECORDED = {kind: int(count) for kind, count in (line.split() for line in file if line.strip() and line[0] != "#")}


@pytest.mark.skipif(IS_SANITIZED, reason="a sanitizer's instructions are not the product's")
@pytest.mark.parametrize("kind", RECORDED)
def test_query_costs_no_more_than_recorded(kind, tmp_path):
    done = subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={tmp_path / 'out'}", "--toggle-collect=ask",
                           os.path.join(BUILD, "tests", "bench", "instructions"), kind, str(QUERIES)],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    count = int(re.search(r"Collected : (\d+)", done.stderr).group(1)) // QUERIES
    print(kind, count)
    assert count <= RECORDED[kind] * MORE, f"{kind}: {count} instructions; {RECORDED[kind]} are recorded"
