# SPDX-License-Identifier: ISC
"""rows_big - one big zone: its transfer, its memory, its way back after a restart, its changes."""
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import threading
import time

import configurations
import references
from measure import (BENCHES, CHANGES, CLIENT_CPU, MACHINE, PERCENTILES, RECORDS, REPETITIONS, ROUNDS, SERVER_CPU,
                     STEADY_RATE, awake, cpu_ns, machine, medians, on_cpu, settled_memory, steadily, table, wait_answer, wait_zone)
from peers import SECONDARIES, Source
from servers import Redis, Understudy, wait_for
from stages import MARKED, notify, start_secondary

ZONE = "example.com."
IN_ALL = RECORDS + 2    # SOA and NS
CHANGES_S = 8           # Knot takes five for each


def conf_of(primary, redis=None):
    return configurations.failover(primary.where, store=redis, head=MARKED)


def source_of(world):
    source = world.stage.add(Source(world.folder))
    with on_cpu(CLIENT_CPU):
        source.start()
    return source


def redis_of(world):
    redis = world.stage.add(Redis(world.new_folder()))
    with on_cpu(CLIENT_CPU):
        redis.start()
    return redis


def understudy_of(world, source, redis=None):
    return Understudy(world.new_folder(), conf_of(source, redis))


def peer_of(world, kind, source):
    return SECONDARIES[kind](world.new_folder(), [ZONE], source)


def contenders(world, source, redis=None):
    """{name: makes a server}"""
    made = {"understudy": lambda: understudy_of(world, source)}
    if redis:
        made["understudy, Redis"] = lambda: understudy_of(world, source, redis)
    made.update({kind: lambda kind=kind: peer_of(world, kind, source) for kind in SECONDARIES})
    return made


def loaded(server):
    """Seconds from its start to the first answer from the zone, and of CPU."""
    began = time.monotonic()
    start_secondary(server)
    seconds = wait_zone(server, ZONE) - began
    return {"seconds": seconds, "records_s": IN_ALL / seconds, "cpu_s": cpu_ns(server) / 1e9}, began


# ---- Transfer ----

def transfer(world, server, redis):
    with world.playing(server):
        figures, began = loaded(server)
        figures["stored_s"] = stored(server, redis, began)
        figures["bytes_record"] = settled_memory(server) / IN_ALL
        return figures


def stored(server, redis, began):
    """When Redis holds the zone, where there is one."""
    if not redis or server.name != "understudy" or "redis {" not in open(server.conf).read():
        return None
    wait_for(lambda: redis.try_command("HGET", f"understudy:zone:{{{ZONE}}}", "serial"), "the zone in Redis", 300)
    seconds = time.monotonic() - began
    redis.command("FLUSHALL")
    return seconds


def axfr(world):
    """
    The big zone by AXFR into a secondary that knows nothing, from its start to its first answer, and what
    each record costs in memory; Redis at the end of it for Understudy. The primary makes the zone up while
    it sends, so that it holds up nobody.
    """
    source, redis = source_of(world), redis_of(world)
    found = {name: [] for name in contenders(world, source, redis)}
    for _ in range(ROUNDS):
        for name, make in contenders(world, source, redis).items():
            found[name].append(transfer(world, make(), redis))
    rows = {name: medians(figures) for name, figures in found.items()}
    return table(f"AXFR of {IN_ALL} records, until it is served", rows,
                 {"seconds": ("seconds", ".3f"), "records_s": ("records/s", ".0f"), "cpu_s": ("CPU s", ".3f"),
                  "stored_s": ("in Redis s", ".3f"), "bytes_record": ("bytes/record", ".0f")})


# ---- Cold start ----

def zone_file(world):
    """The same zone as text, for those who start from that."""
    head = f"$ORIGIN {ZONE}\n$TTL 3600\n@ SOA . . 1 1048576 1048576 1048576 1048576\n@ NS .\n"
    lines = (f"host{i:07d} A 10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}\n" for i in range(RECORDS))
    return world.zone(ZONE, head + "".join(lines))


