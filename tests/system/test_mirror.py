# SPDX-License-Identifier: ISC
"""The mirror alone (mirror_cli): transfers, restarts, expiry, several of us on one Redis."""
import base64
import contextlib
import os
import shlex
import subprocess
import threading
import time

import dns.query
import dns.zone
import pytest

from primary import AXFR, CLOSE, HANG, IXFR, RESET, SOA, Primary, Raw, Signer, Zone, honest, packed, record
from servers import BUILD, PATIENCE_S, SANITIZER_CRIES, Nsd, Server, parse_event, wait_for

ZONE = """$TTL 300
@ SOA ns1.example.com. hostmaster.example.com. {serial} {refresh} {retry} {expire} 300
@ NS ns1
ns1 A 192.0.2.1
www A 192.0.2.2
*.wild TXT "any"
"""
SECRET = base64.b64encode(b"a secret of our own").decode()
DEAD = "127.0.0.1:1"


def zone_text(serial=1, refresh=3600, retry=600, expire=86400):
    return "$ORIGIN example.com.\n" + ZONE.format(serial=serial, refresh=refresh, retry=retry, expire=expire)


class Mirror(Server):
    """mirror_cli, spoken to by its stdin."""

    def __init__(self, folder, primaries, *options, zones=("example.com",), name="mirror", state=None, redis=None):
        super().__init__(folder, name)
        self.speaks = threading.Lock()
        self.state = state or self.path("state")
        self.command = [os.path.join(BUILD, "tests", "mirror_cli"), "-d", self.state, *options]
        if redis:
            self.command += ["-r", "unix:" + redis.socket]
        for primary in primaries if isinstance(primaries, list) else [primaries]:
            self.command += ["-p", primary]
        self.command += list(zones)

    def start(self):
        self.process = subprocess.Popen(self.command, cwd=self.folder, start_new_session=True, text=True, bufsize=1,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.thread = threading.Thread(target=self._read, args=(self.process.stderr.buffer,), daemon=True)
        self.thread.start()
        return self

    def stop(self, timeout=60):
        was_running = self.is_running()
        if was_running:
            self.process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):    # it is ended by force, and its exit code fails the test
                self.process.wait(timeout)
        code = super().stop(timeout)
        text = self.log_text()
        cry = SANITIZER_CRIES.search(text)
        assert not cry, text[cry.start():cry.start() + 6000]
        assert not was_running or code == 0, f"ended with {code}:\n{text[-3000:]}"
        self.process = None
        return code

    def say(self, *words):
        """Threads of scripted primaries speak to it, too."""
        with self.speaks:
            return self._say(*words)

    def _say(self, *words):
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()
        lines = []
        while True:
            line = self.process.stdout.readline()
            assert line, f"mirror_cli ended:\n{self.log_text()}"
            if line == ".\n":
                return "".join(lines)
            lines.append(line)

    def status(self, zone="example.com"):
        words = dict(word.split("=", 1) for word in shlex.split(self.say("status", zone)))
        return {key: int(value) if value.isdigit() else value for key, value in words.items()}

    def dump(self, zone="example.com"):
        return dns.zone.from_text("$ORIGIN .\n" + self.say("dump", zone), origin=zone, relativize=False)

    def events(self, name=None, **fields):
        found = [parse_event(line) for _, line in list(self.lines)]
        return [e for e in found if e and (name is None or e["event"] == name) and
                all(e.get(key) == str(value) for key, value in fields.items())]

    def wait_event(self, name, count=1, timeout=PATIENCE_S, **fields):
        def seen():
            assert self.is_running(), self.log_text()
            return len(self.events(name, **fields)) >= count
        try:
            wait_for(seen, f"{name} {fields}", timeout)
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{self.log_text()}") from None
        return self.events(name, **fields)[count - 1]


@pytest.fixture
def mirror(stage):
    def make(primaries, *options, **more):
        return stage.add(Mirror(stage.folder, primaries, *options, **more))
    return make


