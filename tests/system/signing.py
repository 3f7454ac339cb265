# SPDX-License-Identifier: ISC
"""signing - signs zones with the tools that operators sign with: ldns and BIND.

The fixtures of the validating tests: a zone's text goes in, the signed text and the DS records
that its parent must have come out.
"""
import os
import subprocess
import time

ECDSA, RSA, ED25519 = "ECDSAP256SHA256", "RSASHA256", "ED25519"


def run(folder, *command):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"
    return done.stdout


def seconds_from_now(seconds):
    return time.strftime("%Y%m%d%H%M%S", time.gmtime(time.time() + seconds))


class Signed:
    """`text` is the signed zone, `ds` what the parent says of it, in presentation form."""

    def __init__(self, folder, name, keys, text):
        self.name = name
        self.text = text
        self.ds = []
        for key in keys:
            with open(os.path.join(folder, key + ".ds")) as file:
                self.ds.append(file.read().split("\tDS\t")[1].strip())

    def ds_records(self):
        return "".join(f"{self.name}. IN DS {ds}\n" for ds in self.ds)


class Signer:
    """Keys and zone files live in `folder`. One key for each algorithm signs everything."""

    def __init__(self, folder):
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)

    def keys(self, name, algorithms):
        return [run(self.folder, "ldns-keygen", "-r", "/dev/urandom", "-a", algorithm, "-b", "2048",
                    "-k", name).strip()
                for algorithm in algorithms]

    def sign(self, name, text, nsec3=None, algorithms=(ECDSA,), tool="ldns", life=(-3600, 86400)):
        """`nsec3`: None for NSEC, else {"iterations": 0, "salt": "-", "optout": False}."""
        keys = self.keys(name or ".", algorithms)
        plain = os.path.join(self.folder, (name or "root") + ".plain")
        with open(plain, "w") as file:
            file.write(text)
        command = {"ldns": ldns_command, "bind": bind_command}[tool]
        run(self.folder, *command(name or ".", plain, nsec3, keys, life))
        with open(plain + ".signed") as file:
            return Signed(self.folder, name, keys, file.read())


def ldns_command(name, plain, nsec3, keys, life):
    options = []
    if nsec3 is not None:
        options += ["-n", "-t", str(nsec3.get("iterations", 0))]
        options += ["-s", nsec3["salt"]] if nsec3.get("salt", "-") != "-" else []
        options += ["-p"] if nsec3.get("optout") else []
    begin, end = (seconds_from_now(seconds) for seconds in life)
    return ["ldns-signzone", "-A", "-i", begin, "-e", end, "-f", plain + ".signed", *options,
            "-o", name, plain, *keys]


def bind_command(name, plain, nsec3, keys, life):
    options = []
    if nsec3 is not None:
        options += ["-3", nsec3.get("salt", "-"), "-H", str(nsec3.get("iterations", 0))]
        options += ["-A"] if nsec3.get("optout") else []
    begin, end = (seconds_from_now(seconds) for seconds in life)
    with open(plain, "a") as zone:
        for key in keys:
            with open(os.path.join(os.path.dirname(plain), key + ".key")) as file:
                zone.write(file.read())
    return ["dnssec-signzone", "-z", "-P", "-O", "full", "-s", begin, "-e", end,
            "-f", plain + ".signed", *options, "-o", name, plain, *keys]
