# SPDX-License-Identifier: ISC
"""Many small zones from one primary: 2,000 in `make check`, 100,000 in `make check-long`.

What each zone costs must stay what it is, whatever their number: nothing here may be quadratic, and
nothing may be done for every zone each second.
"""
import time

import pytest

import configurations
from servers import NameServer, ask, free_port, wait_for

RECORDS = """$TTL 300
@ SOA ns hostmaster {serial} 3600 600 86400 60
@ NS ns
ns A 192.0.2.1
www A 192.0.2.2
www AAAA 2001:db8::1
mail A 192.0.2.3
@ MX 10 mail
txt TXT "version {serial}"
alias CNAME www
@ TXT "v=spf1 -all"
"""


def origin(number):
    return f"z{number:06d}.example"


class ManyZones(NameServer):
    """NSD with zones that are all alike, out of one file; the last one has a file of its own."""

    def __init__(self, folder, count, notify):
        super().__init__(folder, "nsd")
        self.zones = [origin(0), origin(count - 1)]
        self.write("all.zone", RECORDS.format(serial=1))
        self.write("last.zone", RECORDS.format(serial=1))
        conf = f"""server:
    ip-address: 127.0.0.1@{self.port}
    server-count: 1
    username: ""
    database: ""
    zonesdir: "{self.folder}"
    pidfile: "{self.path('pid')}"
    xfrdfile: "{self.path('xfrd.state')}"
    zonelistfile: "{self.path('zone.list')}"
    xfrdir: "{self.folder}"
    tcp-count: 1000
    rrl-ratelimit: 0
    rrl-whitelist-ratelimit: 0
remote-control:
    control-enable: no
pattern:
    name: alike
    zonefile: "all.zone"
    provide-xfr: 127.0.0.0/8 NOKEY
"""
        for number in range(count - 1):
            conf += f'zone:\n    name: "{origin(number)}"\n    include-pattern: alike\n'
        conf += f"""zone:
    name: "{origin(count - 1)}"
    zonefile: "last.zone"
    provide-xfr: 127.0.0.0/8 NOKEY
    notify: 127.0.0.1@{notify[1]} NOKEY
"""
        self.conf = self.write("nsd.conf", conf)

    def start(self):
        self.spawn(["nsd", "-d", "-c", self.conf])
        self.wait_serving(120)
        return self

    def publish(self, serial):
        self.write("last.zone", RECORDS.format(serial=serial))
        time.sleep(1.1)         # NSD compares whole seconds
        self.write("last.zone", RECORDS.format(serial=serial))
        self.process.send_signal(1)


def servable(front):
    return front.json("status")["zones"]["servable"]


class Clock:
    """How long each thing took; printed at the end (pytest -s)."""

    def __init__(self):
        self.times = {}

    def time(self, what, do):
        began = time.monotonic()
        result = do()
        self.times[what] = round(time.monotonic() - began, 2)
        return result


def assert_spread(zones):
    """Refreshes are spread over a tenth of their interval, without bursts."""
    next_s = sorted(zone["next_refresh_s"] for zone in zones)
    first, last = next_s[0], next_s[-1]
    assert last - first > 200, "they all come at once"
    parts = [0] * 10
    for seconds in next_s:
        parts[min(9, (seconds - first) * 10 // (last - first))] += 1
    assert max(parts) < 0.3 * len(next_s), parts


def run(stage, count, patience):
    listen = ("127.0.0.1", free_port())
    nsd = stage.add(ManyZones(stage.folder, count, listen)).start()
    conf = configurations.failover(nsd.where, zones=[origin(number) for number in range(count)])
    front = stage.understudy(conf, port=listen[1])
    clock = Clock()
    clock.time("start", front.start)
    clock.time("first load", lambda: wait_for(lambda: servable(front) == count, "all zones", patience, 0.5))
    memory_kb = front.resident_kb()
    zones = clock.time("zones", lambda: front.json("zones"))["zones"]
    assert len(zones) == count and {zone["serial"] for zone in zones} == {1}
    assert_spread(zones)

    heard = front.stat("notify_heard")
    nsd.publish(2)
    wait_for(lambda: front.stat("notify_heard") > heard, "NOTIFY", patience)
    clock.time("one change", lambda: wait_for(
        lambda: front.json("zone", origin(count - 1))["zone"]["serial"] == 2, "the change", patience))

    front.configure(conf.replace(f'zone "{origin(1)}"', 'zone "another.example"'))
    assert clock.time("reload", lambda: front.ctl("reload"))[0] == 0
    assert front.json("status")["zones"]["mirrored"] == count
    front.configure(conf)
    assert front.ctl("reload")[0] == 0
    wait_for(lambda: servable(front) == count, "the zone that is back", patience)
    after_kb = front.resident_kb()

    front.stop(patience)
    nsd.stop()
    clock.time("start without the primary", front.start)
    clock.time("all out of snapshots", lambda: wait_for(lambda: servable(front) == count, "snapshots", patience, 0.2))
    front.ctl("failover", "main", "on")
    assert ask(front.where, "www." + origin(0)).answer[0][0].address == "192.0.2.2"
    print(count, "zones:", clock.times, f"memory {memory_kb} kB, after two reloads {after_kb} kB")
    return clock.times, memory_kb, after_kb, front


@pytest.mark.slow
def test_two_thousand_zones(stage):
    run(stage, 2000, patience=300)


@pytest.mark.soak
@pytest.mark.timing
def test_many_zones(stage):
    """A hundred thousand: what is held costs 6 kB a zone, and doing nothing costs next to nothing."""
    times, memory_kb, after_kb, front = run(stage, 100000, patience=1800)
    assert memory_kb < 600000 and after_kb < memory_kb * 1.3
    assert times["one change"] < 1 and times["zones"] < 10 and times["reload"] < 10
    with open(f"/proc/{front.process.pid}/stat") as stat:
        before = sum(map(int, stat.read().split()[13:15]))
    time.sleep(20)
    with open(f"/proc/{front.process.pid}/stat") as stat:
        ticks = sum(map(int, stat.read().split()[13:15])) - before
    assert ticks < 400, "a fifth of a core, for nothing"
