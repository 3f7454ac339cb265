# SPDX-License-Identifier: ISC
"""Zone transfers over TLS, from BIND, NSD, and servers that get it wrong on purpose."""
import socket
import ssl
import subprocess

import pytest

import primary
import servers
from certificates import Certificate
from configurations import HEAD
from servers import free_port, wait_for

NAME = "ns1.example.com"
ZONE = """$ORIGIN example.com.
$TTL 60
@ SOA ns hostmaster {serial} 3600 600 86400 60
@ NS ns
ns A 192.0.2.1
www A 192.0.2.80
"""
KEY = 'key "xfr.example.com" { algorithm = "hmac-sha256"  secret = "c2VjcmV0IHNlY3JldA==" }\n'
WAIT = 60


class World:
    """One authority, and certificates that it has signed."""

    def __init__(self, folder):
        self.ca = Certificate(folder, "ca", is_ca=True)
        self.good = Certificate(folder, "good", NAME, self.ca)
        self.expired = Certificate(folder, "expired", NAME, self.ca, is_expired=True)
        self.lone = Certificate(folder, "lone", NAME)
        self.client = Certificate(folder, "client", "understudy.example.com", self.ca)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(str(tmp_path_factory.mktemp("certificates")))


class Named(servers.NameServer):
    """BIND, which gives its zone by TLS only."""

    def __init__(self, folder, certificate, client_ca=None, serial=1, allow="transport tls { any; }"):
        super().__init__(folder, "named")
        self.zones = ["example.com"]
        self.tls_port = free_port()
        self.write("zone", ZONE.format(serial=serial))
        verify = f'ca-file "{client_ca.cert}";' if client_ca else ""
        self.conf = self.write("named.conf", f"""
key "xfr.example.com" {{ algorithm hmac-sha256; secret "c2VjcmV0IHNlY3JldA=="; }};
tls xot {{ cert-file "{certificate.cert}"; key-file "{certificate.key}"; {verify} }};
options {{
    directory "{self.folder}";
    listen-on port {self.port} {{ 127.0.0.1; }};
    listen-on port {self.tls_port} tls xot {{ 127.0.0.1; }};
    listen-on-v6 {{ none; }};
    recursion no;
    notify no;
    pid-file none;
    session-keyfile "{self.path('session.key')}";
}};
controls {{ }};
zone "example.com" {{ type primary; file "zone"; allow-transfer {allow}; }};
""")

    def start(self):
        self.spawn(["named", "-g", "-c", self.conf, "-n", "1"])
        self.wait_serving()
        return self


def configuration(server, tls_port, options, before="", name="ns1"):
    return HEAD + before + f"""pool "main" {{
    backend "{name}" {{
        address = "127.0.0.1:{server.port}"  primary = true
        transfer-address = "127.0.0.1:{tls_port}"  transfer-tls = true
        {options}
    }}
    mirror {{ tier = 1 }}
}}
zone "example.com" {{ pool = "main" }}
"""


def by_name(world, name=NAME):
    return f'tls-name = "{name}"  tls-ca = "{world.ca.cert}"'


def by_pin(certificate):
    return f'tls-pin = "{certificate.pin()}"'


def started(stage, *arguments, **options):
    return stage.understudy(configuration(*arguments, **options)).start()


def transferred(understudy):
    return understudy.wait_event("zone_transferred", timeout=WAIT)[1]


def refused(understudy):
    """The reason of the one event, and that nothing was believed."""
    event = understudy.wait_event("zone_transfer_failed", timeout=WAIT)[1]
    assert understudy.events("zone_transferred") == []
    return event["reason"]


# ---- Real servers ----

@pytest.fixture
def named(stage, world):
    return stage.add(Named(stage.folder, world.good)).start()


def test_bind_by_name(stage, world, named):
    event = transferred(started(stage, named, named.tls_port, by_name(world)))
    assert (event["serial"], event["source"]) == ("1", f"127.0.0.1:{named.tls_port}")


def test_bind_by_pin_and_by_both(stage, world, named):
    understudy = started(stage, named, named.tls_port, by_name(world) + "  " + by_pin(world.good))
    transferred(understudy)
    understudy.configure(configuration(named, named.tls_port, by_pin(world.good)))
    assert understudy.ctl("reload")[0] == 0
    assert understudy.ctl("retransfer", "example.com")[0] == 0
    wait_for(lambda: len(understudy.events("zone_transferred")) == 2, "the second transfer", WAIT)


def test_what_is_not_the_primary_is_refused_and_what_is_held_goes_on(stage, world, named):
    """Each way to be somebody else, one after the other: one event each, with its mend."""
    understudy = started(stage, named, named.tls_port, by_name(world))
    transferred(understudy)
    wrong = {
        by_name(world, "ns2.example.com"): "is not for ns2.example.com: correct tls-name",
        by_pin(world.lone): f'it is now tls-pin = "{world.good.pin()}"',
        by_name(world, "ns3.example.com") + "  " + by_pin(world.good): "is not for ns3.example.com",
        f'tls-name = "{NAME}"': "nobody whom we trust has signed",
    }
    for options, reason in wrong.items():
        since = understudy.lines[-1][0]
        understudy.configure(configuration(named, named.tls_port, options))
        assert understudy.ctl("reload")[0] == 0
        event = understudy.wait_event("zone_transfer_failed", timeout=WAIT, since=since + 1e-9)[1]
        assert event["reason"].startswith("TLS: ") and reason in event["reason"], event
    zone = understudy.json("zone", "example.com")
    assert servers.find_key(zone, "serial") == 1
    assert len(understudy.events("zone_transferred")) == 1