@pytest.fixture
def primary(stage):
    return stage.add(Primary(honest(Zone())))


def nsd_with_key(stage, zones):
    nsd = stage.add(Nsd(stage.folder, zones))
    text = open(nsd.conf).read().replace("NOKEY", "transfer.key")
    nsd.write("nsd.conf", text + f'key:\n    name: "transfer.key"\n    algorithm: hmac-sha256\n    secret: "{SECRET}"\n')
    return nsd.start()


def where(server):
    return f"127.0.0.1:{server.port}"


def as_records(zone):
    return {(str(name).lower(), rdataset.rdtype, rdataset.ttl, rdata.to_text())
            for name, rdataset in zone.iterate_rdatasets() for rdata in rdataset}


# ---- Transfers from NSD ----

def test_zone_from_nsd_is_the_zone_of_nsd(stage, mirror, example_zone):
    nsd = stage.nsd({"example.com": example_zone}).start()
    m = mirror(where(nsd)).start()
    event = m.wait_event("zone_transferred")
    truth = dns.zone.from_xfr(
        dns.query.xfr("127.0.0.1", "example.com", port=nsd.port, relativize=False), relativize=False)
    assert as_records(m.dump()) == as_records(truth)
    count = len(as_records(truth))
    assert list(event) == ["event", "zone", "kind", "serial", "generation", "records", "bytes", "duration_ms",
                           "source", "time"]
    assert event["zone"] == "example.com." and event["kind"] == "axfr" and event["generation"] == "1"
    assert event["records"] == str(count) and event["source"] == where(nsd)
    assert m.status()["is_servable"] == 1


def test_new_serial_is_fetched_at_refresh(stage, mirror):
    nsd = stage.nsd({"example.com": zone_text(1, refresh=1, retry=1)}).start()
    m = mirror(where(nsd)).start()
    m.wait_event("zone_transferred", serial=1)
    nsd.write_zone("example.com", zone_text(2, refresh=1, retry=1) + "new A 192.0.2.9\n")
    nsd.reload()
    event = m.wait_event("zone_transferred", serial=2)
    assert event["from_serial"] == "1" and event["generation"] == "2"
    assert "new.example.com" in m.say("dump", "example.com")


def test_signed_transfer_from_nsd(stage, mirror):
    nsd = nsd_with_key(stage, {"example.com": zone_text()})
    m = mirror(where(nsd), "-k", f"transfer.key:hmac-sha256:{SECRET}").start()
    m.wait_event("zone_transferred", serial=1)


@pytest.mark.parametrize("key, reason", [
    (None, "NOTAUTH|REFUSED"),
    ("transfer.key:hmac-sha256:" + base64.b64encode(b"not it").decode(), "BADSIG"),
    ("other.key:hmac-sha256:" + SECRET, "BADKEY"),
])
def test_nsd_refuses_the_wrong_key_and_we_say_why(stage, mirror, key, reason):
    nsd = nsd_with_key(stage, {"example.com": zone_text()})
    m = mirror(where(nsd), *(["-k", key] if key else [])).start()
    event = m.wait_event("zone_transfer_failed")
    assert any(word in event["reason"] for word in reason.split("|")), event
    assert int(event["next_retry_s"]) >= 1 and event["source"] == where(nsd)


def test_big_zone_over_many_messages(stage, mirror):
    hosts = "".join(f"h{i} A 10.{i >> 16}.{i >> 8 & 255}.{i & 255}\n" for i in range(30000))
    nsd = nsd_with_key(stage, {"example.com": zone_text() + hosts})
    m = mirror(where(nsd), "-k", f"transfer.key:hmac-sha256:{SECRET}").start()
    event = m.wait_event("zone_transferred", timeout=60)
    assert int(event["records"]) == 30005


# ---- Signatures, sparse and wrong ----

