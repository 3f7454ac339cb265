# SPDX-License-Identifier: ISC
"""Catalog zones (RFC 9432): members appear and vanish by transfer, within what the operator allows."""
import shutil

import dns.exception
import dns.query
import dns.rcode
import dns.zone
import pytest

import configurations
from catalogs import (CATALOG, Bind, Catalogued, KnotProducer, PowerDns, catalog, is_served, member, pool, rcode,
                      section, wait_mirrored, zone_row)
from servers import Nsd, wait_for

REFUSED, NOERROR = 5, 0
NAMES = [f"m{i}.test" for i in range(1, 11)]


def labels(names):
    """{label: zone}, each member under a label of its own."""
    return {name.split(".")[0]: name for name in names}


def conf(*parts):
    return configurations.HEAD + "".join(parts)


@pytest.fixture
def nsd(stage):
    zones = {name: member() for name in NAMES}
    zones[CATALOG] = catalog(1, labels(NAMES[:2]))
    zones["other.example"] = catalog(1, {})
    return stage.add(Catalogued(stage.folder, zones)).start()


@pytest.fixture
def front(stage, nsd):
    understudy = stage.understudy(conf(pool("main", nsd.where), section())).start()
    understudy.wait_event("catalog_updated", serial="1", members="2", added="2")
    return understudy


def publish(nsd, front, serial, members, name=CATALOG, **options):
    nsd.publish(serial, members, name, **options)
    assert front.ctl("refresh", name)[0] == 0


def test_members_appear_and_vanish(front, nsd):
    for zone in NAMES[:2]:
        wait_for(lambda: is_served(front, zone), f"{zone} to be served")
        wait_mirrored(front, zone)
        assert zone_row(front, zone)["catalog"] == CATALOG + "."
    assert rcode(front, NAMES[2]) == REFUSED
    publish(nsd, front, 2, labels(NAMES[1:3]))
    event = front.wait_event("catalog_updated", serial="2")[1]
    assert (event["members"], event["added"], event["removed"]) == ("2", "1", "1")
    front.wait_event("catalog_member_added", zone=NAMES[2] + ".", pool="main", catalog=CATALOG + ".")
    front.wait_event("catalog_member_removed", zone=NAMES[0] + ".", pool="main")
    assert rcode(front, NAMES[0]) == REFUSED
    wait_mirrored(front, NAMES[2])
    nsd.freeze()
    try:
        wait_for(lambda: is_served(front, NAMES[2]), "the new member out of the mirror")
    finally:
        nsd.thaw()


def test_the_catalog_itself_is_nobodys_business(front, nsd):
    """To clients it is as unlisted as any name that is not ours."""
    wait_mirrored(front, NAMES[0])
    for name in CATALOG, "version." + CATALOG, "m1.zones." + CATALOG:
        for rdtype in "SOA", "TXT", "PTR", "ANY":
            assert rcode(front, name, rdtype) == REFUSED
    with pytest.raises(dns.exception.DNSException):
        dns.zone.from_xfr(dns.query.xfr(front.where[0], CATALOG, port=front.port))
    assert front.json("explain", CATALOG, "SOA")["answer"] == "REFUSED"
    front.configure(conf('allow-transfer = { "127.0.0.1" }\n', pool("main", nsd.where), section()))
    assert front.ctl("reload")[0] == 0
    with pytest.raises(dns.exception.DNSException):
        dns.zone.from_xfr(dns.query.xfr(front.where[0], CATALOG, port=front.port))
    dns.zone.from_xfr(dns.query.xfr(front.where[0], NAMES[0], port=front.port))
    front.configure(conf(pool("main", nsd.where),
                         section(more='allow-catalog-transfer = { "127.0.0.1" }  allow-transfer = { }')))
    assert front.ctl("reload")[0] == 0
    assert rcode(front, CATALOG, "SOA") == NOERROR
    assert rcode(front, CATALOG, "NS") == REFUSED
    zone = dns.zone.from_xfr(dns.query.xfr(front.where[0], CATALOG, port=front.port))
    assert zone.get_rdataset("m1.zones", "PTR")


