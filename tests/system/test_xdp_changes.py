# SPDX-License-Identifier: ISC
"""AF_XDP while the machine around it changes, and beside what else its interfaces are used for."""
import contextlib
import os
import re
import resource
import socket
import time

import dns.message

from network import Cable, ip
from servers import ANSWER_S, ask, try_ask, wait_for
from test_xdp import Act, cable, frame, pytestmark    # noqa: F401


FEW = 16    # descriptors; a worker polls fewer, which is all that it needs to go on


def test_missing_descriptors_are_no_missing_interface(stage, cable):
    """Who looks for the interface, and for addresses, needs a socket for it."""
    act = Act(stage, cable)
    act.attached()
    process, where = act.front.process.pid, act.where()
    before = resource.prlimit(process, resource.RLIMIT_NOFILE)
    assert len(os.listdir(f"/proc/{process}/fd")) > FEW
    start = time.monotonic()
    resource.prlimit(process, resource.RLIMIT_NOFILE, (FEW, before[1]))

    def has_looked_twice():
        with cable.client():
            assert ask(where, "www.x.test").answer
        return time.monotonic() - start > 4.5
    try:
        wait_for(has_looked_twice, "two looks")
    finally:
        resource.prlimit(process, resource.RLIMIT_NOFILE, before)
    assert not act.front.events("xdp_failed")
    with act.taken(1):
        assert act.ask("www.x.test").answer


def sleeps_of_workers(process):
    """How often each has gone to sleep, by its name."""
    found = {}
    for task in os.listdir(f"/proc/{process}/task"):
        with open(f"/proc/{process}/task/{task}/status") as status:
            words = status.read()
        name = re.search(r"Name:\s*(\S+)", words)[1]
        if name.startswith("worker-"):
            found[name] = int(re.search(r"\nvoluntary_ctxt_switches:\s*(\d+)", words)[1])
    return found


def test_interfaces_of_one_queue_are_shared_by_the_workers(stage):
    """The first worker got the first queue of each."""
    cable = Cable(count=4)
    try:
        act = Act(stage, cable, interfaces=", ".join(f'"{Cable.name(n)}"' for n in range(4)))
        wait_for(lambda: len(act.front.events("xdp_attached")) == 4, "all of them")
        woken = []
        for n in range(4):
            before = sleeps_of_workers(act.front.process.pid)
            with act.taken(40), cable.client():
                for _ in range(40):
                    assert ask((Cable.server(n=n), act.front.port), "www.x.test").answer
            after = sleeps_of_workers(act.front.process.pid)
            woken.append(max(after, key=lambda name: after[name] - before[name]))
        assert sorted(woken) == ["worker-0", "worker-0", "worker-1", "worker-1"]
    finally:
        stage.close()
        cable.close()


def test_driver_that_cannot_is_helped(stage, cable):
    """Of this cable: not with frames that are longer than a page."""
    for end in (contextlib.nullcontext(), cable.client()):
        with end:
            ip("link", "set", Cable.name(), "mtu", "9000")
    act = Act(stage, cable)
    assert act.attached()["mode"] == "generic"
    for family in (4, 6):
        with act.taken(1):
            assert act.ask("big.x.test", "TXT", family, use_edns=0, payload=1232).answer


def test_smaller_mtu_is_minded(stage, cable):
    """What does not fit is left to the kernel, which makes fragments."""
    act = Act(stage, cable)
    act.attached()
    question, where = ("big.x.test", "TXT"), act.where()
    with act.taken(1):
        assert act.ask(*question, use_edns=0, payload=1232).answer
    for end in (contextlib.nullcontext(), cable.client()):
        with end:
            ip("link", "set", Cable.name(), "mtu", "700")

    def is_answered():
        with cable.client():
            return try_ask(where, *question, use_edns=0, payload=1232, timeout=1)
    wait_for(is_answered, "the MTU to be seen")
    with act.taken(1):
        assert act.ask("www.x.test").answer


def test_interface_that_was_down_is_taken_again(stage, cable):
    act = Act(stage, cable)
    act.attached()
    for _ in range(3):
        ip("link", "set", Cable.name(), "down")
        ip("link", "set", Cable.name(), "up")
        wait_for(lambda: "LOWER_UP" in ip("link", "show", Cable.name()), "the cable")
        with act.taken(1):
            assert act.ask("www.x.test").answer


def test_interface_with_another_name_is_told_and_the_kernel_serves(stage, cable):
    act = Act(stage, cable)
    act.attached()
    ip("link", "set", Cable.name(), "down")
    ip("link", "set", Cable.name(), "name", "other0")
    ip("link", "set", "other0", "up")
    act.front.wait_event("xdp_failed", interface=Cable.name())
    with act.taken(0):
        assert act.ask("www.x.test").answer


def test_frame_to_all_stations_is_the_kernels(stage, cable):
    """Its answer would have come from the station of all."""
    act = Act(stage, cable)
    act.attached()
    with act.taken(0), cable.client(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client, \
            socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        client.bind(("10.53.0.2", 4000))
        client.settimeout(ANSWER_S)
        raw.bind((Cable.name(), 0))
        raw.send(frame(act, to=b"\xff" * 6))
        assert client.recv(4096)


def test_link_local_clients_of_a_bridge_are_answered(stage, cable):
    """By the kernel: forwarded answers left by the port of the bridge, where their addresses are not."""
    ip("link", "add", "br0", "type", "bridge")
    ip("link", "set", Cable.name(), "master", "br0")
    ip("link", "set", "br0", "up")
    ip("address", "add", "fe80::77/64", "dev", "br0", "nodad")
    act = Act(stage, cable, tier=1)
    act.attached()
    with cable.client():
        scope = socket.if_nametoindex(Cable.name())
        client = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    with client:
        client.settimeout(1)

        def is_answered():      # the bridge learns first, and the client gets its address
            try:
                client.sendto(dns.message.make_query("www.x.test", "A").to_wire(), ("fe80::77", act.front.port, 0, scope))
                return client.recv(4096)
            except OSError:
                return None
        with act.taken(0):
            assert wait_for(is_answered, "an answer")
