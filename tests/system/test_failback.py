# SPDX-License-Identifier: ISC
"""A primary comes back, or never went, with data that look wrong: the zone is held at it, others
serve, the operator is told, and has the last word."""
import time

import pytest

import configurations
from servers import ANSWER_S, ask, try_ask, wait_for


HOSTS = 12
FIRST = "192.0.2."
SECOND = "198.51.100."
HEALTH = '    health { interval = "200ms"  timeout = "200ms"  rise = 2  slow-start = "200ms" }\n'


def zone_text(name, serial, net=FIRST, hosts=HOSTS):
    """Its SOA is refreshed so rarely that probes and NOTIFY alone move it."""
    text = f"$ORIGIN {name}.\n$TTL 60\n@ SOA ns hostmaster {serial} 3600 600 1209600 60\n@ NS ns\nns A 192.0.2.53\n"
    return text + "".join(f"h{i} A {net}{i}\n" for i in range(hosts))


def address(front, zone, host="h1"):
    answer = try_ask(front.where, f"{host}.{zone}", timeout=ANSWER_S)
    return answer.answer[0][0].address if answer and answer.answer else None


def serial_of(front, zone):
    answer = try_ask(front.where, zone, "SOA", timeout=ANSWER_S)
    return answer.answer[0][0].serial if answer and answer.answer else None


def mirror_serial(front, zone):
    return front.json("zone", zone)["zone"].get("serial")


class Act:
    """NSD with two zones, Understudy in front of it; `a.test` is what goes wrong."""

    def __init__(self, stage, extra="", zones=("a.test", "b.test"), backend_extra="", hosts=HOSTS):
        self.stage = stage
        self.nsd = stage.nsd({zone: zone_text(zone, 42, hosts=hosts) for zone in zones}).start()
        conf = configurations.HEAD + 'pool "main" {\n' + extra + \
            configurations.backend("ns1", self.nsd.where, primary=True) + backend_extra + \
            "    mirror { tier = 1 }\n" + HEALTH + "}\n" + "".join(configurations.zone(z) for z in zones)
        self.front = stage.understudy(conf).start()
        for zone in zones:
            self.front.wait_event("zone_transferred", zone=zone + ".", serial="42")
        wait_for(lambda: self.primary()["held_zones"] == 0, "an open gate")

    def primary(self):
        return self.front.json("backends")["backends"][0]

    def kill(self):
        """It was up, and is known to be dead. Returns when it died."""
        wait_for(lambda: self.primary()["state"] == "up", "the primary to be up")
        at = time.monotonic()
        self.nsd.kill()
        wait_for(lambda: self.primary()["state"] == "down", "the verdict")
        return at

    def return_with(self, text, zone="a.test"):
        """It is killed, gets other data, and comes back."""
        at = self.kill()
        if text is None:
            self.drop_zone(zone)
        else:
            self.nsd.write_zone(zone, text)
        self.nsd.start(wait=False)
        return at

    def drop_zone(self, zone):
        with open(self.nsd.conf) as file:
            head, *zones = file.read().split("zone:\n")
        self.nsd.write("nsd.conf", head + "".join("zone:\n" + z for z in zones if f'"{zone}"' not in z))

    def holds(self, zone="a.test"):
        return self.front.json("zone", zone)["zone"].get("holds")

    def wait_reason(self, reason, zone="a.test"):
        """Whose probes are held up for a moment has to show all of it again. Returns the one hold."""
        def is_held():
            holds = self.holds(zone) or []
            return len(holds) == 1 and holds[0]["reason"] == reason and holds[0]
        return wait_for(is_held, f"{zone} to be held")

    def wait_answered_by(self, zone, who):
        wait_for(lambda: self.front.json("explain", f"h1.{zone}", "A")["answered_by"] == [who], f"{zone} to be {who}'s")

    def is_asked(self, zone):
        """The primary answers for this zone, and not the mirror."""
        before = self.front.stat("answers_primary")
        ask(self.front.where, f"h1.{zone}")
        return self.front.stat("answers_primary") == before + 1


REGRESSIONS = {
    "older": (zone_text("a.test", 41, SECOND), "older", 41),
    "other data": (zone_text("a.test", 42, SECOND), "differs", 42),
    "empty under a higher serial": (zone_text("a.test", 43, hosts=0), "shrunk", 43),
}


