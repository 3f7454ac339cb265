#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""
faults - each way to fail, Understudy and dnsdist side by side; what `make faults` runs.

  tests/bench/faults.py [PATTERN]     faults whose name matches; without one, all

Each has the same primary, which fails for FAULT_S seconds out of HEALTHY_S + FAULT_S + AFTER_S,
and the same second server, which is well. RATE queries a second, one in ten by TCP, none asked
twice; every answer is compared with the truth. dnsdist is Debian's, as tight as it can be set:
checks every second, one failure is enough, no cache.
"""
import os
import re
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "system"))

import configurations  # noqa: E402  (after the path is set)
import faults  # noqa: E402
from servers import ROOT, NameServer, Stage  # noqa: E402

RATE, HEALTHY_S, FAULT_S, AFTER_S = 1000, 1, 3, 1
ZONES = ("example.com", "example.org")


class Dnsdist(NameServer):
    """First the primary, then the other server; whatever can make it quick is set."""

    def __init__(self, folder, primary, spare, name="dnsdist"):
        super().__init__(folder, name)
        self.zones = list(ZONES)
        servers = "".join(
            f'newServer{{address="{server.where[0]}:{server.port}", name="ns{order}", order={order}, sockets=4, '
            'checkType="SOA", checkName="example.com.", mustResolve=true, checkInterval=1, checkTimeout=300, '
            'maxCheckFailures=1, rise=1, retries=5, tcpConnectTimeout=1, tcpSendTimeout=1, tcpRecvTimeout=1}\n'
            for order, server in ((1, primary), (2, spare)))
        self.conf = self.write("dnsdist.conf", f"""setLocal("127.0.0.1:{self.port}", {{reusePort=true}})
setServerPolicy(firstAvailable)
setUDPTimeout(1)
setMaxUDPOutstanding(65535)
setMaxTCPClientThreads(20)
{servers}""")

    def start(self):
        self.spawn(["dnsdist", "-C", self.conf, "--supervised", "--disable-syslog"])
        self.wait_serving()
        return self

    def verdict_since(self, since):
        for at, line in list(self.lines):
            if at >= since and re.search(r"Marking downstream ns1 .* as 'down'", line):
                return at - since
        return None


class Front:
    """Understudy as in the tests, but with the health checks of an untouched configuration."""

    def __init__(self, stage, primary, spare):
        self.server = stage.understudy(configurations.failover(primary.where, spare.where, zones=ZONES)).start()
        for zone in ZONES:
            self.server.wait_event("zone_transferred", zone=zone + ".")
        self.where = self.server.where

    def verdict_since(self, since):
        for at, _ in self.server.events("backend_down", since=since, backend="ns1"):
            return at - since
        return None


def measure(stage, front, fault, primary, truth, questions):
    """One run. The times are part of what is measured: nothing is waited for."""
    load = stage.load(front.where, truth.where, questions, rate=RATE, options=("-F",)).start()
    time.sleep(HEALTHY_S)
    fault_at = time.monotonic()
    fault.strike(primary)
    time.sleep(FAULT_S)
    fault.mend(primary)
    time.sleep(AFTER_S)
    result = load.finish()
    result["verdict"] = front.verdict_since(fault_at)
    return result


def run_fault(folder, fault, zone, questions):
    """The results of Understudy and dnsdist."""
    results = []
    for name in ("understudy", "dnsdist"):
        stage = Stage(os.path.join(folder, name))
        try:
            truth = stage.nsd({"example.com": zone, "example.org": faults.ORG_ZONE}).start()
            primary = stage.add(faults.Faulty(stage.folder, truth)).start()
            spare = stage.knot(truth).start()
            front = Front(stage, primary, spare) if name == "understudy" else \
                stage.add(Dnsdist(stage.folder, primary, spare)).start()
            results.append(measure(stage, front, fault, primary, truth, questions))
        finally:
            stage.close()
    return results


COLUMNS = {
    "lost": lambda r: str(r["lost"]),
    "wrong": lambda r: str(r["wrong"]),
    "error rcodes": lambda r: str(r["error_rcodes"]),
    "p50 ms": lambda r: f"{r['p50_ms']:.1f}",
    "p99.9 ms": lambda r: f"{r['p999_ms']:.0f}",
    "slowest ms": lambda r: f"{r['slowest_ms']:.0f}",
    "verdict ms": lambda r: "-" if r["verdict"] is None else f"{r['verdict'] * 1000:.0f}",
}


def main(pattern=""):
    with open(os.path.join(ROOT, "conf", "example.com.zone")) as file:
        zone = file.read()
    questions = faults.questions_for_both(os.path.join(ROOT, "tests", "system", "questions"))
    total = RATE * (HEALTHY_S + FAULT_S + AFTER_S)
    print(f"Of about {total} queries, {RATE} a second, with the fault for {FAULT_S} s: Understudy / dnsdist.\n")
    print("| fault | " + " | ".join(COLUMNS) + " |")
    print("| --- |" + " ---: |" * len(COLUMNS), flush=True)
    for name, fault in faults.FAULTS.items():
        if not re.search(pattern, name):
            continue
        with tempfile.TemporaryDirectory(prefix="understudy-faults-") as folder:
            ours, theirs = run_fault(folder, fault, zone, questions)
        cells = (f"{column(ours)} / {column(theirs)}" for column in COLUMNS.values())
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:2])
