# SPDX-License-Identifier: ISC
"""Several of us on one Redis: one transfers, the rest follow its changes, and somebody always takes over."""
import os
import signal
import time

import pytest

from primary import AXFR, Primary, Zone, honest
from servers import IS_SANITIZED, wait_for
from test_mirror import Mirror, as_records
from test_store import CHANGES, LEASE, ZONE, Relay, start, zone_text  # noqa: F401 (start is a fixture)

LEASE_S = 2
PATIENCE = 60 if IS_SANITIZED else 20


@pytest.fixture
def redis(stage):
    return stage.redis().start()


@pytest.fixture
def zone():
    return Zone(hosts=300)


@pytest.fixture
def primary(stage, zone):
    return stage.add(Primary(honest(zone)))


class Fleet:
    """Members that share a Redis; the first one transfers."""

    def __init__(self, stage, primary, redis, zone):
        self.stage, self.primary, self.redis, self.zone = stage, primary, redis, zone
        self.members = []

    def join(self, name, wait=True):
        m = self.stage.add(Mirror(self.stage.folder, self.primary.where, "-l", str(LEASE_S), redis=self.redis,
                                  name=name)).start()
        self.members.append(m)
        if wait:
            wait_for(lambda: m.status()["serial"] == self.zone.serial, f"{name} to have the zone", PATIENCE)
            wait_for(lambda: self.redis.hash(ZONE).get("serial") == str(self.zone.serial), "the commit", PATIENCE)
        return m

    def change(self):
        """The zone has one host more."""
        self.zone.hosts += 1
        self.zone.serial += 1
        return self.zone.serial

    def agree(self, *members):
        """They have the newest serial under one number, and the same records as the primary."""
        members = members or self.members
        for m in members:
            wait_for(lambda: m.status()["serial"] == self.zone.serial, f"serial {self.zone.serial} at {m.name}", PATIENCE)
        wait_for(lambda: len({m.status()["generation"] for m in members}) == 1, "one number", PATIENCE)
        assert len({frozenset(as_records(m.dump())) for m in members}) == 1
        assert {m.status()["records"] for m in members} == {self.zone.hosts + 2}

    def holder(self):
        found = [m for m in self.members if m.is_running() and m.status()["has_lease"]]
        return found[0] if len(found) == 1 else None

    def settle(self):
        wait_for(self.holder, "one holder of the lease", PATIENCE)


@pytest.fixture
def fleet(stage, primary, redis, zone):
    there = Fleet(stage, primary, redis, zone)
    yield there
    for m in there.members:
        if m.is_running():
            m.thaw()


def spoil_base(redis):
    """Whoever loads the base now gets nothing."""
    assert redis.command("HDEL", f"understudy:base:{{example.com.}}:{redis.hash(ZONE)['base']}", "0") == "1"


@pytest.mark.threads
def test_followers_take_changes_alone(fleet, primary, redis):
    a, b, c = fleet.join("a"), fleet.join("b"), fleet.join("c")
    spoil_base(redis)
    for _ in range(3):
        serial = fleet.change()
        a.say("refresh", "example.com")
        for m in (b, c):
            assert m.wait_event("zone_restored", serial=serial, timeout=PATIENCE)["source"] == "redis"
    fleet.agree()
    assert primary.count(AXFR) == 4, "one transfer for each version"
    assert redis.command("XLEN", CHANGES) == "3"
    assert not b.events("zone_rejected") and not c.events("zone_rejected")
    assert b.status()["source"] == "redis" and a.status()["source"] == primary.where


@pytest.mark.timing
def test_all_serve_within_200_ms_of_the_commit(fleet, redis):
    a, b, c = fleet.join("a"), fleet.join("b"), fleet.join("c")
    lags = []
    for _ in range(10):
        serial = fleet.change()
        a.say("retransfer", "example.com")
        for m in (b, c):
            m.wait_event("zone_restored", serial=serial, timeout=PATIENCE)
        committed = int(redis.command("XREVRANGE", "understudy:events", "+", "-", "COUNT", "1").split("-")[0]) / 1000
        wall = time.time() - time.monotonic()
        lags += [at + wall - committed for m in (b, c) for at, line in m.lines
                 if "event=zone_restored" in line and f"serial={serial} " in line]
    assert len(lags) == 20
    print("followers serve after the commit, ms:", sorted(round(lag * 1000) for lag in lags))
    assert max(lags) < 0.2


def test_serial_that_a_follower_sees_makes_the_holder_look(fleet, primary, redis):
    a, b = fleet.join("a"), fleet.join("b")
    fleet.settle()
    serial = fleet.change()
    b.say("refresh", "example.com")
    assert a.wait_event("zone_transferred", serial=serial, timeout=PATIENCE)
    b.wait_event("zone_restored", serial=serial, timeout=PATIENCE)
    assert primary.count(AXFR) == 2
    assert 0 < int(redis.command("TTL", "understudy:wanted")) <= 60
    fleet.agree()