def signed(zone, each=1, sign_each=1, spoil=None):
    """An honest script whose replies are signed, every so many; `spoil(messages)` at the end."""
    def script(asked):
        signer = Signer(asked, "transfer.key.", base64.b64decode(SECRET))
        if asked.type == SOA:
            return [signer.message(asked.reply([zone.soa()]))]
        plain = packed(asked, zone.records(), each)
        last = len(plain) - 1
        messages = [signer.message(wire, i % sign_each == 0 or i == last) for i, wire in enumerate(plain)]
        return spoil(messages, plain) if spoil else messages
    return script


KEY = ("-k", f"transfer.key:hmac-sha256:{SECRET}")


@pytest.mark.parametrize("hosts, sign_each", [(0, 1), (97, 1), (97, 100), (297, 1), (297, 96), (297, 100)])
def test_signed_streams_of_any_density(stage, mirror, hosts, sign_each):
    primary = stage.add(Primary(signed(Zone(hosts=hosts), sign_each=sign_each)))
    m = mirror(primary.where, *KEY).start()
    assert m.wait_event("zone_transferred")["records"] == str(hosts + 2)


@pytest.mark.parametrize("what, spoil, reason", [
    ("last unsigned", lambda signed, plain: signed[:-1] + plain[-1:], "not signed"),
    ("first unsigned", lambda signed, plain: plain[:1] + signed[1:], "is not"),
    ("all unsigned", lambda signed, plain: plain, "is not"),
    ("one left out", lambda signed, plain: signed[:3] + signed[4:], "does not match"),
    ("two swapped", lambda signed, plain: signed[:2] + [signed[3], signed[2]] + signed[4:], "does not match"),
    ("one altered", lambda signed, plain: signed[:2] + [signed[2].replace(b"\2h0", b"\2h9")] + signed[3:],
     "does not match"),
])
def test_spoilt_signatures_fail(stage, mirror, what, spoil, reason):
    primary = stage.add(Primary(signed(Zone(hosts=5), spoil=spoil)))
    m = mirror(primary.where, *KEY).start()
    assert reason in m.wait_event("zone_transfer_failed")["reason"]
    assert m.status()["is_held"] == 0


# ---- Bad primaries: each with a held zone of serial 1, offering serial 2 ----

NEXT = Zone(serial=2, hosts=3)
BAD = {
    "no first SOA": lambda a: packed(a, NEXT.records()[1:]),
    "last SOA differs": lambda a: packed(a, NEXT.records()[:-1] + [NEXT.soa(3)]),
    "early FIN": lambda a: packed(a, NEXT.records()[:-1]) + [CLOSE],
    "reset in the middle": lambda a: packed(a, NEXT.records()[:-1]) + [RESET],
    "half a message": lambda a: [Raw(b"\x01\x00" + a.reply(NEXT.records()[:2])[:40]), CLOSE],
    "owner out of zone": lambda a: packed(a, NEXT.records()[:-1] + [record("example.net", 1, b"abcd"), NEXT.soa()]),
    "class CH": lambda a: packed(a, NEXT.records()[:-1] + [record("x.example.com", 1, b"abcd", rdclass=3), NEXT.soa()]),
    "rcode REFUSED": lambda a: [a.reply([], flags=0x8405)],
    "rcode later": lambda a: packed(a, NEXT.records()[:-1]) + [a.reply([NEXT.soa()], flags=0x8402)],
    "another ID": lambda a: [a.reply(NEXT.records(), id=struct_id(a) ^ 1)],
    "another question": lambda a: [a.reply(NEXT.records(), question=b"\7example\3net\0\0\xfc\0\1")],
    "endless nothing": lambda a: [a.reply([])] * 2000,
    "endless records": lambda a: packed(a, NEXT.records()[:-1]) + [a.reply([NEXT.host(i) for i in range(j, j + 500)])
                                                                  for j in range(0, 200000, 500)],
    "rdata too long": lambda a: packed(a, NEXT.records()[:-1] + [record("x.example.com", 1, b"abcde"), NEXT.soa()]),
    "RDLENGTH lies": lambda a: [a.reply(NEXT.records()[:-1] + [NEXT.host(9)[:-6] + b"\xff\xff" + b"abcd"])],
    "records after the end": lambda a: packed(a, NEXT.records() + [NEXT.host(7)]),
    "QR clear": lambda a: [a.reply(NEXT.records(), flags=0x0400)],
    "TC set": lambda a: [a.reply(NEXT.records(), flags=0x8600)],
    "garbage": lambda a: [a.wire[:2] + b"\x84\0" + b"\xff" * 300],
    "length 0": lambda a: [Raw(b"\0\0")],
    "SOA older than promised": lambda a: packed(a, Zone(serial=1).records()),
    "no answer to AXFR": lambda a: [CLOSE],
}
REJECTED = {
    "no NS": lambda a: packed(a, [NEXT.soa(), NEXT.host(1), NEXT.soa()]),
    "SOA alone": lambda a: packed(a, [NEXT.soa(), NEXT.soa()]),
    "CNAME and other data": lambda a: packed(a, NEXT.records()[:-1] + [record("h1.example.com", 5, b"\0"), NEXT.soa()]),
    "SOA below the apex": lambda a: packed(a, NEXT.records()[:-1] + [NEXT.soa(origin="x.example.com"), NEXT.soa()]),
}


