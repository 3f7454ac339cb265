# SPDX-License-Identifier: ISC
"""A version of a zone is looked at before it is served: how much it has shrunk, its ZONEMD, what the
operator's program says. What is refused changes nothing, is told once, and waits for a word."""
import os
import signal
import stat
import subprocess

import dns.rdatatype
import dns.zone
import pytest

import configurations
import references
from primary import AXFR, IXFR, SOA, Primary, Zone, honest
from servers import ask, try_ask, wait_for

pytestmark = pytest.mark.threads

REFRESHES = 3


def zone_text(origin, serial, hosts=12, net="192.0.2.", more=""):
    text = f"{origin}. 60 IN SOA ns.{origin}. h.{origin}. {serial} 3600 600 86400 60\n" \
           f"{origin}. 60 IN NS ns.{origin}.\nns.{origin}. 60 IN A 192.0.2.53\n"
    return text + "".join(f"h{i}.{origin}. 60 IN A {net}{i}\n" for i in range(hosts)) + more


def zonemd(text, origin, change=0):
    """The ZONEMD of a zone by dnspython, as a line of its file; one of another zone with `change`."""
    zone = dns.zone.from_text(text, origin + ".", relativize=False)
    digest = zone.compute_digest(1)
    words = digest.to_text().split()
    words[3] = f"{int(words[3], 16) ^ change:0{len(words[3])}x}"
    return f"{origin}. 60 IN ZONEMD {' '.join(words)}\n"


def conf(where, zones, extra="", store=None, pool=""):
    """`zones`: {name: what its section says beside the pool}."""
    text = configurations.HEAD + extra + (configurations.redis(store) if store else "")
    text += 'pool "main" {\n' + configurations.backend("ns1", where, primary=True) + \
        configurations.mirror(1) + pool + "}\n"
    return text + "".join(f'zone "{name}" {{ pool = "main"  {own} }}\n' for name, own in zones.items())


def zone_of(front, name):
    return front.json("zone", name)["zone"]


def serial_of(front, name):
    return zone_of(front, name).get("serial")


def where_of(primary):
    return ("127.0.0.1", primary.port)


def fetched(primary):
    """How often it was asked for the zone."""
    return primary.count(AXFR) + primary.count(IXFR)


def refresh(front, primary, name="a.test"):
    """Asks, and waits until the primary has been asked for its serial, and what followed from that is over."""
    before = primary.count(SOA)
    wait_for(lambda: front.ctl("refresh", name)[0] == 0 and primary.count(SOA) > before, "a question", interval=0.1)
    wait_for(lambda: zone_of(front, name)["next_refresh_s"] > 0, "the round to be over")


# ---- max-shrink ----

def test_zone_that_shrank_is_refused_once_until_accepted(stage):
    nsd = stage.nsd({"a.test": zone_text("a.test", 42)}).start()
    front = stage.understudy(conf(nsd.where, {"a.test": ""})).start()
    front.wait_event("zone_transferred", zone="a.test.", serial="42")
    nsd.write_zone("a.test", zone_text("a.test", 43, hosts=1))
    nsd.reload()
    wait_for(lambda: nsd.serial("a.test") == 43, "the primary's new version")
    front.ctl("refresh", "a.test")
    _, event = front.wait_event("zone_refused", zone="a.test.")
    assert (event["check"], event["serial"], event["from_serial"]) == ("max-shrink", "43", "42"), event
    assert (event["records"], event["records_before"]) == ("4", "15"), event
    assert event["reason"] == "it has lost 11 of 13 names, more than max-shrink = 50 percent"
    assert event["mend"] == "understudyctl accept a.test. takes it"
    assert event["source"] == f"127.0.0.1:{nsd.port}"

    zone = zone_of(front, "a.test")
    assert (zone["serial"], zone["refused_serial"], zone["refused_by"]) == (42, 43, "max-shrink"), zone
    assert zone["refused_reason"] == event["reason"] and "refused by max-shrink" in zone["last_error"]
    assert " 43 " in front.ctl("zones")[1] and event["reason"] in front.ctl("zone", "a.test")[1]
    code, out, _ = front.ctl("status")
    assert code == 4 and "1 zone has a version that was refused" in out

    code, out, err = front.ctl("accept", "a.test")
    assert code == 0 and "43" in out, err
    front.wait_event("zone_transferred", zone="a.test.", serial="43")
    wait_for(lambda: serial_of(front, "a.test") == 43, "it to be served")
    assert "refused_serial" not in zone_of(front, "a.test")
    assert front.ctl("accept", "a.test")[0] == 1
    assert len(front.events("zone_refused")) == 1