def test_bind_asks_for_a_certificate_and_signs(stage, world):
    named = stage.add(Named(stage.folder, world.good, client_ca=world.ca, allow="{ key xfr.example.com; }")).start()
    both = by_name(world) + f'  key = "xfr.example.com"  tls-cert = "{world.client.cert}"  tls-key = "{world.client.key}"'
    transferred(started(stage, named, named.tls_port, both, before=KEY))


def test_bind_asks_for_a_certificate_in_vain(stage, world):
    named = stage.add(Named(stage.folder, world.good, client_ca=world.ca)).start()
    assert "set tls-cert and tls-key" in refused(started(stage, named, named.tls_port, by_name(world)))


def nsd_by_tls(stage, certificate):
    port = free_port()
    nsd = stage.nsd({"example.com": ZONE.format(serial=1)}, extra=f"""
    ip-address: 127.0.0.1@{port}
    tls-port: {port}
    tls-service-key: "{certificate.key}"
    tls-service-pem: "{certificate.cert}"
""").start()
    return nsd, port


def test_nsd(stage, world):
    """NSD 4.6 says nothing to ALPN: that is refused, unless the operator knows."""
    nsd, port = nsd_by_tls(stage, world.good)
    understudy = started(stage, nsd, port, by_name(world))
    assert "set tls-require-alpn = false" in refused(understudy)
    understudy.configure(configuration(nsd, port, by_name(world) + "  tls-require-alpn = false"))
    assert understudy.ctl("reload")[0] == 0
    transferred(understudy)


# ---- Servers of our making ----

class TlsPrimary(primary.Primary):
    """A scripted primary behind Python's TLS, which closes without close_notify."""

    def __init__(self, script, certificate, alpn=("dot",), version=None):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate.cert, certificate.key)
        if alpn:
            self.context.set_alpn_protocols(list(alpn))
        if version:
            self.context.maximum_version = version
        super().__init__(script)

    def _serve(self, connection, number):
        try:
            wrapped = self.context.wrap_socket(connection, server_side=True)
        except (OSError, ssl.SSLError):
            connection.close()
            return
        super()._serve(wrapped, number)


@pytest.fixture
def nsd(stage):
    """Answers queries and probes; no zone is transferred from it."""
    return stage.nsd({"example.com": ZONE.format(serial=1)}).start()


def against(stage, nsd, world, script=None, options=None, **how):
    """A scripted primary and who transfers from it."""
    peer = stage.add(TlsPrimary(script or primary.honest(primary.Zone(hosts=3)), how.pop("certificate", world.good), **how))
    return peer, started(stage, nsd, peer.port, options or by_name(world))


def test_scripted_primary_is_good(stage, nsd, world):
    """What the refusals below are compared with; many records, so that they come in many TLS records."""
    zone = primary.Zone(hosts=20000)
    peer, understudy = against(stage, nsd, world, primary.honest(zone, each=1500))
    assert transferred(understudy)["records"] == "20002"
    assert peer.count(primary.SOA) == 1


def test_expired_certificate_is_refused(stage, nsd, world):
    _, understudy = against(stage, nsd, world, certificate=world.expired)
    assert "has expired: renew it" in refused(understudy)


def test_self_signed_certificate_is_refused_without_its_pin(stage, nsd, world):
    peer, understudy = against(stage, nsd, world, certificate=world.lone)
    assert "set tls-ca to who has, or tls-pin to its key" in refused(understudy)
    assert peer.asked == []
    understudy.configure(configuration(nsd, peer.port, by_pin(world.lone)))
    assert understudy.ctl("reload")[0] == 0
    transferred(understudy)


def test_tls_1_2_is_refused(stage, nsd, world):
    _, understudy = against(stage, nsd, world, version=ssl.TLSVersion.TLSv1_2)
    assert "does not speak TLS 1.3" in refused(understudy)


@pytest.mark.parametrize("alpn", [(), ("http/1.1",)])
def test_server_without_alpn_is_refused(stage, nsd, world, alpn):
    peer, understudy = against(stage, nsd, world, alpn=alpn)
    reason = refused(understudy)
    assert "ALPN" in reason and "transfer-address" in reason
    assert peer.asked == []


def test_plain_dns_is_no_way_out(stage, nsd, world):
    """What answers there is a good primary in clear text: it is not heard, and sees no query."""
    zone = primary.Zone()
    plain = stage.add(primary.Primary(primary.honest(zone)))
    understudy = started(stage, nsd, plain.port, by_name(world))
    assert refused(understudy).startswith("TLS: ")
    assert plain.asked == []


