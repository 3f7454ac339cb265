# SPDX-License-Identifier: ISC
"""
measure - what rows of the bench share: sizes, processors, memory, floods, turns, tables.

Sizes come from the environment, so that a short run tries every row in seconds.
"""
import contextlib
import functools
import json
import os
import socket
import statistics
import subprocess
import sys
import time

import dns.edns
import dns.message

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "system"))

from servers import TOOLS  # noqa: E402  (after the path is set)

SERVER_CPU, CLIENT_CPU = 0, 1
SIZES = {}


def size(name, default, kind=int):
    SIZES[name] = kind(os.environ.get("BENCH_" + name, default))
    return SIZES[name]


REPETITIONS = size("REPETITIONS", 5)            # of a flood
SECONDS = size("SECONDS", 0.65, float)          # of one flood
ROUNDS = size("ROUNDS", 1)                      # of what loads a zone
HOSTS = size("HOSTS", 100_000)                  # of the zone that is flooded
RECORDS = size("RECORDS", 1_900_000)            # of the big zone
CHANGES = size("CHANGES", 10)                   # IXFRs of it
ZONES = size("ZONES", 10_000)                   # small ones
CLIENTS = size("CLIENTS", 20_000)               # idle by TCP
BUSY_CLIENTS = size("BUSY_CLIENTS", 1_000)      # those that ask
GROWTH_SECONDS = size("GROWTH_SECONDS", 5, float)
SIGNED_HOSTS = min(5000, HOSTS)
WINDOW = 256            # queries under way
QUESTIONS = 20_000
STEADY_RATE = 5_000
PATIENCE = 900
BENCHES = os.path.join(TOOLS, "bench")
NSID = dns.edns.GenericOption(dns.edns.NSID, b"")


# ---- Processes ----

def processes_of(server):
    """All of its process group: NSD answers in a child."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError, ProcessLookupError):
            if os.getpgid(int(pid)) == server.process.pid:
                found.append(int(pid))
    return found


def threads_of(server):
    for pid in processes_of(server):
        with contextlib.suppress(OSError):
            for tid in os.listdir(f"/proc/{pid}/task"):
                yield pid, int(tid)


def pin(server, *cpus):
    for _, tid in threads_of(server):
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(tid, cpus)


@contextlib.contextmanager
def on_cpu(cpu):
    """What is spawned inside runs there from its first instruction on."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


CPU_LATENCY = "/dev/cpu_dma_latency"


@contextlib.contextmanager
def awake():
    """No CPU halts: on a virtual machine it takes up to milliseconds to begin again, whoever is measured."""
    if not os.access(CPU_LATENCY, os.W_OK):
        print(f"(no {CPU_LATENCY}: what CPUs take to wake is in the figures)")
        yield
        return
    with open(CPU_LATENCY, "wb", buffering=0) as wish:     # holds as long as it is open
        wish.write(bytes(4))
        yield


def cpu_ns(server):
    total = 0
    for pid, tid in threads_of(server):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/task/{tid}/schedstat") as stat:
                total += int(stat.read().split()[0])
    return total


def memory(server):
    """Resident bytes of all its processes; what they share counts once."""
    total = 0
    for pid in processes_of(server):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/smaps_rollup") as rollup:
                total += sum(int(line.split()[1]) for line in rollup if line.startswith("Pss:")) * 1024
    return total


def settled_memory(server, patience=20):
    """The same once it stays: after a transfer NSD has the old process for a while."""
    end = time.monotonic() + patience
    before, now = 0, memory(server)
    while abs(now - before) > now // 200 and time.monotonic() < end:
        time.sleep(0.5)
        before, now = now, memory(server)
    return now


def settle(server, percent=5, patience=30):
    """Until what a load has left to do, files to write above all, is done: so little CPU for a second."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        before, began = cpu_ns(server), time.monotonic()
        time.sleep(1)
        if cpu_ns(server) - before < percent * 1e7 * (time.monotonic() - began):
            return


# ---- Asking ----

def flood(where, questions, seconds=SECONDS, rate=None, options=()):
    command = ["taskset", "-c", str(CLIENT_CPU), os.path.join(BENCHES, "flood"), "-s", f"{where[0]}:{where[1]}",
               "-q", questions, "-d", str(seconds), "-w", str(WINDOW), *options]
    command += ["-r", str(rate)] if rate else []
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


# Of all replies, and of those that came while the machine ran; what the host of a virtual machine does is in the first alone.
PERCENTILES = {"p50_us": ("p50", ".0f"), "p99_us": ("p99", ".0f"), "p999_us": ("p99.9", ".0f"),
               "ran_p50_us": ("ran: p50", ".0f"), "ran_p99_us": ("p99", ".0f"), "ran_p999_us": ("p99.9", ".0f")}
# The rest of the replies; how long CPUs stood still; who else had them. With many strangers figures are to be taken again.
MACHINE = {"left_out": ("left out", "d"), "still_ms": ("still ms", ".1f"), "strangers_share": ("strangers", ".1%")}


def steadily(server, questions, cast, seconds=SECONDS):
    """At a steady rate: what flood says, with None for what it cannot tell. `cast`: whose work is no stranger's."""
    groups = ",".join(str(own.process.pid) for own in cast)
    found = flood(server.where, questions, seconds, STEADY_RATE, ("-c", f"{SERVER_CPU},{CLIENT_CPU}", "-g", groups))
    return {**dict.fromkeys((*PERCENTILES, *MACHINE)), **found}


def machine(found):
    """What it did over several of these."""
    if any(one["still_ms"] is None for one in found):
        return dict.fromkeys(MACHINE)
    return {"left_out": sum(one["left_out"] for one in found), "still_ms": sum(one["still_ms"] for one in found),
            "strangers_share": statistics.mean(one["strangers_share"] for one in found)}


