# SPDX-License-Identifier: ISC
"""
faults - every way in which a primary fails: for test_faults.py, and for `make faults`.

Each fault is a name, what strikes and what mends it, and what is expected of the verdict:
"down" (it is found out), "held" (its zones are), "stays" (it is fit to serve, perhaps not for one zone), "any" (by chance).
"""
import os
import re
import subprocess
from dataclasses import dataclass
from typing import Callable, Optional

from servers import TOOLS, NameServer, wait_for

ORG_ZONE = """$ORIGIN example.org.
$TTL 3600
@ SOA ns1 hostmaster 7 3600 600 1209600 300
  NS ns1
  MX 10 ns1
ns1 A 192.0.2.99
www A 192.0.2.98
  AAAA 2001:db8::98
"""
ORG_QUESTIONS = "".join(f"{name}example.org. {rdtype}\n" for name, rdtype in (
    ("", "SOA"), ("", "NS"), ("", "MX"), ("www.", "A"), ("www.", "AAAA"), ("ns1.", "A"), ("no.", "A"), ("www.", "TXT")))


class Faulty(NameServer):
    """tests/system/faulty.c in front of `truth`, a name server of ours."""

    def __init__(self, folder, truth, name="faulty"):
        super().__init__(folder, name)
        self.truth = truth
        self.zones = list(truth.zones)
        self.obeyed = 0

    def start(self, first="well"):
        self.obeyed = len(self._words())
        self.spawn([os.path.join(TOOLS, "faulty"), "-l", f"127.0.0.1@{self.port}",
                    "-t", f"{self.truth.where[0]}@{self.truth.port}", "-c", first], stdin=subprocess.PIPE)
        self._wait_obeyed()
        return self

    def _words(self):
        return [line for _, line in list(self.lines) if line.startswith("obeyed ")]

    def _wait_obeyed(self):
        self.obeyed += 1
        wait_for(lambda: len(self._words()) >= self.obeyed or not self.is_running(), "faulty to obey", interval=0.002)
        assert self.is_running(), self.log_text()

    def command(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        self._wait_obeyed()

    def stop(self, timeout=5):
        code = super().stop(timeout)
        if self.process:
            self.process.stdin.close()
        return code


@dataclass
class Fault:
    """`strike` and `mend` take a Faulty; `later` ends a first phase of the fault and begins the next."""
    strike: Callable
    mend: Callable = lambda server: server.command("well")
    verdict: str = "down"
    later: Optional[Callable] = None
    causes: tuple = ()              # what a verdict may give as its cause; empty: anything
    is_found_by_probe: bool = False     # clients are served well by the second try: no evidence


def said(line, **expected):
    return Fault(lambda server: server.command(line), **expected)


def restart_with(first):
    def strike(server):
        server.kill()
        server.start(first)
    return strike


SILENCE = {"causes": ("timeout", "silent", "tcp", "malformed", "refused")}
RCODE = {"causes": ("rcode",), "is_found_by_probe": True}
LAME = {"causes": ("lame",), "is_found_by_probe": True}

FAULTS = {
    # by "tcp": its last reply by UDP may be heard after the connection that broke
    "killed": Fault(lambda s: s.kill(), lambda s: s.start(), causes=("refused", "timeout", "tcp")),
    "frozen": Fault(lambda s: s.freeze(), lambda s: s.thaw(), **SILENCE),
    "host gone": said("gone", **SILENCE),
    "restarts, REFUSED while loading": Fault(restart_with("rcode=5"), causes=("refused", "rcode")),
    "restarts, SERVFAIL while loading": Fault(restart_with("rcode=2"), causes=("refused", "rcode")),
    "SERVFAIL": said("rcode=2", **RCODE),
    "REFUSED": said("rcode=5", **RCODE),
    "NOTAUTH": said("rcode=9", **RCODE),
    "SERVFAIL for one zone": said("rcode=2 zone=example.org", verdict="stays"),
    "REFUSED for one zone": said("rcode=5 zone=example.org", verdict="stays"),
    "NOTAUTH for one zone": said("rcode=9 zone=example.org", verdict="stays"),
    "lame": said("lame", **LAME),
    "lame for one zone": said("lame zone=example.org", verdict="stays"),
    "empty answers, same serial": said("empty", verdict="held"),
    "NXDOMAIN, same serial": said("nxdomain", verdict="held"),
    "30 % loss each way": said("loss-in=30 loss-out=30", verdict="any"),
    "70 % loss each way": said("loss-in=70 loss-out=70", verdict="any"),
    "latency of 1 s": said("latency-ms=1000", **SILENCE),
    "latency creeping up": said("creep-ms=150", verdict="any"),
    "jitter up to 40 ms": said("jitter-ms=40", verdict="any"),
    "flapping every second": said("flap-ms=1000", verdict="any"),
    "UDP dead, TCP well": said("udp-gone", **SILENCE),
    "TCP hangs": said("tcp=hang", causes=("tcp",)),
    "TCP reset": said("tcp=reset", causes=("tcp",), is_found_by_probe=True),
    "TCP closes after each answer": said("tcp=close", verdict="any"),
    "TCP a byte at a time": said("tcp=drip", verdict="any"),
    "TCP a byte each ms": said("tcp=trickle", verdict="any"),
    "wrong ID": said("wrong-id", **SILENCE),
    "wrong question": said("wrong-question", **SILENCE),
    "changed case": said("wrong-case", verdict="any"),
    "garbage": said("garbage", **SILENCE),
    "truncated bytes": said("cut", **SILENCE),
    "QR clear": said("qr-clear", **SILENCE),
    "duplicated, reordered replies": said("copies=2 jitter-ms=5", verdict="stays"),
    "replies from another address": said("elsewhere", **SILENCE),
    "TC on everything": said("tc", verdict="stays"),
    "overload: 300 q/s are answered": said("limit=300", verdict="any"),
}


def questions_for_both(questions):
    with open(questions) as file:
        return file.read() + ORG_QUESTIONS


def word(name):
    """A fault's name for files and test ids."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")
