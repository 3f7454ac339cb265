# SPDX-License-Identifier: ISC
"""rows_queries - what a query costs and how long it takes, by UDP."""
import re
import shutil
import signal
import statistics
import subprocess

import references
from measure import (CLIENT_CPU, HOSTS, MACHINE, PERCENTILES, SECONDS, SERVER_CPU, STEADY_RATE, awake, compare, cpu_ns, flood,
                     machine, pin, processes_of, steadily, table, turns)
from peers import Dnsdist, Source
from stages import FLOODED, HEAD, nsd_of

BUSY_POLL = "300us"     # as long as it takes until the next query comes, and some more


def answered_from_the_mirror(world, questions, title):
    nsd = nsd_of(world)
    contenders = {"echo": world.limit("echo"), "understudy": world.mirror(nsd), "nsd": nsd,
                  "knot": world.reference(references.Knot), "bind": world.reference(references.Bind)}
    return compare(title, contenders, questions, "echo")


def mirror_positive(world):
    """CPU for each query that is answered from the zone, to the least that any server costs."""
    return answered_from_the_mirror(world, world.positive, f"answered from the mirror: A of {HOSTS} names")


def mirror_denied(world):
    """The same where nothing is, in a signed zone, with proof."""
    return answered_from_the_mirror(world, world.denied, "answered from the mirror: NXDOMAIN with NSEC3 proof, DO")


def forwarders(world, backend):
    pin(backend, CLIENT_CPU)
    dnsdist = world.stage.add(Dnsdist(world.folder, backend))
    dnsdist.start()
    return {"relay": world.limit("relay", backend), "understudy": world.proxy(backend), "dnsdist": dnsdist}


def forward(world):
    """CPU for each query that another server answers, to the least that passing it on costs."""
    return compare("forwarded to NSD", forwarders(world, nsd_of(world)), world.positive, "relay")


def forward_most(world):
    """
    How many are passed on by one processor that has nothing else to do. The other one has the client and what is behind the
    proxies; NSD takes so much of it there that the proxies wait for it, so that is what costs as little as echo.
    """
    source = world.stage.add(Source(world.folder, zones=[f"{zone}." for zone in FLOODED], records=1)).start()
    return compare("forwarded to what answers faster than any of them", forwarders(world, source), world.positive, "relay")


def latency(world):
    """
    What a proxy adds at a steady rate: its percentiles less those of the server behind it, asked in the same turn; those of
    all replies, and of those for which the machine itself ran (tests/bench/ticks.h).
    """
    backend = nsd_of(world)
    contenders = forwarders(world, backend)
    contenders["understudy-busy"] = world.proxy(backend, head=HEAD + f'busy-poll = "{BUSY_POLL}"\n', name="busy")

    def asked(server):
        before = cpu_ns(server)
        result = steadily(server, world.positive, world.stage.cast)
        return {**result, "cpu_ns": (cpu_ns(server) - before) / max(1, result["answered"])}
    for server in contenders.values():
        pin(server, SERVER_CPU)
    with awake():
        found = turns({"nsd": backend, **contenders}, asked, cpus=None)
    direct = found.pop("nsd")
    rows = {name: {**added(figures, direct), "cpu_ns": statistics.median(own["cpu_ns"] for own in figures), **machine(figures)}
            for name, figures in found.items()}
    return table(f"latency added by forwarding at {STEADY_RATE} q/s, microseconds; ran: while the machine did", rows,
                 {**PERCENTILES, "cpu_ns": ("CPU ns a query", ".0f"), **MACHINE})


def added(figures, direct):
    """Medians of the percentiles less those of the server behind."""
    return {key: None if direct[0][key] is None else statistics.median(own[key] - base[key] for own, base in zip(figures, direct))
            for key in PERCENTILES}


TRACED_RATE = 1_000      # what all of them still answer while strace looks on


def traced(server, questions, rate):
    """System calls for each query answered: strace counts them, and slows the server down meanwhile."""
    report = server.path("strace")
    pids = [word for pid in processes_of(server) for word in ("-p", str(pid))]
    trace = subprocess.Popen(["strace", "-c", "-f", "-o", report, *pids], stderr=subprocess.PIPE, text=True)
    try:
        assert "attached" in trace.stderr.readline()
        result = flood(server.where, questions, seconds=SECONDS, rate=rate)
    finally:
        trace.send_signal(signal.SIGINT)
        trace.communicate()
    with open(report) as file:
        calls = {line.split()[-1]: int(line.split()[3]) for line in file if re.match(r" *\d+\.\d+ ", line)}
    total = calls.pop("total", sum(calls.values()))
    most = sorted(calls, key=calls.get, reverse=True)[:4]
    return {"calls": total / max(1, result["answered"]), "qps": result["answered"] / SECONDS,
            "names": ", ".join(f"{name} {calls[name] / max(1, result['answered']):.3f}" for name in most)}


def syscalls(world):
    """System calls for each query, flooded and at a steady rate."""
    assert shutil.which("strace"), "strace is missing"
    nsd = nsd_of(world)
    contenders = forwarders(world, nsd)
    contenders.update({"understudy-mirror": world.mirror(nsd), "nsd": nsd, "knot": world.reference(references.Knot),
                       "bind": world.reference(references.Bind)})
    rows = {}
    for name, server in contenders.items():
        if server is not nsd:
            pin(server, SERVER_CPU)
        rows[name] = traced(server, world.positive, None)
        rows[name]["steady"] = traced(server, world.positive, TRACED_RATE)["calls"]
    return table(f"system calls for each query, flooded and at {TRACED_RATE} q/s, under strace", rows,
                 {"calls": ("flooded", ".3f"), "qps": ("queries/s", ".0f"), "steady": ("steady", ".3f"),
                  "names": ("flooded, which", "")})


ROWS = {"mirror-positive": mirror_positive, "mirror-denied": mirror_denied, "forward": forward, "forward-most": forward_most,
        "latency": latency, "syscalls": syscalls}
