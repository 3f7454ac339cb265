# SPDX-License-Identifier: ISC
"""AF_XDP: queries from a cable, past the kernel, and the kernel's way whenever that is not there."""
import contextlib
import json
import os
import re
import socket
import struct
import subprocess
import time

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.tsig
import pytest

import configurations
from network import Cable, ip
from servers import ANSWER_S, BUILD, TOOLS, ask, try_ask, wait_for

ZONE = """$ORIGIN x.test.
$TTL 60
@ SOA ns hostmaster 1 3600 600 1209600 60
@ NS ns
ns A 192.0.2.1
www A 198.51.100.1
big TXT %s
huge TXT %s
""" % (" ".join(['"' + "b" * 200 + '"'] * 5), " ".join(['"' + "h" * 250 + '"'] * 12)) + \
    "".join(f"{'n' * length} A 198.51.100.{length}\n" for length in range(1, 60))

has_xdp = b"xdp_steer" in open(os.path.join(BUILD, "understudy"), "rb").read()
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces")


def test_this_build_has_it():
    """What `make check` installs is enough for it; else all else here would be skipped unseen."""
    assert has_xdp


@pytest.fixture
def cable():
    there = Cable()
    yield there
    there.close()


class Act:
    """NSD on loopback, Understudy before it at all addresses; a client at the other end of a cable."""

    def __init__(self, stage, cable, tier=0, interfaces=None, start=True, name="understudy"):
        self.cable = cable
        self.nsd = stage.nsd({"x.test": ZONE}, name=f"nsd-of-{name}").start()
        conf = configurations.HEAD + f'listen-xdp = {{ {interfaces or chr(34) + Cable.name() + chr(34)} }}\n'
        conf = conf.replace('{ "{listen}" }', '{ "0.0.0.0:{port}", "[::]:{port}" }')
        conf += configurations.failover(self.nsd.where, zones=["x.test"], head="") if tier else \
            configurations.mirror_first(self.nsd.where, self.nsd.where, zones=["x.test"], head="")
        self.front = stage.understudy(conf, name=name)
        if start:
            self.start()

    def start(self):
        self.front.start()
        self.front.wait_event("zone_transferred", zone="x.test.")
        return self

    def attached(self):
        """The event; where this machine forbids it, there is nothing to test."""
        event = wait_for(lambda: self.front.events("xdp_attached") + self.front.events("xdp_failed"), "AF_XDP, or not")[0][1]
        if event["event"] == "xdp_failed" and re.search("not permitted|not supported", event["reason"]):
            pytest.skip(event["reason"])
        assert event["event"] == "xdp_attached", event
        return event

    def where(self, family=4):
        return (Cable.server(family), self.front.port)

    def ask(self, name, rdtype="A", family=4, **options):
        with self.cable.client():
            return ask(self.where(family), name, rdtype, **options)

    def by_xdp(self):
        return self.front.stat("queries_xdp")

    @contextlib.contextmanager
    def taken(self, count):
        """So many of the queries inside come by AF_XDP."""
        before = self.by_xdp()
        yield
        assert self.by_xdp() - before == count


@pytest.mark.parametrize("family", [4, 6])
def test_answers_are_the_kernels(stage, cable, family):
    """The client's kernel has verified each checksum; lengths are odd and even; some do not fit."""
    act = Act(stage, cable)
    assert act.attached()["queues"] == "1"
    questions = [("n" * length + ".x.test", "A") for length in range(1, 60)]
    questions += [("www.x.test", "AAAA"), ("no.x.test", "A"), ("big.x.test", "TXT"), ("x.test", "SOA"), ("other.test", "A")]
    with act.taken(len(questions)):
        answers = [act.ask(*question, family, use_edns=0, payload=1232) for question in questions]
    for question, answer in zip(questions, answers):
        own = ask(("127.0.0.1", act.front.port), *question, use_edns=0, payload=1232)
        own.id = answer.id
        assert answer.to_wire() == own.to_wire()
    huge = act.ask("huge.x.test", "TXT", family)
    assert huge.flags & dns.flags.TC
    assert len(act.ask("huge.x.test", "TXT", family, tcp=True).answer[0]) == 1


