# SPDX-License-Identifier: ISC
"""All faults one after the other, without a pause to recover in, on one Understudy; no times."""
import pytest

import configurations
import faults
from accounts import assert_accounts_balance
from faults import FAULTS, Faulty
from servers import IS_SANITIZED
from test_faults import HEALTH, ZONES, assert_events_in_order

pytestmark = pytest.mark.threads

RATE = 300 if IS_SANITIZED else 1000
# What is only as true as the primary; see test_faults.py.
LIES = ("empty answers, same serial", "NXDOMAIN, same serial")


def test_one_fault_follows_on_another(stage, example_zone, questions):
    nsd = stage.nsd({"example.com": example_zone, "example.org": faults.ORG_ZONE}).start()
    ns1 = stage.add(Faulty(stage.folder, nsd, "ns1")).start()
    front = stage.understudy(configurations.failover(ns1.where, nsd.where, zones=ZONES, health=HEALTH)).start()
    for zone in ZONES:
        front.wait_event("zone_transferred", zone=zone + ".")
    load = stage.load(front.where, nsd.where, faults.questions_for_both(questions), rate=RATE, options=("-F",)).start()
    for name, fault in FAULTS.items():
        if name in LIES:
            continue
        fault.strike(ns1)
        load.wait_more(RATE // 2)
        result = load.progress_now()
        assert result["lost"] + result["wrong"] + result["error_rcodes"] == 0, (name, result)
        fault.mend(ns1)
    result = load.finish()
    for number in ("lost", "wrong", "error_rcodes", "duplicates", "strangers"):
        assert result[number] == 0, (number, result[number], result["troubles"][:5])
    assert result["answered"] == result["sent"]
    assert_events_in_order(front)
    assert_accounts_balance(front)
