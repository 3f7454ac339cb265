# SPDX-License-Identifier: ISC
"""NOTIFY: of which primaries it is believed, how soon it is served, and on to whom it goes."""
import socket
import struct
import time

import dns.message
import dns.opcode
import dns.flags
import dns.tsig
import pytest

import configurations
import notifying
from fake import FakeBackend, question_end
from primary import Primary, Zone, honest
from servers import ANSWER_S, free_port, wait_for

KEY = ("transfer.example.com", "hmac-sha256", notifying.SECRET)
SLOW_PROBES = "    health { interval = 60s }\n"        # or a probe would see the new serial


def zone_text(serial):
    return f"""$ORIGIN example.com.
$TTL 60
@ SOA ns hostmaster {serial} 3600 600 86400 60
@ NS ns
ns A 192.0.2.1
version TXT "{serial}"
"""


def key_section(name, algorithm, secret):
    return f'key "{name}" {{ algorithm = {algorithm}  secret = "{secret}" }}\n'


def with_key(conf, backend, key):
    """The backend of this name has the key."""
    line = next(line for line in conf.splitlines() if f'backend "{backend}"' in line)
    return key_section(*key) + conf.replace(line, line.replace(" }", f'  key = "{key[0]}" }}'))


def held_serial(front):
    return front.json("zone", "example.com")["zone"].get("serial")


# ---- Real primaries ----

@pytest.mark.timing
@pytest.mark.parametrize("server", notifying.ALL)
@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "signed"])
def test_what_a_primary_publishes_is_served_within_a_second_of_its_notify(stage, server, key):
    listen = ("127.0.0.1", free_port())
    primary = stage.add(notifying.ALL[server](stage.folder, {"example.com": zone_text(1)}, listen, key)).start()
    conf = configurations.failover(primary.where, health=SLOW_PROBES)
    front = stage.understudy(with_key(conf, "ns1", key) if key else conf, port=listen[1]).start()
    front.wait_event("zone_transferred", serial="1")
    heard = front.stat("notify_heard")
    for serial in (2, 3):
        primary.publish("example.com", zone_text(serial))
        # it may repeat the one of its start
        wait_for(lambda: front.stat("notify_heard") > heard and primary.serial("example.com") == serial, "a NOTIFY")
        begun = time.monotonic()
        heard = front.stat("notify_heard")
        wait_for(lambda: held_serial(front) == serial, f"serial {serial}")
        took = time.monotonic() - begun
        assert took < 1
    assert not front.events("notify_refused")


# ---- Who is believed ----

class Notifier:
    """Sends NOTIFY and returns the rcode of the answer."""

    def __init__(self, key=None, address="127.0.0.1"):
        self.key, self.address = key, address

    def send(self, where, zone="example.com"):
        query = dns.message.make_query(zone, "SOA", use_edns=False)
        query.set_opcode(dns.opcode.NOTIFY)
        query.flags = dns.flags.AA | dns.opcode.to_flags(dns.opcode.NOTIFY)
        keyring = None
        if self.key:
            key = dns.tsig.Key(self.key[0], self.key[2], self.key[1])
            keyring = {key.name: key}
            query.use_tsig(keyring, key.name)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind((self.address, 0))
            s.settimeout(ANSWER_S)
            s.sendto(query.to_wire(), where)
            reply = s.recv(4096)
        answer = dns.message.from_wire(reply, keyring=keyring, request_mac=query.mac)
        assert not keyring or answer.had_tsig or answer.rcode() != 0
        return answer.rcode()


def test_unsigned_notify_of_a_primary_with_a_key_is_refused_and_told_once(stage):
    primary = stage.add(Primary())
    signed = []

    def script(asked):
        signed.append(dns.message.from_wire(asked.wire, keyring={
            dns.name.from_text(KEY[0]): dns.tsig.Key(KEY[0], KEY[2], KEY[1])}).had_tsig)
        return []

    primary.script = script
    conf = with_key(configurations.failover(("127.0.0.1", primary.port), health=SLOW_PROBES), "ns1", KEY)
    front = stage.understudy(conf).start()
    wait_for(lambda: signed, "the primary to be asked")
    assert [Notifier().send(front.where) for _ in range(3)] == [5] * 3
    assert front.stat("notify_heard") == 0
    _, event = front.wait_event("notify_refused")
    assert event["zone"] == "example.com." and event["source"].startswith("127.0.0.1:")
    assert Notifier(KEY).send(front.where) == 0
    assert Notifier(KEY, "127.0.0.9").send(front.where) == 0       # the key says who it is
    assert Notifier(None, "127.0.0.9").send(front.where) == 5
    assert front.stat("notify_heard") == 2
    assert len(front.events("notify_refused")) == 1