def test_flood_is_answered_without_a_loss(stage, cable, tmp_path):
    """Rings whose places were counted too closely ended the program after some hundred thousand queries."""
    act = Act(stage, cable)
    act.attached()
    questions = tmp_path / "questions"
    questions.write_text("".join(f"{'n' * length}.x.test. 1\n" for length in range(1, 60)))
    for _ in range(3):          # who is held up for half a second finds queues that have run over
        with cable.client():
            done = subprocess.run([os.path.join(TOOLS, "bench", "flood"), "-s", f"{Cable.server()}:{act.front.port}",
                                   "-q", str(questions), "-d", "2", "-w", "256"], check=True, capture_output=True, text=True)
        result = json.loads(done.stdout)
        if result["lost"] == 0:
            break
    assert result["lost"] == 0 and result["answered"] > 1000, result
    assert act.by_xdp() >= result["answered"] * 0.99


@pytest.mark.parametrize("family", [4, 6])
def test_forwarded_queries_are_answered_too(stage, cable, family):
    act = Act(stage, cable, tier=1)
    act.attached()
    with act.taken(30):
        for length in range(1, 31):
            answer = act.ask("n" * length + ".x.test", family=family)
            assert answer.answer[0][0].address == f"198.51.100.{length}"
    primary, mirror = (act.front.stat(name) for name in ("answers_primary", "answers_mirror"))
    assert primary > 0 and primary + mirror >= 30       # some are the mirror's, where NSD was held up
    act.nsd.kill()      # and rescued
    assert act.ask("www.x.test", family=family).answer[0][0].address == "198.51.100.1"


def test_address_that_comes_later_is_asked_that_way_soon(stage, cable):
    act = Act(stage, cable)
    act.attached()
    ip("address", "add", "10.53.0.77/24", "dev", Cable.name())
    where = ("10.53.0.77", act.front.port)

    def is_taken():
        before = act.by_xdp()
        with cable.client():
            assert ask(where, "www.x.test").answer
        return act.by_xdp() > before
    wait_for(is_taken, "the new address to be seen")
    with cable.client():        # the answer comes from where it was asked
        assert ask(where, "www.x.test").answer


