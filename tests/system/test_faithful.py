# SPDX-License-Identifier: ISC
"""Zones that cannot be mirrored faithfully: told once, shown, and never answered with what is wrong."""
import dns.rcode
import pytest

import configurations
from servers import ask, wait_for
from signing import Signer

PLAIN = """$ORIGIN example.com.
$TTL 300
@ SOA ns1 hostmaster {serial} 3600 600 86400 300
@ NS ns1
ns1 A 192.0.2.1
www A 192.0.2.2
"""
ALIAS = PLAIN + "shop TYPE65401 \\# 5 03777777 00\n"


def given(stage, text):
    stage.nsd_server = stage.nsd({"example.com": text}).start()
    front = stage.understudy(configurations.failover(stage.nsd_server.where)).start()
    front.wait_event("zone_transferred")
    return front


def change(stage, front, text):
    """The next version of the zone is mirrored."""
    serial = str(int(front.json("zone", "example.com")["zone"]["serial"]) + 1)
    stage.nsd_server.write_zone("example.com", text.replace("{serial}", serial))
    stage.nsd_server.reload()
    wait_for(lambda: str(stage.nsd_server.serial("example.com")) == serial, "the new serial")
    assert front.ctl("refresh", "example.com")[0] == 0
    front.wait_event("zone_transferred", serial=serial)
    return serial


def test_alias_is_told_once_and_shown_and_is_no_nodata(stage):
    front = given(stage, ALIAS.format(serial=1))
    _, event = front.wait_event("zone_unfaithful")
    assert (event["zone"], event["serial"], event["owner"]) == ("example.com.", "1", "shop.example.com.")
    assert "ALIAS" in event["reason"]
    shown = front.json("zone", "example.com")["zone"]
    assert shown["faithful"] is False and shown["unfaithful_reason"] == event["reason"]
    assert event["reason"] in front.ctl("zone", "example.com")[1]
    heading, row = front.ctl("zones")[1].splitlines()[:2]
    assert row[heading.index("FAITHFUL"):].split()[0] == "no"

    assert front.ctl("failover", "main", "on")[0] == 0
    for rdtype in ("A", "AAAA"):
        answer = ask(front.where, "shop.example.com", rdtype, use_edns=0)
        assert answer.rcode() == dns.rcode.SERVFAIL
        assert [int(option.code) for option in answer.options if option.otype == 15] == [22]
    assert ask(front.where, "shop.example.com", "TXT").rcode() == dns.rcode.NOERROR
    assert len(ask(front.where, "www.example.com").answer) == 1

    change(stage, front, ALIAS)
    serial = change(stage, front, PLAIN)
    _, healed = front.wait_event("zone_faithful")
    assert healed["serial"] == serial
    assert len(front.events("zone_unfaithful")) == 1
    shown = front.json("zone", "example.com")["zone"]
    assert shown["faithful"] is True and "unfaithful_reason" not in shown


CHAINS = {"NSEC": (None, "NSEC"), "NSEC3": ({}, "NSEC3")}


@pytest.mark.parametrize("kind", CHAINS)
@pytest.mark.parametrize("lost", ["all", "one"])
def test_signed_zone_without_its_whole_chain_is_told(stage, kind, lost):
    nsec3, rdtype = CHAINS[kind]
    signed = Signer(stage.folder).sign("example.com", PLAIN.format(serial=1), nsec3).text.splitlines()
    chain = [line for line in signed if line.split()[3] == rdtype]
    assert len(chain) == 3
    gone = chain if lost == "all" else chain[1:2]
    front = given(stage, "\n".join(line for line in signed if line not in gone) + "\n")
    _, event = front.wait_event("zone_unfaithful")
    assert event["reason"] == ("it is signed, but nothing proves what is not there" if lost == "all"
                               else f"it is signed, but its {kind} chain has a gap")


def test_signatures_that_expire_are_told_and_new_ones_too(stage):
    signer = Signer(stage.folder)
    front = given(stage, signer.sign("example.com", PLAIN.format(serial=1), life=(-3600, 4)).text)
    assert front.json("zone", "example.com")["zone"]["faithful"] is True or front.events("zone_unfaithful")
    _, event = front.wait_event("zone_unfaithful")
    assert event["reason"] == "its signatures have expired" and "owner" not in event
    change(stage, front, signer.sign("example.com", PLAIN.format(serial=2)).text)
    front.wait_event("zone_faithful", serial="2")


def test_what_a_restart_finds_is_told_again(stage):
    front = given(stage, ALIAS.format(serial=1))
    front.wait_event("zone_unfaithful")
    stage.nsd_server.kill()
    assert front.stop() == 0
    front.lines.clear()
    front.start()
    restored, _ = front.wait_event("zone_restored")
    told, _ = front.wait_event("zone_unfaithful")
    assert told >= restored
