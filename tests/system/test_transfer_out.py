# SPDX-License-Identifier: ISC
"""Zones go out to whom `allow-transfer` lets, whole or as differences, and to nobody else."""
import socket
import struct
import subprocess
import time

import dns.exception
import dns.message
import dns.name
import dns.opcode
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import dns.xfr
import dns.zone
import pytest

import configurations
from fake import connect, exchange, receive_message, send_message
from servers import ANSWER_S, IS_SANITIZED, NameServer, ask, wait_for
from test_forward import question

ALGORITHMS = ["hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512"]
SECRET = "c2VjcmV0IG9mIHRoZSB0ZXN0LCAzMiBieXRlcyBsb25nIQ=="
FILLER = "x" * 60


def key_of(algorithm="hmac-sha256", name=None, secret=SECRET):
    return dns.tsig.Key(name or f"{algorithm}.example.", secret, algorithm)


def key_section(name, algorithm="hmac-sha256", secret=SECRET):
    return f'key "{name}" {{ algorithm = "{algorithm}"  secret = "{secret}" }}\n'


KEYS = "".join(key_section(f"{algorithm}.example", algorithm) for algorithm in ALGORITHMS)
ANYBODY_HERE = 'allow-transfer = { "127.0.0.0/8" }\n'


def zone_text(serial, hosts=50, filler=FILLER):
    """A zone in which each version differs from the one before in its SOA and one address."""
    lines = [f"$ORIGIN example.com.\n$TTL 3600\n@ SOA ns h {serial} 3600 600 86400 60\n@ NS ns\nns A 192.0.2.53"]
    lines += [f'h{i} TXT "{i} {filler}"' for i in range(hosts)]
    lines += [f"version A 192.0.2.{serial % 256}", f"only-{serial} A 192.0.2.1"]
    return "\n".join(lines) + "\n"


def front_of(stage, nsd, allow=ANYBODY_HERE, keys=KEYS, head=configurations.HEAD):
    front = stage.understudy(configurations.failover(nsd.where, head=head + keys + allow)).start()
    front.wait_event("zone_transferred")
    return front


def publish(nsd, front, serial, **options):
    """The next version of the zone, until the mirror has it."""
    nsd.write_zone("example.com", zone_text(serial, **options))
    nsd.reload()
    wait_for(lambda: nsd.serial("example.com") == serial, f"NSD to serve serial {serial}")
    front.ctl("refresh", "example.com")
    front.wait_event("zone_transferred", serial=str(serial))


def transfer(where, serial=None, key=None, origin="example.com", zone=None, **options):
    """A zone by AXFR, or `zone` brought up to date by IXFR."""
    zone = zone or dns.zone.Zone(origin)
    query, _ = dns.xfr.make_query(zone, serial=serial, keyring=key, **options)
    if serial is None:
        query.question[0] = dns.rrset.RRset(zone.origin, dns.rdataclass.IN, dns.rdatatype.AXFR)
        query.authority.clear()
    dns.query.inbound_xfr(where[0], zone, query, port=where[1], timeout=60, lifetime=120)
    return zone


def last_event(front, count=1):
    wait_for(lambda: len(front.events("zone_transfer_out")) >= count, "the event of a transfer")
    return front.events("zone_transfer_out")[-1][1]


def ixfr_question(serial, id=1, origin=b"\7example\3com\0"):
    times = struct.pack("!5I", serial, 1, 1, 1, 1)
    authority = b"\xc0\x0c" + struct.pack("!2HIH", 6, 1, 0, 22) + b"\0\0" + times
    return question("example.com", rdtype=251, id=id, counts=(1, 0, 1, 0), rest=authority)


def rcode_of(reply):
    return reply[3] & 15


@pytest.fixture
def nsd(stage):
    return stage.nsd({"example.com": zone_text(1)}).start()


@pytest.fixture
def front(stage, nsd):
    return front_of(stage, nsd)


# ---- What those get who may ----

@pytest.mark.parametrize("algorithm", [None] + ALGORITHMS)
def test_axfr_gives_what_the_primary_has(stage, example_zone, algorithm):
    nsd = stage.nsd({"example.com": example_zone}).start()
    front = front_of(stage, nsd)
    key = key_of(algorithm) if algorithm else None
    assert transfer(front.where, key=key) == transfer(nsd.where)
    event = last_event(front)
    assert event["result"] == "ok" and event["kind"] == "axfr" and event["zone"] == "example.com."
    assert event.get("key") == (f"{algorithm}.example." if algorithm else None)
    assert front.stat("transfers_out") == 1


