# SPDX-License-Identifier: ISC
"""primaries - NSD, Knot, BIND and PowerDNS as primaries of a zone that changes all the time.

A History is the zone: it changes by chance, but the same in each run. A primary takes each
version in the way in which its operators do: NSD a zone file, or IXFR from a hidden BIND; Knot
and BIND dynamic updates; PowerDNS its database.
"""
import random
import subprocess

import dns.query
import dns.rcode
import dns.update

from servers import NameServer, Nsd, wait_for

SCHEMA = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql"    # the doc folder has a link, unless it is left out
TYPES = ["A", "AAAA", "TXT", "MX"]


class History:
    """The RRsets of a zone but for its SOA and NS: (owner, type) -> (TTL, [rdata])."""

    def __init__(self, origin, hosts=60, seed=1, refresh=3600):
        self.origin, self.serial, self.refresh = origin, 1, refresh
        self.dice = random.Random(seed)
        self.sets = {("ns", "A"): (3600, ["192.0.2.53"])}
        for i in range(hosts):
            self.sets[f"h{i}", "A"] = (300, [f"10.0.0.{i % 250}"])

    def text(self):
        lines = [f"$ORIGIN {self.origin}.\n@ 3600 IN SOA ns h {self.serial} {self.refresh} 600 86400 60\n"
                 "@ 3600 IN NS ns"]
        lines += [f"{owner} {ttl} IN {rdtype} {rdata}" for (owner, rdtype), (ttl, all_rdata) in self.sets.items()
                  for rdata in all_rdata]
        return "\n".join(lines) + "\n"

    def _rdata(self, rdtype):
        number = self.dice.randrange(1, 250)
        return {"A": f"192.0.2.{number}", "AAAA": f"2001:db8::{number:x}", "TXT": f'"{number} of many"',
                "MX": f"{number} ns.{self.origin}."}[rdtype]

    def _owner(self):
        host = f"h{self.dice.randrange(90)}"
        return self.dice.choice([host, host, f"a.b.{host}", f"*.{host}", f"deep.empty.names.{host}"])

    def change(self):
        """The next version. Returns the keys of what has changed, one at least."""
        before = dict(self.sets)
        while before == self.sets:
            for _ in range(self.dice.randrange(1, 8)):
                self._change_one()
        self.serial += 1
        return sorted(key for key in before.keys() | self.sets.keys() if before.get(key) != self.sets.get(key))

    def _change_one(self):
        key = self._owner(), self.dice.choice(TYPES)
        ttl, rdata = self.sets.get(key, (300, []))
        what = self.dice.randrange(5)
        if what == 0:
            self.sets.pop(key, None)
        elif what == 1 and rdata:
            self.sets[key] = self.dice.choice([60, 600, 1200]), rdata
        elif what == 2 and len(rdata) > 1:
            self.sets[key] = ttl, rdata[1:]
        else:
            self.sets[key] = ttl, sorted({*rdata, self._rdata(key[1])})


class Primary(NameServer):
    """One zone, that of `history`."""

    def __init__(self, folder, history, name):
        super().__init__(folder, name)
        self.history = history
        self.zones = [history.origin]
        self.write("zone", history.text())

    def change(self):
        changed = self.history.change()
        self.take(changed)
        wait_for(lambda: self.serial(self.history.origin) == self.history.serial,
                 f"{self.name} to serve serial {self.history.serial}")

    def take(self, changed):
        """Knot and BIND: RFC 2136."""
        update = dns.update.UpdateMessage(self.history.origin)
        for owner, rdtype in changed:
            update.delete(owner, rdtype)
            ttl, all_rdata = self.history.sets.get((owner, rdtype), (0, []))
            for rdata in all_rdata:
                update.add(owner, ttl, rdtype, rdata)
        reply = dns.query.tcp(update, self.address, port=self.port, timeout=20)
        assert reply.rcode() == dns.rcode.NOERROR, reply

    def canonical(self):
        """The zone as it gives it, in the form of named-compilezone."""
        told = subprocess.run(["dig", f"@{self.address}", "-p", str(self.port), self.history.origin, "AXFR", "+onesoa",
                               "+noall", "+answer"], capture_output=True, text=True, timeout=20, check=True).stdout
        return canonical(self, told)


def canonical(server, text):
    path, to = server.write("compared", text), server.path("compared.canonical")
    origin = server.zones[0]
    subprocess.run(["named-compilezone", "-q", "-i", "none", "-s", "full", "-o", to, origin, path], check=True,
                   timeout=20, stdout=subprocess.DEVNULL)
    with open(to) as file:
        return file.read()


