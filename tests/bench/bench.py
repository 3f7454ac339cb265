#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""
bench - Understudy, its peers and the limit side by side; what `make bench` runs.

  tests/bench/bench.py [ROW ...]      some rows; without one, all of them

The server has one CPU, what asks it (and what stands behind a proxy) the other. Repetitions are
interleaved: each contender has its turn in each, and ratios are taken inside one repetition. CPU is
user and system time of all processes of a server, as the kernel's scheduler counts it, for each
query that was answered. The table goes to stdout, the figures to build/bench.json.
"""
import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "system"))

import configurations  # noqa: E402  (after the path is set)
import references  # noqa: E402
from servers import ROOT, TOOLS, NameServer, Stage  # noqa: E402
from signing import Signer  # noqa: E402

SERVER_CPU, CLIENT_CPU = 0, 1
REPETITIONS = int(os.environ.get("BENCH_REPETITIONS", "7"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "1"))
WINDOW = 256            # queries under way
HOSTS, SIGNED_HOSTS = 100_000, 5_000
QUESTIONS = 20_000
STEADY_RATE = 5_000
BENCHES = os.path.join(TOOLS, "bench")
HEAD = configurations.HEAD.replace("workers   = 2", "workers   = 1")


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


def pin(server, cpu):
    for _, tid in threads_of(server):
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(tid, {cpu})


def cpu_ns(server):
    total = 0
    for pid, tid in threads_of(server):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/task/{tid}/schedstat") as stat:
                total += int(stat.read().split()[0])
    return total


class Limit(NameServer):
    """echo, or relay before `backend`."""

    def __init__(self, folder, name, backend=None):
        super().__init__(folder, name)
        self.command = [os.path.join(BENCHES, name), f"127.0.0.1:{self.port}"]
        self.command += [f"127.0.0.1:{backend.port}"] if backend else []

    def start(self):
        self.spawn(self.command)


class Dnsdist(NameServer):
    """As a proxy and nothing else: no cache, no checks that count, one thread that receives."""

    def __init__(self, folder, backend):
        super().__init__(folder, "dnsdist")
        self.conf = self.write("dnsdist.conf", f"""setLocal("127.0.0.1:{self.port}")
