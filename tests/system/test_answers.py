# SPDX-License-Identifier: ISC
"""The mirror's answers beside NSD's: some thousand questions on the same zone files."""
import os
import random
import socket
import struct
import subprocess

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rdataclass
import dns.rdatatype as rdt
import dns.zone
import pytest

import servers

HERE = os.path.dirname(os.path.abspath(__file__))
ZONES = {
    "example.com": os.path.join(servers.ROOT, "conf", "example.com.zone"),
    "example.org": os.path.join(HERE, "zones", "answers.zone"),
}
SIGNED = os.path.join(HERE, "zones", "signed.zone")
MINIMAL = "    minimal-responses: yes\n    refuse-any: no"


class Core:
    """tests/system/answer_cli.c: our core over one zone file."""

    def __init__(self, origin, path):
        self.process = subprocess.Popen([os.path.join(servers.TOOLS, "answer_cli"), origin, path],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, wire, is_tcp):
        self.process.stdin.write(struct.pack("!BH", is_tcp, len(wire)) + wire)
        self.process.stdin.flush()
        (length,) = struct.unpack("!H", self.process.stdout.read(2))
        return self.process.stdout.read(length)

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(10) == 0


class Network:
    """NSD by UDP and by one TCP connection."""

    def __init__(self, where):
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.settimeout(5)
        self.udp.connect(where)
        self.where = where
        self.tcp = None

    def ask(self, wire, is_tcp):
        if not is_tcp:
            self.udp.send(wire)
            return self.udp.recv(65535)
        if self.tcp is None:
            self.tcp = socket.create_connection(self.where, 5).makefile("rwb")
        self.tcp.write(struct.pack("!H", len(wire)) + wire)
        self.tcp.flush()
        head = self.tcp.read(2)
        if len(head) < 2:               # the server closes after so many queries
            self.tcp = None
            return self.ask(wire, is_tcp)
        return self.tcp.read(struct.unpack("!H", head)[0])

    def close(self):
        self.udp.close()
        if self.tcp:
            self.tcp.close()


def names_to_ask(zone, rng):
    """Every owner, what is above, below and beside it, and names that nobody has."""
    origin = zone.origin
    owners = {name.derelativize(origin) for name in zone.nodes}
    names = set(owners)
    for owner in owners:
        for _ in range(len(owner) - len(origin)):
            owner = owner.parent()
            names.add(owner)
    for owner in sorted(owners):
        for label in (b"x", b"*", bytes([rng.randrange(256) for _ in range(5)])):
            try:
                names.add(dns.name.Name((label,) + owner.labels))
                names.add(dns.name.Name((label, b"y") + owner.labels))
                if owner != origin:
                    names.add(dns.name.Name((label,) + owner.parent().labels))
            except dns.name.NameTooLong:
                pass
    for length in (63, 40, 1):
        names.add(dns.name.Name((b"q" * length,) * 3 + origin.labels))
    return sorted(names)


def types_to_ask(zone):
    types = {rdataset.rdtype for node in zone.nodes.values() for rdataset in node}
    return sorted(types | {rdt.A, rdt.DS, rdt.DNAME, rdt.ANY, rdt.RRSIG, 0, 41, 1234, 65280, 65535})


def mixed_case(name, rng):
    return dns.name.Name([bytes(rng.choice((c, c ^ 0x20)) if chr(c).isalpha() and c < 128 else c
                                for c in label) for label in name.labels])


def query_wire(name, rdtype, size, flags, rdclass, wants_dnssec=False):
    """By hand: dnspython would not write type 41, or a class of its own."""
    opt = b""
    if size:
        opt = b"\0" + struct.pack("!HHIH", rdt.OPT, size, 0x8000 if wants_dnssec else 0, 0)
    return (struct.pack("!6H", 4711, flags, 1, 0, 0, 1 if opt else 0) + name.to_wire() +
            struct.pack("!HH", rdtype, rdclass) + opt)


def records(section):
    return {(rrset.name.to_text().lower(), int(rrset.rdtype), rrset.ttl, rdata.to_text().lower())
            for rrset in section for rdata in rrset}


def parsed(wire):
    return dns.message.from_wire(wire, raise_on_truncation=False, one_rr_per_rrset=False)


