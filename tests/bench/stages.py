# SPDX-License-Identifier: ISC
"""stages - the zones and questions of the bench, and servers over them as rows want them."""
import contextlib
import os
import random
import shutil
import tempfile

import configurations
import dns.message
import dns.query
import references
from measure import HOSTS, MARK, QUESTIONS, SERVER_CPU, SIGNED_HOSTS, on_cpu
from peers import Limit
from servers import Stage
from signing import Signer

HEAD = configurations.HEAD.replace("workers   = 2", "workers   = 1")
MARKED = HEAD + f'nsid = "{MARK}"\n'
FLOODED = ("bench.test", "signed.test")


def plain_zone(hosts):
    head = "$ORIGIN bench.test.\n$TTL 3600\n@ SOA ns host 1 3600 600 604800 300\n@ NS ns\nns A 192.0.2.53\n"
    return head + "".join(f"h{i:06d} A 192.0.2.{i % 250 + 1}\n" for i in range(hosts))


class World:
    """What is needed is made when it is first asked for."""

    def __init__(self, folder):
        self.folder = folder
        self.stage = Stage(folder)
        self.random = random.Random(1)
        self.made = {}

    def once(self, name, make):
        if name not in self.made:
            self.made[name] = make()
        return self.made[name]

    @property
    def zones(self):
        """Both that are flooded, as (origin, path)."""
        return self.once("zones", lambda: [self.zone("bench.test.", plain_zone(HOSTS)),
                                           self.zone("signed.test.", signed_zone(self))])

    @property
    def positive(self):
        return self.questions("positive", lambda: f"h{self.random.randrange(HOSTS):06d}.bench.test. 1")

    @property
    def denied(self):
        return self.questions("denied", lambda: f"n{self.random.randrange(10**9)}.signed.test. 1 do")

    def zone(self, origin, text):
        path = os.path.join(self.folder, origin + "zone")
        with open(path, "w") as file:
            file.write(text)
        return origin, path

    def questions(self, name, make):
        path = os.path.join(self.folder, name + ".questions")
        if not os.path.exists(path):
            with open(path, "w") as file:
                file.write("".join(make() + "\n" for _ in range(QUESTIONS)))
        return path

    def new_folder(self):
        return tempfile.mkdtemp(dir=self.folder)

    @contextlib.contextmanager
    def playing(self, server):
        """Started inside; ended, and its folder gone, behind."""
        self.stage.add(server)
        try:
            yield server
        finally:
            self.stage.cast.remove(server)
            server.stop()
            shutil.rmtree(server.folder, ignore_errors=True)

    def reference(self, kind):
        server = self.stage.add(kind(self.folder, self.zones))
        server.start()
        server.wait_serving(60)
        return server

    def understudy(self, text, name, **options):
        server = self.stage.understudy(text, name=name, **options)
        server.start()
        return server

    def mirror(self, primary, zones=FLOODED, head=HEAD, name="understudy-mirror", **options):
        """It answers from the mirror: the primary is there for transfers."""
        targets = configurations.mirror(0) + configurations.backend("ns1", primary.where, tier=1, primary=True)
        text = configurations.pool_of(targets, zones=zones, head=head)
        server = self.understudy(text, name, **options)
        for zone in zones:
            server.wait_event("zone_transferred", zone=zone + ".", timeout=60)
        return server

    def proxy(self, backend, head=HEAD, name="understudy-proxy"):
        return self.understudy(configurations.forward_only(backend.where, zones=FLOODED, head=head), name)

    def limit(self, name, backend=None, address="127.0.0.1", count=1):
        server = self.stage.add(Limit(self.folder, name, backend, address, count))
        server.start()
        return server


def signed_zone(world):
    text = plain_zone(SIGNED_HOSTS).replace("bench.test", "signed.test")
    return Signer(os.path.join(world.folder, "keys")).sign("signed.test", text, {"iterations": 0}, life=(-3600, 30 * 86400)).text


def nsd_of(world):
    return world.reference(references.Nsd)


def start_secondary(server):
    """Pinned from its first instruction on. Understudy answers from the mirror as soon as that has a zone."""
    with on_cpu(SERVER_CPU):
        if hasattr(server, "ctl"):
            server.start(wait=False)
        else:
            server.start()
    if hasattr(server, "ctl"):
        while server.ctl("failover", "main", "on")[0] == 3:
            assert server.is_running(), server.log_text()


def notify(server, zone):
    message = dns.message.make_query(zone, "SOA")
    message.flags = 0
    message.set_opcode(4)
    dns.query.udp(message, server.where[0], port=server.where[1], timeout=5)
