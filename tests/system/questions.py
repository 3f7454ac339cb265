# SPDX-License-Identifier: ISC
"""questions - what to ask about a zone: every name, what is near it, every type, in every way."""
import random
import struct

import dns.rdatatype

import zonegen

ALWAYS = [int(dns.rdatatype.from_text(text)) for text in
          ("A", "NS", "CNAME", "SOA", "DNAME", "DS", "RRSIG", "NSEC", "DNSKEY", "NSEC3", "NSEC3PARAM", "ANY",
           "TYPE65280")]
TCP, EDNS, DO, RD, CD = 1, 2, 4, 8, 16
WAYS = [(0, 0), (EDNS, 512), (EDNS, 1232), (EDNS, 4096), (EDNS | DO, 512), (EDNS | DO, 1232), (EDNS | DO, 4096),
        (TCP, 0), (TCP | EDNS, 1232), (TCP | EDNS | DO, 4096)]
ANY_CLASS = 255


def read_zone(text):
    """{owner: types} of a file with one record a line."""
    found = {}
    for line in text.splitlines():
        if not line or line.startswith(";"):
            continue
        owner, _, _, rdtype = line.split(None, 4)[:4]
        found.setdefault(zonegen.parse(owner), set()).add(int(dns.rdatatype.from_text(rdtype)))
    return found


def near(rng, owner, origin):
    """What stands above, below and beside a name, and what could."""
    for i in range(1, len(owner) - len(origin) + 1):
        yield owner[i:]
    yield (b"*",) + owner
    yield (b"child",) + owner
    yield (b"\0",) + owner
    yield (bytes(rng.randrange(256) for _ in range(rng.randrange(1, 9))), b"grand") + owner
    if len(owner) > len(origin):
        head, rest = owner[0], owner[1:]
        yield (head + b"\0",) + rest                                    # the next in canonical order
        if head[-1]:
            before = head[:-1] + bytes([head[-1] - 1])
            yield (before + b"\xff" * min(3, 63 - len(head)),) + rest   # one before
        yield (b"*",) + rest
        yield (b"child", b"*") + rest
        yield (bytes(rng.randrange(256) for _ in range(rng.randrange(1, 9))),) + rest


def is_possible(name):
    return zonegen.length(name) <= 255 and all(0 < len(label) <= 63 for label in name)


def mixed_case(rng, name):
    return tuple(bytes(c ^ 0x20 if (65 <= c <= 90 or 97 <= c <= 122) and rng.random() < 0.5 else c for c in label)
                 for label in name)


def pack(rng, name, rdtype, way, mask, rdclass=1):
    flags, size = way
    flags |= rng.choice((0, RD, RD | CD))
    if rng.random() < 0.5:
        name = mixed_case(rng, name)
    wire = zonegen.wire(name)
    return struct.pack("!BBHHHB", flags, mask, size, rdtype, rdclass, len(wire)) + wire


def about(origin, text, count, seed, mask=7):
    """`count` questions or somewhat more, each as bytes for tests/system/differ."""
    rng = random.Random(f"{origin} {seed}")
    origin = zonegen.parse(origin)
    zone = read_zone(text)
    owners = sorted(zone)
    types = sorted(set(ALWAYS).union(*zone.values()))
    # first what is there, in its own types
    own = [(name, rdtype) for name in owners for rdtype in sorted(zone[name])]
    others = {name for owner in owners for name in near(rng, owner, origin) if is_possible(name)}
    around = sorted(others | set(owners))
    made = 0
    for name, rdtype in own:
        for way in rng.sample(WAYS, max(1, min(len(WAYS), count // 3 // len(own)))):
            made += 1
            yield pack(rng, name, rdtype, way, mask)
    left = max(1, count - made)
    for i in range(left):
        rdclass = 1 if i % 50 else ANY_CLASS
        yield pack(rng, around[i % len(around)], rng.choice(types), rng.choice(WAYS), mask, rdclass)
