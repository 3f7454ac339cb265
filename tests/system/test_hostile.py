# SPDX-License-Identifier: ISC
"""
Servers behind us and clients before us that break every rule: each query that may be answered
has exactly one answer, the right one, in time; the accounts balance; nothing grows.
"""
import contextlib
import os
import random
import re
import resource
import signal
import socket
import struct
import time

import pytest

import configurations
import hostile
from accounts import assert_accounts_balance, unbalanced
from fake import connect, exchange, exchange_udp, receive_message, send_message
from hostile import Villain, ask_pipelined, ask_udp, open_files
from servers import Stage, free_port, wait_for
from test_forward import opt, option, patient, question

pytestmark = pytest.mark.threads

NAMES = ("www.example.com", "wWw.ExAmPlE.cOm", "example.com", "nothing.example.com", "a.b.c.example.com",
         "ns1.example.com", "mail.example.com")


def queries(count):
    """Some plain, some with EDNS, of several types; their IDs are set when they are sent."""
    types = (1, 28, 16, 15, 2)
    return [question(NAMES[i % 7], rdtype=types[i % 5], counts=(1, 0, 0, i % 2), rest=opt() * (i % 2))
            for i in range(count)]


class Theatre:
    """A villain in front, the mirror behind it; NSD has the truth. `lonely`: the villain alone."""

    def __init__(self, folder, zone):
        self.stage = Stage(folder)
        self.nsd = self.stage.nsd({"example.com": zone}).start()
        self.villain = self.stage.add(Villain(self.nsd.where))
        conf = configurations.HEAD + 'tcp-idle = "1s"\ntcp-message-timeout = "400ms"\npool "main" {\n'
        conf += configurations.backend("villain", self.villain.where)
        conf += "    mirror { tier = 1 }\n" + configurations.backend("ns1", self.nsd.where, 2, True) + "}\n"
        conf += configurations.zone("example.com")
        self.front = self.stage.understudy(conf, name="front").start()
        self.front.wait_event("zone_transferred")
        self.lonely = self.stage.understudy(
            'tcp-idle = "1s"\n' + patient(self.villain.where), name="lonely").start()

    def behave(self):
        self.villain.misdeed = lambda reply: [reply]
        self.villain.serve = None
        self.villain.__dict__.pop("_answer_udp", None)


@pytest.fixture(scope="module")
def house(tmp_path_factory, example_zone):
    theatre = Theatre(tmp_path_factory.mktemp("hostile"), example_zone)
    yield theatre
    theatre.stage.close()


@pytest.fixture
def lonely(theatre):
    """What earlier villainy taught it of its only server is not what these tests are about."""
    code, _, error = theatre.lonely.ctl("backend", "ns1", "up")
    assert code == 0, error
    yield theatre.lonely
    theatre.lonely.ctl("backend", "ns1", "auto")


@pytest.fixture
def theatre(house):
    house.behave()
    yield house
    house.behave()
    for front in (house.front, house.lonely):
        wait_for(lambda: not unbalanced(front), "the accounts to balance")


# ---- Servers ----

UDP_MISDEEDS = {
    "another ID": lambda r: [bytes([r[0] ^ 0x55]) + r[1:]],
    "another question": lambda r: [r[:13] + b"z" + r[14:]],
    "another case": lambda r: [r[:13] + bytes([r[13] ^ 0x20]) + r[14:]],
    "another type": lambda r: [r[:hostile.question_end(r) - 3] + b"\x63" + r[hostile.question_end(r) - 2:]],
    "two questions": lambda r: [r[:5] + b"\2" + r[6:]],
    "garbage": lambda r: [r[:2] + os.urandom(60), os.urandom(100)],
    "cut short": lambda r: [hostile.cut(r)],
    "a byte": lambda r: [b"x"],
    "QR clear": lambda r: [r[:2] + bytes([r[2] & 0x7f]) + r[3:]],
    "another opcode": lambda r: [r[:2] + bytes([r[2] | 0x20]) + r[3:]],
    "liar first, truth behind": lambda r: [bytes([r[0] ^ 1]) + r[1:], hostile.cut(r), r],
    "thrice": lambda r: [r, r, r],
    "truth, then SERVFAIL": lambda r: [r, r[:3] + b"\2" + r[4:]],
    "SERVFAIL, then truth": lambda r: [r[:3] + b"\2" + r[4:], r],
    "truncated": lambda r: [hostile.header_of(r, flags_on=0x0200)],
    "silence": lambda r: [],
    "lost by 30 %": hostile.sometimes(0.3, lambda r: []),
    "reordered": hostile.sometimes(0.5, hostile.slowly(0.03)),
    "a second late": hostile.slowly(1.0),
}


