# SPDX-License-Identifier: ISC
"""The main promise: the primary dies, freezes, comes back under load, and no client notices."""
import signal
import time

import pytest

import configurations
from accounts import assert_accounts_balance
from servers import ANSWER_S, IS_SANITIZED, ask, wait_for

pytestmark = [pytest.mark.threads, pytest.mark.alone]

PHASE = 500 if IS_SANITIZED else 1500      # answers to wait for between two acts
RATE = 500 if IS_SANITIZED else 2000
SLOWEST_MS = ANSWER_S * 1000 if IS_SANITIZED else 300      # of a sanitizer's build no times are promised
VERDICT_S = ANSWER_S if IS_SANITIZED else 0.3


@pytest.fixture
def theatre(stage, example_zone, questions):
    """NSD as primary, Knot as backend, Redis, Understudy with the zone mirrored and saved."""
    nsd = stage.nsd({"example.com": example_zone}).start()
    knot = stage.knot(nsd).start()
    redis = stage.redis().start()
    understudy = stage.understudy(configurations.failover(nsd.where, knot.where, redis)).start()
    understudy.wait_event("zone_transferred")
    wait_for(lambda: redis.try_command("HGET", "understudy:zone:{example.com.}", "serial"), "the zone in Redis")
    load = stage.load(understudy.where, nsd.where, questions, rate=RATE)
    stage.nsd_server, stage.knot_server, stage.redis_server = nsd, knot, redis
    stage.front, stage.client, stage.verdicts = understudy, load, []
    return stage


def assert_nobody_noticed(theatre):
    result = theatre.client.finish()
    for fault_at, at in theatre.verdicts:
        took = at - fault_at - theatre.client.held_s(fault_at, at)
        assert took < VERDICT_S, f"verdict after {took:.3f} s: {theatre.front.log_text()[-4000:]}"
    troubles = result["troubles"][:10]
    assert result["lost"] == 0, troubles
    assert result["wrong"] == 0, troubles
    assert result["error_rcodes"] == 0, troubles
    assert result["duplicates"] == 0, troubles
    assert result["answered"] == result["sent"]
    assert result["slowest_ms"] < SLOWEST_MS, (result["slowest_at_ms"], result["slowest_by"], result["held"])


def strike_at(understudy, strike, backend="ns1"):
    """It was well before: what a busy machine made suspicious has been acquitted. Returns when it was struck."""
    def is_well():
        return all(row["state"] == "up" for row in understudy.json("backends")["backends"] if row["name"] == backend)
    wait_for(is_well, f"{backend} to be up")
    fault_at = time.monotonic()
    strike()
    return fault_at


def assert_verdict(theatre, fault_at, backend="ns1"):
    """How soon it came is seen at the end, when it is known whether the machine stood still."""
    at, event = theatre.front.wait_event("backend_down", since=fault_at, backend=backend)
    theatre.verdicts.append((fault_at, at))
    assert event["cause"] and event["evidence"] and event["from"] == "suspect" and event["pool"] == "main"
    return at


def assert_primary_serves_again(understudy, since):
    understudy.wait_event("backend_up", timeout=60, since=since, backend="ns1")
    before = understudy.stat("answers_primary")
    wait_for(lambda: understudy.stat("answers_primary") > before + 200, "the primary to serve again")


