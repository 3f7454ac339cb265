# SPDX-License-Identifier: ISC
"""Forwarding is transparent: what a client wrote arrives, what the backend wrote comes back."""
import contextlib
import os
import socket
import struct
import threading
import time

import pytest

import configurations
from fake import (FakeBackend, connect, exchange, exchange_udp, question_end, receive_message,
                  send_message)
from servers import ANSWER_S, ask, free_port, records, wait_for

pytestmark = pytest.mark.threads


def question(name, rdtype=1, rdclass=1, id=0x1234, flags=0, counts=(1, 0, 0, 0), rest=b""):
    labels = b"".join(bytes([len(label)]) + label for label in name.encode("latin-1").split(b".") if label)
    return struct.pack("!6H", id, flags, *counts) + labels + b"\0" + struct.pack("!2H", rdtype, rdclass) + rest


def opt(options=b"", size=1232, version=0, flags=0):
    return b"\0" + struct.pack("!2HBBHH", 41, size, 0, version, flags, len(options)) + options


def option(code, data):
    return struct.pack("!2H", code, len(data)) + data


def patient(where):
    """In front of the one server, which a busy machine may hold up for longer than 0.7 s."""
    return configurations.forward_only(where).replace('pool "main" {', 'pool "main" { give-up = "5s"')


def patient_front(stage, where):
    """Asks it whatever its probes say, which are held up as well."""
    front = stage.understudy(patient(where)).start()
    assert front.ctl("backend", "ns1", "up")[0] == 0
    return front


def echo(message, is_tcp):
    """A reply with the question and a record of private type, whatever was asked."""
    end = question_end(message)
    flags = bytes([message[2] | 0x84, message[3]])
    answer = b"\xc0\x0c" + struct.pack("!2HIH", 65399, 1, 60, 5) + b"bytes"
    return message[:2] + flags + b"\0\1\0\1\0\0\0\0" + message[12:end] + answer


@pytest.fixture
def fake(stage):
    return stage.add(FakeBackend(echo))


@pytest.fixture
def front(stage, fake):
    return patient_front(stage, fake.where)


UNUSUAL = {
    "plain": question("www.example.com"),
    "unknown type": question("www.example.com", rdtype=65399),
    "type 0": question("www.example.com", rdtype=0),
    "type ANY": question("www.example.com", rdtype=255),
    "class CH": question("www.example.com", rdclass=3),
    "class 65280": question("www.example.com", rdclass=65280),
    "opcode STATUS": question("www.example.com", flags=2 << 11),
    "opcode 9": question("www.example.com", flags=9 << 11),
    "RD CD AD Z": question("www.example.com", flags=0x0170),
    "mixed case": question("wWw.eXaMpLe.CoM"),
    "strange bytes": question("a\x00\xff*.example.com"),
    "longest labels": question(".".join(["x" * 63] * 3 + ["y" * 47]) + ".example.com"),
    "EDNS": question("www.example.com", counts=(1, 0, 0, 1), rest=opt()),
    "EDNS DO": question("www.example.com", counts=(1, 0, 0, 1), rest=opt(flags=0x8000)),
    "EDNS flags": question("www.example.com", counts=(1, 0, 0, 1), rest=opt(flags=0x1fff)),
    "EDNS version 1": question("www.example.com", counts=(1, 0, 0, 1), rest=opt(version=1)),
    "EDNS size 100": question("www.example.com", counts=(1, 0, 0, 1), rest=opt(size=100)),
    "client cookie": question("www.example.com", counts=(1, 0, 0, 1), rest=opt(option(10, b"8 bytes!"))),
    "server cookie": question("www.example.com", counts=(1, 0, 0, 1), rest=opt(option(10, b"8 bytes!" * 3))),
    "NSID": question("www.example.com", counts=(1, 0, 0, 1), rest=opt(option(3, b""))),
    "client subnet": question("www.example.com", counts=(1, 0, 0, 1),
                              rest=opt(option(8, b"\0\1\x18\0\xc0\0\2"))),
    "unknown option": question("www.example.com", counts=(1, 0, 0, 1), rest=opt(option(65001, b"?" * 50))),
    "TSIG": question("www.example.com", counts=(1, 0, 0, 1),
                     rest=b"\3key\0" + struct.pack("!2HI", 250, 255, 0) + struct.pack("!H", 61) +
                     b"\x0bhmac-sha256\0" + bytes(6) + b"\1\x2c\0\x20" + b"m" * 32 + b"\x12\x34\0\0\0\0"),
}


