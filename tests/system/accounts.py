# SPDX-License-Identifier: ISC
"""The accounts in `understudyctl stats` (proxy/stats.h): each query has one end, each rescue one reason."""
from servers import find_key

QUERIES = ("queries_udp", "queries_tcp")
ENDS = ("answers_primary", "answers_backend", "answers_mirror", "answers_refused", "answers_error",
        "answers_servfail", "dropped_malformed")
RESCUES = tuple("rescued_" + reason for reason in (
    "silent", "unreachable", "servfail", "refused", "notauth", "lame", "denied"))


def unbalanced(front):
    """What does not add up; None when all does. While queries are under way it never may."""
    stats = front.json("stats")
    queries, ends, rescues = ({name: find_key(stats, name) for name in names} for names in (QUERIES, ENDS, RESCUES))
    if sum(queries.values()) != sum(ends.values()):
        return queries | ends
    if find_key(stats, "rescued") != sum(rescues.values()):
        return rescues | {"rescued": find_key(stats, "rescued")}
    return None


def assert_accounts_balance(front):
    wrong = unbalanced(front)
    assert wrong is None, wrong
