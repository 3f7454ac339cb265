# SPDX-License-Identifier: ISC
"""Restart with everybody else down; and what Redis holds for us."""
import os
import shutil
import subprocess
import time

import pytest

import configurations
from servers import IS_SANITIZED, ask, free_port, records, try_ask, wait_for

BIG = 100_000
FIRST_ANSWER_S = 15 if IS_SANITIZED else 1.0
PREFIX = "understudy"
ZONE = f"{PREFIX}:zone:{{example.com.}}"


def big_zone(count=BIG, serial=1):
    head = f"""$ORIGIN example.com.
$TTL 300
@ SOA ns1 hostmaster {serial} 3600 600 1209600 300
@ NS ns1
ns1 A 192.0.2.53
"""
    return head + "".join(f"h{i} A 10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}\n" for i in range(count))


def first_answer_after_start(understudy):
    """Seconds from the start of the process to the first right answer."""
    understudy.start(wait=False)

    def is_right():
        assert understudy.is_running(), understudy.log_text()
        answer = try_ask(understudy.where, "h99.example.com", timeout=0.2)
        return answer is not None and answer.rcode() == 0 and answer.answer[0][0].address == "10.0.0.99"

    wait_for(is_right, "the first right answer", 30, interval=0.01)
    return time.monotonic() - understudy.started


def is_saved(redis, serial="1"):
    return redis.try_command("HGET", ZONE, "serial") == serial


@pytest.fixture
def big(stage):
    """A primary with a big zone, Redis, and an Understudy that has learnt and saved it."""
    stage.nsd_server = stage.nsd({"example.com": big_zone()}).start()
    stage.redis_server = stage.redis().start()
    stage.front = stage.understudy(configurations.failover(stage.nsd_server.where, store=stage.redis_server))
    stage.front.start()
    stage.front.wait_event("zone_transferred", timeout=60)
    wait_for(lambda: is_saved(stage.redis_server), "the zone in Redis", 60)
    return stage


