# SPDX-License-Identifier: ISC
"""Changes come by IXFR, from each server that has them; what disappoints costs one AXFR, and never a wrong zone."""
import base64
import os
import struct
import threading

import dns.message
import pytest

import configurations
from primaries import PRIMARIES, History, canonical
from primary import AXFR, CLOSE, HANG, IXFR, RESET, SOA, Primary, Raw, Signer, Zone, honest, packed, record
from servers import ANSWER_S, try_ask, wait_for
from test_mirror import KEY, SECRET, mirror, snapshot_of  # noqa: F401  (a fixture)

# ---- Real servers ----

STEPS = int(os.environ.get("IXFR_STEPS", "200"))



class Questions:
    """A client that asks for the SOA of each zone all the time: always an answer, never an older one."""

    def __init__(self, front, primaries):
        self.front, self.primaries = front, primaries
        self.is_over, self.asked, self.wrong = False, 0, []
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        latest = {p: 0 for p in self.primaries}
        while not self.is_over:
            for p in self.primaries:
                answer = try_ask(self.front.where, p.history.origin, "SOA", timeout=ANSWER_S)
                serial = answer.answer[0][0].serial if answer and answer.answer else None
                if serial is None or not latest[p] <= serial <= p.history.serial:
                    self.wrong.append((p.name, str(answer), latest[p]))
                else:
                    latest[p] = serial
                self.asked += 1

    def finish(self):
        self.is_over = True
        self.thread.join()
        assert not self.wrong, self.wrong[:3]
        assert self.asked > 0


def front_of(stage, primaries):
    text = configurations.HEAD
    for p in primaries:
        text += f'pool "{p.name}" {{\n' + configurations.backend(p.name, p.where, primary=True) + \
            configurations.mirror(1) + "}\n" + configurations.zone(p.history.origin, p.name)
    front = stage.understudy(text).start()
    for p in primaries:
        front.wait_event("zone_transferred", zone=p.history.origin + ".")
        front.ctl("failover", p.name, "on")
    return front


def wait_version(front, primary):
    zone = primary.history.origin
    front.ctl("refresh", zone)
    return front.wait_event("zone_transferred", zone=zone + ".", serial=str(primary.history.serial))[1]


def assert_same(front, primary):
    code, told, _ = front.ctl("dump", primary.history.origin)
    assert code == 0
    assert canonical(primary, told) == primary.canonical()


def follow(stage, names, steps):
    """All of them change at the same time, each a zone of its own."""
    primaries = [stage.add(PRIMARIES[name](stage.folder, History(f"{name}.example", seed=steps))) for name in names]
    for p in primaries:
        p.start()
    front = front_of(stage, primaries)
    questions = Questions(front, primaries)
    kinds = {p: [] for p in primaries}
    try:
        for _ in range(steps):
            for p in primaries:
                p.change()
            for p in primaries:
                kinds[p].append(wait_version(front, p)["kind"])
                assert_same(front, p)
    finally:
        questions.finish()
    for _, event in front.events("ixfr_failed"):
        assert event["zone"] == "nsd.example." and "addition" in event["reason"], event     # see NsdPrimary
    return {p.name.split("-")[0]: kinds[p] for p in primaries}


def test_changes_of_four_servers_are_followed(stage):
    kinds = follow(stage, ["nsd", "knot", "bind", "powerdns"], 5)
    assert set(kinds.pop("pdns")) == {"axfr"}       # its reply to IXFR is the whole zone
    assert all(set(kind) == {"ixfr"} for kind in kinds.values()), kinds


@pytest.mark.soak
@pytest.mark.parametrize("name", PRIMARIES)
def test_two_hundred_changes_are_followed(stage, name):
    (kinds,) = follow(stage, [name], STEPS).values()
    expect = {"powerdns": {"axfr"}, "nsd": {"axfr", "ixfr"}}.get(name, {"ixfr"})
    assert len(kinds) == STEPS and set(kinds) <= expect


# ---- A scripted primary: from serial 1 to 3, when all is well ----

