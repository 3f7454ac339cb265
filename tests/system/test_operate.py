# SPDX-License-Identifier: ISC
"""What the operator touches: -t, understudyctl and its exit codes, reload, the end."""
import glob
import json
import os
import re
import signal
import socket
import subprocess
import time

import dns.message
import pytest

import configurations
from fake import FakeBackend, connect, receive_message, send_message
from servers import BUILD, IS_SANITIZED, ROOT, ask, find_key, free_port, wait_for
from test_forward import echo, patient_front, question


def check(path):
    done = subprocess.run([os.path.join(BUILD, "understudy"), "-t", "-c", path], capture_output=True, text=True,
                          timeout=60)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def front(stage, example_zone):
    stage.nsd_server = stage.nsd({"example.com": example_zone}).start()
    stage.knot_server = stage.knot(stage.nsd_server).start()
    stage.redis_server = stage.redis().start()
    understudy = stage.understudy(configurations.failover(stage.nsd_server.where, stage.knot_server.where,
                                                          stage.redis_server)).start()
    understudy.wait_event("zone_transferred")
    return understudy


# ---- understudy -t ----

def test_good_configuration_passes(stage, tmp_path):
    understudy = stage.understudy(configurations.forward_only(("192.0.2.53", 53)))
    code, text = check(understudy.conf)
    assert code == 0, text


@pytest.mark.parametrize("path", sorted(glob.glob(os.path.join(ROOT, "conf", "*.conf"))), ids=os.path.basename)
def test_shipped_configurations_pass(path):
    code, text = check(path)
    assert code == 0, text


