# SPDX-License-Identifier: ISC
"""Older versions of a zone: kept in memory, gone back to, and held there by the operator's word."""
import pytest

import configurations
from primary import AXFR, HANG, SOA, Zone, honest, name
from servers import ask, wait_for
from test_mirror import follower, mirror, primary, redis  # noqa: F401  (fixtures)

IXFR = 251
DONE, LATER, EMPTY, NONE_OLDER, NOT_KEPT, AMBIGUOUS = "012345"
HELD, ROLLED_BACK = 1, 2
ZONE = "example.com"


def generations(m):
    """Serials, the one that serves first."""
    lines = [dict(word.split("=", 1) for word in line.split()) for line in m.say("generations", ZONE).splitlines()]
    return [int(line["serial"]) for line in lines]


def take(m, primary, serial, **more):
    """The primary gets a newer version, and the mirror takes it."""
    primary.script = honest(Zone(serial=serial, hosts=serial % 50 + 1, **more))
    m.say("retransfer", ZONE)
    m.wait_event("zone_transferred", serial=serial)


def order(m, *words):
    """An order may come back before a busy mirror has obeyed; what it leads to is waited for."""
    said = m.say(*words).strip()
    assert said in (DONE, LATER), said


def refused(m, why, *words):
    """Told at once, or when a busy mirror is asked again."""
    said = []
    wait_for(lambda: said.append(m.say(*words).strip()) or said[-1] != LATER, f"an answer to {words}")
    assert said[-1] == why, said


@pytest.fixture
def kept(mirror, primary):  # noqa: F811
    """A mirror that has seen serials 2, 3 and 4 in generations 1, 2 and 3, and keeps two older ones."""
    def make(*options, keep=2, serials=(2, 3, 4), **more):
        primary.script = honest(Zone(serial=serials[0], hosts=serials[0] + 1))
        m = mirror(primary.where, "-K", str(keep), *options, **more).start()
        m.wait_event("zone_transferred")
        for serial in serials[1:]:
            take(m, primary, serial)
        return m
    return make


# ---- Keeping, going back ----

def test_as_many_stay_as_are_wanted(kept):
    assert generations(kept(keep=1)) == [4, 3]


def test_nothing_to_go_back_to_is_refused(mirror, primary):  # noqa: F811
    m = mirror("127.0.0.1:1", "-K", "2").start()
    for words in (["rollback", ZONE], ["hold", ZONE]):
        refused(m, EMPTY, *words)
    m.say("primary", primary.where)
    m.wait_event("zone_transferred")
    refused(m, NONE_OLDER, "rollback", ZONE)
    refused(m, NOT_KEPT, "rollback", ZONE, "x7")
    assert m.status()["hold"] == 0


def test_rollback_serves_the_one_before_and_holds_it(kept, primary):  # noqa: F811
    m = kept()
    before = primary.count(AXFR)
    refused(m, AMBIGUOUS, "rollback", ZONE, "x2")
    order(m, "rollback", ZONE)
    event = m.wait_event("zone_rolled_back")
    assert (event["from_serial"], event["serial"], event["copy_of"]) == ("4", "3", "2")
    m.wait_event("zone_held", cause="rollback", serial=3)
    status = m.status()
    assert (status["serial"], status["generation"], status["hold"]) == (3, 4, ROLLED_BACK)
    assert len([name for name in m.dump() if str(name).startswith("h")]) == 4
    assert generations(m) == [3, 4, 2]
    assert m.wait_event("zone_update_held")["newer_serial"] == "4"

    primary.script = honest(Zone(serial=5))
    for verb in ("refresh", "retransfer"):
        m.say(verb, ZONE)

    order(m, "rollback", ZONE)          # further back: not to 4, which was bad
    m.wait_event("zone_rolled_back", serial=2, copy_of=1)
    refused(m, NONE_OLDER, "rollback", ZONE)
    order(m, "rollback", ZONE, "s4")
    m.wait_event("zone_rolled_back", serial=4)
    order(m, "rollback", ZONE, "g4")
    m.wait_event("zone_rolled_back", serial=3, copy_of=4)
    refused(m, NOT_KEPT, "rollback", ZONE, "s77")
    assert m.status()["serial"] == 3

    wait_for(lambda: m.status()["newer_serial"] == 5, "the primary's word")
    assert primary.count(AXFR) == before
    order(m, "accept", ZONE)
    m.wait_event("zone_released")
    m.wait_event("zone_transferred", serial=5)
    assert m.status()["hold"] == 0
    assert generations(m) == [5, 3, 4]


