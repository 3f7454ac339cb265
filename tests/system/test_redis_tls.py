# SPDX-License-Identifier: ISC
"""TLS to Redis: who is believed, who is not, and that what lies there is the same."""
import os
import re
import socket
import subprocess

import pytest

import configurations
from servers import BUILD, Server, ask, free_port, wait_for

ZONE = "understudy:zone:{example.com.}"
HOSTS = 20000
ZONE_TEXT = ("$ORIGIN example.com.\n$TTL 300\n@ SOA ns hostmaster 1 3600 600 1209600 300\n@ NS ns\nns A 192.0.2.1\n" +
             "".join(f"h{i} A 10.0.{i >> 8}.{i & 255}\n" for i in range(HOSTS)))


class Papers:
    """Certificates, signed by one authority or by another."""

    def __init__(self, folder):
        self.folder = str(folder)
        for name in ("ca", "other"):
            self.run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                     "-subj", f"/CN={name}", "-keyout", self.path(f"{name}.key"), "-out", self.path(f"{name}.pem"))
        self.sign("redis", "ca", "IP:127.0.0.1,IP:::1")
        self.sign("named", "ca", "DNS:redis.example.com")
        self.sign("stranger", "other", "IP:127.0.0.1")
        self.sign("late", "ca", "IP:127.0.0.1", "-1")
        self.sign("us", "ca", "DNS:understudy")

    def path(self, name):
        return os.path.join(self.folder, name)

    def run(self, *words):
        subprocess.run(["openssl", *words], check=True, capture_output=True)

    def sign(self, name, by, names, days="30"):
        with open(self.path(f"{name}.ext"), "w") as file:
            file.write(f"subjectAltName={names}\n")
        self.run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                 "-keyout", self.path(f"{name}.key"), "-out", self.path(f"{name}.csr"))
        self.run("x509", "-req", "-in", self.path(f"{name}.csr"), "-CA", self.path(f"{by}.pem"), "-CAkey",
                 self.path(f"{by}.key"), "-CAcreateserial", "-days", days, "-extfile", self.path(f"{name}.ext"),
                 "-out", self.path(f"{name}.pem"))

    def options(self, ca="ca", own="us", name=None):
        text = f'tls = true  tls-ca = "{self.path(ca + ".pem")}"'
        if own:
            text += f'  tls-cert = "{self.path(own + ".pem")}"  tls-key = "{self.path(own + ".key")}"'
        return text + (f'  tls-name = "{name}"' if name else "")


