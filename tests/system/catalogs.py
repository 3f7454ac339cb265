# SPDX-License-Identifier: ISC
"""catalogs - servers that make catalog zones (RFC 9432), each in its own way."""
import os
import subprocess

import configurations
from servers import ANSWER_S, NameServer, Nsd, try_ask, wait_for

CATALOG = "catalog.example"


def soa(serial, ns="ns"):
    return f"@ 60 IN SOA {ns} host {serial} 3600 600 86400 60\n@ 60 IN NS {ns}\n"


def member(text="192.0.2.1", serial=1):
    """A member zone."""
    return soa(serial) + f"ns 60 IN A 192.0.2.53\nwww 60 IN A {text}\n"


def catalog(serial, members, version="2", extra=""):
    """A catalog: {label: zone} or {label: (zone, {property: [texts]})}."""
    text = soa(serial, "invalid.") + (f'version 0 IN TXT "{version}"\n' if version else "")
    for label, of in members.items():
        zone, properties = of if isinstance(of, tuple) else (of, {})
        text += f"{label}.zones 0 IN PTR {zone}.\n"
        for group in properties.get("group", ()):
            text += f'group.{label}.zones 0 IN TXT "{group}"\n'
        for other in properties.get("coo", ()):
            text += f"coo.{label}.zones 0 IN PTR {other}.\n"
    return text + extra


def section(name=CATALOG, pool="main", more=""):
    return f'catalog "{name}" {{ pool = "{pool}"  {more} }}\n'


def pool(name, primary, targets=None):
    if targets is None:
        targets = configurations.backend("ns1", primary, primary=True) + configurations.mirror(1)
    return f'pool "{name}" {{\n{targets}}}\n'


def is_served(front, zone, address="192.0.2.1"):
    """True when www of the zone has this address; by the mirror or a backend."""
    answer = try_ask(front.where, f"www.{zone}", timeout=ANSWER_S)
    return bool(answer and answer.rcode() == 0 and answer.answer and answer.answer[0][0].address == address)


def rcode(front, zone, rdtype="SOA"):
    answer = try_ask(front.where, zone, rdtype, timeout=ANSWER_S)
    return None if answer is None else answer.rcode()


def zone_row(front, zone):
    """What `zones` says of it, or None."""
    rows = [row for row in front.json("zones")["zones"] if row["zone"] == zone + "."]
    return rows[0] if rows else None


def wait_mirrored(front, zone):
    return wait_for(lambda: (zone_row(front, zone) or {}).get("state") == "ok", f"a mirror of {zone}")


class Catalogued(Nsd):
    """NSD, to which a catalog is a zone like any other, with members already there."""

    def publish(self, serial, members, name=CATALOG, **options):
        self.write_zone(name, catalog(serial, members, **options))
        self.reload()
        wait_for(lambda: try_ask(self.where, name, "SOA") and self.serial(name) == serial,
                 f"NSD to have serial {serial} of {name}")

    def block(self, zone):
        """From its next start on nobody may transfer that one."""
        self._let(zone, "NOKEY", "BLOCKED")

    def allow(self, zone):
        self._let(zone, "BLOCKED", "NOKEY")

    def _let(self, zone, before, after):
        with open(self.conf) as file:
            entries = file.read().split("zone:\n")
        entries = [entry.replace(before, after) if f'name: "{zone}"' in entry else entry for entry in entries]
        self.write("nsd.conf", "zone:\n".join(entries))


