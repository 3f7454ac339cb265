# SPDX-License-Identifier: ISC
"""Queries that come back to us: two or three Understudies in a circle, or one in front of itself."""
import random
import selectors
import socket
import threading
import time

import pytest

import configurations
from accounts import unbalanced
from servers import IS_SANITIZED, ask, free_port, try_ask, wait_for
from world import QUICK

NAMED_S = 9.0           # in less than a second, but on a busy machine
NAMED_LATEST_S = 19.0   # who is not made to ask does so each ten seconds, or by chance each twelve and a half
EVIDENCE = "our own question came back to us, for a name in example.com."
ZONE = """$ORIGIN example.com.
$TTL 300
@ SOA ns1 hostmaster 1 3600 600 1209600 300
@ NS ns1
ns1 A 192.0.2.53
www A 192.0.2.1
"""
QUESTIONS = "www.example.com. A\nexample.com. SOA\nnope.example.com. A\n"


class Relay:
    """What is sent to it goes on to `to`, an address translator that can be changed; keeps datagrams."""

    def __init__(self, to):
        self.to = to
        self.where = ("127.0.0.1", free_port())
        self.passed = []
        self.is_open = True
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(self.where)
        self.tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.tcp.bind(self.where)
        self.tcp.listen(64)
        self.behind = {}                    # (client, server) -> socket
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.udp, selectors.EVENT_READ)
        for run in (self._run_udp, self._run_tcp):
            threading.Thread(target=run, daemon=True).start()

    def _forward(self):
        message, client = self.udp.recvfrom(65535)
        key = (client, self.to)
        if key not in self.behind:
            self.behind[key] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.behind[key].connect(self.to)
            self.selector.register(self.behind[key], selectors.EVENT_READ, client)
        self.passed.append(message)
        self.behind[key].send(message)

    def _run_udp(self):
        while self.is_open:
            for key, _ in self.selector.select(0.5):
                try:
                    if key.fileobj is self.udp:
                        self._forward()
                    else:
                        self.udp.sendto(key.fileobj.recv(65535), key.data)
                except OSError:
                    pass

    def _run_tcp(self):
        while self.is_open:
            try:
                client, _ = self.tcp.accept()
                server = socket.create_connection(self.to, 5)
            except OSError:
                continue
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source, sink):
        try:
            while data := source.recv(65535):
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def stop(self, timeout=0):
        self.is_open = False


@pytest.fixture
def nsd(stage):
    return stage.nsd({"example.com": ZONE}).start()


def conf(primary):
    return configurations.failover(primary, health=QUICK)


def alone(primary):
    return configurations.HEAD + 'pool "main" {\n' + configurations.backend("ns1", primary, primary=True) + QUICK \
        + "}\n" + configurations.zone("example.com")


def started(stage, primary, name):
    understudy = stage.understudy(conf(primary), name=name).start()
    understudy.wait_event("zone_transferred")
    return understudy


def relay(stage, to):
    return stage.add(Relay(to))


def put_behind(understudy, primary, make=conf):
    """Reloads with another primary; from when on that counts."""
    understudy.configure(make(primary))
    at = time.monotonic()
    code, out, err = understudy.ctl("reload")
    assert code in (0, 4), err or out
    return at


def assert_named(understudy, since, within=NAMED_S):
    at, event = understudy.wait_event("backend_down", since=since, cause="loop")
    assert at - since < within, f"{understudy.name} named it after {at - since:.3f} s"
    assert event["evidence"] == EVIDENCE and event["backend"] == "ns1", event


def loop_events(understudy):
    return understudy.events("backend_down", cause="loop")


def backend_of(understudy):
    return understudy.json("backends")["backends"][0]