@pytest.mark.parametrize("is_tcp", [False, True], ids=["udp", "tcp"])
@pytest.mark.parametrize("what", UNUSUAL)
def test_not_a_byte_changes_but_the_id(front, fake, what, is_tcp):
    sent = UNUSUAL[what]
    got = exchange(front.where, sent, is_tcp)
    assert got is not None, "silence"
    seen = [message for message, by_tcp in fake.seen if by_tcp == is_tcp]
    assert seen and seen[0][2:] == sent[2:]
    assert got == echo(sent, is_tcp)


def test_ids_towards_the_backend_are_not_the_clients(front, fake):
    for i in range(30):
        assert exchange_udp(front.where, question("www.example.com", id=7)) is not None
    ids = {message[:2] for message, _ in fake.seen}
    assert len(ids) > 20


def test_rcodes_of_an_unmirrored_zone_pass_through(stage):
    def answer(message, is_tcp):
        return message[:2] + bytes([0x84, rcode]) + message[4:question_end(message)]

    fake = stage.add(FakeBackend(answer))
    front = patient_front(stage, fake.where)
    for rcode in (0, 1, 3, 4, 6, 9, 11):
        assert exchange_udp(front.where, question("www.example.com"))[3] & 15 == rcode


def test_truncation_passes_through_and_tcp_gets_the_whole(stage):
    def answer(message, is_tcp):
        whole = echo(message, is_tcp)
        return whole if is_tcp else whole[:2] + bytes([whole[2] | 2]) + whole[3:6] + bytes(6) + whole[12:question_end(message)]

    fake = stage.add(FakeBackend(answer))
    front = patient_front(stage, fake.where)
    assert exchange_udp(front.where, question("www.example.com"))[2] & 2
    whole = exchange(front.where, question("www.example.com"), True)
    assert not whole[2] & 2 and whole[7] == 1


FORGERIES = {
    "another ID": lambda good: bytes([good[0] ^ 1]) + good[1:],
    "QR clear": lambda good: good[:2] + bytes([good[2] & 0x7f]) + good[3:],
    "another opcode": lambda good: good[:2] + bytes([good[2] | 0x10]) + good[3:],
    "another name": lambda good: good[:13] + b"X" + good[14:],
    "another case": lambda good: good[:13] + bytes([good[13] ^ 0x20]) + good[14:],
    "another type": lambda good: good[:question_end(good) - 3] + b"\7" + good[question_end(good) - 2:],
    "cut short": lambda good: good[:11],
    "no question": lambda good: good[:4] + bytes(8),
    "garbage": lambda good: os.urandom(40),
}


@pytest.mark.parametrize("what", FORGERIES)
def test_forged_reply_is_ignored_and_the_true_one_awaited(stage, what):
    fake = stage.add(FakeBackend(lambda message, is_tcp: [FORGERIES[what](echo(message, is_tcp)),
                                                          echo(message, is_tcp)]))
    front = patient_front(stage, fake.where)
    asked = question("www.example.com")
    assert exchange_udp(front.where, asked) == echo(asked, False)
    assert front.stat("replies_mismatched") >= 1


def test_reply_that_comes_twice_reaches_the_client_once(stage):
    fake = stage.add(FakeBackend(lambda message, is_tcp: [echo(message, is_tcp)] * 3))
    front = patient_front(stage, fake.where)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(ANSWER_S)
        udp.connect(front.where)
        udp.send(question("www.example.com"))
        assert udp.recv(4096)
        udp.settimeout(0.5)
        with pytest.raises(socket.timeout):
            udp.recv(4096)


# ---- TCP ----

def delayed(message, is_tcp):
    if b"slow" in message:
        time.sleep(0.12)
    return echo(message, is_tcp)


def test_pipelined_queries_are_answered_out_of_order(stage):
    others_are_answered = threading.Event()

    def hold_slow(message, is_tcp):
        return echo(message, is_tcp) if b"slow" not in message or others_are_answered.wait(ANSWER_S) else None

    fake = stage.add(FakeBackend(hold_slow))
    front = patient_front(stage, fake.where)
    with connect(front.where) as connection:
        for id in range(1, 21):
            name = "slow.example.com" if id == 1 else f"n{id}.example.com"
            send_message(connection, question(name, id=id))
        ids = {struct.unpack("!H", receive_message(connection)[:2])[0] for _ in range(19)}
        assert ids == set(range(2, 21)), "the slow one must not hold up the others"
        others_are_answered.set()
        assert struct.unpack("!H", receive_message(connection)[:2])[0] == 1


def test_same_id_twice_in_one_connection_gets_both_answers(front):
    with connect(front.where) as connection:
        for name in ("one.example.com", "two.example.com"):
            send_message(connection, question(name, id=5))
        got = {receive_message(connection)[13:16] for _ in range(2)}
    assert got == {b"one", b"two"}


