# SPDX-License-Identifier: ISC
"""Several of us on one Redis: one transfers, the rest follow its changes, and somebody always takes over."""
import os
import re
import signal
import threading
import time

import dns.message
import dns.query
import dns.rdatatype
import dns.rrset
import pytest

import configurations
from primary import AXFR, IXFR, Primary, Zone, honest
from relay import Relay, socket_in
from servers import ANSWER_S, IS_SANITIZED, ask, wait_for
from test_mirror import Mirror, as_records
from test_store import CHANGES, LEASE, ZONE, start, wait_listening, zone_text  # noqa: F401 (start is a fixture)

LEASE_S, SHORT_LEASE_S = 60, 2      # nobody is to take over from one that is held up, and somebody is to
PATIENCE = 60 if IS_SANITIZED else 30


@pytest.fixture
def redis(stage):
    return stage.redis().start()


@pytest.fixture
def zone():
    return Zone(hosts=300)


@pytest.fixture
def primary(stage, zone):
    return stage.add(Primary(honest(zone)))


def transferred(primary):
    """How often somebody asked for the zone."""
    return primary.count(AXFR) + primary.count(IXFR)


class Member(Mirror):
    """Has its zone from when it has reached Redis: who has not after half a second acts alone."""

    def __init__(self, folder, primary, *options, **more):
        super().__init__(folder, primary, *options, zones=(), **more)

    def start(self):
        super().start()
        wait_for(lambda: "is_up=1" in self.say("store"), f"{self.name} to reach Redis", PATIENCE)
        self.say("zones", "example.com")
        return self


