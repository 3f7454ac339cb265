#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Writes tsig_vectors.h: a signed request and a stream of replies for each algorithm, by dnspython.

    /usr/bin/python3 tests/unit/tsig_vectors.py > tests/unit/tsig_vectors.h
"""
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.tsig

TIME = 1700000000
SECRET = bytes(range(48))
KEY_NAME = "transfer.example.com."
ALGORITHMS = ["hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512"]


def attach(wire, key, rdata):
    record = key.name.to_wire() + b"\x00\xfa\x00\xff\x00\x00\x00\x00"
    body = rdata.to_wire()
    count = int.from_bytes(wire[10:12], "big") + 1
    return wire[:10] + count.to_bytes(2, "big") + wire[12:] + record + len(body).to_bytes(2, "big") + body


def empty_tsig(key, id):
    return dns.rdtypes.ANY.TSIG.TSIG(dns.rdataclass.ANY, dns.rdatatype.TSIG, key.algorithm, TIME, 300, b"", id,
                                     dns.rcode.NOERROR, b"")


def reply(query, records):
    message = dns.message.make_response(query)
    message.flags |= 0x0400
    for text in records:
        message.answer.append(dns.rrset.from_text(*text))
    return message.to_wire()


def show(name, wire):
    lines = [wire[i:i + 16] for i in range(0, len(wire), 16)]
    body = "\n".join("\t" + " ".join(f"0x{byte:02x}," for byte in line) for line in lines)
    print(f"static const uint8_t {name}[] = {{\n{body}\n}};")


def write(algorithm):
    key = dns.tsig.Key(KEY_NAME, SECRET, algorithm)
    query = dns.message.make_query("example.com.", "AXFR", id=0x1234)
    query.flags = 0
    rdata, _ = dns.tsig.sign(query.to_wire(), key, empty_tsig(key, query.id), TIME)
    noun = algorithm.replace("hmac-", "").upper()
    show(f"{noun}_REQUEST", attach(query.to_wire(), key, rdata))

    soa = ("example.com.", 60, "IN", "SOA", "ns.example.com. h.example.com. 7 3600 600 86400 60")
    parts = [[soa], [("www.example.com.", 60, "IN", "A", "192.0.2.1")], [soa]]
    ctx = None
    for number, part in enumerate(parts):
        wire = reply(query, part)
        if number == 1:         # unsigned, between two signed ones
            ctx.update(wire)
        else:
            signed, ctx = dns.tsig.sign(wire, key, empty_tsig(key, query.id), TIME + number,
                                        rdata.mac if number == 0 else None, ctx, True)
            wire = attach(wire, key, signed)
        show(f"{noun}_REPLY{number}", wire)


print("/* SPDX-License-Identifier: ISC */")
print("/* Written by tsig_vectors.py; not by hand. */")
print("#ifndef TSIG_VECTORS_H\n#define TSIG_VECTORS_H\n\n#include <stdint.h>\n")
print(f"#define VECTOR_TIME\t{TIME}ull")
print(f'#define VECTOR_KEY\t"{KEY_NAME}"')
print("enum { VECTOR_SECRET_LEN = 48 };\t/* bytes 0, 1, 2 .. 47 */\n")
for algorithm in ALGORITHMS:
    write(algorithm)
print("\n#endif")
