#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""
bench - Understudy, its peers and the limit side by side; what `make bench` runs.

  tests/bench/bench.py [ROW ...]      some rows; without one, all of them

The server has one CPU, what asks it (and what stands behind a proxy) the other. Repetitions are
interleaved: each contender has its turn in each, and ratios are taken inside one repetition. CPU is
user and system time of all processes of a server, as the kernel's scheduler counts it, for each
query that was answered. Each row says in its docstring what it measures; sizes come from the
environment (measure.py). The tables go to stdout, the figures to BENCH_JSON (build/bench.json).
"""
import json
import os
import sys
import tempfile
import time

import measure
import rows_big
import rows_growth
import rows_many
import rows_queries
import rows_tcp
import rows_xdp
from servers import ROOT
from stages import World

ROWS = {**rows_queries.ROWS, **rows_big.ROWS, **rows_many.ROWS, **rows_tcp.ROWS,
        **rows_growth.ROWS, **rows_xdp.ROWS}


def main(names):
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        sys.exit(f"no row {unknown[0]}; there are: {' '.join(ROWS)}")
    figures, took = {}, {}
    with tempfile.TemporaryDirectory(prefix="understudy-bench-") as folder:
        for name in names or ROWS:
            world = World(tempfile.mkdtemp(dir=folder))
            began = time.monotonic()
            try:
                figures[name] = ROWS[name](world)
            finally:
                world.stage.close()
            took[name] = round(time.monotonic() - began, 1)
            print(f"  ({name}: {took[name]} s)", flush=True)
    with open(os.environ.get("BENCH_JSON", os.path.join(ROOT, "build", "bench.json")), "w") as file:
        json.dump({"sizes": measure.SIZES, "took_s": took, "rows": figures}, file, indent=1)


main(sys.argv[1:])