def test_backend_that_is_ourselves_is_named(stage, nsd):
    """An address translator hides it from the check of the configuration."""
    way = relay(stage, nsd.where)
    understudy = started(stage, way.where, "self")
    since = time.monotonic()
    way.to = understudy.where
    ask(understudy.where, "www.example.com.")           # one is enough to set it going
    assert_named(understudy, since, within=NAMED_LATEST_S)
    assert backend_of(understudy)["state"] == "down" and backend_of(understudy)["cause"] == "loop"
    assert backend_of(understudy)["looping"]
    targets = understudy.json("explain", "www.example.com.", "A")["targets"]
    assert "comes back to us" in targets[0]["why"], targets
    assert ask(understudy.where, "www.example.com.").answer
    titles, row = understudy.ctl("backends")[1].splitlines()
    assert dict(zip(titles.replace("BACK IN", "BACK_IN").split(), row.split()))["LOOP"] == "yes", row
    assert understudy.ctl("status")[0] == 4


def test_two_in_front_of_each_other_both_name_it_and_no_client_notices(stage, nsd):
    a = started(stage, nsd.where, "a")
    b = started(stage, nsd.where, "b")
    put_behind(a, b.where)
    load = stage.load(a.where, nsd.where, QUESTIONS, rate=200 if IS_SANITIZED else 500).start()
    load.wait_more(200)
    assert not loop_events(a) and not loop_events(b)
    since = put_behind(b, a.where)
    assert_named(a, since)
    assert_named(b, since)
    load.wait_more(1000)
    result = load.finish()
    assert result["lost"] == 0 and result["wrong"] == 0 and result["error_rcodes"] == 0, result["troubles"][:10]
    assert backend_of(a)["looping"] and backend_of(b)["looping"]
    for understudy in (a, b):
        wait_for(lambda: not unbalanced(understudy), f"the accounts of {understudy.name} to balance")


def test_three_in_a_ring_all_name_it(stage, nsd):
    ring = [started(stage, nsd.where, name) for name in "abc"]
    put_behind(ring[0], ring[1].where)
    put_behind(ring[1], ring[2].where)
    since = put_behind(ring[2], ring[0].where)
    for understudy in ring:
        assert_named(understudy, since)


def test_loop_holds_while_it_lasts_and_both_return_when_it_is_mended(stage, nsd):
    way = relay(stage, nsd.where)
    a = started(stage, nsd.where, "a")
    b = started(stage, way.where, "b")
    put_behind(a, b.where)
    since = time.monotonic()
    way.to = a.where
    ask(a.where, "www.example.com.")
    for understudy in (a, b):
        assert_named(understudy, since, within=NAMED_LATEST_S)    # nobody was reloaded: the questions are rare
    # Each has the other down by now, and answers by itself: that is no end of the loop.
    rounds = a.stat("queries_udp")
    wait_for(lambda: a.stat("queries_udp") > rounds + 30, "half a dozen rounds", 30)
    assert backend_of(a)["looping"] and backend_of(b)["looping"]
    assert len(loop_events(a)) == 1 and len(loop_events(b)) == 1
    since = time.monotonic()
    way.to = nsd.where
    for understudy in (a, b):
        understudy.wait_event("backend_up", timeout=30, since=since)
        assert not backend_of(understudy)["looping"]
    before = b.stat("answers_primary")
    wait_for(lambda: ask(a.where, "www.example.com.").answer and b.stat("answers_primary") > before, "the primary to serve")


def test_one_that_is_mended_by_a_reload_lets_the_other_return(stage, nsd):
    a = started(stage, nsd.where, "a")
    b = started(stage, nsd.where, "b")
    put_behind(a, b.where)
    since = put_behind(b, a.where)
    for understudy in (a, b):
        assert_named(understudy, since)
    since = put_behind(b, nsd.where)
    a.wait_event("backend_up", timeout=30, since=since)
    wait_for(lambda: backend_of(b)["state"] == "up", "b's to be up")
    assert ask(a.where, "www.example.com.").answer