def test_rollback_survives_a_restart_and_can_be_ended(kept, mirror, primary):  # noqa: F811
    m = kept(serials=(2, 3))
    order(m, "rollback", ZONE)
    m.wait_event("zone_rolled_back")
    m.stop()
    m = mirror(primary.where, "-K", "2", state=m.state, name="again").start()
    m.wait_event("zone_held", cause="snapshot", serial=2)
    m.wait_event("zone_update_held", newer_serial=3)
    assert m.status()["serial"] == 2 and not m.events("zone_transferred")
    order(m, "accept", ZONE)
    m.wait_event("zone_transferred", serial=3)
    m.stop()
    m = mirror(primary.where, state=m.state, name="and again").start()
    m.wait_event("zone_restored", serial=3)
    assert m.status()["hold"] == 0


# ---- Holding ----

def test_hold_takes_nothing_until_accept(kept, primary):  # noqa: F811
    m = kept(serials=(2,))
    order(m, "hold", ZONE)
    m.wait_event("zone_held", cause="hold", serial=2)
    assert m.status()["hold"] == HELD
    primary.script = honest(Zone(serial=3))
    m.say("refresh", ZONE)
    m.wait_event("zone_update_held", newer_serial=3)
    order(m, "hold", ZONE)              # twice is fine
    assert len(m.events("zone_held")) == 1
    assert m.status()["serial"] == 2
    order(m, "accept", ZONE)
    m.wait_event("zone_transferred", serial=3)


def test_held_zone_does_not_expire_while_its_primary_lives(mirror, primary):  # noqa: F811
    """That one has a newer serial: it lives, and the operator wants the older one."""
    primary.script = honest(Zone(serial=1, refresh=1, retry=1, expire=5))
    m = mirror(primary.where, "-K", "1").start()
    m.wait_event("zone_transferred")
    order(m, "hold", ZONE)
    primary.script = honest(Zone(serial=2, refresh=1, retry=1, expire=5))
    m.wait_event("zone_update_held")
    first = m.status()["expires_at"]
    wait_for(lambda: m.status()["expires_at"] > first + 2, "the primary's word again")
    assert m.status()["is_servable"] == 1 and not m.events("zone_expired")
    assert len(m.events("zone_update_held")) == 1
    primary.stop()
    m.wait_event("zone_expired")
    assert m.status()["is_servable"] == 0


def test_hold_that_comes_while_a_transfer_runs_wins(mirror, primary):  # noqa: F811
    zone = Zone(serial=1)
    primary.script = honest(zone)
    m = mirror(primary.where, "-K", "1").start()
    m.wait_event("zone_transferred")
    half = Zone(serial=2)
    primary.script = lambda asked: [asked.reply([half.soa()])] if asked.type == SOA else \
        [asked.reply([half.soa(), half.ns()]), HANG]
    before = primary.count(AXFR) + primary.count(IXFR)
    m.say("refresh", ZONE)
    wait_for(lambda: primary.count(AXFR) + primary.count(IXFR) > before, "a transfer that runs")
    order(m, "hold", ZONE)
    m.wait_event("zone_update_held", newer_serial=2)
    assert m.status()["serial"] == 1


# ---- Redis ----

def saved(redis, zone):  # noqa: F811
    return redis.try_command("HGET", f"understudy:zone:{{{zone}.}}", "serial")


def test_order_is_for_one_instance_and_redis_never_hears_of_it(kept, mirror, primary, redis):  # noqa: F811
    m = kept("-l", "3", redis=redis, serials=(42, 43))
    wait_for(lambda: m.status()["saved_generation"] == 2, "the commit")
    other = follower(mirror, primary, "-l", "3", redis=redis, name="other")
    order(m, "rollback", ZONE)
    m.wait_event("zone_rolled_back")
    assert redis.hash("understudy:zone:{example.com.}")["serial"] == "43"

    take(other, primary, 44)            # the lease is free
    wait_for(lambda: redis.hash("understudy:zone:{example.com.}")["serial"] == "44", "the other's commit")
    assert other.status()["serial"] == 44 and m.status()["serial"] == 42

    m.stop()                            # what Redis has is newer; the order counts
    m = mirror(primary.where, "-K", "2", "-l", "3", redis=redis, state=m.state, name="again").start()
    m.wait_event("zone_held", cause="snapshot")
    m.wait_event("zone_update_held")
    assert m.status()["serial"] == 42
    order(m, "accept", ZONE)
    wait_for(lambda: m.status()["serial"] == other.status()["serial"] == 44, "both to agree")
    wait_for(lambda: m.status()["generation"] == other.status()["generation"], "one number")