OLD, NEXT = Zone(serial=1, hosts=3), Zone(serial=3, hosts=2)
GONE, KEPT, NEW = OLD.host(2), OLD.host(1), OLD.host(9)
ONE_STEP = [NEXT.soa(3), OLD.soa(1), GONE, NEXT.soa(3), NEW, NEXT.soa(3)]
TWO_STEPS = [NEXT.soa(3), OLD.soa(1), GONE, OLD.soa(2), OLD.host(8), OLD.soa(2), OLD.host(8), OLD.soa(3), NEW,
             NEXT.soa(3)]


def whole():
    """What NEXT is as a whole: h2 went, h9 came."""
    return [NEXT.soa(3), NEXT.ns(), OLD.host(0), KEPT, NEW, NEXT.soa(3)]


def script(answer):
    """Serial 3 is promised; `answer(asked)` replies to IXFR, the truth to AXFR."""
    def play(asked):
        if asked.type == SOA:
            return [asked.reply([NEXT.soa(3)])]
        return answer(asked) if asked.type == IXFR else packed(asked, whole())
    return play


def hold_first(mirror, stage, *options, first=None):  # noqa: F811
    primary = stage.add(Primary(first or honest(OLD)))
    m = mirror(primary.where, *options).start()
    m.wait_event("zone_transferred", serial=1)
    return m, primary


def assert_next(m, kind):
    event = m.wait_event("zone_transferred", serial=3, timeout=40)
    assert event["kind"] == kind and event["from_serial"] == "1", event
    told = m.say("dump", "example.com")
    assert "h9." in told and "h1." in told and "h2." not in told and "h8." not in told
    assert m.status()["records"] == 5 and m.status()["is_servable"] == 1
    return event


GOOD = {
    "one step": lambda a: [a.reply(ONE_STEP)],
    "two steps": lambda a: [a.reply(TWO_STEPS)],
    "a record a message": lambda a: packed(a, TWO_STEPS, 1),
    "no question in later messages": lambda a: [a.reply(ONE_STEP[:3])] + [a.reply(ONE_STEP[3:], question=b"")],
    "drips": lambda a: [Raw(bytes([b])) for b in struct.pack("!H", len(a.reply(ONE_STEP))) + a.reply(ONE_STEP)],
}


def test_difference_is_taken(stage, mirror):  # noqa: F811
    cast = {}
    for what in GOOD:
        primary = stage.add(Primary(honest(OLD)))
        cast[what] = mirror(primary.where, name=f"mirror-{len(cast)}").start(), primary
    for what, (m, primary) in cast.items():
        m.wait_event("zone_transferred", serial=1)
        primary.script = script(GOOD[what])
        m.say("refresh", "example.com")
    for what, (m, primary) in cast.items():
        event = assert_next(m, "ixfr")
        assert event["records"] == ("4" if what in ("two steps", "a record a message") else "2"), what
        assert not m.events("ixfr_failed") and primary.count(AXFR) == 1, what


def test_whole_zone_in_reply_to_ixfr_is_taken(stage, mirror):  # noqa: F811
    m, primary = hold_first(mirror, stage)
    primary.script = script(lambda a: packed(a, whole(), 2))
    m.say("refresh", "example.com")
    assert_next(m, "axfr")
    assert not m.events("ixfr_failed") and primary.count(AXFR) == 1 and primary.count(IXFR) == 1


def test_server_that_closes_after_each_answer_is_asked_on_a_new_connection(stage, mirror):  # noqa: F811
    m, primary = hold_first(mirror, stage)
    primary.script = lambda a: script(GOOD["one step"])(a) + [CLOSE]
    m.say("refresh", "example.com")
    assert_next(m, "ixfr")
    assert not m.events("ixfr_failed")