@pytest.mark.parametrize("has_mirror", [True, False], ids=["mirror", "no mirror"])
def test_one_query_goes_round_until_the_verdict_and_none_after_it(stage, nsd, has_mirror):
    """
    Nobody was told of the change, so the queries that pile up must make both ask. Where a mirror takes them off
    the circle they may not, on a slow machine: then it is a question of the usual ones.
    """
    make = conf if has_mirror else alone
    way = relay(stage, nsd.where)
    a = stage.understudy(make(nsd.where), name="a").start()
    b = stage.understudy(make(way.where), name="b").start()
    if has_mirror:
        for understudy in (a, b):
            understudy.wait_event("zone_transferred")
    put_behind(a, b.where, make)
    # The first few marks are through, and the next would come in ten seconds.
    wait_for(lambda: not a.events("config_reloaded", since=time.monotonic() - 1), "a second without news")
    since, before = time.monotonic(), len(way.passed)
    way.to = a.where
    answer = ask(a.where, "www.example.com.")
    assert answer.answer if has_mirror else answer.rcode() == 2
    for understudy in (a, b):
        assert_named(understudy, since, within=NAMED_LATEST_S if has_mirror else NAMED_S)
    print("passed before the verdict:", len(way.passed) - before)
    assert len(way.passed) - before < 20000
    for understudy in (a, b):
        wait_for(lambda: not unbalanced(understudy), f"all queries at {understudy.name} to end")
    before, began = len(way.passed), time.monotonic()
    for number in range(200):
        for understudy in (a, b):
            assert ask(understudy.where, f"client{number}.example.com.").rcode() == (3 if has_mirror else 2)
    after = way.passed[before:]
    print("passed after it:", len(after))
    assert not [message for message in after if b"client" in message.lower()]
    # in a second: five probes, five questions of the gate, and two marks that pass each worker once; samples, sixteen in all
    assert len(after) < 50 + 20 * (time.monotonic() - began)


def test_innocent_chain_is_never_named(stage, nsd):
    """One behind the other, both asked, and strangers who make such names up."""
    b = started(stage, nsd.where, "b")
    a = started(stage, nsd.where, "a")
    put_behind(a, b.where)
    load = stage.load(a.where, nsd.where, QUESTIONS, rate=200).start()
    for number in range(500):
        for understudy in (a, b):
            try_ask(understudy.where, f"understudy-loop-{random.getrandbits(64):016x}{number % 4:04x}.example.com.")
    load.wait_more(1000)
    result = load.finish()
    assert result["lost"] == 0 and result["error_rcodes"] == 0, result["troubles"][:10]
    assert not loop_events(a) and not loop_events(b)
    for understudy in (a, b):
        wait_for(lambda: backend_of(understudy)["state"] == "up", f"the server behind {understudy.name} to be up")
        wait_for(lambda: not unbalanced(understudy), f"the accounts of {understudy.name} to balance")


def test_mirror_first_is_no_loop_as_long_as_it_answers(stage, nsd):
    """b answers from its mirror, so what a sends there comes back from no one."""
    a = started(stage, nsd.where, "a")
    head = conf(nsd.where).split('pool "main"')[0]
    b = stage.understudy(head + 'pool "main" {\n    mirror { tier = 0 }\n    backend "ns1" { address = "%s:%d"  '
                         'tier = 1  primary = true }\n%s}\nzone "example.com" { pool = "main" }\n'
                         % (*a.where, QUICK), name="b")
    b.start()
    a_serves = 'allow-transfer = { "127.0.0.0/8" }\n'
    a.configure(a_serves + conf(nsd.where))
    a.ctl("reload")
    b.wait_event("zone_transferred", timeout=60)
    a.configure(a_serves + conf(b.where))
    a.ctl("reload")
    sent = backend_of(a)["sent"]

    def are_passed_on():        # but while b is held up
        assert ask(a.where, "www.example.com.").answer
        return backend_of(a)["sent"] >= sent + 20
    wait_for(are_passed_on, "twenty queries to be passed on")
    wait_for(lambda: b.stat("queries_udp") > 40, "some rounds of the guard", 30)
    assert not loop_events(a) and not loop_events(b)