def test_groups_choose_the_pool_and_forward_only_pools_work(stage, nsd):
    other = stage.add(Nsd(stage.folder, {name: member("192.0.2.2") for name in NAMES}, name="other")).start()
    front = stage.understudy(conf(
        pool("main", nsd.where), pool("edge", None, configurations.backend("ns2", other.where)),
        section(more='group "edge" { pool = "edge" }'))).start()
    front.wait_event("catalog_updated", serial="1")
    publish(nsd, front, 2, {"m1": NAMES[0], "m2": (NAMES[1], {"group": ["nothing of ours", "edge"]})})
    front.wait_event("catalog_member_moved", zone=NAMES[1] + ".", pool="edge", group="edge")
    wait_for(lambda: is_served(front, NAMES[1], "192.0.2.2"), "the other pool to answer")
    assert is_served(front, NAMES[0], "192.0.2.1")
    row = zone_row(front, NAMES[1])
    assert (row["pool"], row["state"], row["group"]) == ("edge", "forwarded", "edge")
    publish(nsd, front, 3, labels(NAMES[:2]))
    front.wait_event("catalog_member_moved", zone=NAMES[1] + ".", pool="main")
    wait_for(lambda: is_served(front, NAMES[1], "192.0.2.1"), "the first pool to answer")
    wait_mirrored(front, NAMES[1])


def test_another_label_begins_the_zone_anew(front, nsd):
    """RFC 9432 s.5.4. The new copy may have an older serial."""
    wait_mirrored(front, NAMES[0])
    generation = zone_row(front, NAMES[0])["generation"]
    publish(nsd, front, 2, {"renamed": NAMES[0], "m2": NAMES[1]})
    front.wait_event("catalog_member_reset", zone=NAMES[0] + ".")
    wait_for(lambda: zone_row(front, NAMES[0])["generation"] > generation, "a transfer of the whole zone")
    assert not front.events("catalog_member_reset", zone=NAMES[1] + ".")


def test_what_a_catalog_may_not_have_is_refused_once(stage, nsd):
    nsd.publish(2, {"tld": "test", "own": CATALOG, "below": "x." + CATALOG, "far": "far.example", "m1": NAMES[0],
                    "zone": NAMES[1]})
    front = stage.understudy(conf(
        pool("main", nsd.where), configurations.zone(NAMES[1]),
        section(more='member-suffixes = { "test", "catalog.example" }'))).start()
    event = front.wait_event("catalog_updated", serial="2")[1]
    assert (event["members"], event["added"], event["refused"]) == ("2", "2", "4")
    reasons = {event["zone"]: event["reason"] for _, event in front.events("catalog_member_refused")}
    assert set(reasons) == {CATALOG + ".", f"x.{CATALOG}.", "far.example.", NAMES[1] + "."}
    assert zone_row(front, "test")["catalog"] == CATALOG + "."


def test_a_broken_catalog_changes_nothing(front, nsd):
    wait_mirrored(front, NAMES[0])
    for serial, options in enumerate([{"version": "1"}, {"version": None},
                                      {"extra": f"m3.zones 0 IN PTR {NAMES[5]}.\n"},
                                      {"extra": f"again.zones 0 IN PTR {NAMES[2]}.\n"}], 2):
        before = len(front.events("zone_rejected"))
        nsd.publish(serial, labels(NAMES[2:3]), **options)
        assert front.ctl("refresh", CATALOG)[0] == 0
        wait_for(lambda: len(front.events("zone_rejected")) > before, f"a word about {options}")
        assert "catalog" in front.events("zone_rejected")[-1][1]["reason"]
    assert is_served(front, NAMES[0]) and is_served(front, NAMES[1])
    assert rcode(front, NAMES[2]) == REFUSED
    publish(nsd, front, 9, labels(NAMES[:3]))
    front.wait_event("catalog_updated", serial="9", added="1", removed="0")


