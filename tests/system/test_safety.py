# SPDX-License-Identifier: ISC
"""Standing in the middle safely: what is refused, and what malformed input gets."""
import random
import socket
import struct
import subprocess
import threading
import time

import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

import configurations
from fake import FakeBackend, connect, exchange, exchange_udp, receive_message, send_message
from servers import ANSWER_S, BUILD, IS_SANITIZED, Stage, ask, free_port, wait_for
from test_forward import echo, opt, option, patient, question
from world import QUICK

SILENCE = 0.4


@pytest.fixture(scope="module", params=["primary up", "primary down"])
def front(example_zone, request, tmp_path_factory):
    """Behaviour may not change at failover: every test here runs in both states."""
    stage = Stage(tmp_path_factory.mktemp("safety"))
    nsd = stage.nsd({"example.com": example_zone}).start()
    understudy = stage.understudy(configurations.failover(nsd.where)).start()
    understudy.wait_event("zone_transferred")
    understudy.is_alone = request.param == "primary down"
    if understudy.is_alone:
        nsd.kill()
        ask(understudy.where, "www.example.com")        # the ICMP that starts the verdict
        understudy.wait_event("backend_down")
    yield understudy
    stage.close()


@pytest.fixture
def quiet_front(stage):
    """In front of a fake that tells whether anything came through."""
    stage.fake = stage.add(FakeBackend(echo))
    return stage.understudy(configurations.forward_only(stage.fake.where)).start()


def ede_codes(message):
    return {int(option.code) for option in message.options if option.otype == 15}


@pytest.mark.parametrize("is_tcp", [False, True], ids=["udp", "tcp"])
@pytest.mark.parametrize("rdtype", ["AXFR", "IXFR"])
def test_transfers_are_refused_and_never_reach_the_primary(quiet_front, stage, rdtype, is_tcp):
    number = {"AXFR": 252, "IXFR": 251}[rdtype]
    got = exchange(quiet_front.where, question("example.com", rdtype=number), is_tcp)
    assert got[3] & 15 == 5
    assert stage.fake.seen == []


@pytest.mark.parametrize("is_tcp", [False, True], ids=["udp", "tcp"])
def test_zone_does_not_leak_through_us(front, is_tcp):
    """The primary lets our address transfer; the client has no right to it."""
    got = exchange(front.where, question("example.com", rdtype=252), is_tcp)
    assert got[3] & 15 == 5 and got[6:8] == b"\0\0"
    serial_one = b"\xc0\x0c" + struct.pack("!2HIH", 6, 1, 0, 22) + b"\0\0" + struct.pack("!5I", 1, 1, 1, 1, 1)
    got = exchange(front.where, question("example.com", rdtype=251, counts=(1, 0, 1, 0), rest=serial_one), is_tcp)
    assert got[3] & 15 == 5 and got[6:8] == b"\0\0"


@pytest.mark.parametrize("is_tcp", [False, True], ids=["udp", "tcp"])
def test_update_is_refused_and_never_reaches_the_primary(quiet_front, stage, is_tcp):
    update = question("example.com", rdtype=6, flags=5 << 11)
    assert exchange(quiet_front.where, update, is_tcp)[3] & 15 == 5
    assert stage.fake.seen == []


@pytest.mark.parametrize("is_tcp", [False, True], ids=["udp", "tcp"])
def test_notify_ends_at_us(quiet_front, stage, is_tcp):
    notify = question("example.com", rdtype=6, flags=4 << 11 | 0x0400)
    got = exchange(quiet_front.where, notify, is_tcp)
    assert got[2] >> 3 & 15 == 4 and got[2] & 0x80
    assert got[3] & 15 in (0, 5)        # taken from 127.0.0.1 if that is the primary's address
    assert stage.fake.seen == []


@pytest.mark.parametrize("is_tcp", [False, True], ids=["udp", "tcp"])
@pytest.mark.parametrize("name", ["example.net", "com", ".", "xexample.com", "example.com.net"])
def test_unlisted_names_are_refused_and_say_so(quiet_front, stage, name, is_tcp):
    answer = ask(quiet_front.where, name, tcp=is_tcp, use_edns=0)
    assert answer.rcode() == dns.rcode.REFUSED
    assert ede_codes(answer) == {20}
    assert answer.flags & dns.flags.RD and not answer.flags & dns.flags.AA
    assert ask(quiet_front.where, name, tcp=is_tcp).edns == -1, "no OPT unless asked with one"
    assert stage.fake.seen == []