def test_what_was_refused_is_not_fetched_again(stage):
    zone = Zone("a.test", serial=42, hosts=20)
    primary = stage.add(Primary(honest(zone)))
    front = stage.understudy(conf(where_of(primary), {"a.test": ""})).start()
    front.wait_event("zone_transferred", serial="42")
    zone.hosts, zone.serial = 2, 43     # in this order: it may be asked for in between
    front.ctl("refresh", "a.test")
    front.wait_event("zone_refused", serial="43")
    before = fetched(primary)
    for _ in range(REFRESHES):
        refresh(front, primary)
    assert fetched(primary) == before
    assert len(front.events("zone_refused")) == 1
    assert zone_of(front, "a.test")["refused_serial"] == 43

    zone.hosts, zone.serial = 1, 44     # as bad, but news
    front.ctl("refresh", "a.test")
    front.wait_event("zone_refused", serial="44")
    zone.hosts, zone.serial = 15, 45
    front.ctl("refresh", "a.test")
    front.wait_event("zone_transferred", serial="45")
    wait_for(lambda: "refused_serial" not in zone_of(front, "a.test"), "the refusal to be forgotten")

    zone.hosts, zone.serial = 0, 46
    front.ctl("refresh", "a.test")
    front.wait_event("zone_refused", serial="46")
    zone.serial = 45        # the primary takes it back
    refresh(front, primary)
    wait_for(lambda: "refused_serial" not in zone_of(front, "a.test"), "the refusal to be forgotten")
    assert front.ctl("accept", "a.test")[0] == 1


def test_what_another_primary_has_is_accepted_from_that_one(stage):
    first = stage.add(Primary(honest(Zone("a.test", serial=42, hosts=20))))
    other_zone = Zone("a.test", serial=42, hosts=20)
    other = stage.add(Primary(honest(other_zone)))
    second = configurations.backend("ns2", where_of(other), primary=True)
    front = stage.understudy(conf(where_of(first), {"a.test": ""}, pool=second)).start()
    front.wait_event("zone_transferred", serial="42")
    other_zone.hosts, other_zone.serial = 2, 43
    front.ctl("refresh", "a.test")
    front.wait_event("zone_refused", serial="43", source=f"127.0.0.1:{other.port}")
    refresh(front, first)
    assert zone_of(front, "a.test")["refused_serial"] == 43     # though the first has what is held
    front.ctl("accept", "a.test")
    front.wait_event("zone_transferred", serial="43")


def test_max_shrink_is_as_configured_and_a_reload_decides_anew(stage):
    zones = {
        "any.test": "max-shrink = 100", "accept.test": 'on-regression = "accept"',
        "own.test": "max-shrink = 50", "little.test": "max-shrink = 10", "root.test": "",
    }
    nsd = stage.nsd({name: zone_text(name, 42, hosts=40) for name in zones}).start()
    front = stage.understudy(conf(nsd.where, zones, "max-shrink = 30\n")).start()
    for name in zones:
        front.wait_event("zone_transferred", zone=name + ".", serial="42")
    left = {"any.test": 0, "accept.test": 0, "own.test": 5, "little.test": 30, "root.test": 25}
    for name, hosts in left.items():
        nsd.write_zone(name, zone_text(name, 43, hosts=hosts))
    nsd.reload()
    for name in zones:
        wait_for(lambda: nsd.serial(name) == 43, "the primary's new version")
        front.ctl("refresh", name)
    for name in ("any.test", "accept.test"):
        front.wait_event("zone_transferred", zone=name + ".", serial="43")
    for name, percent in (("own.test", 50), ("little.test", 10), ("root.test", 30)):
        _, event = front.wait_event("zone_refused", zone=name + ".", serial="43")
        assert event["reason"].endswith(f"more than max-shrink = {percent} percent"), event
        assert serial_of(front, name) == 42

    front.configure(conf(nsd.where, zones | {"little.test": "max-shrink = 30"}, "max-shrink = 30\n"))
    assert front.ctl("reload")[0] == 0
    front.wait_event("zone_transferred", zone="little.test.", serial="43")
    assert serial_of(front, "root.test") == 42