def head(wire, message, question_len):
    """What must be the same to the last bit; AD, RA and Z included. NSD clears CD, which
    RFC 4035 s.3.1.6 wants copied."""
    opt = (message.edns, message.payload, message.ednsflags) if message.edns >= 0 else None
    return {"id": message.id, "flags": dns.flags.to_text(message.flags & ~dns.flags.CD), "rcode": int(message.rcode()),
            "question": wire[12:12 + question_len], "edns": opt}


def lacks_glue(referral, zone_records):
    """NSD 4.6 sends a referral without all of its glue; RFC 9471 s.3.1 wants TC then."""
    cut = referral.authority[0].name
    servers_below = {rdata.target.to_text().lower() for rdata in referral.authority[0]
                     if rdata.target.is_subdomain(cut)}
    glue = {record for record in zone_records if record[0] in servers_below and record[1] in (rdt.A, rdt.AAAA)}
    return not glue <= records(referral.additional)


def is_truncated_referral(ours, theirs, zone_records):
    return (ours.flags & dns.flags.TC and not (ours.flags | theirs.flags) & dns.flags.AA and
            theirs.authority and theirs.authority[0].rdtype == rdt.NS and lacks_glue(theirs, zone_records))


def differences(question, ours_wire, theirs_wire, question_len, zone_records):
    """A sentence for each thing that an NSD would not have said."""
    ours, theirs = parsed(ours_wire), parsed(theirs_wire)
    if question["class"] not in (1, 255):       # NSD's REFUSED has no question
        return [] if ours.rcode() == theirs.rcode() == 5 and not ours.answer else ["not refused"]
    if is_truncated_referral(ours, theirs, zone_records):
        return []
    if question["class"] == 255:                # RFC 1035 s.6.2; NSD forgets it where a chain meets a cut
        theirs.flags &= ~dns.flags.AA
    is_truncated = ours.flags & dns.flags.TC
    ours_head, theirs_head = (head(w, m, question_len) for w, m in ((ours_wire, ours), (theirs_wire, theirs)))
    found = [f"{key}: {ours_head[key]!r}, NSD {theirs_head[key]!r}"
             for key in ours_head if ours_head[key] != theirs_head[key] and not (is_truncated and key == "rcode")]
    if found or is_truncated:
        return found
    if question["type"] == rdt.ANY and ours.answer:
        return compare_any(question, ours, theirs, zone_records)
    for section in ("answer", "authority"):
        mine, other = records(getattr(ours, section)), records(getattr(theirs, section))
        if section == "authority":
            other -= proofs(theirs.authority)
        if mine != other:
            found.append(f"{section}: {sorted(mine - other)}, NSD {sorted(other - mine)}")
    mine, other = records(ours.additional), records(theirs.additional)
    is_referral = any(rrset.rdtype == rdt.NS for rrset in ours.authority)
    # NSD's minimal answers have no additional data but in referrals
    if is_referral and mine != other or not other <= mine or not mine <= zone_records:
        found.append(f"additional: {sorted(mine - other)}, NSD {sorted(other - mine)}")
    return found


def proofs(section):
    """The records of DNSSEC denial, which the mirror does not give (hence no 512 with DO below)."""
    kinds = (rdt.NSEC, rdt.NSEC3)
    return records(rrset for rrset in section if rrset.rdtype in kinds or rrset.covers in kinds)


def compare_any(question, ours, theirs, zone_records):
    """RFC 8482 leaves to the server which RRset it gives; it must be one of the zone's."""
    links = [{record for record in records(side.answer) if record[1] == rdt.CNAME} for side in (ours, theirs)]
    if links[0] != links[1] or not theirs.answer:
        return [f"ANY: {ours.answer}, NSD {theirs.answer}"]
    mine = [rrset for rrset in ours.answer if rrset.rdtype not in (rdt.DNAME, rdt.CNAME, rdt.RRSIG)]
    if not question["is_tcp"] and len(mine) > 1:
        return [f"several RRsets for ANY by UDP: {ours.answer}"]
    known = {record[1:] for record in zone_records}
    # dnspython does not see into the oldest types, so compressed names stay as they are
    lies = [record for record in records(mine) if record[1:] not in known and "\\#" not in record[3]]
    return [f"ANY gave what the zone has not: {lies}"] if lies else []


