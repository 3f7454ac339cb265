# SPDX-License-Identifier: ISC
"""A Redis that lies to a whole Understudy: answers and transfers go on, the log stays short, memory small.

Lies to the store alone, many more of them, are in test_store.py and tests/fuzz/fuzz_store.c.
"""
import socket
import threading
import time

import pytest

import configurations
from servers import IS_SANITIZED, Redis, ask, wait_for

WHO = ("store_up", "store_down", "store_denied", "store_failed", "store_older", "store_unsafe", "zone_rejected")


def zone_text(serial):
    return (f"$ORIGIN example.com.\n$TTL 300\n@ SOA ns hostmaster {serial} 3600 600 1209600 300\n@ NS ns\n"
            f"ns A 192.0.2.1\nwww A 192.0.2.80\n")


def bulk(text):
    return b"$%d\r\n%s\r\n" % (len(text), text)


OK, NIL, ONE = b"+OK\r\n", b"$-1\r\n", b":1\r\n"


class Actor:
    """
    Plays an empty Redis to which every commit succeeds; `lies` give other replies to some commands:
    bytes, or a function of the words and of how often it was asked.
    """

    REPLIES = {"PING": b"+PONG\r\n", "INFO": b"-NOPERM no\r\n", "CONFIG": b"-NOPERM no\r\n", "SET": NIL, "WATCH": OK,
               "UNWATCH": OK, "MULTI": OK, "HMGET": b"*4\r\n" + 4 * NIL, "XLEN": b":0\r\n", "SCARD": b":0\r\n",
               "HGETALL": b"*0\r\n", "HGET": NIL, "GET": NIL, "XRANGE": b"*0\r\n", "XREVRANGE": b"*0\r\n", "EXEC": b"*1\r\n:1\r\n"}

    def __init__(self, path, lies):
        self.lies = lies
        self.asked = {}
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        is_multi = False
        with connection, connection.makefile("rb") as file:
            try:
                while head := file.readline():
                    words = [file.read(int(file.readline()[1:]) + 2)[:-2] for _ in range(int(head[1:]))]
                    word = words[0].decode()
                    connection.sendall(b"+QUEUED\r\n" if is_multi and word != "EXEC" else self._reply(word, words))
                    is_multi = word == "MULTI" or is_multi and word != "EXEC"
            except (OSError, ValueError):
                pass

    def _reply(self, word, words):
        count = self.asked[word] = self.asked.get(word, 0) + 1
        lie = self.lies.get(word, self.REPLIES.get(word, ONE))
        return lie(words, count) if callable(lie) else lie


def hash_of(**changes):
    fields = {"generation": 9, "serial": 50, "base": 9, "chunks": 1, "records": 4, "digest": "0" * 16, "schema": 1,
              "refreshed_at": 1700000000, "expires_at": 1900000000, "source": "x", **changes}
    return b"*%d\r\n" % (2 * len(fields)) + b"".join(
        bulk(name.encode()) + bulk(str(value).encode()) for name, value in fields.items())


def generation(value):
    """To HGET ... generation only; a chunk is not there."""
    return lambda words, count: bulk(str(value(count) if callable(value) else value).encode()) \
        if words[-1] == b"generation" else NIL


# What Redis says, and the events of which the log may have one each.
LIES = {
    "error in EXEC": ({"EXEC": b"*2\r\n:1\r\n-OOM command not allowed\r\n"}, {"store_up", "store_down"}),
    "EXEC is no array": ({"EXEC": OK}, {"store_up", "store_failed"}),
    "EXEC never goes through": ({"EXEC": b"*-1\r\n"}, {"store_up", "store_failed"}),
    "a push of RESP3": ({"HMGET": b">2\r\n+invalidate\r\n*0\r\n"}, {"store_up", "store_down"}),
    "a greatest generation": ({"HGET": generation(2 ** 64 - 1)}, {"store_up"}),
    "newer at each look, and nothing there": (
        {"HGET": generation(lambda n: 100 + n), "HGETALL": lambda words, n: hash_of(generation=100 + n)},
        {"store_up", "zone_rejected"}),
    "older at each look": ({"HGET": generation(lambda n: 1000 - n)}, {"store_up", "store_older", "zone_rejected"}),
    "a hash that promises the world": (
        {"HGET": generation(9), "HGETALL": hash_of(records=2 ** 63, chunks=2 ** 62)}, {"store_up", "zone_rejected"}),
    "a chunk without end": (
        {"HGET": lambda words, n: bulk(b"9") if words[-1] == b"generation" else b"$60000\r\n" + b"x" * 100,
         "HGETALL": hash_of()}, {"store_up", "store_down"}),
    "a huge reply": ({"HGETALL": b"$500000000\r\n" + b"x" * (1 << 20)}, {"store_up", "store_down"}),
    "a bomb": ({"HGETALL": b"*100000000\r\n"}, {"store_up", "store_down"}),
    "everything is denied": ({word: b"-NOPERM no permissions to run this\r\n" for word in
                              ("HGETALL", "HMGET", "XLEN", "HGET", "SET", "WATCH")}, {"store_up", "store_denied"}),
}


AT_EACH_CHECK = ("error in EXEC", "newer at each look, and nothing there", "a bomb", "everything is denied")


@pytest.mark.parametrize("lie", [lie if lie in AT_EACH_CHECK else pytest.param(lie, marks=pytest.mark.soak)
                                 for lie in LIES])
def test_redis_that_lies_harms_nobody(stage, lie):
    lies, expected = LIES[lie]
    store = Redis(stage.folder, "unused")
    Actor(store.socket, lies)
    nsd = stage.nsd({"example.com": zone_text(1)}).start()
    patience = "300ms" if lie == "a chunk without end" else "10s"       # the others say something, but Python may be late
    began = time.monotonic()
    front = stage.understudy(configurations.failover(nsd.where, store=store,
                                                     redis_more=f'command-timeout = "{patience}"')).start()
    front.wait_event("zone_transferred")
    before = front.resident_kb()
    nsd.write_zone("example.com", zone_text(2))
    nsd.reload()
    wait_for(lambda: nsd.serial("example.com") == 2, "NSD to reload")
    front.ctl("refresh", "example.com")
    front.wait_event("zone_transferred", serial="2")
    end = time.monotonic() + 1.5        # what is measured is what is logged, and what grows, in this time
    while time.monotonic() < end:
        answer = ask(front.where, "www.example.com")
        assert answer.rcode() == 0 and answer.answer
        time.sleep(0.02)
    assert ask(front.where, "example.com", "SOA").answer[0][0].serial == 2
    assert front.resident_kb() - before < (200000 if IS_SANITIZED else 20000)
    said = [fields["event"] for _, fields in front.events() if fields["event"] in WHO]
    # who keeps nothing has lost what we wrote, and that is told, too: once for each connection
    assert set(said) <= expected | {"store_older"}, said
    most = 6 + (time.monotonic() - began) if "store_down" in expected or "store_denied" in expected else 1
    assert all(said.count(name) <= most for name in set(said)), said