newServer{{address="127.0.0.1:{backend.port}", healthCheckMode="up", sockets=1}}
setMaxUDPOutstanding(65535)
setSecurityPollSuffix("")
""")

    def start(self):
        self.spawn(["dnsdist", "-C", self.conf, "--supervised", "--disable-syslog"])


def flood(where, questions, seconds=SECONDS, rate=None):
    command = ["taskset", "-c", str(CLIENT_CPU), os.path.join(BENCHES, "flood"), "-s", f"{where[0]}:{where[1]}",
               "-q", questions, "-d", str(seconds), "-w", str(WINDOW)]
    command += ["-r", str(rate)] if rate else []
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


# ---- Zones and questions ----

def plain_zone(hosts):
    head = "$ORIGIN bench.test.\n$TTL 3600\n@ SOA ns host 1 3600 600 604800 300\n@ NS ns\nns A 192.0.2.53\n"
    return head + "".join(f"h{i:06d} A 192.0.2.{i % 250 + 1}\n" for i in range(hosts))


class World:
    """The zones and the questions, made once; servers over them as rows want them."""

    def __init__(self, folder):
        self.folder = folder
        self.stage = Stage(folder)
        self.random = random.Random(1)
        self.plain = self.zone("bench.test.", plain_zone(HOSTS))
        small = plain_zone(SIGNED_HOSTS).replace("bench.test", "signed.test")
        signed = Signer(os.path.join(folder, "keys")).sign("signed.test", small, {"iterations": 0}, life=(-3600, 30 * 86400))
        self.signed = self.zone("signed.test.", signed.text)
        self.positive = self.questions("positive", lambda: f"h{self.random.randrange(HOSTS):06d}.bench.test. 1")
        self.denied = self.questions("denied", lambda: f"n{self.random.randrange(10**9)}.signed.test. 1 do")

    def zone(self, origin, text):
        path = os.path.join(self.folder, origin + "zone")
        with open(path, "w") as file:
            file.write(text)
        return origin, path

    def questions(self, name, make):
        path = os.path.join(self.folder, name + ".questions")
        with open(path, "w") as file:
            file.write("".join(make() + "\n" for _ in range(QUESTIONS)))
        return path

    def reference(self, kind):
        server = self.stage.add(kind(self.folder, [self.plain, self.signed]))
        server.start()
        server.wait_serving(60)
        return server

    def understudy(self, text, name):
        server = self.stage.understudy(text, name=name)
        server.start()
        return server

    def mirror(self, primary):
        """It answers from the mirror: the primary is there for transfers."""
        text = configurations.pool_of(configurations.mirror(0) + configurations.backend("ns1", primary.where, tier=1, primary=True),
                                      zones=("bench.test", "signed.test"), head=HEAD)
        server = self.understudy(text, "understudy-mirror")
        for zone in ("bench.test.", "signed.test."):
            server.wait_event("zone_transferred", zone=zone, timeout=60)
        return server

    def proxy(self, backend):
        text = configurations.forward_only(backend.where, zones=("bench.test", "signed.test"), head=HEAD)
        return self.understudy(text, "understudy-proxy")

    def limit(self, name, backend=None):
        server = self.stage.add(Limit(self.folder, name, backend))
        server.start()
        return server


# ---- Rows ----

def cost(server, where, questions):
    """One turn: nanoseconds of CPU and seconds for each query answered."""
    before = cpu_ns(server)
    result = flood(where, questions)
    used = cpu_ns(server) - before
    assert result["answered"], f"{server.name} answered nothing"
    return {"cpu_ns": used / result["answered"], "qps": result["answered"] / SECONDS, "lost": result["lost"],
            "rcodes": result["rcodes"]}


def turns(contenders, measure):
    """{name: [figures of each repetition]}, interleaved; one turn of each to warm up."""
    for server in contenders.values():
        pin(server, SERVER_CPU)
        measure(server)
    found = {name: [] for name in contenders}
    for _ in range(REPETITIONS):
        for name, server in contenders.items():
            found[name].append(measure(server))
    return found


def compare(title, contenders, questions, first):
    """CPU for each query to that of `first`, and queries each second."""
    found = turns(contenders, lambda server: cost(server, server.where, questions))
    rows = {}
    for name, figures in found.items():
        ratios = [own["cpu_ns"] / limit["cpu_ns"] for own, limit in zip(figures, found[first])]
        rows[name] = {"cpu_ns": statistics.median(f["cpu_ns"] for f in figures), "cpu_ratio": statistics.median(ratios),
                      "cpu_ratio_range": [min(ratios), max(ratios)],
                      "qps": statistics.median(f["qps"] for f in figures), "lost": sum(f["lost"] for f in figures),
                      "rcodes": figures[-1]["rcodes"]}
    print(f"\n{title}\n  {'':20} {'CPU to ' + first:>14} {'ns a query':>11} {'queries/s':>11} {'lost':>6}")
    for name, row in rows.items():
        print(f"  {name:20} {row['cpu_ratio']:14.2f} {row['cpu_ns']:11.0f} {row['qps']:11.0f} {row['lost']:6d}", flush=True)
    return rows


def answered_from_the_mirror(world, questions, title):
    nsd = world.reference(references.Nsd)
    contenders = {"echo": world.limit("echo"), "understudy": world.mirror(nsd), "nsd": nsd,
                  "knot": world.reference(references.Knot), "bind": world.reference(references.Bind)}
    return compare(title, contenders, questions, "echo")


def mirror_positive(world):
    return answered_from_the_mirror(world, world.positive, f"answered from the mirror: A of {HOSTS} names")


def mirror_denied(world):
    return answered_from_the_mirror(world, world.denied, "answered from the mirror: NXDOMAIN with NSEC3 proof, DO")


def forwarders(world):
    backend = world.reference(references.Nsd)
    pin(backend, CLIENT_CPU)
    dnsdist = world.stage.add(Dnsdist(world.folder, backend))
    dnsdist.start()
    contenders = {"relay": world.limit("relay", backend), "understudy": world.proxy(backend), "dnsdist": dnsdist}
    return backend, contenders


def forwarded(world):
    _, contenders = forwarders(world)
    return compare("forwarded to NSD", contenders, world.positive, "relay")


def latency(world):
    """What a proxy adds at a steady rate: its percentiles less those of the server behind it."""
    backend, contenders = forwarders(world)
    found = turns(contenders,
                  lambda server: flood(server.where, world.positive, rate=STEADY_RATE))
    direct = [flood(backend.where, world.positive, rate=STEADY_RATE) for _ in range(REPETITIONS)]
    rows = {}
    print(f"\nlatency added by forwarding at {STEADY_RATE} q/s, microseconds\n  {'':20} {'p50':>8} {'p99':>8} {'p99.9':>8}")
    for name, figures in found.items():
        rows[name] = {key: statistics.median(own[key] - base[key] for own, base in zip(figures, direct))
                      for key in ("p50_us", "p99_us", "p999_us")}
        print(f"  {name:20} {rows[name]['p50_us']:8.0f} {rows[name]['p99_us']:8.0f} {rows[name]['p999_us']:8.0f}", flush=True)
    return rows


ROWS = {"mirror-positive": mirror_positive, "mirror-denied": mirror_denied, "forward": forwarded, "latency": latency}


def main(names):
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        sys.exit(f"no row {unknown[0]}; there are: {' '.join(ROWS)}")
    figures = {}
    with tempfile.TemporaryDirectory(prefix="understudy-bench-") as folder:
        for name in names or ROWS:
            world = World(tempfile.mkdtemp(dir=folder))
            try:
                figures[name] = ROWS[name](world)
            finally:
                world.stage.close()
    with open(os.path.join(ROOT, "build", "bench.json"), "w") as file:
        json.dump({"repetitions": REPETITIONS, "seconds": SECONDS, "rows": figures}, file, indent=1)


main(sys.argv[1:])