@pytest.mark.parametrize("misdeed", UDP_MISDEEDS)
def test_hostile_server_costs_no_client_its_answer(theatre, misdeed):
    theatre.villain.misdeed = UDP_MISDEEDS[misdeed]
    count = ask_udp(theatre.front.where, queries(100), rate=400, linger=0.2)
    count.assert_one_each()
    count.assert_true(theatre.nsd.where)


def test_reply_from_another_address_is_not_believed(theatre):
    theatre.villain._answer_udp = hostile.from_elsewhere(theatre.villain)
    before = theatre.front.stat("answers_backend")
    count = ask_udp(theatre.front.where, queries(100), rate=400)
    count.assert_one_each()
    count.assert_true(theatre.nsd.where)
    assert theatre.front.stat("answers_backend") == before


def test_lost_packets_of_a_lonely_server_are_asked_again(theatre, lonely):
    theatre.villain.misdeed = hostile.sometimes(0.05, lambda reply: [])     # seven times in a row: once in a billion
    count = ask_udp(lonely.where, queries(200), rate=200)
    count.assert_one_each()
    count.assert_true(theatre.nsd.where)


TCP_MISDEEDS = {
    "hangs": hostile.accepts_and_hangs, "resets": hostile.resets,
    "closes after each": hostile.closes_after_each_answer, "drips": hostile.drips,
    "length 0": hostile.announces(0), "length 5": hostile.announces(5),
    "length 65535": hostile.announces(65535),
}


@pytest.mark.parametrize("misdeed", TCP_MISDEEDS)
def test_hostile_tcp_server_costs_no_client_its_answer(theatre, misdeed):
    theatre.villain.serve = TCP_MISDEEDS[misdeed]
    count = ask_pipelined(theatre.front.where, queries(60))
    count.assert_one_each()
    count.assert_true(theatre.nsd.where)


