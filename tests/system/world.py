# SPDX-License-Identifier: ISC
"""world - a small Internet on loopback: root, a TLD, signed zones behind Understudy, and children.

    127.0.0.1  NSD         . and stage.                      signed, the resolvers' trust anchor
    127.0.0.2  Understudy  nsec.stage. nsec3.stage. ...      what is tested
    127.0.0.4  NSD         the same, as Understudy's primary
    127.0.0.3  NSD         children of these, signed and unsigned
    127.0.0.1 port 5300    the resolver, in tests that have one

Real resolvers follow glue to port 53. So the test goes into a network namespace of its own,
which has a loopback interface and nothing else.
"""
import contextlib
import ctypes
import fcntl
import os
import socket
import struct
import time

import dns.flags
import pytest

import configurations
from servers import Server, ask, try_ask, wait_for
from signing import ECDSA, RSA, Signer

ROOT, FRONT, BELOW, PRIMARY = (f"127.0.0.{last}" for last in (1, 2, 3, 4))
RESOLVER = ("127.0.0.1", 5300)      # BIND listens on addresses of interfaces only
CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1

# How a zone is signed: by name of the zone.
VARIANTS = {
    "nsec": {"tool": "ldns"},
    "nsec3": {"tool": "bind", "nsec3": {}},
    "optout": {"tool": "bind", "nsec3": {"optout": True}},
    "salted": {"tool": "ldns", "nsec3": {"iterations": 10, "salt": "c0ffee"}},
    "saltedout": {"tool": "bind", "nsec3": {"iterations": 10, "salt": "c0ffee", "optout": True}},
    "rollover": {"tool": "ldns", "algorithms": (ECDSA, RSA)},
    "rollover3": {"tool": "ldns", "algorithms": (ECDSA, RSA), "nsec3": {"iterations": 10, "salt": "aa"}},
}

HEAD = """$ORIGIN {name}
$TTL 300
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A {address}
"""

# One of every kind of question. Only `optent` exists for an insecure delegation alone.
KINDS = """@ CDS 0 0 0 00
@ CDNSKEY 0 3 0 AA==
www A 192.0.2.1
www A 192.0.2.2
www AAAA 2001:db8::1
www TXT "one" "two"
mail MX 10 www
*.wild A 192.0.2.3
*.wild TXT "wild"
here.wild A 192.0.2.4
*.walias CNAME www
a.b.wild TXT "makes b.wild an empty non-terminal"
*.sub.ent A 192.0.2.5
host.deep.ent A 192.0.2.6
alias CNAME www
longer CNAME alias
towild CNAME some.wild
tonothing CNAME nothing
tonodata CNAME mail
toent CNAME deep.ent
tounsigned CNAME www.unsigned
tochild CNAME www.child
across CNAME www.nsec.stage.
acrossnothing CNAME nothing.nsec3.stage.
moved DNAME target
www.target A 192.0.2.7
alias.target CNAME www.target
away DNAME nsec3.stage.
_443._tcp.www TLSA 3 1 1 0000000000000000000000000000000000000000000000000000000000000000
a\\.b A 192.0.2.8
UPPER A 192.0.2.9
unsigned NS ns.unsigned
ns.unsigned A 127.0.0.3
inner.optent NS ns.unsigned
child NS ns.child
ns.child A 127.0.0.3
plain NS ns
hosted NS ns
"""
CHILD = """www A 192.0.2.50
sub.ent A 192.0.2.51
*.wild A 192.0.2.52
"""
# nobody waits for a primary that is back
QUICK = """    health { interval = "200ms"  timeout = "200ms"  rise = 2  slow-start = "1s" }
"""
INSECURE_CUTS = ("unsigned", "inner.optent", "plain")


