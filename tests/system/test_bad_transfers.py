# SPDX-License-Identifier: ISC
"""Bad transfers: what a primary may do wrong, and where it is tried.

Whatever it is, the old generation goes on, and one event says why. The cases here have a zone each,
all at one scripted primary and in one mirror; TSIG is made by hand, so that it can be wrong in any way.

    what is wrong                                   tried by
    ----------------------------------------------  --------------------------------------------------
    axfr_mid_soa, no/other first or last SOA        test_mirror: "last SOA differs", "no first SOA", ...
    FIN, RST in the middle; tcp_underrun, size_0    test_mirror: "early FIN", "half a message", "length 0"
    outofzone_axfr, xfr_class                       test_mirror: "owner out of zone", "class CH"
    records after the end, SOA alone, no NS         test_mirror: the cases of that name
    ID, question, rcode, QR, TC; of later messages  test_mirror, and MESSAGES here
    xfrd_short_soa_response, soa_short_info         MESSAGES: "short SOA", "SOA with a tail"
    AA clear, no SOA, another's SOA                 MESSAGES
    axfr_oversize_rr, xfr_huge                      MESSAGES: "a record that fills a message"
    pointers out of the message, forward, in loops  MESSAGES: "pointer ..."; fuzz_name, fuzz_transfer
    endless records, endless nothing                test_mirror: "endless ..."; limits in test_transfer
    rdata that lies                                 MESSAGES: "rdata ..."; test_rdata, fuzz_rdata
    notify_ahead_perpetual                          test_a_promise_that_is_not_kept_is_not_asked_over_and_over
    notify_interrupts_axfr, xfr_over_notify         test_notify_in_the_middle_of_a_transfer_is_another_round
    notify_large, notify_nokey                      test_dispatch: notify_...; test_notify
    soa/axfr without an answer, testplan_timeout    test_mirror: test_silent_primary_is_given_up
    zone_expire_*, zone_notloaded                   test_mirror: test_expiry_...; test_schedule, test_watch
    tsig_badkey, tsig_badsig, tsig_assoc_axfr,      SIGNATURES here; test_tsig; test_mirror:
    testplan_axfr_tsig, testplan_tsig_34            test_signed_streams_of_any_density (99 unsigned)
    ixfr_*, axfr_fallback                           test_ixfr, test_transfer
    serials around 2^31 and 2^32                    test_serial; test_serials_go_round here
    qname_offbyone, svcb_uint16_wrap                test_name, test_rdata
"""
import base64
import hmac
import struct
import time

import pytest

from primary import AXFR, HANG, SOA, Primary, Zone, honest, name, packed, record
from servers import wait_for
from test_mirror import Mirror

SECRET = b"a secret of our own"
KEY = "transfer.key:hmac-sha256:" + base64.b64encode(SECRET).decode()


class Cases(Primary):
    """A zone for each case: serial 1 is good; then `lies` has serial 2 of it."""

    def __init__(self, lies, sign=None):
        self.lies = lies
        self.zones = {f"z{i}.example": (what, Zone(f"z{i}.example")) for i, what in enumerate(lies)}
        self.is_lying = False
        self.sign = sign
        super().__init__(self.speak)

    def speak(self, asked):
        labels, at = [], 12
        while asked.wire[at]:
            labels.append(asked.wire[at + 1:at + 1 + asked.wire[at]].decode().lower())
            at += 1 + asked.wire[at]
        what, zone = self.zones[".".join(labels)]
        if not self.is_lying:
            messages = honest(zone)(asked)
            return self.sign(asked, messages) if self.sign else messages
        zone.serial = 2
        return self.lies[what][0](asked, zone)


