# SPDX-License-Identifier: ISC
"""Live answers beside the mirror's, and drills: what an operator learns before the outage."""
import time

import pytest

import configurations
from faults import Faulty
from servers import IS_SANITIZED, ask, wait_for

HOSTS = 12
FIRST = "192.0.2."
SECOND = "198.51.100."
RATE = 300 if IS_SANITIZED else 1000
HEALTH = '    health { interval = "200ms"  timeout = "200ms"  rise = 2  slow-start = "200ms" }\n'
BELIEVED = '    retry-on = { "servfail", "refused" }\n'     # whatever else a server says reaches the client
QUESTIONS = "".join(f"h{i}.a.test. A\n" for i in range(HOSTS))


def zone_text(serial, net=FIRST, hosts=HOSTS):
    text = f"$ORIGIN a.test.\n$TTL 60\n@ SOA ns hostmaster {serial} 3600 600 1209600 60\n@ NS ns\nns A 192.0.2.53\n"
    return text + "".join(f"h{i} A {net}{i}\n" for i in range(hosts))


class Act:
    """NSD, what may spoil its words, Understudy; and clients."""

    def __init__(self, stage, shadow="", mirror="    mirror { tier = 1 }\n", nsd_extra=""):
        self.stage = stage
        self.nsd = stage.nsd({"a.test": zone_text(42)}, extra=nsd_extra).start()
        self.faulty = stage.add(Faulty(stage.folder, self.nsd)).start()
        self.front = stage.understudy(self.conf(shadow, mirror)).start()
        if mirror:
            self.front.wait_event("zone_transferred", zone="a.test.", serial="42")
            wait_for(lambda: self.zone()["state"] == "ok", "the mirror")

    def conf(self, shadow="", mirror="    mirror { tier = 1 }\n"):
        return configurations.HEAD + 'pool "main" {\n' + shadow + \
            configurations.backend("ns1", self.faulty.where, primary=True) + mirror + HEALTH + "}\n" + \
            configurations.zone("a.test")

    def order_up(self):
        """Else what a moment of doubt finds first holds the zone at the primary, and nobody asks there any more."""
        assert self.front.ctl("backend", "ns1", "up")[0] == 0

    def stood_in(self):
        """Answers that the mirror gives when a server is late or limited, drill or not. A look later than what it explains."""
        return self.front.stat("rescued") + self.front.stat("spilled")

    def wait_answered_by(self, *who):
        wait_for(lambda: self.front.json("explain", "h1.a.test", "A")["answered_by"] == list(who), f"{who} to answer")

    def load(self, questions=QUESTIONS, rate=RATE):
        return self.stage.load(self.front.where, self.nsd.where, questions, rate=rate).start()

    def zone(self):
        return self.front.json("zone", "a.test")["zone"]

    def pool(self):
        return self.front.json("status")["pools"][0]


# ---- The check ----

@pytest.mark.timing         # a busy machine makes the server suspect before it is found
@pytest.mark.parametrize("fault, says", [("empty", "no records"), ("nxdomain", "NXDOMAIN")])
def test_answers_that_lack_what_the_mirror_has_are_found_in_seconds(stage, fault, says):
    """One answer in a hundred is looked at: nobody asked for that."""
    act = Act(stage, BELIEVED)
    act.order_up()
    load = act.load()
    load.wait_more(2 * RATE)
    assert not act.front.events("divergence")
    struck = time.monotonic()
    act.faulty.command(fault)
    at, event = act.front.wait_event("divergence", since=struck, timeout=30)
    assert event["zone"] == "a.test." and event["backend"] == "ns1" and event["pool"] == "main", event
    assert event["serial"] == "42" and event["type"] == "A" and event["name"].lower().endswith(".a.test."), event
    assert event["backend_says"] == says and event["mirror_says"].startswith("1 record, A 192.0.2."), event
    assert at - struck < 10

    # an example for each question: three divergences may all be of one name
    wait_for(lambda: act.zone()["divergence"] > 2 and len(act.zone()["divergences"]) > 1, "more of them")
    zone = act.zone()
    assert len(zone["divergences"]) <= 4
    assert {example["backend_says"] for example in zone["divergences"]} == {says}
    assert len(act.front.events("divergence")) == 1         # a line a minute
    code, out, _ = act.front.ctl("zone", "a.test")
    assert code == 0 and "THE MIRROR SAYS" in out and says in out
    assert "DIVERGED" in act.front.ctl("zones")[1]
    assert "divergence" in act.front.said_when_well("status")     # a warning: nobody is the worse for it yet
    assert act.front.stat("divergence") >= 3
    assert act.front.stat("shadow_differed") >= act.front.stat("divergence")
    result = load.finish()
    assert result["lost"] == 0, result