class Bind(NameServer):
    """BIND: a catalog is a zone file, members stand in the configuration."""

    def __init__(self, folder, zones, name="bind"):
        super().__init__(folder, name)
        self.contents = dict(zones)
        self.rndc_port = NameServer(folder, name + "-rndc").port
        self.secret = "c2VjcmV0IG9mIHRoZSB0ZXN0cw=="
        self.notify = None

    def configure(self):
        self.zones = list(self.contents)
        notify = f"also-notify {{ 127.0.0.1 port {self.notify}; }};" if self.notify else ""
        entries = ""
        for zone, content in self.contents.items():
            self.write(zone + ".zone", content)
            entries += f'zone "{zone}" {{ type primary; file "{zone}.zone"; {notify} }};\n'
        self.write("named.conf", f"""key "rndc" {{ algorithm hmac-sha256; secret "{self.secret}"; }};
controls {{ inet 127.0.0.1 port {self.rndc_port} allow {{ 127.0.0.1; }} keys {{ "rndc"; }}; }};
options {{
    directory "{self.folder}";
    listen-on port {self.port} {{ 127.0.0.1; }};
    listen-on-v6 {{ none; }};
    pid-file none;
    session-keyfile none;
    allow-transfer {{ any; }};
    recursion no;
    dnssec-validation no;
    notify explicit;
    notify-delay 0;
    check-integrity no;
}};
{entries}""")
        self.write("rndc.conf", f"""key "rndc" {{ algorithm hmac-sha256; secret "{self.secret}"; }};
options {{ default-key "rndc"; default-server 127.0.0.1; default-port {self.rndc_port}; }};
""")

    def start(self):
        self.configure()
        self.spawn(["named", "-g", "-n", "1", "-c", self.path("named.conf")])
        self.wait_serving()
        return self

    def reload(self):
        self.configure()
        subprocess.run(["rndc", "-c", self.path("rndc.conf"), "reload"], check=True, capture_output=True,
                       timeout=30)


class KnotProducer(NameServer):
    """Knot generates the catalog from its configuration."""

    def __init__(self, folder, name="producer"):
        super().__init__(folder, name)
        self.members = {}       # zone: group or None
        self.notify = None

    def configure(self):
        self.zones = list(self.members)     # it answers nobody about the catalog
        remote = f"""remote:
  - id: front
    address: 127.0.0.1@{self.notify}
""" if self.notify else ""
        notify = "    notify: front\n" if self.notify else ""
        zones = f"""  - domain: {CATALOG}
    storage: {self.folder}
    catalog-role: generate
    acl: all
{notify}"""
        for zone, group in self.members.items():
            if not os.path.exists(self.path(zone + ".zone")):
                self.write(zone + ".zone", member())
            zones += f"""  - domain: {zone}
    storage: {self.folder}
    file: {zone}.zone
    acl: all
    catalog-role: member
    catalog-zone: {CATALOG}
""" + (f"    catalog-group: {group}\n" if group else "")
        self.write("knot.conf", f"""server:
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
acl:
  - id: all
    address: 127.0.0.1
    action: transfer
{remote}zone:
{zones}""")

    def start(self):
        self.configure()
        self.spawn(["knotd", "-c", self.path("knot.conf")])
        self.wait_serving()
        return self

    def reload(self):
        self.configure()
        self.process.send_signal(1)


class PowerDns(NameServer):
    """PowerDNS makes the catalog of a producer zone out of its database."""

    def __init__(self, folder, name="pdns"):
        super().__init__(folder, name)
        self.notify = None
        self.database = self.path("pdns.sqlite3")

    def configure(self):
        notify = f"also-notify=127.0.0.1:{self.notify}\n" if self.notify else ""
        self.write("pdns.conf", f"""launch=gsqlite3
gsqlite3-database={self.database}
local-address=127.0.0.1
local-port={self.port}
socket-dir={self.folder}
daemon=no
disable-syslog=yes
log-timestamp=no
setuid=
setgid=
security-poll-suffix=
primary=yes
only-notify=
allow-axfr-ips=127.0.0.1
zone-cache-refresh-interval=0
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
consistent-backends=no
xfr-cycle-interval=1
{notify}""")

    def util(self, *words):
        """The server has the database open, too: who comes second is told that it is locked, and tries again."""
        def is_done():
            done = subprocess.run(["pdnsutil", f"--config-dir={self.folder}", *words], timeout=60,
                                  capture_output=True, text=True)
            said = done.stderr + done.stdout
            assert done.returncode == 0 or "locked" in said, f"pdnsutil {words}: {said}"
            return done.returncode == 0
        wait_for(is_done, f"pdnsutil {words}", 30, interval=0.2)

    def add_zone(self, zone):
        self.util("create-zone", zone, "ns." + zone)
        self.util("add-record", zone, "www", "A", "60", "192.0.2.1")
        self.util("set-kind", zone, "primary")

    def start(self):
        self.configure()
        schema = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql"
        with open(schema) as text:
            import sqlite3
            with sqlite3.connect(self.database) as database:
                database.executescript(text.read())
        self.util("create-zone", CATALOG)
        self.util("set-kind", CATALOG, "producer")
        self.spawn(["pdns_server", f"--config-dir={self.folder}"])
        wait_for(lambda: try_ask(self.where, CATALOG, "SOA", timeout=0.5), "PowerDNS to answer", 30)
        return self
