# SPDX-License-Identifier: ISC
"""The client of the other tests: what it counts as slow, and what it holds against nobody."""
import time

import pytest

from servers import wait_for

FROZEN_S = 0.2


@pytest.fixture
def client(stage, example_zone, questions):
    nsd = stage.nsd({"example.com": example_zone}).start()
    load = stage.load(nsd.where, nsd.where, questions, rate=500).start()
    load.nsd = nsd
    load.wait_more(100)
    return load


def let_pass(seconds):
    end = time.monotonic() + seconds
    wait_for(lambda: time.monotonic() > end, f"{seconds} s to pass", interval=0.002)


def freeze(server, seconds=FROZEN_S):
    server.freeze()
    let_pass(seconds)
    server.thaw()


def test_a_server_that_stands_still_is_slow(client):
    freeze(client.nsd)
    client.wait_more(200)
    result = client.finish()
    assert result["slowest_ms"] > 0.9 * FROZEN_S * 1000 - result["held_ms"]


def test_what_stands_still_with_the_client_is_told_apart(client):
    freeze(client)
    client.wait_more(200)
    result = client.finish()
    assert result["held_ms"] > 0.9 * FROZEN_S * 1000 - 20
    assert max(took for _, took in result["held"]) > 0.9 * FROZEN_S * 1000 - 20


def test_each_time_that_it_stood_still_is_told(client):
    """Of many the first forty were, so a verdict after these was held against the server."""
    for _ in range(60):
        freeze(client, 0.025)
        let_pass(0.015)
    assert len(client.finish()["held"]) > 40