def test_holder_that_dies_is_followed_by_another(fleet, primary):
    a, b, c = fleet.join("a"), fleet.join("b"), fleet.join("c")
    fleet.settle()
    assert fleet.holder() is a
    a.kill()
    killed = time.monotonic()
    wait_for(lambda: b.status()["has_lease"] or c.status()["has_lease"], "another holder", PATIENCE)
    print("another holder after", round(time.monotonic() - killed, 1), "s; the lease is", LEASE_S, "s")
    taker, other = (b, c) if b.status()["has_lease"] else (c, b)
    assert taker.wait_event("lease_taken")["from"].startswith("cli-")
    serial = fleet.change()
    other.say("refresh", "example.com")
    taker.wait_event("zone_transferred", serial=serial, timeout=PATIENCE)
    other.wait_event("zone_restored", serial=serial, timeout=PATIENCE)
    assert primary.count(AXFR) == 2
    fleet.agree(b, c)


def test_serial_that_comes_between_two_holders_is_not_lost(fleet, primary):
    """The one that was to transfer it is dead, its lease is not."""
    a, b = fleet.join("a"), fleet.join("b")
    fleet.settle()
    a.kill()
    serial = fleet.change()
    b.say("refresh", "example.com")
    b.wait_event("zone_transferred", serial=serial, timeout=LEASE_S + PATIENCE)
    assert primary.count(AXFR) == 2
    fleet.agree(b)


def test_holder_that_was_frozen_follows_who_took_over(fleet, primary, redis):
    a, b, c = fleet.join("a"), fleet.join("b"), fleet.join("c")
    fleet.settle()
    a.freeze()
    wait_for(lambda: b.status()["has_lease"] or c.status()["has_lease"], "another holder", PATIENCE)
    taker = b if b.status()["has_lease"] else c
    serial = fleet.change()
    taker.say("refresh", "example.com")
    taker.wait_event("zone_transferred", serial=serial, timeout=PATIENCE)
    a.thaw()
    a.wait_event("lease_lost", timeout=PATIENCE)
    fleet.agree()
    assert primary.count(AXFR) == 2 and not a.status()["has_lease"]
    assert redis.hash(ZONE)["serial"] == str(serial)


def test_follower_that_lags_far_behind_loads_the_base(fleet, redis):
    a, b, c = fleet.join("a"), fleet.join("b"), fleet.join("c")
    c.freeze()
    for _ in range(3):
        serial = fleet.change()
        a.say("retransfer", "example.com")
        b.wait_event("zone_restored", serial=serial, timeout=PATIENCE)
    fleet.zone.hosts += 5000        # too much for a change
    fleet.change()
    a.say("retransfer", "example.com")
    b.wait_event("zone_restored", serial=fleet.zone.serial, timeout=PATIENCE)
    assert redis.command("EXISTS", CHANGES) == "0"
    c.thaw()
    c.wait_event("zone_restored", serial=fleet.zone.serial, timeout=PATIENCE)
    fleet.agree()
    assert not c.events("zone_rejected")


@pytest.mark.parametrize("what", ["first entry", "all entries"])
def test_gap_in_the_stream_is_no_harm(fleet, redis, what):
    a, b, c = fleet.join("a"), fleet.join("b"), fleet.join("c")
    c.freeze()
    for _ in range(3):
        serial = fleet.change()
        a.say("retransfer", "example.com")
        b.wait_event("zone_restored", serial=serial, timeout=PATIENCE)
    redis.command("XTRIM", CHANGES, "MAXLEN", "2" if what == "first entry" else "0")
    c.thaw()
    # who has the zone hears of it, and writes a base; what c has is older, and replaces nothing
    c.wait_event("zone_rejected", source="redis", timeout=PATIENCE)
    c.wait_event("zone_restored", source="redis", serial=serial, timeout=PATIENCE)
    fleet.agree()
    stored = redis.hash(ZONE)
    assert (stored["generation"], stored["base"], stored["serial"]) == ("4", "4", str(serial))
    serials = redis.command("XRANGE", "understudy:events", "-", "+").split()[6::7]
    assert serials == ["1", "2", "3", "4", "4"] and redis.command("EXISTS", CHANGES) == "0"


def test_member_that_joins_empty_gets_it_all_without_a_transfer(fleet, primary):
    a, b = fleet.join("a"), fleet.join("b")
    for _ in range(2):
        serial = fleet.change()
        a.say("retransfer", "example.com")
        b.wait_event("zone_restored", serial=serial, timeout=PATIENCE)
    fleet.join("late")
    fleet.agree()
    assert primary.count(AXFR) == 3