@pytest.mark.parametrize("kind", REGRESSIONS)
def test_regression_is_held_for_its_zone_alone(stage, kind):
    text, reason, serial = REGRESSIONS[kind]
    act = Act(stage)
    since = act.return_with(text)
    _, event = act.front.wait_event("failback_held", since=since, zone="a.test.")
    assert event["reason"] == reason and event["serial"] == str(serial) and event["mirror_serial"] == "42", event
    assert event["backend"] == "ns1" and event["pool"] == "main"
    assert ("example" in event) == (reason != "older"), event
    act.front.wait_event("backend_up", since=since)

    wait_for(lambda: act.is_asked("b.test"), "the other zone to be the primary's again")
    for _ in range(50):
        assert address(act.front, "a.test") == FIRST + "1"
        assert serial_of(act.front, "a.test") == 42
    assert not act.is_asked("a.test")
    assert not act.front.events("failback_held", since, zone="b.test.")
    assert mirror_serial(act.front, "a.test") == 42

    hold = act.wait_reason(reason)
    assert hold["backend"] == "ns1" and hold["serial"] == serial
    for words in (("zones",), ("zone", "a.test")):
        wait_for(lambda: reason in act.front.ctl(*words)[1], f"{words[0]} to say why")
    act.wait_answered_by("b.test", "ns1")
    act.wait_answered_by("a.test", "mirror")
    assert act.holds("b.test") is None
    wait_for(lambda: act.front.json("explain", "h1.a.test", "A")["targets"][0]["why"].startswith("held:"), "the reason")


@pytest.mark.parametrize("kind", REGRESSIONS)
def test_accepted_regression_is_mirrored_and_served(stage, kind):
    text, _, serial = REGRESSIONS[kind]
    act = Act(stage)
    since = act.return_with(text)
    act.front.wait_event("failback_held", since=since, zone="a.test.")
    act.front.wait_event("backend_up", since=since)
    code, out, err = act.front.ctl("accept", "a.test")
    assert code == 0 and str(serial) in out, err
    _, event = act.front.wait_event("failback_released", since=since, zone="a.test.")
    assert event["cause"] == "operator"
    act.front.wait_event("zone_transferred", since=since, zone="a.test.", serial=str(serial))
    wait_for(lambda: act.is_asked("a.test"), "the zone to be the primary's again")
    assert serial_of(act.front, "a.test") == serial
    assert act.holds() is None
    assert act.front.ctl("accept", "a.test")[0] == 1

    killed_at = act.kill()  # and so says the mirror
    act.front.wait_event("failover", since=killed_at, **{"from": "ns1", "to": "mirror", "cause": "backend_down"})
    assert serial_of(act.front, "a.test") == serial
    if kind != "empty under a higher serial":
        assert address(act.front, "a.test") == SECOND + "1"
    assert len(act.front.events("failback_held", since)) == 1


@pytest.mark.parametrize("policy", ["accept", "accept-after 2s"])
@pytest.mark.parametrize("kind", REGRESSIONS)
def test_policy_accepts(stage, kind, policy):
    text, _, serial = REGRESSIONS[kind]
    act = Act(stage, f'    on-regression = "{policy}"\n')
    since = act.return_with(text)
    if policy != "accept" or not kind.startswith("empty"):      # that the mirror takes by itself, perhaps before
        _, event = act.front.wait_event("failback_released", since=since, zone="a.test.")
        assert event["cause"] == "policy"
        assert (int(event["held_ms"]) >= 2000) == (policy != "accept")
    wait_for(lambda: mirror_serial(act.front, "a.test") == serial, "the mirror to take it")
    act.front.wait_event("backend_up", since=since)
    wait_for(lambda: act.is_asked("a.test"), "the zone to be the primary's again")
    assert act.holds() is None


def test_one_other_name_is_not_let_off_by_a_lucky_draw(stage):
    """Of sixteen samples out of twenty-one names one row in four misses it."""
    act = Act(stage, hosts=20)
    other = zone_text("a.test", 42, hosts=20).replace(f"h1 A {FIRST}1\n", f"h1 A {SECOND}1\n")
    held = []
    while not held:
        since = act.return_with(other)
        act.front.wait_event("backend_up", since=since)
        held = act.front.events("failback_held", since, zone="a.test.")
    wait_for(lambda: act.front.events("failback_released", since) or act.wait_reason("differs")["since_s"] >= 10,
             "ten rounds of samples", timeout=60)
    assert act.wait_reason("differs")["example"].startswith("h1.a.test. A: ")