def struct_id(asked):
    return int.from_bytes(asked.wire[:2], "big")


def lying(lie):
    return lambda asked: [asked.reply([NEXT.soa()])] if asked.type == SOA else lie(asked)


@pytest.mark.parametrize("what", [*BAD, *REJECTED])
def test_bad_transfer_is_told_and_the_zone_stays(mirror, primary, what):
    m = mirror(primary.where, "-m", "5000").start()
    m.wait_event("zone_transferred", serial=1)
    primary.script = lying({**BAD, **REJECTED}[what])
    m.say("refresh", "example.com")
    event = m.wait_event("zone_rejected" if what in REJECTED else "zone_transfer_failed")
    assert event["reason"] and int(event["next_retry_s"]) > 500
    if what.startswith(("CNAME", "SOA below")):
        assert event["owner"] in ("h1.example.com.", "x.example.com.")
    status = m.status()
    assert status["serial"] == 1 and status["is_servable"] == 1 and event["reason"] in status["last_error"]
    primary.script = honest(NEXT)
    m.say("retransfer", "example.com")
    m.wait_event("zone_transferred", serial=2)
    assert m.status()["last_error"] == ""


def test_primary_that_hangs_does_not_hold_up_the_end(mirror, primary):
    primary.script = lambda asked: [asked.reply([Zone().soa()])] if asked.type == SOA else [HANG]
    m = mirror(primary.where).start()
    wait_for(lambda: primary.count(AXFR), "the AXFR request")
    began = time.monotonic()
    m.stop()
    assert time.monotonic() - began < 10     # fifteen, until such a primary is given up


@pytest.mark.slow
def test_silent_primary_is_given_up(mirror, primary):
    primary.script = lambda asked: [HANG]
    m = mirror(primary.where).start()
    assert "silent" in m.wait_event("zone_transfer_failed", timeout=15 + PATIENCE_S)["reason"]


def test_primary_that_writes_byte_by_byte(mirror, primary):
    def script(asked):
        messages = honest(Zone(hosts=3))(asked)
        stream = b"".join(len(m).to_bytes(2, "big") + m for m in messages)
        return [Raw(bytes([byte])) for byte in stream]
    primary.script = script
    assert mirror(primary.where).start().wait_event("zone_transferred")["records"] == "5"