# The answers of Understudy's mirror, and those alone, have this NSID: what it forwards has none.
MARK = "of-the-mirror"


@functools.cache
def question(name, rdtype):
    return dns.message.make_query(name, rdtype, id=0, options=[NSID]).to_wire()


def query_of(name, rdtype, number=1):
    """What makes it takes longer than what answers it: whoever asks for many made them before."""
    return number.to_bytes(2, "big") + question(name, rdtype)[2:]


def is_served(server, reply):
    """An authoritative answer with records, and its own."""
    mark = MARK.encode() if hasattr(server, "ctl") else b""
    return len(reply) > 12 and reply[2] & 4 and reply[3] & 15 == 0 and reply[7] > 0 and mark in reply


def wait_answer(server, name, rdtype, is_wanted, patience=PATIENCE):
    """When an answer of its own first satisfies is_wanted(message), by the monotonic clock."""
    query, end = query_of(name, rdtype), time.monotonic() + patience
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(server.where)
        sock.settimeout(0.1)
        while time.monotonic() < end:
            assert server.is_running(), f"{server.name} ended:\n{server.log_text()}"
            with contextlib.suppress(OSError):
                sock.send(query)
                reply = sock.recv(4096)
                if is_served(server, reply) and is_wanted(dns.message.from_wire(reply, ignore_trailing=True)):
                    return time.monotonic()
            time.sleep(0.0005)
    raise AssertionError(f"{name} {rdtype} is not answered as wanted after {patience} s")


def wait_zone(server, zone, serial=None, patience=PATIENCE):
    return wait_answer(server, zone, "SOA", lambda m: serial is None or m.answer[0][0].serial == serial, patience)


def wait_zones(server, zones, patience=PATIENCE):
    """When all of them are served; asks on where the first unserved ones are."""
    pending, end = list(zones), time.monotonic() + patience
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(server.where)
        while pending:
            assert server.is_running(), f"{server.name} ended:\n{server.log_text()}"
            if time.monotonic() > end:
                raise AssertionError(f"{len(pending)} of {len(zones)} zones are not served after {patience} s")
            served = served_of(server, sock, pending[-200:])
            pending = pending[:-200] + [zone for zone in pending[-200:] if zone not in served]
            if not served:
                time.sleep(0.01)
    return time.monotonic()


def served_of(server, sock, zones):
    asked = {}
    for number, zone in enumerate(zones):
        asked[number] = zone
        with contextlib.suppress(OSError):
            sock.send(query_of(zone, "SOA", number))
    served = set()
    sock.settimeout(0.1)
    with contextlib.suppress(OSError):
        for _ in zones:
            reply = sock.recv(4096)
            if is_served(server, reply):
                served.add(asked.get(reply[0] << 8 | reply[1]))
    return served


# ---- Turns and tables ----

def cost(server, where, questions, at=contextlib.nullcontext):
    """One turn: nanoseconds of CPU and seconds for each query answered; `at`: where the client is."""
    before = cpu_ns(server)
    with at():
        result = flood(where, questions)
    used = cpu_ns(server) - before
    assert result["answered"], f"{server.name} answered nothing"
    return {"cpu_ns": used / result["answered"], "qps": result["answered"] / SECONDS, "lost": result["lost"],
            "rcodes": result["rcodes"]}


def turns(contenders, measure, cpus=(SERVER_CPU,)):
    """{name: [figures of each repetition]}, interleaved; one turn of each to warm up. No `cpus`: they stay where they are."""
    for server in contenders.values():
        if cpus:
            pin(server, *cpus)
        measure(server)
    found = {name: [] for name in contenders}
    for _ in range(REPETITIONS):
        for name, server in contenders.items():
            found[name].append(measure(server))
    return found


def compare(title, contenders, questions, first, cpus=(SERVER_CPU,), at=contextlib.nullcontext):
    """CPU for each query to that of `first`, and queries each second. `questions`: of all, or {name: of each}."""
    def measure(server):
        own = questions if isinstance(questions, str) else questions[names[server]]
        return cost(server, server.where, own, at)
    names = {server: name for name, server in contenders.items()}
    found = turns(contenders, measure, cpus)
    rows = {}
    for name, figures in found.items():
        ratios = [own["cpu_ns"] / limit["cpu_ns"] for own, limit in zip(figures, found[first])]
        rows[name] = {"cpu_ratio": statistics.median(ratios), "cpu_ratio_range": [min(ratios), max(ratios)],
                      "cpu_ns": statistics.median(f["cpu_ns"] for f in figures),
                      "qps": statistics.median(f["qps"] for f in figures), "lost": sum(f["lost"] for f in figures),
                      "rcodes": figures[-1]["rcodes"]}
    return table(title, rows, {"cpu_ratio": ("CPU to " + first, ".2f"), "cpu_ns": ("ns a query", ".0f"),
                               "qps": ("queries/s", ".0f"), "lost": ("lost", "d")})


def medians(figures):
    """The median of each figure over all rounds, None where a contender has no such thing."""
    return {key: None if value is None else statistics.median(own[key] for own in figures) for key, value in figures[0].items()}


def table(title, rows, columns):
    """Prints {name: {key: figure}}; columns: {key: (heading, format)}. Returns the rows."""
    print(f"\n{title}\n  {'':22}" + "".join(f" {heading:>{max(10, len(heading))}}" for heading, _ in columns.values()))
    for name, row in rows.items():
        cells = (f"{row[key]:{form}}" if row.get(key) is not None else "-" for key, (_, form) in columns.items())
        print(f"  {name:22}" + "".join(f" {cell:>{max(10, len(heading))}}"
                                       for cell, (heading, _) in zip(cells, columns.values())), flush=True)
    return rows