def test_accept_without_a_primary_takes_what_others_have(kept, mirror, primary, redis):  # noqa: F811
    m = kept("-l", "3", redis=redis, serials=(42, 43))
    wait_for(lambda: m.status()["saved_generation"] == 2, "the commit")
    other = follower(mirror, primary, "-l", "3", redis=redis, name="other")
    order(m, "rollback", ZONE)
    m.wait_event("zone_rolled_back")
    take(other, primary, 44)
    wait_for(lambda: saved(redis, ZONE) == "44", "the other's commit")
    assert m.status()["generation"] == other.status()["generation"]    # each has one of that number
    primary.stop()
    order(m, "accept", ZONE)
    wait_for(lambda: m.status()["serial"] == 44, "the version of the others")


OTHER = "other.example.com"


def of_two(serial):
    """A primary's script for ZONE and OTHER."""
    scripts = {name(origin): honest(Zone(origin, serial=serial)) for origin in (ZONE, OTHER)}
    return lambda asked: scripts[asked.question[:-4]](asked)


def test_redis_that_comes_back_empty_hears_nothing_of_it_either(mirror, primary, redis):  # noqa: F811
    primary.script = of_two(1)
    m = mirror(primary.where, "-K", "1", redis=redis, zones=(ZONE, OTHER)).start()
    m.wait_event("zone_transferred", count=2)
    primary.script = of_two(2)
    m.say("retransfer", ZONE)
    wait_for(lambda: saved(redis, ZONE) == "2" and saved(redis, OTHER) == "1", "both commits")
    order(m, "rollback", ZONE)
    m.wait_event("zone_rolled_back")
    redis.command("FLUSHALL")
    redis.kill()
    m.wait_event("store_down")
    redis.start()
    wait_for(lambda: saved(redis, OTHER) == "1", "the zone that is not held")
    assert not saved(redis, ZONE)
    m.stop()

    m = mirror(primary.where, "-K", "1", redis=redis, zones=(ZONE, OTHER), state=m.state, name="again").start()
    assert m.say("wait", "30000").strip() == "1", "who starts waits for Redis, which is not asked"
    assert m.status()["serial"] == 1
    order(m, "accept", ZONE)
    wait_for(lambda: saved(redis, ZONE) == "2", "the zone that is not held any more")


# ---- What operators and clients see ----

class Act:
    """A scripted primary for transfers, and Understudy whose mirror alone answers."""

    def __init__(self, stage, primary):
        self.primary = primary
        port = int(primary.where.split(":")[1])
        self.conf = configurations.HEAD + 'pool "main" {\n    keep = 3\n' + configurations.mirror(0) + \
            configurations.backend("ns1", ("127.0.0.1", port), tier=1, primary=True) + "}\n" + configurations.zone(ZONE)
        self.front = stage.understudy(self.conf)
        self.serve(101)
        self.front.start()
        self.front.wait_event("zone_transferred", serial="101")
        self.front.wait_event("backend_down")       # it has no UDP; a probe by TCP would bring a version, too

    def serve(self, serial):
        self.primary.script = honest(Zone(serial=serial, hosts=serial - 99))

    def take(self, serial):
        self.serve(serial)
        assert self.front.ctl("retransfer", ZONE)[0] == 0
        self.front.wait_event("zone_transferred", serial=str(serial))

    def serial(self):
        return ask(self.front.where, ZONE, "SOA").answer[0][0].serial

    def zone(self):
        return self.front.json("zone", ZONE)["zone"]

    def refused(self, *words):
        """Why. A mirror that is busy may only have promised to look, which is no refusal."""
        code, _, err = wait_for(lambda: (said := self.front.ctl(*words))[0] and said, f"{words} to be refused")
        assert code == 1, err
        return err


@pytest.fixture
def act(stage, primary):  # noqa: F811
    return Act(stage, primary)