def test_a_mass_deletion_is_held_until_it_is_accepted(front, nsd):
    publish(nsd, front, 2, labels(NAMES))
    front.wait_event("catalog_updated", serial="2", members="10")
    publish(nsd, front, 3, labels(NAMES[:2]))
    held = front.wait_event("catalog_held", serial="3")[1]
    assert (held["members"], held["removed"], held["left"]) == ("10", "8", "2")
    assert front.ctl("retransfer", CATALOG)[0] == 0     # that is no acceptance
    wait_for(lambda: "held" in zone_row(front, CATALOG), "zones to say so")
    code, out, _ = front.ctl("zone", CATALOG)
    assert code == 0 and "accept" in out and NAMES[9] in out
    assert front.ctl("status")[0] == 4
    assert is_served(front, NAMES[9])
    wait_mirrored(front, NAMES[9])
    # a restart does not take it either, and members are there before the primary is
    front.stop()
    nsd.freeze()
    try:
        front.start()
        answered = front.started
        assert rcode(front, NAMES[9]) != REFUSED, "members have to be there when the first query is answered"
        wait_for(lambda: is_served(front, NAMES[9]), "the member out of the mirror")
    finally:
        nsd.thaw()
    assert front.ctl("refresh", CATALOG)[0] == 0
    front.wait_event("catalog_held", since=answered, serial="3")
    assert is_served(front, NAMES[9])
    wait_for(lambda: front.ctl("accept", CATALOG)[0] == 0, "a version to accept")
    event = front.wait_event("catalog_updated", since=answered, serial="3")[1]
    assert (event["members"], event["removed"]) == ("2", "8")
    assert rcode(front, NAMES[9]) == REFUSED
    wait_for(lambda: "held" not in zone_row(front, CATALOG), "nothing to be held")
    assert front.ctl("accept", CATALOG)[0] == 1


def test_a_zone_moves_between_catalogs_only_by_coo(stage, nsd):
    front = stage.understudy(conf(pool("main", nsd.where), section("other.example"), section())).start()
    front.wait_event("catalog_updated", catalog=CATALOG + ".", members="2")
    publish(nsd, front, 2, {"m1": NAMES[0], "new": NAMES[1], "m3": NAMES[2]}, "other.example")
    front.wait_event("catalog_updated", catalog="other.example.", members="1", added="1", refused="2")
    front.wait_event("catalog_member_refused", zone=NAMES[0] + ".", catalog="other.example.")
    assert zone_row(front, NAMES[0])["catalog"] == CATALOG + "."
    wait_mirrored(front, NAMES[0])
    wait_mirrored(front, NAMES[1])
    generations = [zone_row(front, zone)["generation"] for zone in NAMES[:2]]
    publish(nsd, front, 2, {zone.split(".")[0]: (zone, {"coo": ["other.example"]}) for zone in NAMES[:2]})
    front.wait_event("catalog_member_moved", zone=NAMES[0] + ".", catalog="other.example.")
    front.wait_event("catalog_member_reset", zone=NAMES[1] + ".", catalog="other.example.")
    wait_for(lambda: zone_row(front, NAMES[1])["generation"] > generations[1], "a transfer of the whole zone")
    assert zone_row(front, NAMES[0])["generation"] == generations[0]
    publish(nsd, front, 3, {})
    front.wait_event("zone_transferred", zone=CATALOG + ".", serial="3")
    assert is_served(front, NAMES[0]) and is_served(front, NAMES[1])
    assert [zone_row(front, zone)["catalog"] for zone in NAMES[:2]] == ["other.example."] * 2


def test_a_reload_keeps_members_and_may_turn_a_zone_into_a_catalog(stage, nsd):
    front = stage.understudy(conf(pool("main", nsd.where), configurations.zone(CATALOG))).start()
    front.wait_event("zone_transferred", zone=CATALOG + ".")
    front.configure(conf(pool("main", nsd.where), section()))
    assert front.ctl("reload")[0] == 0
    front.wait_event("catalog_updated", members="2")
    assert rcode(front, CATALOG) == REFUSED
    assert front.ctl("reload")[0] == 0
    assert is_served(front, NAMES[0])
    assert not front.events("catalog_member_removed")
    front.configure(conf(pool("main", nsd.where), configurations.zone(NAMES[1])))
    assert front.ctl("reload")[0] == 0
    assert rcode(front, NAMES[0]) == REFUSED and is_served(front, NAMES[1])


