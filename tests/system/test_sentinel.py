# SPDX-License-Identifier: ISC
"""Redis found through its sentinels, followed through a failover, and a replica that was late."""
import socket
import threading
import time

import pytest

import configurations
from relay import Relay
from servers import Server, ask, free_port, wait_for

pytestmark = pytest.mark.slow

ZONE = "understudy:zone:{example.com.}"
MANY = 16000        # some chunks


def zone_text(serial, hosts=MANY):
    return (f"$ORIGIN example.com.\n$TTL 300\n@ SOA ns hostmaster {serial} 3600 600 1209600 300\n@ NS ns\n"
            f"ns A 192.0.2.1\nwww A 192.0.2.80\nserial TXT \"{serial}\"\n" +
            "".join(f"h{i} A 10.{serial & 255}.{i >> 8}.{i & 255}\n" for i in range(hosts)))


class TcpRedis(Server):
    """Redis on a loopback port, as sentinels know it."""

    def __init__(self, folder, name, port=None):
        super().__init__(folder, name)
        self.port = port or free_port()

    def start(self, *options):
        self.spawn(["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.folder, "--save",
                    "", "--repl-diskless-sync-delay", "0", *options])
        wait_for(lambda: self.command("PING") == "PONG", f"{self.name} to answer")
        return self

    def command(self, *words):
        """The first lines of the answer, as text; None when there is none."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 10) as connection:
                connection.sendall(b"*%d\r\n" % len(words) +
                                   b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words))
                text = connection.recv(65536).decode(errors="replace")
        except OSError:
            return None
        lines = text.split("\r\n")
        return "\n".join(lines[1:-1]) if text[:1] in "$*" else lines[0][1:]

    def serial(self):
        return (self.command("HGET", ZONE, "serial") or "").strip()

    def is_master(self):
        return "role:master" in (self.command("INFO", "replication") or "")


class Sentinel(TcpRedis):
    """No replica is promoted that was cut off for more than ten times down-after, and ours is late on purpose."""

    def start(self, master):
        conf = self.write("sentinel.conf", f"port {self.port}\nbind 127.0.0.1\ndir {self.folder}\n"
                          f"sentinel monitor main 127.0.0.1 {master.port} 2\n"
                          "sentinel down-after-milliseconds main 2000\nsentinel failover-timeout main 6000\n")
        self.spawn(["redis-server", conf, "--sentinel"])
        wait_for(lambda: self.command("PING") == "PONG", f"{self.name} to answer")
        return self

    def knows(self, name, value):
        words = (self.command("SENTINEL", "MASTER", "main") or "").split("\n")
        return name in words and words[words.index(name) + 2] == value


def conf_of(primary, sentinels, master="main"):
    list_ = ", ".join(f'"127.0.0.1:{port}"' for port in sentinels)
    return configurations.failover(primary).replace(
        "pool ", f'redis {{ command-timeout = "30s"  sentinel {{ address = {{ {list_} }}  master = "{master}" }} }}\n'
        "pool ", 1)


@pytest.fixture
def cast(stage):
    """A master, a replica that is in step, and three sentinels that know of each other."""
    stage.master = stage.add(TcpRedis(stage.folder, "master")).start()
    stage.replica = stage.add(TcpRedis(stage.folder, "replica")).start("--replicaof", f"127.0.0.1 {stage.master.port}")
    stage.sentinels = [stage.add(Sentinel(stage.folder, f"sentinel{i}")) for i in range(3)]
    for sentinel in stage.sentinels:
        sentinel.start(stage.master)
    for sentinel in stage.sentinels:
        wait_for(lambda: sentinel.knows("num-slaves", "1") and sentinel.knows("num-other-sentinels", "2"),
                 "sentinels to know each other", 30)
    return stage


def change(nsd, front, serial):
    nsd.write_zone("example.com", zone_text(serial))
    nsd.reload()
    wait_for(lambda: nsd.serial("example.com") == serial, "NSD to reload", 30)
    front.ctl("refresh", "example.com")


def keep_late(master):
    """The replica stays connected to nothing, and the sentinels see a replica that is well enough."""
    master.command("ACL", "SETUSER", "default", "-psync", "-sync")
    master.command("CLIENT", "KILL", "TYPE", "replica")


class Detour(Relay):
    """Before a sentinel: to who asks here, the master is at another port."""

    def __init__(self, sentinel, master, port):
        self.names = [b"$5\r\n%d\r\n" % of for of in (master.port, port)]
        super().__init__(("127.0.0.1", free_port()), ("127.0.0.1", sentinel.port))

    def replies(self, data):
        return data.replace(*self.names)


class Doom(Relay):
    """Before the master, which dies in a commit of the zone when it is `armed`: it has some of its chunks."""

    def __init__(self, master):
        self.armed = threading.Event()
        self.master = master
        super().__init__(("127.0.0.1", free_port()), ("127.0.0.1", master.port), self.is_time)

    def is_time(self, way, data):
        if not self.armed.is_set() or way != "to" or not data.startswith(b"*4\r\n$4\r\nHSET\r\n") or \
                b"\r\n$1\r\n3\r\n" not in data:
            return False
        self.keys = self.master.command("KEYS", "understudy:base:*")
        self.master.kill()
        return True


class Clients:
    def __init__(self, where):
        self.where = where
        self.failures = []
        self.is_over = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.is_over:
            try:
                answer = ask(self.where, "www.example.com")
                if answer.rcode() != 0 or not answer.answer:
                    self.failures.append(answer.to_text())
            except Exception as failure:        # noqa: BLE001
                self.failures.append(repr(failure))
            time.sleep(0.005)

    def end(self):
        self.is_over = True
        self.thread.join(5)
        return self.failures


def test_master_dies_in_a_commit_and_its_replica_was_late(cast):
    nsd = cast.nsd({"example.com": zone_text(1)}).start()
    doom = Doom(cast.master)
    way_to_master = f"127.0.0.1:{doom.where[1]}"
    detours = [Detour(sentinel, cast.master, doom.where[1]) for sentinel in cast.sentinels]
    front = cast.understudy(conf_of(nsd.where, [detour.where[1] for detour in detours])).start()
    up = front.wait_event("store_up")[1]
    assert up["address"] == way_to_master
    wait_for(lambda: cast.replica.serial() == "1", "the replica to have the zone", 30)
    clients = Clients(front.where)
    keep_late(cast.master)
    change(nsd, front, 2)
    wait_for(lambda: cast.master.serial() == "2", "serial 2 on the master", 30)
    assert cast.replica.serial() == "1", "late, as wanted"
    doom.armed.set()
    change(nsd, front, 3)
    front.wait_event("store_down", address=way_to_master)
    assert ":3:" in doom.keys, "it had some of the commit"
    assert cast.master.serial() == "" and cast.replica.serial() == "1"
    front.wait_event("store_up", address=f"127.0.0.1:{cast.replica.port}", timeout=60)
    assert cast.replica.is_master()
    older = front.wait_event("store_older")[1]
    assert older["seen"] == "2" and older["generation"] == "1"
    wait_for(lambda: cast.replica.serial() == "3", "the new master to be repaired", 30)
    assert ask(front.where, "serial.example.com", "TXT").answer[0][0].to_text() == '"3"'
    went = [event["address"] for _, event in front.events("store_up")]
    assert went == sorted(went, key=lambda address: address != up["address"]), went     # and not back again
    # the old master comes back as a replica, with its older data, and nobody goes there
    cast.master.start()
    wait_for(lambda: not cast.master.is_master() and cast.master.serial() == "3", "the old master to follow", 60)
    assert clients.end() == []
    # and what lies there is whole
    front.stop()
    second = cast.understudy(conf_of(("127.0.0.1", free_port()), [s.port for s in cast.sentinels]), name="second").start()
    second.wait_event("zone_restored", serial="3", source="redis")
    assert ask(second.where, "h15999.example.com").answer[0][0].address == "10.3.62.127"


# ---- Sentinels that are of no help ----

class Liar:
    """Speaks RESP on a port; `answer` takes the words of a command."""

    def __init__(self, answer, pong=b"+PONG\r\n"):
        self.answer = answer
        self.pong = pong
        self.asked = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, connection.makefile("rb") as file:
            try:
                while head := file.readline():
                    words = [file.read(int(file.readline()[1:]) + 2)[:-2] for _ in range(int(head[1:]))]
                    self.asked.append(words)
                    connection.sendall(self.pong if words[0] == b"PING" else self.answer(words))
            except OSError:
                pass


def pair(host, port):
    return b"*2\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (len(host), host, len(port), port)


ANSWERS = {
    "a host name": (pair(b"redis1.example.com", b"6379"), "by a host name: redis1.example.com"),
    "a name with a port in it": (pair(b"127.0.0.1]:1", b"6379"), "by a host name"),
    "nothing": (b"*-1\r\n", "knows no master of this name"),
    "an error": (b"-NOAUTH Authentication required.\r\n", "NOAUTH"),
    "one word": (b"*1\r\n$9\r\n127.0.0.1\r\n", "unexpected kind"),
    "no port": (pair(b"127.0.0.1", b"x"), "unexpected kind"),
    "port 0": (pair(b"127.0.0.1", b"0"), "unexpected kind"),
    "port 65536": (pair(b"127.0.0.1", b"65536"), "unexpected kind"),
    "numbers": (b"*2\r\n:1\r\n:2\r\n", "unexpected kind"),
    "a host of 5,000 letters": (pair(b"x" * 5000, b"6379"), "unexpected kind"),
    "a bomb": (b"*100000000\r\n", "too many elements"),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_sentinel_of_no_help_is_named(stage, case):
    answer, reason = ANSWERS[case]
    liar = Liar(lambda words: answer)
    front = stage.understudy(conf_of(("127.0.0.1", free_port()), [liar.port])).start()
    down = front.wait_event("store_down")[1]
    assert reason in down["reason"] and down["mend"]
    assert [b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", b"main"] in liar.asked


def test_sentinels_are_asked_in_turn_and_a_replica_is_not_taken(stage):
    master = stage.add(TcpRedis(stage.folder, "master")).start()
    replica = stage.add(TcpRedis(stage.folder, "replica")).start("--replicaof", f"127.0.0.1 {master.port}")
    late = Liar(lambda words: pair(b"127.0.0.1", str(replica.port).encode()))
    good = Liar(lambda words: pair(b"127.0.0.1", str(master.port).encode()))
    front = stage.understudy(conf_of(("127.0.0.1", free_port()), [free_port(), late.port, good.port])).start()
    up = front.wait_event("store_up")[1]
    assert up["address"] == f"127.0.0.1:{master.port}"
    assert front.events("store_down")[0][1]["reason"] == "whom the sentinels name is no master"
    # a demotion, and the sentinels know: the first word of it is enough
    good.answer = late.answer = lambda words: pair(b"127.0.0.1", str(replica.port).encode())
    replica.command("REPLICAOF", "NO", "ONE")
    wait_for(replica.is_master, "the replica to be the master")
    front.wait_event("store_down", reason="the sentinels name another master")
    front.wait_event("store_up", address=f"127.0.0.1:{replica.port}")


def test_server_that_is_not_ready_is_left_for_the_one_that_was_promoted(stage):
    """It crashed, and reads its data while the sentinels have another promoted."""
    loading = b"-LOADING Redis is loading the dataset in memory\r\n"
    crashed = Liar(lambda words: loading, pong=loading)
    promoted = stage.add(TcpRedis(stage.folder, "promoted")).start()
    sentinel = Liar(lambda words: pair(b"127.0.0.1", str(crashed.port).encode()))
    front = stage.understudy(conf_of(("127.0.0.1", free_port()), [sentinel.port])).start()
    assert front.wait_event("store_down")[1]["reason"].startswith("LOADING ")
    sentinel.answer = lambda words: pair(b"127.0.0.1", str(promoted.port).encode())
    front.wait_event("store_up", address=f"127.0.0.1:{promoted.port}")
