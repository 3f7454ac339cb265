# SPDX-License-Identifier: ISC
"""Catalogs that go wrong: what is held, taken back and accepted; what a removed member may not bring along."""
import threading
import time
from types import SimpleNamespace

import pytest

import configurations
from catalogs import CATALOG, Catalogued, catalog, is_served, member, pool, section, wait_mirrored, zone_row
from relay import Relay
from servers import ANSWER_S, wait_for

NAMES = [f"m{i}.test" for i in range(1, 11)]
OTHER = "other.example"


def labels(names):
    return {name.split(".")[0]: name for name in names}


def conf(*parts):
    return configurations.HEAD + "".join(parts)


@pytest.fixture
def nsd(stage):
    zones = {name: member() for name in NAMES}
    zones[CATALOG] = catalog(1, labels(NAMES))
    zones[OTHER] = catalog(1, {})
    return stage.add(Catalogued(stage.folder, zones)).start()


def begin(stage, *parts):
    front = stage.understudy(conf(*parts)).start()
    front.wait_event("catalog_updated", serial="1", members="10")
    return front


def publish(nsd, front, serial, members, name=CATALOG):
    nsd.publish(serial, members, name)
    assert front.ctl("refresh", name)[0] == 0


@pytest.mark.parametrize("order", ["hold", "rollback"])
def test_accept_ends_the_operators_own_order(stage, nsd, order):
    """What is released is looked at as any version is."""
    front = begin(stage, pool("main", nsd.where), section())
    publish(nsd, front, 2, labels(NAMES[:9]))
    front.wait_event("catalog_updated", serial="2", members="9")
    assert front.ctl(order, CATALOG)[0] == 0
    front.wait_event("zone_held", zone=CATALOG + ".", cause=order)
    if order == "rollback":
        front.wait_event("catalog_updated", serial="1", members="10", added="1")
    nsd.publish(3, labels(NAMES[:1]))
    code, out, err = front.ctl("accept", CATALOG)
    assert code == 0, out + err
    front.wait_event("catalog_held", serial="3", left="1")
    assert is_served(front, NAMES[1])
    wait_for(lambda: front.ctl("accept", CATALOG)[0] == 0, "a version to accept")
    front.wait_event("catalog_updated", serial="3", members="1")
    front.wait_event("zone_transferred", zone=CATALOG + ".", serial="3")
    assert front.ctl("accept", CATALOG)[0] == 1


def test_accept_takes_no_more_than_what_was_told(stage, nsd):
    """The primary goes on losing members while the operator reads how many are gone."""
    front = begin(stage, pool("main", nsd.where), section())
    publish(nsd, front, 2, labels(NAMES[:5]))
    front.wait_event("catalog_held", serial="2", removed="5")
    nsd.publish(3, labels(NAMES[:2]))
    assert front.ctl("accept", CATALOG)[0] == 0
    front.wait_event("catalog_held", serial="3", removed="8")
    assert is_served(front, NAMES[4])
    nsd.publish(4, labels(NAMES[:3]))
    assert front.ctl("accept", CATALOG)[0] == 0
    front.wait_event("catalog_updated", serial="4", members="3")


@pytest.mark.parametrize("is_late_first", [False, True])
def test_a_primary_that_lags_does_not_end_what_is_held(stage, nsd, is_late_first):
    """One has the new version, the other confirms the old one: it can be accepted all the same."""
    late = stage.add(Catalogued(stage.folder, {**{name: member() for name in NAMES}, CATALOG: catalog(1, labels(NAMES))},
                                name="late")).start()
    both = [late, nsd] if is_late_first else [nsd, late]
    targets = "".join(configurations.backend(f"ns{i}", server.where, primary=True) for i, server in enumerate(both))
    targets += configurations.mirror(1)
    front = begin(stage, pool("main", None, targets), section())
    publish(nsd, front, 2, labels(NAMES[:2]))
    front.wait_event("catalog_held", serial="2")
    wait_for(lambda: not zone_row(front, CATALOG)["next_refresh_s"] == 0, "the round to be over")
    assert "held" in zone_row(front, CATALOG)
    assert front.ctl("accept", CATALOG)[0] == 0
    front.wait_event("catalog_updated", serial="2", members="2")