def run_cases(stage, lies, *options, sign=None, timeout=30):
    """Each lie: what became of it is what the table says, and serial 1 goes on."""
    primary = stage.add(Cases(lies, sign))
    m = stage.add(Mirror(stage.folder, primary.where, *options, zones=list(primary.zones))).start()
    m.wait_event("zone_transferred", count=len(primary.zones), serial=1, timeout=timeout)
    primary.is_lying = True
    for zone in primary.zones:
        m.say("refresh", zone)

    def verdicts():
        found = {}
        for event in m.events():
            if event["event"] in ("zone_transfer_failed", "zone_rejected") or event.get("serial") == "2":
                found.setdefault(event.get("zone"), []).append(event)
        return found
    wait_for(lambda: len(verdicts()) == len(primary.zones), "all verdicts", timeout, interval=0.2)
    wrong, found = {}, verdicts()
    for zone, (what, _) in primary.zones.items():
        want, got, status = lies[what][1], found[zone + "."], m.status(zone)
        reason = got[0].get("reason", "taken")
        is_right = want in reason and len(got) == 1 and status["is_servable"] == 1 and \
            status["serial"] == (2 if want == "taken" else 1)
        if not is_right:
            wrong[what] = (want, [(e["event"], e.get("reason")) for e in got], status["serial"])
    assert not wrong, "\n".join(f"{what}: {said}" for what, said in wrong.items())
    return primary, m


# ---- Messages ----

def soa_reply(make):
    """The lie is in the reply to SOA."""
    return lambda a, z: make(a, z) if a.type == SOA else packed(a, z.records())


def axfr(make):
    """An honest SOA, then this."""
    return lambda a, z: [a.reply([z.soa()])] if a.type == SOA else make(a, z)


def among(*strangers):
    """These records among honest ones: made of the zone."""
    return axfr(lambda a, z: packed(a, z.records()[:-1] + [s(z) for s in strangers] + [z.soa()]))


def short_soa(z, cut):
    return record(z.origin, SOA, (name("ns." + z.origin) + name("h." + z.origin) + struct.pack("!5I", 2, 3, 4, 5, 6))[:cut])


def with_tail(z):
    return record(z.origin, SOA, name("ns." + z.origin) + name("h." + z.origin) + struct.pack("!5I", 2, 3, 4, 5, 6) + b"!")


def owner_pointer(target):
    """A record whose owner is a pointer to this offset."""
    return lambda z: struct.pack("!H", 0xc000 | target) + struct.pack("!2HIH", 1, 1, 60, 4) + b"abcd"


def later(spoil):
    """Two messages, the second one spoilt."""
    return axfr(lambda a, z: [a.reply(z.records()[:1]), spoil(a, z)])


def other_id(asked):
    return int.from_bytes(asked.wire[:2], "big") ^ 1