class TlsRedis(Server):
    def __init__(self, folder, papers, name="redis"):
        super().__init__(folder, name)
        self.papers = papers
        self.port = free_port()
        self.socket = self.path("redis.sock")

    def start(self, certificate="redis", *options):
        paper = self.papers.path
        self.spawn(["redis-server", "--port", "0", "--tls-port", str(self.port), "--bind", "127.0.0.1", "--unixsocket",
                    self.socket, "--dir", self.folder, "--save", "", "--tls-cert-file", paper(f"{certificate}.pem"),
                    "--tls-key-file", paper(f"{certificate}.key"), "--tls-ca-cert-file", paper("ca.pem"), *options])
        wait_for(lambda: self.command("PING") == "PONG", "Redis to answer")
        return self

    def command(self, *words):
        return subprocess.run(["redis-cli", "-s", self.socket, *words], capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    return Papers(tmp_path_factory.mktemp("papers"))


def conf_of(where, port, options, patience="10s"):
    return configurations.failover(where).replace(
        "pool ", f'redis {{ address = "127.0.0.1:{port}"  connect-timeout = "{patience}"  command-timeout = "30s"  '
        f'{options} }}\npool ', 1)


NOBODY = ("127.0.0.1", 9)


@pytest.mark.parametrize("server, name, options", [
    ("redis", None, ()), ("named", "redis.example.com", ()), ("redis", None, ("--tls-protocols", "TLSv1.2"))])
def test_zone_goes_there_and_back(stage, papers, server, name, options):
    nsd = stage.nsd({"example.com": ZONE_TEXT}).start()
    redis = stage.add(TlsRedis(stage.folder, papers)).start(server, *options)
    tls = papers.options(name=name)
    front = stage.understudy(conf_of(nsd.where, redis.port, tls)).start()
    assert front.wait_event("store_up")[1]["address"] == f"127.0.0.1:{redis.port}"
    wait_for(lambda: redis.command("HGET", ZONE, "serial") == "1", "the zone in Redis", 30)
    assert not front.events("store_down")
    front.stop()
    second = stage.understudy(conf_of(NOBODY, redis.port, tls), name="second").start()
    second.wait_event("zone_restored", source="redis", records=str(HOSTS + 3))
    assert ask(second.where, "h19999.example.com").answer[0][0].address == "10.0.78.31"
    # Redis ends and comes back; so does TLS
    redis.kill()
    second.wait_event("store_down")
    redis.start(server, *options)
    wait_for(lambda: len(second.events("store_up")) >= 2, "Redis to be back")


REFUSED = {
    "wrong name": ("named", {}, "certificate of Redis: .*IP address mismatch"),
    "another name": ("redis", {"name": "redis.example.com"}, "certificate of Redis: .*ostname mismatch"),
    "unknown authority": ("stranger", {}, "certificate of Redis: .*local issuer"),
    "expired": ("late", {}, "certificate of Redis: certificate has expired"),
    "no certificate of ours": ("redis", {"own": None}, "TLS: .*certificate required"),
    "certificate of ours by another": ("redis", {"own": "stranger"}, "TLS: .*unknown ca"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_who_does_not_prove_it_is_refused(stage, papers, case):
    server, options, reason = REFUSED[case]
    redis = stage.add(TlsRedis(stage.folder, papers)).start(server)
    front = stage.understudy(conf_of(NOBODY, redis.port, papers.options(**options) + '  password = "hush"')).start()
    down = front.wait_event("store_down")[1]
    assert re.search(reason, down["reason"]), down
    assert down["mend"]
    assert redis.command("INFO", "commandstats").count("cmdstat_auth") == 0, "no password for strangers"
    assert not front.events("store_up")


def test_redis_without_tls_is_refused_and_gets_no_password(stage, papers):
    redis = stage.add(Server(stage.folder, "plain"))
    port = free_port()
    redis.spawn(["redis-server", "--port", str(port), "--dir", redis.folder, "--save", ""])
    wait_for(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, "Redis to listen")
    front = stage.understudy(conf_of(NOBODY, port, papers.options() + '  password = "hush"')).start()
    assert "TLS" in front.wait_event("store_down")[1]["reason"]


def test_handshake_that_hangs_and_port_that_is_closed(stage, papers):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        front = stage.understudy(conf_of(NOBODY, silent.getsockname()[1], papers.options(), "500ms")).start()
        assert front.wait_event("store_down")[1]["reason"] == "connecting to Redis with TLS took too long"
    front = stage.understudy(conf_of(NOBODY, free_port(), papers.options()), name="second").start()
    assert front.wait_event("store_down")[1]["reason"] == "Connection refused"


MISTAKES = {
    "no file": ('tls = true\n tls-ca = "/nowhere/ca.pem"', 3, "tls-ca = '/nowhere/ca.pem' cannot be used"),
    "no PEM": ('tls = true\n tls-ca = "{papers}/us.ext"', 3, "cannot be used"),
    "half a pair": ('tls = true\n tls-cert = "{papers}/us.pem"', 3, "tls-cert and tls-key come together"),
    "another's key": ('tls = true\n tls-cert = "{papers}/us.pem"\n tls-key = "{papers}/redis.key"', 4, "tls-key"),
    "not switched on": ('\n tls-name = "x"', 3, "add tls = true"),
    "a socket": ('\n tls = true', 3, "no TLS on a UNIX socket"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_found_before_the_start(tmp_path, papers, case):
    text, line, said = MISTAKES[case]
    address = "unix:/tmp/x" if case == "a socket" else "127.0.0.1"
    conf = tmp_path / "understudy.conf"
    conf.write_text('listen = "127.0.0.1:5300"\nredis { address = "' + address + '" ' +
                    text.replace("{papers}", papers.folder) + ' }\npool "p" { backend "a" { address = "192.0.2.1" } }\n'
                    'zone "example.com" { pool = "p" }\n')
    done = subprocess.run([os.path.join(BUILD, "understudy"), "-t", "-c", str(conf)], capture_output=True, text=True)
    assert done.returncode == 1 and f"{conf}:{line}: " in done.stderr and said in done.stderr, done.stderr
