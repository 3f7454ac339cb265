# SPDX-License-Identifier: ISC
"""rows_growth - what stays the same, however much of it there is."""
import statistics

import configurations
from measure import (CLIENT_CPU, GROWTH_SECONDS, HOSTS, RECORDS, SERVER_CPU, compare, cost, flood, memory, pin, table, turns)
from servers import Nsd
from stages import FLOODED, HEAD, nsd_of, plain_zone

SLICES = 10
FEW = 1_000
BACKENDS = (1, 10, 100)


def day(world):
    """Memory while queries go on and on: as many as come in a day, forwarded and answered from the mirror."""
    nsd = nsd_of(world)
    rows = {}
    for name, server in {"forwarded": world.proxy(nsd), "from the mirror": world.mirror(nsd)}.items():
        pin(server, SERVER_CPU)
        flood(server.where, world.positive)
        resident, answered = [memory(server)], 0
        for _ in range(SLICES):
            answered += flood(server.where, world.positive, seconds=GROWTH_SECONDS / SLICES)["answered"]
            resident.append(memory(server))
        rows[name] = {"answered": answered, "first_kb": resident[0] / 1024, "last_kb": resident[-1] / 1024,
                      "most_kb": max(resident) / 1024}
    return table("memory while queries go on", rows,
                 {"answered": ("answered", "d"), "first_kb": ("kB at first", ".0f"), "last_kb": ("kB at last", ".0f"),
                  "most_kb": ("most kB", ".0f")})


def names(world):
    """CPU for each query answered from the mirror: few names in the zone, and very many."""
    contenders, asked = {}, {}
    for hosts in sorted({min(FEW, HOSTS), HOSTS, RECORDS}):
        primary = world.stage.add(Nsd(world.new_folder(), {"bench.test": plain_zone(hosts)}, name="nsd"))
        primary.start(wait=False)
        primary.wait_serving(300)
        name = f"{hosts} names"
        contenders[name] = world.mirror(primary, zones=["bench.test"], name=f"understudy-{hosts}")
        primary.stop()
        asked[name] = world.questions(name, lambda: f"h{world.random.randrange(hosts):06d}.bench.test. 1")
    return compare("answered from the mirror, by the size of the zone", contenders, asked, next(iter(contenders)))


def backends(world):
    """CPU for each forwarded query: one backend, and up to a hundred that are all the same server."""
    nsd = nsd_of(world)
    pin(nsd, CLIENT_CPU)
    contenders = {}
    for count in BACKENDS:
        targets = "".join(configurations.backend(f"ns{i}", nsd.where) for i in range(count))
        text = configurations.pool_of(targets, zones=FLOODED, head=HEAD)
        contenders[f"{count} backends"] = world.understudy(text, f"understudy-{count}")
    return compare("forwarded, by the number of backends", contenders, world.positive, "1 backends")


def growth_of(one, two, limit_one, limit_two):
    """From one to two, in the same turn; figures are CPU for each query of each turn."""
    ratios = [second / first for first, second in zip(one, two)]
    limits = [second / first for first, second in zip(limit_one, limit_two)]
    return {"growth": statistics.median(ratios), "to_limit": statistics.median(own / limit for own, limit in zip(ratios, limits)),
            "one_ns": statistics.median(one), "two_ns": statistics.median(two)}


def workers(world):
    """
    CPU for each query of two workers to that of one; and the same of the limit as one process and two, which share nothing. Where
    there are but two processors the client (and the backend) take their part of both, and batches are smaller: that,
    the limit shows, too. What is left, ours over its, is what our workers cost each other.
    """
    nsd = nsd_of(world)
    pin(nsd, CLIENT_CPU)
    rows = {}
    for kind, limit, behind, make in (("mirror", "echo", None, world.mirror), ("forwarded", "relay", nsd, world.proxy)):
        contenders = {}
        for count in (1, 2):
            head = HEAD.replace("workers   = 1", f"workers   = {count}")
            contenders[limit, count] = world.limit(limit, behind, count=count)
            contenders[kind, count] = make(nsd, head=head, name=f"understudy-{kind}-{count}")
        found = {key: [turn["cpu_ns"] for turn in own]
                 for key, own in turns(contenders, lambda server: cost(server, server.where, world.positive),
                                       (SERVER_CPU, CLIENT_CPU)).items()}
        for name in (limit, kind):
            rows[name] = growth_of(found[name, 1], found[name, 2], found[limit, 1], found[limit, 2])
    return table("CPU for each query of two workers to that of one; the limit: as two processes", rows,
                 {"growth": ("two to one", ".2f"), "to_limit": ("over the limit's", ".2f"), "one_ns": ("ns with one", ".0f"),
                  "two_ns": ("ns with two", ".0f")})


ROWS = {"day": day, "names": names, "backends": backends, "workers": workers}
