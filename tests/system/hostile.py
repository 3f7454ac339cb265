# SPDX-License-Identifier: ISC
"""hostile - servers that misbehave by script, and clients that count every answer."""
import os
import random
import select
import socket
import struct
import time

import dns.message

from fake import FakeBackend, exchange_udp, question_end, receive_message
from servers import free_port, records

# Who has no answer by then has none. Where there is a mirror, Understudy gives up after 0.7 s with SERVFAIL, so
# what is true was in time; in front of one server of ours, which may be held up, after 5 s.
PATIENCE = 8


def cut(reply):
    return reply[:max(12, len(reply) - 7)]


def header_of(reply, flags_on=0, flags_off=0):
    """The question alone, with other flags."""
    flags = (struct.unpack("!H", reply[2:4])[0] | flags_on) & ~flags_off
    return reply[:2] + struct.pack("!H", flags) + b"\0\1" + bytes(6) + reply[12:question_end(reply)]


class Villain(FakeBackend):
    """Knows the truth from `truth` (an address), and says of it what `misdeed` makes of it."""

    def __init__(self, truth):
        self.truth = truth
        self.misdeed = lambda reply: [reply]
        self.serve = None               # replaces the handling of a TCP connection
        super().__init__(self._answer)

    def _answer(self, message, is_tcp):
        reply = exchange_udp(self.truth, message)
        return self.misdeed(reply) if reply else []

    def _serve(self, connection):
        if self.serve is None:
            return super()._serve(connection)
        try:
            self.serve(self, connection)
        except OSError:
            pass
        connection.close()


def from_elsewhere(villain):
    """Sends the true reply, but from a port that nobody asked."""
    def answer_udp(message, peer):
        for reply in villain._replies(message, False):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                other.sendto(reply, peer)
    return answer_udp


def sometimes(chance, misdeed):
    """By chance, but the same in each run."""
    dice = random.Random(1)
    return lambda reply: misdeed(reply) if dice.random() < chance else [reply]


def slowly(seconds, misdeed=lambda reply: [reply]):
    def late(reply):
        time.sleep(seconds)
        return misdeed(reply)
    return late


# ---- TCP servers ----

def accepts_and_hangs(villain, connection):
    while receive_message(connection):
        pass


def resets(villain, connection):
    receive_message(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def closes_after_each_answer(villain, connection):
    message = receive_message(connection)
    if message:
        for reply in villain._replies(message, True):
            connection.sendall(struct.pack("!H", len(reply)) + reply)
        connection.shutdown(socket.SHUT_RDWR)


def drips(villain, connection):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while (message := receive_message(connection)):
        for reply in villain._replies(message, True):
            for byte in struct.pack("!H", len(reply)) + reply:
                connection.send(bytes([byte]))


def announces(length):
    def serve(villain, connection):
        receive_message(connection)
        connection.send(struct.pack("!H", length) + b"x" * min(length, 30))
        receive_message(connection)
    return serve


# ---- Clients that count ----

class Count:
    """What became of each query: its replies, and when the first came."""

    def __init__(self, messages):
        self.asked = dict(messages)                     # key -> query
        self.replies = {key: [] for key in self.asked}
        self.took = {}
        self.strange = []

    def note(self, key, reply, took):
        if key not in self.replies:
            self.strange.append(reply)
        else:
            self.replies[key].append(reply)
            self.took.setdefault(key, took)

    def assert_one_each(self, patience=PATIENCE):
        assert not self.strange, f"nobody asked for {self.strange[0]!r}"
        for key, query in self.asked.items():
            got = self.replies[key]
            assert len(got) == 1, f"{len(got)} answers to {query!r}"
            assert self.took[key] < patience, f"{self.took[key]:.3f} s for {query!r}"
            end = question_end(query)
            assert got[0][:2] == query[:2] and got[0][12:end] == query[12:end], got[0]
            assert got[0][2] & 0x80

    def assert_true(self, truth):
        """As `truth` answers the same; a truncated one may have less, nothing false."""
        known = {}
        for key, query in self.asked.items():
            got = dns.message.from_wire(self.replies[key][0])
            body = query[2:]
            if body not in known:
                known[body] = dns.message.from_wire(exchange_udp(truth, query))
            assert got.rcode() == known[body].rcode(), f"{got}\nfor {query!r}"
            if not got.flags & dns.flags.TC:
                assert records(got.answer) == records(known[body].answer), f"{got}\nfor {query!r}"


def ask_udp(where, queries, rate=1000, linger=0.4):
    """Sends `queries` (bytes) from several sockets, each with an ID of its own; counts."""
    ends = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(16)]
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        end.connect(where)
    keyed = {(i % 16, i): struct.pack("!H", i) + query[2:] for i, query in enumerate(queries)}
    count, sent, begun = Count(keyed), {}, time.monotonic()
    waiting, last = list(keyed.items()), begun
    while waiting or time.monotonic() - last < linger or \
            (len(count.took) < len(keyed) and time.monotonic() - last < PATIENCE):
        due = int((time.monotonic() - begun) * rate) + 1 - len(sent)
        for key, query in waiting[:max(0, due)]:
            sent[key] = last = time.monotonic()
            ends[key[0]].send(query)
        waiting = waiting[max(0, due):]
        for end in select.select(ends, [], [], 0.002)[0]:
            reply = end.recv(65535)
            key = (ends.index(end), struct.unpack("!H", reply[:2])[0])
            count.note(key, reply, time.monotonic() - sent.get(key, 0))
    for end in ends:
        end.close()
    return count


def read_answers(connection, count, sent, goal):
    data = b""
    while len(count.took) + len(count.strange) < goal:
        part = connection.recv(65536)
        assert part, f"closed after {len(count.took)} of {goal} answers"
        data += part
        while len(data) >= 2 and len(data) >= 2 + struct.unpack("!H", data[:2])[0]:
            length = struct.unpack("!H", data[:2])[0]
            reply, data = data[2:2 + length], data[2 + length:]
            count.note(struct.unpack("!H", reply[:2])[0], reply, time.monotonic() - sent)
    assert not data


def ask_pipelined(where, queries, timeout=20):
    """All at once on one connection; reads when all is written."""
    keyed = {i: struct.pack("!H", i) + query[2:] for i, query in enumerate(queries)}
    count = Count(keyed)
    with socket.create_connection(where, timeout) as connection:
        sent = time.monotonic()
        for query in keyed.values():
            connection.sendall(struct.pack("!H", len(query)) + query)
        read_answers(connection, count, sent, len(keyed))
    return count


def mutate(dice, message):
    """One packet with a few of its bytes, or its length, gone wrong."""
    wrong = bytearray(message)
    for _ in range(dice.randrange(1, 5)):
        at = dice.randrange(len(wrong))
        wrong[at] = dice.choice((0, 1, 0x3f, 0x40, 0x80, 0xc0, 0xff, wrong[at] ^ 1 << dice.randrange(8)))
    if dice.random() < 0.2:
        wrong = wrong[:dice.randrange(len(wrong) + 1)]
    if dice.random() < 0.1:
        wrong += bytes(dice.randrange(256) for _ in range(dice.randrange(1, 40)))
    return bytes(wrong)


def open_files(front):
    return len(os.listdir(f"/proc/{front.process.pid}/fd"))


def free_ports(count):
    return [free_port() for _ in range(count)]
