# SPDX-License-Identifier: ISC
"""Every answer of signed zones validates: libunbound asks first the primary, then the mirror."""
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype as rdt
import dns.zone
import pytest
import unbound

import world
from world import own_network  # noqa: F401  (a fixture)

SECURE, INSECURE, BOGUS = "secure", "insecure", "bogus"
TYPES = ("A", "AAAA", "TXT", "MX", "NS", "CNAME", "DNAME", "DS", "SOA", "DNSKEY", "NSEC3PARAM", "CDS", "TYPE65280")

# kind of question: (name, type), what a validator makes of it, and where the zone is opt-out
CASES = {
    "positive": ("www", "A", SECURE, SECURE),
    "positive in upper case": ("UPPER", "A", SECURE, SECURE),
    "escaped name": ("a\\.b", "A", SECURE, SECURE),
    "wildcard answer": ("any.wild", "A", SECURE, INSECURE),
    "wildcard answer two labels deep": ("one.two.wild", "A", SECURE, INSECURE),
    "wildcard NODATA": ("any.wild", "MX", SECURE, INSECURE),
    "the wildcard itself": ("*.wild", "A", SECURE, SECURE),
    "NODATA at the wildcard itself": ("*.wild", "MX", SECURE, SECURE),
    "wildcard blocked by a name": ("any.here.wild", "A", SECURE, INSECURE),
    "wildcard blocked by an ENT": ("any.b.wild", "A", SECURE, INSECURE),
    "wildcard CNAME": ("any.walias", "A", SECURE, INSECURE),
    "CDS at the apex": ("", "CDS", SECURE, SECURE),
    "CDNSKEY at the apex": ("", "CDNSKEY", SECURE, SECURE),
    "NODATA": ("www", "MX", SECURE, SECURE),
    "NODATA at the apex": ("", "MX", SECURE, SECURE),
    "NXDOMAIN": ("nothing", "A", SECURE, INSECURE),
    "NXDOMAIN before all names": ("\\000", "A", SECURE, INSECURE),
    "NXDOMAIN after all names": ("\\255\\255", "A", SECURE, INSECURE),
    "NXDOMAIN deep down": ("x.y.z.www", "A", SECURE, INSECURE),
    "ENT": ("deep.ent", "A", SECURE, SECURE),
    "ENT above ENT": ("ent", "A", SECURE, SECURE),
    "NXDOMAIN below an ENT": ("nothing.ent", "A", SECURE, INSECURE),
    "ENT of a wildcard": ("sub.ent", "A", SECURE, SECURE),
    "ENT of an insecure delegation": ("optent", "A", SECURE, INSECURE),
    "NXDOMAIN below that ENT": ("nothing.optent", "A", SECURE, INSECURE),
    "DS": ("child", "DS", SECURE, SECURE),
    "DS of a child on the same server": ("hosted", "DS", SECURE, SECURE),
    "DS NODATA at a name": ("www", "DS", SECURE, SECURE),
    "DS NODATA at the insecure delegation": ("unsigned", "DS", SECURE, INSECURE),
    "DS NODATA at a delegation below an ENT": ("inner.optent", "DS", SECURE, INSECURE),
    "DS NODATA of a child on the same server": ("plain", "DS", SECURE, INSECURE),
    "DS of nothing": ("nothing", "DS", SECURE, INSECURE),
    "insecure delegation": ("www.unsigned", "A", INSECURE, INSECURE),
    "NXDOMAIN below the insecure delegation": ("nothing.unsigned", "A", INSECURE, INSECURE),
    "insecure delegation below an ENT": ("www.inner.optent", "A", INSECURE, INSECURE),
    "unsigned child on the same server": ("www.plain", "A", INSECURE, INSECURE),
    "secure delegation": ("www.child", "A", SECURE, SECURE),
    "signed child on the same server": ("www.hosted", "A", SECURE, SECURE),
    "NODATA in that child": ("www.hosted", "MX", SECURE, SECURE),
    "CNAME": ("alias", "A", SECURE, SECURE),
    "CNAME of CNAME": ("longer", "AAAA", SECURE, SECURE),
    "CNAME itself": ("longer", "CNAME", SECURE, SECURE),
    "CNAME to a wildcard": ("towild", "A", SECURE, INSECURE),
    "CNAME to nothing": ("tonothing", "A", SECURE, INSECURE),
    "CNAME to NODATA": ("tonodata", "A", SECURE, SECURE),
    "CNAME to an ENT": ("toent", "A", SECURE, SECURE),
    "CNAME below an insecure delegation": ("tounsigned", "A", INSECURE, INSECURE),
    "CNAME below a secure delegation": ("tochild", "A", SECURE, SECURE),
    "CNAME into another zone": ("across", "A", SECURE, SECURE),
    "CNAME to nothing in another zone": ("acrossnothing", "A", SECURE, SECURE),
    "DNAME": ("www.moved", "A", SECURE, SECURE),
    "DNAME, then CNAME": ("alias.moved", "A", SECURE, SECURE),
    "DNAME to nothing": ("nothing.moved", "A", SECURE, INSECURE),
    "DNAME to NODATA": ("www.moved", "MX", SECURE, SECURE),
    "DNAME into another zone": ("www.away", "A", SECURE, SECURE),
    "DNAME into another zone's nothing": ("nothing.away", "A", SECURE, SECURE),
    "NODATA at the DNAME": ("moved", "A", SECURE, SECURE),
}


