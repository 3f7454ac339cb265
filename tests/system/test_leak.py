# SPDX-License-Identifier: ISC
"""A thousand zone swaps under questions: memory stays flat, no answer is torn."""
import contextlib
import ctypes
import struct

import dns.exception
import pytest

import configurations
from fake import FakeBackend, is_probe, question_end
from servers import IS_SANITIZED, ask, wait_for
from test_transfer import record, reply, soa

ZONES = 50
ROUNDS = 4 if IS_SANITIZED else 20      # a zone is transferred once a second at most
HOSTS = 100


class ManyZones(FakeBackend):
    """Serves any zone asked for. Every record carries the serial: a torn answer would show."""

    def __init__(self):
        super().__init__(self.speak)
        self.serial = 1

    def _replies(self, message, is_tcp):
        if is_probe(message):
            origin = message[12:question_end(message) - 4]
            return [reply(message, [soa(self.serial, origin)])]
        return super()._replies(message, is_tcp)

    def speak(self, message, is_tcp):
        origin, serial = message[12:question_end(message) - 4], self.serial
        name_server = record(origin, 2, b"\2ns" + origin)
        hosts = [record(b"\4%04d" % i + origin, 1, struct.pack("!I", serial)) for i in range(HOSTS)]
        shared = [record(b"\3all" + origin, 1, struct.pack("!2H", i, serial))
                  for i in range(8)]
        return [reply(message, [soa(serial, origin), name_server, *hosts, *shared, soa(serial, origin)])]


def serials_in(answer):
    return {rdata.address.split(".", 2)[2] for rdata in answer.answer[0]}


@contextlib.contextmanager
def small_pages(set_thp_disable=41):
    """What is started meanwhile gets no huge pages (prctl(2)): a step of its heap would be 2 MB in what it has."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    assert prctl(set_thp_disable, 1, 0, 0, 0) == 0, ctypes.get_errno()
    try:
        yield
    finally:
        prctl(set_thp_disable, 0, 0, 0, 0)


@pytest.mark.slow
@pytest.mark.threads
@pytest.mark.parametrize("with_redis", [False, True], ids=["no redis", "redis"])
def test_a_thousand_zone_swaps_leave_memory_flat(stage, with_redis):
    primary = stage.add(ManyZones())
    redis = stage.redis().start() if with_redis else None
    zones = [f"z{i:02d}.example.com" for i in range(ZONES)]
    with small_pages():
        front = stage.understudy(configurations.failover(primary.where, store=redis, zones=zones)).start()
    wait_for(lambda: len(front.events("zone_transferred")) >= ZONES, "all zones", 60)
    front.ctl("failover", "main", "on")
    sizes = []
    for serial in range(2, ROUNDS + 2):
        front.lines.clear()
        primary.serial = serial
        for zone in zones:
            assert front.ctl("retransfer", zone)[0] == 0

        def is_swapped():
            try:
                torn = serials_in(ask(front.where, f"all.{zones[serial % ZONES]}", timeout=2))
            except dns.exception.Timeout:
                return False
            assert len(torn) == 1, f"an answer out of two generations: {torn}"
            there = {event["zone"] for _, event in front.events("zone_transferred", serial=str(serial))}
            return len(there) == ZONES

        wait_for(is_swapped, f"all zones at serial {serial}", 60)
        sizes.append(front.resident_kb())
    early, late = sizes[len(sizes) // 2], sizes[-1]     # by then the heap has what swaps need at a time
    if not IS_SANITIZED:
        assert late < early * 1.05 + 2048, f"RSS grew from {early} kB to {late} kB: {sizes}"
