# SPDX-License-Identifier: ISC
"""Transfers from a primary that lies, stalls or breaks off: the old generation goes on."""
import socket
import struct
import threading
import time

import pytest

import configurations
from fake import FakeBackend, is_probe, question_end
from servers import ANSWER_S, ask, wait_for
from test_forward import question

ORIGIN = b"\7example\3com\0"


def record(owner, rdtype, rdata, ttl=60, rdclass=1):
    return owner + struct.pack("!2HIH", rdtype, rdclass, ttl, len(rdata)) + rdata


def soa(serial, origin=ORIGIN, rdclass=1):
    return record(origin, 6, b"\2ns" + ORIGIN + b"\1h" + ORIGIN + struct.pack("!5I", serial, 3600, 600, 86400, 60),
                  rdclass=rdclass)


NS = record(ORIGIN, 2, b"\2ns" + ORIGIN)
WWW = record(b"\3www" + ORIGIN, 1, bytes([192, 0, 2, 1]))


def reply(message, answers, rcode=0, id=None, asked=None):
    end = question_end(message)
    head = (id or message[:2]) + bytes([0x84, rcode]) + struct.pack("!4H", 1, len(answers), 0, 0)
    return head + (asked or message[12:end]) + b"".join(answers)


class Primary(FakeBackend):
    """Serves zone versions of the test's making."""

    def __init__(self):
        super().__init__(self.speak)
        self.serial = 1
        self.stream = lambda message: [reply(message, [soa(1), NS, WWW, soa(1)])]

    def _replies(self, message, is_tcp):
        if is_probe(message):
            return [reply(message, [soa(self.serial)])]
        return super()._replies(message, is_tcp)

    def speak(self, message, is_tcp):
        end = question_end(message)
        if message[end - 4:end - 2] == struct.pack("!H", 252):
            return self.stream(message)
        return reply(message, [WWW])


@pytest.fixture
def primary(stage):
    return stage.add(Primary())


@pytest.fixture
def front(stage, primary):
    understudy = stage.understudy(configurations.failover(primary.where)).start()
    understudy.wait_event("zone_transferred", serial="1")
    return understudy


HUGE = record(b"\3big" + ORIGIN, 16, b"\xff" + b"x" * 255)
LIES = {
    "no last SOA": lambda m: [reply(m, [soa(2), NS, WWW])],
    "no first SOA": lambda m: [reply(m, [NS, WWW, soa(2)])],
    "last SOA differs": lambda m: [reply(m, [soa(2), NS, WWW, soa(3)])],
    "wrong class": lambda m: [reply(m, [soa(2), record(b"\3www" + ORIGIN, 1, b"abcd", rdclass=3), NS, soa(2)])],
    "rcode REFUSED": lambda m: [reply(m, [], rcode=5)],
    "rcode later": lambda m: [reply(m, [soa(2), NS]), reply(m, [WWW, soa(2)], rcode=2)],
    "another ID": lambda m: [reply(m, [soa(2), NS, WWW, soa(2)], id=bytes([m[0] ^ 1, m[1]]))],
    "another question": lambda m: [reply(m, [soa(2), NS, WWW, soa(2)], asked=b"\7example\3net\0\0\xfc\0\1")],
    "SOA of another zone": lambda m: [reply(m, [soa(2, b"\7example\3net\0"), NS, WWW, soa(2)])],
    "no NS": lambda m: [reply(m, [soa(2), WWW, soa(2)])],
    "CNAME and other data": lambda m: [reply(m, [soa(2), NS, WWW, record(b"\3www" + ORIGIN, 5, ORIGIN), soa(2)])],
    "rdata too long": lambda m: [reply(m, [soa(2), NS, record(b"\3www" + ORIGIN, 1, b"12345"), soa(2)])],
    "RDLENGTH lies": lambda m: [reply(m, [soa(2), NS, WWW[:-6] + b"\xff\xff" + WWW[-4:], soa(2)])],
    "garbage": lambda m: [m[:2] + b"\x84\0" + b"\xff" * 200],
    "empty message": lambda m: [b""],
    "endless empty messages": lambda m: [reply(m, [])] * 3000,
}