@pytest.mark.threads
def test_other_data_under_the_same_serial_is_found(stage):
    act = Act(stage, "    shadow-check = 20\n")
    act.order_up()
    load = act.load()
    load.wait_more(2 * RATE)
    act.nsd.write_zone("a.test", zone_text(42, SECOND))
    act.nsd.reload()
    _, event = act.front.wait_event("divergence", timeout=120)
    assert event["backend_says"].startswith(f"1 record, A {SECOND}"), event
    assert event["mirror_says"].startswith(f"1 record, A {FIRST}"), event
    load.finish()

    # the operator gives it a serial of its own: that was all
    act.nsd.write_zone("a.test", zone_text(43, SECOND))
    act.nsd.reload()
    act.front.wait_event("zone_transferred", zone="a.test.", serial="43")
    before = act.zone()["divergence"]
    compared = act.front.stat("shadow_compared")
    wait_for(lambda: ask(act.front.where, "h1.a.test") and act.front.stat("shadow_compared") > compared + 20,
             "answers to be compared", timeout=180)
    assert act.zone()["divergence"] == before


def test_nothing_is_compared_when_the_operator_says_so(stage):
    act = Act(stage, "    shadow-check = 0\n")
    act.faulty.command("empty")
    for _ in range(100):
        ask(act.front.where, "h1.a.test")
    assert act.front.stat("shadow_compared") == 0 and not act.front.events("divergence")


@pytest.mark.slow
def test_zone_that_changes_all_the_time_raises_no_false_alarm(stage):
    """Each version has another address for each name, and all answers are compared."""
    act = Act(stage, "    shadow-check = 100\n", nsd_extra="    server-count: 3\n")
    load = act.load()
    for serial in range(43, 243):
        act.nsd.write_zone("a.test", zone_text(serial, f"10.{serial}.0."))
        act.nsd.reload()
        wait_for(lambda: act.nsd.serial("a.test") == serial, f"the primary to have {serial}")
        if serial % 10 == 0:        # time enough for a version to be known as settled
            load.wait_more(int(1.3 * RATE))
    wait_for(lambda: act.zone().get("serial") == 242, "the mirror to follow")
    load.wait_more(2 * RATE)
    result = load.finish()
    assert result["lost"] == 0, result
    assert act.front.stat("shadow_compared") > 10 * RATE
    assert act.front.stat("shadow_differed") > 0, "the mirror was never behind: this test tests nothing"
    assert not act.front.events("divergence") and act.zone()["divergence"] == 0
    wait_for(lambda: act.front.ctl("status")[0] == 0, "all to be well")


# ---- Drills ----