MESSAGES = {
    "SOA: AA clear": (soa_reply(lambda a, z: [a.reply([z.soa()], flags=0x8000)]), "not authoritative"),
    "SOA: nothing": (soa_reply(lambda a, z: [a.reply([])]), "no SOA in the reply"),
    "SOA: below": (soa_reply(lambda a, z: [a.reply([z.soa(origin="x." + z.origin)])]), "no SOA in the reply"),
    "SOA: short": (soa_reply(lambda a, z: [a.reply([short_soa(z, -3)])]), "does not parse"),
    "SOA: of eleven bytes": (soa_reply(lambda a, z: [a.reply([short_soa(z, 11)])]), "does not parse"),
    "SOA: empty": (soa_reply(lambda a, z: [a.reply([short_soa(z, 0)])]), "does not parse"),
    "SOA: with a tail": (soa_reply(lambda a, z: [a.reply([with_tail(z)])]), "does not parse"),
    "SOA: two of them": (soa_reply(lambda a, z: [a.reply([z.soa(), z.soa(9)])]), "taken"),
    "SOA: SERVFAIL": (soa_reply(lambda a, z: [a.reply([], flags=0x8402)]), "SERVFAIL"),
    "SOA: NXDOMAIN": (soa_reply(lambda a, z: [a.reply([], flags=0x8403)]), "NXDOMAIN"),
    "SOA: TC": (soa_reply(lambda a, z: [a.reply([z.soa()], flags=0x8600)]), "truncated"),
    "SOA: opcode NOTIFY": (soa_reply(lambda a, z: [a.reply([z.soa()], flags=0xa400)]), "opcode"),
    "short SOA first": (axfr(lambda a, z: [a.reply([short_soa(z, -4), z.ns(), z.soa()])]), "does not parse"),
    "second message: ID": (later(lambda a, z: a.reply(z.records()[1:], id=other_id(a))), "message ID"),
    "second message: question": (later(lambda a, z: a.reply(z.records()[1:], question=name("a.test") + b"\0\xfc\0\1")),
                                 "question is not"),
    "second message: no question": (later(lambda a, z: a.reply(z.records()[1:], question=b"")), "taken"),
    "second message: SERVFAIL": (later(lambda a, z: a.reply(z.records()[1:], flags=0x8402)), "SERVFAIL"),
    "second message: QR clear": (later(lambda a, z: a.reply(z.records()[1:], flags=0x0400)), "QR is clear"),
    "second message: cut": (later(lambda a, z: a.reply(z.records()[1:])[:-2]), ""),
    "second message: tail": (later(lambda a, z: a.reply(z.records()[1:]) + b"!"), "bytes behind"),
    "SOA in the middle": (among(lambda z: z.soa(), lambda z: z.host(8)), "after the last SOA"),
    "older SOA in the middle": (among(lambda z: z.soa(1), lambda z: z.host(8)), "last SOA"),
    "class ANY": (among(lambda z: record("x." + z.origin, 1, b"abcd", rdclass=255)), "class is not IN"),
    "type ANY": (among(lambda z: record("x." + z.origin, 255, b"")), "not a type"),
    "type AXFR": (among(lambda z: record("x." + z.origin, 252, b"")), "not a type"),
    "type 0": (among(lambda z: record("x." + z.origin, 0, b"")), "not a type"),
    "OPT as an answer": (among(lambda z: record("", 41, b"")), "not a type"),
    "TSIG as an answer": (among(lambda z: record("x." + z.origin, 250, b"abcd", rdclass=255)), ""),
    "pointer forward": (among(owner_pointer(0x3fff)), ""),
    "pointer into the header": (among(owner_pointer(2)), ""),
    "pointer to itself": (axfr(lambda a, z: [a.reply([z.soa()]),
                                             a.reply([owner_pointer(len(a.question) + 12)(z)])]), ""),
    "rdata: A of 3": (among(lambda z: record("x." + z.origin, 1, b"abc")), "does not parse"),
    "rdata: MX of 1": (among(lambda z: record("x." + z.origin, 15, b"\0")), "does not parse"),
    "rdata: name runs on": (among(lambda z: record("x." + z.origin, 15, b"\0\1\7exam")), "does not parse"),
    "rdata: TXT runs on": (among(lambda z: record("x." + z.origin, 16, b"\5abc")), "does not parse"),
    "rdata: NSEC window of 33": (among(lambda z: record("x." + z.origin, 47, b"\0\0\x21" + b"\1" * 33)), "does not parse"),
    "rdata: NSEC3 hash of 0": (among(lambda z: record("x." + z.origin, 50, b"\1\0\0\0\0\0\0\1\x40")), "does not parse"),
    "rdata: SVCB length": (among(lambda z: record("x." + z.origin, 64, b"\0\1\0\0\1\xff\xffab")), "does not parse"),
    "rdata: APL afdlength": (among(lambda z: record("x." + z.origin, 42, b"\0\1\x20\x7fab")), "does not parse"),
    "a record that fills a message": (axfr(lambda a, z: [
        a.reply(z.records()[:-1]), a.reply([record("x." + z.origin, 65280, b"!" * 65400)]), a.reply([z.soa()])]), "taken"),
    "TXT of sixty thousand strings": (among(lambda z: record("x." + z.origin, 16, bytes(60000))), "taken"),
    "the same record twice": (among(lambda z: z.host(0), lambda z: z.host(0)), "taken"),
    "the SOA is not that of the promise": (axfr(lambda a, z: packed(a, Zone(z.origin, 1).records())), "promised"),
    "an older SOA than ours": (axfr(lambda a, z: packed(a, Zone(z.origin, 0).records())), "older than ours"),
}


def test_messages_that_are_wrong_leave_the_old_generation(stage):
    primary, m = run_cases(stage, MESSAGES)
    primary.is_lying = False                            # and an honest transfer heals
    for _, zone in primary.zones.values():
        zone.serial = 3
    for zone in primary.zones:
        m.say("retransfer", zone)
    m.wait_event("zone_transferred", count=len(primary.zones), serial=3, timeout=30)


# ---- Signatures, made by hand ----

def u48(value):
    return struct.pack("!HI", value >> 32, value & 0xffffffff)