BAD = {
    "SERVFAIL": (lambda a: [a.reply([], flags=0x8402)], "SERVFAIL"),
    "NOTIMP": (lambda a: [a.reply([], flags=0x8404)], "NOTIMP"),
    "REFUSED": (lambda a: [a.reply([], flags=0x8405)], "REFUSED"),
    "FORMERR": (lambda a: [a.reply([], flags=0x8401)], "FORMERR"),
    "SERVFAIL in the middle": (lambda a: [a.reply(ONE_STEP[:4]), a.reply(ONE_STEP[4:], flags=0x8402)], "SERVFAIL"),
    "removes what is absent": (lambda a: [a.reply([NEXT.soa(3), OLD.soa(1), NEW, NEXT.soa(3), NEXT.soa(3)])],
                               "deletion of a record that is not there"),
    "adds what is there": (lambda a: [a.reply([NEXT.soa(3), OLD.soa(1), NEXT.soa(3), KEPT, NEXT.soa(3)])],
                           "addition of a record that is there"),
    "begins elsewhere": (lambda a: [a.reply([NEXT.soa(3), OLD.soa(2), GONE, NEXT.soa(3), NEW, NEXT.soa(3)])],
                         "from serial 2, but we are at 1"),
    "gap between steps": (lambda a: [a.reply([NEXT.soa(4), OLD.soa(1), GONE, OLD.soa(2), OLD.soa(3), NEXT.soa(4), NEW,
                                              NEXT.soa(4)])], "from serial 3, but we are at 2"),
    "serial goes back": (lambda a: [a.reply([NEXT.soa(3), OLD.soa(1), GONE, OLD.soa(0), OLD.soa(0), OLD.soa(3), NEW,
                                             NEXT.soa(3)])], "not towards"),
    "last SOA differs": (lambda a: [a.reply(ONE_STEP[:-1] + [NEXT.soa(4)])], "differs"),
    "first SOA is not one": (lambda a: [a.reply(ONE_STEP[1:3][::-1])], "first record"),
    "our SOA in other words": (lambda a: [a.reply([NEXT.soa(3), Zone(serial=1, refresh=9).soa(), GONE, NEXT.soa(3), NEW,
                                                   NEXT.soa(3)])], "not there"),
    "one SOA": (lambda a: [a.reply([NEXT.soa(3)])], "no difference from serial 1"),
    "one SOA, then closed": (lambda a: [a.reply([NEXT.soa(3)]), CLOSE], "no difference from serial 1"),
    "closed at once": (lambda a: [CLOSE], "closed"),
    "closed half way": (lambda a: [a.reply(ONE_STEP[:4]), CLOSE], "closed"),
    "reset half way": (lambda a: [a.reply(ONE_STEP[:4]), RESET], "onnection"),
    "half a message": (lambda a: [Raw(b"\x01\x00" + a.reply(ONE_STEP)[:50]), CLOSE], "closed"),
    "out of zone": (lambda a: [a.reply(ONE_STEP[:-1] + [record("example.net", 1, b"abcd"), NEXT.soa(3)])], "outside"),
    "class CH": (lambda a: [a.reply(ONE_STEP[:-1] + [record("x.example.com", 1, b"abcd", rdclass=3)])], "class"),
    "records after the end": (lambda a: [a.reply(ONE_STEP + [OLD.host(7)])], "after the last"),
    "rdata too long": (lambda a: [a.reply(ONE_STEP[:-1] + [record("x.example.com", 1, b"abcde")])], "rdata"),
    "another ID": (lambda a: [a.reply(ONE_STEP, id=struct.unpack("!H", a.wire[:2])[0] ^ 1)], "ID"),
    "another question": (lambda a: [a.reply(ONE_STEP, question=b"\7example\3com\0\0\xfc\0\1")], "question"),
    "TC set": (lambda a: [a.reply(ONE_STEP, flags=0x8600)], "TC"),
    "garbage": (lambda a: [a.wire[:2] + b"\x84\0" + b"\xff" * 300], ""),
    "length 0": (lambda a: [Raw(b"\0\0")], "0 bytes"),
    "endless nothing": (lambda a: [a.reply(ONE_STEP[:3])] + [a.reply([])] * 2000, "without a record"),
    "over the limit of records": (lambda a: [a.reply(ONE_STEP[:4])] + [
        a.reply([OLD.host(i) for i in range(j, j + 500)]) for j in range(100, 9000, 500)], "over the configured limit"),
    "larger than the zone": (lambda a: [a.reply(ONE_STEP[:3])] + [a.reply([], authority=[NEW] * 1500)] * 60,
                             "larger than the zone"),
    "takes the NS along": (lambda a: [a.reply([NEXT.soa(3), OLD.soa(1), OLD.ns(), GONE, NEXT.soa(3), NEW, NEXT.soa(3)])],
                           "no NS"),
    "leaves a CNAME beside others": (lambda a: [a.reply(ONE_STEP[:-1] + [record("h1.example.com", 5, b"\0"),
                                                                         NEXT.soa(3)])], "CNAME"),
}