class Validator:
    """libunbound in this process, with an empty cache."""

    def __init__(self, there):
        self.context = unbound.ub_ctx()
        hints = there.below.write("validator.hints", f". 3600 IN NS ns.\nns. 3600 IN A {world.ROOT}\n")
        conf = there.below.write("validator.conf", world.unbound_options(hints, there.anchors) + """
    aggressive-nsec: no
    harden-below-nxdomain: no
    qname-minimisation: no
    val-log-level: 2
""")
        assert self.context.config(conf) == 0

    def ask(self, name, rdtype):
        """(security, rcode, answer section as text, why bogus)"""
        status, result = self.context.resolve(name.to_text(), rdt.from_text(rdtype), 1)
        assert status == 0, (name, rdtype, status)
        # of a bogus answer libunbound hands out SERVFAIL
        if result.bogus:
            return BOGUS, "SERVFAIL", [], result.why_bogus
        message = dns.message.from_wire(result.packet)
        answer = sorted(f"{rrset.name.to_text().lower()} {rdt.to_text(rrset.rdtype)} {rdata.to_text()}"
                        for rrset in message.answer if rrset.rdtype != rdt.RRSIG for rdata in rrset)
        return (SECURE if result.secure else INSECURE), result.rcode_str, answer, ""


def under(zone, label):
    origin = dns.name.from_text(zone)
    return dns.name.from_text(label, origin) if label else origin


def questions_of(zone, text):
    """Every name that the zone has, its ancestors, and what nobody has beside and below them."""
    parsed = dns.zone.from_text(text, zone + ".", relativize=False, check_origin=False)
    origin = parsed.origin
    names = set()
    for owner, node in parsed.nodes.items():
        if node.get_rdataset(1, rdt.NSEC3):
            continue
        while owner != origin:
            names.add(owner)
            owner = owner.parent()
    beside = {dns.name.Name((label,) + name.labels[keep:]) for name in names
              for label, keep in ((b"0x", 0), (b"zz", 1), (b"*", 0))}
    beside -= {origin}
    listed = [(name, rdtype) for name in sorted(names) for rdtype in TYPES]
    listed += [(name, rdtype) for name in sorted(beside - names) for rdtype in ("A", "DS", "NS")]
    return listed + [(origin, rdtype) for rdtype in TYPES if rdtype != "DS"]


def hashed_names(zone, text):
    """Owners of NSEC3 records, which are no names of the zone (RFC 5155 s.7.2.8), and one below each."""
    parsed = dns.zone.from_text(text, zone + ".", relativize=False, check_origin=False)
    return [(dns.name.Name(label + owner.labels), rdtype) for owner, node in parsed.nodes.items()
            if node.get_rdataset(1, rdt.NSEC3)
            for label, rdtype in (((), "A"), ((), "DS"), ((b"x",), "A"))]