GOOD = configurations.forward_only(("192.0.2.53", 53))
BAD = {
    "unknown option": (GOOD + 'polcy = "ordered"\n', ["polcy"]),
    "unknown option in a pool": (GOOD.replace('pool "main" {', 'pool "main" { polcy = "ordered"', 1),
                                 ["polcy", "policy"]),
    "wrong type": (GOOD.replace("workers   = 2", 'workers = "many"'), ["workers"]),
    "out of range": (GOOD.replace("workers   = 2", "workers = 100000"), ["workers"]),
    "unit": (GOOD.replace('pool "main" {', 'pool "main" { health { interval = "1 fortnight" }', 1), ["interval"]),
    "duplicate zone": (GOOD + 'zone "EXAMPLE.com." { pool = "main" }\n', ["example.com"]),
    "zone without pool": (GOOD + 'zone "example.org" { }\n', ["pool"]),
    "zone with an unknown pool": (GOOD + 'zone "example.org" { pool = "mian" }\n', ["mian"]),
    "pool without target": (GOOD + 'pool "empty" { }\n', ["empty"]),
    "backend is a listener": (GOOD.replace("{listen}", "192.0.2.53:53"), ["192.0.2.53"]),
    "host name": (GOOD.replace("192.0.2.53:53", "ns1.example.com:53"), ["ns1.example.com"]),
    "unreadable include": (GOOD + 'include("/nonexistent/more.conf")\n', ["more.conf"]),
    "bad key": (GOOD + 'key "k" { algorithm = "hmac-md4"  secret = "AAAA" }\n', ["hmac-md4"]),
    "bad secret": (GOOD + 'key "k" { secret = "no base64 !" }\n', ["secret"]),
    "unknown key": (GOOD.replace("tier = 0", 'tier = 0  key = "nokey"', 1), ["nokey"]),
    "syntax": (GOOD + "pool {{{\n", []),
    "not closed": (GOOD + 'pool "x" {\n', []),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_configuration_is_told_with_file_and_line(stage, what):
    text, words = BAD[what]
    understudy = stage.understudy(text)
    code, said = check(understudy.conf)
    assert code == 1, said
    assert re.search(r"understudy\.conf:\d+:", said) or what == "unreadable include", said
    for word in words:
        assert word.lower() in said.lower(), said


def test_all_errors_are_told_in_one_run(stage):
    understudy = stage.understudy(GOOD.replace("workers   = 2", "workers = 100000") +
                                  'zone "example.org" { pool = "mian" }\nzone "example.com" { pool = "main" }\n')
    code, said = check(understudy.conf)
    assert code == 1
    assert len(re.findall(r"understudy\.conf:\d+:", said)) >= 3, said


def test_missing_file_is_1():
    assert check("/nonexistent/understudy.conf")[0] == 1


@pytest.mark.parametrize("words", [["--nonsense"], ["-c"], ["understudy.conf"]])
def test_wrong_usage_of_understudy_is_2(words):
    """As the manual says; it was 1, the code of a bad configuration."""
    done = subprocess.run([os.path.join(BUILD, "understudy"), *words], capture_output=True, text=True)
    assert done.returncode == 2
    assert "usage: understudy" in done.stderr


# ---- understudyctl ----

def test_not_running_is_3(stage):
    understudy = stage.understudy(GOOD)
    code, out, err = understudy.ctl("status")
    assert code == 3, (out, err)


@pytest.mark.parametrize("words", [["help"], ["--help"], ["-h"]])
def test_help_is_there_whatever_one_tries(stage, words):
    code, out, err = stage.understudy(GOOD).ctl(*words)
    assert code == 0 and "rollback" in out, (out, err)


@pytest.mark.parametrize("words", [["nonsense"], [], ["zone"], ["backend", "ns1"], ["backend", "ns1", "sideways"],
                                   ["failover", "main", "maybe"], ["explain", "www.example.com"]])
def test_wrong_usage_is_2(front, words):
    code, out, err = front.ctl(*words)
    assert code == 2, (out, err)


@pytest.mark.parametrize("words", [["zone", "example.net"], ["refresh", "example.net"], ["dump", "example.net"],
                                   ["retransfer", "example.net"], ["backend", "nobody", "down"],
                                   ["failover", "nobody", "on"]])
def test_unknown_names_are_1(front, words):
    code, out, err = front.ctl(*words)
    assert code == 1, (out, err)
    assert words[1] in out + err


READING = [["status"], ["backends"], ["zones"], ["zone", "example.com"], ["health"],
           ["explain", "www.example.com", "A"], ["stats"]]


@pytest.mark.parametrize("words", READING, ids=lambda w: w[0])
def test_reading_verbs_give_text_and_json(front, words):
    out = front.said_when_well(*words)
    assert out.strip() and not out.lstrip().startswith("{"), out
    out = front.said_when_well(*words, "--json")
    assert isinstance(json.loads(out), dict), out


def test_status_of_zone_names_what_matters(front):
    tree = front.json("zone", "example.com")
    assert find_key(tree, "serial") == 2026010101
    assert find_key(tree, "records") > 100
    assert find_key(tree, "source") is not None


def test_degraded_is_4(front, stage):
    wait_for(lambda: front.ctl("status")[0] == 0, "all to be well")
    stage.nsd_server.kill()
    wait_for(lambda: re.search(r"^ns1 .* down ", front.ctl("backends")[1], re.M), "the word down")
    code, out, err = front.ctl("status")
    assert code == 4, (out, err)


def test_dump_is_the_zone(front, stage, example_zone):
    code, out, err = front.ctl("dump", "example.com")
    assert code == 0, err
    import dns.zone
    dumped = dns.zone.from_text(out, origin="example.com.", relativize=False, check_origin=True)
    truth = dns.zone.from_text(example_zone, origin="example.com.", relativize=False)
    assert set(dumped.nodes) == set(truth.nodes)
    for name, node in truth.nodes.items():
        for rdataset in node.rdatasets:
            assert dumped.get_rdataset(name, rdataset.rdtype) == rdataset, (name, rdataset)


def test_health_follows(front, stage):
    command = [os.path.join(BUILD, "understudyctl"), "-s", front.control, "health", "-f"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as watcher:
        os.set_blocking(watcher.stdout.fileno(), False)
        said = b""

        def has_said(word):
            nonlocal said
            said += watcher.stdout.read() or b""
            return word.encode() in said

        try:
            wait_for(lambda: has_said("ns1"), "the present state")
            stage.nsd_server.kill()
            ask(front.where, "www.example.com")
            wait_for(lambda: has_said("backend_down"), "the event")
        finally:
            watcher.terminate()     # or a failure would wait for it for ever


def answers_of(front, name):
    before = front.stat(name)
    for i in range(20):
        assert ask(front.where, f"n{i}.wild.example.com").rcode() == 0
    return front.stat(name) - before


def wait_primary_answers(front, least=19):
    """Nearly all: by chance one is rescued, on a busy machine more."""
    wait_for(lambda: answers_of(front, "answers_primary") >= least, "the primary to answer", 60)


def test_orders_to_backends_are_obeyed_until_auto(front):
    wait_primary_answers(front)
    for order in ("down", "drain"):
        assert front.ctl("backend", "ns1", order)[0] == 0
        assert answers_of(front, "answers_primary") <= 1
        assert front.ctl("backend", "ns1", "auto")[0] == 0
        wait_primary_answers(front, 11)
    assert front.ctl("backend", "ns1", "up")[0] == 0
    wait_primary_answers(front)
    assert front.ctl("backend", "ns1", "auto")[0] == 0


def test_failover_by_order(front):
    assert front.ctl("failover", "main", "on")[0] == 0
    assert answers_of(front, "answers_primary") <= 1
    front.wait_event("failover", pool="main")
    assert front.ctl("failover", "main", "off")[0] == 0
    wait_primary_answers(front)
    assert front.ctl("failover", "main", "auto")[0] == 0
    wait_primary_answers(front)


def test_explain_says_who_would_answer(front, stage):
    code, out, err = front.ctl("explain", "www.example.com", "A")
    assert code == 0 and "ns1" in out, out
    front.ctl("failover", "main", "on")
    code, out, err = front.ctl("explain", "www.example.com", "A")
    assert "mirror" in out or "ns2" in out, out


def test_refresh_takes_a_newer_serial_and_retransfer_any(front, stage, example_zone):
    nsd = stage.nsd_server
    nsd.write_zone("example.com", example_zone.replace("2026010101", "2026010102"))
    nsd.reload()
    wait_for(lambda: nsd.serial("example.com") == 2026010102, "NSD to reload")
    assert front.ctl("refresh", "example.com")[0] == 0
    _, event = front.wait_event("zone_transferred", serial="2026010102")
    assert event["zone"] == "example.com." and event["source"].endswith(f":{nsd.port}")
    assert int(event["records"]) > 100 and int(event["bytes"]) > 1000
    count = len(front.events("zone_transferred"))
    assert front.ctl("retransfer", "example.com")[0] == 0
    wait_for(lambda: len(front.events("zone_transferred")) > count, "another transfer")


def test_events_are_json_when_asked(stage, example_zone):
    nsd = stage.nsd({"example.com": example_zone}).start()
    understudy = stage.understudy('log-format = "json"\n' + configurations.failover(nsd.where)).start()
    wait_for(lambda: "zone_transferred" in understudy.log_text(), "the event")
    for _, line in understudy.lines:
        assert json.loads(line)["event"]


# ---- Reload ----

def reload_by_signal(front):
    count = len(front.events("config_reloaded"))
    front.process.send_signal(signal.SIGHUP)
    wait_for(lambda: len(front.events("config_reloaded")) > count, "config_reloaded")
    return front.events("config_reloaded")[-1][1]


@pytest.mark.threads
def test_reload_under_load_loses_nothing(front, stage, questions):
    load = stage.load(front.where, stage.nsd_server.where, questions, rate=500 if IS_SANITIZED else 2000).start()
    load.wait_more(500)
    for i in range(10):
        with open(front.conf) as file:
            text = file.read()
        policy = ["round-robin", "p2c-latency"][i % 2]
        front.write("understudy.conf", re.sub(r'pool "main" \{\n(    policy.*\n)?',
                                              f'pool "main" {{\n    policy = "{policy}"\n', text))
        event = reload_by_signal(front)
        assert event.get("result") != "failed", event
        load.wait_more(200)
    result = load.finish()
    assert (result["lost"], result["wrong"], result["error_rcodes"], result["duplicates"]) == (0, 0, 0, 0), \
        result["troubles"][:5]


def workers_of(front):
    """{thread: (state, how often it went to sleep)}"""
    found = {}
    for status in glob.glob(f"/proc/{front.process.pid}/task/*/status"):
        with open(status) as file:
            fields = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        if fields["Name"].startswith("worker-"):
            found[status] = fields["State"][0], int(fields["voluntary_ctxt_switches"])
    return found


@pytest.mark.timing         # where others want the CPU, queries come in bunches
def test_workers_stay_awake_as_long_as_busy_poll_says(front, stage, questions):
    """Queries come each millisecond: workers sleep between them, or not."""
    with open(front.conf) as file:
        text = file.read()
    load = stage.load(front.where, stage.nsd_server.where, questions, rate=1000).start()
    load.wait_more(100)
    for busy_poll in ("0s", "10ms"):
        front.configure(text + f'busy-poll = "{busy_poll}"\n')
        assert front.ctl("reload")[0] == 0
        before, answered = workers_of(front), load.answered()
        load.wait_more(500)
        slept = sum(times - before[thread][1] for thread, (_, times) in workers_of(front).items())
        is_awake = slept < (load.answered() - answered) / 2
        assert is_awake == (busy_poll == "10ms"), (busy_poll, slept)
    result = load.finish()
    assert (result["lost"], result["wrong"]) == (0, 0), result["troubles"][:5]
    wait_for(lambda: all(state == "S" for state, _ in workers_of(front).values()), "workers to sleep")


def test_failing_reload_changes_nothing_and_says_so(front):
    with open(front.conf) as file:
        good = file.read()
    front.write("understudy.conf", good + 'polcy = "ordered"\n')
    event = reload_by_signal(front)
    assert event["result"] == "failed", event
    assert ask(front.where, "www.example.com").rcode() == 0
    code, out, err = front.ctl("reload")
    assert code == 1 and "polcy" in out + err, (out, err)
    front.write("understudy.conf", good)
    assert front.ctl("reload")[0] == 0


def test_reload_brings_and_takes_zones_backends_and_listeners(front, stage):
    other = stage.nsd({"example.org": "$ORIGIN example.org.\n$TTL 60\n@ SOA ns h 7 3600 600 86400 60\n@ NS ns\n"
                                      "ns A 192.0.2.1\nwww A 192.0.2.77\n"}, name="nsd2").start()
    port = free_port()
    with open(front.conf) as file:
        text = file.read()
    more = text.replace('listen    = { ', f'listen    = {{ "127.0.0.1:{port}", ')
    more += 'pool "other" {\n' + configurations.backend("o1", other.where, primary=True) + "    mirror { tier = 1 }\n}\n"
    more += configurations.zone("example.org", "other")
    front.write("understudy.conf", more)
    assert front.ctl("reload")[0] == 0
    wait_for(lambda: ask(front.where, "www.example.org").rcode() == 0, "the new zone")
    assert ask(("127.0.0.1", port), "www.example.com").rcode() == 0
    front.wait_event("zone_transferred", zone="example.org.")
    other.kill()
    wait_for(lambda: ask(front.where, "www.example.org").rcode() == 0, "its mirror")
    front.write("understudy.conf", text)
    assert front.ctl("reload")[0] == 0
    assert ask(front.where, "www.example.org").rcode() == 5
    assert ask(front.where, "www.example.com").rcode() == 0


# ---- The end ----

def slow_echo(message, is_tcp):
    if b"slow" in message:
        time.sleep(0.1)
    return echo(message, is_tcp)


@pytest.mark.threads
def test_sigterm_answers_what_is_in_flight(stage):
    fake = stage.add(FakeBackend(slow_echo))
    front = patient_front(stage, fake.where)
    with connect(front.where) as connection:
        send_message(connection, question("slow.example.com"))
        wait_for(lambda: fake.seen, "the query to be in flight", interval=0.002)
        front.process.terminate()
        got = receive_message(connection)
        assert got is not None and got[3] & 15 == 0
    assert front.process.wait(60) == 0
    assert not os.path.exists(front.control)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends_soon_when_nothing_is_in_flight(front, number):
    begun = time.monotonic()
    front.process.send_signal(number)
    assert front.process.wait(60) == 0
    assert time.monotonic() - begun < 15


def test_second_understudy_on_the_same_control_socket_is_refused(front, stage):
    second = stage.understudy(GOOD.replace("{control}", front.control), name="second")
    second.spawn([os.path.join(BUILD, "understudy"), "-c", second.conf])
    assert second.process.wait(60) != 0
    assert front.said_when_well("status")


def test_socket_of_a_killed_understudy_is_replaced(front):
    front.kill()
    front.start()
    assert front.ctl("status")[0] in (0, 4)


def test_address_in_use_is_said_and_ends(stage):
    fake = stage.add(FakeBackend())
    text = GOOD.replace("{listen}", f"127.0.0.1:{fake.port}")
    understudy = stage.understudy(text)
    understudy.spawn([os.path.join(BUILD, "understudy"), "-c", understudy.conf])
    assert understudy.process.wait(60) != 0
    understudy.thread.join(5)
    assert str(fake.port) in understudy.log_text()


def wait_first_answer(where):
    """Without a pause, and no longer than it takes."""
    ask_version = dns.message.make_query("version.bind", "TXT", "CH").to_wire()
    end = time.monotonic() + 60
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(where)
        client.settimeout(0.001)
        while time.monotonic() < end:
            try:
                client.send(ask_version)
                return client.recv(512)
            except OSError:
                pass
    raise AssertionError("no answer")


def test_signal_is_heeded_from_the_first_answer_on(stage, example_zone):
    """SIGHUP would end it by default: it answers before it listens to signals."""
    nsd = stage.nsd({"example.com": example_zone}).start()
    for i in range(10):
        front = stage.understudy(configurations.failover(nsd.where), name=f"front{i}")
        front.start(wait=False)
        wait_first_answer(front.where)
        front.process.send_signal(signal.SIGHUP)
        front.wait_event("config_reloaded")
        assert front.stop() == 0