def test_missing_zone_is_held_until_it_is_there(stage):
    act = Act(stage)
    with open(act.nsd.conf) as file:
        before = file.read()
    since = act.return_with(None)
    _, event = act.front.wait_event("failback_held", since=since, zone="a.test.")
    assert event["reason"] == "missing"
    act.front.wait_event("backend_up", since=since)
    wait_for(lambda: act.is_asked("b.test"), "the other zone to be the primary's again")
    rescued = act.front.stat("attempts_failed")
    for _ in range(20):
        assert address(act.front, "a.test") == FIRST + "1"
    assert act.front.stat("attempts_failed") == rescued      # not even asked
    code, _, err = act.front.ctl("accept", "a.test")
    assert code == 1 and "nothing to accept" in err

    act.nsd.kill()
    act.nsd.write("nsd.conf", before)
    mended = time.monotonic()
    act.nsd.start(wait=False)
    act.front.wait_event("failback_released", since=mended, zone="a.test.")
    wait_for(lambda: act.is_asked("a.test"), "the zone to be the primary's again")


def test_regressed_zone_is_released_when_its_serial_has_caught_up(stage):
    act = Act(stage)
    since = act.return_with(zone_text("a.test", 41, SECOND))
    act.front.wait_event("failback_held", since=since, zone="a.test.")
    act.front.wait_event("backend_up", since=since)
    act.nsd.write_zone("a.test", zone_text("a.test", 43, SECOND))
    act.nsd.reload()
    _, event = act.front.wait_event("failback_released", since=since, zone="a.test.")
    assert event["cause"] == "caught_up"
    wait_for(lambda: address(act.front, "a.test") == SECOND + "1", "the new data")
    wait_for(lambda: mirror_serial(act.front, "a.test") == 43, "the mirror to follow")


def test_primary_that_goes_back_without_going_away_is_held(stage):
    """A restore, and a reload: no probe ever failed."""
    act = Act(stage)
    since = time.monotonic()
    act.nsd.kill()
    act.nsd.write_zone("a.test", zone_text("a.test", 41, SECOND))
    act.nsd.start()
    act.front.wait_event("failback_held", since=since, zone="a.test.", reason="older")
    wait_for(lambda: serial_of(act.front, "a.test") == 42, "the mirror to serve it")
    assert {serial_of(act.front, "a.test") for _ in range(50)} == {42}


def test_the_only_zone_keeps_the_backend_down(stage):
    """With nothing that it may serve, it is not back: no failback is told."""
    act = Act(stage, zones=("a.test",))
    since = act.return_with(zone_text("a.test", 41, SECOND))
    act.front.wait_event("failback_held", since=since)
    before = act.primary()["since_s"]
    wait_for(lambda: act.primary()["since_s"] > before + 1, "a while to pass")

    def is_held():
        primary = act.primary()
        return primary["held"] and primary
    primary = wait_for(is_held, "it to be fit, but for its zone")
    assert primary["state"] == "down" and primary["held_zones"] == 1
    assert not act.front.events("failback", since) and not act.front.events("backend_probation", since)
    assert act.front.ctl("status")[0] == 4
    act.front.ctl("accept", "a.test")
    act.front.wait_event("backend_up", since=since)
    act.front.wait_event("failback", since=since)


def test_hold_survives_a_reload(stage):
    act = Act(stage)
    since = act.return_with(REGRESSIONS["other data"][0])
    act.front.wait_event("failback_held", since=since, zone="a.test.")
    act.front.wait_event("backend_up", since=since)
    for _ in range(3):
        assert act.front.ctl("reload")[0] == 0
        for _ in range(20):
            assert address(act.front, "a.test") == FIRST + "1"
    act.wait_reason("differs")
    assert len(act.front.events("failback_held", since)) == 1


def test_well_primary_is_never_held(stage):
    """Killed and restarted, frozen and thawed, updated by NOTIFY's leave: no zone is held."""
    act = Act(stage)
    for serial in range(43, 47):
        at = act.kill()
        act.nsd.write_zone("a.test", zone_text("a.test", serial, f"203.0.{serial}."))
        act.nsd.start(wait=False)
        act.front.wait_event("backend_up", since=at, timeout=60)
        wait_for(lambda: mirror_serial(act.front, "a.test") == serial, "the mirror to follow")
        wait_for(lambda: act.is_asked("a.test"), "the primary to serve")
    assert not act.front.events("failback_held")


# ---- Serial-aware balancing ----

def both(primary, secondary):
    return configurations.HEAD + 'pool "main" {\n    policy = "round-robin"\n' + \
        configurations.backend("ns1", primary, primary=True) + configurations.backend("ns2", secondary) + \
        "    mirror { tier = 0 }\n" + HEALTH + "}\n" + configurations.zone("a.test") + configurations.zone("b.test")


