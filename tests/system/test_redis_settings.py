# SPDX-License-Identifier: ISC
"""Settings of Redis that endanger zones: found when we connect, named once, and in `status`."""
import pytest

import configurations
from servers import free_port, wait_for

NOT_SAVED = ("--appendonly", "no", "--save", "")

# Options of Redis, and the settings that are to be named.
SETTINGS = {
    "stock": ((), ()),
    "evicts": (("--maxmemory-policy", "allkeys-lru"), ("maxmemory-policy",)),
    "evicts only what expires": (("--maxmemory-policy", "volatile-ttl"), ()),
    "saves nothing": (NOT_SAVED, ("save",)),
    "saves snapshots": (("--appendonly", "no", "--save", "3600 1"), ()),
    "a cluster": (("--cluster-enabled", "yes"), ("cluster-enabled",)),
    "a replica that takes writes": (("--replicaof", "127.0.0.1 9", "--replica-read-only", "no"),
                                    ("replica-read-only",)),
    "all of it": ((*NOT_SAVED, "--maxmemory-policy", "allkeys-random"), ("maxmemory-policy", "save")),
}


def start(stage, redis, more=""):
    """
    An Understudy that has looked at Redis, and said what it thinks of it: its primary is away, so it leaves the
    lease, which it asked for after its look and got an answer to.
    """
    nobody = ("127.0.0.1", free_port())
    front = stage.understudy(configurations.failover(nobody, store=redis, redis_more=more)).start()
    front.wait_event("store_up")
    wait_for(lambda: "cmdstat_watch" in redis.command("INFO", "commandstats"), "the lease to be left")
    front.caught_up()
    return front


def unsafe(front):
    return [fields for _, fields in front.events("store_unsafe")]


@pytest.mark.parametrize("case", SETTINGS)
def test_dangerous_settings_are_named(stage, case):
    options, names = SETTINGS[case]
    redis = stage.redis().start(*options)
    front = start(stage, redis)
    assert [one["setting"] for one in unsafe(front)] == list(names)
    for one in unsafe(front):
        assert one["reason"] and one["mend"] and one["value"] and one["address"].startswith("unix:")
    listed = front.json("status")["store"]["unsafe"]
    assert [text.split(" is ")[0] for text in listed] == list(names)
    text = front.ctl("status")[1]
    assert text.count("unsafe: ") == len(names)


def test_setting_that_was_mended_is_safe_again_and_told_once(stage):
    redis = stage.redis().start("--maxmemory-policy", "allkeys-lfu")
    front = start(stage, redis)
    front.wait_event("store_unsafe", setting="maxmemory-policy")
    redis.kill()
    front.wait_event("store_down")
    redis.start("--maxmemory-policy", "allkeys-lfu")
    wait_for(lambda: len(front.events("store_up")) >= 2, "Redis to be back")
    redis.kill()
    wait_for(lambda: len(front.events("store_down")) >= 2, "Redis to be gone")
    redis.start()
    front.wait_event("store_safe", setting="maxmemory-policy", value="noeviction")
    assert len(unsafe(front)) == 1 and front.json("status")["store"]["unsafe"] == []


def test_who_may_not_look_is_not_bothered(stage):
    redis = stage.redis().start(*NOT_SAVED, "--maxmemory-policy", "allkeys-lru")
    redis.command("ACL", "SETUSER", "blind", "on", ">secret", "~*", "+@all", "-info", "-config")
    front = start(stage, redis, 'username = "blind"  password = "secret"')
    assert "config" in redis.command("ACL", "LOG"), "a look that was refused"
    assert unsafe(front) == [] and front.events("store_denied") == []
