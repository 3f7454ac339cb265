# SPDX-License-Identifier: ISC
"""EDNS and CHAOS as clients see them: from us while the primary is up, from us alone, and from
NSD, Knot and BIND. Cookies are exchanged with BIND and NSD under one secret."""
import os
import socket
import struct

import dns.flags
import dns.message
import pytest

import configurations
import servers

ZONE = """$ORIGIN example.com.
@    300 IN SOA ns1 host 7 3600 600 86400 60
@    300 IN NS ns1
ns1  300 IN A 192.0.2.1
www  300 IN A 192.0.2.2
four 300 IN A 192.0.2.1
four 300 IN A 192.0.2.2
four 300 IN A 192.0.2.3
four 300 IN A 192.0.2.4
sub  300 IN NS ns1.sub
ns1.sub 300 IN A 192.0.2.3
"""
OLD_SECRET = "000102030405060708090a0b0c0d0e0f"
SECRET = "e5e973e5a6b2a43f48e7dc849e37bfcf"
NSID, ECS, EXPIRE, COOKIE, KEEPALIVE, PADDING, EDE, ZONEVERSION = 3, 8, 9, 10, 11, 12, 15, 19
FORMERR, NOTIMP, REFUSED, BADVERS, BADCOOKIE = 1, 4, 5, 16, 23
WWW = b"\3www\7example\3com\0"


class Named(servers.NameServer):
    """BIND over one zone file."""

    def __init__(self, folder, zone, content, name="named", extra=""):
        super().__init__(folder, name)
        self.zones = [zone]
        self.write("zone", content)
        self.conf = self.write("named.conf", f"""options {{
    directory "{self.folder}";
    listen-on port {self.port} {{ 127.0.0.1; }};
    listen-on-v6 {{ none; }};
    recursion no;
    minimal-responses yes;
    pid-file none;
    session-keyfile "{self.path('session.key')}";
    {extra}
}};
controls {{ }};
zone "{zone}" {{ type primary; file "zone"; }};
""")

    def start(self):
        self.spawn(["named", "-g", "-c", self.conf, "-n", "1"])
        self.wait_serving()
        return self


# ---- Queries and what comes back, by the byte ----

def option(code, value=b""):
    return struct.pack("!HH", code, len(value)) + value


def query(name=WWW, rdtype=1, rdclass=1, options=None, version=0, flags=0, size=1232, ttl_flags=0, id=4711):
    """`options` None: no OPT."""
    wire = struct.pack("!6H", id, flags, 1, 0, 0, 0 if options is None else 1)
    wire += name + struct.pack("!HH", rdtype, rdclass)
    if options is not None:
        wire += b"\0" + struct.pack("!HHBBHH", 41, size, 0, version, ttl_flags, len(options)) + options
    return wire


