# SPDX-License-Identifier: ISC
"""Redis in each bad state: answers and transfers go on, one line says so, the store is repaired on return."""
import os
import shutil
import socket
import threading
import time

import pytest

import configurations
from servers import Redis, Stage, ask, free_port, wait_for

pytestmark = pytest.mark.slow

ZONE = "understudy:zone:{example.com.}"
WHO = ("store_up", "store_down", "store_denied", "store_failed", "store_older", "zone_rejected")


def zone_text(serial):
    return (f"$ORIGIN example.com.\n$TTL 300\n@ SOA ns hostmaster {serial} 3600 600 1209600 300\n@ NS ns\n"
            f"ns A 192.0.2.1\nwww A 192.0.2.80\nserial TXT \"{serial}\"\n" +
            "".join(f"h{i} A 10.0.{i >> 8}.{i & 255}\n" for i in range(500)))


class Slow:
    """Between Understudy and Redis; each piece waits `delay_s` on its way."""

    def __init__(self, path, target):
        self.path = path
        self.target = target
        self.delay_s = 0.0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(self.target)
            except OSError:
                client.close()
                continue
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    def _copy(self, source, sink):
        try:
            while data := source.recv(65536):
                time.sleep(self.delay_s)        # what this relay is for
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Theatre:
    """A primary, Redis behind a relay, and an Understudy that has saved the zone."""

    def __init__(self, stage):
        self.stage = stage
        self.serial = 1
        self.nsd = stage.nsd({"example.com": zone_text(1)}).start()
        self.redis = stage.redis().start("--save", "3600 1000000", "--dbfilename", "dump.rdb")
        self.relay = Slow(os.path.join(stage.folder, "slow.sock"), self.redis.socket)
        conf = configurations.failover(self.nsd.where, store=self.relay_as_store(),
                                       redis_more='command-timeout = "1500ms"')
        self.front = stage.understudy(conf).start()
        self.wait_saved()
        self.asking = threading.Thread(target=self._ask, daemon=True)
        self.failures = []
        self.is_over = False
        self.asking.start()

    def relay_as_store(self):
        store = Redis(self.stage.folder, "unused")
        store.socket = self.relay.path
        return store

    def _ask(self):
        """Clients go on asking all the time, and each has its answer."""
        while not self.is_over:
            try:
                answer = ask(self.front.where, "www.example.com")
                if answer.rcode() != 0 or not answer.answer:
                    self.failures.append(answer.to_text())
            except Exception as failure:        # noqa: BLE001  (whatever it is, it is a lost answer)
                self.failures.append(repr(failure))
            time.sleep(0.01)

    def change(self):
        """The primary's zone changes; Understudy has to have it whatever Redis does."""
        self.serial += 1
        began = time.monotonic()
        self.nsd.write_zone("example.com", zone_text(self.serial))
        self.nsd.reload()
        wait_for(lambda: self.nsd.serial("example.com") == self.serial, "NSD to reload")
        assert self.front.ctl("refresh", "example.com")[0] == 0
        self.front.wait_event("zone_transferred", since=began, serial=str(self.serial))
        wait_for(lambda: ask(self.front.where, "serial.example.com", "TXT").answer[0][0].to_text() == f'"{self.serial}"',
                 "the process of NSD that had the version before to end")

    def is_saved(self):
        return self.redis.try_command("HGET", ZONE, "serial") == str(self.serial)

    def wait_saved(self):
        wait_for(self.is_saved, f"serial {self.serial} in Redis", 30)

    def heal(self):
        """Redis is as at first, whatever a test that failed has left: it may be run again."""
        self.relay.delay_s = 0.0
        if self.redis.is_running():
            self.redis.thaw()
        else:
            start(self)
        if os.path.isdir(self.redis.path("dump.rdb")):
            mend_disk(self)
        for words in ("CONFIG SET maxmemory 0", "CONFIG SET min-replicas-to-write 0", "REPLICAOF NO ONE"):
            self.redis.command(*words.split())
        shutil.rmtree(self.redis.path("copy"), ignore_errors=True)
        wait_for(lambda: self.front.json("status")["store"]["state"] == "up", "the store to be up")
        self.wait_saved()
        self.failures.clear()

    def lines(self, since):
        return [fields for _, fields in self.front.events(since=since) if fields["event"] in WHO]


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    stage = Stage(tmp_path_factory.mktemp("states"))
    there = Theatre(stage)
    yield there
    there.is_over = True
    there.asking.join(5)
    stage.close()


@pytest.fixture
def theatre(house):
    house.heal()
    return house


# Each way to break Redis, the way back, the reason that the log gives.

def set_to(option, bad, good):
    return (lambda t: t.redis.command("CONFIG", "SET", option, bad),
            lambda t: t.redis.command("CONFIG", "SET", option, good))


def break_disk(theatre):
    """BGSAVE cannot give its file the name of a folder."""
    os.unlink(theatre.redis.path("dump.rdb")) if os.path.isfile(theatre.redis.path("dump.rdb")) else None
    os.mkdir(theatre.redis.path("dump.rdb"))
    theatre.redis.command("BGSAVE")
    wait_for(lambda: "rdb_last_bgsave_status:err" in theatre.redis.command("INFO", "persistence"), "a failed BGSAVE")