def test_members_are_there_from_redis_alone(stage, nsd):
    redis = stage.redis().start()
    front = stage.understudy(conf(configurations.redis(redis), pool("main", nsd.where), section())).start()
    front.wait_event("catalog_updated", serial="1")
    for zone in (CATALOG, *NAMES[:2]):
        wait_for(lambda: zone_row(front, zone)["saved_generation"] == 1, f"{zone} in Redis")
    front.stop()
    nsd.kill()
    shutil.rmtree(front.path("state"))
    front.start()
    wait_for(lambda: is_served(front, NAMES[0]) and is_served(front, NAMES[1]), "members out of Redis")


# ---- Catalogs as other servers make them ----

def producing_bind(stage):
    bind = stage.add(Bind(stage.folder, {CATALOG: catalog(1, labels(NAMES[:1])), NAMES[0]: member()}))

    def add(zone, group):
        bind.contents[zone] = member()
        bind.contents[CATALOG] = catalog(2, {"a": NAMES[0], "b": (zone, {"group": [group]})})
        bind.reload()

    def remove(zone):
        del bind.contents[zone]
        bind.contents[CATALOG] = catalog(3, {"a": NAMES[0]})
        bind.reload()
    return bind, add, remove


def producing_knot(stage):
    knot = stage.add(KnotProducer(stage.folder))
    knot.members = {NAMES[0]: None}

    def add(zone, group):
        knot.members[zone] = group
        knot.reload()

    def remove(zone):
        del knot.members[zone]
        knot.reload()
    return knot, add, remove


def producing_powerdns(stage):
    pdns = stage.add(PowerDns(stage.folder))
    start = pdns.start

    def begin():
        start()
        pdns.add_zone(NAMES[0])
        pdns.util("set-catalog", NAMES[0], CATALOG)
        return pdns

    def add(zone, group):
        pdns.add_zone(zone)
        pdns.util("set-option", zone, "producer", "group", group)
        pdns.util("set-catalog", zone, CATALOG)

    def remove(zone):
        pdns.util("delete-zone", zone)
    pdns.start = begin
    return pdns, add, remove


@pytest.mark.parametrize("produce", [producing_bind, producing_knot, producing_powerdns])
def test_catalogs_of_other_servers(stage, produce):
    """Appears with its group, and vanishes; NOTIFY brings it, with PowerDNS within its own time."""
    primary, add, remove = produce(stage)
    front = stage.understudy("")
    primary.notify = front.port
    primary.start()
    targets = configurations.backend("ns1", primary.where, primary=True) + configurations.mirror(1)
    front.configure(conf(pool("main", None, targets), pool("edge", None, targets),
                         section(more='group "edge" { pool = "edge" }')))
    front.start()
    front.wait_event("catalog_updated", timeout=30)
    wait_for(lambda: is_served(front, NAMES[0]), "the first member to be served")

    def happens(name, **fields):
        def is_there():
            if produce is producing_powerdns:
                front.ctl("refresh", CATALOG)
            return front.events(name, **fields)
        wait_for(is_there, f"{name} {fields}", 30, interval=0.5)

    add(NAMES[1], "edge")
    happens("catalog_member_added", zone=NAMES[1] + ".", group="edge", pool="edge")
    wait_for(lambda: is_served(front, NAMES[1]), "the new member to be served")
    wait_mirrored(front, NAMES[1])
    remove(NAMES[1])
    happens("catalog_member_removed", zone=NAMES[1] + ".")
    assert rcode(front, NAMES[1]) == REFUSED
    assert is_served(front, NAMES[0])
