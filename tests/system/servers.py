# SPDX-License-Identifier: ISC
"""servers - starts and ends the real programs of the system tests.

Each server runs in a folder and a process group of its own, on free loopback ports, and is
ended by its group's id. Nothing sleeps for a guessed time: wait_for() waits for the thing, and
for long: a busy machine may hold up any of them for seconds, and who is well waits for nothing.
"""
import array
import fcntl
import glob
import json
import os
import random
import re
import select
import shlex
import signal
import socket
import subprocess
import termios
import threading
import time

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("UNDERSTUDY_BUILD", "build"))
TOOLS = os.path.join(ROOT, os.environ.get("UNDERSTUDY_TOOLS", "build"), "tests")
IS_SANITIZED = any(word in os.path.basename(BUILD) for word in ("address", "thread", "undefined"))
SANITIZER_CRIES = re.compile(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:")


PATIENCE_S = 30         # of who waits for what is sure to come
ANSWER_S = 10           # a query is answered in time or not at all; how soon is for tests of times to say
SHOW_S = 600            # for so long clients ask, unless they are told to finish: longer than any test lasts


def wait_for(condition, what, timeout=PATIENCE_S, interval=0.02):
    """The first true value of condition(); fails the test after `timeout` seconds."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout} s in vain for {what}")
        time.sleep(interval)


ports_given = set()


def free_port(address="127.0.0.1"):
    """A port that is free for UDP and TCP; below those that the kernel gives to clients."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    while True:
        port = random.randrange(10000, 32000)
        if port in ports_given:
            continue
        with socket.socket(family, socket.SOCK_STREAM) as tcp, \
                socket.socket(family, socket.SOCK_DGRAM) as udp:
            try:
                tcp.bind((address, port))
                udp.bind((address, port))
            except OSError:
                continue
            ports_given.add(port)
            return port


def ask(where, name, rdtype="A", tcp=False, timeout=ANSWER_S, **options):
    """One query, one answer. `where` is (address, port)."""
    query = dns.message.make_query(name, rdtype, **options)
    send = dns.query.tcp if tcp else dns.query.udp
    return send(query, where[0], port=where[1], timeout=timeout, **({} if tcp else {"ignore_trailing": True}))


def try_ask(where, name, rdtype="A", timeout=2.0, **options):
    """None when there is no answer: for who asks again."""
    try:
        return ask(where, name, rdtype, timeout=timeout, **options)
    except (dns.exception.DNSException, OSError, EOFError):
        return None


def records(section):
    """A section as a set that can be compared: no order, no case of owner names."""
    return {(str(rrset.name).lower(), rrset.rdtype, rrset.ttl, rdata.to_text())
            for rrset in section for rdata in rrset}


def living_members(group):
    """{pid: name} of the processes in a group that have not ended."""
    found = {}
    for folder in glob.glob("/proc/[0-9]*"):
        try:
            with open(folder + "/stat") as stat:
                name, rest = stat.read().split("(", 1)[1].rsplit(")", 1)
        except OSError:
            continue
        state, _, its_group = rest.split()[:3]
        if int(its_group) == group and state not in "ZX":
            found[int(folder.rsplit("/", 1)[1])] = name
    return found


class Server:
    """A program in a process group of its own; its stderr is kept and can be waited for."""

    def __init__(self, folder, name):
        self.folder = os.path.join(folder, name)
        self.name = name
        self.process = None
        self.lines = []                 # (monotonic time, text)
        self.news = threading.Condition()
        self.thread = None
        os.makedirs(self.folder, exist_ok=True)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)
        return self.path(name)

    def spawn(self, command, env=None, stdin=subprocess.DEVNULL):
        assert self.process is None or self.process.poll() is not None
        self.process = subprocess.Popen(
            command, cwd=self.folder, env={**os.environ, **(env or {})}, start_new_session=True,
            stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.thread = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self.thread.start()

    def _read(self, pipe):
        readable, rest = select.poll(), b""
        readable.register(pipe, select.POLLIN)
        with open(self.path("log"), "ab", buffering=0) as log:
            while readable.poll():
                with self.news:     # what has left the pipe is among the lines: see caught_up()
                    data = os.read(pipe.fileno(), 1 << 16)
                    log.write(data)
                    *whole, rest = (rest + (data or b"\n" * bool(rest))).split(b"\n")
                    self.lines += [(time.monotonic(), raw.decode(errors="replace")) for raw in whole]
                    self.news.notify_all()
                if not data:
                    return

    def caught_up(self):
        """Waits until all that it has said by now is among the lines."""
        if self.thread is None or not self.thread.is_alive():
            return

        def is_empty():
            size = array.array("i", [0])
            with self.news:
                fcntl.ioctl(self.process.stdout, termios.FIONREAD, size)
            return size[0] == 0
        wait_for(is_empty, "its words to be read", interval=0.001)

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        os.killpg(self.process.pid, number)

    def kill(self):
        """As a power cut: every process of it, at once. Their addresses are free when it returns."""
        self.signal(signal.SIGKILL)
        self._wait_dead()
        self.process.wait()

    def _wait_dead(self):
        """A child that dies a moment later would keep its sockets from who is started next."""
        wait_for(lambda: not living_members(self.process.pid), f"{self.name} to be dead", interval=0.002)

    def freeze(self):
        self.signal(signal.SIGSTOP)

    def thaw(self):
        self.signal(signal.SIGCONT)

    def stop(self, timeout=60):
        """Ends it in the orderly way. Returns the exit code."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.thaw()
            self.process.terminate()
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                pass
        try:
            self.signal(signal.SIGKILL)     # children that stayed
            self._wait_dead()
        except ProcessLookupError:
            pass
        code = self.process.wait()
        self.thread.join(5)
        return code

    def log_text(self):
        return "\n".join(text for _, text in self.lines)


class NameServer(Server):
    def __init__(self, folder, name, where=None):
        super().__init__(folder, name)
        self.where = where or ("127.0.0.1", free_port())
        self.address, self.port = self.where
        self.zones = []

    def wait_serving(self, timeout=60):
        for zone in self.zones:
            def is_serving():
                if not self.is_running():
                    raise AssertionError(f"{self.name} ended:\n{self.log_text()}")
                answer = try_ask(self.where, zone, "SOA", timeout=0.5)
                return answer is not None and answer.rcode() == 0 and answer.flags & dns.flags.AA
            wait_for(is_serving, f"{self.name} to serve {zone}", timeout)

    def serial(self, zone):
        """None when it does not say."""
        answer = try_ask(self.where, zone, "SOA")
        return answer.answer[0][0].serial if answer and answer.answer else None


class Nsd(NameServer):
    """The primary: NSD over zone files of the test."""

    def __init__(self, folder, zones, name="nsd", extra="", where=None):
        super().__init__(folder, name, where)
        self.zones = list(zones)
        text = f"""server:
    ip-address: {self.address}@{self.port}
    server-count: 1
    username: ""
    database: ""
    zonesdir: "{self.folder}"
    pidfile: "{self.path('pid')}"
    xfrdfile: "{self.path('xfrd.state')}"
    zonelistfile: "{self.path('zone.list')}"
    xfrdir: "{self.folder}"
    tcp-count: 500
    rrl-ratelimit: 0
    rrl-whitelist-ratelimit: 0
{extra}
remote-control:
    control-enable: no
"""
        for zone, content in zones.items():
            self.write_zone(zone, content)
            text += f"""zone:
    name: "{zone}"
    zonefile: "{zone}.zone"
    provide-xfr: 127.0.0.0/8 NOKEY
    provide-xfr: ::1 NOKEY
"""
        self.conf = self.write("nsd.conf", text)
        self.leaving = set()

    def write_zone(self, zone, content):
        self.write(zone + ".zone.new", content)
        os.rename(self.path(zone + ".zone.new"), self.path(zone + ".zone"))
        # NSD compares whole seconds: each version of a file gets a later one
        self.clock = max(getattr(self, "clock", 0) + 1, int(time.time()))
        os.utime(self.path(zone + ".zone"), (self.clock, self.clock))

    def start(self, wait=True):
        self.leaving = set()
        self.spawn(["nsd", "-d", "-c", self.conf])
        if wait:
            self.wait_serving()
        return self

    def reload(self):
        self.leaving = self._answering()
        self.process.send_signal(signal.SIGHUP)

    def _answering(self):
        """Its processes that answer; a reload puts others in their place."""
        return {pid for pid, name in living_members(self.process.pid).items() if name.startswith("nsd: server")}

    def serial(self, zone):
        """None while one may still answer that has what was there before the reload."""
        if self.leaving:
            self.leaving &= self._answering()
        return None if self.leaving else super().serial(zone)


class Knot(NameServer):
    """The backend: Knot as a secondary of `primary` by AXFR."""

    def __init__(self, folder, primary, name="knot"):
        super().__init__(folder, name)
        self.zones = list(primary.zones)
        zones = "".join(f"""  - domain: {zone}
    file: {zone}.zone
    master: primary
""" for zone in self.zones)
        self.conf = self.write("knot.conf", f"""server:
    listen: 127.0.0.1@{self.port}
    rundir: {self.folder}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stdout
    any: info
database:
    storage: {self.folder}
remote:
  - id: primary
    address: 127.0.0.1@{primary.port}
template:
  - id: default
    storage: {self.folder}
    semantic-checks: off
zone:
{zones}""")

    def start(self, wait=True):
        self.spawn(["knotd", "-c", self.conf])
        if wait:
            self.wait_serving()
        return self


class Redis(Server):
    """
    A stock Redis on a UNIX socket, its append-only file on. What it has replied to is with the kernel, which
    outlives a kill; it waits for no disk, which others may keep busy for longer than our patience with a Redis.
    (With `everysec` it puts off even the write, after its reply, while the disk is busy.)
    """

    def __init__(self, folder, name="redis"):
        super().__init__(folder, name)
        self.socket = self.path("redis.sock")

    def start(self, *options):
        self.spawn(["redis-server", "--port", "0", "--unixsocket", self.socket, "--dir", self.folder,
                    "--appendonly", "yes", "--appendfsync", "no", "--save", "", "--daemonize", "no", *options])
        wait_for(lambda: self.try_command("PING") == "PONG", "Redis to answer")
        return self

    def try_command(self, *words):
        try:
            done = subprocess.run(["redis-cli", "-s", self.socket, *words], capture_output=True, text=True,
                                  timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    def command(self, *words):
        answer = self.try_command(*words)
        assert answer is not None, f"Redis did not take {words}"
        return answer

    def hash(self, key):
        lines = self.command("HGETALL", key).splitlines()
        return dict(zip(lines[::2], lines[1::2]))


def parse_event(line):
    """The fields of a log line in logfmt, or None."""
    if not line.startswith("event="):
        return None
    try:
        words = shlex.split(line)
    except ValueError:
        return None
    return dict(word.split("=", 1) for word in words if "=" in word)


# Longer than a query may be under way: give-up is 5 s at the most.
ACCOUNTS_S = 20


class Understudy(Server):
    """The program under test. `conf` may name {listen}, {port}, {control}, {state}, {folder}."""

    def __init__(self, folder, conf, name="understudy", address="127.0.0.1", port=None):
        super().__init__(folder, name)
        self.port = port or free_port(address)
        self.where = (address, self.port)
        self.control = self.path("control.sock")
        self.state = self.path("state")
        os.makedirs(self.state, exist_ok=True)
        self.conf = self.path("understudy.conf")
        self.env = {}
        self.wrapper = []           # a program that starts it
        self.configure(conf)

    def configure(self, conf):
        listen = f"[{self.where[0]}]:{self.port}" if ":" in self.where[0] else f"{self.where[0]}:{self.port}"
        values = {"listen": listen, "port": self.port, "control": self.control, "state": self.state,
                  "folder": self.folder}
        for key, value in values.items():
            conf = conf.replace("{" + key + "}", str(value))
        self.write("understudy.conf", conf)

    def start(self, wait=True):
        self.started = time.monotonic()
        self.spawn([*self.wrapper, os.path.join(BUILD, "understudy"), "-c", self.conf], env=self.env)
        if wait:
            wait_for(self.is_answering, "Understudy to answer", 60)
        return self

    def is_answering(self):
        if not self.is_running():
            raise AssertionError(f"Understudy ended with {self.process.returncode}:\n{self.log_text()}")
        return try_ask(self.where, "version.bind", "TXT", timeout=0.3) is not None

    def stop(self, timeout=60):
        was_running = self.is_running()
        wrong = self.unbalanced_accounts() if was_running else None
        code = super().stop(timeout)
        text = self.log_text()
        assert not wrong, f"{self.name}: its accounts do not balance: {wrong}"
        cry = SANITIZER_CRIES.search(text)
        assert not cry, f"{self.name}:\n{text[cry.start():cry.start() + 6000]}"
        if was_running:
            assert code == 0, f"{self.name} ended with {code}:\n{text[-3000:]}"
        return code

    def unbalanced_accounts(self):
        """What does not add up when all queries have their end; None in a test that left it unable to say."""
        import accounts     # which needs this module

        end = time.monotonic() + ACCOUNTS_S
        while True:
            try:
                wrong = accounts.unbalanced(self)
            except (AssertionError, subprocess.TimeoutExpired):
                return None
            if not wrong or time.monotonic() > end:
                return wrong
            time.sleep(0.05)

    def events(self, name=None, since=0.0, **fields):
        """All events so far: [(monotonic time, {field: text})]."""
        found = []
        for at, line in list(self.lines):
            event = parse_event(line)
            if event and at >= since and (name is None or event.get("event") == name) and \
                    all(event.get(key) == value for key, value in fields.items()):
                found.append((at, event))
        return found

    def wait_event(self, name, timeout=PATIENCE_S, since=0.0, **fields):
        """The first such event, as (monotonic time, fields)."""
        end = time.monotonic() + timeout
        with self.news:
            while True:
                found = self.events(name, since, **fields)
                if found:
                    return found[0]
                left = end - time.monotonic()
                if left <= 0 or not self.is_running():
                    raise AssertionError(f"no event {name} {fields}; the log says:\n{self.log_text()[-4000:]}")
                self.news.wait(min(left, 0.2))

    def ctl(self, *words, timeout=60):
        """understudyctl: (exit code, stdout, stderr)."""
        done = subprocess.run([os.path.join(BUILD, "understudyctl"), "-s", self.control, *words],
                              capture_output=True, text=True, timeout=timeout)
        assert not SANITIZER_CRIES.search(done.stderr), done.stderr
        self.caught_up()
        return done.returncode, done.stdout, done.stderr

    def said_when_well(self, *words):
        """What it says once all is well: any server may be in doubt for a moment, and then `status` ends with 4."""
        def is_well():
            code, out, err = self.ctl(*words)
            assert code in (0, 4), f"{words}: exit {code}: {err or out}"
            return code == 0 and out
        return wait_for(is_well, "all to be well")

    def json(self, *words):
        """
        What understudyctl --json prints, without it: tests look so again and again, and a program made with a
        sanitizer takes its time to start.
        """
        answer = json.loads(self.said_by_control(" ".join(words) + "\n"))
        assert answer["ok"], f"{words}: {answer}"
        return answer

    def said_by_control(self, line, timeout=60):
        said = b""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(timeout)
            try:
                control.connect(self.control)
                control.sendall(line.encode())
                while data := control.recv(1 << 16):
                    said += data
            except OSError as failure:
                raise AssertionError(f"control, asked for {line!r}: {failure}") from failure
        assert said, f"control says nothing to {line!r}"
        self.caught_up()
        return said

    def stat(self, name):
        value = find_key(self.json("stats"), name)
        assert value is not None, f"no {name} in the stats"
        return value

    def resident_kb(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))


def find_key(tree, key):
    """The first value of `key` anywhere in a JSON document; rows {name, value} count too."""
    if isinstance(tree, dict):
        if key in tree:
            return tree[key]
        if tree.get("name") == key and "value" in tree:
            return tree["value"]
        tree = list(tree.values())
    if isinstance(tree, list):
        for part in tree:
            found = find_key(part, key)
            if found is not None:
                return found
    return None


class Load(Server):
    """
    The load generator. It has learnt the truth when start() returns. It is patient: what took too long
    is seen by what the slowest answer took, in tests that nothing holds up but what they do.
    """

    def __init__(self, folder, where, truth, questions, rate=2000, seconds=SHOW_S, options=(), name="load"):
        super().__init__(folder, name)
        self.results = []
        self.progress = {}
        text = questions if "\n" in questions else open(questions).read()
        self.command = [os.path.join(TOOLS, "load"), "-s", f"{where[0]}@{where[1]}",
                        "-t", f"{truth[0]}@{truth[1]}", "-q", self.write("questions", text),
                        "-r", str(rate), "-d", str(seconds), "-p", str(ANSWER_S * 1000), *options]

    def start(self):
        self.spawn(self.command)
        ready = wait_for(lambda: self._find("ready"), "the load generator to learn the truth", 60)
        self.started_us = ready["started_us"]
        return self

    def _find(self, kind):
        """The newest line of this kind."""
        for _, line in reversed(list(self.lines)):
            if line.startswith('{"' + kind + '"'):
                return json.loads(line)[kind]
        if not self.is_running() and kind != "result":
            raise AssertionError(f"the load generator ended: {self.log_text()}")
        return None

    def progress_now(self):
        return self._find("progress") or {"answered": 0}

    def answered(self):
        return self.progress_now()["answered"]

    def wait_more(self, count, timeout=60):
        """Waits until `count` more answers have come."""
        goal = self.answered() + count
        wait_for(lambda: self.answered() >= goal, f"{count} more answers", timeout)

    def finish(self):
        """Asks no more, waits for what is owed, returns the result."""
        if self.is_running():
            self.process.terminate()
        self.process.wait(60)
        self.thread.join()
        result = self._find("result")
        assert result, self.log_text()
        return result

    def held_s(self, since, until):
        """How much of this time the machine itself stood still (held.h); known when it has finished."""
        begun = self.started_us / 1e6
        spans = [(begun + at / 1000, begun + (at + took) / 1000) for at, took in self._find("result")["held"]]
        return sum(max(0.0, min(until, end) - max(since, begin)) for begin, end in spans)

    def stop(self, timeout=5):
        return super().stop(timeout)


class Stage:
    """All servers of one test; ended in reverse order."""

    def __init__(self, folder):
        self.folder = str(folder)
        self.cast = []

    def add(self, server):
        self.cast.append(server)
        return server

    def nsd(self, zones, **options):
        return self.add(Nsd(self.folder, zones, **options))

    def knot(self, primary, **options):
        return self.add(Knot(self.folder, primary, **options))

    def redis(self, **options):
        return self.add(Redis(self.folder, **options))

    def understudy(self, conf, **options):
        return self.add(Understudy(self.folder, conf, **options))

    def load(self, where, truth, questions, **options):
        return self.add(Load(self.folder, where, truth, questions, **options))

    def close(self):
        failures = []
        for server in reversed(self.cast):
            try:
                server.stop()
            except AssertionError as failure:
                failures.append(str(failure))
        assert not failures, "\n".join(failures)
