# SPDX-License-Identifier: ISC
"""fake - a backend that notes every byte it is sent and answers as the test wants."""
import socket
import struct
import threading

import dns.message
import dns.rrset

from servers import ANSWER_S, free_port

SOA = "ns1.example.com. hostmaster.example.com. 1 3600 600 1209600 300"


def question_end(message):
    at = 12
    while message[at]:
        at += 1 + message[at]
    return at + 5


def is_probe(message):
    """An SOA question: the health check's. No test asks for one through a fake."""
    if len(message) < 17 or message[2] & 0xf8 or message[4:6] != b"\0\1":
        return False
    end = question_end(message)
    return message[end - 4:end - 2] == b"\0\6"


def good_answer(message, rdtype="A", rdata="192.0.2.1"):
    query = dns.message.from_wire(message)
    reply = dns.message.make_response(query)
    reply.flags |= 0x0400
    name = query.question[0].name
    reply.answer.append(dns.rrset.from_text(name, 300, "IN", rdtype, rdata))
    return reply.to_wire()


class FakeBackend:
    """`answer(message, is_tcp)` returns bytes, None (silence), or a list of bytes."""

    def __init__(self, answer=lambda message, is_tcp: good_answer(message)):
        self.port = free_port()
        self.where = ("127.0.0.1", self.port)
        self.answer = answer
        self.seen = []                      # (message, is_tcp), probes left out
        self.is_probed_well = True
        self.soa = SOA                      # shown to probes
        self.is_open = True
        self.connections = 0
        self.lock = threading.Lock()
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(self.where)
        self.tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.tcp.bind(self.where)
        self.tcp.listen(64)
        for run in (self._run_udp, self._run_tcp):
            threading.Thread(target=run, daemon=True).start()

    def stop(self, timeout=0):
        self.is_open = False
        for end in (self.udp, self.tcp):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()

    def _replies(self, message, is_tcp):
        if is_probe(message):
            return [good_answer(message, "SOA", self.soa)] if self.is_probed_well else []
        with self.lock:
            self.seen.append((message, is_tcp))
        replies = self.answer(message, is_tcp)
        return replies if isinstance(replies, list) else [replies] if replies else []

    def _run_udp(self):
        while self.is_open:
            try:
                message, peer = self.udp.recvfrom(65535)
            except OSError:
                return
            if not message:             # what a shutdown of the socket looks like
                continue
            threading.Thread(target=self._answer_udp, args=(message, peer), daemon=True).start()

    def _answer_udp(self, message, peer):
        for reply in self._replies(message, False):
            try:
                self.udp.sendto(reply, peer)
            except OSError:
                return

    def _run_tcp(self):
        while self.is_open:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        lock = threading.Lock()
        while True:
            message = receive_message(connection)
            if message is None:
                return connection.close()
            threading.Thread(target=self._answer_tcp, args=(connection, lock, message), daemon=True).start()

    def _answer_tcp(self, connection, lock, message):
        for reply in self._replies(message, True):
            with lock:
                try:
                    connection.sendall(struct.pack("!H", len(reply)) + reply)
                except OSError:
                    return


def receive_exactly(connection, count):
    data = b""
    while len(data) < count:
        try:
            part = connection.recv(count - len(data))
        except (ConnectionError, socket.timeout):
            return None
        if not part:
            return None
        data += part
    return data


def receive_message(connection):
    """The next message of a TCP connection, or None at its end."""
    prefix = receive_exactly(connection, 2)
    return receive_exactly(connection, struct.unpack("!H", prefix)[0]) if prefix else None


def send_message(connection, message):
    connection.sendall(struct.pack("!H", len(message)) + message)


def connect(where, timeout=ANSWER_S):
    return socket.create_connection(where, timeout)


def exchange_udp(where, message, timeout=ANSWER_S):
    """The bytes that came back, or None for silence."""
    family = socket.AF_INET6 if ":" in where[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        udp.settimeout(timeout)
        udp.connect(where)
        udp.send(message)
        try:
            return udp.recv(65535)
        except (socket.timeout, ConnectionError):
            return None


def exchange_tcp(where, message, timeout=ANSWER_S):
    try:
        with connect(where, timeout) as connection:
            send_message(connection, message)
            return receive_message(connection)
    except OSError:
        return None


def exchange(where, message, is_tcp, **options):
    return (exchange_tcp if is_tcp else exchange_udp)(where, message, **options)
