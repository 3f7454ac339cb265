# SPDX-License-Identifier: ISC
"""
Pools of other shapes than a primary with its understudies, and nobody notices there either: servers
that share the work, a mirror in front, a mirror among servers, a hundred servers.
"""
import time

import pytest

import configurations
import faults
from accounts import assert_accounts_balance
from faults import FAULTS
from servers import free_port, wait_for
from test_faults import (HEALTH, RATE, ZONES, assert_counts_are_true, assert_events_in_order,
                         assert_nobody_noticed, nsd, play, theatre)  # noqa: F401

pytestmark = pytest.mark.timing

WAYS = ("killed", "frozen", "SERVFAIL", "70 % loss each way", "TCP hangs")
POLICIES = ("round-robin", "weighted-random", "least-outstanding", "p2c-latency", "consistent-hash")


def each_with_some(always, others):
    """Pairs of policy and fault: those of `always` in `make check`, all the others in `make check-long` alone."""
    marks = {pair: [pytest.mark.soak] for pair in others}
    marks.update({pair: [] for pair in always})
    return [pytest.param(policy, way, marks=mark, id=f"{policy}-{faults.word(way)}")
            for (policy, way), mark in marks.items()]


def every(policies):
    return [(policy, way) for policy in policies for way in WAYS]


@pytest.mark.parametrize("policy, way", each_with_some(tuple(zip(POLICIES, WAYS)), every(POLICIES)))
def test_one_of_two_servers_that_share_the_work_fails(theatre, policy, way):
    theatre.open(pool=configurations.active_active, policy=policy)
    play(theatre, FAULTS[way], [theatre.ns1])


BOTH = (("least-outstanding", "frozen"), ("round-robin", "70 % loss each way"))


@pytest.mark.parametrize("policy, way", each_with_some(BOTH, every(POLICIES)))
def test_both_servers_that_share_the_work_fail(theatre, policy, way):
    theatre.open(pool=configurations.active_active, policy=policy)
    play(theatre, FAULTS[way], [theatre.ns1, theatre.ns2])
    assert theatre.front.stat("answers_mirror") > 0
    if FAULTS[way].verdict == "down":
        theatre.front.wait_event("failover", **{"from": "ns1,ns2"}, to="mirror")
        theatre.front.wait_event("failback", **{"from": "mirror"})


AMONG = (("weighted-random", "frozen"),)


@pytest.mark.parametrize("policy, way", each_with_some(AMONG, every(POLICIES)))
def test_server_beside_a_mirror_that_works_fails(theatre, policy, way):
    theatre.open(pool=configurations.all_in_front, policy=policy)
    assert theatre.front.stat("answers_mirror") > 0
    play(theatre, FAULTS[way], [theatre.ns1])


SHIELDED = (("ordered", "frozen"),)


@pytest.mark.parametrize("policy, way", each_with_some(SHIELDED, every(("ordered",))))
def test_primary_behind_its_mirror_fails(theatre, policy, way):
    theatre.open(pool=configurations.mirror_first, policy=policy)
    play(theatre, FAULTS[way], [theatre.ns1])
    assert theatre.front.stat("answers_primary") == 0
    assert theatre.client.finish()["slowest_ms"] < 60


# ---- A hundred servers ----

class Crowd:
    """A hundred servers on addresses of their own, in three groups that fail as one."""

    def __init__(self, stage, zones):
        self.port = free_port("127.0.1.1")
        self.half, self.rest, self.last = (self.group(stage, zones, *of) for of in ((1, 50), (51, 99), (100, 100)))

    def group(self, stage, zones, first, last):
        extra = "".join(f"    ip-address: 127.0.1.{number}@{self.port}\n" for number in range(first + 1, last + 1))
        return stage.nsd(zones, name=f"crowd{first}", where=(f"127.0.1.{first}", self.port), extra=extra).start()

    def targets(self):
        """ns100 is the primary."""
        return "".join(configurations.backend(f"ns{number}", (f"127.0.1.{number}", self.port), primary=number == 100)
                       for number in range(1, 101))


NAMES = [f"ns{number}" for number in range(1, 101)]
VERDICTS_S = 1.5        # a probe each 500 ms, 300 ms of patience, and the burst