def test_all_start_empty_and_one_transfers(fleet, primary):
    fleet.zone.hosts = 5000
    members = [fleet.join(name, wait=False) for name in ("a", "b", "c")]
    for m in members:
        wait_for(lambda: m.status()["is_servable"], f"{m.name} to serve", PATIENCE)
    fleet.agree()
    assert primary.count(AXFR) == 1


def test_all_restart_while_the_primary_is_dead(fleet, primary):
    members = [fleet.join(name) for name in ("a", "b", "c")]
    serial = fleet.change()
    members[0].say("retransfer", "example.com")
    fleet.agree()
    primary.stop()
    for m in members:
        m.kill()
    fleet.members = []
    for name in ("d", "e", "f"):
        m = fleet.join(name, wait=False)
        assert m.wait_event("zone_restored", serial=serial, timeout=PATIENCE)["source"] == "redis"
    fleet.agree()


def test_follower_whose_stream_cannot_be_read_polls(fleet, redis):
    redis.command("SET", "understudy:wanted", "not a stream")
    a, b = fleet.join("a"), fleet.join("b")
    assert "WRONGTYPE" in b.wait_event("store_news_failed")["reason"]
    serial = fleet.change()
    a.say("retransfer", "example.com")
    b.wait_event("zone_restored", serial=serial, timeout=PATIENCE)
    redis.command("DEL", "understudy:wanted")
    assert len(b.events("store_news_failed")) == 1


def test_lies_in_the_news_change_nothing(fleet, redis):
    a, b = fleet.join("a"), fleet.join("b")
    for words in (("origin", "example.com.", "generation", "77", "serial", "9"),
                  ("origin", "example.net.", "generation", "77", "serial", "9"),
                  ("origin", "example.com.", "generation", "many"), ("origin", "x" * 300, "generation", "3"),
                  ("generation", "7"), ("origin", "example.com.", "generation", "18446744073709551615")):
        redis.command("XADD", "understudy:events", "*", *words)
        redis.command("XADD", "understudy:wanted", "*", *words)
    serial = fleet.change()
    a.say("retransfer", "example.com")
    b.wait_event("zone_restored", serial=serial, timeout=PATIENCE)
    fleet.agree()
    assert b.status()["generation"] == 2
    assert [key for key in redis.command("KEYS", "*").split() if "net" in key] == []


# ---- A holder that wakes up in the middle of its commit ----

STEPS = {"before its look": b"HMGET", "before its first chunk": b"HSET", "before its last chunk": b"\r\n$1\r\n3\r\n",
         "before it looks again": b"WATCH", "before EXEC": b"EXEC"}


@pytest.mark.parametrize("kind", ["base", "change"])
@pytest.mark.parametrize("step", STEPS)
def test_holder_that_wakes_in_its_commit_overwrites_nothing(start, redis, tmp_path, step, kind):  # noqa: F811
    """What it sends is held back at that step until another has committed; and its lease has gone."""
    def hold_back(way, data):
        if is_armed and way == "to" and STEPS[step] in data:
            is_armed.clear()
            os.kill(one.process.pid, signal.SIGSTOP)
            assert redis.command("DEL", LEASE) == "1"
            two.say("lease example.com.")
            two.hear(r"lease \S+ ours.*")
            outcomes.append(two.save(1, 0 if kind == "change" else "-"))
            os.kill(one.process.pid, signal.SIGCONT)
        return False

    if kind == "change" and "chunk" in step:
        pytest.skip("a change has no chunks of its own")
    is_armed, outcomes = [], []
    one = start(f"unix:{Relay(tmp_path, redis.socket, hold_back).path}", instance="one")
    two = start(f"unix:{redis.socket}", instance="two")
    one.hear("up")
    two.hear("up")
    for cli in (one, two):
        cli.give(0, 1, zone_text(1, 8000))
    one.say("lease example.com.")
    one.hear(r"lease \S+ ours.*")
    assert one.save(0) == "well"
    one.edit(1, 0, 2, zone_text(2, 8001, "one TXT one\n"))
    two.edit(1, 0, 3 if kind == "base" else 2, zone_text(3, 8001, "two TXT two\n"))
    is_armed.append(True)
    assert one.save(1, 0 if kind == "change" else "-") == "a later generation is there"
    assert outcomes == ["well"] and not is_armed
    one.say("lease example.com.")
    assert one.hear(r"lease \S+ (\S+).*")[1] == "theirs"
    assert redis.hash(ZONE)["serial"] == "3"
    assert two.load().startswith(f"generation {3 if kind == 'base' else 2} serial 3 ") and two.is_same(1, 9)
    assert len([key for key in redis.command("KEYS", "understudy:base:*").split()
                if redis.command("TTL", key) == "-1"]) == 1