class Fleet:
    """Members that share a Redis; the first one transfers."""

    def __init__(self, stage, primary, redis, zone):
        self.stage, self.primary, self.redis, self.zone = stage, primary, redis, zone
        self.lease_s = LEASE_S
        self.members = []

    def join(self, name, wait=True):
        m = self.stage.add(Member(self.stage.folder, self.primary.where, "-l", str(self.lease_s), redis=self.redis,
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
        """Who has the lease, once all say the same."""
        said = {m: m.status() for m in self.members if m.is_running()}
        found = [m for m in said if said[m]["has_lease"]]
        return found[0] if len(found) == 1 and len({status["holder"] for status in said.values()}) == 1 else None

    def settle(self):
        return wait_for(self.holder, "one holder of the lease that all know", PATIENCE)


@pytest.fixture
def fleet(stage, primary, redis, zone):
    there = Fleet(stage, primary, redis, zone)
    yield there
    for m in there.members:
        if m.is_running():
            m.thaw()


@pytest.fixture
def soon_taken(fleet):
    fleet.lease_s = SHORT_LEASE_S


short_lease = pytest.mark.usefixtures("soon_taken")


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
    assert transferred(primary) == 4, "one transfer for each version"
    assert redis.command("XLEN", CHANGES) == "3"
    assert not b.events("zone_rejected") and not c.events("zone_rejected")
    assert b.status()["source"] == "redis" and a.status()["source"] == primary.where


@pytest.mark.timing
def test_all_serve_within_200_ms_of_the_commit(fleet, redis):
    a, b, c = fleet.join("a"), fleet.join("b"), fleet.join("c")
    wait_listening(redis, 3)
    lags = []
    for _ in range(4):
        serial = fleet.change()
        a.say("retransfer", "example.com")
        for m in (b, c):
            m.wait_event("zone_restored", serial=serial, timeout=PATIENCE)
        committed = int(redis.command("XREVRANGE", "understudy:events", "+", "-", "COUNT", "1").split("-")[0]) / 1000
        wall = time.time() - time.monotonic()
        lags += [at + wall - committed for m in (b, c) for at, line in m.lines
                 if "event=zone_restored" in line and f"serial={serial} " in line]
    assert len(lags) == 8
    print("followers serve after the commit, ms:", sorted(round(lag * 1000) for lag in lags))
    assert max(lags) < 0.2


def test_serial_that_a_follower_sees_makes_the_holder_look(fleet, primary, redis):
    a, b = fleet.join("a"), fleet.join("b")
    fleet.settle()
    serial = fleet.change()
    b.say("refresh", "example.com")
    assert a.wait_event("zone_transferred", serial=serial, timeout=PATIENCE)
    b.wait_event("zone_restored", serial=serial, timeout=PATIENCE)
    assert transferred(primary) == 2
    assert 0 < int(redis.command("TTL", "understudy:wanted")) <= 60
    fleet.agree()


@short_lease
def test_holder_that_dies_is_followed_by_another(fleet, primary):
    members = [fleet.join(name) for name in ("a", "b", "c")]
    holder = fleet.settle()
    b, c = (m for m in members if m is not holder)
    holder.kill()
    killed = time.monotonic()
    wait_for(lambda: b.status()["has_lease"] or c.status()["has_lease"], "another holder", PATIENCE)
    print("another holder after", round(time.monotonic() - killed, 1), "s; the lease is", SHORT_LEASE_S, "s")
    taker, other = (b, c) if b.status()["has_lease"] else (c, b)
    assert taker.wait_event("lease_taken")["from"].startswith("cli-")
    serial = fleet.change()
    other.say("refresh", "example.com")
    taker.wait_event("zone_transferred", serial=serial, timeout=PATIENCE)
    other.wait_event("zone_restored", serial=serial, timeout=PATIENCE)
    assert transferred(primary) == 2
    fleet.agree(b, c)


@short_lease
def test_serial_that_comes_between_two_holders_is_not_lost(fleet, primary):
    """The one that was to transfer it is dead, its lease is not."""
    members = fleet.join("a"), fleet.join("b")
    holder = fleet.settle()
    b, = (m for m in members if m is not holder)
    holder.kill()
    serial = fleet.change()
    b.say("refresh", "example.com")
    b.wait_event("zone_transferred", serial=serial, timeout=PATIENCE)
    assert transferred(primary) == 2
    fleet.agree(b)


@short_lease
def test_holder_that_was_frozen_follows_who_took_over(fleet, primary, redis):
    members = [fleet.join(name) for name in ("a", "b", "c")]
    a = fleet.settle()
    b, c = (m for m in members if m is not a)
    a.freeze()
    wait_for(lambda: b.status()["has_lease"] or c.status()["has_lease"], "another holder", PATIENCE)
    taker = b if b.status()["has_lease"] else c
    serial = fleet.change()
    taker.say("refresh", "example.com")
    taker.wait_event("zone_transferred", serial=serial, timeout=PATIENCE)
    a.thaw()
    a.wait_event("lease_lost", timeout=PATIENCE)
    fleet.agree()
    assert transferred(primary) == 2 and not a.status()["has_lease"]
    assert redis.hash(ZONE)["serial"] == str(serial)


def test_follower_that_lags_far_behind_loads_the_base(fleet, redis):
    a, b, c = fleet.join("a"), fleet.join("b"), fleet.join("c")
    c.freeze()
    for _ in range(3):
        serial = fleet.change()
        a.say("retransfer", "example.com")
        b.wait_event("zone_restored", serial=serial, timeout=PATIENCE)
    # a stream that is full: the next version is a base
    redis.command("EVAL", "for i=1,100 do redis.call('XADD', KEYS[1], '*', 'a', 'b') end", "1", CHANGES)
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
    assert transferred(primary) == 3


def test_all_start_empty_and_one_transfers(fleet, primary):
    members = [fleet.join(name, wait=False) for name in ("a", "b", "c")]
    for m in members:
        wait_for(lambda: m.status()["is_servable"], f"{m.name} to serve", PATIENCE)
    fleet.agree()
    assert transferred(primary) == 1


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


def test_member_of_an_earlier_life_of_redis_takes_what_is_newer_and_follows_on(fleet, primary, redis):
    """Redis was emptied while it was away; who came meanwhile knew nothing, and counted from 1 again."""
    a = fleet.join("a")
    for _ in range(3):
        fleet.change()
        a.say("retransfer", "example.com")
        fleet.agree(a)
    wait_for(lambda: redis.hash(ZONE).get("generation") == "4", "the commit", PATIENCE)
    a.kill()
    redis.command("FLUSHALL")
    serial = fleet.change()
    b = fleet.join("b")
    assert redis.hash(ZONE)["generation"] == "1"
    primary.stop()
    b.kill()
    a.start()
    a.wait_event("zone_restored", serial=serial, source="redis", timeout=PATIENCE)
    wait_for(lambda: int(redis.hash(ZONE)["generation"]) > 4, "one row of numbers", PATIENCE)
    assert redis.hash(ZONE)["serial"] == str(serial)
    b.start()
    fleet.agree()
    for m in (a, b):        # its first question at this start is not to fall together with the change
        m.wait_event("zone_transfer_failed", timeout=PATIENCE)
    primary.open()
    before = transferred(primary)
    fleet.change()
    b.say("retransfer", "example.com")
    fleet.agree()
    assert transferred(primary) == before + 1


def test_order_to_go_back_is_not_undone_by_those_that_have_yet_to_be_told(fleet, redis):
    """They write what they hold again, and the one that obeyed leaves that alone."""
    a, b = fleet.join("a"), fleet.join("b")
    for _ in range(5):
        newest = fleet.change()
    b.say("retransfer", "example.com")      # so b is sure of what it has
    fleet.agree()
    fleet.zone.serial -= 3
    a.say("retransfer", "example.com")
    a.wait_event("zone_transferred", serial=fleet.zone.serial, timeout=PATIENCE)
    wait_for(lambda: redis.hash(ZONE)["serial"] == str(newest) and
             int(redis.hash(ZONE)["generation"]) > a.status()["generation"], "b to write its own again", PATIENCE)
    before = len(a.events("zone_restored"))
    fleet.change()                          # a goes on by itself
    a.say("refresh", "example.com")
    fleet.agree(a)
    assert b.status()["serial"] == newest and len(a.events("zone_restored")) == before
    b.say("retransfer", "example.com")
    fleet.agree()
    wait_for(lambda: redis.hash(ZONE)["serial"] == str(fleet.zone.serial), "the commit", PATIENCE)


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


# ---- Size ----

def cpu_ms(cli):
    """Processor time so far: what a busy machine does to the clock is not what is measured."""
    with open(f"/proc/{cli.process.pid}/stat") as stat:
        fields = stat.read().split(")")[1].split()
    return (int(fields[11]) + int(fields[12])) * 1000 // os.sysconf("SC_CLK_TCK")


@pytest.mark.soak
def test_ten_changes_of_a_big_zone_cost_what_ten_cost(start, redis):  # noqa: F811
    cli = start(f"unix:{redis.socket}", command_ms=60000)
    cli.hear("up")
    cli.give(0, 1, zone_text(1, 1900000))
    cli.say("save 0 -")
    cli.hear(r"saved \S+ 1 well", 600)
    cli.say("load example.com. 9")
    cli.hear(r"loaded \S+ generation 1 .*", 600)
    cli.edit(1, 0, 2, zone_text(2, 1900000, "".join(f"new-{i} A 192.0.2.{i}\n" for i in range(9))))
    cli.say("save 1 0")
    cli.hear(r"saved \S+ 2 well", 600)
    before_kb = cli.resident_kb()
    cli.say("idle")
    cli.hear("idle", 600)
    began, used_ms = time.monotonic(), cpu_ms(cli)
    cli.say("follow 9 8")
    cli.hear(r"followed \S+ generation 2 serial 2", 60)
    took_ms, used_ms = (time.monotonic() - began) * 1000, cpu_ms(cli) - used_ms
    grown_kb = cli.resident_kb() - before_kb
    print(f"followed ten changes of 1,900,003 records in {took_ms:.1f} ms, {used_ms} ms of a core; grew {grown_kb} kB")
    assert used_ms < 100 and grown_kb < 2000
    cli.say("same 1 8")
    cli.hear("same yes", 600)


# ---- Clocks ----

class OtherClock(Relay):
    """Redis' clock is that much ahead: to who is behind this, its own clock is that much late."""

    TIME = re.compile(rb"\*2\r\n\$10\r\n(\d{10})\r\n\$(?=\d\r)")

    def __init__(self, where, target, ahead_s):
        self.ahead_s = ahead_s
        super().__init__(where, target)

    def _later(self, found):
        return b"*2\r\n$10\r\n%d\r\n$" % (int(found[1]) + self.ahead_s)

    def replies(self, data):
        return self.TIME.sub(self._later, data)


@pytest.mark.parametrize("ahead_s", [-86400, 1, 86400])
def test_times_mean_the_same_to_members_whose_clocks_differ(start, redis, tmp_path, ahead_s):  # noqa: F811
    known = ahead_s if abs(ahead_s) > 2 else 0
    late = start(f"unix:{OtherClock(socket_in(tmp_path), redis.socket, ahead_s).where}", instance="late")
    right = start(f"unix:{redis.socket}", instance="right")
    late.hear("up")
    right.hear("up")
    late.say("idle")
    late.hear("idle")
    late.give(0, 1, zone_text(1))
    now = time.time()
    assert late.save(0) == "well"
    stored = redis.hash(ZONE)
    assert abs(int(stored["refreshed_at"]) - now - known) < 5 + PATIENCE
    assert int(stored["expires_at"]) - int(stored["refreshed_at"]) == 1209600
    refreshed = int(re.search(r"refreshed (\d+)", late.load())[1])
    assert abs(refreshed - now) < 5 + PATIENCE
    now = time.time()
    right.give(0, 2, zone_text(2))
    assert right.save(0) == "well"
    expires = int(re.search(r"expires (\d+)", late.load())[1])
    assert abs(expires - 1209600 - (now - known if known > 0 else now)) < 5 + PATIENCE


class SlowClock(Relay):
    """The first word about the time takes four seconds."""

    def __init__(self, where, target):
        self.is_told = threading.Event()
        super().__init__(where, target)

    def replies(self, data):
        if OtherClock.TIME.search(data) and not self.is_told.is_set():
            threading.Event().wait(4)
            self.is_told.set()
        return data


def test_time_that_was_told_late_is_no_other_clock(start, redis, tmp_path):  # noqa: F811
    """As when we are stopped for a moment: times in Redis were off by that moment for half a minute."""
    relay = SlowClock(socket_in(tmp_path), redis.socket)
    one, other = start(f"unix:{relay.where}", instance="one"), start(f"unix:{redis.socket}", instance="other")
    one.hear("up")
    other.hear("up")
    wait_for(relay.is_told.is_set, "the late word")
    one.say("idle")
    one.hear("idle")
    one.give(0, 1, zone_text(1))
    assert one.save(0) == "well"
    refreshed = {re.search(r"refreshed (\d+)", cli.load())[1] for cli in (one, other)}
    assert len(refreshed) == 1, refreshed


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
    one = start(f"unix:{Relay(socket_in(tmp_path), redis.socket, hold_back).where}", instance="one")
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


# ---- The whole program ----

HOSTS = 50


def host_zone(serial):
    return (f"$ORIGIN example.com.\n$TTL 300\n@ SOA ns h {serial} 3600 600 86400 300\n@ NS ns\nns A 192.0.2.1\n"
            + "".join(f"h{i} A 192.0.2.{i}\n" for i in range(HOSTS)) + f"new{serial} A 192.0.2.2\n")


def start_understudy(stage, nsd, redis, name, prefix="understudy"):
    """It has its zone from when it has reached Redis, as members above."""
    conf = configurations.pool_of(configurations.mirror(0) + configurations.backend("ns1", nsd.where, 1, primary=True),
                                  redis, zones=()).replace('prefix = "understudy"', f'prefix = "{prefix}"')
    front = stage.understudy(conf, name=name).start()
    front.wait_event("store_up")
    front.configure(conf + 'zone "example.com" { pool = "main"  allow-transfer = { "127.0.0.0/8" } }\n')
    assert front.ctl("reload")[0] == 0
    return front


def serials(fronts):
    """By name; None of one that has yet to get the zone."""
    answers = {front.name: ask(front.where, "example.com", "SOA").answer for front in fronts}
    return {name: answer[0][0].serial if answer else None for name, answer in answers.items()}


def wait_serial(fronts, serial):
    wait_for(lambda: set(serials(fronts).values()) == {serial}, f"all to serve {serial}", PATIENCE)


def transfers(fronts):
    for front in fronts:
        front.caught_up()
    return sum(len(front.events("zone_transferred")) for front in fronts)


def zone_of(front):
    return front.json("zone", "example.com")["zone"]


def holder_of(fronts):
    """Who says that it has the lease, once all say the same."""
    zones = {front.name: zone_of(front) for front in fronts}
    names = {zone.get("lease_holder") for zone in zones.values()}
    holders = [front for front in fronts if zones[front.name]["lease"]]
    return holders[0] if len(holders) == 1 and len(names) == 1 else None


def ixfr(front, serial):
    """The serials of the SOA records of an IXFR, in order."""
    query = dns.message.make_query("example.com", "IXFR")
    query.authority.append(dns.rrset.from_text("example.com.", 0, "IN", "SOA", f". . {serial} 0 0 0 0"))
    answer = dns.query.tcp(query, front.where[0], port=front.where[1], timeout=ANSWER_S, one_rr_per_rrset=True)
    return [rrset[0].serial for rrset in answer.answer if rrset.rdtype == dns.rdatatype.SOA]


@pytest.mark.threads
def test_three_understudies_and_a_primary(stage):
    """Live queries go to one that follows; the one that transfers is killed."""
    nsd = stage.nsd({"example.com": host_zone(1)}, extra="    verbosity: 2").start()
    redis = stage.redis().start()
    fronts = [start_understudy(stage, nsd, redis, name) for name in ("a", "b", "c")]
    for front in fronts:
        wait_for(lambda: zone_of(front).get("serial") == 1, f"{front.name} to hold the zone", PATIENCE)
    holder = wait_for(lambda: holder_of(fronts), "one holder that all know", PATIENCE)
    others = [front for front in fronts if front is not holder]
    names = "".join(f"h{i}.example.com. A\n" for i in range(HOSTS))
    client = stage.load(others[0].where, nsd.where, names, rate=200).start()
    client.wait_more(100)
    for serial in (2, 3):
        nsd.write_zone("example.com", host_zone(serial))
        nsd.reload()
        wait_for(lambda: nsd.serial("example.com") == serial, "NSD to serve it")
        others[1].ctl("refresh", "example.com")
        wait_serial(fronts, serial)
    assert transfers(fronts) == 3 and len(holder.events("zone_transferred")) == 3
    assert nsd.log_text().count("xfr for example.com.") <= 3
    assert [ixfr(front, 2) for front in fronts] == [[3, 2, 3, 3]] * 3
    zone = zone_of(others[0])
    assert (zone["source"], zone["lease"]) == ("redis", False)
    wait_for(lambda: zone_of(others[0])["lag_ms"] == 0, "no lag")
    holder.kill()
    taker = wait_for(lambda: holder_of(others), "another holder", PATIENCE)
    assert taker.wait_event("lease_taken")[1]["from"].split("/")[1] == str(holder.process.pid)
    nsd.write_zone("example.com", host_zone(4))
    nsd.reload()
    wait_serial(others, 4)
    assert transfers(fronts) == 4 and len(taker.events("zone_transferred")) == 1
    nsd.kill()
    client.wait_more(100)
    result = client.finish()
    assert (result["lost"], result["wrong"], result["error_rcodes"]) == (0, 0, 0), result["troubles"][:10]
    for front in others:
        front.kill()
    again = [start_understudy(stage, nsd, redis, name) for name in ("d", "e", "f")]
    wait_serial(again, 4)
    assert [zone_of(front)["source"] for front in again] == ["redis"] * 3


def test_other_prefix_is_another_fleet(stage):
    nsd = stage.nsd({"example.com": host_zone(1)}).start()
    redis = stage.redis().start()
    fronts = [start_understudy(stage, nsd, redis, name, prefix=name) for name in ("one", "two")]
    wait_for(lambda: transfers(fronts) == 2, "a transfer for each", PATIENCE)
    for front in fronts:
        wait_for(lambda: zone_of(front)["lease"], "a lease of its own", PATIENCE)
    keys = redis.command("KEYS", "*").split()
    assert {key.split(":")[0] for key in keys} == {"one", "two"}
    assert redis.command("GET", "one:lease:{example.com.}") != redis.command("GET", "two:lease:{example.com.}")
