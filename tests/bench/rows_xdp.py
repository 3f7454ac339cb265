# SPDX-License-Identifier: ISC
"""rows_xdp - answers from the mirror over a cable: by the kernel's sockets, and past them."""
import contextlib

import references
from measure import HOSTS, compare
from network import Cable
from servers import free_port
from stages import HEAD, nsd_of


class CableKnot(references.Knot):
    """Knot at the end of a cable, by sockets; or by AF_XDP alone."""

    def __init__(self, folder, zones, n, is_xdp=False):
        super().__init__(folder, zones)
        self.where = self.address, self.port = Cable.server(n=n), free_port(Cable.server(n=n))
        with open(self.conf) as file:
            text = file.read()
        listen = text.split("server:\n")[1].split("\n")[0]
        text = text.replace(listen, f"    listen: {self.address}@{self.port}" if not is_xdp else "")
        if is_xdp:
            text = text.replace("log:\n", f"xdp:\n    listen: {Cable.name(n)}@{self.port}\nlog:\n")
        self.conf = self.write("knot.conf", text)


def xdp(world):
    """CPU for each query at the end of a veth cable; the client's half of it is in all of them."""
    cable = Cable(count=2)
    try:
        nsd = nsd_of(world)
        head = HEAD.replace('"{listen}"', '"{listen}", "127.0.0.1:{port}"')
        past = head + f'listen-xdp = {{ "{Cable.name()}" }}\n'
        contenders = {"echo": world.limit("echo", address=Cable.server()),
                      "understudy": world.mirror(nsd, head=head, name="by-sockets", address=Cable.server()),
                      "understudy-xdp": world.mirror(nsd, head=past, name="by-xdp", address=Cable.server())}
        assert contenders["understudy-xdp"].events("xdp_attached"), contenders["understudy-xdp"].log_text()
        for name, is_xdp in (("knot", False), ("knot-xdp", True)):
            knot = contenders[name] = world.stage.add(CableKnot(world.new_folder(), world.zones, 1, is_xdp))
            knot.start()
            with cable.client():
                knot.wait_serving(60)
        found = compare(f"over a cable, answered from the mirror: A of {HOSTS} names", contenders, world.positive, "echo",
                        at=cable.client)
        assert contenders["understudy-xdp"].stat("queries_xdp") > 0
        return found
    finally:
        with contextlib.suppress(AssertionError):
            world.stage.close()
        cable.close()


ROWS = {"xdp": xdp}
