# SPDX-License-Identifier: ISC
"""
peers - whom the bench compares with: the limits, dnsdist, and NSD, Knot and BIND as secondaries.

As primaries over zone files they are those of tests/system/references.py. Zones of a secondary are
named by their origins alone.
"""
import os
import signal
import subprocess

import references
from measure import BENCHES, RECORDS
from servers import NameServer, free_port


class Limit(NameServer):
    """echo, or relay before `backend`; so many processes of it."""

    def __init__(self, folder, name, backend=None, address="127.0.0.1", count=1):
        super().__init__(folder, name, (address, free_port(address)))
        self.command = [os.path.join(BENCHES, name), f"{self.address}:{self.port}"]
        self.command += [f"127.0.0.1:{backend.port}"] if backend else []
        self.command += [str(count)]

    def start(self):
        self.spawn(self.command)


class Dnsdist(NameServer):
    """As a proxy and nothing else: no cache, no checks that count, one thread that receives."""

    def __init__(self, folder, backend):
        super().__init__(folder, "dnsdist")
        self.conf = self.write("dnsdist.conf", f"""setLocal("127.0.0.1:{self.port}")
newServer{{address="127.0.0.1:{backend.port}", healthCheckMode="up", sockets=1}}
setMaxUDPOutstanding(65535)
setMaxTCPClientThreads(1)
setMaxTCPConnectionsPerClient(0)
setMaxTCPQueuedConnections(0)
setTCPRecvTimeout(600)
setSecurityPollSuffix("")
""")

    def start(self):
        self.spawn(["dnsdist", "-C", self.conf, "--supervised", "--disable-syslog"])


class Source(NameServer):
    """The primary of the big zone: it costs little, and all get the same bytes at the same pace."""

    def __init__(self, folder, records=RECORDS, zones=("example.com.",)):
        super().__init__(folder, "source")
        self.zones = list(zones)
        self.serial_now = 1
        self.command = [os.path.join(BENCHES, "source"), str(self.port), str(records)]

    def start(self):
        self.spawn(self.command)
        self.wait_serving()
        return self

    def change(self):
        self.process.send_signal(signal.SIGUSR1)
        self.serial_now += 1
        return self.serial_now


class NsdSecondary(references.Nsd):
    def __init__(self, folder, origins, primary):
        super().__init__(folder, [])
        self.zones = list(origins)
        with open(self.conf) as file:
            text = file.read().replace("control-enable: no", f'control-enable: yes\n    control-interface: "{self.path("c")}"')
        self.head = text.replace("remote-control:", "    xfrd-reload-timeout: 0\nremote-control:") + f"""pattern:
    name: secondary
    zonefile: "%s.zone"
    request-xfr: 127.0.0.1@{primary.port} NOKEY
    allow-notify: 127.0.0.1 NOKEY
"""
        self.configure(origins)

    def configure(self, origins):
        entries = "".join(f'zone:\n    name: "{origin}"\n    include-pattern: secondary\n' for origin in origins)
        self.write("nsd.conf", self.head + entries)

    def control(self, *words):
        subprocess.run(["nsd-control", "-c", self.conf, *words], check=True, capture_output=True)

    def reload(self):
        self.control("reconfig")

    def save(self):
        """It writes zone files once an hour, or when told."""
        self.control("write")


class KnotSecondary(references.Knot):
    def __init__(self, folder, origins, primary):
        super().__init__(folder, [])
        self.zones = list(origins)
        with open(self.conf) as file:
            text = file.read()
        text = text.replace("acl:\n  - id", f"remote:\n  - id: primary\n    address: 127.0.0.1@{primary.port}\nacl:\n  - id", 1)
        text = text.replace("    action: transfer\n", "    action: [transfer, notify]\n")
        text = text.replace("    journal-content: none\n    zonefile-sync: -1\n", "    master: primary\n    zonefile-sync: 0\n")
        self.head = text.replace("    semantic-checks: soft\n", "    semantic-checks: off\n")
        self.configure(origins)

    def configure(self, origins):
        entries = "".join(f"  - domain: {origin}\n    file: {origin}zone\n" for origin in origins)
        self.write("knot.conf", self.head + entries)

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def save(self):
        """It has, after each transfer."""


class BindSecondary(references.Bind):
    def __init__(self, folder, origins, primary):
        super().__init__(folder, [])
        self.zones = list(origins)
        with open(self.conf, "a") as file:
            file.writelines(f'zone "{origin}" {{ type secondary; file "{origin}raw"; allow-notify {{ 127.0.0.1; }};\n'
                            f"    primaries {{ 127.0.0.1 port {primary.port}; }}; }};\n" for origin in origins)


SECONDARIES = {"nsd": NsdSecondary, "knot": KnotSecondary, "bind": BindSecondary}
