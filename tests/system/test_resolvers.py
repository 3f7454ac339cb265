# SPDX-License-Identifier: ISC
"""Validating resolvers see a failover as nothing at all: each answer secure, no query more than needed."""
import time
from concurrent.futures import ThreadPoolExecutor

import dns.flags
import dns.rcode
import pytest

import world
from signing import ECDSA, ED25519
from test_validators import CASES, is_beyond_nsd, shown, under
from world import own_network  # noqa: F401  (a fixture)

# with two short algorithms, since long signatures would need TCP anyway
VARIANTS = {"nsec": world.VARIANTS["nsec"], "nsec3": world.VARIANTS["nsec3"],
            "rollover": {"tool": "ldns", "algorithms": (ECDSA, ED25519)}}
ACTS = ("well", "struck", "mended")
HOSTS = 60
ASKERS = 8
COOKIES = "    answer-cookie: yes\n"

STRIKES = {
    "killed": (lambda primary: primary.kill(), lambda primary: primary.start(wait=False)),
    "frozen": (lambda primary: primary.freeze(), lambda primary: primary.thaw()),
}


def hosts():
    return "".join(f"{act}{i} A 192.0.2.{i}\n{act}text{i} TXT x\n{act}alias{i} CNAME {act}target{i}\n"
                   f"{act}target{i} A 192.0.2.{i}\n" for act in ACTS for i in range(HOSTS))


def questions_of(there, act):
    """(name, type, rcode, records in the answer). Each name once: Unbound asks for A before other types."""
    asked = []
    for i in range(HOSTS):
        for zone in there.zones:
            asked += [(f"{act}{i}.{zone}", "A", "NOERROR", 1), (f"{act}text{i}.{zone}", "MX", "NOERROR", 0),
                      (f"{act}alias{i}.{zone}", "A", "NOERROR", 2), (f"{act}none{i}.{zone}", "A", "NXDOMAIN", 0),
                      (f"{act}{i}.wild.{zone}", "A", "NOERROR", 1)]
    return asked


def fault_of(resolver, question):
    """What is wrong with the resolver's answer, or None."""
    name, rdtype, rcode, count = question
    answer = resolver.ask(name, rdtype)
    if dns.rcode.to_text(answer.rcode()) != rcode:
        return f"{name} {rdtype}: {dns.rcode.to_text(answer.rcode())} {answer.options}"
    if not answer.flags & dns.flags.AD:
        return f"{name} {rdtype}: not secure"
    given = sum(len(rrset) for rrset in answer.answer if rrset.rdtype != 46)
    return None if given == count else f"{name} {rdtype}: {given} records"


def ask_all(resolver, questions):
    with ThreadPoolExecutor(ASKERS) as askers:
        faults = list(askers.map(lambda question: fault_of(resolver, question), questions))
    return [fault for fault in faults if fault]


def warm_up(there, resolver):
    """Once what the resolver keeps: servers, keys, and names on the way."""
    for zone in there.zones:
        for name in (f"www.{zone}", f"any.wild.{zone}", f"nothing.{zone}"):
            for rdtype in ("A", "MX"):
                resolver.ask(name, rdtype)


def upstream_of(there, resolver, questions, strike=lambda: None):
    """Asks all, with `strike` in the middle: (queries that Understudy got, by TCP)."""
    before = there.queries()
    third = len(questions) // 3
    faults = ask_all(resolver, questions[:third])
    with ThreadPoolExecutor(1) as striker:
        struck = striker.submit(strike)
        faults += ask_all(resolver, questions[third:])
        struck.result()
    assert not faults, f"{len(faults)} of {len(questions)}:\n" + "\n".join(faults[:20])
    after = there.queries()
    return after[0] - before[0], after[1] - before[1]


@pytest.mark.timing     # a slow answer makes a resolver ask again
@pytest.mark.parametrize("fault", STRIKES)
@pytest.mark.parametrize("kind", world.RESOLVERS)
def test_resolver_notices_no_failover(own_network, stage, kind, fault):  # noqa: F811
    there = world.World(stage, VARIANTS, more=hosts(), nsd_extra=COOKIES)
    resolver = stage.add(world.RESOLVERS[kind](stage.folder, there, kind))
    strike, mend = STRIKES[fault]
    warm_up(there, resolver)

    usual, by_tcp = upstream_of(there, resolver, questions_of(there, "well"))
    assert by_tcp == 0 and usual >= len(questions_of(there, "well"))

    by_primary, by_mirror = there.answered_by()
    struck_at = time.monotonic()
    count, by_tcp = upstream_of(there, resolver, questions_of(there, "struck"), lambda: strike(there.primary))
    assert there.answered_by()[0] > by_primary and there.answered_by()[1] > by_mirror + count / 2
    assert by_tcp == 0
    assert count <= usual * 1.01

    there.front.wait_event("backend_down", since=struck_at)
    mended_at = time.monotonic()
    mend(there.primary)
    there.front.wait_event("backend_up", since=mended_at, timeout=60)
    by_primary, _ = there.answered_by()
    count, by_tcp = upstream_of(there, resolver, questions_of(there, "mended"))
    assert there.answered_by()[0] > by_primary + count / 2
    assert by_tcp == 0
    assert count <= usual * 1.01


def views(there, kind):
    """What a fresh resolver makes of each kind of question: {(name, type): (rcode, is secure)}."""
    resolver = there.stage.add(world.RESOLVERS[kind](there.stage.folder, there, kind))
    seen = {}
    for zone in there.zones:
        for label, rdtype, _, _ in CASES.values():
            answer = resolver.ask(f"{label}.{zone}" if label else zone, rdtype)
            seen[under(zone, label), rdtype] = (dns.rcode.to_text(answer.rcode()), bool(answer.flags & dns.flags.AD))
    resolver.stop()
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("kind", world.RESOLVERS)
def test_resolver_sees_in_the_mirror_what_it_sees_in_the_primary(own_network, stage, kind):  # noqa: F811
    there = world.World(stage)
    with there.primary_alone():
        truth = views(there, kind)
    by_primary, by_mirror = there.answered_by()
    assert by_primary > len(truth) and by_mirror == 0
    there.force_failover()
    copy = views(there, kind)
    assert there.answered_by()[0] == by_primary
    assert not [shown(*one) for one in copy.items() if one[1][0] == "SERVFAIL"]
    differ = [f"{shown(one, copy[one])}, primary {truth[one]}" for one in copy
              if copy[one] != truth[one] and not is_beyond_nsd(there, one[0])]
    assert not differ, f"{len(differ)} differ:\n" + "\n".join(differ[:30])