def test_primary_that_closes_after_each_answer(mirror, primary):
    primary.script = lambda asked: honest(Zone())(asked) + [CLOSE]
    mirror(primary.where).start().wait_event("zone_transferred")
    assert primary.connections == 2


def test_one_record_a_message(mirror, primary):
    primary.script = honest(Zone(hosts=500), each=1)
    assert mirror(primary.where).start().wait_event("zone_transferred")["records"] == "502"


def test_equal_failures_are_told_once(mirror):
    m = mirror(DEAD).start()
    m.wait_event("zone_transfer_failed")
    m.say("refresh", "example.com")
    wait_for(lambda: m.status()["next_refresh_s"] > 2, "three failures")
    assert len(m.events("zone_transfer_failed")) == 1


def test_recovery_is_told(mirror, primary):
    m = mirror(primary.where).start()
    m.wait_event("zone_transferred")
    primary.stop()
    m.say("refresh", "example.com")
    m.wait_event("zone_transfer_failed")
    primary.open()
    m.say("refresh", "example.com")
    assert m.wait_event("zone_refreshed")["after_failures"] == "1"


# ---- Several primaries ----

def test_next_primary_is_asked_at_once(mirror, primary):
    m = mirror([DEAD, primary.where]).start()
    assert m.wait_event("zone_transferred")["source"] == primary.where
    assert m.events("zone_transfer_failed")[0]["next_retry_s"] == "0"


def test_newer_primary_wins_over_one_that_is_behind(stage, mirror, primary):
    newer = stage.add(Primary(honest(Zone(serial=1))))
    m = mirror([primary.where, newer.where]).start()
    m.wait_event("zone_transferred", serial=1)
    newer.script = honest(Zone(serial=5))
    m.say("refresh", "example.com")
    assert m.wait_event("zone_transferred", serial=5)["source"] == newer.where
    m.say("refresh", "example.com")
    assert "older than ours" in m.wait_event("zone_transfer_failed")["reason"]
    assert m.status()["serial"] == 5


# ---- By order of the operator ----

def test_retransfer_takes_the_same_serial_and_an_older_one(mirror, primary):
    primary.script = honest(Zone(serial=10))
    m = mirror(primary.where).start()
    m.wait_event("zone_transferred", generation=1)
    m.say("retransfer", "example.com")
    m.wait_event("zone_transferred", generation=2, serial=10)
    primary.script = honest(Zone(serial=4))
    m.say("retransfer", "example.com")
    assert m.wait_event("zone_transferred", generation=3)["serial"] == "4"
    assert m.status()["serial"] == 4


def test_refresh_asks_once_a_second_after_some_in_vain(mirror, primary):
    m = mirror(primary.where).start()
    m.wait_event("zone_transferred")
    began, before = time.monotonic(), primary.count(SOA)
    while time.monotonic() - began < 2.2 or primary.count(SOA) == before:
        m.say("refresh", "example.com")
    assert primary.count(SOA) - before <= 5 + (time.monotonic() - began)


def test_zones_come_and_go(mirror, primary):
    other = Zone("example.org", serial=7)
    example = honest(Zone())
    primary.script = lambda asked: (honest(other) if b"\3org" in asked.question else example)(asked)
    m = mirror(primary.where).start()
    m.wait_event("zone_transferred", zone="example.com.")
    m.say("zones", "example.com", "example.org")
    m.wait_event("zone_transferred", zone="example.org.", serial=7)
    assert m.status()["generation"] == 1, "a zone that stays is not fetched again"
    m.say("zones", "example.org")
    assert m.say("status", "example.com") == "no such zone\n"
    wait_for(lambda: not os.path.exists(snapshot_of(m)), "the snapshot to go")
    m.say("zones", "example.com", "example.org")
    m.wait_event("zone_transferred", zone="example.com.", count=2)


