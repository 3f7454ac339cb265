# SPDX-License-Identifier: ISC
"""configurations - configuration files for the system tests, as an operator would write them."""

HEAD = """listen    = { "{listen}" }
workers   = 2
control   = "{control}"
state-dir = "{state}"
"""


def redis(server, prefix="understudy"):
    return f'redis {{ address = "unix:{server.socket}"  prefix = "{prefix}" }}\n'


def backend(name, where, tier=0, primary=False):
    address = f"[{where[0]}]:{where[1]}" if ":" in where[0] else f"{where[0]}:{where[1]}"
    return (f'    backend "{name}" {{ address = "{address}"  tier = {tier}'
            f'{"  primary = true" if primary else ""} }}\n')


def zone(name, pool="main"):
    return f'zone "{name}" {{ pool = "{pool}" }}\n'


def failover(primary, spare=None, store=None, zones=("example.com",), head=HEAD, policy=None, health=""):
    """The usual case: the primary in front, then a backend and the mirror."""
    text = head
    if store:
        text += redis(store)
    text += 'pool "main" {\n'
    if policy:
        text += f'    policy = "{policy}"\n'
    text += backend("ns1", primary, primary=True)
    if spare:
        text += backend("ns2", spare, tier=1)
    text += "    mirror { tier = 1 }\n"
    text += health + "}\n"
    return text + "".join(zone(name) for name in zones)


def forward_only(where, zones=("example.com",), head=HEAD):
    """No mirror at all: everything that is answered came from the backend."""
    return head + 'pool "main" {\n' + backend("ns1", where) + "}\n" + "".join(zone(name) for name in zones)
