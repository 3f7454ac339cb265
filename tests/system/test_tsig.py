# SPDX-License-Identifier: ISC
"""TSIG with each server and each algorithm; and where its secrets must never appear.

What may be wrong with a signature is in test_bad_transfers.py and test_tsig.c.
"""
import base64
import glob
import os
import re

import pytest

import configurations
import notifying
from servers import free_port, wait_for

ALGORITHMS = ("hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512")


def secret_of(algorithm):
    return base64.b64encode(f"the secret of {algorithm} is long enough for it, and no other is like it".encode()).decode()


KEYS = {f"{algorithm.replace('hmac-', '')}.example": (f"{algorithm}.key", algorithm, secret_of(algorithm))
        for algorithm in ALGORITHMS}


def zone_text(zone, serial=1, hosts=0):
    return f"$ORIGIN {zone}.\n$TTL 60\n@ SOA ns h {serial} 3600 600 86400 60\n@ NS ns\nns A 192.0.2.1\n" + \
        "".join(f"h{i} TXT \"{'x' * 200}\"\n" for i in range(hosts))


def configuration(where, secrets_inline=True):
    text = configurations.HEAD
    for zone, (name, algorithm, secret) in KEYS.items():
        given = f'secret = "{secret}"' if secrets_inline else f'secret-file = "{{folder}}/{name}.secret"'
        text += f'key "{name}" {{ algorithm = {algorithm}  {given} }}\n'
        text += f"""pool "{zone}" {{
    notify = "repeat"
    backend "ns1" {{ address = "{where[0]}:{where[1]}"  primary = true  key = "{name}" }}
    mirror {{ tier = 1 }}
    health {{ interval = 60s }}
}}
zone "{zone}" {{ pool = "{zone}"  allow-transfer = {{ "key {name}" }} }}
"""
    return text


@pytest.mark.parametrize("server", notifying.ALL)
def test_each_algorithm_with_each_server(stage, server):
    """The zone comes in several messages; NOTIFY is signed; keys come from the file, or from files."""
    listen = ("127.0.0.1", free_port())
    texts = {zone: zone_text(zone, hosts=400) for zone in KEYS}
    primary = stage.add(notifying.ALL[server](stage.folder, texts, listen, KEYS)).start()
    inline = server in ("nsd", "bind")
    front = stage.understudy(configuration(primary.where, inline), port=listen[1])
    for name, _, secret in KEYS.values():
        front.write(f"{name}.secret", secret + "\n")
    front.start()
    wait_for(lambda: len(front.events("zone_transferred")) == len(KEYS), "all zones", 60)
    if server == "nsd":     # it says again what it said before we were there: its resets shall not meet our questions
        wait_for(lambda: front.stat("notify_heard") == len(KEYS), "what it said at its start")
    heard = front.stat("notify_heard")
    for zone in KEYS:       # one by one: NSD resets what it serves when it loads the next one
        primary.publish(zone, zone_text(zone, serial=2, hosts=400))
        front.wait_event("zone_transferred", zone=zone + ".", serial="2", timeout=60)
    wait_for(lambda: front.stat("notify_heard") >= heard + len(KEYS), "a NOTIFY for each zone")
    assert not front.events("zone_transfer_failed") and not front.events("notify_refused")


def everything_said(front):
    """Whatever the program gives out: logs, answers to each verb, files of its own."""
    said = [front.log_text()]
    for words in ("status", "backends", "zones", "health", "stats", "zone sha1.example", "dump sha1.example",
                  "explain www.sha1.example A", "reload", "refresh sha1.example"):
        for more in ([], ["--json"]):
            said += front.ctl(*words.split(), *more)[1:]
    for path in glob.glob(front.state + "/**", recursive=True):
        if os.path.isfile(path):
            with open(path, "rb") as file:
                said.append(file.read().decode("latin-1"))
    return said


def shapes_of(secret):
    """In base64, as bytes, in hexadecimal; the first third is enough to give it away."""
    raw = base64.b64decode(secret)
    return [secret[:20], raw[:15].decode("latin-1"), raw[:15].hex(), raw[:15].hex().upper()]


def test_secrets_are_in_no_output(stage):
    """A key that works, one that the primary does not know, and configurations that are wrong around them."""
    listen = ("127.0.0.1", free_port())
    known = {zone: key for zone, key in KEYS.items() if "sha1" in key[1]}
    wrong = {zone: (name, algorithm, secret_of("another")) for zone, (name, algorithm, _) in KEYS.items()}
    primary = stage.add(notifying.Nsd(stage.folder, {zone: zone_text(zone) for zone in KEYS}, listen,
                                      {**wrong, **known})).start()
    redis = stage.redis().start()
    conf = configuration(primary.where).replace("log-level", "") + configurations.redis(redis)
    front = stage.understudy(conf.replace("workers   = 2", 'workers   = 2\nlog-level = "debug"'), port=listen[1]).start()
    front.wait_event("zone_transferred", zone="sha1.example.")
    wait_for(lambda: len(front.events("zone_transfer_failed")) == len(KEYS) - len(known), "failures", 60)
    said = everything_said(front)
    keys = redis.command("--scan").splitlines()
    said += [redis.command("--no-raw", "DUMP", key) for key in keys]
    with open(front.conf) as file:
        good = file.read()
    for spoil in (lambda text: text.replace('"  key', '" " key', 1), lambda text: text.replace("secret = ", "secret ", 1),
                  lambda text: text.replace("algorithm = hmac-sha1", "algorithm = hmac-sha9", 1),
                  lambda text: re.sub('secret = "(.{20})', r'secret = "\1!', text, count=1),
                  lambda text: text.replace('secret = "', "secret = ", 1)):
        front.write("understudy.conf", spoil(good))
        said += front.ctl("reload")[1:]
    front.stop()
    said.append(front.log_text())
    assert keys and any("sha1.example" in text for text in said)
    for secret in [key[2] for key in KEYS.values()]:
        for shape in shapes_of(secret):
            found = [text for text in said if shape in text]
            assert not found, f"{shape} in: {found[0][:2000]}"
