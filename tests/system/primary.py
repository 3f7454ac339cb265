# SPDX-License-Identifier: ISC
"""primary - a scripted primary: speaks TCP as the test wants, well or badly.

A script takes a request (struct Asked) and returns what happens on the connection: a list of
bytes (a message, to be framed), Raw(bytes) (sent as they are), CLOSE, RESET or HANG.
"""
import socket
import struct
import threading
import time

import dns.message
import dns.rdataclass
import dns.rdatatype
import dns.tsig

from fake import question_end, receive_message
from servers import free_port

CLOSE, RESET, HANG = "close", "reset", "hang"
SOA, IXFR, AXFR = 6, 251, 252


class Raw(bytes):
    pass


def name(text):
    labels = [label for label in text.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"


def record(owner, rdtype, rdata, ttl=60, rdclass=1):
    return name(owner) + struct.pack("!2HIH", rdtype, rdclass, ttl, len(rdata)) + rdata


class Zone:
    """Records of example.com or the like, in wire form."""

    def __init__(self, origin="example.com", serial=1, hosts=1, refresh=3600, retry=600, expire=86400):
        self.origin, self.serial, self.hosts = origin, serial, hosts
        self.refresh, self.retry, self.expire = refresh, retry, expire

    def soa(self, serial=None, origin=None):
        times = struct.pack("!5I", self.serial if serial is None else serial, self.refresh, self.retry,
                            self.expire, 60)
        return record(origin or self.origin, SOA, name("ns." + self.origin) + name("h." + self.origin) + times)

    def ns(self):
        return record(self.origin, 2, name("ns." + self.origin))

    def host(self, number):
        return record(f"h{number}.{self.origin}", 1, struct.pack("!I", number))

    def records(self):
        return [self.soa(), self.ns()] + [self.host(i) for i in range(self.hosts)] + [self.soa()]


class Asked:
    """One request, and how to answer it."""

    def __init__(self, wire, connection_number):
        self.wire = wire
        self.end = question_end(wire)
        self.question = wire[12:self.end]
        self.type = struct.unpack("!H", wire[self.end - 4:self.end - 2])[0]
        self.connection = connection_number

    def reply(self, answers, flags=0x8400, id=None, question=None, authority=()):
        asked = self.question if question is None else question
        head = (self.wire[:2] if id is None else struct.pack("!H", id)) + \
            struct.pack("!5H", flags, 1 if asked else 0, len(answers), len(authority), 0)
        return head + asked + b"".join(answers) + b"".join(authority)


def packed(asked, records, each=100):
    """A zone as messages of so many records."""
    return [asked.reply(records[i:i + each]) for i in range(0, len(records), each)]


def honest(zone, each=100):
    def script(asked):
        if asked.type == SOA:
            return [asked.reply([zone.soa()])]
        return packed(asked, zone.records(), each)
    return script


class Primary:
    """Listens from the start; `script` may be changed at any time."""

    def __init__(self, script=None):
        self.port = free_port()
        self.where = f"127.0.0.1:{self.port}"
        self.script = script
        self.asked = []
        self.lock = threading.Lock()
        self.connections = 0
        self.socket = None
        self.open()

    def open(self):
        self.is_open = True
        self.open_connections = []
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(("127.0.0.1", self.port))
        self.socket.listen(64)
        threading.Thread(target=self._run, args=(self.socket,), daemon=True).start()

    def stop(self, timeout=0):
        """Refuses connections from now on, and ends those that are."""
        if not self.is_open:
            return
        self.is_open = False
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for connection in self.open_connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def count(self, rdtype):
        with self.lock:
            return sum(asked.type == rdtype for asked in self.asked)

    def _run(self, listener):
        while self.is_open:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            self.open_connections.append(connection)
            threading.Thread(target=self._serve, args=(connection, self.connections), daemon=True).start()

    def _serve(self, connection, number):
        with connection:
            while True:
                wire = receive_message(connection)
                if wire is None:
                    return
                asked = Asked(wire, number)
                with self.lock:
                    self.asked.append(asked)
                try:
                    if not self._act(connection, self.script(asked)):
                        return
                except OSError:
                    return

    def _act(self, connection, actions):
        for action in actions:
            if action is CLOSE:
                return False
            if action is RESET:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return False
            if action is HANG:
                while connection.recv(4096):
                    pass
                return False
            if isinstance(action, Raw):
                connection.sendall(action)
            else:
                connection.sendall(struct.pack("!H", len(action)) + action)
        return True


class Signer:
    """Signs the replies to one request by TSIG, each or some of them."""

    def __init__(self, asked, key_name, secret, algorithm="hmac-sha256"):
        self.key = dns.tsig.Key(key_name, secret, algorithm)
        query = dns.message.from_wire(asked.wire, keyring={self.key.name: self.key})
        self.request_mac = query.mac
        self.context = None
        self.id = query.id

    def message(self, wire, is_signed=True, time_offset=0):
        if not is_signed:
            self.context.update(wire)
            return wire
        now = int(time.time()) + time_offset
        empty = dns.rdtypes.ANY.TSIG.TSIG(dns.rdataclass.ANY, dns.rdatatype.TSIG, self.key.algorithm, now, 300,
                                          b"", self.id, 0, b"")
        first_mac = self.request_mac if self.context is None else None
        signed, self.context = dns.tsig.sign(wire, self.key, empty, now, first_mac, self.context, True)
        body = signed.to_wire()
        count = struct.unpack("!H", wire[10:12])[0] + 1
        return wire[:10] + struct.pack("!H", count) + wire[12:] + self.key.name.to_wire() + \
            struct.pack("!2HIH", 250, 255, 0, len(body)) + body