@pytest.mark.parametrize("algorithm", [None] + ALGORITHMS)
def test_ixfr_gives_the_differences_of_all_steps(front, nsd, algorithm):
    key = key_of(algorithm) if algorithm else None
    old = transfer(front.where, key=key)
    for serial in (2, 3):
        publish(nsd, front, serial)
    assert transfer(front.where, serial=1, key=key, zone=old) == transfer(nsd.where)
    event = last_event(front, 2)
    assert event["kind"] == "ixfr" and event["serial"] == "3"
    assert event["records"] == "14", "the new SOA twice; two steps of two SOAs, two removed, two added"


def test_dig_and_kdig_transfer_with_tsig(front, nsd):
    for tool in (["dig", f"-p{front.port}", "@127.0.0.1"], ["kdig", f"-p{front.port}", "@127.0.0.1"]):
        for algorithm in ALGORITHMS:
            done = subprocess.run(tool + ["-y", f"{algorithm}:{algorithm}.example:{SECRET}", "example.com", "AXFR",
                                          "+tcp"], capture_output=True, text=True, timeout=30)
            assert "only-1" in done.stdout and done.stdout.count("SOA") >= 2, done.stdout + done.stderr
            assert "ailed" not in done.stdout and "WARNING" not in done.stdout + done.stderr


@pytest.mark.parametrize("serial", [1, 2, 0x7fffffff])
def test_ixfr_of_what_we_have_or_newer_is_one_soa(front, serial):
    for is_tcp in (False, True):
        reply = dns.message.from_wire(exchange(front.where, ixfr_question(serial), is_tcp))
        assert reply.rcode() == 0 and reply.flags & dns.flags.AA
        assert len(reply.answer) == 1 and reply.answer[0][0].serial == 1


def test_ixfr_of_an_unknown_serial_is_the_whole_zone(front, nsd):
    publish(nsd, front, 5)
    reply = exchange(front.where, ixfr_question(3), True)
    answer = dns.message.from_wire(reply, one_rr_per_rrset=True).answer
    assert answer[0].rdtype == answer[-1].rdtype == dns.rdatatype.SOA and len(answer) == 50 + 6
    assert answer[1].rdtype != dns.rdatatype.SOA
    assert last_event(front)["kind"] == "axfr"


def test_ixfr_without_soa_is_formerr(front):
    for is_tcp in (False, True):
        assert rcode_of(exchange(front.where, question("example.com", rdtype=251), is_tcp)) == 1


def test_ixfr_over_udp_is_whole_or_one_soa(front, nsd):
    publish(nsd, front, 2)
    reply = dns.message.from_wire(exchange(front.where, ixfr_question(1), False), one_rr_per_rrset=True)
    assert [rr.rdtype for rr in reply.answer].count(dns.rdatatype.SOA) == 4
    publish(nsd, front, 3, filler="y" * 60)     # more than a datagram holds
    reply = dns.message.from_wire(exchange(front.where, ixfr_question(1), False), one_rr_per_rrset=True)
    assert len(reply.answer) == 1 and reply.answer[0][0].serial == 3 and not reply.flags & dns.flags.TC
    assert rcode_of(exchange(front.where, ixfr_question(1), True)) == 0


def test_signed_ixfr_over_udp_without_edns_gets_the_soa_at_least(front, nsd):
    """It was SERVFAIL: 512 bytes less those of the signature were taken for too few."""
    publish(nsd, front, 2, filler="y" * 60)
    query, _ = dns.xfr.make_query(transfer(front.where), serial=1, use_edns=False, keyring=key_of("hmac-sha512"))
    reply = dns.query.udp(query, front.where[0], port=front.where[1], timeout=ANSWER_S, one_rr_per_rrset=True)
    assert reply.had_tsig and reply.rcode() == 0
    assert len(reply.answer) == 1 and reply.answer[0][0].serial == 2


def test_axfr_over_udp_is_formerr(front):
    assert rcode_of(exchange(front.where, question("example.com", rdtype=252), False)) == 1