def test_coo_excuses_only_those_that_arrive(stage, nsd):
    """Members that move to a catalog of ours may leave; those that are to move elsewhere are lost."""
    def moving(to):
        return {zone.split(".")[0]: (zone, {"coo": [to]}) for zone in NAMES}

    front = begin(stage, pool("main", nsd.where), section(), section(OTHER))
    publish(nsd, front, 2, moving("nowhere.example"))
    front.wait_event("zone_transferred", zone=CATALOG + ".", serial="2")
    publish(nsd, front, 3, {})
    front.wait_event("catalog_held", serial="3", removed="10")
    assert is_served(front, NAMES[9])
    publish(nsd, front, 4, moving(OTHER))
    front.wait_event("zone_transferred", zone=CATALOG + ".", serial="4")
    publish(nsd, front, 5, {})
    front.wait_event("catalog_held", serial="5", removed="10")
    publish(nsd, front, 6, moving(OTHER))
    publish(nsd, front, 2, labels(NAMES), OTHER)
    front.wait_event("catalog_updated", catalog=OTHER + ".", members="10", moved="10")
    publish(nsd, front, 7, {})
    front.wait_event("zone_transferred", zone=CATALOG + ".", serial="7")
    assert is_served(front, NAMES[9])


def remove(nsd, front):
    """Redis keeps what it has of the member; what comes back is added in a later second."""
    wait_for(lambda: (zone_row(front, NAMES[9]) or {}).get("saved_generation") == 1, "it in Redis")
    saved_at = int(time.time())
    publish(nsd, front, 2, labels(NAMES[:9]))
    front.wait_event("catalog_member_removed", zone=NAMES[9] + ".")
    wait_for(lambda: int(time.time()) > saved_at, "the next second")


def bring_back(nsd, front):
    """The last member, with an earlier serial than what Redis has of it."""
    nsd.write_zone(NAMES[9], member("192.0.2.1", 1))
    nsd.reload()
    wait_for(lambda: nsd.serial(NAMES[9]) == 1, "NSD to have the new one")
    publish(nsd, front, 3, labels(NAMES))
    front.wait_event("catalog_member_added", zone=NAMES[9] + ".", since=front.events("catalog_member_removed")[0][0])
    wait_for(lambda: (zone_row(front, NAMES[9]) or {}).get("serial") == 1, "the new zone in the mirror")


@pytest.fixture
def late_nsd(nsd):
    """The last member has a serial that it will not have again."""
    nsd.write_zone(NAMES[9], member("192.0.2.9", 42))
    nsd.reload()
    wait_for(lambda: nsd.serial(NAMES[9]) == 42, "NSD to have it")
    return nsd


def test_a_member_that_comes_back_is_another_zone(stage, late_nsd):
    """RFC 9432 s.5.3: Redis still has the one that was removed, with a later serial."""
    redis = stage.redis().start()
    front = begin(stage, configurations.redis(redis), pool("main", late_nsd.where), section())
    remove(late_nsd, front)
    bring_back(late_nsd, front)
    wait_mirrored(front, NAMES[9])
    late_nsd.freeze()
    try:
        wait_for(lambda: is_served(front, NAMES[9], "192.0.2.1"), "the new zone out of the mirror")
    finally:
        late_nsd.thaw()


class LateRedis:
    """It brings what it has of a member that came back when it is told to."""

    def __init__(self, stage):
        self.redis = stage.redis().start()
        self.socket = Relay(stage.folder + "/relay.sock", self.redis.socket, self._hold_back).where
        self.is_back, self.is_held, self.is_open = False, threading.Event(), threading.Event()
        self.is_brought = threading.Event()

    def _hold_back(self, way, data):
        if self.is_back and way == "to" and b"HLEN" in data and b"m10.test" in data:
            self.is_held.set()
            self.is_open.wait(ANSWER_S)
        if self.is_held.is_set() and way == "to" and b"HLEN" not in data:
            self.is_brought.set()       # a command after that one
        return False

    def wait_serial(self, serial):
        wait_for(lambda: self.redis.hash("understudy:zone:{m10.test.}").get("serial") == serial, "the new zone in Redis")