def test_half_closed_connection_is_still_answered(stage):
    fake = stage.add(FakeBackend(delayed))
    front = patient_front(stage, fake.where)
    with connect(front.where) as connection:
        for id, name in enumerate(("slow.example.com", "fast.example.com")):
            send_message(connection, question(name, id=id))
        connection.shutdown(socket.SHUT_WR)
        assert {receive_message(connection)[1] for _ in range(2)} == {0, 1}
        assert receive_message(connection) is None, "then it is closed"


def test_query_in_single_bytes_is_answered(front):
    with connect(front.where) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        message = question("www.example.com")
        for byte in struct.pack("!H", len(message)) + message:
            connection.send(bytes([byte]))
            time.sleep(0.002)
        assert receive_message(connection) == echo(message, True)


def test_idle_and_slow_connections_are_closed(stage, fake):
    conf = 'tcp-idle = "300ms"\ntcp-message-timeout = "200ms"\n' + patient(fake.where)
    front = stage.understudy(conf).start()
    with connect(front.where) as idle, connect(front.where) as slow:
        slow.send(b"\0")
        assert receive_message(slow) is None
        assert receive_message(idle) is None
    wait_for(lambda: front.stat("tcp_closed_idle") >= 2, "both to be counted")


def test_connection_outlives_its_first_query(front):
    with connect(front.where) as connection:
        for _ in range(3):
            send_message(connection, question("www.example.com"))
            assert receive_message(connection)
            time.sleep(0.05)


def test_connection_that_never_reads_hurts_nobody(front):
    with connect(front.where) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.settimeout(0.5)
        framed = (lambda m: struct.pack("!H", len(m)) + m)(question("www.example.com"))
        try:
            for _ in range(200):
                deaf.send(framed * 100)
        except socket.timeout:
            pass
        assert exchange(front.where, question("www.example.com"), True)
        assert exchange(front.where, question("www.example.com"), False)


def test_backend_connections_are_reused(front, fake):
    with connect(front.where) as connection:
        for i in range(50):
            send_message(connection, question(f"n{i}.example.com"))
            assert receive_message(connection)
    assert fake.connections < 20


def test_backend_that_closes_each_connection_loses_nothing(stage, example_zone):
    """As some servers do after every answer: RFC 7766 s.6.2.4 allows it at any time."""
    fake = FakeBackend(echo)
    original = fake._answer_tcp

    def answer_and_close(connection, lock, message):
        original(connection, lock, message)
        with contextlib.suppress(OSError):      # Understudy may have been quicker
            connection.shutdown(socket.SHUT_RDWR)

    fake._answer_tcp = answer_and_close
    stage.add(fake)
    front = patient_front(stage, fake.where)
    for i in range(40):
        got = exchange(front.where, question(f"n{i}.example.com"), True)
        assert got and got[3] & 15 == 0, f"query {i}"


# ---- Addresses ----

@pytest.mark.parametrize("asked", ["127.0.0.1", "127.0.0.2", "::1"])
def test_reply_comes_from_the_address_that_was_asked(stage, asked):
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 here")
    fake = stage.add(FakeBackend(echo))
    port = free_port()
    conf = patient(fake.where).replace(
        '"{listen}"', f'"0.0.0.0:{port}", "[::]:{port}"')
    front = stage.understudy(conf)
    front.where = ("127.0.0.1", port)
    front.start()
    for is_tcp in (False, True):
        assert exchange((asked, port), question("www.example.com"), is_tcp)


