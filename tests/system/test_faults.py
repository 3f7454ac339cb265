# SPDX-License-Identifier: ISC
"""
Every way in which a primary can fail, one at a time, under 1,000 q/s, one in ten by TCP, by
clients that never ask twice: nothing lost, nothing wrong, one reply each, in time; the log tells
what happened, in order; and afterwards the primary serves again.
"""
import datetime
import glob
import resource
import signal
import time

import pytest

import configurations
import faults
from accounts import assert_accounts_balance
from faults import FAULTS, Faulty
from hostile import open_files
from servers import Stage, wait_for

pytestmark = pytest.mark.timing

RATE = 1000
SLOWEST_MS, P999_MS = 300, 60
VERDICT_S = 0.3
PROBE_EVERY_S = 0.5
HEALTH = '    health { interval = "500ms"  timeout = "300ms"  rise = 2  fall = 2  slow-start = "1s" }\n'
ZONES = ("example.com", "example.org")


class Theatre:
    """NSD has the truth; ns1, the primary, and ns2 stand before it and fail when told to."""

    def __init__(self, stage, nsd, questions):
        self.stage = stage
        self.ns1 = stage.add(Faulty(stage.folder, nsd, "ns1")).start()
        self.ns2 = stage.add(Faulty(stage.folder, nsd, "ns2")).start()
        self.redis = self.verdict = None
        self.nsd, self.questions = nsd, questions

    def open(self, with_redis=False, options=("-F",), env=None, pool=configurations.failover, policy=None):
        self.redis = self.stage.redis().start() if with_redis else None
        self.has_failover = pool == configurations.failover
        self.asks_primary = pool != configurations.mirror_first
        conf = pool(self.ns1.where, self.ns2.where, self.redis, zones=ZONES, policy=policy, health=HEALTH)
        self.front = self.stage.understudy(conf)
        self.front.env = env or {}
        self.front.start()
        for zone in ZONES:
            self.front.wait_event("zone_transferred", zone=zone + ".")
        if self.redis:
            for zone in ZONES:
                wait_for(lambda: self.redis.try_command("HGET", f"understudy:zone:{{{zone}.}}", "serial"), "the store")
        self.client = self.stage.load(self.front.where, self.nsd.where, faults.questions_for_both(self.questions),
                                      rate=RATE, options=options).start()
        self.client.wait_more(RATE // 2)
        assert (self.front.stat("answers_primary") > 0) == self.asks_primary


@pytest.fixture(scope="module")
def nsd(tmp_path_factory, example_zone):
    stage = Stage(tmp_path_factory.mktemp("truth"))
    yield stage.nsd({"example.com": example_zone, "example.org": faults.ORG_ZONE}).start()
    stage.close()


@pytest.fixture
def theatre(stage, nsd, questions):
    return Theatre(stage, nsd, questions)


# ---- What must hold ----

def assert_nobody_noticed(result):
    troubles = result["troubles"][:5]
    for number in ("lost", "wrong", "error_rcodes", "duplicates", "late", "strangers"):
        assert result[number] == 0, (number, result[number], troubles)
    assert result["answered"] == result["sent"]
    assert result["slowest_ms"] < SLOWEST_MS, (result["slowest_at_ms"], result["slowest_by"], result["held"])
    # by what, sent at, took: ms; when the machine stood still, for how long: ms (held.h)
    assert result["p999_ms"] < P999_MS, (result["slow"], result["held"])


NEXT = {"up": {"suspect", "down"}, "suspect": {"up", "down"}, "down": {"probation", "up"},
        "probation": {"up", "down"}}


def assert_events_in_order(front, backend="ns1", is_alone=True):
    """Each change begins where the one before ended; failover follows a fall, failback a return.

    `is_alone`: in its tier, if that is the first.
    """
    state, serves = "up", True
    for _, event in front.events():
        kind = event["event"]
        if kind in ("backend_suspect", "backend_down", "backend_probation", "backend_up") and event["backend"] == backend:
            assert event["from"] == state, event
            assert kind[8:] in NEXT[state], event
            state = kind[8:]
            assert event["evidence"] and event["cause"] and event["pool"] == "main", event
        elif not is_alone:
            continue
        elif kind == "failover" and event["from"] == backend:
            assert serves and (state == "down" or event["cause"] == "zones_held"), event
            serves = False
        elif kind == "failback" and event["to"] == backend:
            assert not serves and state in ("probation", "up"), event
            serves = True
    return state, serves


def assert_counts_are_true(front):
    told = sum(int(event["rescued"]) for _, event in front.events("backend_down"))
    assert told <= sum(row["rescued"] for row in front.json("backends")["backends"]), told


def wait_verdict(theatre, fault, fault_at):
    front = theatre.front
    if not theatre.asks_primary:            # probes alone: by UDP each interval, by TCP each tenth
        front.wait_event("backend_down", since=fault_at, timeout=10 * PROBE_EVERY_S + 3, backend="ns1")
        return
    at, event = front.wait_event("backend_down", since=fault_at, backend="ns1")
    longest = VERDICT_S + (PROBE_EVERY_S * len(ZONES) if fault.is_found_by_probe else 0)
    if fault.causes[:1] == ("tcp",) and fault.is_found_by_probe:
        longest += 1
    theatre.verdict = fault_at, at, longest + 0.1, int(event["detect_ms"])
    assert not fault.causes or event["cause"] in fault.causes, event
    if theatre.has_failover:
        front.wait_event("failover", since=fault_at, pool="main")


def assert_verdict_was_soon(theatre):
    """At the end, when it is known whether the machine itself stood still meanwhile."""
    if theatre.verdict is None:
        return
    fault_at, at, longest, detect_ms = theatre.verdict
    held_s = theatre.client.held_s(fault_at, at)
    assert at - fault_at - held_s < longest, theatre.verdict
    assert detect_ms - 1000 * held_s < VERDICT_S * 1000, theatre.verdict


def wait_primary_serves(theatre, mended_at, had_verdict):
    front = theatre.front
    if had_verdict:
        front.wait_event("backend_up", timeout=30, since=mended_at, backend="ns1")
    if had_verdict and theatre.has_failover:
        front.wait_event("failback", timeout=30, since=mended_at, pool="main")
    if not theatre.asks_primary:
        return
    before = front.stat("answers_primary")
    wait_for(lambda: front.stat("answers_primary") > before + 200, "the primary to serve again", 30)


def play(theatre, fault, struck):
    """The whole piece: well, struck, mended, well."""
    fault_at = time.monotonic()
    for server in struck:
        fault.strike(server)
    if fault.verdict == "down":
        wait_verdict(theatre, fault, fault_at)
    if fault.verdict == "held":
        for zone in ZONES:
            theatre.front.wait_event("failback_held", since=fault_at, backend="ns1", zone=zone + ".", reason="differs")
    theatre.client.wait_more(RATE)
    mended_at = time.monotonic()
    for server in struck:
        fault.mend(server)
    wait_primary_serves(theatre, mended_at, fault.verdict == "down")
    if fault.verdict == "held":
        for zone in ZONES:
            theatre.front.wait_event("failback_released", since=mended_at, timeout=10, backend="ns1", zone=zone + ".")
    assert_nobody_noticed(theatre.client.finish())
    assert_verdict_was_soon(theatre)
    if fault.verdict == "stays":
        assert not theatre.front.events("backend_down", since=fault_at)
    if not theatre.has_failover and theatre.ns2 not in struck:
        assert not theatre.front.events("failover"), "another target of the first tier was there"
    for backend in ("ns1", "ns2"):
        assert_events_in_order(theatre.front, backend, theatre.has_failover)
    assert_counts_are_true(theatre.front)
    assert_accounts_balance(theatre.front)


# ---- Each fault ----

def chosen(always):
    """All faults; those that are not in `always` in `make check-long` alone."""
    marks = {name: [] if name in always else [pytest.mark.soak] for name in FAULTS}
    return [pytest.param(name, marks=marks[name]) for name in FAULTS]


@pytest.mark.parametrize("name", chosen(FAULTS), ids=faults.word)
def test_primary_fails(theatre, name):
    theatre.open()
    play(theatre, FAULTS[name], [theatre.ns1])


def test_overloaded_primary_is_relieved_and_not_declared_dead(theatre):
    theatre.open()
    struck_at = time.monotonic()
    theatre.ns1.command("limit=300")
    theatre.front.wait_event("backend_limited", since=struck_at, timeout=3, backend="ns1")
    before = theatre.front.stat("answers_primary"), time.monotonic()
    theatre.client.wait_more(RATE * 3)
    served = (theatre.front.stat("answers_primary") - before[0]) / (time.monotonic() - before[1])
    assert served > 300 / 2, "most of what the primary can take is not asked of it"

    def is_limited():       # now and then it is tried with more, or without
        row = theatre.front.json("backends")["backends"][0]
        return row.get("limit_per_s") and row
    limited = wait_for(is_limited, "a limit")
    assert limited["limit_per_s"] < 600 and limited["spared"] > 0, limited
    assert theatre.front.stat("spilled") > 0
    assert "serves as much as it can take" in str(theatre.front.json("explain", "www.example.com", "A"))
    mended_at = time.monotonic()
    theatre.ns1.command("well")
    theatre.front.wait_event("backend_unlimited", since=mended_at, timeout=40, backend="ns1")
    assert_nobody_noticed(theatre.client.finish())
    assert not theatre.front.events("backend_down", since=struck_at)
    assert_accounts_balance(theatre.front)


def test_rate_limiting_of_the_primary_is_told_as_such(stage, nsd, example_zone):
    """A real NSD with RRL: it drops half of what is over its rate, and truncates the rest."""
    primary = stage.nsd({"example.com": example_zone, "example.org": faults.ORG_ZONE}, name="rationing",
                        extra="    rrl-ratelimit: 30\n    rrl-whitelist-ratelimit: 30").start()
    front = stage.understudy(configurations.failover(primary.where, nsd.where, None, zones=ZONES, health=HEALTH)).start()
    for zone in ZONES:
        front.wait_event("zone_transferred", zone=zone + ".")
    client = stage.load(front.where, nsd.where, faults.ORG_QUESTIONS, rate=RATE, options=("-F",)).start()
    front.wait_event("suspected_rrl", timeout=10, backend="ns1")
    client.wait_more(RATE)
    assert_nobody_noticed(client.finish())
    assert not front.events("backend_down")


OTHERS = ("killed", "frozen", "host gone", "SERVFAIL", "70 % loss each way", "latency of 1 s", "TCP hangs", "garbage")


@pytest.mark.parametrize("name", chosen(OTHERS), ids=faults.word)
def test_all_servers_fail_alike_and_the_mirror_is_alone(theatre, name):
    theatre.open()
    play(theatre, FAULTS[name], [theatre.ns1, theatre.ns2])
    assert theatre.front.stat("answers_mirror") > 0 or FAULTS[name].verdict != "down"


WITH_REDIS = ("killed", "frozen", "REFUSED", "70 % loss each way")


@pytest.mark.parametrize("name", chosen(WITH_REDIS), ids=faults.word)
def test_redis_fails_in_the_same_moment(theatre, name):
    theatre.open(with_redis=True)
    fault_at = time.monotonic()
    theatre.redis.kill()
    play(theatre, FAULTS[name], [theatre.ns1])
    theatre.front.wait_event("store_down", since=fault_at)
    theatre.redis.start()
    theatre.front.wait_event("store_up", timeout=20, since=fault_at)


# ---- In the middle of something else ----

def test_primary_dies_in_the_middle_of_a_transfer(theatre):
    theatre.open()
    begun_at = time.monotonic()
    theatre.ns1.command("tcp=trickle")      # a byte each millisecond: the zone takes seconds
    for zone in ZONES:
        assert theatre.front.ctl("retransfer", zone)[0] == 0
    theatre.client.wait_more(RATE // 4)
    play(theatre, FAULTS["killed"], [theatre.ns1])
    theatre.front.wait_event("zone_transfer_failed", since=begun_at, zone="example.com.")


@pytest.mark.parametrize("name", ("killed", "frozen"))
def test_primary_dies_in_the_middle_of_a_reload(theatre, name):
    def strike(server):
        theatre.front.signal(signal.SIGHUP)
        FAULTS[name].strike(server)
        theatre.front.signal(signal.SIGHUP)

    theatre.open()
    fault = faults.Fault(strike, FAULTS[name].mend, causes=FAULTS[name].causes)
    play(theatre, fault, [theatre.ns1])
    assert len(theatre.front.events("config_reloaded", result="ok")) >= 1


def test_second_server_freezes_in_the_middle_of_the_failover_to_it(theatre):
    theatre.open()
    fault_at = time.monotonic()
    theatre.ns1.freeze()
    theatre.front.wait_event("backend_suspect", since=fault_at, backend="ns1")
    theatre.ns2.freeze()
    for backend in ("ns1", "ns2"):
        theatre.front.wait_event("backend_down", since=fault_at, backend=backend)
    theatre.client.wait_more(RATE)
    mended_at = time.monotonic()
    theatre.ns1.thaw()
    theatre.front.wait_event("backend_probation", since=mended_at, timeout=20, backend="ns1")
    theatre.ns1.freeze()                    # and again, while it has not all of its share yet
    theatre.front.wait_event("backend_down", since=mended_at, backend="ns1")
    theatre.ns2.thaw()
    theatre.ns1.thaw()
    wait_primary_serves(theatre, mended_at, True)
    assert_nobody_noticed(theatre.client.finish())
    for backend in ("ns1", "ns2"):
        assert_events_in_order(theatre.front, backend)
    assert_accounts_balance(theatre.front)


# ---- What fails is ours ----

@pytest.mark.parametrize("name", ("killed", "frozen"))
def test_descriptors_have_run_out_when_the_primary_goes(theatre, name):
    """By UDP: who connects needs a descriptor of ours."""
    theatre.open(options=("-F", "-T", "0"))
    pid = theatre.front.process.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (open_files(theatre.front), hard))
    theatre.client.wait_more(RATE * 3 // 2)         # long enough for every socket to be due for replacement
    FAULTS[name].strike(theatre.ns1)
    theatre.client.wait_more(RATE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
    theatre.client.wait_more(RATE // 2)
    mended_at = time.monotonic()
    FAULTS[name].mend(theatre.ns1)
    wait_primary_serves(theatre, mended_at, False)
    assert_nobody_noticed(theatre.client.finish())
    assert_accounts_balance(theatre.front)


def wall_clock_of(event):
    return datetime.datetime.fromisoformat(event["time"].replace("Z", "+00:00"))


@pytest.mark.parametrize("jump", ("+400d", "-400d"))
def test_clock_jumps_while_the_primary_is_away(theatre, tmp_path, jump):
    """The wall clock alone, by libfaketime: nobody expires, no verdict changes, no deadline moves."""
    offset = tmp_path / "offset"

    def set_clock(text):        # the library may read it at any moment, and ends the program over half a word
        (tmp_path / "new").write_text(text)
        (tmp_path / "new").rename(offset)
    set_clock("+0d")
    theatre.open(env={"LD_PRELOAD": glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")[0],
                      "FAKETIME_TIMESTAMP_FILE": str(offset), "FAKETIME_CACHE_DURATION": "1",
                      "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"})
    fault_at = time.monotonic()
    theatre.ns1.freeze()
    _, down = theatre.front.wait_event("backend_down", since=fault_at, backend="ns1")
    set_clock(jump)
    theatre.client.wait_more(RATE * 3)
    theatre.ns1.thaw()
    wait_primary_serves(theatre, fault_at, True)
    _, up = theatre.front.wait_event("backend_up", since=fault_at, backend="ns1")
    assert abs(wall_clock_of(up) - wall_clock_of(down)).days >= 399, "the clock did not jump"
    assert_nobody_noticed(theatre.client.finish())
    assert not theatre.front.events("zone_expired") and not theatre.front.events("zone_expiring")
    assert_events_in_order(theatre.front)