def restarted(world, server):
    """Once more with what it has. Seconds to its first answer."""
    began = time.monotonic()
    with on_cpu(SERVER_CPU):
        server.start(wait=False) if isinstance(server, Understudy) else server.start()
    seconds = wait_zone(server, ZONE) - began
    figures = {"seconds": seconds, "cpu_s": cpu_ns(server) / 1e9}
    server.stop()
    return figures


def saved_understudy(world, source, redis):
    """It has learnt the zone, and stopped."""
    server = world.stage.add(understudy_of(world, source, redis))
    start_secondary(server)
    wait_zone(server, ZONE)
    wait_for(lambda: redis.try_command("HGET", f"understudy:zone:{{{ZONE}}}", "serial"), "the zone in Redis", 300)
    server.stop()
    return server


def from_redis(server, world, source, redis):
    shutil.rmtree(server.state)
    os.makedirs(server.state)
    server.configure(conf_of(source, redis))
    return restarted(world, server)


def from_snapshot(server, world, source, kept):
    shutil.rmtree(server.state)
    shutil.copytree(kept, server.state)
    server.configure(conf_of(source))
    return restarted(world, server)


def cold_start(world):
    """
    From its start to the first answer while the primary is away: out of the snapshot, out of Redis; peers from
    a zone file.
    """
    source, redis = source_of(world), redis_of(world)
    server = saved_understudy(world, source, redis)
    source.stop()
    kept = shutil.copytree(server.state, os.path.join(world.folder, "kept"))
    path = zone_file(world)
    peers = {kind.__name__.lower(): world.stage.add(kind(world.new_folder(), [path]))
             for kind in (references.Nsd, references.Knot, references.Bind)}
    found = {name: [] for name in ("snapshot", "Redis", *peers)}
    for _ in range(ROUNDS):
        found["snapshot"].append(from_snapshot(server, world, source, kept))
        found["Redis"].append(from_redis(server, world, source, redis))
        for name, peer in peers.items():
            found[name].append(restarted(world, peer))
    return table(f"cold start of {IN_ALL} records", {name: medians(figures) for name, figures in found.items()},
                 {"seconds": ("seconds", ".3f"), "cpu_s": ("CPU s", ".3f")})


# ---- Changes ----

def changed(server, source):
    """Milliseconds from NOTIFY to the first answer with one of ten changes, and of CPU."""
    serial = source.change()
    before, began = cpu_ns(server), time.monotonic()
    notify(server, ZONE)
    until = wait_answer(server, "host0000007." + ZONE, "A", lambda m: serial_in(m) == serial, 60)
    return {"ms": (until - began) * 1e3, "cpu_ms": (cpu_ns(server) - before) / 1e6}


def serial_in(message):
    return int.from_bytes(message.answer[0][0].to_wire(), "big")


def ixfr(world):
    """
    Ten changes of the big zone by IXFR: from NOTIFY to the first answer with them, one secondary at a time; CHANGES
    times, or as often as it gets to in CHANGES_S.
    """
    source = source_of(world)
    rows = {}
    for name, make in contenders(world, source).items():
        with world.playing(make()) as server:
            loaded(server)
            settled_memory(server)
            figures, end = [], time.monotonic() + CHANGES_S
            while len(figures) < CHANGES and (len(figures) < 2 or time.monotonic() < end):
                figures.append(changed(server, source))
            times = sorted(own["ms"] for own in figures)
            rows[name] = {"p50_ms": statistics.median(times), "most_ms": times[-1],
                          "cpu_ms": statistics.median(own["cpu_ms"] for own in figures), "times": len(times)}
    return table(f"IXFR of ten changes in {IN_ALL} records, from NOTIFY to the first answer", rows,
                 {"p50_ms": ("median ms", ".1f"), "most_ms": ("most ms", ".1f"), "cpu_ms": ("CPU ms", ".2f"),
                  "times": ("times", "d")})


