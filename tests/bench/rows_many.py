# SPDX-License-Identifier: ISC
"""rows_many - very many small zones, from one primary."""
import time

import configurations
from measure import (CLIENT_CPU, PATIENCE, ZONES, cpu_ns, on_cpu, query_of, settle, settled_memory, table,
                     wait_zone, wait_zones)
from peers import SECONDARIES
from servers import Understudy, free_port
from stages import MARKED, notify, start_secondary
from test_many_zones import ManyZones, origin

CONTENDERS = ("understudy", "nsd", "knot")
ORIGINS = [origin(number) + "." for number in range(ZONES)]
ADDED = ORIGINS[1]      # by the reload
FIRST = [ORIGINS[0], *ORIGINS[2:]]
LAST = ORIGINS[-1]      # the one that changes


class UnderstudySecondary(Understudy):
    def __init__(self, folder, origins, primary):
        self.primary = primary
        super().__init__(folder, self.text(origins))

    def text(self, origins):
        return configurations.failover(self.primary.where, zones=origins, head=MARKED)

    def use(self, origins):
        self.configure(self.text(origins))

    def reload(self):
        code, _, err = self.ctl("reload", timeout=PATIENCE)
        assert code == 0, err

    def save(self):
        """It has, after each transfer."""


def secondary(world, name, primary):
    kind = UnderstudySecondary if name == "understudy" else SECONDARIES[name]
    return kind(world.new_folder(), FIRST, primary)


def configure(server, origins):
    server.use(origins) if isinstance(server, Understudy) else server.configure(origins)


def first_load(server):
    began = time.monotonic()
    start_secondary(server)
    seconds = wait_zones(server, FIRST) - began
    return {"load_s": seconds, "load_cpu_s": cpu_ns(server) / 1e9, "bytes_zone": settled_memory(server) / len(FIRST)}


def reloaded(server):
    """A zone more: until it is served, its transfer included."""
    configure(server, ORIGINS)
    before, began = cpu_ns(server), time.monotonic()
    server.reload()
    seconds = wait_zone(server, ADDED) - began
    return {"reload_s": seconds, "reload_cpu_s": (cpu_ns(server) - before) / 1e9}


def refreshed(server, primary, serial):
    """From NOTIFY to the new version of one zone."""
    primary.publish(serial)
    wait_zone(primary, LAST, serial)
    began = time.monotonic()
    notify(server, LAST)
    return {"refresh_ms": (wait_zone(server, LAST, serial) - began) * 1e3}


def restarted(server, primary):
    """With what it has: the primary says nothing meanwhile."""
    server.save()
    server.stop(PATIENCE)
    primary.freeze()
    try:
        began = time.monotonic()
        start_secondary(server)
        seconds = wait_zones(server, ORIGINS) - began
        return {"restart_s": seconds, "restart_cpu_s": cpu_ns(server) / 1e9}
    finally:
        primary.thaw()


def idle(server, seconds=4):
    """CPU for doing nothing."""
    settle(server)
    before = cpu_ns(server)
    time.sleep(min(seconds, ZONES / 1000))
    return {"idle_percent": (cpu_ns(server) - before) / 1e7 / min(seconds, ZONES / 1000)}


def many_zones(world):
    """
    Small zones, all from one NSD: until all are served for the first time, memory for each, until a zone
    more that a reload brings is served, until a change is, and until all are after a restart with the
    primary frozen; what it costs to have them and do nothing.
    """
    with on_cpu(CLIENT_CPU):
        primary = world.stage.add(ManyZones(world.new_folder(), ZONES, ("127.0.0.1", free_port()))).start()
    for zone in ORIGINS:
        query_of(zone, "SOA")
    rows = {}
    for turn, name in enumerate(CONTENDERS):
        with world.playing(secondary(world, name, primary)) as server:
            rows[name] = {**first_load(server), **idle(server), **reloaded(server),
                          **refreshed(server, primary, turn + 2), **restarted(server, primary)}
    return table(f"{ZONES} zones of 10 records", rows,
                 {"load_s": ("load s", ".2f"), "load_cpu_s": ("CPU s", ".2f"), "bytes_zone": ("bytes/zone", ".0f"),
                  "idle_percent": ("idle CPU %", ".2f"), "reload_s": ("reload s", ".3f"), "refresh_ms": ("change ms", ".1f"),
                  "restart_s": ("restart s", ".2f"), "restart_cpu_s": ("CPU s", ".2f")})


ROWS = {"many-zones": many_zones}