def refused(front, where, count):
    """So many at once, which had piled up. Who answers from elsewhere is not heard: the socket is connected."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(where)
        sock.settimeout(ANSWER_S)
        front.freeze()
        for id in range(count):
            sock.send(question("www.elsewhere.test", id=id))
        front.thaw()
        return {int.from_bytes(sock.recv(4096)[:2], "big") for _ in range(count)}


def test_batches_of_a_wildcard_and_of_others_are_answered_from_where_they_were_asked(stage):
    every, one = ("127.0.0.3", free_port()), ("127.0.0.2", free_port())
    front = stage.understudy(configurations.forward_only(("127.0.0.1", 9)).replace(
        '"{listen}"', f'"0.0.0.0:{every[1]}", "{one[0]}:{one[1]}"').replace("workers   = 2", "workers   = 1"))
    front.where = one
    front.start()
    for where, count in ((every, 2), (one, 70), (every, 1), (every, 64), (one, 2), (every, 40), (one, 64), (every, 70), (one, 5)):
        assert refused(front, where, count) == set(range(count)), f"{count} at {where}"


def test_backend_over_ipv6(stage):
    fake = FakeBackend(echo)
    fake.udp.close()
    try:
        fake.udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        fake.udp.bind(("::1", fake.port))
    except OSError:
        pytest.skip("no IPv6 here")
    threading.Thread(target=fake._run_udp, daemon=True).start()
    stage.add(fake)
    front = patient_front(stage, ("::1", fake.port))
    assert exchange_udp(front.where, question("www.example.com"))[3] & 15 == 0


# ---- Beside a real server ----

@pytest.mark.parametrize("is_tcp", [False, True], ids=["udp", "tcp"])
def test_every_answer_is_the_primarys(stage, example_zone, questions, is_tcp):
    nsd = stage.nsd({"example.com": example_zone}).start()
    front = patient_front(stage, nsd.where)
    for line in open(questions):
        if line.startswith("#") or not line.strip() or "example.net" in line:
            continue
        name, rdtype = line.split()
        direct, through = (ask(where, name, rdtype, tcp=is_tcp, use_edns=0) for where in (nsd.where, front.where))
        assert direct.rcode() == through.rcode() and direct.flags == through.flags, line
        for section in ("answer", "authority", "additional"):
            assert records(getattr(direct, section)) == records(getattr(through, section)), line


POLICIES = ["ordered", "round-robin", "weighted-random", "least-outstanding", "p2c-latency", "consistent-hash"]


def three_servers(stage, policy):
    """In one tier, and up by order. A busy machine may hold one up, which rightly has less then: soon it is as before."""
    fakes = [stage.add(FakeBackend()) for _ in range(3)]
    conf = configurations.HEAD + f'pool "main" {{\n    policy = "{policy}"\n    give-up = "5s"\n'
    conf += "".join(configurations.backend(f"b{i}", fake.where) for i, fake in enumerate(fakes))
    conf += "}\n" + configurations.zone("example.com")
    front = stage.understudy(conf).start()
    for i in range(3):
        assert front.ctl("backend", f"b{i}", "up")[0] == 0

    def shares(names):
        """How many of these queries each server sees."""
        before = [len(fake.seen) for fake in fakes]
        for name in names:
            assert ask(front.where, name).rcode() == 0
        return [len(fake.seen) - already for fake, already in zip(fakes, before)]
    return shares


@pytest.mark.parametrize("policy", POLICIES)
def test_policy_balances_inside_a_tier(stage, policy):
    shares = three_servers(stage, policy)
    wait_for(lambda: is_balanced(policy, shares(f"n{i}.example.com" for i in range(300))), "the policy's shares", 120)


def is_balanced(policy, shares):
    if policy == "ordered":
        return shares[0] >= 295
    if policy == "round-robin":
        return min(shares) > 80
    if policy == "p2c-latency":         # one that was slow to its first queries is left to itself
        return sorted(shares)[1] > 20 and min(shares) > 0
    return min(shares) > 20


def test_consistent_hash_sends_a_name_to_the_same_backend(stage):
    shares = three_servers(stage, "consistent-hash")
    wait_for(lambda: max(shares(["same.example.com"] * 20)) >= 19, "one server to have all queries for a name")


def test_frozen_backend_is_rescued_by_the_next(stage):
    silent, good = stage.add(FakeBackend(lambda message, is_tcp: None)), stage.add(FakeBackend())
    conf = configurations.HEAD + 'pool "main" { give-up = "5s"\n' + configurations.backend("b0", silent.where)
    conf += configurations.backend("b1", good.where, tier=1) + "}\n" + configurations.zone("example.com")
    front = stage.understudy(conf).start()
    for is_tcp in (False, True):
        assert exchange(front.where, question("www.example.com"), is_tcp)[3] & 15 == 0
    assert front.stat("rescued") >= 1


@pytest.mark.parametrize("fault", ["servfail", "refused", "notauth", "lame"])
def test_bad_replies_for_a_mirrored_zone_are_rescued(stage, example_zone, fault):
    """The probes find nothing wrong; the answers are: the mirror knows better."""
    nsd = stage.nsd({"example.com": example_zone}).start()

    def answer(message, is_tcp):
        rcode = {"servfail": 2, "refused": 5, "notauth": 9, "lame": 0}[fault]
        return message[:2] + bytes([0x80, rcode]) + message[4:question_end(message)]

    fake = stage.add(FakeBackend(answer))
    fake.soa = fake.soa.replace(" 1 ", " 2026010101 ")      # or it would be held, for it is behind
    conf = configurations.HEAD + 'pool "main" {\n' + configurations.backend("bad", fake.where)
    conf += configurations.backend("ns1", nsd.where, tier=2, primary=True)
    conf += "    mirror { tier = 1 }\n}\n" + configurations.zone("example.com")
    front = stage.understudy(conf).start()
    front.wait_event("zone_transferred")
    truth = records(ask(nsd.where, "www.example.com").answer)
    for is_tcp in (False, True):
        answer = ask(front.where, "www.example.com", tcp=is_tcp)
        assert records(answer.answer) == truth
    assert front.stat("answers_mirror") == 2
    assert front.stat("attempts_failed") >= 1