def test_what_is_not_ours_takes_the_kernels_way(stage, cable):
    act = Act(stage, cable)
    act.attached()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((Cable.server(), 0))
        other.settimeout(ANSWER_S)
        with act.taken(0), cable.client(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"hello", other.getsockname())
            assert other.recv(100) == b"hello"
    big = dns.message.make_query("www.x.test", "A", use_edns=0, options=[dns.edns.GenericOption(65001, b"p" * 2500)])
    with act.taken(0), cable.client(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(ANSWER_S)
        client.sendto(big.to_wire(max_size=65535), act.where())       # in fragments
        assert dns.message.from_wire(client.recv(4096)).answer
    with act.taken(0), cable.client(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, b"\x01\x01\x01\x00")
        client.settimeout(ANSWER_S)
        client.sendto(dns.message.make_query("www.x.test", "A").to_wire(), act.where())
        assert client.recv(4096)
    with act.taken(0):
        assert act.ask("www.x.test", tcp=True).answer
    assert " 0% packet loss" in subprocess.run(
        ["nsenter", f"--net=/proc/{os.getpid()}/fd/{cable.there}", "ping", "-c1", "-W5", Cable.server()],
        capture_output=True, text=True).stdout if os.path.exists("/bin/ping") else True


def internet_sum(header):
    """RFC 1071."""
    total = sum(struct.unpack(f"!{len(header) // 2}H", header))
    return 0xffff - ((total & 0xffff) + (total >> 16))


def frame(act, udp_len=None, total=None, source=bytes([10, 53, 0, 2]), port=4000, ttl_first=0x45, protocol=17, to=None, wrong=0):
    """An Ethernet frame with a query whose headers may lie."""
    message = dns.message.make_query("www.x.test", "A").to_wire()
    station = {}
    for end, namespace in (("here", contextlib.nullcontext()), ("there", act.cable.client())):
        with namespace:
            words = ip("-br", "link", "show", Cable.name()).split()
        station[end] = bytes.fromhex(words[2].replace(":", ""))
    udp = struct.pack("!HHHH", port, act.front.port, 8 + len(message) if udp_len is None else udp_len, 0) + message
    header = struct.pack("!BBHHHBBH4s4s", ttl_first, 0, 20 + len(udp) if total is None else total, 1, 0, 64, protocol, 0,
                         source, socket.inet_aton(Cable.server()))
    header = header[:10] + struct.pack("!H", internet_sum(header) ^ wrong) + header[12:]
    return (to or station["here"]) + station["there"] + b"\x08\x00" + header + udp


HOSTILE = {
    "datagram longer than its packet": {"udp_len": 9999}, "datagram shorter than its header": {"udp_len": 7},
    "datagram without a message": {"udp_len": 8}, "packet longer than its frame": {"total": 1500},
    "packet shorter than its header": {"total": 19}, "packet without a datagram": {"total": 20},
    "half a UDP header": {"total": 24}, "port 0": {"port": 0},
    "from loopback": {"source": bytes([127, 0, 0, 1])}, "from multicast": {"source": bytes([224, 0, 0, 1])},
    "from broadcast": {"source": b"\xff" * 4}, "from nowhere": {"source": b"\0" * 4},
    "version 5": {"ttl_first": 0x55}, "short header": {"ttl_first": 0x44}, "wrong sum": {"wrong": 1},
}


def test_hostile_frames_are_answered_to_nobody(stage, cable):
    act = Act(stage, cable)
    act.attached()
    with cable.client(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((Cable.name(), 0))
        right = frame(act)
        for lies in HOSTILE.values():
            raw.send(frame(act, **lies))
        for cut in range(15, len(right)):
            raw.send(right[:cut])
    # the others the program has left to the kernel
    wait_for(lambda: act.front.stat("dropped_malformed") >= len(HOSTILE) - 5, "what the program took to be dropped")
    with act.taken(1):
        assert act.ask("www.x.test").answer


def kinds():
    """One message of each kind, as bytes."""
    query = dns.message.make_query("www.x.test", "A", id=7)
    notify = dns.message.make_query("x.test", "SOA", id=7)
    notify.set_opcode(dns.opcode.NOTIFY)
    update = dns.message.make_query("x.test", "SOA", id=7)
    update.set_opcode(dns.opcode.UPDATE)
    signed = dns.message.make_query("www.x.test", "A", id=7)
    signed.use_tsig(dns.tsig.Key("nobody.", b"secret"))
    return {
        "query": query.to_wire(), "NOTIFY": notify.to_wire(), "UPDATE": update.to_wire(), "signed by a stranger": signed.to_wire(),
        "a later EDNS": dns.message.make_query("www.x.test", "A", id=7, use_edns=1).to_wire(),
        "transfer": dns.message.make_query("x.test", "AXFR", id=7).to_wire(),
        "nothing after the header": query.to_wire()[:12], "cut": query.to_wire()[:-1],
    }


TIME_OF_TSIG = slice(-16, -10)      # at the end of a reply without a MAC


def without_its_time(signed):
    return signed[:TIME_OF_TSIG.start] + signed[TIME_OF_TSIG.stop:]


def test_other_messages_get_what_the_kernels_get(stage, cable):
    act = Act(stage, cable)
    act.attached()
    with cable.client():
        there = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with there, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here, act.taken(len(kinds())):
        for what, message in kinds().items():
            answers = []
            for client, address in ((there, Cable.server()), (here, "127.0.0.1")):
                client.settimeout(ANSWER_S)
                client.sendto(message, (address, act.front.port))
                answers.append(client.recv(4096))
            if what == "NOTIFY":        # here is where the primary is
                assert [dns.message.from_wire(answer).rcode() for answer in answers] == [dns.rcode.REFUSED, dns.rcode.NOERROR]
            elif what == "signed by a stranger":        # perhaps in two different seconds
                assert without_its_time(answers[0]) == without_its_time(answers[1])
            else:
                assert answers[0] == answers[1], what


def test_unknown_interface_is_told_and_the_kernel_serves(stage, cable):
    act = Act(stage, cable, interfaces='"nowhere0"')
    _, event = act.front.wait_event("xdp_failed", interface="nowhere0")
    assert "no such interface" in event["reason"]
    assert act.ask("www.x.test").answer and act.by_xdp() == 0


def test_loopback_loses_nothing_by_it(stage, cable):
    act = Act(stage, cable, interfaces='"lo"')
    act.attached()
    for _ in range(20):
        assert ask(("127.0.0.1", act.front.port), "www.x.test").answer
        assert ask(("::1", act.front.port), "www.x.test").answer
    assert act.ask("www.x.test").answer and act.by_xdp() == 0


def test_interface_that_goes_away_is_told_and_others_serve(stage, cable):
    act = Act(stage, cable)
    act.attached()
    assert act.ask("www.x.test").answer
    ip("link", "delete", Cable.name())
    act.front.wait_event("xdp_failed", interface=Cable.name())
    assert ask(("127.0.0.1", act.front.port), "www.x.test").answer
    used = [sum(map(int, open(f"/proc/{act.front.process.pid}/stat").read().rsplit(")")[1].split()[11:13]))]
    start = time.monotonic()
    wait_for(lambda: time.monotonic() - start > 1, "a second")
    used.append(sum(map(int, open(f"/proc/{act.front.process.pid}/stat").read().rsplit(")")[1].split()[11:13])))
    assert used[1] - used[0] < 50       # hundredths of a second: no thread spins over a dead socket


def test_interface_that_is_taken_is_told_and_the_kernel_serves(stage, cable):
    act = Act(stage, cable)
    act.attached()
    second = Act(stage, cable, name="second")
    _, event = second.front.wait_event("xdp_failed", interface=Cable.name())
    assert "another program" in event["reason"]
    with act.taken(1):
        assert act.ask("www.x.test").answer
    assert second.ask("www.x.test").answer and second.by_xdp() == 0


def test_killed_it_leaves_nothing_behind(stage, cable):
    act = Act(stage, cable)
    act.attached()
    assert "xdp" in ip("link", "show", Cable.name())
    act.front.kill()
    wait_for(lambda: "xdp" not in ip("link", "show", Cable.name()), "the kernel to clean up")
    act.front.start()
    wait_for(lambda: len(act.front.events("xdp_attached")) == 2, "AF_XDP again")
    with act.taken(1):
        assert act.ask("www.x.test").answer


def test_orderly_end_loses_no_query(stage, cable):
    """While it ends queries go to the kernel, which says that nobody listens: no silence."""
    act = Act(stage, cable)
    act.attached()
    with cable.client():
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with client:
        client.connect(act.where())
        client.settimeout(ANSWER_S)
        query = dns.message.make_query("www.x.test", "A").to_wire()
        for _ in range(100):
            client.send(query)
        act.front.process.terminate()
        answers = 0
        try:
            while answers < 100:
                client.recv(4096)
                answers += 1
        except ConnectionRefusedError:
            pass
        act.front.process.wait(60)
        assert answers == 100
        client.send(query)
        with pytest.raises(ConnectionRefusedError):
            client.recv(4096)


def test_reload_follows_listen_and_asks_for_a_restart_for_the_rest(stage, cable):
    act = Act(stage, cable)
    act.attached()
    with open(act.front.conf) as file:
        before = file.read()
    act.front.configure(before.replace('"0.0.0.0:', '"127.0.0.1:').replace('"[::]:', f'"[{Cable.server(6)}]:'))
    assert act.front.ctl("reload")[0] == 0
    with act.taken(0), cable.client():
        assert try_ask(act.where(4), "www.x.test", timeout=1) is None
    with act.taken(1):
        assert act.ask("www.x.test", family=6).answer
    act.front.configure(before.replace(f'"{Cable.name()}"', '"eth7"'))
    code, _, err = act.front.ctl("reload")
    assert code != 0 and "listen-xdp" in err and "restart" in err, err


@pytest.mark.parametrize("value, words", [
    ('"us0", "us0"', "twice"), ('"192.0.2.1:53"', "no interface"), ('"a-name-of-sixteen"', "no interface"), ('""', "no interface"),
    (", ".join(f'"e{i}"' for i in range(9)), "more than 8"),
])
def test_wrong_names_are_refused_with_their_place(stage, cable, value, words):
    act = Act(stage, cable, interfaces=value, start=False)
    done = subprocess.run([os.path.join(BUILD, "understudy"), "-t", "-c", act.front.conf], capture_output=True, text=True)
    assert done.returncode != 0 and words in done.stderr and re.search(r"understudy\.conf:\d+: listen-xdp", done.stderr), done.stderr


@pytest.mark.threads
def test_queues_are_shared_by_the_workers(stage):
    cable = Cable(queues=4)
    try:
        act = Act(stage, cable)
        assert act.attached()["queues"] == "4"
        with act.taken(200):
            for length in range(200):       # a port for each: they come by different queues
                assert act.ask("n" * (length % 59 + 1) + ".x.test").answer
    finally:
        stage.close()
        cable.close()