class Hand:
    """Signs a stream; each message may have anything wrong with its TSIG."""

    def __init__(self, asked):
        rdata = asked.wire[-(6 + 2 + 2 + 32 + 6):]      # the request's TSIG ends it: SHA-256, no other data
        self.mac = rdata[10:42]
        self.is_first, self.pending = True, b""

    def tsig(self, wire, key="transfer.key", algorithm="hmac-sha256", time_off=0, fudge=300, cut=None, flip=0,
             id_flip=0, error=0, other=b"", rdclass=255, ttl=0, secret=SECRET, whole=None):
        now = int(time.time()) + time_off
        variables = u48(now) + struct.pack("!H", fudge)
        if self.is_first if whole is None else whole:
            variables = name(key.lower()) + struct.pack("!HI", 255, 0) + name(algorithm.lower()) + variables + \
                struct.pack("!2H", error, len(other)) + other
        prior = struct.pack("!H", len(self.mac)) + self.mac
        mac = hmac.digest(secret, prior + self.pending + wire + variables, "sha256")
        self.mac, self.is_first, self.pending = mac, False, b""
        mac = bytes([mac[0] ^ flip]) + mac[1:]
        mac = (mac + bytes(32))[:cut] if cut is not None else mac
        rdata = name(algorithm) + u48(now) + struct.pack("!2H", fudge, len(mac)) + mac + \
            bytes([wire[0] ^ id_flip, wire[1]]) + struct.pack("!2H", error, len(other)) + other
        return name(key) + struct.pack("!2HIH", 250, rdclass, ttl, len(rdata)) + rdata

    def signed(self, wire, **wrong):
        return with_additional(wire, self.tsig(wire, **wrong))

    def skip(self, wire):
        self.pending += wire
        return wire


def with_additional(wire, *records):
    count = struct.unpack("!H", wire[10:12])[0] + len(records)
    return wire[:10] + struct.pack("!H", count) + wire[12:] + b"".join(records)


def sign_all(asked, messages):
    hand = Hand(asked)
    return [hand.signed(wire) for wire in messages]


def first(**wrong):
    """An honest SOA; then a zone in two messages, the first one signed wrongly."""
    return stream(lambda hand, one, two: [hand.signed(one, **wrong), hand.signed(two)])


def second(**wrong):
    return stream(lambda hand, one, two: [hand.signed(one), hand.signed(two, **wrong)])


def stream(make):
    def script(a, z):
        if a.type == SOA:
            return sign_all(a, [a.reply([z.soa()])])
        return make(Hand(a), a.reply(z.records()[:1]), a.reply(z.records()[1:]))
    return script


def long_stream(unsigned):
    """So many unsigned messages between two signed ones."""
    def script(a, z):
        if a.type == SOA:
            return sign_all(a, [a.reply([z.soa()])])
        hand = Hand(a)
        return [hand.signed(a.reply(z.records()[:-1]))] + \
            [hand.skip(a.reply([z.host(i)], question=b"")) for i in range(unsigned)] + [hand.signed(a.reply([z.soa()]))]
    return script


def error_reply(error, is_signed=False, ahead_s=None):
    """NOTAUTH with TSIG that says why, and what its clock shows."""
    def script(a, z):
        hand, wire = Hand(a), a.reply([], flags=0x8409)
        other = b"" if ahead_s is None else u48(int(time.time()) + ahead_s)
        return [hand.signed(wire, error=error, other=other, **({} if is_signed else {"cut": 0}))]
    return script


def in_section(offset):
    """TSIG counted as an answer (6) or as authority (8)."""
    def make(hand, one, two):
        record_ = hand.tsig(one)
        count = struct.unpack("!H", one[offset:offset + 2])[0] + 1
        return [one[:offset] + struct.pack("!H", count) + one[offset + 2:] + record_, hand.signed(two)]
    return stream(make)


