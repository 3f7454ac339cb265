# SPDX-License-Identifier: ISC
"""Past a zone's SOA expire: strict ends, grace goes on, briefly and loudly, and the signatures' end ends it."""
import struct
import time

import dns.edns
import pytest

import configurations
from primary import AXFR, SOA, Zone, honest, name, packed, record
from servers import ask, try_ask, wait_for
from test_mirror import mirror, primary  # noqa: F401  (fixtures)

ZONE = "example.com"
DEAD = "127.0.0.1:1"


def short(serial=1, expire=2):
    return Zone(serial=serial, refresh=1, retry=1, expire=expire)


def test_grace_begins_warns_and_ends(mirror, primary):  # noqa: F811
    primary.script = honest(short(expire=4))        # half of it is two looks at the clock
    m = mirror(primary.where, "-g", "4").start()
    m.wait_event("zone_transferred")
    primary.stop()
    event = m.wait_event("zone_grace_begun")
    assert event["limit"] == "grace" and int(event["expires_in_s"]) <= 4 and event["serial"] == "1"
    is_servable = m.status()["is_servable"] == 1
    assert is_servable or m.wait_event("zone_expired")
    m.wait_event("zone_expired")
    m.wait_event("zone_grace_ended", cause="grace")
    told = [event["event"] for event in m.events()]
    assert told.index("zone_grace_begun") < told.index("zone_expired")
    assert m.status()["is_servable"] == 0
    percents = [event["percent_left"] for event in m.events("zone_expiring")]
    assert len(percents) >= 2, percents     # of the expire, then of the grace


def test_confirmation_ends_the_grace(mirror, primary):  # noqa: F811
    primary.script = honest(short())
    m = mirror(primary.where, "-g", "60").start()
    m.wait_event("zone_transferred")
    primary.stop()
    m.wait_event("zone_grace_begun")
    primary.open()
    m.wait_event("zone_grace_ended", cause="confirmed")
    assert m.status()["is_servable"] == 1 and not m.events("zone_expired")


def test_grace_goes_on_over_a_restart_where_it_was(mirror, primary):  # noqa: F811
    primary.script = honest(short())
    m = mirror(primary.where, "-g", "60").start()
    m.wait_event("zone_transferred")
    primary.stop()
    m.wait_event("zone_grace_begun")
    m.stop()
    strict = mirror(DEAD, state=m.state, name="strict").start()
    strict.wait_event("zone_expired")
    assert strict.status()["is_servable"] == 0 and not strict.events("zone_grace_begun")
    strict.stop()
    m = mirror(DEAD, "-g", "60", state=m.state, name="again").start()
    assert 30 < int(m.wait_event("zone_grace_begun")["expires_in_s"]) < 60
    assert m.status()["is_servable"] == 1


# ---- Signatures ----

def signature(covers, begins, ends):
    return record(ZONE, 46, struct.pack("!HBBIIIH", covers, 13, 2, 60, ends, begins, 1) + name(ZONE) + b"none")


def signed(zone, begins, ends):
    """As signed as the mirror looks at it, when it is transferred: it verifies nothing."""
    def script(asked):
        if asked.type != AXFR:
            return [asked.reply([zone.soa()])]
        now = int(time.time())
        extra = [record(ZONE, 48, struct.pack("!HBB", 257, 3, 13) + b"key"), signature(SOA, now + begins, now + ends),
                 signature(48, now + begins, now + ends)]
        return packed(asked, zone.records()[:-1] + extra + [zone.soa()])
    return script


def test_signatures_that_nobody_renews_are_told_and_end_the_grace(mirror, primary):  # noqa: F811
    primary.script = signed(short(), -1000, 8)
    m = mirror(primary.where, "-g", "600").start()
    m.wait_event("zone_transferred")
    event = m.wait_event("zone_signatures_ending")
    assert int(event["ends_in_s"]) <= 8 and event["owner"] == "example.com."
    primary.stop()
    assert m.wait_event("zone_grace_begun")["limit"] == "signatures"
    m.wait_event("zone_grace_ended", cause="signatures")
    m.wait_event("zone_expired")
    assert len(m.events("zone_signatures_ending")) == 1


def test_signatures_are_told_of_sooner_while_no_primary_answers(mirror, primary):  # noqa: F811
    primary.script = signed(short(expire=600), -800, 200)       # a fifth of their life is left
    m = mirror(primary.where).start()
    m.wait_event("zone_transferred")
    primary.stop()
    m.wait_event("zone_transfer_failed")
    assert 100 < int(m.wait_event("zone_signatures_ending")["ends_in_s"]) <= 200
    before = len(m.events("zone_signatures_ending"))
    primary.script = signed(short(serial=2), -10, 1000)         # they are renewed
    primary.open()
    m.wait_event("zone_transferred", serial=2)
    assert len(m.events("zone_signatures_ending")) == before == 1


# ---- What clients and operators see ----

def is_stale(reply):
    return any(option.otype == dns.edns.EDE and option.code == 3 for option in reply.options)


@pytest.mark.threads
def test_clients_get_stale_answers_for_a_while(stage, primary):  # noqa: F811
    primary.script = honest(short(expire=2))
    where = ("127.0.0.1", int(primary.where.split(":")[1]))
    front = stage.understudy(configurations.HEAD + 'pool "main" {\n    expire = grace\n    grace = "5m"\n' +
                             configurations.backend("ns1", where, primary=True) + configurations.mirror(1) + "}\n" +
                             configurations.zone(ZONE)).start()
    front.wait_event("zone_transferred")
    front.wait_event("backend_down")    # it has no UDP
    def is_fresh():             # expire is so short that a refresh which is held up is enough for the grace to begin
        reply = ask(front.where, f"h0.{ZONE}", use_edns=0)
        return reply.answer[0].ttl == 60 and not is_stale(reply)
    wait_for(is_fresh, "fresh answers")
    stopped = time.monotonic()
    primary.stop()
    front.wait_event("zone_grace_begun", since=stopped)
    before = front.stat("answers_stale")
    for tcp in (False, True):
        reply = ask(front.where, f"h0.{ZONE}", tcp=tcp, use_edns=0)
        assert reply.rcode() == 0 and reply.answer[0].ttl == 30 and is_stale(reply)
    reply = ask(front.where, f"none.{ZONE}")
    assert reply.rcode() == 3 and reply.authority[0].ttl == 30 and not reply.options
    assert front.stat("answers_stale") == before + 3

    zone = front.json("zone", ZONE)["zone"]
    assert zone["state"] == "grace" and 200 < zone["grace_left_s"] <= 300
    code, out, err = front.ctl("status")
    assert code == 4 and "in grace" in out, out

    primary.open()
    front.wait_event("zone_grace_ended", cause="confirmed")
    wait_for(lambda: ask(front.where, f"h0.{ZONE}").answer[0].ttl == 60, "fresh answers")


def test_strict_zone_is_not_served_past_its_expire(stage, primary):  # noqa: F811
    primary.script = honest(short(expire=2))
    where = ("127.0.0.1", int(primary.where.split(":")[1]))
    front = stage.understudy(configurations.failover(where)).start()
    front.wait_event("zone_transferred")
    primary.stop()
    front.wait_event("zone_expired")
    assert not front.events("zone_grace_begun")
    reply = try_ask(front.where, f"h0.{ZONE}", timeout=3)
    assert reply is None or reply.rcode() == 2