def test_changed_primary_is_asked_at_once_and_the_zone_stays(stage, mirror, primary):
    primary.script = lambda asked: [asked.reply([Zone(serial=2).soa()])] if asked.type == SOA else [HANG]
    m = mirror(primary.where).start()
    wait_for(lambda: primary.count(AXFR), "a transfer to be under way")
    other = stage.add(Primary(honest(Zone(serial=3))))
    m.say("primary", other.where)
    assert m.wait_event("zone_transferred", serial=3)["source"] == other.where
    m.say("primary", DEAD)
    m.wait_event("zone_transfer_failed", source=DEAD)
    status = m.status()
    assert status["serial"] == 3 and status["is_servable"] == 1 and status["generation"] == 1


def snapshot_of(m, zone="example.com"):
    folder = os.path.join(m.state, "zones")
    return os.path.join(folder, next((f for f in os.listdir(folder) if f.startswith(zone)), "none"))


# ---- Restarts ----

def test_restart_with_the_primary_down_serves_the_snapshot(mirror, primary):
    primary.script = honest(Zone(serial=3, hosts=1000))
    m = mirror(primary.where).start()
    m.wait_event("zone_transferred")
    before = as_records(m.dump())
    m.stop()
    primary.stop()
    m = mirror(primary.where, state=m.state, name="again").start()
    assert m.say("wait", "30000") == "1\n"
    assert m.status()["is_servable"] == 1 and m.status()["source"] == "snapshot"
    assert as_records(m.dump()) == before
    primary.script = honest(Zone(serial=4))
    primary.open()
    m.say("retransfer", "example.com")
    # the snapshot may have been behind, and no number is given twice
    assert int(m.wait_event("zone_transferred", serial=4)["generation"]) > 1


def test_spoilt_snapshot_is_told_and_not_served(mirror, primary):
    m = mirror(primary.where).start()
    m.wait_event("zone_transferred")
    m.stop()
    primary.stop()
    with open(snapshot_of(m), "r+b") as file:
        data = bytearray(file.read())
        data[-3] ^= 1
        file.seek(0)
        file.write(data)
    m = mirror(primary.where, state=m.state, name="again").start()
    assert m.say("wait", "30000") == "1\n"
    assert m.wait_event("zone_rejected")["source"] == "snapshot"
    assert m.status()["is_held"] == 0


def test_state_directory_that_cannot_be_written_is_told_once(stage, mirror, primary):
    blocked = os.path.join(stage.folder, "blocked")
    open(blocked, "w").close()
    m = mirror(primary.where, state=blocked).start()
    m.wait_event("zone_transferred")
    m.wait_event("snapshot_failed")
    m.say("retransfer", "example.com")
    m.wait_event("zone_transferred", count=2)
    assert m.status()["is_servable"] == 1
    m.say("retransfer", "example.com")
    m.wait_event("zone_transferred", count=3)
    assert len(m.events("snapshot_failed")) == 1


@pytest.mark.timing
def test_expiry_is_announced_and_ends_service(mirror, primary):
    zone = Zone(refresh=1, retry=1, expire=6)
    primary.script = honest(zone)
    m = mirror(primary.where).start()
    m.wait_event("zone_transferred")
    primary.stop()
    assert int(m.wait_event("zone_expiring", percent_left=50)["expires_in_s"]) <= 3
    m.wait_event("zone_expiring", percent_left=25)      # 10 % may fall between two looks at the clock
    m.wait_event("zone_expired")
    status = m.status()
    assert status["is_held"] == 1 and status["is_servable"] == 0
    m.stop()
    # an expired snapshot is no better after a restart
    m = mirror(primary.where, state=m.state, name="again").start()
    m.wait_event("zone_expired")
    assert m.status()["is_servable"] == 0
    primary.open()
    wait_for(lambda: m.status()["is_servable"] == 1, "service after the primary's return")


# ---- Redis ----

@pytest.fixture
def redis(stage):
    return stage.redis().start()