def test_difference_that_disappoints_costs_one_axfr(stage, mirror):  # noqa: F811
    """All at once, each a mirror and a primary of its own: what takes time is the second between two questions."""
    cast = {}
    for what, (answer, _) in BAD.items():
        primary = stage.add(Primary(honest(OLD)))
        cast[what] = mirror(primary.where, "-m", "5000", name=f"mirror-{len(cast)}").start(), primary, answer
    for m, primary, answer in cast.values():
        m.wait_event("zone_transferred", serial=1, timeout=30)
        primary.script = script(answer)
        m.say("refresh", "example.com")
    for what, (m, primary, _) in cast.items():
        event = m.wait_event("ixfr_failed", timeout=30)
        assert BAD[what][1] in event["reason"] and event["source"] == primary.where, (what, event)
        assert_next(m, "axfr")
        assert len(m.events("ixfr_failed")) == 1, what
        assert not m.events("zone_transfer_failed") and not m.events("zone_rejected"), what


@pytest.mark.soak
def test_silence_after_ixfr_is_waited_for_once(stage, mirror):  # noqa: F811
    m, primary = hold_first(mirror, stage)
    primary.script = script(lambda a: [a.reply(ONE_STEP[:3]), HANG])
    m.say("refresh", "example.com")
    assert "silent" in m.wait_event("ixfr_failed", timeout=40)["reason"]
    assert_next(m, "axfr")


def test_old_zone_goes_on_when_the_axfr_fails_too(stage, mirror):  # noqa: F811
    m, primary = hold_first(mirror, stage)
    primary.script = lambda a: [a.reply([NEXT.soa(3)])] if a.type == SOA else [a.reply([], flags=0x8402)]
    m.say("refresh", "example.com")
    m.wait_event("ixfr_failed")
    m.wait_event("zone_transfer_failed")
    assert m.status()["serial"] == 1 and m.status()["is_servable"] == 1
    assert "h2." in m.say("dump", "example.com")


def test_primary_whose_ixfr_keeps_failing_is_asked_for_the_zone(stage, mirror):  # noqa: F811
    zone = Zone(serial=1)
    m, primary = hold_first(mirror, stage, first=honest(zone))
    whole_zone = honest(zone)
    primary.script = lambda a: [a.reply([], flags=0x8402)] if a.type == IXFR else whole_zone(a)
    for serial in range(2, 5):
        zone.serial = serial
        m.say("refresh", "example.com")
        m.wait_event("zone_transferred", serial=serial)
    assert primary.count(IXFR) == 2 and primary.count(AXFR) == 4


def test_one_soa_of_our_serial_is_no_failure(stage, mirror):  # noqa: F811
    """Of two servers behind one address one lags: it was promised, and now is not there."""
    m, primary = hold_first(mirror, stage)
    primary.script = script(lambda a: [a.reply([OLD.soa(1)])])
    m.say("refresh", "example.com")
    wait_for(lambda: primary.count(IXFR), "IXFR to be asked for")
    wait_for(lambda: m.status()["next_refresh_s"] > 2000, "the round to end")
    assert m.status()["serial"] == 1 and not m.events("ixfr_failed") and primary.count(AXFR) == 1


def signed(answer, spoil=lambda messages: messages, each=3):
    def play(asked):
        signer = Signer(asked, "transfer.key.", base64.b64decode(SECRET))
        plain = answer(asked)
        return spoil([signer.message(wire, i % each == 0 or i == len(plain) - 1) for i, wire in enumerate(plain)])
    return play


def test_signed_difference_is_taken_and_a_spoilt_one_is_not(stage, mirror):  # noqa: F811
    m, primary = hold_first(mirror, stage, *KEY, first=signed(honest(OLD)))
    primary.script = signed(script(lambda a: packed(a, TWO_STEPS, 1)))
    m.say("refresh", "example.com")
    assert_next(m, "ixfr")
    other = Zone(serial=4, hosts=1)
    spoilt = signed(lambda a: packed(a, [other.soa(4), NEXT.soa(3), KEPT, other.soa(4), other.soa(4)], 1),
                    lambda messages: [messages[0], messages[1], messages[2].replace(KEPT, OLD.host(0))] + messages[3:])
    sound = signed(honest(other))
    primary.script = lambda a: spoilt(a) if a.type == IXFR else sound(a)
    m.say("refresh", "example.com")
    assert "does not match" in m.wait_event("ixfr_failed")["reason"]
    assert m.wait_event("zone_transferred", serial=4)["kind"] == "axfr"