def mend_disk(theatre):
    os.rmdir(theatre.redis.path("dump.rdb"))
    theatre.redis.command("BGSAVE")


def demote(theatre):
    theatre.redis.command("REPLICAOF", "127.0.0.1", str(free_port()))


def promote(theatre):
    theatre.redis.command("REPLICAOF", "NO", "ONE")


def kill(theatre):
    theatre.redis.kill()


def start(theatre):
    theatre.redis.start("--save", "3600 1000000", "--dbfilename", "dump.rdb")


def start_empty(theatre):
    shutil.rmtree(theatre.redis.path("appendonlydir"))
    start(theatre)


def kill_with_copy(theatre):
    """The data of before the change that follows."""
    theatre.redis.kill()
    shutil.copytree(theatre.redis.path("appendonlydir"), theatre.redis.path("copy"))
    start(theatre)
    theatre.front.wait_event("store_down", since=theatre.began)


def restore_copy(theatre):
    theatre.wait_saved()
    theatre.redis.kill()
    shutil.rmtree(theatre.redis.path("appendonlydir"))
    os.rename(theatre.redis.path("copy"), theatre.redis.path("appendonlydir"))
    start(theatre)


def slow_down(theatre):
    theatre.relay.delay_s = 3.0


def speed_up(theatre):
    theatre.relay.delay_s = 0.0


REFUSING = {
    "full": (*set_to("maxmemory", "1", "0"), "OOM "),
    "disk full": (break_disk, mend_disk, "MISCONF "),
    "replica": (demote, promote, "READONLY "),
    "too few replicas": (*set_to("min-replicas-to-write", "1", "0"), "NOREPLICAS "),
}
ABSENT = {
    "dead": (kill, start, ""),
    "restarted empty": (kill, start_empty, ""),
    "frozen": (lambda t: t.redis.freeze(), lambda t: t.redis.thaw(), "Redis did not reply in time"),
    "too slow": (slow_down, speed_up, "Redis did not reply in time"),
}


def assert_down_and_up(said):
    """Once; or twice, when a busy disk made Redis too slow while it was well."""
    changes = [event for event in said if event != "store_older"]
    assert changes in (["store_down", "store_up"], ["store_down", "store_up"] * 2), said
    assert said.count("store_older") <= 1, said


@pytest.mark.parametrize("state", [*REFUSING, *ABSENT])
def test_zone_lives_on_without_redis(theatre, state):
    spoil, mend, reason = {**REFUSING, **ABSENT}[state]
    began = theatre.began = time.monotonic()
    spoil(theatre)
    theatre.change()
    said = theatre.front.wait_event("store_down", since=began)[1]
    assert said["reason"].startswith(reason) and said["mend"] and said["address"], said
    store = theatre.front.json("status")["store"]
    assert store["state"] == "down" and store["reason"]
    theatre.change()
    mend(theatre)
    theatre.front.wait_event("store_up", since=began, timeout=30)
    theatre.wait_saved()
    said = [line["event"] for line in theatre.lines(began)]
    assert_down_and_up(said)
    assert theatre.front.json("status")["store"]["state"] == "up"
    assert theatre.failures == []


def test_slow_redis_is_no_news(theatre):
    began = time.monotonic()
    theatre.relay.delay_s = 0.1
    theatre.change()
    theatre.wait_saved()
    theatre.relay.delay_s = 0.0
    assert theatre.lines(began) == [] and theatre.failures == []


def test_redis_restored_from_old_data_gets_the_new_ones(theatre):
    began = theatre.began = time.monotonic()
    kill_with_copy(theatre)
    theatre.change()
    restore_copy(theatre)
    older = theatre.front.wait_event("store_older", since=began, timeout=30)[1]
    assert older["zone"] == "example.com." and int(older["generation"]) == int(older["seen"]) - 1 and older["mend"]
    theatre.wait_saved()
    assert ask(theatre.front.where, "serial.example.com", "TXT").answer[0][0].to_text() == f'"{theatre.serial}"'


def test_redis_that_is_emptied_under_our_hands_is_filled_again(theatre):
    """No connection is lost, and no change comes: the next look finds out."""
    theatre.redis.command("FLUSHALL")
    theatre.wait_saved()
    assert theatre.failures == []


def test_loading_is_waited_for(theatre):
    began = time.monotonic()
    theatre.redis.command("SAVE")
    theatre.redis.kill()
    theatre.redis.spawn(["redis-server", "--port", "0", "--unixsocket", theatre.redis.socket, "--dir",
                         theatre.redis.folder, "--save", "", "--key-load-delay", "300000",
                         "--loading-process-events-interval-bytes", "1024"])
    wait_for(lambda: "LOADING" in (theatre.redis.try_command("GET", "x") or ""), "Redis to load")
    theatre.change()
    theatre.front.wait_event("store_up", since=began, timeout=30)
    theatre.wait_saved()
    said = [line["event"] for line in theatre.lines(began)]
    assert_down_and_up(said)
    theatre.redis.kill()
    theatre.redis.start()
    theatre.wait_saved()
    assert theatre.failures == []