def test_zone_is_saved_to_redis_and_served_from_there(mirror, primary, redis):
    primary.script = honest(Zone(serial=3, hosts=2000))
    m = mirror(primary.where, redis=redis).start()
    m.wait_event("store_up")
    m.wait_event("zone_transferred")
    wait_for(lambda: m.status()["saved_generation"] == 1, "the commit")
    before = as_records(m.dump())
    m.stop()
    primary.stop()
    m = mirror(primary.where, redis=redis, name="second").start()
    assert m.say("wait", "30000") == "1\n"
    status = m.status()
    assert status["is_servable"] == 1 and status["source"] == "redis" and status["generation"] == 1
    assert as_records(m.dump()) == before
    assert m.wait_event("zone_restored")["source"] == "redis"


def follower(mirror, primary, *options, **more):
    """Has the zone from Redis: before that it knows no primary, which it would ask if Redis were slow to come up."""
    m = mirror(DEAD, *options, **more).start()
    m.wait_event("zone_restored", source="redis")
    m.say("primary", primary.where)
    return m


def test_one_of_two_transfers_and_the_other_follows(mirror, primary, redis):
    primary.script = honest(Zone(serial=1, refresh=1, retry=1))
    a = mirror(primary.where, "-l", "30", redis=redis, name="a").start()
    a.wait_event("zone_transferred", serial=1)
    wait_for(lambda: a.status()["saved_generation"] == a.status()["has_lease"] == 1, "the commit and the lease")
    b = follower(mirror, primary, "-l", "30", redis=redis, name="b")
    primary.script = honest(Zone(serial=2, refresh=1, retry=1))
    b.wait_event("zone_restored", serial=2)
    assert primary.count(AXFR) + primary.count(IXFR) == 2
    assert a.status()["has_lease"] == 1 and b.status()["has_lease"] == 0
    assert a.status()["generation"] == b.status()["generation"] == 2
    # the holder of the lease dies without a word: the other takes over
    a.kill()
    redis.command("PEXPIRE", "understudy:lease:{example.com.}", "1000")     # or this would last half a minute
    primary.script = honest(Zone(serial=3, refresh=1, retry=1))
    assert b.wait_event("zone_transferred", serial=3)["generation"] == "3"
    assert b.status()["has_lease"] == 1


def test_lease_is_left_at_the_end(mirror, primary, redis):
    m = mirror(primary.where, "-l", "60", redis=redis).start()
    m.wait_event("zone_transferred")
    wait_for(lambda: m.status()["has_lease"] == 1, "the lease")
    assert redis.command("EXISTS", "understudy:lease:{example.com.}") == "1"
    m.stop()
    assert redis.command("EXISTS", "understudy:lease:{example.com.}") == "0"


def test_lease_is_left_to_a_redis_that_takes_its_time(mirror, primary, redis):
    """It had a tenth of a second, less the time that the last snapshots took."""
    m = mirror(primary.where, "-l", "60", redis=redis).start()
    m.wait_event("zone_transferred")
    wait_for(lambda: m.status()["has_lease"] == 1, "the lease")
    redis.freeze()
    threading.Timer(0.3, redis.thaw).start()
    m.stop()
    assert redis.command("EXISTS", "understudy:lease:{example.com.}") == "0"


def test_redis_that_dies_stops_nothing_and_catches_up(mirror, primary, redis):
    m = mirror(primary.where, redis=redis).start()
    m.wait_event("zone_transferred")
    wait_for(lambda: m.status()["saved_generation"] == 1, "the commit")
    redis.kill()
    assert m.wait_event("store_down")["reason"]
    primary.script = honest(Zone(serial=2))
    m.say("retransfer", "example.com")
    m.wait_event("zone_transferred", serial=2)
    assert m.status()["saved_generation"] == 1
    redis.start()
    m.wait_event("store_up", count=2)
    wait_for(lambda: m.status()["saved_generation"] == 2, "the store to catch up")
    assert redis.hash("understudy:zone:{example.com.}")["serial"] == "2"