def test_a_second_version_within_a_second_is_not_put_off(stage):
    """Who has just had something new may have it again; who has not is asked once a second at most."""
    primary = stage.add(Primary())
    zone = Zone()
    primary.script = honest(zone)
    front = stage.understudy(configurations.failover(("127.0.0.1", primary.port), health=SLOW_PROBES)).start()
    front.wait_event("zone_transferred", serial="1")
    for serial in range(2, 12):
        zone.serial = serial
        assert Notifier().send(front.where) == 0
        front.wait_event("zone_transferred", serial=str(serial))
    came = [front.events("zone_transferred", serial=str(serial))[0][0] for serial in range(3, 12)]
    waits = sorted(after - before for before, after in zip(came, came[1:]))
    assert waits[len(waits) // 2] < 0.9, f"each version waited for a second: {waits}"
    asked, began = primary.count(6), time.monotonic()
    for _ in range(50):
        assert Notifier().send(front.where) == 0
    assert primary.count(6) - asked <= 3 + (time.monotonic() - began)


# ---- Sent on ----

class Secondary(FakeBackend):
    """Hears NOTIFY as `answer` makes it: a flags word, or None for silence."""

    def __init__(self):
        self.heard = []
        self.flags = 0xa400
        super().__init__(lambda message, is_tcp: None)

    def _replies(self, message, is_tcp):
        if message[2] >> 3 & 15 != 4:
            return super()._replies(message, is_tcp)
        self.heard.append(message)
        if self.flags is None:
            return []
        return [message[:2] + struct.pack("!H", self.flags) + message[4:question_end(message)]]


REPEAT = '    notify = "repeat"\n' + SLOW_PROBES


@pytest.fixture
def trio(stage):
    primary, secondary = stage.add(Primary()), stage.add(Secondary())
    zone = Zone()
    primary.script = honest(zone)
    front = stage.understudy(configurations.failover(("127.0.0.1", primary.port), secondary.where,
                                                     health=REPEAT)).start()
    front.wait_event("zone_transferred", serial="1")
    return primary, secondary, front


def test_notify_is_sent_on_until_it_is_acknowledged(trio):
    primary, secondary, front = trio
    secondary.flags = None
    assert Notifier().send(front.where) == 0
    wait_for(lambda: len(secondary.heard) >= 2, "a second try")
    secondary.flags = 0xa400
    wait_for(lambda: front.stat("notify_acknowledged") == 1, "the acknowledgement")
    got = dns.message.from_wire(secondary.heard[0])
    assert got.opcode() == dns.opcode.NOTIFY and str(got.question[0].name) == "example.com."
    assert got.flags & dns.flags.AA and not got.had_tsig
    ids = [message[:2] for message in secondary.heard]
    assert all(one != other for one, other in zip(ids, ids[1:])), "a late reply to one is none to the next"
    assert not front.events("notify_unanswered")


def test_a_flood_of_notifies_is_one_a_second_for_the_backends(trio):
    primary, secondary, front = trio
    began = time.monotonic()
    for _ in range(200):
        assert Notifier().send(front.where) == 0
    wait_for(lambda: front.stat("notify_sent_on") >= 2, "the last word")
    assert len(secondary.heard) <= time.monotonic() - began + 3
    assert front.stat("notify_heard") == 200


def test_a_primary_that_notifies_of_all_its_zones_at_once(stage):
    """As one does that has been restarted: each zone goes on to the backends."""
    primary, secondary = stage.add(Primary()), stage.add(Secondary())
    names = [f"z{i}.example" for i in range(300)]
    primary.script = lambda asked: []
    front = stage.understudy(configurations.failover(("127.0.0.1", primary.port), secondary.where, zones=names,
                                                     health=REPEAT)).start()
    notifier = Notifier()
    for name in names:
        assert notifier.send(front.where, name) == 0
    wait_for(lambda: front.stat("notify_acknowledged") == len(names), "all acknowledgements", 30)
    assert len({message[12:] for message in secondary.heard}) == len(names)


def test_a_backend_that_refuses_notify_is_told_of(trio):
    primary, secondary, front = trio
    secondary.flags = 0xa405
    assert Notifier().send(front.where) == 0
    _, event = front.wait_event("notify_unanswered")
    assert event["backend"] == "ns2" and event["zone"] == "example.com." and "rcode 5" in event["reason"]
    assert front.stat("notify_not_taken") == 1


@pytest.mark.soak
def test_a_backend_that_never_acknowledges_is_told_of_after_five_tries(trio):
    primary, secondary, front = trio
    secondary.flags = None
    assert Notifier().send(front.where) == 0
    _, event = front.wait_event("notify_unanswered", timeout=60)
    assert event["tries"] == "5" and len(secondary.heard) == 5 and front.stat("notify_unanswered") == 1


@pytest.mark.soak
def test_what_changes_after_the_last_try_is_told_all_the_same(trio):
    primary, secondary, front = trio
    secondary.flags = None
    assert Notifier().send(front.where) == 0
    wait_for(lambda: len(secondary.heard) == 5, "five tries", timeout=60)
    assert Notifier().send(front.where) == 0
    secondary.flags = 0xa400
    wait_for(lambda: front.stat("notify_acknowledged") == 1, "the acknowledgement", timeout=60)
    assert front.stat("notify_unanswered") == 1 and len(secondary.heard) == 6


def test_a_reload_takes_and_ends_the_sending_on(trio):
    primary, secondary, front = trio
    secondary.flags = None
    assert Notifier().send(front.where) == 0
    wait_for(lambda: secondary.heard, "the first try")
    with open(front.conf) as file:
        conf = file.read()
    front.write("understudy.conf", conf.replace('notify = "repeat"', 'notify = "consume"'))
    assert front.ctl("reload")[0] == 0
    heard = len(secondary.heard)
    assert Notifier().send(front.where) == 0
    front.write("understudy.conf", conf)
    assert front.ctl("reload")[0] == 0
    secondary.flags = 0xa400
    assert Notifier().send(front.where) == 0
    wait_for(lambda: front.stat("notify_acknowledged") == 1, "the backend to hear of it again")
    assert heard < len(secondary.heard) <= heard + 3     # one may have been on its way, and one is tried again


def test_notify_to_a_backend_with_a_key_is_signed_and_wants_a_signed_answer(stage):
    primary = stage.add(Primary())
    primary.script = honest(Zone())
    secondary = stage.add(Secondary())
    conf = configurations.failover(("127.0.0.1", primary.port), secondary.where, health=REPEAT)
    front = stage.understudy(with_key(conf, "ns2", KEY)).start()
    front.wait_event("zone_transferred", serial="1")
    assert Notifier().send(front.where) == 0
    wait_for(lambda: len(secondary.heard) >= 2, "another try, for the answer is not signed")
    key = dns.tsig.Key(KEY[0], KEY[2], KEY[1])
    assert dns.message.from_wire(secondary.heard[0], keyring={key.name: key}).had_tsig
    assert front.stat("notify_acknowledged") == 0


def test_knot_behind_us_follows_the_primary_by_our_notify(stage):
    """It knows the primary, and takes NOTIFY from us: the primary need not know it."""
    listen = ("127.0.0.1", free_port())
    primary = stage.add(notifying.Nsd(stage.folder, {"example.com": zone_text(1)}, listen)).start()
    knot = stage.knot(primary)
    with open(knot.conf) as file:
        text = file.read()
    knot.write("knot.conf", text.replace("template:", """acl:
  - id: notify
    address: 127.0.0.1
    action: notify
template:""").replace("    semantic-checks: off", "    semantic-checks: off\n    acl: notify"))
    knot.start()
    front = stage.understudy(configurations.failover(primary.where, knot.where, health=REPEAT),
                             port=listen[1]).start()
    front.wait_event("zone_transferred", serial="1")
    primary.publish("example.com", zone_text(2))
    wait_for(lambda: knot.serial("example.com") == 2, "Knot to have the new version")
    wait_for(lambda: front.stat("notify_acknowledged") >= 1, "the acknowledgement")