# ---- A zone so big that its snapshot is written aside ----

class Growing(Zone):
    """Each version has one host more than the one before."""

    def __init__(self):
        super().__init__(hosts=40000)

    def script(self, asked):
        if asked.type != IXFR:
            return honest(self)(asked)
        held = struct.unpack("!I", asked.wire[asked.end + 14:asked.end + 18])[0]
        steps = [[self.soa(serial), self.soa(serial + 1), self.host(40000 + serial)]
                 for serial in range(held, self.serial)]
        return packed(asked, [self.soa()] + [record for step in steps for record in step] + [self.soa()])

    def records(self):
        return super().records()[:-1] + [self.host(40000 + i) for i in range(1, self.serial)] + [self.soa()]


def grow(m, zone, count):
    for _ in range(count):
        zone.serial += 1
        m.say("refresh", "example.com")
        event = m.wait_event("zone_transferred", serial=zone.serial, timeout=30)
        assert event["kind"] == "ixfr"
    return int(event["generation"])


@pytest.mark.threads
def test_snapshot_of_a_big_zone_may_lag_after_a_crash_only(stage, mirror):  # noqa: F811
    zone = Growing()
    primary = stage.add(Primary(zone.script))
    m = mirror(primary.where).start()
    m.wait_event("zone_transferred", timeout=60)
    last = grow(m, zone, 3)
    assert last == 4
    wait_for(lambda: os.path.exists(snapshot_of(m)), "a snapshot, of whatever version")
    m.kill()
    m.thread.join()                         # it has read all that was said
    m.lines.clear()
    m.start()
    assert 1 <= int(m.wait_event("zone_restored", timeout=30)["serial"]) <= 4
    if m.status()["serial"] < 4:            # what was lost comes again
        m.wait_event("zone_transferred", serial=4, timeout=30)
    last = grow(m, zone, 2)
    assert last > 1000                      # no number is given twice
    m.stop()
    primary.stop()
    m.lines.clear()
    m.start()
    event = m.wait_event("zone_restored", timeout=30)
    assert event["serial"] == "6" and event["generation"] == str(last) and event["records"] == "40007"


# ---- EDNS EXPIRE ----

def with_expire(answer, seconds):
    """The replies with an OPT, when the request has one: RFC 7314 s.3."""
    opt = b"\0" + struct.pack("!2HIH2HI", 41, 1232, 0, 8, 9, 4, seconds)

    def play(asked):
        messages = answer(asked)
        options = [o for o in dns.message.from_wire(asked.wire).options if o.otype == 9]
        assert len(options) == 1
        return [wire[:10] + struct.pack("!H", 1) + wire[12:] + opt for wire in messages]
    return play


def left_s(m):
    status = m.status()
    return status["expires_at"] - status["refreshed_at"]


def test_zone_expires_no_later_than_the_primarys_copy(stage, mirror):  # noqa: F811
    m, primary = hold_first(mirror, stage, first=with_expire(honest(OLD), 500))
    assert left_s(m) == 500
    primary.script = with_expire(honest(OLD), 90000)        # confirmed there, so here: as the SOA has it
    m.say("refresh", "example.com")
    wait_for(lambda: left_s(m) == 86400, "the confirmation")
    primary.script = with_expire(script(lambda a: [a.reply(ONE_STEP)]), 700)
    m.say("refresh", "example.com")
    assert_next(m, "ixfr")
    assert left_s(m) == 700


def test_primary_without_edns_is_asked_without(stage, mirror):  # noqa: F811
    def ancient(answer):
        return lambda a: [a.reply([], flags=0x8401)] if dns.message.from_wire(a.wire).edns >= 0 else answer(a)
    m, primary = hold_first(mirror, stage, first=ancient(honest(OLD)))
    primary.script = ancient(script(lambda a: [a.reply(ONE_STEP)]))
    m.say("refresh", "example.com")
    assert_next(m, "ixfr")
    assert not m.events("ixfr_failed") and left_s(m) == 86400
