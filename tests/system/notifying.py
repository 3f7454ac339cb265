# SPDX-License-Identifier: ISC
"""notifying - NSD, Knot, BIND and PowerDNS as primaries, as operators run them.

Each loads a new version of its zone file when told, and sends NOTIFY to `notify`, signed if the zone
has a key. A key is (name, algorithm, secret); `key` is that of all zones, or a dictionary by zone.
"""
import contextlib
import os
import sqlite3
import subprocess
import time

from servers import NameServer, free_port

SCHEMA = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql"
SECRET = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


class Primary(NameServer):
    """`zones`: name -> text."""

    def __init__(self, folder, zones, notify, key=None, name=None):
        super().__init__(folder, name or type(self).__name__.lower())
        self.zones = list(zones)
        self.notify = notify
        self.keys = key if isinstance(key, dict) else {zone: key for zone in zones}
        for zone, text in zones.items():
            self.write_zone(zone, text)

    def write_zone(self, zone, text):
        self.write(zone + ".zone.new", text)
        os.rename(self.path(zone + ".zone.new"), self.path(zone + ".zone"))
        # NSD compares whole seconds: each version of a file gets a later one
        self.clock = max(getattr(self, "clock", 0) + 1, int(time.time()))
        os.utime(self.path(zone + ".zone"), (self.clock, self.clock))

    def each_key(self):
        return sorted({key for key in self.keys.values() if key})

    def publish(self, zone, text):
        self.write_zone(zone, text)
        self.reload(zone)

    def tool(self, *words):
        done = subprocess.run(words, capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"

    def start(self):
        self.spawn(self.command())
        self.wait_serving()
        return self


class Nsd(Primary):
    def command(self):
        socket = self.path("control")
        conf = f"""server:
    ip-address: 127.0.0.1@{self.port}
    server-count: 1
    username: ""
    database: ""
    zonesdir: "{self.folder}"
    pidfile: "{self.path('pid')}"
    xfrdfile: "{self.path('xfrd.state')}"
    zonelistfile: "{self.path('zone.list')}"
    xfrdir: "{self.folder}"
    rrl-ratelimit: 0
    rrl-whitelist-ratelimit: 0
    xfrd-reload-timeout: 0
remote-control:
    control-enable: yes
    control-interface: "{socket}"
"""
        for name, algorithm, secret in self.each_key():
            conf += f'key:\n    name: "{name}"\n    algorithm: {algorithm}\n    secret: "{secret}"\n'
        for zone in self.zones:
            key = self.keys[zone][0] if self.keys[zone] else "NOKEY"
            conf += f"""zone:
    name: "{zone}"
    zonefile: "{zone}.zone"
    provide-xfr: 127.0.0.1 {key}
    notify: 127.0.0.1@{self.notify[1]} {key}
"""
        self.conf = self.write("nsd.conf", conf)
        return ["nsd", "-d", "-c", self.conf]

    def reload(self, zone):
        self.tool("nsd-control", "-c", self.conf, "reload", zone)


class Knot(Primary):
    def command(self):
        conf = f"""server:
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
"""
        keys = self.each_key()
        if keys:
            conf += "key:\n" + "".join(f"  - id: {key[0]}\n    algorithm: {key[1]}\n    secret: {key[2]}\n"
                                       for key in keys)
        use = {key: f"\n    key: {key[0]}" if key else "" for key in [None, *keys]}
        conf += "remote:\n" + "".join(f"""  - id: understudy-{key and key[0]}
    address: 127.0.0.1@{self.notify[1]}{use[key]}
""" for key in use)
        conf += "acl:\n" + "".join(f"""  - id: transfer-{key and key[0]}
    address: 127.0.0.1
    action: transfer{use[key]}
""" for key in use)
        conf += f"""template:
  - id: default
    storage: {self.folder}
    semantic-checks: off
    zonefile-load: difference
    zonefile-sync: -1
zone:
"""
        for zone, key in self.keys.items():
            who = key and key[0]
            conf += f"  - domain: {zone}\n    file: {zone}.zone\n    notify: understudy-{who}\n    acl: transfer-{who}\n"
        self.conf = self.write("knot.conf", conf)
        return ["knotd", "-c", self.conf]

    def reload(self, zone):
        self.tool("knotc", "-c", self.conf, "zone-reload", zone)


class Bind(Primary):
    def command(self):
        self.control_port = free_port()
        conf = f"""options {{
    directory "{self.folder}";
    pid-file none;
    session-keyfile none;
    listen-on port {self.port} {{ 127.0.0.1; }};
    listen-on-v6 {{ none; }};
    recursion no;
    dnssec-validation no;
    notify explicit;
    notify-delay 0;
    startup-notify-rate 1000;
    notify-rate 1000;
    ixfr-from-differences yes;
}};
key "control" {{ algorithm hmac-sha256; secret "{SECRET}"; }};
controls {{ inet 127.0.0.1 port {self.control_port} allow {{ 127.0.0.1; }} keys {{ "control"; }}; }};
"""
        for name, algorithm, secret in self.each_key():
            conf += f'key "{name}" {{ algorithm {algorithm}; secret "{secret}"; }};\n'
        for zone, key in self.keys.items():
            signed = f' key "{key[0]}"' if key else ""
            who = signed or "127.0.0.1"
            conf += f"""zone "{zone}" {{
    type primary;
    file "{zone}.zone";
    allow-transfer {{ {who}; }};
    also-notify {{ 127.0.0.1 port {self.notify[1]}{signed}; }};
}};
"""
        self.write("rndc.key", f'key "control" {{ algorithm hmac-sha256; secret "{SECRET}"; }};\n')
        return ["named", "-g", "-n", "1", "-c", self.write("named.conf", conf)]

    def reload(self, zone):
        self.tool("rndc", "-k", self.path("rndc.key"), "-s", "127.0.0.1", "-p", str(self.control_port),
                  "reload", zone)


class PowerDns(Primary):
    """With its zones in SQLite."""

    def command(self):
        conf = f"""launch=gsqlite3
gsqlite3-database={self.path('pdns.sqlite3')}
local-address=127.0.0.1
local-port={self.port}
socket-dir={self.folder}
primary=yes
only-notify=
also-notify=127.0.0.1:{self.notify[1]}
allow-axfr-ips=127.0.0.1
daemon=no
guardian=no
setuid=
setgid=
security-poll-suffix=
query-cache-ttl=0
cache-ttl=0
negquery-cache-ttl=0
"""
        self.write("pdns.conf", conf)
        with contextlib.closing(sqlite3.connect(self.path("pdns.sqlite3"))) as database, open(SCHEMA) as schema:
            database.executescript(schema.read())
        for key in self.each_key():
            self.util("import-tsig-key", *key)
        for zone in self.zones:
            self.util("load-zone", zone, self.path(zone + ".zone"))
            self.util("set-kind", zone, "primary")
            if self.keys[zone]:
                self.util("activate-tsig-key", zone, self.keys[zone][0], "primary")
        return ["pdns_server", f"--config-dir={self.folder}"]

    def util(self, *words):
        self.tool("pdnsutil", f"--config-dir={self.folder}", *words)

    def reload(self, zone):
        self.util("load-zone", zone, self.path(zone + ".zone"))
        self.tool("pdns_control", f"--config-dir={self.folder}", "purge", zone + "$")
        self.tool("pdns_control", f"--config-dir={self.folder}", "notify", zone)


ALL = {"nsd": Nsd, "knot": Knot, "bind": Bind, "powerdns": PowerDns}
