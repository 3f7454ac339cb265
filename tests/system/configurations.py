# SPDX-License-Identifier: ISC
"""configurations - configuration files for the system tests, as an operator would write them."""

HEAD = """listen    = { "{listen}" }
workers   = 2
control   = "{control}"
state-dir = "{state}"
"""


def redis(server, prefix="understudy", more=""):
    return f'redis {{ address = "unix:{server.socket}"  prefix = "{prefix}"  {more} }}\n'


def backend(name, where, tier=0, primary=False, weight=1):
    address = f"[{where[0]}]:{where[1]}" if ":" in where[0] else f"{where[0]}:{where[1]}"
    return (f'    backend "{name}" {{ address = "{address}"  tier = {tier}  weight = {weight}'
            f'{"  primary = true" if primary else ""} }}\n')


def mirror(tier=0):
    return f"    mirror {{ tier = {tier} }}\n"


def zone(name, pool="main"):
    return f'zone "{name}" {{ pool = "{pool}" }}\n'


def pool_of(targets, store=None, zones=("example.com",), head=HEAD, policy=None, health="", redis_more=""):
    """One pool with these targets, for all zones."""
    text = head
    if store:
        text += redis(store, more=redis_more)
    text += 'pool "main" {\n'
    if policy:
        text += f'    policy = "{policy}"\n'
    text += targets + health + "}\n"
    return text + "".join(zone(name) for name in zones)


def failover(primary, spare=None, store=None, **options):
    """The usual case: the primary in front, then a backend and the mirror."""
    second = backend("ns2", spare, tier=1) if spare else ""
    return pool_of(backend("ns1", primary, primary=True) + second + mirror(1), store, **options)


def active_active(primary, other, store=None, **options):
    """Two servers share the work, the second one most of it; the mirror waits."""
    return pool_of(backend("ns1", primary, primary=True) + backend("ns2", other, weight=3) + mirror(1),
                   store, **options)


def all_in_front(primary, other, store=None, **options):
    """The mirror works like any server."""
    return pool_of(backend("ns1", primary, primary=True) + backend("ns2", other) + mirror(0), store, **options)


def mirror_first(primary, other, store=None, **options):
    """The primary is shielded: it is there for what the mirror does not have."""
    return pool_of(mirror(0) + backend("ns1", primary, tier=1, primary=True) + backend("ns2", other, tier=2),
                   store, **options)


def forward_only(where, zones=("example.com",), head=HEAD):
    """No mirror at all: everything that is answered came from the backend."""
    return head + 'pool "main" {\n' + backend("ns1", where) + "}\n" + "".join(zone(name) for name in zones)