def send(where, wire, tcp=False):
    if tcp:
        with socket.create_connection(where, 5) as connection:
            connection.sendall(struct.pack("!H", len(wire)) + wire)
            stream = connection.makefile("rb")
            return stream.read(struct.unpack("!H", stream.read(2))[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(5)
        udp.connect(where)
        udp.send(wire)
        return udp.recv(65535)


class Reply:
    """A reply with its OPT taken apart: `options` is None when there is none."""

    def __init__(self, wire):
        self.wire = wire
        self.flags, = struct.unpack("!H", wire[2:4])
        self.rcode = self.flags & 15
        self.options = None
        at = 12
        counts = struct.unpack("!4H", wire[4:12])
        for _ in range(counts[0]):
            at = self._skip_name(at) + 4
        for _ in range(sum(counts[1:])):
            at = self._skip_name(at)
            rdtype, rdclass, ttl, length = struct.unpack("!HHIH", wire[at:at + 10])
            if rdtype == 41:
                self._take_opt(rdclass, ttl, wire[at + 10:at + 10 + length])
            at += 10 + length
        assert at == len(wire)

    def _skip_name(self, at):
        while self.wire[at] & 0xc0 == 0 and self.wire[at] != 0:
            at += 1 + self.wire[at]
        return at + (2 if self.wire[at] else 1)

    def _take_opt(self, size, ttl, rdata):
        assert self.options is None
        self.size, self.ttl_flags, self.options = size, ttl & 0xffff, {}
        self.version = ttl >> 16 & 0xff
        self.rcode |= ttl >> 24 << 4
        while rdata:
            code, length = struct.unpack("!HH", rdata[:4])
            assert code not in self.options and len(rdata) >= 4 + length
            self.options[code] = rdata[4:4 + length]
            rdata = rdata[4 + length:]

    def message(self):
        return dns.message.from_wire(self.wire, ignore_trailing=True)


def ask(server, *args, tcp=False, **fields):
    return Reply(send(server.where, query(*args, **fields), tcp))


# ---- The stage: one for all tests, since none of them changes what another one sees ----

HEAD = configurations.HEAD + 'nsid = "us-1"  identity = "us"  version = "none of yours"\ntcp-idle = 7s\n'


def write_secrets(folder, *secrets):
    """The file as a whole fleet would share it. Returns its path."""
    path = os.path.join(folder, "secrets")
    with open(path, "w") as file:
        file.write("".join(secret + "\n" for secret in secrets))
    return path


def add_front(stage, name, primary, more=""):
    secrets = write_secrets(stage.folder, SECRET, OLD_SECRET)
    front = stage.understudy(configurations.failover(
        primary.where, head=HEAD + more + f'cookie-secret-file = "{secrets}"\n'), name=name)
    front.start()
    front.wait_event("zone_transferred")
    return front


def take_over(front):
    """From now on the mirror answers alone."""
    assert front.ctl("failover", "main", "on")[0] == 0
    servers.wait_for(lambda: NSID in ask(front, options=option(NSID)).options, "the mirror to answer")


class Theatre:
    """The same zone at NSD, Knot, BIND, at us in front of NSD, and at us with nobody behind.
    NSD reads the same file of secrets as we do; BIND has them in its configuration."""

    def __init__(self, stage):
        secrets = write_secrets(stage.folder, SECRET, OLD_SECRET)
        self.nsd = stage.nsd({"example.com": ZONE}, extra=f"""    answer-cookie: yes
    cookie-secret-file: "{secrets}"
""").start()
        self.knot = stage.knot(self.nsd).start()
        self.named = stage.add(Named(stage.folder, "example.com", ZONE,
                                     extra=f'cookie-secret "{SECRET}";')).start()
        self.strict = stage.add(Named(stage.folder, "example.com", ZONE, name="strict",
                                      extra=f'cookie-secret "{SECRET}"; require-server-cookie yes;')).start()
        mortal = stage.nsd({"example.com": ZONE}, name="mortal").start()
        self.front = add_front(stage, "front", self.nsd)
        self.alone = add_front(stage, "alone", mortal)
        mortal.kill()

    @property
    def references(self):
        return self.nsd, self.knot, self.named

    @property
    def both(self):
        return self.front, self.alone


@pytest.fixture(scope="module")
def theatre(tmp_path_factory):
    stage = servers.Stage(tmp_path_factory.mktemp("edns"))
    yield Theatre(stage)
    stage.close()


# ---- What may not differ between the primary up and down ----

SAME = {
    "no OPT": {},
    "OPT": {"options": b""},
    "DO": {"options": b"", "ttl_flags": 0x8000},
    "size 0": {"options": b"", "size": 0},
    "unknown option": {"options": option(65001, b"abc")},
    "unknown flags": {"options": b"", "ttl_flags": 0x7fff},
    "padding": {"options": option(PADDING, bytes(8))},
    "EDE in a query": {"options": option(EDE, b"\0\0")},
    "version 1": {"options": b"", "version": 1},
    "version 255, options of another shape": {"options": b"!", "version": 255},
    "option longer than OPT": {"options": b"\0\3\0\5a"},
    "half an option": {"options": b"\0\3\0"},
    "COOKIE of 7": {"options": option(COOKIE, b"abcdefg")},
    "EXPIRE of 4": {"options": option(EXPIRE, b"\0\0\0\1")},
    "EXPIRE of 3": {"options": option(EXPIRE, b"abc")},
    "tcp-keepalive by UDP": {"options": option(KEEPALIVE)},
    "ECS with a scope": {"options": option(ECS, b"\0\1\x18\x18\xc0\0\2")},
    "ECS too short": {"options": option(ECS, b"\0\1\x18\0\xc0")},
    "ECS with bits": {"options": option(ECS, b"\0\1\x17\0\xc0\0\3")},
    "ECS of family 3": {"options": option(ECS, b"\0\3\0\0")},
    "ECS, empty": {"options": option(ECS)},
    "id.server": {"name": b"\2id\6server\0", "rdtype": 16, "rdclass": 3, "options": b""},
    "VERSION.bind": {"name": b"\7VERSION\4bind\0", "rdtype": 16, "rdclass": 3},
    "opcode IQUERY": {"flags": 1 << 11},
    "opcode 15": {"flags": 15 << 11},
}


@pytest.mark.parametrize("what", SAME)
def test_what_the_primary_s_clients_see_is_what_the_mirror_s_see(theatre, what):
    up, alone = (ask(server, **SAME[what]) for server in theatre.both)
    assert alone.rcode == up.rcode
    assert alone.flags == up.flags
    assert alone.options == up.options
    if up.options is not None:
        assert (alone.size, alone.ttl_flags, alone.version) == (up.size, up.ttl_flags, up.version)
    assert alone.wire[12:] == up.wire[12:] or up.rcode in (NOTIMP, 0)


# Not what the servers were told to say of themselves; and for a version that nobody knows NSD
# alone does not judge its options, which is the mend that RFC 6891 s.6.1.3 wants: BADVERS.
OWN_WAYS = {"id.server", "VERSION.bind", "version 255, options of another shape"}


@pytest.mark.parametrize("what", sorted(SAME.keys() - OWN_WAYS))
def test_two_references_agree_with_us(theatre, what):
    """With FORMERR some send OPT, some the question, some twelve bytes."""
    ours = ask(theatre.alone, **SAME[what])
    replies = [ask(server, **SAME[what]) for server in theatre.references]
    agreeing = [r for r in replies if r.rcode == ours.rcode and r.flags == ours.flags and
                (ours.rcode == FORMERR or (r.options is None) == (ours.options is None))]
    assert len(agreeing) >= 2, [(r.rcode, hex(r.flags), r.options) for r in [ours] + replies]


def test_badvers_comes_for_any_name(theatre):
    for server in (*theatre.references, theatre.alone, theatre.front):
        assert ask(server, name=b"\1x\0", options=b"", version=1).rcode == BADVERS


def test_unknown_opcode_with_opt_is_answered_with_opt(theatre):
    """As Knot and BIND do; NSD forgets it."""
    for server in (theatre.knot, theatre.named, theatre.alone):
        reply = ask(server, flags=2 << 11, options=b"")
        assert reply.rcode == NOTIMP and reply.options == {}


# ---- What we say of ourselves ----

def test_nsid_is_ours_where_the_answer_is(theatre):
    assert ask(theatre.alone, options=option(NSID)).options == {NSID: b"us-1"}
    assert ask(theatre.alone, options=option(NSID, b"ignored")).options == {NSID: b"us-1"}
    assert ask(theatre.alone, options=b"").options == {}
    refused = ask(theatre.front, name=b"\1x\0", options=option(NSID))
    assert refused.rcode == REFUSED and refused.options == {NSID: b"us-1", EDE: b"\0\x14"}


def test_chaos_names_have_our_texts(theatre):
    for server in theatre.both:
        for name, text in ((b"\2id\6server\0", "us"), (b"\x08hostname\4bind\0", "us"),
                           (b"\7version\6server\0", "none of yours"), (b"\7version\4bind\0", "none of yours")):
            for rdtype in (16, 255):
                reply = ask(server, name=name, rdtype=rdtype, rdclass=3, flags=dns.flags.RD)
                answer = reply.message().answer[0]
                assert answer[0].to_text() == f'"{text}"' and answer.ttl == 0
                assert reply.flags == dns.flags.QR | dns.flags.RD     # no AA, as NSD and Knot have it
        assert ask(server, name=b"\7authors\4bind\0", rdtype=16, rdclass=3).rcode == REFUSED


def test_expire_counts_down_as_at_a_secondary(theatre):
    knot = ask(theatre.knot, b"\7example\3com\0", 6, options=option(EXPIRE)).options[EXPIRE]
    for name, rdtype in ((b"\7example\3com\0", 6), (WWW, 1), (b"\1x" + WWW, 1), (b"\3sub\7example\3com\0", 1)):
        ours = ask(theatre.alone, name, rdtype, options=option(EXPIRE)).options[EXPIRE]
        left = struct.unpack("!I", ours)[0]
        assert 86400 - 300 < left <= 86400
        assert abs(left - struct.unpack("!I", knot)[0]) < 300
    servers.wait_for(lambda: ask(theatre.alone, options=option(EXPIRE)).options[EXPIRE] != ours,
                     "a second to pass")
    assert EXPIRE not in ask(theatre.alone, name=b"\1x\0", options=option(EXPIRE)).options


def test_zoneversion_is_the_serial(theatre):
    version = bytes([2, 0]) + struct.pack("!I", 7)
    for name in (WWW, b"\1x" + WWW, b"\3sub\7example\3com\0", b"\7example\3com\0"):
        assert ask(theatre.alone, name, options=option(ZONEVERSION)).options == {ZONEVERSION: version}
    assert ask(theatre.alone, options=option(ZONEVERSION, version)).options == {}
    assert ZONEVERSION not in ask(theatre.alone, name=b"\1x\0", options=option(ZONEVERSION)).options


def test_keepalive_is_granted_by_tcp_alone(theatre):
    assert ask(theatre.alone, options=option(KEEPALIVE), tcp=True).options == {KEEPALIVE: struct.pack("!H", 70)}
    assert ask(theatre.alone, options=option(KEEPALIVE)).options == {}
    assert ask(theatre.alone, options=b"", tcp=True).options == {}


def test_client_subnet_comes_back_with_scope_0_as_from_bind(theatre):
    for subnet in (b"\0\1\x18\0\xc0\0\2", b"\0\1\0\0", b"\0\2\x20\0\x20\1\x0d\xb8", b"\0\0\0\0"):
        assert ask(theatre.alone, options=option(ECS, subnet)).options == {ECS: subnet}
        assert ask(theatre.named, options=option(ECS, subnet)).options == {ECS: subnet}


def test_all_options_fit_into_512_bytes(theatre):
    name = b"".join(bytes([length]) + b"x" * length for length in (63, 63, 63, 48)) + b"\7example\3com\0"
    everything = b"".join(option(code) for code in (NSID, EXPIRE, KEEPALIVE, ZONEVERSION)) + \
        option(COOKIE, b"abcdefgh") + option(ECS, b"\0\2\x80\0" + bytes(16))
    reply = ask(theatre.alone, name, options=everything, size=512)
    assert len(reply.wire) <= 512
    assert set(reply.options) == {NSID, EXPIRE, ZONEVERSION, COOKIE, ECS}


# ---- Cookies ----

def cookie_from(server, client=b"abcdefgh"):
    cookie = ask(server, options=option(COOKIE, client)).options[COOKIE]
    assert len(cookie) == 24 and cookie[:8] == client
    return cookie


def test_cookies_of_bind_and_nsd_are_good_here(theatre):
    for server in (theatre.named, theatre.nsd):
        cookie = cookie_from(server)
        good = theatre.alone.stat("cookies_good")
        assert ask(theatre.alone, options=option(COOKIE, cookie)).options == {COOKIE: cookie}
        servers.wait_for(lambda: theatre.alone.stat("cookies_good") == good + 1, "the cookie to be counted")


def test_cookies_of_ours_are_good_at_bind(theatre):
    cookie = cookie_from(theatre.alone)
    assert ask(theatre.strict, options=option(COOKIE, cookie)).rcode == 0
    wrong = cookie[:-1] + bytes([cookie[-1] ^ 1])
    assert ask(theatre.strict, options=option(COOKIE, wrong)).rcode == BADCOOKIE


def test_wrong_cookie_is_answered_with_a_good_one(theatre):
    cookie = cookie_from(theatre.alone)
    bad = theatre.alone.stat("cookies_bad")
    reply = ask(theatre.alone, options=option(COOKIE, cookie[:-1] + bytes([cookie[-1] ^ 1])))
    assert reply.rcode == 0 and ask(theatre.strict, options=option(COOKIE, reply.options[COOKIE])).rcode == 0
    servers.wait_for(lambda: theatre.alone.stat("cookies_bad") == bad + 1, "the cookie to be counted")


def test_refusals_and_errors_have_cookies_too(theatre):
    for server in theatre.both:
        reply = ask(server, name=b"\1x\0", options=option(COOKIE, b"abcdefgh"))
        assert reply.rcode == REFUSED and len(reply.options[COOKIE]) == 24


def test_secret_rolls_over_by_reload(theatre, stage):
    old = stage.add(Named(stage.folder, "example.com", ZONE, name="old",
                          extra=f'cookie-secret "{OLD_SECRET}"; require-server-cookie yes;')).start()
    front = add_front(stage, "rolling", theatre.nsd)
    take_over(front)

    old_cookie = cookie_from(old)
    fresh = ask(front, options=option(COOKIE, old_cookie)).options[COOKIE]
    assert front.stat("cookies_good") == 1
    assert fresh != old_cookie and ask(theatre.strict, options=option(COOKIE, fresh)).rcode == 0

    write_secrets(stage.folder, OLD_SECRET, SECRET)
    assert front.ctl("reload")[0] == 0
    assert ask(front, options=option(COOKIE, old_cookie)).options == {COOKIE: old_cookie}
    assert ask(old, options=option(COOKIE, cookie_from(front))).rcode == 0

    write_secrets(stage.folder, OLD_SECRET, "no secret")
    code, _, errors = front.ctl("reload")
    assert code == 1 and "understudy.conf:" in errors and "/secrets:2: this is no secret" in errors
    assert ask(front, options=option(COOKIE, old_cookie)).options == {COOKIE: old_cookie}


# ---- The order of records ----

def first_addresses(server):
    return {ask(server, b"\4four\7example\3com\0", id=i).message().answer[0][0].address for i in range(16)}


def test_records_keep_their_order_unless_told_to_rotate(theatre, stage):
    assert len(first_addresses(theatre.alone)) == 1
    front = add_front(stage, "rotating", theatre.nsd, 'rrset-order = "rotate"\n')
    take_over(front)
    assert len(first_addresses(front)) == 4
    answers = [ask(front, b"\4four\7example\3com\0", id=5).wire for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]       # by the ID, not by chance
