# SPDX-License-Identifier: ISC
"""zonegen - makes zones full of corners, the same ones for the same seed.

A name is a tuple of labels in bytes, from the left, without the root's. A zone is written one
record a line, every name whole, so that any server and a simple reader understand it.
"""
import random

LABELS = [b"a", b"b", b"c", b"ab", b"A", b"Zz", b"mIxEd", b"0", b"-", b"_tcp", b"www", b"mail", b"\0", b"\xff",
          b"x*", b"*x", b"**", b"a.b", b" ", b"\\", b'"', b";", b"@", b"$", b"(", b"\x7f", b"\t", b"a\0b", b"[", b"`",
          b"{", b"xn--bcher-kva", b"\0\0", b"q1", b"q2", b"q3", b"q4"]
PLAIN = set(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_*")
TTLS = [0, 1, 30, 60, 300, 3600, 86400, 604800, 2147483647]
STAR = b"*"


def label_text(label):
    return "".join(chr(c) if c in PLAIN else f"\\{c:03d}" for c in label)


def text(name):
    return "".join(label_text(label) + "." for label in name) or "."


def parse(string):
    """The reverse of text(); knows all escapes of master files."""
    labels, label, i = [], bytearray(), 0
    while i < len(string):
        c = string[i]
        if c == "\\" and string[i + 1].isdigit():
            label.append(int(string[i + 1:i + 4]))
            i += 3
        elif c == "\\":
            label.append(ord(string[i + 1]))
            i += 1
        elif c == ".":
            if label:
                labels.append(bytes(label))
            label = bytearray()
        else:
            label.append(ord(c))
        i += 1
    return tuple(labels) + ((bytes(label),) if label else ())


def wire(name):
    return b"".join(bytes([len(label)]) + label for label in name) + b"\0"


def length(name):
    return sum(len(label) + 1 for label in name) + 1


def lower(name):
    return tuple(label.lower() for label in name)


def is_below(name, above):
    """Below, or the name itself."""
    return len(name) >= len(above) and lower(name)[len(name) - len(above):] == lower(above)


def simple_rdata(rng, rdtype, some_name):
    """Rdata of a type that has no rules of its own. some_name() gives a name as text."""
    number = rng.randrange
    hexa = lambda n: bytes(number(256) for _ in range(n)).hex()  # noqa: E731
    return {
        "A": lambda: f"192.0.2.{number(256)}",
        "AAAA": lambda: f"2001:db8::{number(1, 65536):x}",
        "TXT": lambda: " ".join(f'"{"t" * number(60)}{number(10**6)}"' for _ in range(number(1, 4))),
        "MX": lambda: f"{number(100)} {some_name()}",
        "SRV": lambda: f"{number(9)} {number(9)} {number(65536)} {some_name()}",
        "PTR": some_name,
        "CAA": lambda: f'{number(2) * 128} issue "ca{number(99)}.example"',
        "NAPTR": lambda: f'{number(9)} {number(9)} "S" "SIP+D2U" "" {some_name()}',
        "LOC": lambda: f"{number(90)} {number(60)} {number(60)}.000 N {number(180)} 0 0.000 E 9.00m 1m 10m 10m",
        "HINFO": lambda: f'"cpu{number(9)}" "os"',
        "RP": lambda: f"{some_name()} {some_name()}",
        "AFSDB": lambda: f"1 {some_name()}",
        "KX": lambda: f"{number(9)} {some_name()}",
        "SSHFP": lambda: f"4 2 {hexa(32)}",
        "TLSA": lambda: f"3 1 1 {hexa(32)}",
        "SPF": lambda: f'"v=spf1 {number(99)} -all"',
        "CERT": lambda: f"1 {number(65536)} 8 AAAA",
        "URI": lambda: f'{number(9)} {number(9)} "https://h{number(99)}.example/"',
        "HTTPS": lambda: f"{number(1, 9)} {some_name()} alpn=h2 port={number(65536)}",
        "SVCB": lambda: f"0 {some_name()}",
        "TYPE65280": lambda: f"\\# {4} {hexa(4)}",
        "TYPE4711": lambda: f"\\# {9} {hexa(9)}",
    }[rdtype]()


SIMPLE_TYPES = ["A", "A", "A", "AAAA", "TXT", "MX", "SRV", "PTR", "CAA", "NAPTR", "LOC", "HINFO", "RP", "AFSDB", "KX",
                "SSHFP", "TLSA", "SPF", "CERT", "URI", "HTTPS", "SVCB", "TYPE65280", "TYPE4711"]


class Zone:
    """One zone while it grows. `others` are names of other zones, for aliases that lead there.

    Knot 3.2 loses names beside those with a zero byte, BIND loads no NS at a wildcard, and NSD nothing below a DNAME: zones have these on request.
    Whoever makes NSEC3 needs room for "*." before each name: 253 octets at most.
    """

    def __init__(self, origin, seed, others=(), has_wildcard_ns=False, has_hidden_by_dname=False,
                 has_zero_bytes=False, name_max=255):
        self.origin = parse(origin)
        self.rng = random.Random(f"{origin} {seed}")
        self.others = list(others)
        self.name_max = name_max
        self.has_wildcard_ns = has_wildcard_ns
        self.has_hidden_by_dname = has_hidden_by_dname
        self.first_byte = 0 if has_zero_bytes else 1
        self.labels = [label for label in LABELS if has_zero_bytes or 0 not in label]
        self.sets = {}                  # (owner in lower case, type) -> (owner, ttl, [rdata])
        self.types = {}                 # owner in lower case -> types
        self.owners = []                # as they were added
        self.bounds = []                # cuts and owners of DNAME: what is below is hidden

    def add(self, owner, rdtype, *rdata, ttl=None):
        """False when the rules of the DNS leave no place for it there."""
        key = lower(owner)
        there = self.types.setdefault(key, set())
        if length(owner) > self.name_max or "CNAME" in there or rdtype == "CNAME" and there or \
                rdtype == "DNAME" and there & {"DNAME", "NS"} or rdtype == "NS" and "DNAME" in there or \
                not self.has_hidden_by_dname and self.is_against_dname(owner, rdtype):
            return False
        if owner not in self.owners:
            self.owners.append(owner)
        there.add(rdtype)
        name, ttl, old = self.sets.get((key, rdtype), (owner, self.rng.choice(TTLS) if ttl is None else ttl, []))
        self.sets[key, rdtype] = (name, ttl, old + [r for r in rdata if r not in old])
        return True

    def is_against_dname(self, owner, rdtype):
        """Data below a DNAME, or a DNAME above data."""
        if rdtype == "DNAME" and any(len(name) > len(owner) and is_below(name, owner) for name in self.owners):
            return True
        return any((lower(owner[i:]), "DNAME") in self.sets for i in range(1, len(owner)))

    def hidden(self, owner):
        return any(len(owner) > len(bound) and is_below(owner, bound) for bound in self.bounds)

    def label(self):
        if self.rng.random() < 0.15:
            return bytes(self.rng.randrange(self.first_byte, 256) for _ in range(self.rng.randrange(1, 6)))
        return self.rng.choice(self.labels)

    def new_name(self):
        """A name below one that is there; now and then one that something hides."""
        for _ in range(50):
            above = self.rng.choice(self.owners + [self.origin] * 8)
            name = tuple(self.label() for _ in range(self.rng.choice((1, 1, 1, 2, 4)))) + above
            if length(name) <= 240 and (not self.hidden(name) or self.rng.random() < 0.1) and \
                    lower(name) not in self.types:
                return name
        return (b"n%d" % len(self.owners),) + self.origin

    def some_name(self):
        """A target: there, not there, hidden, elsewhere."""
        kind = self.rng.randrange(10)
        if kind < 5:
            return text(self.rng.choice(self.owners))
        if kind < 7:
            name = (self.label(),) + self.rng.choice(self.owners)
            return text(name if length(name) <= 255 else self.origin)
        if kind < 8 and self.bounds:
            name = (b"host",) + self.rng.choice(self.bounds)
            return text(name if length(name) <= 255 else self.origin)
        if kind < 9 and self.others:
            return text(self.rng.choice(self.others))
        return self.rng.choice(("ns.elsewhere.example.", "www.elsewhere.example.", "."))

    # ---- What may grow at a name ----

    def plain(self, owner):
        for rdtype in self.rng.sample(SIMPLE_TYPES, self.rng.choice((1, 1, 1, 2, 3, 6))):
            count = self.rng.choice((1, 1, 1, 2, 3))
            if rdtype in ("HTTPS", "SVCB"):
                count = 1
            self.add(owner, rdtype, *(simple_rdata(self.rng, rdtype, self.some_name) for _ in range(count)))

    def big(self, owner):
        """Too big for 512, for 1232, for 4096 octets."""
        rdtype = self.rng.choice(("A", "AAAA", "TXT", "MX", "TYPE65280"))
        count = self.rng.choice((25, 30, 60, 80, 300))
        self.add(owner, rdtype, *{simple_rdata(self.rng, rdtype, self.some_name) for _ in range(count)})

    def alias(self, owner):
        self.add(owner, "CNAME", self.some_name())

    def loop(self, owner):
        names = [(b"loop%d" % i,) + owner for i in range(self.rng.randrange(1, 5))]
        for i, name in enumerate(names):
            if length(name) <= 255:
                self.add(name, "CNAME", text(names[(i + 1) % len(names)]))

    def chain(self, owner):
        names = [(b"chain%02d" % i,) + owner for i in range(self.rng.randrange(2, 24))]
        if length(names[0]) > 255:
            return
        for here, there in zip(names, names[1:]):
            self.add(here, "CNAME", text(there))
        self.add(names[-1], "CNAME", self.some_name())

    def dname(self, owner):
        if self.add(owner, "DNAME", self.some_name()):
            self.bounds.append(owner)
            if self.rng.random() < 0.5:
                self.add(owner, "A", "192.0.2.66")
            if self.has_hidden_by_dname:
                self.hide_below(owner)

    def server(self, cut):
        """A name server of a cut, and its glue; or the lack of it."""
        kind = self.rng.choice(("inside", "inside", "deep", "self", "missing", "sibling", "apex", "outside", "alias"))
        inside = {"inside": (b"ns%d" % self.rng.randrange(4),), "deep": (b"ns", b"deep"), "self": (),
                  "missing": (b"none",)}
        if kind == "sibling" and self.bounds:
            name = (b"ns%d" % self.rng.randrange(4),) + self.rng.choice(self.bounds)
        elif kind == "apex":
            name = (b"ns1",) + self.origin
        elif kind == "outside":
            return "ns.elsewhere.example."
        elif kind == "alias":
            return self.some_name()
        else:
            name = inside.get(kind, ()) + cut
        if length(name) > 255:
            return "ns.elsewhere.example."
        if kind != "missing" and self.types.get(lower(name), set()) <= {"A", "AAAA", "NS", "DS"}:
            glue = self.rng.choice((("A",), ("AAAA",), ("A", "AAAA"), ("A", "AAAA")))
            for rdtype in glue:
                self.add(name, rdtype, simple_rdata(self.rng, rdtype, self.some_name))
        return text(name)

    def cut(self, owner, server_counts=(1, 1, 2, 3, 6, 14)):
        if lower(owner) in self.types:
            return
        self.bounds.append(owner)
        self.add(owner, "NS", "ns.elsewhere.example.")
        for _ in range(self.rng.choice(server_counts)):
            self.add(owner, "NS", self.server(owner))
        if self.rng.random() < 0.5:
            for _ in range(self.rng.choice((1, 1, 2))):
                self.add(owner, "DS", f"{self.rng.randrange(65536)} 13 2 " +
                         bytes(self.rng.randrange(256) for _ in range(32)).hex())
        if self.rng.random() < 0.3:
            self.hide_below(owner)
        if self.rng.random() < 0.2 and length(owner) < 240:
            self.add((b"deeper",) + owner, "NS", "ns.elsewhere.example.")

    def hide_below(self, bound):
        for name in ((STAR,) + bound, (b"hidden",) + bound, (b"sub", b"hidden") + bound):
            if length(name) <= 255:
                self.rng.choice((self.plain, self.alias))(name)

    def wildcard(self, owner):
        star = (STAR,) + owner
        if length(star) > 255 or lower(star) in self.types:
            return
        kinds = [self.plain, self.plain, self.plain, self.alias, self.alias, self.dname, self.below_wildcard]
        self.rng.choice(kinds + [self.wildcard_ns] * self.has_wildcard_ns)(star)

    def below_wildcard(self, star):
        """The wildcard itself is empty."""
        if length(star) < 240:
            self.plain((b"below",) + star)

    def wildcard_ns(self, star):
        self.add(star, "NS", "ns.elsewhere.example.", self.some_name())

    def long_name(self, owner):
        """As long as a name can be, or with as many labels."""
        room = self.name_max - length(owner)
        if self.rng.random() < 0.5:
            name = (b"x",) * (room // 2) + owner
        else:
            name = owner
            while self.name_max - length(name) >= 2:
                name = (b"y" * min(63, self.name_max - length(name) - 1),) + name
        self.add(name, "TXT", '"long"')
        if self.rng.random() < 0.5 and len(name) > len(self.origin) + 1:
            self.add((STAR,) + name[2:], "A", "192.0.2.77")

    def grow(self, size):
        self.apex()
        kinds = [self.plain] * 9 + [self.wildcard] * 5 + [self.cut] * 5 + [self.alias] * 5 + [self.dname] * 2 + \
            [self.big, self.loop, self.chain]
        for kind in (self.cut, self.cut, self.dname, self.long_name, self.long_name, self.chain, self.loop, self.big):
            kind(self.new_name())
        while len(self.owners) < size:
            self.rng.choice(kinds)(self.new_name())
        return self

    def apex(self):
        minimum = self.rng.choice((0, 60, 3600, 86400))
        self.add(self.origin, "SOA", f"{text((b'ns1',) + self.origin)} {text((b'h.m',) + self.origin)} "
                 f"1 3600 600 1209600 {minimum}", ttl=self.rng.choice((0, 300, 3600, 86400)))
        ns1, ns2 = (b"ns1",) + self.origin, (b"NS2",) + self.origin
        # BIND wants to know the addresses of the root's servers
        elsewhere = ["ns.elsewhere.example."] if self.origin else []
        self.add(self.origin, "NS", text(ns1), text(ns2), *elsewhere, ttl=3600)
        for name in (ns1, ns2):
            self.add(name, "A", simple_rdata(self.rng, "A", None))
            self.add(name, "AAAA", simple_rdata(self.rng, "AAAA", None))
        for rdtype in ("MX", "TXT", "TYPE65280"):
            self.add(self.origin, rdtype, simple_rdata(self.rng, rdtype, self.some_name))

    def delegate(self, child, has_ds=True):
        """A cut whose zone is loaded beside this one."""
        child = parse(child)
        self.bounds.append(child)
        self.add(child, "NS", text((b"ns1",) + child), "ns.elsewhere.example.", ttl=300)
        self.add((b"ns1",) + child, "A", "192.0.2.99", ttl=300)
        if has_ds:
            self.add(child, "DS", "4711 15 2 " + "ab" * 32, ttl=300)
        return self

    def many_cuts(self, count):
        """As a top-level domain has them."""
        for i in range(count):
            self.cut((b"d%04d" % i,) + self.origin, server_counts=(1, 2))
        return self

    def lines(self):
        apex_first = sorted(self.sets.items(), key=lambda item: item[0][1] != "SOA")
        for (_, rdtype), (owner, ttl, rdata) in apex_first:
            for one in rdata:
                yield f"{text(owner)} {ttl} IN {rdtype} {one}"

    def text(self):
        return "\n".join(self.lines()) + "\n"