def test_names_that_are_no_zone_are_notauth(front):
    for name in ("www.example.com", "h1.example.com"):
        assert rcode_of(exchange(front.where, question(name, rdtype=252), True)) == 9


def test_zone_that_never_came_is_servfail(stage):
    nsd = stage.nsd({"example.net": zone_text(1).replace("example.com", "example.net")}).start()
    conf = configurations.failover(nsd.where, head=configurations.HEAD + ANYBODY_HERE)
    front = stage.understudy(conf).start()
    assert rcode_of(exchange(front.where, question("example.com", rdtype=252), True)) == 2


def test_queries_behind_a_transfer_are_answered_too(front):
    with connect(front.where) as connection:
        send_message(connection, question("example.com", rdtype=252, id=7))
        send_message(connection, question("h1.example.com", rdtype=16, id=8))
        ids = {struct.unpack("!H", receive_message(connection)[:2])[0] for _ in range(2)}
        assert ids == {7, 8}


# ---- Who may not ----

BOTH = 'allow-transfer = { "192.0.2.0/24", "192.0.2.0/24 key hmac-sha1.example", ' \
       '"127.0.0.0/8 key hmac-sha256.example" }\n'


@pytest.fixture(params=["primary up", "primary down"])
def strict(stage, nsd, request):
    front = front_of(stage, nsd, BOTH)
    front.is_alone = request.param == "primary down"
    if front.is_alone:
        nsd.kill()
        ask(front.where, "h1.example.com")
        front.wait_event("backend_down")
    return front


@pytest.mark.parametrize("is_tcp", [False, True], ids=["udp", "tcp"])
def test_strangers_are_refused(strict, is_tcp):
    for request in (question("example.com", rdtype=252), ixfr_question(1), ixfr_question(0)):
        reply = exchange(strict.where, request, is_tcp)
        assert rcode_of(reply) == 5 and reply[6:8] == b"\0\0"
    assert strict.stat("transfers_out") == 0


def test_prefix_and_key_must_both_hold(strict):
    assert len(transfer(strict.where, key=key_of("hmac-sha256")).nodes) > 50
    with pytest.raises(dns.xfr.TransferError) as refused:
        transfer(strict.where, key=key_of("hmac-sha1"))     # right, but not from here
    assert refused.value.rcode == dns.rcode.REFUSED
    with pytest.raises(dns.xfr.TransferError) as refused:
        transfer(strict.where)
    assert refused.value.rcode == dns.rcode.REFUSED


def test_wrong_signatures_are_told_apart(strict):
    for key, error in ((key_of(name="nobody.example."), dns.tsig.PeerBadKey),
                       (key_of("hmac-sha512", name="hmac-sha256.example."), dns.tsig.PeerBadKey),
                       (key_of(secret="d3Jvbmc="), dns.tsig.PeerBadSignature)):
        with pytest.raises(error):
            transfer(strict.where, key=key)
        query = dns.message.make_query("example.com", "AXFR")
        query.use_tsig(key)
        assert rcode_of(exchange(strict.where, query.to_wire(), True)) == 9


def test_clock_that_is_off_is_told_in_a_signed_reply(strict, monkeypatch):
    query = dns.message.make_query("example.com", "AXFR")
    query.use_tsig(key_of())
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 1000)
    wire = query.to_wire()
    monkeypatch.undo()
    reply = exchange(strict.where, wire, True)
    assert rcode_of(reply) == 9
    with pytest.raises(dns.tsig.PeerBadTime):
        dns.message.from_wire(reply, keyring=key_of(), request_mac=query.mac)


def test_zone_may_have_a_list_of_its_own(stage, example_zone):
    zones = {name: zone_text(1).replace("example.com", name) for name in ("one.test", "two.test", "three.test")}
    nsd = stage.nsd(zones).start()
    conf = configurations.failover(nsd.where, zones=["one.test"], head=configurations.HEAD + ANYBODY_HERE) + \
        'zone "two.test" { pool = "main"  allow-transfer = { } }\n' \
        'zone "three.test" { pool = "main"  allow-transfer = { "192.0.2.1" } }\n'
    front = stage.understudy(conf).start()
    for name in zones:
        front.wait_event("zone_transferred", zone=name + ".")
    got = {name: rcode_of(exchange(front.where, question(name, rdtype=252), True)) for name in zones}
    assert got == {"one.test": 0, "two.test": 5, "three.test": 5}
    front.configure(conf.replace("192.0.2.1", "127.0.0.1"))
    assert front.ctl("reload")[0] == 0
    assert rcode_of(exchange(front.where, question("three.test", rdtype=252), True)) == 0