# ---- Queries meanwhile ----

ADDED = {"added_p999_us": ("+ p99.9", ".0f"), "added_ran_p999_us": ("ran: +", ".0f")}   # to the quiet second before


@contextlib.contextmanager
def over_and_over(do):
    """A thread does it again and again; the list has as many entries as it was done."""
    done, is_over = [], threading.Event()

    def run():
        while not is_over.is_set():
            do()
            done.append(None)
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield done
    finally:
        is_over.set()
        thread.join()


def generation(server):
    return server.json("zone", ZONE)["zone"]["generation"]


def transfer_again(server):
    before = generation(server)
    assert server.ctl("retransfer", ZONE)[0] == 0
    wait_for(lambda: generation(server) != before, "the zone to be transferred again", 60, interval=0.1)


def change_again(server, source):
    source.change()
    notify(server, ZONE)
    time.sleep(0.05)


def asked(world, server, seconds=1):
    questions = world.questions("big", lambda: f"host{world.random.randrange(RECORDS):07d}.{ZONE} 1")
    return steadily(server, questions, world.stage.cast, seconds)


def asked_during(world, server, do, seconds):
    """While it is done over and over."""
    with over_and_over(do) as done:
        found = asked(world, server, seconds)
    return {**found, "times": len(done)}


def row_of(found, quiet):
    """Medians over rounds; and of what came on top of the quiet second of the same round."""
    row = medians([{key: one[key] for key in PERCENTILES} for one in found])
    for key in ("p999_us", "ran_p999_us"):
        row["added_" + key] = None if found[0][key] is None else statistics.median(
            own[key] - base[key] for own, base in zip(found, quiet))
    return {**row, "lost": sum(one["lost"] for one in found), "times": sum(one.get("times", 0) for one in found),
            **machine(found)}


def transfer_latency(world):
    """
    How long answers from the big zone take, at a steady rate, while nothing happens, while it is transferred
    whole over and over and swapped (and written to Redis), and while ten changes come twenty times a second: a
    second or so of each in turn. All threads of the server share one processor; the client shares the other one with the
    primary and Redis. Of all replies, and of those for which the machine itself ran (tests/bench/ticks.h).
    """
    source, redis = source_of(world), redis_of(world)
    rows = {}
    for name, store in (("", None), (", Redis", redis)):
        with awake(), on_cpu(CLIENT_CPU), world.playing(understudy_of(world, source, store)) as server:
            loaded(server)
            settled_memory(server)
            quiet, whole, changes = [], [], []
            for _ in range(REPETITIONS):
                quiet.append(asked(world, server))
                whole.append(asked_during(world, server, lambda: transfer_again(server), 1.5))
                changes.append(asked_during(world, server, lambda: change_again(server, source), 1))
            for kind, found in (("quiet", quiet), ("AXFR", whole), ("IXFR", changes)):
                rows[kind + name] = row_of(found, quiet)
    return table(f"answers from {IN_ALL} records at {STEADY_RATE} q/s, microseconds; ran: while the machine did", rows,
                 {**PERCENTILES, **ADDED, "lost": ("lost", "d"), "times": ("transfers", "d"), **MACHINE})


# ---- By itself ----

def zone(world):
    """What the zone itself costs without a server around it: bench_zone, once a round, medians."""
    command = ["taskset", "-c", str(SERVER_CPU), os.path.join(BENCHES, "bench_zone"), str(RECORDS)]
    env = {**os.environ, "TMPDIR": world.folder}
    found = [json.loads(subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout)
             for _ in range(ROUNDS)]
    row = medians(found)
    table(f"a zone of {IN_ALL} records in memory", {key: {"value": value} for key, value in row.items()},
          {"value": ("", ".3f")})
    return row


ROWS = {"axfr": axfr, "cold-start": cold_start, "ixfr": ixfr, "transfer-latency": transfer_latency, "zone": zone}