def test_redis_that_comes_back_empty_is_filled_again(mirror, primary, redis):
    m = mirror(primary.where, redis=redis).start()
    m.wait_event("zone_transferred")
    wait_for(lambda: m.status()["saved_generation"] == 1, "the commit")
    redis.command("FLUSHALL")
    redis.kill()
    m.wait_event("store_down")
    redis.start()
    m.wait_event("store_up", count=2)
    wait_for(lambda: redis.try_command("EXISTS", "understudy:zone:{example.com.}") == "1", "the zone to be back")


def test_spoilt_redis_is_written_anew_by_whoever_has_the_zone(mirror, primary, redis):
    """Under a number that it could not overwrite: it used to stay broken for ever."""
    primary.script = honest(Zone(serial=3))
    m = mirror(primary.where, redis=redis).start()
    m.wait_event("zone_transferred")
    key = "understudy:zone:{example.com.}"
    wait_for(lambda: redis.hash(key).get("generation") == "1", "the zone in Redis")
    m.stop()
    redis.command("HSET", key, "generation", "7", "digest", "0000000000000000")
    m = mirror(primary.where, redis=redis, name="again", state=m.state).start()
    assert m.wait_event("zone_rejected")["source"] == "redis"
    wait_for(lambda: int(redis.hash(key)["generation"]) > 7, "a generation that can be read")
    primary.stop()
    other = mirror(primary.where, redis=redis, name="other").start()
    assert other.wait_event("zone_restored")["source"] == "redis"


def test_frozen_redis_holds_up_no_transfer(mirror, primary, redis):
    """The zone is there before Redis is given up; a primary that a busy machine holds up has another chance."""
    redis.freeze()
    for name in ("mirror", "second", "third"):
        m = mirror(primary.where, redis=redis, name=name).start()
        m.wait_event("zone_transferred")
        m.wait_event("store_down")
        told = [event["event"] for event in m.events()]
        if told.index("zone_transferred") < told.index("store_down"):
            break
    assert told.index("zone_transferred") < told.index("store_down"), told
    redis.thaw()
    m.wait_event("store_up")
    wait_for(lambda: m.status()["saved_generation"] >= 1, "the commit")


def test_two_that_went_apart_agree_again(mirror, primary, stage, redis):
    """Each transferred alone while Redis was away; the newer serial wins everywhere."""
    primary.script = honest(Zone(serial=1))
    a = mirror(primary.where, "-l", "3", redis=redis, name="a").start()
    a.wait_event("zone_transferred")
    wait_for(lambda: a.status()["saved_generation"] == 1, "the commit")
    b = follower(mirror, primary, "-l", "3", redis=redis, name="b")
    redis.kill()
    a.wait_event("store_down")
    b.wait_event("store_down")
    primary.script = honest(Zone(serial=2))
    a.say("retransfer", "example.com")
    a.wait_event("zone_transferred", serial=2)
    primary.script = honest(Zone(serial=3))
    b.say("retransfer", "example.com")
    b.wait_event("zone_transferred", serial=3)
    redis.start()
    wait_for(lambda: a.status()["serial"] == b.status()["serial"] == 3, "both to agree")
    wait_for(lambda: redis.hash("understudy:zone:{example.com.}").get("serial") == "3", "Redis too")
    wait_for(lambda: a.status()["generation"] == b.status()["generation"], "one number")


@pytest.mark.threads
def test_readers_go_on_while_generations_change(mirror, primary):
    zone = Zone(hosts=200, refresh=1)
    primary.script = honest(zone)
    m = mirror(primary.where, "-w", "3").start()
    for serial in range(2, 7):
        m.wait_event("zone_transferred", serial=serial - 1)
        zone.serial = serial
        m.say("refresh", "example.com")
        m.say("dump", "example.com")
    m.wait_event("zone_transferred", serial=6)
