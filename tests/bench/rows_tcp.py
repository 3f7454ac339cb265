# SPDX-License-Identifier: ISC
"""rows_tcp - very many clients by TCP."""
import json
import os
import resource
import subprocess

from measure import (BENCHES, BUSY_CLIENTS, CLIENT_CPU, CLIENTS, SECONDS, SERVER_CPU, cpu_ns, memory, on_cpu, pin, settled_memory,
                     table)
from peers import Dnsdist
from stages import HEAD, nsd_of

RATE = 10_000
PIPELINE = 16
FILES_BESIDE = 1000     # what a server opens besides its clients
PATIENT = HEAD + f'tcp-connections = {min(65536, CLIENTS + BUSY_CLIENTS + 100)}\ntcp-idle = "10m"\n'
ALONE = HEAD + "tcp-connections = 1\n"


def allow_files(count):
    """For those that are started from here on. Returns how many clients that leaves room for."""
    want = count + FILES_BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, want), max(hard, want)))
    except (OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        return min(count, hard - FILES_BESIDE)
    return count


def without_clients(world, make):
    """What it takes before it has room for any: its table of connections is made at start."""
    with world.playing(make(head=ALONE, name="understudy-alone")) as server:
        return settled_memory(server)


def crowd(server, questions, idle, before):
    """All connections held, then the busy ones ask at RATE, and the idle ones once more."""
    with on_cpu(CLIENT_CPU):
        client = subprocess.Popen(
            [os.path.join(BENCHES, "crowd"), "-s", f"127.0.0.1:{server.port}", "-q", questions, "-i", str(idle),
             "-b", str(BUSY_CLIENTS), "-p", str(PIPELINE), "-r", str(RATE), "-d", str(SECONDS * 5)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with client:
        opened = json.loads(client.stdout.readline())
        held = memory(server)
        figures = {"connected": opened["connected"], "resident_mb": held / 1e6,
                   "bytes_connection": (held - before) / max(1, opened["connected"])}
        cpu = cpu_ns(server)
        client.stdin.write("go on\n")
        client.stdin.flush()
        result = json.loads(client.stdout.readline())
        figures["cpu_ns"] = (cpu_ns(server) - cpu) / max(1, result["answered"])
    figures.update({key: result[key] for key in ("p50_us", "p99_us", "held")})
    return {**figures, "qps": result["answered"] / result["seconds"], "lost": result["sent"] - result["answered"]}


def tcp_clients(world):
    """
    Idle clients by TCP, and busy ones that pipeline 10,000 queries a second: who is taken, what each costs the
    server's process in memory over what it has without (the kernel's buffers aside), how long answers take, how many of the idle
    ones are answered at the end.
    """
    room = allow_files(CLIENTS + BUSY_CLIENTS)
    idle = room - BUSY_CLIENTS
    if idle < CLIENTS:
        print(f"\n(no more than {idle} idle clients: the limit of open files)")
    nsd = nsd_of(world)
    pin(nsd, CLIENT_CPU)
    with on_cpu(SERVER_CPU):
        dnsdist = world.stage.add(Dnsdist(world.folder, nsd))
        dnsdist.start()
        contenders = {"understudy": world.proxy(nsd, head=PATIENT), "dnsdist": dnsdist,
                      "understudy-mirror": world.mirror(nsd, head=PATIENT)}
        before = {"understudy": without_clients(world, lambda **options: world.proxy(nsd, **options)),
                  "dnsdist": settled_memory(dnsdist),
                  "understudy-mirror": without_clients(world, lambda **options: world.mirror(nsd, **options))}
    rows = {name: crowd(server, world.positive, idle, before[name]) for name, server in contenders.items()}
    return table(f"{idle} idle clients by TCP, {BUSY_CLIENTS} with {PIPELINE} queries under way each, {RATE} q/s in all", rows,
                 {"connected": ("taken", "d"), "held": ("still there", "d"), "bytes_connection": ("bytes each", ".0f"),
                  "resident_mb": ("MB in all", ".1f"),
                  "qps": ("queries/s", ".0f"), "lost": ("lost", "d"), "p50_us": ("p50 us", "d"), "p99_us": ("p99 us", "d"),
                  "cpu_ns": ("CPU ns a query", ".0f")})


ROWS = {"tcp-clients": tcp_clients}