def test_backend_behind_is_out_for_that_zone_alone(stage):
    zones = ("a.test", "b.test")
    ns1 = stage.nsd({zone: zone_text(zone, 42) for zone in zones}).start()
    ns2 = stage.nsd({zone: zone_text(zone, 42) for zone in zones}, name="nsd2").start()
    front = stage.understudy(both(ns1.where, ns2.where)).start()
    for zone in zones:
        front.wait_event("zone_transferred", zone=zone + ".")
    since = time.monotonic()
    ns1.write_zone("a.test", zone_text("a.test", 43, SECOND))
    ns1.reload()
    wait_for(lambda: mirror_serial(front, "a.test") == 43, "the mirror to follow")
    wait_for(lambda: ns1.serial("a.test") == 43, "NSD's process of before to end")
    wait_for(lambda: (front.json("zone", "a.test")["zone"].get("holds") or [{}])[0].get("backend") == "ns2",
             "the one that lags to be out")
    assert {serial_of(front, "a.test") for _ in range(60)} == {43}
    assert {address(front, "a.test") for _ in range(60)} == {SECOND + "1"}
    sent = {b["name"]: b["sent"] for b in front.json("backends")["backends"]}
    after = {}

    def are_both_asked():
        for _ in range(30):
            assert serial_of(front, "b.test") == 42
        after.update((b["name"], b["sent"]) for b in front.json("backends")["backends"])
        return after["ns1"] > sent["ns1"] and after["ns2"] > sent["ns2"]
    wait_for(are_both_asked, "both to be asked for the other zone")

    told = front.events("failback_held", since)             # a short lag is no news
    assert not told or told[0][0] - since > 10
    front.wait_event("failback_held", since=since, backend="ns2", reason="behind")
    ns2.write_zone("a.test", zone_text("a.test", 43, SECOND))
    ns2.reload()
    front.wait_event("failback_released", since=since, backend="ns2", zone="a.test.")
    before = after["ns2"]

    def is_used():
        serial_of(front, "a.test")
        return front.json("backends")["backends"][1]["sent"] > before + 3
    wait_for(is_used, "the second server to be used again")


def test_no_client_sees_a_serial_go_back(stage):
    """One update after the other; the second server never hears of them."""
    ns1 = stage.nsd({"a.test": zone_text("a.test", 42), "b.test": zone_text("b.test", 1)}).start()
    ns2 = stage.knot(ns1).start()
    front = stage.understudy(configurations.failover(ns1.where, ns2.where, zones=("a.test", "b.test"),
                                                     health=HEALTH)).start()
    front.wait_event("zone_transferred", zone="a.test.")
    seen = [42]

    def look():
        """What is told is no older than the mirror; nor than before, but by a mirror that has to stand in for a moment."""
        least, stood_in = mirror_serial(front, "a.test"), front.stat("answers_mirror")
        told = serial_of(front, "a.test")
        if told is None:
            return
        assert told >= least, (told, least, seen)
        if front.stat("answers_mirror") == stood_in:
            assert told >= seen[-1], (told, seen)
            seen.append(told)

    for serial in range(43, 48):
        ns1.write_zone("a.test", zone_text("a.test", serial))
        ns1.reload()
        wait_for(lambda: ns1.serial("a.test") == serial, "NSD's process of before to end: it would take it back itself")

        def has_come():
            look()
            return mirror_serial(front, "a.test") == serial
        wait_for(has_come, "the update in the mirror")
    assert len(seen) > 1, "the primary was never asked"
    ns1.kill()              # what was seen last is what is served: Knot was never told of it
    assert {serial_of(front, "a.test") for _ in range(100)} == {47}


# ---- Flap damping ----

def test_flapping_backend_waits_longer_each_time(stage):
    """Three relapses at the least; a machine that stands still may add one."""
    act = Act(stage, zones=("a.test",))
    relapses = []
    for _ in range(3):
        at = act.kill()
        shown = act.primary()
        assert shown["rise"] == 2 << shown["relapses"] and shown["returns_in_s"] >= 0, shown
        relapses.append(shown["relapses"])
        act.nsd.start(wait=False)
        _, event = act.front.wait_event("backend_probation", since=at, timeout=60)
        assert int(event["relapses"]) >= relapses[-1]
        # since its first good probe, whose reply may have taken its timeout of 200 ms, there was one each 200 ms
        assert int(event["detect_ms"]) >= 200 * ((2 << int(event["relapses"])) - 2), event
        _, up = act.front.wait_event("backend_up", since=at, timeout=60)
        assert int(up["relapses"]) >= relapses[-1]
    assert relapses == sorted(set(relapses)) and relapses[-1] >= 2, relapses
    wait_for(lambda: act.primary()["share_percent"] == 100, "all of its share")
    assert act.primary()["relapses"] >= 2
    assert "RELAPSES" in act.front.ctl("backends")[1]