def wait_states(front, state, number):
    def are_there():
        rows = front.json("backends")["backends"]
        return sum(row["state"] == state for row in rows) == number
    wait_for(are_there, f"{number} backends to be {state}", 40)


def freeze_in_turn(front, client, crowd):
    """When each group was struck, and when its last server was found out."""
    spans = []
    for group, down in ((crowd.half, 50), (crowd.rest, 99), (crowd.last, 100)):
        struck_at = time.monotonic()
        group.freeze()
        wait_for(lambda: len(front.events("backend_down")) >= down, f"{down} verdicts")
        spans.append((struck_at, front.events("backend_down")[-1][0]))
        client.wait_more(RATE // 2)
    return spans


@pytest.mark.parametrize("policy", [
    policy if policy == "least-outstanding" else pytest.param(policy, marks=pytest.mark.soak)
    for policy in POLICIES + ("ordered",)])
def test_hundred_servers_freeze_by_and_by(stage, nsd, questions, example_zone, policy):
    crowd = Crowd(stage, {"example.com": example_zone, "example.org": faults.ORG_ZONE})
    front = stage.understudy(configurations.pool_of(
        crowd.targets() + configurations.mirror(1), zones=ZONES, policy=policy, health=HEALTH)).start()
    for zone in ZONES:
        front.wait_event("zone_transferred", zone=zone + ".")
    client = stage.load(front.where, nsd.where, faults.questions_for_both(questions), rate=RATE, options=("-F",)).start()
    client.wait_more(RATE)
    spans = freeze_in_turn(front, client, crowd)
    front.wait_event("failover", pool="main", to="mirror")
    assert front.stat("answers_mirror") > RATE // 4
    for group in (crowd.half, crowd.rest, crowd.last):
        group.thaw()
    front.wait_event("failback", timeout=20, pool="main")
    wait_states(front, "up", 100)
    assert_nobody_noticed(client.finish())
    for name in NAMES:
        assert_events_in_order(front, name, is_alone=False)
    for struck_at, at in spans:
        assert at - struck_at - client.held_s(struck_at, at) < VERDICTS_S, (struck_at, at)
    for at, event in front.events("backend_down"):
        detect_s = int(event["detect_ms"]) / 1000
        assert detect_s - client.held_s(at - detect_s, at) < 0.3, event
    assert len(front.events("backend_down")) == 100, "each fell once"
    assert_counts_are_true(front)
    assert_accounts_balance(front)


# ---- Weights ----

ASKED, SLACK = 5000, 0.1


def sent_to(front):
    return {row["name"]: row["sent"] for row in front.json("backends")["backends"]}


def lighter_share(front, client):
    """What the lighter server has of the queries from now on."""
    before = sent_to(front)
    client.wait_more(ASKED)
    sent = {name: number - before[name] for name, number in sent_to(front).items()}
    return sent["ns1"] / sum(sent.values())


def assert_shares(front, client):
    """A quarter; when a busy machine holds one of them up, the other rightly takes more for a while."""
    shares = []
    while len(shares) < 5 and (not shares or abs(shares[-1] - 0.25) > 0.25 * SLACK):
        shares.append(lighter_share(front, client))
    assert abs(shares[-1] - 0.25) <= 0.25 * SLACK, shares


@pytest.mark.parametrize("policy", POLICIES)
def test_servers_share_by_weight(theatre, policy):
    """And again after one was away; which of the policies does not matter for that."""
    names = "".join(f"n{number}.example.com. A\n" for number in range(2000))    # for consistent-hash
    theatre.open(pool=configurations.active_active, policy=policy)
    theatre.client.finish()
    client = theatre.stage.load(theatre.front.where, theatre.nsd.where, names, rate=4 * RATE, name="weighing").start()
    client.wait_more(RATE)
    assert_shares(theatre.front, client)
    if policy == "least-outstanding":
        frozen_at = time.monotonic()
        theatre.ns1.freeze()
        theatre.front.wait_event("backend_down", since=frozen_at, backend="ns1")
        theatre.ns1.thaw()
        theatre.front.wait_event("backend_up", since=frozen_at, timeout=20, backend="ns1")
        assert_shares(theatre.front, client)
    result = client.finish()
    for number in ("lost", "wrong", "error_rcodes", "duplicates", "strangers"):
        assert result[number] == 0, (number, result)