def compare(core, network, zone, questions):
    zone_records = {(name.derelativize(zone.origin).to_text().lower(), int(rdataset.rdtype), rdataset.ttl,
                     rdata.to_text(origin=zone.origin, relativize=False).lower())
                    for name, node in zone.nodes.items() for rdataset in node for rdata in rdataset}
    wrong = []
    for question in questions:
        wire = query_wire(question["name"], question["type"], question["size"], question["flags"],
                          question["class"], question.get("dnssec", False))
        question_len = len(question["name"].to_wire()) + 4
        ours, theirs = (who.ask(wire, question["is_tcp"]) for who in (core, network))
        assert ours, question
        assert len(ours) <= (65535 if question["is_tcp"] else max(question["size"], 512)), question
        found = differences(question, ours, theirs, question_len, zone_records)
        if found:
            wrong.append((question["name"].to_text(), rdt.to_text(question["type"]), question, found))
    report = "\n".join(f"{name} {rdtype} {question}\n    " + "\n    ".join(found)
                       for name, rdtype, question, found in wrong[:40])
    assert not wrong, f"{len(wrong)} of {len(questions)} answers differ:\n{report}"


@pytest.fixture
def beside(stage):
    """Both sides over one zone file."""
    opened = []

    def start(origin, path):
        with open(path) as file:
            nsd = stage.nsd({origin: file.read()}, extra=MINIMAL).start()
        opened.extend((Core(origin, path), Network(nsd.where)))
        transfer = dns.query.xfr(nsd.where[0], origin, port=nsd.port, relativize=False)
        return opened[-2], opened[-1], dns.zone.from_xfr(transfer, relativize=False)

    yield start
    for side in opened:
        side.close()


def question(rng, name, rdtype, size, is_tcp, **more):
    # RD, CD or neither; AD and Z are never copied
    return {"name": mixed_case(name, rng), "type": rdtype, "size": size, "is_tcp": is_tcp,
            "flags": rng.choice((0, 0x0100, 0x0110)), "class": 1, **more}


@pytest.mark.parametrize("origin", ZONES)
def test_every_name_and_type_gets_the_answer_of_nsd(beside, origin):
    core, network, zone = beside(origin, ZONES[origin])
    rng, types = random.Random(1), types_to_ask(zone)
    questions = [question(rng, name, rdtype, rng.choice((0, 512, 1232, 4096)), rng.random() < 0.2)
                 for name in names_to_ask(zone, rng)
                 for rdtype in (types if name in zone.nodes else rng.sample(types, 12))]
    compare(core, network, zone, questions)


@pytest.mark.parametrize("origin", ZONES)
def test_every_size_truncates_where_nsd_does(beside, origin):
    core, network, zone = beside(origin, ZONES[origin])
    rng = random.Random(2)
    names = {name.derelativize(zone.origin) for name in zone.nodes}
    questions = [question(rng, name, rdtype, size, is_tcp)
                 for name in sorted(names)
                 for rdtype in (rdt.A, rdt.NS, rdt.TXT, rdt.MX)
                 for size, is_tcp in ((0, False), (512, False), (1232, False), (65535, False), (0, True))]
    compare(core, network, zone, questions)


@pytest.mark.parametrize("origin", ZONES)
def test_every_class_is_answered_or_refused_as_nsd_does(beside, origin):
    core, network, zone = beside(origin, ZONES[origin])
    rng = random.Random(3)
    questions = [question(rng, name, rdtype, size, False, **{"class": rdclass})
                 for name in names_to_ask(zone, rng)
                 for rdtype, size in ((rdt.A, 0), (rdt.ANY, 1232))
                 for rdclass in (0, 3, 254, 255, 65535)]
    compare(core, network, zone, questions)


def test_signatures_come_with_what_they_sign_and_only_when_wanted(beside):
    core, network, zone = beside("example.net", SIGNED)
    rng, types = random.Random(4), types_to_ask(zone)
    questions = [question(rng, name, rdtype, size, is_tcp, dnssec=wants_dnssec)
                 for name in names_to_ask(zone, rng)
                 for rdtype in types
                 for size, is_tcp, wants_dnssec in ((1232, False, True), (4096, True, True), (1232, False, False),
                                                    (512, False, False), (0, True, False))]
    compare(core, network, zone, questions)