# ---- Ordinary queries that are signed ----

def test_mirror_signs_its_answer_to_a_signed_query(strict):
    if not strict.is_alone:
        pytest.skip("while it is up the primary sees to signatures")
    for algorithm in ALGORITHMS:
        key = key_of(algorithm)
        for send in (dns.query.udp, dns.query.tcp):
            for name in ("h1.example.com", "nothing.example.com"):
                query = dns.message.make_query(name, "TXT", use_edns=0)
                query.use_tsig(key)
                reply = send(query, strict.where[0], port=strict.port, timeout=ANSWER_S)
                assert reply.had_tsig and reply.flags & dns.flags.AA
    query = dns.message.make_query("h1.example.com", "TXT")
    query.use_tsig(key_of(name="nobody.example."))
    with pytest.raises(dns.tsig.PeerBadKey):
        dns.query.udp(query, strict.where[0], port=strict.port, timeout=ANSWER_S)


def test_signed_answer_that_does_not_fit_is_truncated_and_signed(stage):
    text = zone_text(1) + "\n".join(f'big TXT "{i} {"z" * 100}"' for i in range(4)) + "\n"
    nsd = stage.nsd({"example.com": text}).start()
    front = front_of(stage, nsd)
    assert front.ctl("failover", "main", "on")[0] == 0
    query = dns.message.make_query("big.example.com", "TXT")
    query.use_tsig(key_of())
    reply = dns.query.udp(query, front.where[0], port=front.port, timeout=ANSWER_S)
    assert reply.had_tsig and reply.flags & dns.flags.TC and not reply.answer
    reply = dns.query.tcp(query, front.where[0], port=front.port, timeout=ANSWER_S)
    assert reply.had_tsig and len(reply.answer[0]) == 4


# ---- While it goes on ----

BIG = 4000
PATIENT = 'tcp-idle = "2m"\n'


@pytest.fixture
def big(stage):
    """A zone of a megabyte: more than waits in the kernel for a client that does not read, and may take its time."""
    nsd = stage.nsd({"example.com": zone_text(1, hosts=BIG, filler="x" * 240)}).start()
    return nsd, front_of(stage, nsd, head=configurations.HEAD + PATIENT)


