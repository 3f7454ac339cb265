# SPDX-License-Identifier: ISC
"""A thousand zone swaps under questions: memory stays flat, no answer is torn."""
import struct

import pytest

import configurations
from servers import IS_SANITIZED, ask, wait_for
from test_transfer import NS, ORIGIN, Primary, record, reply, soa

SWAPS = 100 if IS_SANITIZED else 1000
WARM = SWAPS // 5
HOSTS = 300


def version(serial):
    """Every record carries the serial: an answer out of two generations would show."""
    hosts = [record(bytes([4]) + b"%04d" % i + ORIGIN, 1, struct.pack("!I", serial)) for i in range(HOSTS)]
    return [soa(serial), NS] + hosts + [soa(serial)]


@pytest.mark.slow
@pytest.mark.threads
@pytest.mark.parametrize("with_redis", [False, True], ids=["no redis", "redis"])
def test_a_thousand_zone_swaps_leave_memory_flat(stage, with_redis):
    primary = stage.add(Primary())
    primary.stream = lambda message: [reply(message, version(primary.serial))]
    redis = stage.redis().start() if with_redis else None
    front = stage.understudy(configurations.failover(primary.where, store=redis)).start()
    front.wait_event("zone_transferred", serial="1")
    front.ctl("failover", "main", "on")
    sizes = []
    for serial in range(2, SWAPS + 2):
        primary.serial = serial
        count = len(front.events("zone_transferred"))
        assert front.ctl("retransfer", "example.com")[0] == 0
        wait_for(lambda: len(front.events("zone_transferred")) > count, f"transfer of serial {serial}", 20,
                 interval=0.002)
        front.lines.clear()
        if serial % 50 == 0:
            answer = ask(front.where, "0007.example.com")
            assert answer.answer[0][0].address == ".".join(str(b) for b in struct.pack("!I", serial))
            sizes.append(front.resident_kb())
    early, late = sizes[len(sizes) // 5], sizes[-1]
    if not IS_SANITIZED:
        assert late < early * 1.10 + 2048, f"RSS grew from {early} kB to {late} kB: {sizes}"