FAULTS = {
    "killed": (lambda nsd: nsd.kill(), lambda nsd: nsd.start(wait=False)),
    "frozen": (lambda nsd: nsd.freeze(), lambda nsd: nsd.thaw()),
    "stopped": (lambda nsd: nsd.stop(), lambda nsd: nsd.start(wait=False)),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("others", ["backend and mirror", "mirror alone", "Redis dies too"])
def test_primary_goes_and_comes_back(theatre, fault, others):
    strike, mend = FAULTS[fault]
    if others == "mirror alone":
        theatre.knot_server.kill()
    theatre.client.start()
    theatre.client.wait_more(PHASE)
    assert theatre.front.stat("answers_primary") > 0

    fault_at = strike_at(theatre.front, lambda: strike(theatre.nsd_server))
    assert_verdict(theatre, fault_at)
    theatre.client.wait_more(PHASE)
    if others == "Redis dies too":
        theatre.redis_server.kill()
        theatre.front.wait_event("store_down", since=fault_at)
        theatre.client.wait_more(PHASE)

    mended_at = time.monotonic()
    mend(theatre.nsd_server)
    assert_primary_serves_again(theatre.front, mended_at)
    theatre.client.wait_more(PHASE)
    if others == "Redis dies too":
        theatre.redis_server.start()
        theatre.front.wait_event("store_up", since=mended_at)
    assert_nobody_noticed(theatre)
    if others == "mirror alone":
        assert theatre.front.stat("answers_mirror") > 0


def test_backend_dies_while_the_primary_is_away(theatre):
    theatre.client.start()
    theatre.client.wait_more(PHASE)
    fault_at = strike_at(theatre.front, theatre.nsd_server.freeze)
    assert_verdict(theatre, fault_at)
    theatre.client.wait_more(PHASE)
    fault_at = strike_at(theatre.front, theatre.knot_server.kill, "ns2")
    theatre.front.wait_event("backend_down", since=fault_at, backend="ns2")
    theatre.client.wait_more(PHASE)
    assert theatre.front.stat("answers_mirror") > 0
    assert_nobody_noticed(theatre)


@pytest.mark.slow
def test_primary_that_flaps_costs_nothing(theatre):
    theatre.client.start()
    theatre.client.wait_more(PHASE // 2)
    for _ in range(5):
        theatre.nsd_server.freeze()
        theatre.client.wait_more(PHASE // 2)
        theatre.nsd_server.thaw()
        theatre.client.wait_more(PHASE // 2)
    assert_nobody_noticed(theatre)


def test_frozen_redis_changes_nothing(theatre):
    theatre.client.start()
    theatre.client.wait_more(PHASE)
    frozen_at = time.monotonic()
    theatre.redis_server.freeze()
    theatre.nsd_server.write_zone("example.com", open_zone_with_serial(theatre, 2026010102))
    theatre.nsd_server.reload()
    theatre.front.ctl("refresh", "example.com")
    theatre.front.wait_event("store_down", timeout=30, since=frozen_at)
    theatre.client.wait_more(PHASE)
    theatre.redis_server.thaw()
    theatre.front.wait_event("store_up", timeout=30, since=frozen_at)
    result = theatre.client.finish()
    # the SOA changed on purpose: all else must be as it was
    others = [t for t in result["troubles"] if t["kind"] != "records differ"]
    assert not others
    assert result["lost"] == 0 and result["error_rcodes"] == 0 and result["duplicates"] == 0


def open_zone_with_serial(theatre, serial):
    with open(theatre.nsd_server.path("example.com.zone")) as file:
        return file.read().replace("2026010101", str(serial))


def test_every_query_has_exactly_one_end(theatre):
    theatre.client.start()
    theatre.client.wait_more(PHASE)
    theatre.nsd_server.kill()
    theatre.client.wait_more(PHASE)
    assert_nobody_noticed(theatre)
    assert_accounts_balance(theatre.front)
    assert theatre.front.stat("answers_servfail") == 0


def test_nothing_left_gives_servfail_with_the_reason(stage, example_zone):
    nsd = stage.nsd({"example.com": example_zone}).start()
    understudy = stage.understudy(configurations.forward_only(nsd.where)).start()
    wait_for(lambda: ask(understudy.where, "www.example.com").rcode() == 0, "an answer")
    nsd.freeze()
    for _ in range(3):
        begun = time.monotonic()
        answer = ask(understudy.where, "www.example.com", use_edns=0)
        assert answer.rcode() == 2
        assert time.monotonic() - begun < (ANSWER_S if IS_SANITIZED else 0.75)
        codes = {int(option.code) for option in answer.options if option.otype == 15}
        assert codes & {22, 23, 14}, answer
    nsd.signal(signal.SIGCONT)
    wait_for(lambda: ask(understudy.where, "www.example.com").rcode() == 0, "an answer again", 30)


@pytest.mark.soak
def test_an_hour_of_faults(theatre, request):
    end = time.monotonic() + request.config.getoption("--soak-seconds")
    theatre.client.command[theatre.client.command.index("-d") + 1] = "7200"
    theatre.client.start()
    theatre.client.wait_more(20000)
    before = theatre.front.resident_kb()
    while time.monotonic() < end:
        for strike, mend in FAULTS.values():
            fault_at = time.monotonic()
            strike(theatre.nsd_server)
            theatre.front.wait_event("backend_down", since=fault_at, backend="ns1")
            theatre.client.wait_more(PHASE)
            mend(theatre.nsd_server)
            theatre.front.wait_event("backend_up", timeout=300, since=fault_at, backend="ns1")
            theatre.client.wait_more(PHASE)
    assert_nobody_noticed(theatre)
    assert theatre.front.resident_kb() < before + 20000
