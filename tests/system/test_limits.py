# SPDX-License-Identifier: ISC
"""The limits of transfers: each with a primary that goes past it. What is held goes on; one event names the limit."""
import struct
import time

import pytest

import primary
from configurations import HEAD
from primary import Zone, honest, packed, record
from servers import find_key, wait_for

WAIT = 60
PLAIN = """$ORIGIN {origin}.
$TTL 60
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A 192.0.2.1
"""


@pytest.fixture
def nsd(stage):
    """Answers queries and probes; no zone is transferred from it."""
    return stage.nsd({"example.com": PLAIN.format(origin="example.com")}).start()


def configuration(nsd, peer, pool="", zone="", head=""):
    return HEAD + head + f"""pool "main" {{
    backend "ns1" {{ address = "127.0.0.1:{nsd.port}"  primary = true  transfer-address = "{peer.where}" }}
    mirror {{ tier = 1 }}
    {pool}
}}
zone "example.com" {{ pool = "main"  {zone} }}
"""


def slices(message, size, pause):
    """A framed message in pieces, each after a while."""
    wire = struct.pack("!H", len(message)) + message
    for at in range(0, len(wire), size):
        time.sleep(pause)
        yield primary.Raw(wire[at:at + size])


def big_set(zone, asked, count):
    soa = zone.soa()
    return packed(asked, [soa, zone.ns()] + [record("many.example.com", 1, struct.pack("!I", i))
                                             for i in range(count)] + [soa])


# What the primary does with AXFR of serial 2, the option that it runs into, and what the event says.
PAST = {
    "a byte now and then": (
        lambda zone, asked: slices(asked.reply(zone.records()), 1, 0.05),
        'transfer-min-rate = "10k"  transfer-min-rate-over = "1s"', "", "lower transfer-min-rate"),
    "silence in the middle": (
        lambda zone, asked: packed(asked, zone.records())[:1] + [primary.HANG],
        'transfer-idle = "500ms"', "", "silent for 0.5 s: raise transfer-idle"),
    "silence at once": (
        lambda zone, asked: [primary.HANG],
        'transfer-idle = "500ms"', "", "silent for 0.5 s: raise transfer-idle"),
    "more than its time": (
        lambda zone, asked: (piece for i in range(10000)
                             for piece in slices(asked.reply([zone.host(i) if i else zone.soa()]), 4096, 0.05)),
        'transfer-timeout = "1s"', "", "longer than 1 s: raise transfer-timeout"),
    "more records": (
        lambda zone, asked: packed(asked, zone.records()),
        "", "max-records = 100", "over the limit of 100 records: raise max-records"),
    "more bytes": (
        lambda zone, asked: packed(asked, Zone(serial=2, hosts=40000).records(), 1000),
        "", 'max-size = "64k"', "limit of records or bytes"),
    "a larger set": (
        lambda zone, asked: big_set(zone, asked, 51),
        "", "max-rrset = 50", "many.example.com. A: over the limit of records in one RRset: raise max-rrset"),
}


@pytest.mark.parametrize("what", PAST)
def test_what_goes_past_a_limit_is_refused(stage, nsd, what):
    behave, pool, of_zone, reason = PAST[what]
    zone = Zone(serial=1, hosts=3)
    peer = stage.add(primary.Primary(honest(zone)))
    understudy = stage.understudy(configuration(nsd, peer, pool, of_zone)).start()
    understudy.wait_event("zone_transferred", serial="1")
    zone.serial, zone.hosts = 2, 200

    def script(asked):
        return [asked.reply([zone.soa()])] if asked.type == primary.SOA else behave(zone, asked)
    peer.script = script
    assert understudy.ctl("refresh", "example.com")[0] == 0
    event = understudy.wait_event("zone_transfer_failed", timeout=WAIT)[1]
    assert reason in event["reason"], event
    assert find_key(understudy.json("zone", "example.com"), "serial") == 1
    peer.script = honest(zone)
    zone.hosts = 3
    assert understudy.ctl("refresh", "example.com")[0] == 0
    understudy.wait_event("zone_transferred", timeout=WAIT, serial="2")
    assert len(understudy.events("zone_transfer_failed")) == 1


def test_what_stays_below_the_limits_is_taken(stage, nsd):
    """Slow, with pauses, and with a set that is just allowed."""
    zone = Zone(serial=1)

    def script(asked):
        if asked.type == primary.SOA:
            return [asked.reply([zone.soa()])]
        return (piece for message in big_set(zone, asked, 50) for piece in slices(message, 400, 0.1))
    peer = stage.add(primary.Primary(script))
    understudy = stage.understudy(configuration(
        nsd, peer, 'transfer-idle = "5s"  transfer-min-rate = "100"  transfer-min-rate-over = "500ms"',
        "max-rrset = 50  max-records = 52")).start()
    assert understudy.wait_event("zone_transferred", timeout=WAIT)[1]["records"] == "52"


# ---- Many zones ----