ADDRESS = record("x.example", 1, b"abcd")
SIGNATURES = {
    "good": (first(), "taken"),
    "key in capitals": (first(key="TRANSFER.Key"), "taken"),
    "algorithm in capitals": (first(algorithm="HMAC-SHA256"), "taken"),
    "second unsigned, third not": (long_stream(1), "taken"),
    "99 unsigned": (long_stream(99), "taken"),
    "100 unsigned": (long_stream(100), "must be signed"),
    "reply to SOA unsigned": (lambda a, z: [a.reply([z.soa()])], "must be signed"),
    "no signature": (stream(lambda hand, one, two: [one, two]), "must be signed"),
    "first unsigned": (stream(lambda hand, one, two: [one, hand.signed(two)]), "must be signed"),
    "last unsigned": (stream(lambda hand, one, two: [hand.signed(one), two]), "last message is not signed"),
    "the second before the first": (stream(lambda hand, one, two: [hand.signed(one), hand.signed(two)][::-1]), ""),
    "the first twice": (stream(lambda hand, one, two: [hand.signed(one)] * 2), "does not match"),
    "altered": (stream(lambda hand, one, two: [hand.signed(one).replace(b"\2ns", b"\2nt"), two]), "does not match"),
    "MAC with a bit flipped": (first(flip=1), "does not match"),
    "MAC with a bit flipped, later": (second(flip=0x80), "does not match"),
    "MAC of another secret": (first(secret=b"another secret of ours"), "does not match"),
    "MAC of 31": (first(cut=31), "truncated"),
    "MAC of 16": (first(cut=16), "truncated"),
    "MAC of 15": (first(cut=15), "malformed"),
    "MAC of 9": (first(cut=9), "malformed"),
    "MAC of 0": (first(cut=0), "malformed"),
    "MAC of 33": (first(cut=33), "malformed"),
    "clock 280 s behind": (first(time_off=-280), "taken"),
    "clock 301 s behind": (first(time_off=-305), "time is off"),
    "clock 320 s ahead": (first(time_off=320), "time is off"),
    "fudge of 1": (first(time_off=-5, fudge=1), "time is off"),
    "fudge of 65535": (first(time_off=-60000, fudge=65535), "taken"),
    "time of later message": (second(time_off=-305), "time is off"),
    "another key": (first(key="other.key"), "another key or algorithm"),
    "another algorithm": (first(algorithm="hmac-sha1"), "another key or algorithm"),
    "no algorithm": (first(algorithm=""), "another key or algorithm"),
    "original ID is another": (first(id_flip=1), "does not match"),
    "later one with all variables": (second(whole=True), "does not match"),
    "class IN": (first(rdclass=1), "malformed"),
    "TTL 1": (first(ttl=1), "malformed"),
    "other data of 3": (first(other=b"abc"), "malformed"),
    "error in a good reply": (first(error=16), ""),
    "TSIG twice": (stream(lambda hand, one, two: [with_additional(one, hand.tsig(one), hand.tsig(one)), two]), "malformed"),
    "TSIG not last": (stream(lambda hand, one, two: [with_additional(one, hand.tsig(one), ADDRESS), two]), "malformed"),
    "TSIG as an answer": (in_section(6), "malformed"),
    "TSIG as authority": (in_section(8), "malformed"),
    "RDLENGTH too long": (stream(lambda hand, one, two: [with_additional(one, hand.tsig(one) + b"!"), two]), "malformed"),
    "algorithm compressed": (stream(lambda hand, one, two: [
        with_additional(one, hand.tsig(one).replace(name("hmac-sha256"), b"\xc0\x0c", 1)), two]), "malformed"),
    "BADKEY": (error_reply(17), "TSIG error BADKEY"),
    "BADSIG": (error_reply(16), "TSIG error BADSIG"),
    "BADTRUNC": (error_reply(22, True), "TSIG error BADTRUNC"),
    "BADTIME": (error_reply(18, True, 7200), "TSIG error BADTIME, its clock is 7"),
    "BADTIME, behind": (error_reply(18, True, -7200), "s behind ours"),
    "BADTIME without its clock": (error_reply(18, True), "TSIG error BADTIME"),
    "TSIG error of no name": (error_reply(4711), "unknown"),
    "NOTAUTH without TSIG": (lambda a, z: [a.reply([], flags=0x8409)], "NOTAUTH"),
}


def test_signatures_that_are_wrong_leave_the_old_generation(stage):
    run_cases(stage, SIGNATURES, "-k", KEY, sign=sign_all)


# ---- Loops ----

@pytest.fixture
def perpetual(stage):
    primary = stage.add(Primary())
    m = stage.add(Mirror(stage.folder, primary.where))
    primary.script = honest(Zone())
    m.start().wait_event("zone_transferred", serial=1)
    return primary, m