def test_store_brings_no_zone_that_shrank(stage):
    """Another Understudy, which takes anything, puts a zone into Redis that this one would not have."""
    redis = stage.redis().start()
    good = stage.add(Primary(honest(Zone("a.test", serial=42, hosts=30))))
    bad = stage.add(Primary(honest(Zone("a.test", serial=43, hosts=3))))
    front = stage.understudy(conf(where_of(good), {"a.test": ""}, store=redis), name="careful").start()
    front.wait_event("zone_transferred", serial="42")
    wait_for(lambda: redis.hash("understudy:zone:{a.test.}").get("serial") == "42", "it to be in Redis")
    other = stage.understudy(conf(where_of(bad), {}, store=redis), name="bold").start()
    other.wait_event("store_up")        # it would not wait for Redis for long before it asks its primary
    other.configure(conf(where_of(bad), {"a.test": "max-shrink = 100"}, store=redis))
    assert other.ctl("reload")[0] == 0
    wait_for(lambda: serial_of(other, "a.test") == 42, "the other to have it from Redis")
    other.ctl("retransfer", "a.test")
    other.wait_event("zone_transferred", serial="43")
    _, event = front.wait_event("zone_refused", source="redis", timeout=30)
    assert (event["check"], event["serial"], event["from_serial"]) == ("max-shrink", "43", "42"), event
    assert serial_of(front, "a.test") == 42 and serial_of(other, "a.test") == 43
    assert ask(front.where, "h7.a.test").answer

    front.stop()            # nor at a start: the snapshot is older, and yet what Redis is measured by
    front.lines.clear()
    front.start()
    front.wait_event("zone_refused", source="redis", timeout=30)
    assert serial_of(front, "a.test") == 42


# ---- ZONEMD ----

class ZonemdKnot(references.Knot):
    """Knot as a primary that makes the ZONEMD of the zones in `made`, and takes the others as they are."""

    def __init__(self, stage, zones, made):
        folder = os.path.join(stage.folder, "primaries")
        os.makedirs(folder, exist_ok=True)
        self.files = {name: os.path.join(folder, name + ".zone") for name in zones}
        for name, text in zones.items():
            self.write_zone(name, text)
        super().__init__(stage.folder, list(self.files.items()))
        with open(self.conf) as file:
            text = file.read()
        for name in made:
            text = text.replace(f"  - domain: {name}\n",
                                f"  - domain: {name}\n    zonemd-generate: {made[name]}\n    zonefile-load: whole\n")
        self.write("knot.conf", text)

    def write_zone(self, name, text):
        with open(self.files[name], "w") as file:
            file.write(text)

    def reload(self):
        self.process.send_signal(signal.SIGHUP)


SETTINGS = ("off", "if-present", "require")
DIGESTS = {
    # what the zone has: (whether it is taken under each setting, the reason otherwise)
    "right": ((True, True, True), ""),
    "sha512": ((True, True, True), ""),
    "wrong": ((True, False, False), "its ZONEMD is not the digest of its records"),
    "stale": ((True, False, False), "its ZONEMD is of another serial than its SOA"),
    "strange": ((True, True, False), "its ZONEMD is of a scheme or hash that we do not compute"),
    "absent": ((True, True, False), "it has no ZONEMD"),
}


def zonemd_zone(name, kind):
    text = zone_text(name, 42)
    if kind == "wrong":
        return text + zonemd(text, name, change=1)
    if kind == "stale":
        return text + zonemd(zone_text(name, 41), name)
    if kind == "strange":
        return text + f"{name}. 60 IN ZONEMD 42 1 240 00112233445566778899aabb\n"
    return text


