# SPDX-License-Identifier: ISC
"""references - NSD, Knot and BIND over the same zone files, set up so that they can be compared.

Minimal answers, 1232 octets by UDP, no rate limits, no checks that refuse what a zone may hold.
Zones are (origin as text, path of the file).
"""
import re
import subprocess

import zonegen
from servers import NameServer


class Nsd(NameServer):
    def __init__(self, folder, zones):
        super().__init__(folder, "nsd")
        self.zones = [origin for origin, _ in zones]
        entries = "".join(f'zone:\n    name: "{origin}"\n    zonefile: "{path}"\n    provide-xfr: 127.0.0.1 NOKEY\n'
                          for origin, path in zones)
        self.conf = self.write("nsd.conf", f"""server:
    ip-address: 127.0.0.1@{self.port}
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
    ipv4-edns-size: 1232
    minimal-responses: yes
    refuse-any: no
remote-control:
    control-enable: no
{entries}""")

    def start(self):
        self.spawn(["nsd", "-d", "-c", self.conf])


class Knot(NameServer):
    def __init__(self, folder, zones):
        super().__init__(folder, "knot")
        self.zones = [origin for origin, _ in zones]
        entries = "".join(f"  - domain: {origin}\n    file: {path}\n" for origin, path in zones)
        self.conf = self.write("knot.conf", f"""server:
    listen: 127.0.0.1@{self.port}
    rundir: {self.folder}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
    udp-max-payload: 1232
    tcp-max-clients: 500
log:
  - target: stdout
    any: info
database:
    storage: {self.folder}
acl:
  - id: all
    address: 127.0.0.1
    action: transfer
template:
  - id: default
    storage: {self.folder}
    semantic-checks: soft
    journal-content: none
    zonefile-sync: -1
    acl: all
zone:
{entries}""")

    def start(self):
        self.spawn(["knotd", "-c", self.conf])


class Bind(NameServer):
    def __init__(self, folder, zones):
        super().__init__(folder, "bind")
        self.zones = [origin for origin, _ in zones]
        entries = "".join(f'zone "{origin}" {{ type primary; file "{path}"; }};\n'
                          for origin, path in zones)
        self.conf = self.write("named.conf", f"""options {{
    directory "{self.folder}";
    listen-on port {self.port} {{ 127.0.0.1; }};
    listen-on-v6 {{ none; }};
    pid-file none;
    session-keyfile none;
    managed-keys-directory "{self.folder}";
    allow-transfer {{ any; }};
    recursion no;
    notify no;
    dnssec-validation no;
    empty-zones-enable no;
    minimal-responses yes;
    minimal-any no;
    max-udp-size 1232;
    edns-udp-size 1232;
    nocookie-udp-size 1232;
    tcp-clients 500;
    max-records-per-type 0;
    max-types-per-name 0;
    check-names primary ignore;
    check-names secondary ignore;
    check-integrity no;
    check-mx ignore;
    check-mx-cname ignore;
    check-srv-cname ignore;
    check-dup-records ignore;
    check-sibling no;
    check-wildcard no;
    check-spf ignore;
    zero-no-soa-ttl no;
    no-case-compress {{ any; }};
}};
controls {{ }};
{entries}""")

    def start(self):
        self.spawn(["named", "-g", "-n", "1", "-c", self.conf])


def one_a_line(origin, path, to):
    """A zone file as people write it, into one record a line."""
    run(["named-compilezone", "-q", "-i", "none", "-k", "ignore", "-n", "ignore", "-m", "ignore", "-M", "ignore",
         "-S", "ignore", "-W", "ignore", "-r", "ignore", "-s", "full", "-o", to, origin, path])
    with open(to) as file:
        return plain_names(file.read())


def plain_names(text):
    """
    All names with escapes that everybody understands: NSD 4.6 reads a dot after two backslashes
    as escaped, Knot wants backslashes before most of what is not a letter or digit.
    """
    def plain(match):
        return match[0] if match[0][0] in '";' else zonegen.text(zonegen.parse(match[0]))
    return re.sub(r'"(?:[^"\\]|\\.)*"|^;.*$|(?:[^\s"\\]|\\.)*\.(?=\s)', plain, text, flags=re.MULTILINE)


KEYGEN = ["dnssec-keygen", "-q", "-n", "ZONE"]


def sign(folder, origin, path, algorithms=("ED25519",), denial=(), other_denial=()):
    """
    Signs a zone file; returns the path of the signed one. `denial`: options for NSEC3;
    `other_denial`: those of a second chain beside it, as there is one while a salt is changed.
    """
    keys = [run(KEYGEN + ["-K", folder, "-a", algorithm] + kind + [origin]).strip()
            for algorithm in algorithms for kind in ([], ["-f", "KSK"])]
    signed = sign_once(folder, origin, path, denial, path + ".signed")
    if other_denial:
        other = sign_once(folder, origin, path, other_denial, path + ".other")
        add_chain(folder, origin, signed, other, keys)
    return signed


def sign_once(folder, origin, path, denial, to):
    run(["dnssec-signzone", "-q", "-P", "-S", "-O", "full", "-K", folder, "-d", folder, "-o", origin, *denial,
         "-f", to, path])
    return to


def add_chain(folder, origin, signed, other, keys):
    """
    The NSEC3 of another signing of the same zone, and at the apex the parameters of both, signed
    together: by ldns, in a zone of little else, since dnssec-signzone keeps those of one chain.
    """
    own, more = (read_records(path) for path in (signed, other))
    params = [line for rdtype, line in own + more if rdtype == "NSEC3PARAM"]
    small = signed + ".params"
    with open(small, "w") as file:
        file.writelines([line for rdtype, line in own if rdtype == "SOA"] + params)
    run(["ldns-signzone", "-A", "-o", origin, "-f", small + ".signed", small, *(f"{folder}/{key}" for key in keys)])
    with open(signed, "w") as file:
        file.writelines(line for rdtype, line in own if rdtype not in ("NSEC3PARAM", "RRSIG NSEC3PARAM"))
        file.writelines(line for rdtype, line in more if rdtype in ("NSEC3", "RRSIG NSEC3"))
        file.writelines(params)
        file.writelines(line for rdtype, line in read_records(small + ".signed") if rdtype == "RRSIG NSEC3PARAM")


def read_records(path):
    """[(type, line)] of a file with one record a line; a signature's type with the one that it covers."""
    found = []
    with open(path) as file:
        for line in file:
            fields = line.split()
            if not line.startswith(";") and len(fields) > 4:
                found.append((" ".join(fields[3:5]) if fields[3] == "RRSIG" else fields[3], line))
    return found


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout
