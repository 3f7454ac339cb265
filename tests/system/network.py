# SPDX-License-Identifier: ISC
"""network - two machines joined by a cable: network namespaces and a veth pair.

The test's own process is the server's machine, in a namespace of its own; `client()` is the other one.
"""
import contextlib
import ctypes
import os
import subprocess

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def call(function, *arguments):
    if function(*arguments) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def own_namespace():
    """Where this thread is, as a descriptor."""
    return os.open(f"/proc/self/task/{os.getpid()}/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def ip(*words, check=True):
    return subprocess.run(["ip", *words], check=check, capture_output=True, text=True).stdout


class Cable:
    """Or several: the n-th is `usN` at both ends, 10.53.N.1 and fd53:N::1 here, .2 and ::2 there."""

    def __init__(self, queues=1, count=1):
        self.before = own_namespace()
        call(libc.unshare, CLONE_NEWNET)
        self.there = own_namespace()
        ip("link", "set", "lo", "up")
        call(libc.unshare, CLONE_NEWNET)
        self.here = own_namespace()
        ip("link", "set", "lo", "up")
        many = ["numrxqueues", str(queues), "numtxqueues", str(queues)]
        for n in range(count):
            name = self.name(n)
            ip("link", "add", name, *many, "type", "veth", "peer", "name", name, *many,
               "netns", f"/proc/{os.getpid()}/fd/{self.there}")
            self.bring_up(n, 1)
            with self.client():
                self.bring_up(n, 2)

    @staticmethod
    def name(n=0):
        return f"us{n}"

    @staticmethod
    def server(family=4, n=0):
        return f"10.53.{n}.1" if family == 4 else f"fd53:{n}::1"

    def bring_up(self, n, host):
        name = self.name(n)
        ip("address", "add", f"10.53.{n}.{host}/24", "dev", name)
        ip("address", "add", f"fd53:{n}::{host}/64", "dev", name, "nodad")
        ip("link", "set", name, "up")

    @contextlib.contextmanager
    def client(self):
        """Sockets and processes that are made inside are on the client's machine."""
        call(libc.setns, self.there, CLONE_NEWNET)
        try:
            yield
        finally:
            call(libc.setns, self.here, CLONE_NEWNET)

    def close(self):
        call(libc.setns, self.before, CLONE_NEWNET)
        for descriptor in (self.here, self.there, self.before):
            os.close(descriptor)