def test_unlisted_names_go_where_the_operator_says(stage):
    fake = stage.add(FakeBackend())
    conf = 'forward-unlisted = "main"\n' + patient(fake.where)
    front = stage.understudy(conf).start()
    assert ask(front.where, "www.example.net").rcode() == 0


# ---- The table of malformed input. (rcode, length); None: silence; length None: any ----

OPT = opt()
A_RECORD = b"\xc0\x0c" + struct.pack("!2HIH", 1, 1, 60, 4) + bytes([192, 0, 2, 1])
MALFORMED = {
    "QR=1": (question("www.example.com", flags=0x8000), None),
    "QR=1 and nothing else": (struct.pack("!6H", 1, 0x8000, 0, 0, 0, 0), None),
    "QR=1 with FORMERR": (struct.pack("!6H", 1, 0x8001, 0, 0, 0, 0), None),
    "11 bytes": (question("www.example.com")[:11], None),
    "1 byte": (b"\0", None),
    "QDCOUNT=0": (struct.pack("!6H", 1, 0, 0, 0, 0, 0), (1, 12)),
    "QDCOUNT=2": (question("www.example.com", counts=(2, 0, 0, 0), rest=b"\xc0\x0c\0\1\0\1"), (1, 12)),
    "QDCOUNT=65535": (question("www.example.com", counts=(65535, 0, 0, 0)), (1, 12)),
    "opcode 15": (question("www.example.com", flags=15 << 11), (4, 12)),
    "trailing garbage": (question("www.example.com", rest=b"garbage!"), (0, None)),
    "ANCOUNT=1 without data": (question("www.example.com", counts=(1, 1, 0, 0)), (1, 12)),
    "ARCOUNT=1 without data": (question("www.example.com", counts=(1, 0, 0, 1)), (1, 12)),
    "QNAME points to itself": (struct.pack("!6H", 1, 0, 1, 0, 0, 0) + b"\xc0\x0c\0\1\0\1", (1, 12)),
    "QNAME points forward": (struct.pack("!6H", 1, 0, 1, 0, 0, 0) + b"\xc0\x12\0\1\0\1\3www\0", (1, 12)),
    "two OPT": (question("www.example.com", counts=(1, 0, 0, 2), rest=OPT + OPT), (1, 12)),
    "OPT in the answer section": (question("www.example.com", counts=(1, 1, 0, 0), rest=OPT), (1, 12)),
    "OPT longer than the message": (question("www.example.com", counts=(1, 0, 0, 1),
                                             rest=OPT[:-2] + b"\0\x20"), (1, 12)),
    "option longer than OPT": (question("www.example.com", counts=(1, 0, 0, 1),
                                        rest=opt(b"\0\3\0\x20")), (1, 12)),
    "label type 0x40": (struct.pack("!6H", 1, 0, 1, 0, 0, 0) + b"\x41x\0\0\1\0\1", (1, 12)),
    "label type 0x80": (struct.pack("!6H", 1, 0, 1, 0, 0, 0) + b"\x81x\0\0\1\0\1", (1, 12)),
    "name over 255 bytes": (question(".".join(["x" * 63] * 4) + ".example.com"), (1, 12)),
    "question cut short": (question("www.example.com")[:-3], (1, 12)),
    "QTYPE=41": (question("www.example.com", rdtype=41), (0, None)),
    "QTYPE=65535": (question("www.example.com", rdtype=65535), (0, None)),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_input_gets_what_nsd_gives(front, what):
    sent, expected = MALFORMED[what]
    got = exchange_udp(front.where, sent, timeout=SILENCE if expected is None else ANSWER_S)
    if expected is None:
        assert got is None, got.hex()
        return
    assert got is not None, "silence"
    rcode, length = expected
    assert got[:2] == sent[:2] and got[2] & 0x80
    assert got[3] & 15 == rcode
    assert length is None or len(got) == length, got.hex()
    assert front.is_running()


def test_version_of_edns_that_we_do_not_speak_is_badvers(front):
    got = exchange_udp(front.where, question("www.example.com", counts=(1, 0, 0, 1), rest=opt(version=1)))
    reply = dns.message.from_wire(got)
    assert reply.rcode() == 16 and reply.edns == 0 and not reply.answer


@pytest.mark.parametrize("length", [0, 1, 11])
def test_tcp_message_too_short_for_a_header_hurts_nobody(front, length):
    with connect(front.where) as connection:
        connection.sendall(struct.pack("!H", length) + b"x" * length)
        connection.settimeout(SILENCE)
        try:
            assert connection.recv(100) == b""
        except socket.timeout:
            pass
    assert ask(front.where, "www.example.com", tcp=True).rcode() == 0


def test_tcp_length_that_is_never_filled_hurts_nobody(front):
    with connect(front.where) as connection:
        connection.sendall(b"\xff\xff" + b"x" * 1000)
        assert ask(front.where, "www.example.com", tcp=True).rcode() == 0


def test_malformed_message_does_not_end_a_tcp_connection_for_others(front):
    with connect(front.where) as connection:
        send_message(connection, struct.pack("!6H", 1, 0, 0, 0, 0, 0))
        send_message(connection, question("www.example.com", id=2))
        first = receive_message(connection)
        assert first is not None and (first[1], first[3] & 15) in ((1, 1), (2, 0))


@pytest.mark.slow
def test_random_bytes_kill_nothing(front):
    chance = random.Random(20260101)
    base = [question("www.example.com", counts=(1, 0, 0, 1), rest=opt(option(10, b"8 bytes!"))),
            question("many.example.com"), question("a.b.child.example.com", rdtype=43)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.connect(front.where)
        udp.setblocking(False)
        for i in range(5000 if IS_SANITIZED else 20000):
            message = bytearray(chance.choice(base))
            for _ in range(chance.randrange(1, 6)):
                message[chance.randrange(len(message))] = chance.randrange(256)
            try:
                udp.send(bytes(message[:chance.randrange(1, len(message) + 1)]) if i % 3 else bytes(message))
                udp.recv(65535)
            except (BlockingIOError, ConnectionError):
                pass
    wait_for(lambda: ask(front.where, "www.example.com").rcode() == 0, "an answer")


@pytest.mark.parametrize("qtype", [0, 41, 249, 250, 253, 254, 255, 256, 65279, 65535])
def test_odd_types_are_answered(front, qtype):
    for is_tcp in (False, True):
        got = exchange(front.where, question("www.example.com", rdtype=qtype), is_tcp)
        assert got is not None and got[3] & 15 in (0, 1, 4, 5), qtype


def test_cookie_is_echoed_by_the_mirror(front):
    """BIND asks again by TCP when cookies stop: so the mirror gives them whenever asked."""
    if not front.is_alone:
        pytest.skip("the primary's affair while it is up")
    reply = dns.message.from_wire(exchange_udp(
        front.where, question("www.example.com", counts=(1, 0, 0, 1), rest=opt(option(10, b"8 bytes!")))))
    cookies = [o for o in reply.options if o.otype == 10]
    assert len(cookies) == 1
    data = cookies[0].to_wire()
    assert data[:8] == b"8 bytes!" and len(data) == 24


def test_configuration_that_would_loop_is_refused(stage):
    port = free_port()
    conf = configurations.forward_only(("127.0.0.1", port)).replace("{listen}", f"127.0.0.1:{port}")
    understudy = stage.understudy(conf)
    done = subprocess.run([BUILD + "/understudy", "-t", "-c", understudy.conf], capture_output=True, text=True)
    assert done.returncode == 1
    assert "understudy.conf:" in done.stderr + done.stdout


def refuse_classes(message, is_tcp):
    """A server whose data hangs: what it need not look up it still refuses."""
    if message[-2:] == b"\0\1":
        return None
    return echo(message, is_tcp)[:3] + bytes([5]) + message[4:]


def test_refusals_to_a_stranger_do_not_keep_up_a_primary_that_hangs(stage):
    fake = stage.add(FakeBackend(refuse_classes))
    conf = configurations.failover(fake.where, health=QUICK)
    front = stage.understudy(conf).start()
    strange = question("www.example.com", rdtype=16, rdclass=3)
    stop = threading.Event()

    def flood(is_tcp):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM if is_tcp else socket.SOCK_DGRAM) as stranger:
            stranger.connect(front.where)
            while not stop.is_set():
                if is_tcp:
                    send_message(stranger, strange)
                    receive_message(stranger)
                else:
                    stranger.send(strange)
                    time.sleep(0.001)

    threads = [threading.Thread(target=flood, args=(is_tcp,), daemon=True) for is_tcp in (False, True)]
    for thread in threads:
        thread.start()
    wait_for(lambda: {is_tcp for _, is_tcp in fake.seen} == {False, True}, "the stranger")
    fake.is_probed_well = False
    front.wait_event("backend_down")
    stop.set()
    for thread in threads:
        thread.join()