class NsdPrimary(Primary):
    """Differences of zone files. Those of NSD 4.6 sometimes add what was there, which its later versions mend."""

    def __init__(self, folder, history):
        super().__init__(folder, history, "nsd-" + history.origin)
        self.inner = Nsd(self.folder, {history.origin: history.text()}, where=self.where)
        with open(self.inner.conf) as file:
            text = file.read().replace("    provide-xfr: ::1 NOKEY\n", "    store-ixfr: yes\n    create-ixfr: yes\n"
                                       "    ixfr-number: 9\n    ixfr-size: 1000000\n")
        self.inner.write("nsd.conf", text)

    def start(self):
        self.inner.start()
        return self

    def serial(self, zone):
        return self.inner.serial(zone)

    def take(self, changed):
        self.inner.write_zone(self.history.origin, self.history.text())
        self.inner.reload()

    def stop(self, timeout=15):
        return self.inner.stop(timeout)


class NsdSecondary(Primary):
    """Between a hidden BIND and us: it passes on the differences that it got."""

    def __init__(self, folder, history):
        super().__init__(folder, history, "nsdsecondary-" + history.origin)
        notify = f"notify explicit; also-notify {{ 127.0.0.1 port {self.port}; }};"
        self.hidden = BindPrimary(self.folder, history, notify)
        self.inner = Nsd(self.folder, {history.origin: history.text()}, where=self.where)
        with open(self.inner.conf) as file:
            text = file.read().replace("    provide-xfr: ::1 NOKEY\n", f"""    store-ixfr: yes
    request-xfr: 127.0.0.1@{self.hidden.port} NOKEY
    allow-notify: 127.0.0.1 NOKEY
    max-refresh-time: 1
""")
        self.inner.write("nsd.conf", text)

    def start(self):
        self.hidden.start()
        self.inner.start()
        return self

    def take(self, changed):
        self.hidden.take(changed)

    def stop(self, timeout=15):
        self.hidden.stop(timeout)
        return self.inner.stop(timeout)


class KnotPrimary(Primary):
    def __init__(self, folder, history):
        super().__init__(folder, history, "knot-" + history.origin)
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
    journal-db-max-size: 20M
acl:
  - id: all
    address: 127.0.0.1
    action: [transfer, update]
zone:
  - domain: {history.origin}
    storage: {self.folder}
    file: zone
    zonefile-sync: -1
    acl: all
""")

    def start(self):
        self.spawn(["knotd", "-c", self.conf])
        self.wait_serving()
        return self


class BindPrimary(Primary):
    def __init__(self, folder, history, options="notify no;"):
        super().__init__(folder, history, "bind-" + history.origin)
        self.conf = self.write("named.conf", f"""options {{
    directory "{self.folder}";
    listen-on port {self.port} {{ 127.0.0.1; }};
    listen-on-v6 {{ none; }};
    pid-file none;
    session-keyfile none;
    managed-keys-directory "{self.folder}";
    allow-transfer {{ any; }};
    recursion no;
    notify-delay 0;
    startup-notify-rate 1000;
    notify-rate 1000;
    dnssec-validation no;
    empty-zones-enable no;
    {options}
}};
controls {{ }};
zone "{history.origin}" {{ type primary; file "zone"; allow-update {{ any; }}; }};
""")

    def start(self):
        self.spawn(["named", "-g", "-n", "1", "-c", self.conf])
        self.wait_serving()
        return self


class PowerDnsPrimary(Primary):
    """It has no differences of its own: it replies to IXFR with the whole zone."""

    def __init__(self, folder, history):
        super().__init__(folder, history, "pdns-" + history.origin)
        self.write("pdns.conf", f"""launch=gsqlite3
gsqlite3-database={self.path("db")}
gsqlite3-pragma-synchronous=0
local-address=127.0.0.1
local-port={self.port}
socket-dir={self.folder}
primary=yes
allow-axfr-ips=127.0.0.0/8
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
zone-cache-refresh-interval=0
guardian=no
setuid=
setgid=
""")
        with open(SCHEMA) as schema:
            subprocess.run(["sqlite3", self.path("db")], stdin=schema, check=True)
        self._load()

    def _load(self):
        subprocess.run(["pdnsutil", "--config-dir", self.folder, "load-zone", self.history.origin, self.path("zone")],
                       check=True, timeout=20, capture_output=True)

    def start(self):
        self.spawn(["pdns_server", "--config-dir=" + self.folder, "--daemon=no", "--disable-syslog"])
        self.wait_serving()
        return self

    def take(self, changed):
        self.write("zone", self.history.text())
        self._load()


PRIMARIES = {"nsd": NsdPrimary, "nsdsecondary": NsdSecondary, "knot": KnotPrimary, "bind": BindPrimary,
             "powerdns": PowerDnsPrimary}
