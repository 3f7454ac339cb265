# SPDX-License-Identifier: ISC
"""worlds - sets of zones that NSD, Knot, BIND and the mirror hold together, to be compared."""
import os
import re
import subprocess
import threading

import configurations
import questions
import references
import servers
import zonegen

HERE = os.path.dirname(os.path.abspath(__file__))
NAMES = ("NSD", "KNOT", "BIND", "MIRROR")
NSD, KNOT, BIND = 1, 2, 4
ALL = NSD | KNOT | BIND

PLAIN_NSEC3 = ("-3", "-", "-H", "0")
SALTED_NSEC3 = ("-3", "a1b2c3d4", "-H", "10")
OPT_OUT = PLAIN_NSEC3 + ("-A",)
OTHER_OPT_OUT = ("-3", "c0ffee", "-H", "1", "-A")
TWO_ALGORITHMS = ("ED25519", "ECDSAP256SHA256")


class World:
    """Zones that are loaded together, the servers that hold them, and the mirror."""

    def __init__(self, stage, folder):
        self.stage, self.folder = stage, str(folder)
        self.zones = {}                 # origin -> (path, bits of the servers that can load it)

    def add(self, origin, text, loaders=ALL, change=None, **signing):
        """`change` takes the lines of the signed zone and returns others."""
        path = os.path.join(self.folder, f"zone{len(self.zones)}")
        write(path, text)
        if signing:
            # whose signatures would have another TTL: dnssec-signzone gives them a month at most
            write(path, text.replace(" 2147483647 IN ", " 604800 IN "))
            path = references.sign(self.folder, origin, path, **signing)
            write(path, references.plain_names(read(path)))
        if change:
            write(path, "".join(change(read(path).splitlines(True))))
        self.zones[origin] = (path, loaders)

    def add_file(self, origin, path, loaders=ALL, **signing):
        to = os.path.join(self.folder, f"file{len(self.zones)}")
        self.add(origin, references.one_a_line(origin, path, to), loaders, **signing)

    def start(self):
        self.references = []
        for bit, kind in ((NSD, references.Nsd), (KNOT, references.Knot), (BIND, references.Bind)):
            held = [(origin, path) for origin, (path, loaders) in self.zones.items() if loaders & bit]
            self.references.append(self.stage.add(kind(self.folder, held)))
            self.references[-1].start()
        for server in self.references:
            server.wait_serving()
        self.mirror = self.stage.understudy(self.configuration()).start()
        for origin in self.zones:
            servers.wait_for(lambda: self.is_mirrored(origin), f"the mirror to hold {origin}", 60)
        for pool in ("bind", "nsd"):
            code, out, err = self.mirror.ctl("failover", pool, "on")
            assert code == 0, out + err
        return self

    def configuration(self):
        """From BIND, which keeps the case of names; what it cannot load from NSD."""
        text = configurations.HEAD
        for name, server in (("bind", self.references[2]), ("nsd", self.references[0])):
            text += f'pool "{name}" {{\n' + configurations.backend(name, server.where, primary=True) + \
                "    mirror { tier = 1 }\n}\n"
        for origin, (_, loaders) in self.zones.items():
            text += configurations.zone(origin.replace("\\", "\\\\"), "bind" if loaders & BIND else "nsd")
        return text

    def is_mirrored(self, origin):
        code, out, _ = self.mirror.ctl("zone", origin, "--json")
        return code in (0, 4) and '"serial"' in out

    def command(self):
        there = zip(NAMES, self.references + [self.mirror])
        return [os.path.join(servers.TOOLS, "differ")] + \
            [f"{name}={server.where[0]}@{server.where[1]}" for name, server in there] + \
            [f"{zonegen.wire(zonegen.parse(origin)).hex()}@{2 if loaders & BIND else 0}"
             for origin, (_, loaders) in self.zones.items()]

    def compare(self, count, seed):
        """Asks `count` questions or somewhat more, the same number of each zone; fails with the report."""
        process = subprocess.Popen(self.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        report = []
        reader = threading.Thread(target=lambda: report.append(process.stdout.read()))
        reader.start()
        for origin, (path, loaders) in self.zones.items():
            for question in questions.about(origin, read(path), -(-count // len(self.zones)), seed, loaders):
                process.stdin.write(question)
        process.stdin.close()
        reader.join()
        text = report[0].decode(errors="replace")
        print(text)
        assert process.wait() == 0, f"zones are in {self.folder}\n{text}"
        assert int(re.search(r"(\d+) questions", text)[1]) >= count


def read(path):
    with open(path) as file:
        return file.read()


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


# ---- The worlds ----

def unsigned(world, seed):
    first = zonegen.Zone("u0.test.", seed).grow(150).delegate("child.u0.test.")
    child = zonegen.Zone("child.u0.test.", seed, others=first.owners).grow(60)
    chained = zonegen.Zone("u1.test.", seed, others=first.owners + child.owners).grow(100)
    for zone in (first, child, chained, zonegen.Zone("U2.test.", seed).grow(150),
                 zonegen.Zone("\\001\\.\\255.x\\032y.test.", seed).grow(60)):
        world.add(zonegen.text(zone.origin), zone.text())
    zeros = zonegen.Zone("\\000.test.", seed, has_zero_bytes=True).grow(100)
    world.add("\\000.test.", zeros.text(), NSD | BIND)
    world.add("u3.test.", zonegen.Zone("u3.test.", seed, has_wildcard_ns=True).grow(100).text(), NSD | KNOT)


def nasty(world, seed):
    world.add_file("nasty.test.", os.path.join(HERE, "zones", "nasty.zone"))
    world.add_file("example.org.", os.path.join(HERE, "zones", "answers.zone"), NSD | BIND)
    world.add_file("example.com.", os.path.join(servers.ROOT, "conf", "example.com.zone"))
    for origin, options in (("nasty.org.", {}), ("nasty.net.", {"denial": SALTED_NSEC3})):
        text = read(os.path.join(HERE, "zones", "nasty.zone")).replace("nasty.test.", origin)
        # what dnssec-signzone refuses
        text = re.sub(r"(?m)^@\t+DNSKEY.*$", "", text)
        path = os.path.join(world.folder, origin)
        write(path, text)
        world.add_file(origin, path, **options)


def signed(world, seed):
    first = zonegen.Zone("s0.test.", seed).grow(100).delegate("child.s0.test.").delegate("plain.s0.test.", False)
    world.add("s0.test.", first.text(), denial=())
    world.add("child.s0.test.", zonegen.Zone("child.s0.test.", seed, name_max=250).grow(50).text(), denial=PLAIN_NSEC3)
    world.add("plain.s0.test.", zonegen.Zone("plain.s0.test.", seed).grow(50).text())
    for origin, options in {"s1.test.": {"denial": PLAIN_NSEC3}, "s2.test.": {"denial": SALTED_NSEC3},
                            "s3.test.": {"denial": OPT_OUT}, "s4.test.": {"algorithms": TWO_ALGORITHMS},
                            "s5.test.": {"change": half_signed, "denial": ()}}.items():
        world.add(origin, zonegen.Zone(origin, seed, others=first.owners, name_max=250).grow(100).text(), **options)
    # Knot loads no zone with two NSEC3PARAM; the first of these are not the least, then they are
    for origin, denials in (("s7.test.", (SALTED_NSEC3, OTHER_OPT_OUT)), ("s8.test.", (OTHER_OPT_OUT, SALTED_NSEC3))):
        zone = zonegen.Zone(origin, seed, others=first.owners, name_max=250).grow(100)
        world.add(origin, zone.text(), NSD | BIND, denial=denials[0], other_denial=denials[1])
    # NSD loads nothing below a DNAME
    hidden = zonegen.Zone("s9.test.", seed, name_max=250, has_hidden_by_dname=True).grow(80)
    world.add("s9.test.", hidden.text(), KNOT | BIND, denial=())
    zeros = zonegen.Zone("s6.test.", seed, has_zero_bytes=True).grow(80)
    world.add("s6.test.", zeros.text(), NSD | BIND, denial=())


def half_signed(lines):
    """Every third signature is gone, but for what a server needs to believe that a zone is signed."""
    def is_kept(line, i):
        fields = line.split()
        return fields[3:4] != ["RRSIG"] or i % 3 or fields[4] in ("SOA", "DNSKEY", "NSEC")
    return [line for i, line in enumerate(lines) if is_kept(line, i)]


def root(world, seed):
    top = zonegen.Zone(".", seed, name_max=250).grow(60).many_cuts(200).delegate("tld.").delegate("test.", False)
    tld = zonegen.Zone("tld.", seed, name_max=250).grow(20).many_cuts(1000).delegate("child.tld.")
    world.add(".", top.text(), denial=())
    world.add("tld.", tld.text(), denial=OPT_OUT)
    world.add("child.tld.", zonegen.Zone("child.tld.", seed).grow(60).text(), denial=())
    world.add("test.", zonegen.Zone("test.", seed, others=tld.owners).grow(60).text())