@pytest.mark.timing
@pytest.mark.slow
@pytest.mark.parametrize("left", ["snapshot", "Redis", "both"])
def test_cold_start_without_the_primary(big, left):
    big.front.stop()
    big.nsd_server.kill()
    if left == "snapshot":
        big.redis_server.kill()
    if left == "Redis":
        shutil.rmtree(big.front.state)
    took = first_answer_after_start(big.front)
    assert took < FIRST_ANSWER_S, f"first right answer after {took:.2f} s"
    # the whole zone is there, not its beginning only
    for i in (0, BIG // 2, BIG - 1):
        assert ask(big.front.where, f"h{i}.example.com").answer[0][0].address.endswith(f".{i & 255}")
    assert ask(big.front.where, f"h{BIG}.example.com").rcode() == 3


@pytest.mark.timing
@pytest.mark.slow
def test_snapshot_alone_serves_without_a_redis_section(stage):
    nsd = stage.nsd({"example.com": big_zone()}).start()
    understudy = stage.understudy(configurations.failover(nsd.where)).start()
    understudy.wait_event("zone_transferred", timeout=60)
    understudy.stop()
    nsd.kill()
    took = first_answer_after_start(understudy)
    assert took < FIRST_ANSWER_S, f"first right answer after {took:.2f} s"


def test_killed_at_once_after_a_transfer_loses_nothing(stage, example_zone):
    nsd = stage.nsd({"example.com": example_zone}).start()
    understudy = stage.understudy(configurations.failover(nsd.where)).start()
    understudy.wait_event("zone_transferred")
    truth = records(ask(nsd.where, "www.example.com").answer)
    wait_for(lambda: has_files(understudy.path("state")), "the snapshot")
    understudy.kill()
    nsd.kill()
    understudy.start()
    wait_for(lambda: ask(understudy.where, "www.example.com").rcode() == 0, "an answer")
    assert records(ask(understudy.where, "www.example.com").answer) == truth


def test_clients_are_answered_while_the_end_waits_for_redis(stage, example_zone):
    nsd = stage.nsd({"example.com": example_zone}).start()
    redis = stage.redis().start()
    understudy = stage.understudy(configurations.failover(nsd.where, store=redis)).start()
    wait_for(lambda: redis.try_command("HGET", ZONE, "serial"), "the zone in Redis", 60)
    redis.freeze()      # the lease is to be left there, which takes a second at most
    begun = last = time.monotonic()
    understudy.process.terminate()
    while understudy.is_running():
        if try_ask(understudy.where, "www.example.com", timeout=0.05) is not None:
            last = time.monotonic()
    took = time.monotonic() - begun
    redis.thaw()
    understudy.stop()
    assert took > 0.5, f"it ended after {took:.2f} s, and waited for nobody"
    assert last - begun > took / 2, f"silent after {last - begun:.2f} of {took:.2f} s"


def nice_of(pid, thread):
    """Of the thread of that name; None: there is none."""
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/stat") as stat:
            name, rest = stat.read().split("(", 1)[1].rsplit(")", 1)
        if name == thread:
            return int(rest.split()[16])
    return None


def test_mirror_gives_way_once_there_are_queries(stage, example_zone):
    nsd = stage.nsd({"example.com": example_zone}).start()
    understudy = stage.understudy(configurations.failover(nsd.where)).start()
    pid = understudy.process.pid
    own = os.getpriority(os.PRIO_PROCESS, pid)
    wait_for(lambda: nice_of(pid, "mirror") == min(own + 10, 19), "the mirror to step back")
    assert nice_of(pid, "worker-0") == own


def has_files(folder):
    return any(files and not any(name.endswith((".new", ".tmp")) for name in files)
               for _, _, files in os.walk(folder))


def test_layout_in_redis_is_as_promised(big):
    redis = big.redis_server
    zone = redis.hash(ZONE)
    assert set(zone) >= {"generation", "serial", "base", "chunks", "records", "digest", "refreshed_at",
                         "expires_at", "source", "schema"}
    assert redis.command("SMEMBERS", f"{PREFIX}:zones").split() == ["example.com."]
    assert zone["serial"] == "1"
    assert int(zone["records"]) == BIG + 3
    base = f"{PREFIX}:base:{{example.com.}}:{zone['base']}"
    assert redis.command("TYPE", base) == "hash"
    assert redis.command("HLEN", base) == zone["chunks"]
    assert int(redis.command("TTL", base)) == -1, "a committed base must not expire"
    for field in range(int(zone["chunks"])):
        assert 0 < int(redis.command("HSTRLEN", base, str(field))) <= 65500
    assert redis.command("TYPE", f"{PREFIX}:events") == "stream"
    assert int(redis.command("XLEN", f"{PREFIX}:events")) >= 1
    assert abs(int(zone["refreshed_at"]) - time.time()) < 120
    assert int(zone["expires_at"]) == int(zone["refreshed_at"]) + 1209600
    assert redis.command("TYPE", f"{PREFIX}:lease:{{example.com.}}") in ("string", "none")
    unexpected = [key for key in redis.command("KEYS", "*").split() if not key.startswith(PREFIX + ":")]
    assert unexpected == []


def test_next_generation_is_a_difference_or_a_new_base(stage, example_zone):
    nsd = stage.nsd({"example.com": example_zone}).start()
    redis = stage.redis().start()
    understudy = stage.understudy(configurations.failover(nsd.where, store=redis)).start()
    wait_for(lambda: is_saved(redis, "2026010101"), "the zone in Redis")
    first = redis.hash(ZONE)
    nsd.write_zone("example.com", example_zone.replace("2026010101", "2026010102") + "added A 192.0.2.200\n")
    nsd.reload()
    wait_for(lambda: nsd.serial("example.com") == 2026010102, "NSD to reload")
    assert understudy.ctl("refresh", "example.com")[0] == 0
    wait_for(lambda: is_saved(redis, "2026010102"), "the new zone in Redis")
    second = redis.hash(ZONE)
    assert int(second["generation"]) > int(first["generation"])
    assert int(second["records"]) == int(first["records"]) + 1
    if second["base"] == first["base"]:
        assert int(redis.command("XLEN", f"{PREFIX}:changes:{{example.com.}}")) >= 1
    bases = [key for key in redis.command("KEYS", f"{PREFIX}:base:*").split()
             if redis.command("TTL", key) == "-1"]
    assert len(bases) == 1, "bases of old generations must leave"


def test_second_understudy_serves_from_the_shared_redis(big, stage):
    nobody = ("127.0.0.1", free_port())
    second = stage.understudy(configurations.failover(nobody, store=big.redis_server), name="understudy2").start()
    answer = wait_for(lambda: (lambda a: a if a.rcode() == 0 else None)(ask(second.where, "h7.example.com")),
                      "the second Understudy to serve")
    assert answer.answer[0][0].address == "10.0.0.7"
    big.front.stop()
    big.nsd_server.kill()
    assert ask(second.where, "h8.example.com").rcode() == 0


def test_redis_that_comes_late_gets_the_zone(stage, example_zone):
    nsd = stage.nsd({"example.com": example_zone}).start()
    redis = stage.redis()
    understudy = stage.understudy(configurations.failover(nsd.where, store=redis)).start()
    understudy.wait_event("zone_transferred")
    assert ask(understudy.where, "www.example.com").rcode() == 0
    redis.start()
    understudy.wait_event("store_up")
    wait_for(lambda: is_saved(redis, "2026010101"), "the zone in Redis")


@pytest.mark.parametrize("spoil", ["flipped bits", "missing chunk", "wrong type", "wrong counts"])
def test_spoilt_redis_is_never_believed(stage, example_zone, spoil):
    nsd = stage.nsd({"example.com": example_zone}).start()
    redis = stage.redis().start()
    understudy = stage.understudy(configurations.failover(nsd.where, store=redis)).start()
    wait_for(lambda: is_saved(redis, "2026010101"), "the zone in Redis")
    understudy.stop()
    nsd.kill()
    shutil.rmtree(understudy.state)
    base = f"{PREFIX}:base:{{example.com.}}:{redis.hash(ZONE)['base']}"
    if spoil == "flipped bits":
        data = subprocess.run(["redis-cli", "-s", redis.socket, "--raw", "HGET", base, "0"],
                              capture_output=True, check=True).stdout[:-1]
        flipped = data[:200] + bytes([data[200] ^ 0x10]) + data[201:]
        subprocess.run(["redis-cli", "-s", redis.socket, "-x", "HSET", base, "0"], input=flipped, check=True)
    elif spoil == "missing chunk":
        redis.command("HDEL", base, "0")
    elif spoil == "wrong type":
        redis.command("DEL", base)
        redis.command("SET", base, "nonsense")
    else:
        redis.command("HSET", ZONE, "chunks", "4000000000", "records", "-1")
    understudy.start()
    wait_for(lambda: len(understudy.events()) > 1, "events")
    answer = ask(understudy.where, "www.example.com")
    assert answer.rcode() == 2 and not answer.answer
    assert understudy.is_running()
    # and the primary heals it
    nsd.start()
    wait_for(lambda: ask(understudy.where, "www.example.com").rcode() == 0, "healing", 90)