def test_a_promise_that_is_not_kept_is_not_asked_over_and_over(perpetual):
    """The SOA is ahead of the zone: one transfer for each wish, once a second at most, and then SOA retry."""
    primary, m = perpetual
    primary.script = lambda a: [a.reply([Zone(serial=2).soa()])] if a.type == SOA else packed(a, Zone().records())
    began, before = time.monotonic(), primary.count(AXFR)
    for _ in range(100):
        m.say("refresh", "example.com")
    wishing_s = time.monotonic() - began
    m.wait_event("zone_transfer_failed")
    wait_for(lambda: m.status()["next_refresh_s"] > 400, "the retry timer")
    assert primary.count(AXFR) - before <= 2 + wishing_s     # at once, each second, and for the last wish
    assert len(m.events("zone_transfer_failed")) == 1


def test_notify_in_the_middle_of_a_transfer_is_another_round(perpetual):
    primary, m = perpetual
    zone = Zone(serial=2)

    def script(asked):
        messages = honest(zone)(asked)
        if asked.type != SOA and zone.serial == 2:
            zone.serial = 3                             # and whoever hears of it wants it
            m.say("refresh", "example.com")
        return messages
    primary.script = script
    m.say("refresh", "example.com")
    m.wait_event("zone_transferred", serial=2)
    m.wait_event("zone_transferred", serial=3)


# ---- Several primaries ----

def test_of_several_primaries_the_newest_wins_and_a_dead_one_blocks_nothing(stage):
    """In one round, whatever their order; and who was newest may change."""
    zones = [Zone(serial=serial, hosts=serial) for serial in (3, 7, 5)]
    some = [stage.add(Primary(honest(zone))) for zone in zones]
    m = stage.add(Mirror(stage.folder, ["127.0.0.1:1"] + [p.where for p in some])).start()
    m.wait_event("zone_transferred", serial=7)
    wait_for(lambda: all(p.count(SOA) == 1 for p in some), "all to be asked")
    assert m.status()["serial"] == 7 and not m.events("zone_transferred", serial=5)
    for p in some:
        p.asked.clear()
    zones[2].serial = zones[2].hosts = 9
    m.say("refresh", "example.com")
    assert m.wait_event("zone_transferred", serial=9)["source"] == some[2].where
    dead = [e for e in m.events("zone_transfer_failed") if e["source"] == "127.0.0.1:1"]
    assert len(dead) == 1, "it is told of, and once"


def test_a_frozen_primary_holds_up_the_first_round_only(stage):
    """It takes connections, and says nothing. From then on the others are asked before it."""
    frozen, zone = stage.add(Primary(lambda asked: [HANG])), Zone()
    good = stage.add(Primary(honest(zone)))
    m = stage.add(Mirror(stage.folder, [frozen.where, good.where])).start()
    m.wait_event("zone_transferred", serial=1, timeout=40)
    for serial in range(2, 7):
        zone.serial = serial
        m.say("refresh", "example.com")
        m.wait_event("zone_transferred", serial=serial)

    def is_asked_again():       # not within a second of its silence
        m.say("refresh", "example.com")
        return frozen.connections >= 2
    wait_for(is_asked_again, "it to be asked again, as the last", 30, 0.3)


@pytest.mark.parametrize("old, new, is_newer", [
    (0, 1, True), (0xffffffff, 0, True), (0x7fffffff, 0x80000000, True), (1, 0x80000000, True),
    (0, 0x7fffffff, True), (0, 0x80000001, False), (0x80000000, 0x7fffffff, False), (5, 4, False)])
def test_serials_go_round(stage, old, new, is_newer):
    primary = stage.add(Primary(honest(Zone(serial=old))))
    m = stage.add(Mirror(stage.folder, primary.where)).start()
    m.wait_event("zone_transferred", serial=old)
    primary.script = honest(Zone(serial=new))
    asked = primary.count(SOA)
    m.say("refresh", "example.com")
    if is_newer:
        m.wait_event("zone_transferred", serial=new)
    wait_for(lambda: primary.count(SOA) > asked and not m.status()["is_transferring"], "the answer")
    wait_for(lambda: m.status()["next_refresh_s"] > 100, "the next round's time")
    assert m.status()["serial"] == (new if is_newer else old)