def test_zonemd_decides_as_configured(stage):
    names = {f"{kind}-{setting}.test": (kind, setting) for kind in DIGESTS for setting in SETTINGS}
    made = {"right": "zonemd-sha384", "sha512": "zonemd-sha512"}
    knot = stage.add(ZonemdKnot(stage, {name: zonemd_zone(name, kind) for name, (kind, _) in names.items()},
                                {name: made[kind] for name, (kind, _) in names.items() if kind in made}))
    knot.start()
    knot.wait_serving()
    for kind in made:
        assert ask(knot.where, f"{kind}-off.test", "ZONEMD").answer, "Knot was to make one"
    front = stage.understudy(conf(knot.where, {name: f'zonemd = "{setting}"' if setting != "if-present" else ""
                                               for name, (_, setting) in names.items()})).start()
    for name, (kind, setting) in names.items():
        taken, reason = DIGESTS[kind]
        if taken[SETTINGS.index(setting)]:
            front.wait_event("zone_transferred", zone=name + ".")
            continue
        _, event = front.wait_event("zone_refused", zone=name + ".")
        assert (event["check"], event["reason"]) == ("zonemd", reason), event
        assert zone_of(front, name)["state"] == "empty"

    front.ctl("retransfer", "wrong-if-present.test")    # force of this kind is no trust
    front.ctl("accept", "wrong-require.test")
    front.wait_event("zone_transferred", zone="wrong-require.test.")
    assert zone_of(front, "wrong-if-present.test")["refused_by"] == "zonemd"


def test_update_with_a_wrong_zonemd_leaves_the_old_version(stage):
    def version(serial, change=0):
        text = zone_text("a.test", serial, net=f"10.0.{serial}.")
        return text + zonemd(text, "a.test", change)

    nsd = stage.nsd({"a.test": version(42)}).start()
    front = stage.understudy(conf(nsd.where, {"a.test": 'zonemd = "require"'})).start()
    front.wait_event("zone_transferred", serial="42")
    for serial, change, event in ((43, 1, "zone_refused"), (44, 0, "zone_transferred")):
        nsd.write_zone("a.test", version(serial, change))
        nsd.reload()
        wait_for(lambda: nsd.serial("a.test") == serial, "the primary's new version")
        front.ctl("refresh", "a.test")
        front.wait_event(event, serial=str(serial))
    nsd.kill()
    wait_for(lambda: (answer := try_ask(front.where, "h1.a.test")) and answer.answer and
             answer.answer[0][0].address == "10.0.44.1", "the mirror to answer with the last good version")


# ---- verify ----

PROGRAMS = {
    "fine": ('exit 0', None),
    "word": ('echo "$UNDERSTUDY_ZONE $UNDERSTUDY_SERIAL is bad" >&2; exit 1', "word.test. 42 is bad"),
    "mute": ('exit 9', "the program ended with exit code 9"),
    "crash": ('kill -SEGV $$', "the program was ended by signal 11"),
    "hang": ('echo waiting >&2; exec sleep 100', "the program was not done within verify-timeout: waiting"),
    "flood": ('echo first >&2; exec yes flood >&2', "the program was not done within verify-timeout: first"),
    "escape": (r"printf '\033[31mred\n' >&2; exit 1", "?[31mred"),
    # 42: nothing was held before; the file is the zone, ours alone, and standard input as well
    "look": ('test $# = 1 && test -z "$UNDERSTUDY_OLD_SERIAL" && test "$1" = "$UNDERSTUDY_FILE" && cmp "$1" - && '
             'stat -c %a "$1" > "$0.mode" && cp "$1" "$0.zone"', None),
}


def write_program(stage, name, script):
    path = os.path.join(stage.folder, name)
    with open(path + ".new", "w") as file:      # the old one may be running, and cannot be written to then
        file.write("#!/bin/sh\n" + script + "\n")
    os.chmod(path + ".new", 0o700)
    os.rename(path + ".new", path)
    return path