def ask_for_transfer(where, key=None):
    """A connection on which AXFR has been asked for, with a small window."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(60)
    connection.connect(where)
    query = dns.message.make_query("example.com", "AXFR")
    if key:
        query.use_tsig(key)
    send_message(connection, query.to_wire())
    return connection, query


def begin_transfer(front, key=None):
    """Likewise, and it is under way."""
    begun = front.stat("transfers_out")
    there = ask_for_transfer(front.where, key)
    wait_for(lambda: front.stat("transfers_out") > begun, "the transfer to begin")
    return there


def read_transfer(connection, query, key=None, first=()):
    """The records of the rest, until the second SOA; each signature is verified."""
    records, context, mac = list(first), None, query.mac if key else b""
    while sum(r[1] == dns.rdatatype.SOA for r in records) < 2:
        wire = receive_message(connection)
        assert wire is not None, "closed in the middle"
        message = dns.message.from_wire(wire, keyring=key, request_mac=mac, xfr=True, tsig_ctx=context,
                                        multi=True, one_rr_per_rrset=True)
        context = message.tsig_ctx
        records += [(rr.name, rr.rdtype, rr[0].to_text()) for rr in message.answer]
    return records


def test_messages_are_full_but_leave_others_their_turn(big):
    nsd, front = big
    zone = transfer(front.where)
    event = last_event(front)
    assert len(zone.nodes) == BIG + 4
    assert 15500 < int(event["bytes"]) / int(event["messages"]) < 16384


def test_zone_that_changes_under_a_transfer_is_still_one_version(big):
    nsd, front = big
    key = key_of()
    connection, query = begin_transfer(front, key)
    publish(nsd, front, 2, hosts=BIG, filler="y" * 240)
    publish(nsd, front, 3, hosts=BIG // 2)
    records = read_transfer(connection, query, key)
    assert len(records) == BIG + 6
    assert not any("yyy" in text for _, _, text in records)
    assert records[0] == records[-1] and " 1 3600" in records[0][2]
    assert transfer(front.where) == transfer(nsd.where)


def test_reload_does_not_disturb_a_transfer(big):
    nsd, front = big
    key = key_of()
    connection, query = begin_transfer(front, key)
    with open(front.conf) as file:
        conf = file.read()
    front.configure(conf.replace(SECRET, "bmV3IHNlY3JldA==").replace("127.0.0.0/8", "192.0.2.0/24"))
    assert front.ctl("reload")[0] == 0
    assert len(read_transfer(connection, query, key)) == BIG + 6
    assert rcode_of(exchange(front.where, question("example.com", rdtype=252), True)) == 5


def test_client_that_does_not_read_holds_up_nobody_and_is_closed(big):
    nsd, front = big
    with open(front.conf) as file:
        front.configure(file.read().replace(PATIENT, 'tcp-idle = "2s"\n'))
    assert front.ctl("reload")[0] == 0
    slow = [ask_for_transfer(front.where)[0] for _ in range(4)]
    assert transfer(front.where) == transfer(nsd.where)
    for i in range(100):
        assert ask(front.where, f"h{i}.example.com", "TXT", tcp=i % 2 == 0).rcode() == 0
    wait_for(lambda: len(front.events("zone_transfer_out", result="slow")) == 4, "four slow readers to be closed", 30)
    for connection in slow:
        connection.close()


def test_client_that_goes_away_ends_its_transfer(big):
    nsd, front = big
    connection, _ = ask_for_transfer(front.where)
    receive_message(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    front.wait_event("zone_transfer_out", result="closed")


def test_transfers_at_a_time_have_a_limit(big):
    nsd, front = big
    open_ones = [ask_for_transfer(front.where)[0] for _ in range(40)]     # two workers, eight each
    replies = [receive_message(connection) for connection in open_ones]
    refused = [reply for reply in replies if rcode_of(reply) == 2]
    assert 40 - 16 <= len(refused) < 40 and all(len(reply) < 100 for reply in refused)
    for connection in open_ones:
        connection.close()
    wait_for(lambda: len(front.events("zone_transfer_out")) == 40 - len(refused), "all to end")
    assert len(transfer(front.where).nodes) == BIG + 4


def test_end_of_the_program_does_not_wait_for_slow_readers(big):
    nsd, front = big
    connection, _ = begin_transfer(front)
    assert front.stop() == 0
    connection.close()
    assert front.events("zone_transfer_out", result="stopped")


@pytest.mark.skipif(IS_SANITIZED, reason="memory that was freed stays in quarantine")
@pytest.mark.slow
def test_memory_stays_flat_over_two_hundred_transfers(front, nsd):
    def some(count):
        for i in range(count):
            transfer(front.where, key=key_of(ALGORITHMS[i % 5]) if i % 2 else None)
            connection, _ = ask_for_transfer(front.where)
            connection.close()
    some(20)
    before = front.resident_kb()
    some(200)
    assert front.resident_kb() - before < 1024


@pytest.mark.skipif(IS_SANITIZED, reason="memory that was freed stays in quarantine")
@pytest.mark.slow
def test_generations_go_when_their_transfers_have_ended(big):
    nsd, front = big
    resident = []
    for turn in range(3):
        connections = []
        for serial in range(2 + 4 * turn, 6 + 4 * turn):
            connections.append(begin_transfer(front)[0])
            publish(nsd, front, serial, hosts=BIG, filler=f"{serial:02}" * 120)
        for connection in connections:
            connection.close()
        wait_for(lambda: len(front.events("zone_transfer_out")) == 4 * (turn + 1), "the transfers to end")
        resident.append(front.resident_kb())
    assert resident[2] < resident[0] * 1.3, "four generations at a time were held each time"


# ---- Real secondaries ----

class Secondary(NameServer):
    """Takes example.com from `primary` by TSIG with a key of its own name."""

    def __init__(self, folder, primary):
        super().__init__(folder, self.program)
        self.zones = ["example.com"]
        self.conf = self.write("conf", self.text(primary))

    def start(self):
        self.spawn(self.command())
        self.wait_serving()
        return self

    def notify(self):
        message = dns.message.make_query("example.com", "SOA")
        message.set_opcode(dns.opcode.NOTIFY)
        message.flags = dns.flags.AA | dns.opcode.to_flags(dns.opcode.NOTIFY)
        try:
            dns.query.udp(message, self.where[0], port=self.port, timeout=2)
        except dns.exception.Timeout:
            pass


class NsdSecondary(Secondary):
    program = "nsd"

    def text(self, primary):
        return f"""server:
    ip-address: 127.0.0.1@{self.port}
    server-count: 1
    username: ""
    database: ""
    zonesdir: "{self.folder}"
    pidfile: "{self.path('pid')}"
    xfrdfile: "{self.path('xfrd.state')}"
    zonelistfile: "{self.path('zone.list')}"
    xfrdir: "{self.folder}"
    verbosity: 2