@pytest.mark.threads
def test_clients_have_the_version_before_at_once(act):
    act.take(102)
    act.take(103)
    assert act.serial() == 103
    assert [g["serial"] for g in act.zone()["generations"]] == [103, 102, 101]
    code, out, err = act.front.ctl("rollback", ZONE)
    assert code == 0, err
    act.front.wait_event("zone_rolled_back")
    assert act.serial() == 102
    assert len(ask(act.front.where, f"h3.{ZONE}").answer) == 0 and len(ask(act.front.where, f"h2.{ZONE}").answer) == 1

    zone = act.zone()
    assert (zone["state"], zone["order"], zone["serial"]) == ("held", "rollback", 102)
    assert [(g["serial"], g["serves"]) for g in zone["generations"]] == [(102, True), (103, False), (101, False)]
    assert zone["generations"][0]["copy_of"] == 2 and zone["generations"][0]["source"] == "rollback"
    assert "rollback" in act.front.ctl("zones")[1] and "COPY OF" in act.front.ctl("zone", ZONE)[1]
    code, out, err = act.front.ctl("status")
    assert code == 4 and "held by the operator" in out, out

    for verb in ("refresh", "retransfer"):
        code, out, err = act.front.ctl(verb, ZONE)
        assert code == 1 and "accept" in err, err
    code, out, err = act.front.ctl("accept", ZONE)
    assert code == 0, err
    act.front.wait_event("zone_released")
    wait_for(lambda: act.serial() == 103, "the primary's version")
    assert act.zone()["state"] != "held" and "nothing of it is held" in act.refused("accept", ZONE)


def test_rollback_says_what_is_wrong(act):
    assert "no older generation" in act.refused("rollback", ZONE)
    assert "see zone" in act.refused("rollback", ZONE, "7")
    assert act.front.ctl("rollback", ZONE, "yesterday")[0] == 2
    assert act.front.ctl("rollback", "example.net")[0] == 1
    assert act.front.ctl("hold", "example.net")[0] == 1
    assert act.serial() == 101


def test_order_survives_a_reload(act):
    act.take(102)
    assert act.front.ctl("rollback", ZONE)[0] == 0
    act.front.wait_event("zone_update_held", newer_serial="102")
    act.front.configure(act.conf.replace("keep = 3", "keep = 1"))
    assert act.front.ctl("reload")[0] == 0
    zone = act.zone()
    assert zone["order"] == "rollback" and [g["serial"] for g in zone["generations"]] == [101, 102]
    assert act.serial() == 101


def test_held_mirror_is_not_passed_over_for_newer_servers(stage):
    """In one tier with a primary that is newer, the mirror keeps its share: that is what was ordered."""
    text = "$ORIGIN example.com.\n$TTL 60\n@ SOA ns h {} 3600 600 86400 60\n@ NS ns\nns A 192.0.2.1\n"
    nsd = stage.nsd({ZONE: text.format(1)}).start()
    front = stage.understudy(configurations.pool_of(configurations.backend("ns1", nsd.where, primary=True) +
                                                    configurations.mirror(0), policy="round-robin")).start()
    front.wait_event("zone_transferred", serial="1")
    assert front.ctl("hold", ZONE)[0] == 0
    nsd.write_zone(ZONE, text.format(2))
    nsd.reload()
    front.wait_event("zone_update_held", newer_serial="2")
    seen = set()
    wait_for(lambda: seen.add(ask(front.where, ZONE, "SOA").answer[0][0].serial) or seen == {1, 2}, "both versions")
    wait_for(lambda: sorted(front.json("explain", ZONE, "SOA")["answered_by"]) == ["mirror", "ns1"], "both to answer")


@pytest.mark.soak
def test_memory_stays_within_what_is_kept(stage, primary):  # noqa: F811
    """Whole transfers share nothing: three older ones and the one that serves, and no more."""
    act = Act(stage, primary)
    sizes = []
    for serial in range(1, 41):
        act.primary.script = honest(Zone(serial=1000 + serial, hosts=30000), each=400)
        assert act.front.ctl("retransfer", ZONE)[0] == 0
        act.front.wait_event("zone_transferred", serial=str(1000 + serial), timeout=60)
        sizes.append(act.front.resident_kb())
    print("RSS in kB after each of forty transfers:", sizes)
    assert max(sizes[20:]) < 1.15 * max(sizes[5:15])