def test_program_decides(stage):
    zones = {name + ".test": zone_text(name + ".test", 42) for name in PROGRAMS}
    nsd = stage.nsd(zones | {"plain.test": zone_text("plain.test", 42)}).start()
    paths = {name: write_program(stage, name, script) for name, (script, _) in PROGRAMS.items()}
    sections = {name + ".test": f'verify = "{paths[name]}"  verify-timeout = "{4 if name in ("hang", "flood") else 60}s"'
                for name in PROGRAMS}
    front = stage.understudy(conf(nsd.where, sections | {"plain.test": ""})).start()
    for name, (_, reason) in PROGRAMS.items():
        if reason is None:
            front.wait_event("zone_transferred", zone=name + ".test.", timeout=30)
            continue
        _, event = front.wait_event("zone_refused", zone=name + ".test.", timeout=30)
        assert (event["check"], event["reason"]) == ("verify", reason), event
    front.wait_event("zone_transferred", zone="plain.test.")

    with open(paths["look"] + ".mode") as file:
        assert file.read() == "600\n"
    with open(paths["look"] + ".zone") as file:
        dumped = front.ctl("dump", "look.test")[1]
        assert dumped.startswith(file.read())
    folder = os.path.join(front.state, "verify")
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    wait_for(lambda: os.listdir(folder) == [], "the files to go")

    write_program(stage, "mute", 'test "$UNDERSTUDY_OLD_SERIAL" = 42')      # mended, but wrongly
    front.ctl("retransfer", "mute.test")
    wait_for(lambda: zone_of(front, "mute.test").get("refused_reason") == "the program ended with exit code 1",
             "its refusal")
    write_program(stage, "mute", 'test -z "$UNDERSTUDY_OLD_SERIAL"')
    front.ctl("retransfer", "mute.test")
    front.wait_event("zone_transferred", zone="mute.test.")
    front.ctl("accept", "word.test")
    front.wait_event("zone_transferred", zone="word.test.")
    assert zone_of(front, "hang.test")["refused_by"] == "verify"


def test_hanging_programs_hold_up_nobody_else(stage):
    """More of them than may run at once: other zones come, questions are answered, and at the end all are gone."""
    hanging = [f"hang{i}.test" for i in range(6)]
    nsd = stage.nsd({name: zone_text(name, 42) for name in hanging + ["a.test"]}).start()
    pids = os.path.join(stage.folder, "pids")
    program = write_program(stage, "program", f'case $UNDERSTUDY_ZONE in a.test.) exit 0;; esac\n'
                            f'sleep 1000 & echo $$ $! $UNDERSTUDY_ZONE >> {pids}; wait')
    extra = f'verify = "{program}"\nverify-timeout = "1h"\n'
    front = stage.understudy(conf(nsd.where, dict.fromkeys(hanging, ""), extra)).start()

    def running():
        if not os.path.exists(pids):
            return []
        with open(pids) as file:
            return [line.split() for line in file if line.endswith("\n")]

    wait_for(lambda: len(running()) == 4, "four of them to run")
    wait_for(lambda: sum(zone_of(front, name)["reviewed"] for name in hanging) == 6, "the others to wait")
    # a zone without a program, new in the configuration; the six keep their programs and their places
    front.configure(conf(nsd.where, dict.fromkeys(hanging, "") | {"a.test": 'verify = "off"'}, extra))
    assert front.ctl("reload")[0] == 0
    front.wait_event("zone_transferred", zone="a.test.", serial="42")
    assert ask(front.where, "h1.a.test").answer and ask(front.where, "h1.hang0.test").answer
    assert len(running()) == 4

    front.ctl("retransfer", running()[0][2])    # its program is killed, another one gets the place
    wait_for(lambda: len(running()) == 5, "the next one to run")
    wait_for(lambda: len(os.listdir(os.path.join(front.state, "verify"))) == 4, "the file of the one that was killed to go")
    front.stop()

    def is_gone(pid):
        try:
            with open(f"/proc/{pid}/stat") as file:
                return file.read().rsplit(")", 1)[1].split()[0] == "Z"
        except (FileNotFoundError, ProcessLookupError):     # before it is opened, or after
            return True
    for program, child, zone in running():
        wait_for(lambda: is_gone(program) and is_gone(child), f"the program of {zone} to be gone")


def publish(stage, nsd, front, text, serial):
    nsd.write_zone("a.test", text)
    nsd.reload()
    wait_for(lambda: nsd.serial("a.test") == serial, "the primary's new version")
    front.ctl("refresh", "a.test")