@pytest.fixture
def late(stage, late_nsd, request):
    """The primary was quicker than Redis. A parameter: when what Redis has was refreshed."""
    redis = LateRedis(stage)
    front = begin(stage, configurations.redis(redis), pool("main", late_nsd.where), section())
    remove(late_nsd, front)
    if hasattr(request, "param"):
        redis.redis.command("HSET", "understudy:zone:{m10.test.}", "refreshed_at", str(request.param))
    redis.is_back = True
    bring_back(late_nsd, front)
    assert redis.is_held.is_set()
    return SimpleNamespace(redis=redis, front=front)


def test_a_removed_zone_that_redis_brings_late_does_not_replace_the_new_one(late, late_nsd):
    """And then the primary died: what it delivered stays, in Redis, too."""
    front = late.front
    late_nsd.freeze()
    try:
        late.redis.is_open.set()
        late.redis.wait_serial("1")
        wait_for(lambda: is_served(front, NAMES[9], "192.0.2.1"), "the new zone out of the mirror")
        assert zone_row(front, NAMES[9])["serial"] == 1
    finally:
        late_nsd.thaw()


@pytest.mark.parametrize("late", [4102444800], indirect=True, ids=["refreshed later"])
def test_what_another_of_us_has_seen_since_is_not_taken_for_a_removed_zone(late):
    """It may have a later version of the new one: that is taken, and the primary has the last word."""
    at = time.monotonic()
    late.redis.is_open.set()
    late.front.wait_event("zone_restored", zone=NAMES[9] + ".", serial="42", since=at)
    late.front.wait_event("zone_transferred", zone=NAMES[9] + ".", serial="1", since=at)
    late.redis.wait_serial("1")


def test_a_removed_zone_that_came_while_the_new_one_was_held_does_not_replace_it_later(late):
    """The operator holds the zone while Redis has yet to bring the removed one, and accepts it afterwards."""
    front = late.front
    assert front.ctl("hold", NAMES[9])[0] == 0
    late.redis.is_open.set()
    assert late.redis.is_brought.wait(ANSWER_S)
    accepted_at = time.monotonic()
    assert front.ctl("accept", NAMES[9])[0] == 0
    front.wait_event("zone_transferred", zone=NAMES[9] + ".", serial="1", since=accepted_at)
    late.redis.wait_serial("1")
    assert zone_row(front, NAMES[9])["serial"] == 1


def test_a_primary_that_fails_once_does_not_leave_a_removed_zone_in_place(stage, late_nsd):
    """Redis was quicker, and the member that came back could not be had at first: its serial is earlier then."""
    redis = stage.redis().start()
    front = begin(stage, configurations.redis(redis), pool("main", late_nsd.where), section())
    remove(late_nsd, front)
    removed_at = front.events("catalog_member_removed")[0][0]
    late_nsd.stop()
    late_nsd.write_zone(CATALOG, catalog(3, labels(NAMES)))
    late_nsd.write_zone(NAMES[9], member("192.0.2.1", 1))
    late_nsd.block(NAMES[9])
    late_nsd.start()
    assert front.ctl("refresh", CATALOG)[0] == 0
    front.wait_event("zone_restored", zone=NAMES[9] + ".", serial="42", since=removed_at)
    wait_for(lambda: "REFUSED" in (zone_row(front, NAMES[9]).get("last_error") or ""), "a transfer that is refused")
    late_nsd.stop()
    late_nsd.allow(NAMES[9])
    late_nsd.start()
    assert front.ctl("refresh", NAMES[9])[0] == 0
    front.wait_event("zone_transferred", zone=NAMES[9] + ".", serial="1", since=removed_at)
    wait_for(lambda: redis.hash("understudy:zone:{m10.test.}").get("serial") == "1", "the new zone in Redis")