def test_refused_tcp_does_not_end_attempts_by_udp(theatre):
    """A server without TCP, and clients who insist on it: those who ask by UDP must not suffer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", free_port()))
        server.settimeout(20)
        conf = configurations.forward_only(server.getsockname()).replace("workers   = 2", "workers   = 1")
        conf = conf.replace('pool "main" {', 'pool "main" { give-up = "5s"  attempt-max = "5s"')
        front = theatre.stage.understudy(conf, name="no-tcp")
        front.start(wait=False)
        wait_for(lambda: os.path.exists(front.control), "Understudy")
        asked = question("slow.example.com", id=7)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(20)
            client.connect(front.where)
            client.send(asked)
            seen = [server.recvfrom(4096)]
            while b"slow" not in seen[-1][0]:
                seen.append(server.recvfrom(4096))
            with connect(front.where) as insisting:
                send_message(insisting, question("www.example.com"))
                wait_for(lambda: front.stat("attempts_refused") >= 1, "the refusal")
                server.setblocking(False)
                with contextlib.suppress(BlockingIOError):      # it may have been asked again meanwhile
                    while True:
                        seen.append(server.recvfrom(4096))
                for message, peer in seen:
                    server.sendto(message[:2] + b"\x84\0" + message[4:], peer)
                assert client.recv(4096)[3] & 15 == 0
        assert front.stat("answers_backend") == 1
        front.stop()


def test_reply_longer_than_the_client_takes_is_truncated(theatre, lonely):
    theatre.villain.misdeed = lambda reply: [
        hostile.header_of(reply)[:6] + b"\0\x28" + bytes(4) + reply[12:hostile.question_end(reply)] +
        (b"\xc0\x0c" + struct.pack("!2HIH", 16, 1, 60, 33) + b"\x20" + b"t" * 32) * 40]
    short = exchange_udp(lonely.where, question("www.example.com", rdtype=16))
    assert len(short) <= 512 and short[2] & 2 and short[2] & 4
    long = exchange_udp(lonely.where,
                        question("www.example.com", rdtype=16, counts=(1, 0, 0, 1), rest=opt(size=4096)))
    assert len(long) > 1232 and not long[2] & 2


def test_our_own_pause_is_not_the_servers_silence(theatre, lonely):
    """
    We are stopped while a reply arrives: it is read before its deadline is looked at, which passes meanwhile. When
    the machine holds up the server one passes before, and the server is asked again before the pause.
    """
    before, asked_again = lonely.stat("attempts_expired"), 0
    paused = set()

    def pausing(reply):
        if b"pause" in reply and reply[12:18] not in paused:
            lonely.freeze()
            paused.add(reply[12:18])
        return [reply]

    def times_asked(name):
        return sum(name in message for message, _ in list(theatre.villain.seen))

    theatre.villain.misdeed = pausing
    for i in range(5):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(20)
            client.connect(lonely.where)
            client.send(question(f"{i}pause.example.com"))
            wait_for(lambda: len(paused) > i, "the question to come through")
            time.sleep(0.3)             # what the pause is made of
            asked_again += times_asked(b"%dpause" % i) - 1
            lonely.thaw()
            assert client.recv(4096)[3] & 15 == 3
    # and one may be stopped between its deadline and its next question
    assert lonely.stat("attempts_expired") - before <= asked_again + 1


def test_server_in_slow_start_that_is_alone_gets_every_query(theatre):
    """Its share is small, but nobody else could be asked. When a busy machine makes it fall again, another start."""
    front = theatre.stage.understudy(patient(theatre.villain.where), name="alone").start()
    for _ in range(5):
        theatre.villain.is_probed_well = False
        theatre.villain.misdeed = lambda reply: []
        for _ in range(60):
            exchange_udp(front.where, question("www.example.com"), timeout=0.01)
        wait_for(lambda: front.json("backends")["backends"][0]["state"] == "down", "it to be down")
        since = time.monotonic()
        theatre.behave()
        theatre.villain.is_probed_well = True
        front.wait_event("backend_probation", since=since, timeout=60)
        count = ask_udp(front.where, queries(200), rate=1000)
        front.caught_up()
        if not front.events("backend_down", since=since):
            break
    count.assert_one_each()
    count.assert_true(theatre.nsd.where)
    front.wait_event("backend_up", since=since, timeout=60)
    front.stop()


# ---- Clients ----

def test_mutated_packets_break_nothing(theatre):
    """HOSTILE_PACKETS=100000 for more."""
    dice = random.Random(7)
    models = queries(10) + [
        question("www.example.com", counts=(1, 0, 0, 1), rest=opt(option(10, b"8 bytes!") + option(3, b""))),
        question("example.com", rdtype=6, flags=4 << 11), question("example.com", rdtype=252)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(theatre.front.where)
        client.setblocking(False)
        for i in range(int(os.environ.get("HOSTILE_PACKETS", 10000))):
            client.send(hostile.mutate(dice, dice.choice(models)))
            try:
                while i % 16 == 0:
                    assert client.recv(65535)[2] & 0x80
            except BlockingIOError:
                pass
        last = question("last.example.com", id=4711)

        def is_through():       # the queues of sockets are empty again, which dropped what was too much
            client.send(last)
            client.settimeout(0.1)
            try:
                while not (reply := client.recv(65535)).startswith(last[:2]) or b"\4last" not in reply:
                    pass
                return True
            except socket.timeout:
                return False
        wait_for(is_through, "the last of them to be heard")
    ask_udp(theatre.front.where, queries(100), rate=200).assert_one_each()


def test_ten_thousand_pipelined_queries_are_all_answered(theatre):
    """More than any buffer holds is written before the first answer is read."""
    theatre.front.ctl("backend", "villain", "down")
    try:
        count = ask_pipelined(theatre.front.where, queries(10000), timeout=20)
    finally:
        theatre.front.ctl("backend", "villain", "auto")
    count.assert_one_each(patience=20)


def test_pipeline_behind_slow_queries_waits_and_is_answered(theatre, lonely):
    """The buffer fills while as many queries as may be are in flight: RFC 7766 s.6.2.1.1."""
    theatre.villain.misdeed = hostile.slowly(0.2)
    padded = [question(f"{'x' * 60}.{'y' * 60}.{i}.example.com", counts=(1, 0, 0, 1),
                       rest=opt(option(65001, bytes(800)))) for i in range(400)]
    for front in (theatre.front, lonely):
        for _ in range(2):
            count = ask_pipelined(front.where, padded, timeout=20)
            count.assert_one_each(patience=20)


def test_slow_answer_outlives_the_idle_time_of_its_connection(theatre, lonely):
    """The idle timer was left running when a query came in its last moments."""
    theatre.villain.misdeed = hostile.slowly(0.45)
    for _ in range(5):                  # a busy machine may hold us up until it is closed
        began = time.monotonic()
        with connect(lonely.where) as connection:
            time.sleep(0.8)             # tcp-idle is one second
            with contextlib.suppress(OSError):
                send_message(connection, question("www.example.com"))
            asked = time.monotonic()
            if receive_message(connection):
                return
        assert asked - began > 0.95, "closed although an answer was owed"
    raise AssertionError("always closed before the query came")


@pytest.mark.parametrize("ending", ["half-close", "reset"])
def test_client_that_goes_at_any_byte_hurts_nobody(theatre, ending):
    message = question("www.example.com")
    framed = (struct.pack("!H", len(message)) + message) * 2
    for end in range(len(framed) + 1):
        with connect(theatre.front.where) as connection:
            connection.sendall(framed[:end])
            if ending == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                continue
            connection.shutdown(socket.SHUT_WR)
            for _ in range(end * 2 // len(framed)):
                assert receive_message(connection), f"cut at {end}"
            assert receive_message(connection) is None
    assert exchange(theatre.front.where, message, True)


def test_reset_in_the_middle_of_answers_hurts_nobody(theatre):
    for size in (1, 20, 300):
        with connect(theatre.front.where) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            for query in queries(size):
                send_message(connection, query)
            connection.recv(100)
    ask_udp(theatre.front.where, queries(50)).assert_one_each()


def test_slowloris_holds_no_place_for_long(theatre):
    slow = [connect(theatre.front.where) for _ in range(100)]
    for connection in slow:
        connection.send(b"\0")
    time.sleep(0.2)
    for connection in slow:
        connection.send(b"\x20")        # a byte now and then buys no time
    for connection in slow:
        with contextlib.suppress(ConnectionError):
            assert connection.recv(1) == b""
        connection.close()


def test_port_zero_is_never_answered(theatre):
    try:
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
    except PermissionError:
        pytest.skip("raw sockets need root")
    before = theatre.front.stat("dropped_malformed")
    message = question("www.example.com")
    with raw:
        for _ in range(20):
            raw.sendto(struct.pack("!4H", 0, theatre.front.port, 8 + len(message), 0) + message, ("127.0.0.1", 0))
    wait_for(lambda: theatre.front.stat("dropped_malformed") == before + 20, "all to be dropped")


def test_nothing_has_grown(theatre):
    """Runs after the others above: sockets and memory are as after the first hundred queries."""
    ask_udp(theatre.front.where, queries(300))
    memory = theatre.front.resident_kb()
    wait_for(lambda: open_files(theatre.front) < 80, "replaced sockets to be closed")
    ask_udp(theatre.front.where, queries(3000), rate=3000)
    assert theatre.front.resident_kb() < memory * 1.1 + 2000


# ---- Descriptors, reloads, the end ----

def test_want_of_descriptors_stops_no_query(theatre, lonely):
    front = lonely
    ask_udp(front.where, queries(64), rate=64)          # over a second: its sockets are due for replacement
    wait_for(lambda: exchange(front.where, question("www.example.com"), True), "a connection to the server")
    soft, hard = resource.prlimit(front.process.pid, resource.RLIMIT_NOFILE)
    crowd = []
    try:
        resource.prlimit(front.process.pid, resource.RLIMIT_NOFILE, (open_files(front) + 4, hard))
        crowd = [connect(front.where) for _ in range(20)]
        time.sleep(0.2)
        for _ in range(3):
            count = ask_udp(front.where, queries(50), rate=100)
            count.assert_one_each()
            count.assert_true(theatre.nsd.where)
    finally:
        resource.prlimit(front.process.pid, resource.RLIMIT_NOFILE, (soft, hard))
        for connection in crowd:
            connection.close()


def test_few_open_files_are_not_all_for_clients(theatre):
    """What is left for TCP clients is told of; sockets to servers and transfers have theirs, come as many as may."""
    conf = configurations.failover(theatre.nsd.where).replace("workers   = 2", "workers   = 1\ntcp-per-client = 1000")
    front = theatre.stage.understudy(conf, name="few")
    front.wrapper = ["prlimit", "--nofile=700:700"]
    front.start()
    front.wait_event("zone_transferred")
    note = re.search(r"open files are limited to 700, \d+ are wanted: each worker takes (\d+) TCP clients", front.log_text())
    most = int(note[1])
    crowd = []
    try:
        for _ in range(most + 200):
            crowd.append(connect(front.where))
            send_message(crowd[-1], question("www.example.com"))
            assert receive_message(crowd[-1])
        assert open_files(front) < most + 150
        since = time.monotonic()
        front.ctl("retransfer", "example.com")
        front.wait_event("zone_transferred", since=since)
        count = ask_udp(front.where, queries(50), rate=100)
        count.assert_one_each()
        count.assert_true(theatre.nsd.where)
    finally:
        for connection in crowd:
            connection.close()
        front.stop()


def listening(theatre, ports):
    conf = configurations.HEAD.replace('"{listen}"', ", ".join(f'"127.0.0.1:{p}"' for p in [*ports]))
    text = conf + 'pool "main" { give-up = "5s"\n' + configurations.backend("ns1", theatre.nsd.where) + "}\n"
    return text + configurations.zone("example.com")


def test_reload_may_change_every_listener_time_and_again(theatre):
    """Old and new ones exist side by side for a while: more than may listen at once."""
    front = theatre.stage.understudy(listening(theatre, []), name="listeners")
    sets = [hostile.free_ports(31) for _ in range(4)]
    front.configure(listening(theatre, [front.port, *sets[0]]))
    front.start()
    for ports in (sets[1], sets[2], sets[3], sets[0], sets[1]):
        front.configure(listening(theatre, [front.port, *ports]))
        assert front.ctl("reload")[0] == 0
        for port in (front.port, ports[0], ports[-1]):
            for is_tcp in (False, True):
                assert exchange(("127.0.0.1", port), question("www.example.com"), is_tcp)
    front.stop()


def test_address_that_comes_back_at_once_loses_no_query(theatre):
    """Its old socket lingered, and took its share of the queries without reading them."""
    front = theatre.stage.understudy(listening(theatre, []), name="comeback")
    second = free_port()
    front.configure(listening(theatre, [front.port, second]))
    front.start()
    for ports in ([front.port], [front.port, second]):
        front.configure(listening(theatre, ports))
        assert front.ctl("reload")[0] == 0
    ask_udp(("127.0.0.1", second), queries(200)).assert_one_each()
    front.stop()


def test_reloads_under_load_lose_nothing(theatre):
    """Backends and listeners come and go while queries are on their way."""
    spare = free_port()
    front = theatre.stage.understudy(listening(theatre, []), name="reloads")
    plain = listening(theatre, [front.port])
    other = listening(theatre, [front.port, spare]).replace('"ns1"', '"ns2"')
    front.configure(plain)
    front.start()
    load = theatre.stage.load(front.where, theatre.nsd.where,
                              "".join(f"{name} A\n" for name in NAMES), rate=500).start()
    for i in range(20):
        front.configure(other if i % 2 == 0 else plain)
        front.signal(signal.SIGHUP)
        load.wait_more(50)
    result = load.finish()
    assert all(result[name] == 0 for name in ("lost", "wrong", "error_rcodes", "duplicates")), result
    assert_accounts_balance(front)
    front.stop()


def test_sigterm_under_load_ends_well_and_soon(theatre):
    front = theatre.stage.understudy(listening(theatre, []), name="term")
    front.configure(listening(theatre, [front.port]))
    front.start()
    load = theatre.stage.load(front.where, theatre.nsd.where, "www.example.com A\nexample.com MX\n", rate=1000,
                              options=("-p", "1000")).start()       # it waits in vain for its last answers
    load.wait_more(500)
    begun = time.monotonic()
    front.process.terminate()           # its accounts never balance as long as queries come
    assert front.process.wait(60) == 0
    assert time.monotonic() - begun < 10
    assert load.finish()["wrong"] == 0
    front.stop()