def test_not_tls_at_all(stage, nsd, world):
    listener = socket.create_server(("127.0.0.1", 0))
    understudy = started(stage, nsd, listener.getsockname()[1], by_name(world))
    connection, _ = listener.accept()
    connection.sendall(b"220 mail.example.com ESMTP\r\n" * 4)
    assert "does not speak TLS: correct transfer-address" in refused(understudy)
    connection.close()
    listener.close()


def test_handshake_that_hangs_ends(stage, nsd, world):
    listener = socket.create_server(("127.0.0.1", 0))
    understudy = started(stage, nsd, listener.getsockname()[1], by_name(world))
    assert "no handshake within 5 s" in refused(understudy)
    listener.close()


def broken_off(end):
    """All of the zone but its last message, then `end`."""
    zone = primary.Zone(hosts=50)

    def script(asked):
        if asked.type == primary.SOA:
            return [asked.reply([zone.soa()])]
        return primary.packed(asked, zone.records(), 10)[:-1] + [end]
    return script


@pytest.mark.parametrize("end", [primary.CLOSE, primary.RESET])
def test_transfer_that_is_cut_short_is_no_zone(stage, nsd, world, end):
    _, understudy = against(stage, nsd, world, broken_off(end))
    assert refused(understudy).startswith(("primary closed the connection early", "connection lost"))


def test_close_after_the_whole_zone_is_fine(stage, nsd, world):
    """Without close_notify: the last SOA says that it is whole, not the end of the connection."""
    zone = primary.Zone(hosts=50)

    def script(asked):
        if asked.type == primary.SOA:
            return [asked.reply([zone.soa()]), primary.CLOSE]
        return primary.packed(asked, zone.records(), 10) + [primary.CLOSE]
    peer, understudy = against(stage, nsd, world, script)
    assert transferred(understudy)["records"] == "52"
    assert peer.connections == 2


def test_garbage_inside_tls_is_judged_as_in_clear_text(stage, nsd, world):
    zone = primary.Zone()
    _, understudy = against(stage, nsd, world, lambda asked: [asked.reply([zone.soa()], id=1)])
    assert refused(understudy) == "message ID is not that of the request"


# ---- Configurations ----

def check(stage, options, world, primary_line="primary = true"):
    understudy = stage.understudy(HEAD + f"""pool "main" {{
    backend "ns1" {{
        address = "127.0.0.1:5353"
        {primary_line}
        {options}
    }}
    mirror {{ tier = 1 }}
}}
zone "example.com" {{ pool = "main" }}
""")
    done = subprocess.run([f"{servers.BUILD}/understudy", "-t", "-c", understudy.conf], capture_output=True, text=True)
    return done.returncode, done.stderr, understudy.conf


def test_configuration_errors(stage, world, tmp_path):
    text = tmp_path / "text"
    text.write_text("no certificate\n")
    on = "transfer-tls = true\n        "
    errors = {
        on: (6, "nothing tells it from others: add tls-name"),
        on + 'tls-pin = "abc"': (10, "tls-pin = 'abc' is no pin"),
        on + f'tls-pin = "{"A" * 43}"': (10, "is no pin: write the SHA-256"),
        on + f'tls-pin = "{"A" * 44}"': (10, "is no pin: write the SHA-256"),
        on + f'tls-pin = {{ {", ".join(["%r" % world.good.pin()] * 5)} }}'.replace("'", '"'): (10, "more than 4 pins"),
        on + 'tls-name = "a b..c"': (10, "is no domain name"),
        on + f'tls-name = "{NAME}"  tls-ca = "/nonexistent"': (10, "tls-ca: /nonexistent cannot be read: No such file"),
        on + f'tls-name = "{NAME}"  tls-ca = "{text}"': (6, "has no certificate in it"),
        on + f'tls-pin = "{world.good.pin()}"  tls-ca = "{world.ca.cert}"': (6, "has tls-ca, but no name"),
        on + by_name(world) + f'  tls-cert = "{world.client.cert}"': (6, "tls-cert without its key"),
        on + by_name(world) + f'  tls-cert = "{world.client.cert}"  tls-key = "{world.good.key}"':
            (6, "is not the key of the certificate"),
        on + by_name(world) + f'  tls-cert = "{text}"  tls-key = "{world.good.key}"': (6, "no certificate that can be used"),
        on + by_name(world) + f'  tls-cert = "{world.client.cert}"  tls-key = "{text}"': (6, "no private key in it"),
        by_name(world): (6, "transfers go in clear text: add transfer-tls = true"),
    }
    for options, (line, problem) in errors.items():
        code, out, conf = check(stage, options, world)
        wanted = [said for said in out.splitlines() if problem in said]
        assert code == 1 and wanted, (options, out)
        assert wanted[0].startswith(f"{conf}:{line}:"), wanted
    assert "add primary = true" in check(stage, on + by_name(world), world, primary_line="")[1]
    assert check(stage, on + by_name(world, NAME + ".") + "  " + by_pin(world.good), world)[0] == 0