def all_questions(there):
    asked = [(under(zone, label), rdtype) for zone in there.zones for label, rdtype, _, _ in CASES.values()]
    for zone in there.zones:
        asked += questions_of(zone, there.signed[zone].text)
    return sorted(set(asked))


def ask_all(there, questions):
    validator = Validator(there)
    return {question: validator.ask(*question) for question in questions}


def shown(question, result):
    return f"{question[0]} {question[1]}: {result}"


def is_below_insecure_cut(there, name):
    cuts = [under(zone, cut) for zone in there.zones for cut in world.INSECURE_CUTS]
    return any(name.is_subdomain(cut) for cut in cuts)


def is_beyond_nsd(there, name):
    """NSD 4.6 proves nothing below an empty non-terminal that has no NSEC3 record, as only insecure
    delegations lie below it and are opted out; RFC 5155 s.7.2.1 wants the closest *provable* encloser."""
    return any(name.is_subdomain(under(zone, "optent")) for zone in there.zones if "out" in zone)


def wrong_kinds(there, results):
    wrong = []
    for zone in there.zones:
        is_optout = "out" in zone
        for kind, (label, rdtype, usual, optout) in CASES.items():
            result = results.get((under(zone, label), rdtype))
            if result and result[0] != (optout if is_optout else usual):
                wrong.append(f"{kind}: {shown((under(zone, label), rdtype), result)}")
    return wrong


def insecure_without_reason(there, results):
    """Where nothing is opted out, only what lies below an insecure delegation is insecure."""
    return [shown(question, result) for question, result in results.items()
            if result[0] == INSECURE and not is_below_insecure_cut(there, question[0])
            and not any("out" in label for label in question[0].to_text().split("."))
            and "tounsigned" not in question[0].to_text()]


def check(there, results):
    bogus = [shown(*one) for one in results.items() if one[1][0] == BOGUS]
    assert not bogus, f"{len(bogus)} bogus:\n" + "\n".join(bogus[:30])
    wrong = wrong_kinds(there, results) + insecure_without_reason(there, results)
    assert not wrong, f"{len(wrong)} not as they should be:\n" + "\n".join(wrong[:30])


def check_hashed(there):
    """NSD takes such names for ordinary ones where it looks for the closest encloser, so only we are asked."""
    names = [one for zone in there.zones for one in hashed_names(zone, there.signed[zone].text)]
    results = ask_all(there, names)
    wrong = [shown(*one) for one in results.items() if one[1][0] == BOGUS or one[1][1] != "nx domain"]
    assert names and not wrong, f"{len(wrong)} not denied:\n" + "\n".join(wrong[:30])


@pytest.fixture
def there(own_network, stage):  # noqa: F811
    return world.World(stage, health="")    # the primary is to answer, and nobody waits for its return


def test_every_answer_validates_from_the_primary_and_from_the_mirror(there):
    questions = all_questions(there)
    assert len(questions) > 5000
    truth = ask_all(there, questions)
    by_primary, _ = there.answered_by()
    assert by_primary > len(questions) / 2
    check(there, {one: result for one, result in truth.items() if not is_beyond_nsd(there, one[0])})

    assert not there.front.events("zone_unfaithful")

    there.force_failover()
    by_primary, by_mirror = there.answered_by()
    copy = ask_all(there, questions)
    assert there.answered_by()[1] - by_mirror > len(questions) / 2
    assert there.answered_by()[0] == by_primary, "the primary was asked during the failover"
    check(there, copy)
    check_hashed(there)
    differ = [f"{shown(one, copy[one])}, primary {truth[one]}" for one in questions
              if copy[one] != truth[one] and not is_beyond_nsd(there, one[0])]
    assert not differ, f"{len(differ)} differ:\n" + "\n".join(differ[:30])