remote-control:
    control-enable: no
key:
    name: nsd.example
    algorithm: hmac-sha256
    secret: {SECRET}
zone:
    name: example.com
    zonefile: example.com.zone
    request-xfr: 127.0.0.1@{primary.port} nsd.example
    allow-notify: 127.0.0.1 NOKEY
"""

    def command(self):
        return ["nsd", "-d", "-c", self.conf]


class KnotSecondary(Secondary):
    program = "knot"

    def text(self, primary):
        return f"""server:
    listen: 127.0.0.1@{self.port}
    rundir: {self.folder}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stdout
    any: info
database:
    storage: {self.folder}
key:
  - id: knot.example
    algorithm: hmac-sha256
    secret: {SECRET}
remote:
  - id: primary
    address: 127.0.0.1@{primary.port}
    key: knot.example
acl:
  - id: notify
    address: 127.0.0.1
    action: notify
template:
  - id: default
    storage: {self.folder}
    semantic-checks: off
zone:
  - domain: example.com
    file: example.com.zone
    master: primary
    acl: notify
"""

    def command(self):
        return ["knotd", "-c", self.conf]


class BindSecondary(Secondary):
    program = "bind"

    def text(self, primary):
        return f"""options {{
    directory "{self.folder}";
    pid-file "{self.path('pid')}";
    session-keyfile "{self.path('session.key')}";
    listen-on port {self.port} {{ 127.0.0.1; }};
    listen-on-v6 {{ none; }};
    recursion no;
    dnssec-validation no;
}};
controls {{ }};
key "bind.example" {{ algorithm hmac-sha256; secret "{SECRET}"; }};
zone "example.com" {{
    type secondary;
    file "example.com.zone";
    primaries {{ 127.0.0.1 port {primary.port} key "bind.example"; }};
    allow-notify {{ 127.0.0.1; }};
}};
"""

    def command(self):
        return ["named", "-g", "-n", "1", "-c", self.conf]


def transfers_of(front, key, count):
    """The kinds of those under this key that went well, once there are so many."""
    kinds = [event["kind"] for _, event in front.events("zone_transfer_out", key=key, result="ok")]
    return kinds if len(kinds) >= count else None


SECONDARIES = [NsdSecondary, KnotSecondary, BindSecondary]
STEPS = 20


@pytest.mark.slow
def test_nsd_knot_and_bind_follow_twenty_steps_by_ixfr(stage, nsd, tmp_path):
    keys = "".join(key_section(f"{s.program}.example") for s in SECONDARIES)
    allow = "allow-transfer = { %s }\n" % ", ".join(f'"127.0.0.0/8 key {s.program}.example"' for s in SECONDARIES)
    front = front_of(stage, nsd, allow, keys)
    folder = tmp_path / "secondaries"
    folder.mkdir()
    secondaries = [stage.add(kind(str(folder), front)).start() for kind in SECONDARIES]
    for serial in range(2, 2 + STEPS):
        publish(nsd, front, serial)
        for secondary in secondaries:
            secondary.notify()
        for secondary in secondaries:
            wait_for(lambda: secondary.serial("example.com") == serial, f"{secondary.name} at {serial}", 30)
    for secondary in secondaries:
        assert ask(secondary.where, f"only-{1 + STEPS}.example.com").answer
        assert ask(secondary.where, "only-1.example.com").rcode() == dns.rcode.NXDOMAIN
        name = f"{secondary.program}.example."
        taken = wait_for(lambda: transfers_of(front, name, 1 + STEPS), f"all transfers to {secondary.name}")
        assert taken == ["axfr"] + ["ixfr"] * STEPS