def test_hold_ends_a_review_and_accept_begins_another(stage):
    nsd = stage.nsd({"a.test": zone_text("a.test", 42)}).start()
    program = write_program(stage, "program", 'test -z "$UNDERSTUDY_OLD_SERIAL" || exec sleep 1000')
    front = stage.understudy(conf(nsd.where, {"a.test": f'verify = "{program}"  verify-timeout = "1h"'})).start()
    front.wait_event("zone_transferred", zone="a.test.", serial="42")
    publish(stage, nsd, front, zone_text("a.test", 43), 43)
    wait_for(lambda: zone_of(front, "a.test")["reviewed"], "the program to look at it")
    assert front.ctl("hold", "a.test")[0] == 0
    wait_for(lambda: not zone_of(front, "a.test")["reviewed"], "the review to end")
    front.wait_event("zone_update_held", zone="a.test.")
    assert serial_of(front, "a.test") == 42

    write_program(stage, "program", 'test "$UNDERSTUDY_OLD_SERIAL" = 42')
    assert front.ctl("accept", "a.test")[0] == 0
    front.wait_event("zone_transferred", zone="a.test.", serial="43")
    assert not front.events("zone_refused")


def test_accept_ends_a_hold_and_takes_what_was_refused_before_it(stage):
    nsd = stage.nsd({"a.test": zone_text("a.test", 42)}).start()
    program = write_program(stage, "program", 'test -z "$UNDERSTUDY_OLD_SERIAL"')
    front = stage.understudy(conf(nsd.where, {"a.test": f'verify = "{program}"'})).start()
    front.wait_event("zone_transferred", zone="a.test.", serial="42")
    publish(stage, nsd, front, zone_text("a.test", 43), 43)
    front.wait_event("zone_refused", zone="a.test.", serial="43", check="verify")
    assert front.ctl("hold", "a.test")[0] == 0
    front.wait_event("zone_held", zone="a.test.")
    front.wait_event("zone_update_held", zone="a.test.", newer_serial="43")      # that must not make it forget the refusal
    assert serial_of(front, "a.test") == 42
    code, out, err = front.ctl("accept", "a.test")
    assert code == 0 and "43" in out, err
    front.wait_event("zone_released", zone="a.test.")
    front.wait_event("zone_transferred", zone="a.test.", serial="43")
    assert "refused_serial" not in zone_of(front, "a.test") and len(front.events("zone_refused")) == 1


def test_what_a_crash_left_is_swept_away(stage):
    nsd = stage.nsd({"a.test": zone_text("a.test", 42)}).start()
    program = write_program(stage, "program", "exec sleep 1000")
    front = stage.understudy(conf(nsd.where, {"a.test": f'verify = "{program}"'})).start()
    folder = os.path.join(front.state, "verify")
    wait_for(lambda: os.path.isdir(folder) and os.listdir(folder), "a file")
    front.kill()
    subprocess.run(["touch", os.path.join(folder, "7.zone"), os.path.join(folder, "notes")], check=True)
    front.configure(conf(nsd.where, {"a.test": ""}))
    front.start()
    front.wait_event("zone_transferred", zone="a.test.")
    assert os.listdir(folder) == ["notes"]


@pytest.mark.parametrize("program, complaint", [
    ("/no/such/program", "cannot be run (No such file or directory)"),
    ("{folder}/plain", "cannot be run (Permission denied)"),
    ("{folder}", "is no file"),
    ("verify.sh", "is no absolute path"),
    ("/bin/true --quiet", "cannot be run (No such file or directory)"),
])
def test_program_that_cannot_be_run_is_told_at_the_start(stage, program, complaint):
    front = stage.understudy(configurations.HEAD)
    front.write("plain", "no program\n")
    program = program.replace("{folder}", front.folder)
    front.configure(conf(("192.0.2.53", 53), {"a.test": f'verify = "{program}"'}))
    front.start(wait=False)
    front.process.wait(60)
    front.thread.join(5)
    assert front.process.returncode == 1
    line = 1 + next(i for i, text in enumerate(open(front.conf)) if "verify" in text)
    assert f"understudy.conf:{line}: verify" in front.log_text() and complaint in front.log_text()