def set_loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH14x", b"lo", 0)
        (flags,) = struct.unpack("16xH14x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))


@pytest.fixture
def own_network():
    """This thread, and all that it starts, in a fresh network namespace; back again at the end."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as home:
        if libc.unshare(CLONE_NEWNET) != 0:
            pytest.skip(f"no network namespace: {os.strerror(ctypes.get_errno())} (run as root)")
        try:
            set_loopback_up()
            yield
        finally:
            assert libc.setns(home.fileno(), CLONE_NEWNET) == 0


class World:
    """Everything but the resolver. `signed` has the signed zones by name."""

    def __init__(self, stage, variants=VARIANTS, more="", nsd_extra="", health=QUICK):
        self.stage = stage
        self.signer = Signer(os.path.join(stage.folder, "keys"))
        self.signed = {}
        self.zones = [f"{variant}.stage" for variant in variants]
        below, fronted, delegations = {}, {}, ""
        for variant, how in variants.items():
            zone = f"{variant}.stage"
            delegations += f"{zone}. NS ns.{zone}.\nns.{zone}. A {FRONT}\n"
            delegations += self._zone(zone, how, more, below, fronted)
        self.anchors = self._top(delegations)
        self.below = stage.nsd(below, name="below", where=(BELOW, 53)).start()
        self.primary = stage.nsd(fronted, name="primary", where=(PRIMARY, 53), extra=nsd_extra).start()
        self.fronted, self.health = list(fronted), health
        self.front = stage.understudy(self._configuration(), address=FRONT, port=53).start()
        self._wait_mirrored(0)

    def _child(self, zone, how, where, address):
        """A signed zone below one of ours. Returns the DS for its parent."""
        signed = self.signer.sign(zone, HEAD.format(name=zone + ".", address=address) + CHILD, **how)
        where[zone] = signed.text
        return signed.ds_records()

    def _zone(self, zone, how, more, below, fronted):
        plain = HEAD + CHILD
        for cut, where, address in (("unsigned", below, BELOW), ("inner.optent", below, BELOW),
                                    ("plain", fronted, FRONT)):
            where[f"{cut}.{zone}"] = plain.format(name=f"{cut}.{zone}.", address=address)
        text = HEAD.format(name=zone + ".", address=FRONT) + KINDS + more
        text += self._child(f"child.{zone}", how, below, BELOW)
        text += self._child(f"hosted.{zone}", how, fronted, FRONT)
        self.signed[zone] = self.signer.sign(zone, text, **how)
        fronted[zone] = self.signed[zone].text
        return self.signed[zone].ds_records()

    def _top(self, delegations):
        tld = self.signer.sign("stage", HEAD.format(name="stage.", address=ROOT) + delegations)
        root = HEAD.format(name=".", address=ROOT) + f"stage. NS ns.stage.\nns.stage. A {ROOT}\n"
        root = self.signer.sign("", root + tld.ds_records())
        self.stage.nsd({".": root.text, "stage": tld.text}, name="top", where=(ROOT, 53)).start()
        return root.ds

    def _configuration(self, mirror=configurations.mirror(1)):
        primary = configurations.backend("ns1", self.primary.where, primary=True)
        return configurations.pool_of(primary + mirror, zones=self.fronted, health=self.health)

    def _wait_mirrored(self, since):
        for zone in self.fronted:
            self.front.wait_event("zone_transferred", since=since, zone=zone + ".")

    @contextlib.contextmanager
    def primary_alone(self):
        """Inside, nobody stands in for it when it is late."""
        self.front.configure(self._configuration(mirror=""))
        assert self.front.ctl("reload")[0] == 0
        yield
        since = time.monotonic()
        self.front.configure(self._configuration())
        assert self.front.ctl("reload")[0] == 0
        self._wait_mirrored(since)

    def answered_by(self):
        """How many answers the primary and the mirror have given."""
        return self.front.stat("answers_primary"), self.front.stat("answers_mirror")

    def queries(self):
        """What Understudy has received from clients: (all, by TCP)."""
        by_tcp = self.front.stat("queries_tcp")
        return self.front.stat("queries_udp") + by_tcp, by_tcp

    def force_failover(self):
        code, out, err = self.front.ctl("failover", "main", "on")
        assert code == 0, err or out


class Resolver(Server):
    """A resolver on 127.0.0.1:5300 that knows the root's address and DS.

    It makes no answer out of the proofs of others, so that each question is asked upstream.
    """

    def __init__(self, folder, world, name):
        super().__init__(folder, name)
        self.where = RESOLVER
        self.hints = self.write("root.hints", f". 3600 IN NS ns.\nns. 3600 IN A {ROOT}\n")
        self.spawn(self.command(world.anchors))
        wait_for(lambda: self.is_up(), f"{name} to resolve")

    def is_up(self):
        if not self.is_running():
            raise AssertionError(f"{self.name} ended:\n{self.log_text()}")
        answer = try_ask(self.where, "ns.stage.", "A", timeout=2, want_dnssec=True)
        return answer is not None and answer.answer

    def ask(self, name, rdtype):
        answer = ask(self.where, name, rdtype, timeout=15, want_dnssec=True)
        if answer.flags & dns.flags.TC:
            answer = ask(self.where, name, rdtype, tcp=True, timeout=15, want_dnssec=True)
        return answer


class Unbound(Resolver):
    def command(self, anchors):
        conf = self.write("unbound.conf", unbound_options(self.hints, anchors) + f"""
    interface: {RESOLVER[0]}@{RESOLVER[1]}
    username: ""
    chroot: ""
    directory: "{self.folder}"
    pidfile: "{self.path('pid')}"
    use-syslog: no
    verbosity: 1
    num-threads: 1
    aggressive-nsec: no
remote-control:
    control-enable: no
""")
        return ["unbound", "-d", "-c", conf]


def unbound_options(hints, anchors):
    text = f"""server:
    root-hints: "{hints}"
    do-not-query-localhost: no
    module-config: "validator iterator"
    harden-algo-downgrade: yes
    do-ip6: no
"""
    return text + "".join(f'    trust-anchor: ". DS {ds}"\n' for ds in anchors)


class Bind(Resolver):
    def command(self, anchors):
        initial = "".join('    . static-ds %s %s %s "%s";\n' % tuple(ds.split()) for ds in anchors)
        conf = self.write("named.conf", f"""options {{
    directory "{self.folder}";
    pid-file none;
    session-keyfile none;
    listen-on port {RESOLVER[1]} {{ {RESOLVER[0]}; }};
    listen-on-v6 {{ none; }};
    dnssec-validation yes;
    recursion yes;
    allow-recursion {{ any; }};
    prefetch 0;
    synth-from-dnssec no;
}};
controls {{ }};
trust-anchors {{
{initial}}};
zone "." {{ type hint; file "{self.hints}"; }};
""")
        return ["named", "-g", "-n", "1", "-c", conf]


class Recursor(Resolver):
    def command(self, anchors):
        anchor = "".join(f'addTA(".", "{ds}")\n' for ds in anchors)
        lua = self.write("anchors.lua", 'clearTA(".")\n' + anchor)
        self.write("recursor.conf", f"""local-address={RESOLVER[0]}
local-port={RESOLVER[1]}
socket-dir={self.folder}
hint-file={self.hints}
lua-config-file={lua}
dnssec=validate
dont-query=
aggressive-nsec-cache-size=0
threads=1
daemon=no
disable-syslog=yes
log-timestamp=no
security-poll-suffix=
setuid=
setgid=
""")
        return ["pdns_recursor", f"--config-dir={self.folder}"]


RESOLVERS = {"unbound": Unbound, "bind": Bind, "recursor": Recursor}