class Zones:
    """A scripted primary of many zones; `stuck` ones never get further than their first message."""

    def __init__(self, origins):
        self.zones = {primary.name(origin): Zone(origin, refresh=3600) for origin in origins}
        self.stuck = set()
        self.asked = []         # (origin, type)

    def __call__(self, asked):
        zone = self.zones[asked.question[:-4]]
        self.asked.append((zone.origin, asked.type))
        if asked.type == primary.SOA:
            return [asked.reply([zone.soa()])]
        if zone.origin in self.stuck:
            return [asked.reply([zone.soa()]), primary.HANG]
        return packed(asked, zone.records())

    def zone(self, origin):
        return self.zones[primary.name(origin)]

    def count(self, origin, rdtype):
        return sum(asked == (origin, rdtype) for asked in self.asked)


def pool(name, backends, origins, options=""):
    mirror = "mirror { tier = 1 }"
    return f'pool "{name}" {{ {backends}  {mirror}  {options} }}\n' + \
        "".join(f'zone "{origin}" {{ pool = "{name}" }}\n' for origin in origins)


def backend(name, nsd, peer):
    return f'backend "{name}" {{ address = "127.0.0.1:{nsd.port}"  primary = true  transfer-address = "{peer.where}" }}'


def wait_zones(understudy, origins, timeout=WAIT):
    """Looks for lines, since to parse so many of them takes long."""
    def have_come():
        text = understudy.log_text()
        return all(f"event=zone_transferred zone={origin}. " in text for origin in origins)
    wait_for(have_come, f"{len(origins)} zones", timeout)


def test_primary_that_hangs_holds_up_its_own_zones_alone(stage, nsd):
    """With all places of the one taken for longer than the test lasts, the zones of the other come."""
    bad, good = [f"b{i}.example" for i in range(60)], [f"g{i}.example" for i in range(60)]
    scripts = Zones(bad), Zones(good)
    scripts[0].stuck = set(bad)
    mute, peer = (stage.add(primary.Primary(script)) for script in scripts)
    understudy = stage.understudy(
        HEAD + 'transfers = 20  transfers-per-primary = 5\n'
        + pool("bad", backend("mute", nsd, mute), bad, 'transfer-idle = "10m"  transfer-min-rate = 0')
        + pool("good", backend("peer", nsd, peer), good)).start()
    wait_zones(understudy, good)
    stuck = {origin for origin, rdtype in scripts[0].asked if rdtype == primary.AXFR}
    assert len(stuck) <= 5, stuck
    assert understudy.events("zone_transfer_failed") == []


def test_mute_primary_is_passed_over_by_all_zones_soon(stage, nsd):
    """It takes connections and says nothing. Not each zone has to wait for that: the second primary has them."""
    origins = [f"z{i}.example" for i in range(60)]
    script = Zones(origins)
    mute, peer = stage.add(primary.Primary(lambda asked: [primary.HANG])), stage.add(primary.Primary(script))
    understudy = stage.understudy(
        HEAD + "transfers-per-primary = 4\n" + pool("main", backend("mute", nsd, mute) + backend("peer", nsd, peer), origins,
                                                    'transfer-idle = "1s"')).start()
    wait_zones(understudy, origins)
    assert len(mute.asked) < len(origins) // 2
    assert len(understudy.events("zone_transfer_failed", source=mute.where)) >= len(origins)


def test_checks_do_not_wait_for_long_transfers_and_a_newer_zone_has_its_turn(stage, nsd):
    origins = ["long.example", "calm.example", "news.example"]
    script = Zones(origins)
    peer = stage.add(primary.Primary(script))
    understudy = stage.understudy(
        HEAD + "transfers-per-primary = 1\n"
        + pool("main", backend("peer", nsd, peer), origins, 'transfer-idle = "6s"  transfer-min-rate = 0')).start()
    wait_zones(understudy, origins)
    script.stuck = {"long.example"}
    script.zone("long.example").serial = 2
    understudy.ctl("refresh", "long.example")
    wait_for(lambda: script.count("long.example", primary.AXFR) == 2, "the long transfer to begin", WAIT)
    script.zone("news.example").serial = 2
    before = {origin: script.count(origin, primary.SOA) for origin in origins}
    understudy.ctl("refresh", "calm.example")
    understudy.ctl("refresh", "news.example")
    for origin in ("calm.example", "news.example"):
        wait_for(lambda origin=origin: script.count(origin, primary.SOA) > before[origin], f"a check of {origin}", WAIT)
    assert understudy.events("zone_transfer_failed") == []      # the long one is still on
    assert script.count("news.example", primary.AXFR) == 1
    understudy.wait_event("zone_transferred", timeout=WAIT, zone="news.example.", serial="2")
    assert len(understudy.events("zone_transfer_failed", zone="long.example.")) == 1


def test_dead_primary_does_not_keep_its_zones_from_another(stage, nsd):
    origins = [f"z{i}.example" for i in range(100)]
    script = Zones(origins)
    dead, peer = stage.add(primary.Primary(script)), stage.add(primary.Primary(script))
    dead.stop()
    understudy = stage.understudy(
        HEAD + pool("main", backend("dead", nsd, dead) + backend("peer", nsd, peer), origins)).start()
    wait_zones(understudy, origins)