@pytest.mark.parametrize("lie", LIES)
def test_bad_transfer_is_told_and_the_old_generation_stays(front, primary, lie):
    lied = []

    def stream(message):
        lied.append(message)
        return LIES[lie](message)

    primary.stream = stream
    primary.serial = 2
    assert front.ctl("refresh", "example.com")[0] == 0
    # a stream that just ends is known as failed when it is closed or stalls for too long
    if lie == "no last SOA":
        wait_for(lambda: lied, "the lie to be told")
        assert front.json("zone", "example.com")
    else:
        found = wait_for(lambda: front.events("zone_transfer_failed") + front.events("zone_rejected"), "the event")
        assert found[0][1]["zone"] == "example.com."
    front.ctl("failover", "main", "on")
    answer = ask(front.where, "www.example.com")
    assert answer.rcode() == 0 and answer.answer[0][0].address == "192.0.2.1"
    assert ask(front.where, "example.com", "SOA").answer[0][0].serial == 1
    # and an honest transfer heals
    primary.stream = lambda m: [reply(m, [soa(2), NS, WWW, soa(2)])]
    front.ctl("retransfer", "example.com")
    if lie != "no last SOA":
        front.wait_event("zone_transferred", timeout=30, serial="2")


def test_out_of_zone_records_are_left_out(front, primary):
    stranger = record(b"\3www\7example\3net\0", 1, bytes([192, 0, 2, 9]))
    primary.stream = lambda m: [reply(m, [soa(2), NS, stranger, WWW, soa(2)])]
    primary.serial = 2
    front.ctl("refresh", "example.com")
    wait_for(lambda: front.events("zone_transferred", serial="2") or front.events("zone_transfer_failed"), "a verdict")
    assert "example.net" not in front.ctl("dump", "example.com")[1]


def test_zone_over_its_limits_is_refused(stage, primary):
    conf = configurations.failover(primary.where).replace(
        'zone "example.com" { pool = "main" }', 'zone "example.com" { pool = "main"  max-records = 100 }')

    def stream(message):
        hosts = [record(bytes([4]) + b"%04d" % i + ORIGIN, 1, b"abcd") for i in range(200)]
        return [reply(message, [soa(1), NS] + hosts + [soa(1)])]

    primary.stream = stream
    understudy = stage.understudy(conf).start()
    _, event = understudy.wait_event("zone_transfer_failed")
    assert event["zone"] == "example.com."


def test_records_split_over_many_messages_make_one_zone(stage, primary):
    hosts = [record(bytes([4]) + b"%04d" % i + ORIGIN, 1, struct.pack("!I", i)) for i in range(500)]
    primary.stream = lambda m: [reply(m, [part]) for part in [soa(1), NS] + hosts + [soa(1)]]
    understudy = stage.understudy(configurations.failover(primary.where)).start()
    _, event = understudy.wait_event("zone_transferred")
    assert int(event["records"]) == 502
    understudy.ctl("failover", "main", "on")
    assert ask(understudy.where, "0499.example.com").answer[0][0].address == "0.0.1.243"


def test_primary_with_an_older_serial_is_not_believed(front, primary):
    primary.serial = 0xFFFFFFF0
    front.ctl("refresh", "example.com")
    _, event = front.wait_event("zone_transfer_failed")
    assert event["reason"] == "the primary's serial 4294967280 is older than ours, 1"
    assert len(front.events("zone_transferred")) == 1


@pytest.mark.threads
def test_a_storm_of_notifies_from_both_workers_is_heard_once(stage, primary):
    """Anyone can forge the address: thousands must cost the mirror a question or two, and lose none."""
    slow_probes = "    health { interval = 60s }\n"       # or a probe would see the new serial
    front = stage.understudy(configurations.failover(primary.where, health=slow_probes)).start()
    front.wait_event("zone_transferred", serial="1")
    primary.stream = lambda m: [reply(m, [soa(2), NS, WWW, soa(2)])]
    primary.serial = 2
    transfers_before, acknowledged = primary.connections, []
    notify = question("example.com", rdtype=6, flags=4 << 11 | 0x0400)

    def storm():
        for _ in range(8):              # new ports each time: the kernel spreads them over the workers
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.settimeout(ANSWER_S)
                s.connect(front.where)
                for _ in range(50):
                    s.send(notify)
                    acknowledged.append(s.recv(512)[3] & 15)

    began = time.monotonic()
    threads = [threading.Thread(target=storm) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert acknowledged == [0] * 1600
    front.wait_event("zone_transferred", serial="2")
    assert primary.connections - transfers_before < 10 + 2 * (time.monotonic() - began)
