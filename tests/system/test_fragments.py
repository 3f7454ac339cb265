# SPDX-License-Identifier: ISC
"""Which answers by UDP may be split on their way: RFC 9715. What any network carries in one piece says so."""
import os
import socket
import struct
import time

import pytest

from fake import FakeBackend, exchange_udp, question_end
from network import Cable, ip
from test_forward import opt, patient, question

pytestmark = [pytest.mark.threads,
              pytest.mark.skipif(os.geteuid() != 0, reason="needs root to see packets, and for network namespaces")]
DONT_FRAGMENT = 0x4000
WHOLE_MAX = 1232


def asking(length):
    """For an answer of so many bytes."""
    return question(f"n{length}.example.com", rdtype=65399, counts=(1, 0, 0, 1), rest=opt(size=4096))


def answer(message, is_tcp):
    end = question_end(message)
    length = int(message[14:13 + message[12]])
    head = message[:2] + bytes([message[2] | 0x84, message[3]]) + b"\0\1\0\1\0\0\0\0" + message[12:end]
    rest = length - len(head) - 12
    return head + b"\xc0\x0c" + struct.pack("!2HIH", 65399, 1, 60, rest) + bytes(rest)


@pytest.fixture
def front(stage):
    fake = stage.add(FakeBackend(answer))
    front = stage.understudy(patient(fake.where)).start()
    assert front.ctl("backend", "ns1", "up")[0] == 0
    return front


@pytest.fixture
def wire():
    """All that passes over the loopback interface."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800)) as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        wire.bind(("lo", 0))
        yield wire


def is_whole(wire, port, length):
    """Whether the datagram of so many bytes from this port says that it is not to be split."""
    give_up = time.monotonic() + 10
    while True:
        wire.settimeout(max(0.001, give_up - time.monotonic()))
        packet = wire.recv(65535)
        ports = packet[20:24]
        if packet[9] == 17 and ports[:2] == struct.pack("!H", port) and len(packet) == 28 + length:
            return bool(struct.unpack("!H", packet[6:8])[0] & DONT_FRAGMENT)


@pytest.mark.parametrize("length", [100, WHOLE_MAX, WHOLE_MAX + 1, 4000])
def test_only_long_answers_may_be_split(front, wire, length):
    for _ in range(2):
        assert len(exchange_udp(front.where, asking(length))) == length
        assert is_whole(wire, front.where[1], length) == (length <= WHOLE_MAX)


def test_short_answer_after_a_long_one_is_whole_again(front, wire):
    for length in (2000, 200, 3000, 300):
        assert len(exchange_udp(front.where, asking(length))) == length
        assert is_whole(wire, front.where[1], length) == (length <= WHOLE_MAX)


@pytest.fixture
def cable():
    there = Cable()
    yield there
    there.close()


def test_interface_for_less_than_others_splits_what_is_too_long(cable, stage):
    where = (Cable.server(), 5353)
    fake = stage.add(FakeBackend(answer))
    front = stage.understudy(patient(fake.where).replace("{listen}", '{listen}", "%s:%d' % where)).start()
    assert front.ctl("backend", "ns1", "up")[0] == 0
    for length, mtu in ((WHOLE_MAX, 1500), (WHOLE_MAX, 700), (4000, 700), (100, 700)):
        ip("link", "set", Cable.name(), "mtu", str(mtu))
        with cable.client():
            ip("link", "set", Cable.name(), "mtu", str(mtu))
            assert len(exchange_udp(where, asking(length))) == length