@pytest.mark.timing         # shares are counted: not many others may come between
def test_drill_serves_its_share_and_ends_by_itself(stage):
    act = Act(stage)
    act.order_up()
    load = act.load()
    load.wait_more(RATE)
    mirror, primary = act.front.stat("answers_mirror"), act.front.stat("answers_primary")
    assert mirror <= act.stood_in()
    code, out, err = act.front.ctl("drill", "main", "30", "4s")
    assert code == 0 and "30%" in out, err
    begun, event = act.front.wait_event("drill_begin", pool="main")
    assert event["percent"] == "30" and event["duration_ms"] == "4000"
    pool = act.pool()
    assert pool["drill_percent"] == 30 and 0 < pool["drill_left_s"] <= 4
    assert "30%" in act.front.said_when_well("status")
    act.wait_answered_by("ns1", "mirror")

    ended, event = act.front.wait_event("drill_end", pool="main")
    assert event["cause"] == "over" and 3.5 < ended - begun < 8, event
    result = load.finish()
    served, mirrored = int(event["served"]), act.front.stat("answers_mirror")
    others = act.front.stat("answers_primary") - primary + act.stood_in()
    assert served <= mirrored <= served + act.stood_in() + 2        # two that were being chosen
    assert result["lost"] == 0 and result["wrong"] == 0, result
    assert served > RATE * 4 * 0.3 * 0.6
    assert served < 0.35 * (served + others)
    assert "drill_percent" not in act.pool()
    act.wait_answered_by("ns1")
    for _ in range(20):
        ask(act.front.where, "h1.a.test")
    assert act.front.stat("answers_mirror") <= served + act.stood_in() + 2


@pytest.mark.timing
def test_drill_of_everything_is_stopped_by_what_is_still_compared(stage):
    act = Act(stage, "    shadow-check = 5\n" + BELIEVED)
    act.order_up()
    load = act.load()
    load.wait_more(2 * RATE)
    assert act.front.ctl("drill", "main", "100", "10m")[0] == 0
    wait_for(lambda: act.front.stat("answers_mirror") > RATE, "the mirror to serve")
    assert not act.front.events("drill_end")
    struck = time.monotonic()
    act.faulty.command("empty")
    _, found = act.front.wait_event("divergence", since=struck)
    at, event = act.front.wait_event("drill_end", since=struck)
    assert event["cause"] == "divergence" and int(event["served"]) > 0, event
    assert "drill_percent" not in act.pool()
    load.finish()


def test_drill_ends_at_the_operators_word_or_without_a_mirror(stage):
    act = Act(stage)
    front = act.front
    assert front.ctl("drill", "main", "10", "1h")[0] == 0
    assert front.ctl("drill", "main", "20", "1h")[0] == 0       # takes the place of the first
    assert [event["cause"] for _, event in front.events("drill_end")] == ["operator"]
    assert front.ctl("reload")[0] == 0
    assert act.pool()["drill_percent"] == 20
    assert front.ctl("drill", "main", "off")[0] == 0
    assert [event["cause"] for _, event in front.events("drill_end")] == ["operator"] * 2
    assert "drill_percent" not in act.pool()

    assert front.ctl("drill", "main", "100", "1h")[0] == 0
    assert ask(front.where, "h1.a.test").answer
    front.configure(act.conf(mirror=""))
    assert front.ctl("reload")[0] == 0
    front.wait_event("drill_end", cause="mirror_not_servable")
    assert ask(front.where, "h1.a.test").answer


BAD = [
    (("drill",), 2), (("drill", "main"), 2), (("drill", "main", "10"), 2), (("drill", "main", "on"), 2),
    (("drill", "main", "0", "1m"), 2), (("drill", "main", "101", "1m"), 2), (("drill", "main", "abc", "1m"), 2),
    (("drill", "main", "-5", "1m"), 2), (("drill", "main", "10", "0s"), 2), (("drill", "main", "10", "0"), 2),
    (("drill", "main", "10", "5"), 2), (("drill", "main", "10", "365000d"), 2),
    (("drill", "main", "10", "1000", "years"), 2), (("drill", "nil", "10", "1m"), 1), (("drill", "nil", "off"), 1),
    (("drill", "plain", "10", "1m"), 1),
]


def test_bad_orders_are_refused_and_change_nothing(stage):
    act = Act(stage)
    act.front.configure(act.conf() + 'pool "plain" {\n' + configurations.backend("ns1", act.faulty.where) + "}\n")
    assert act.front.ctl("reload")[0] == 0
    for words, code in BAD:
        given, out, err = act.front.ctl(*words)
        assert given == code and err and not out, (words, given, out, err)
    assert not act.front.events("drill_begin")
    assert act.front.ctl("failover", "main", "off")[0] == 0
    assert act.front.ctl("drill", "main", "10", "1m")[0] == 1
    assert "drill_percent" not in act.pool()
