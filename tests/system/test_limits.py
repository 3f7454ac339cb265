# SPDX-License-Identifier: ISC
"""The limits of transfers: each with a primary that goes past it. What is held goes on; one event names the limit."""
import struct
import time

import pytest

import primary
from configurations import HEAD
from primary import Zone, honest, packed, record
from servers import find_key, wait_for

WAIT = 30
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
