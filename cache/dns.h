/* SPDX-License-Identifier: ISC */
/*
 * dns - the numbers of the protocol, under the names that the RFCs give them.
 *
 * Purpose:  one place for header bits, types, classes, rcodes and the limits of
 *           RFC 1035 s.2.3.4, so that no other file holds a bare number.
 * Not here: reading or writing them (wire.h), their text forms (rdata.h).
 * Spec:     RFC 1035, 2136, 6891, 8914, 8945 and the IANA registries.
 */
#ifndef DNS_H
#define DNS_H

enum {
	DNS_HEADER_LEN = 12,
	DNS_MESSAGE_MAX = 65535,	/* what a two-byte TCP length can say */
	DNS_UDP_MAX = 512,		/* without EDNS, RFC 1035 s.2.3.4 */
	DNS_EDNS_SIZE = 1232,		/* what we advertise: RFC 9715 */
};

/* Bits of the second 16-bit word of the header, in host order. */
enum {
	DNS_QR = 0x8000,
	DNS_OPCODE = 0x7800,
	DNS_AA = 0x0400,
	DNS_TC = 0x0200,
	DNS_RD = 0x0100,
	DNS_RA = 0x0080,
	DNS_Z = 0x0040,
	DNS_AD = 0x0020,
	DNS_CD = 0x0010,
	DNS_RCODE = 0x000f,
};

enum dns_opcode {
	OPCODE_QUERY = 0,
	OPCODE_IQUERY = 1,
	OPCODE_STATUS = 2,
	OPCODE_NOTIFY = 4,
	OPCODE_UPDATE = 5,
	OPCODE_DSO = 6,
};

enum dns_rcode {
	RCODE_NOERROR = 0,
	RCODE_FORMERR = 1,
	RCODE_SERVFAIL = 2,
	RCODE_NXDOMAIN = 3,
	RCODE_NOTIMP = 4,
	RCODE_REFUSED = 5,
	RCODE_YXDOMAIN = 6,
	RCODE_NOTAUTH = 9,
	RCODE_NOTZONE = 10,
	RCODE_BADVERS = 16,	/* extended: upper bits travel in OPT */
};

/* Extended DNS Errors, RFC 8914 s.4. EDE_NONE is ours: no option at all. */
enum dns_ede {
	EDE_NONE = -1,
	EDE_OTHER = 0,
	EDE_STALE_ANSWER = 3,
	EDE_NOT_READY = 14,
	EDE_PROHIBITED = 18,
	EDE_NOT_AUTHORITATIVE = 20,
	EDE_NO_REACHABLE_AUTHORITY = 22,
	EDE_NETWORK_ERROR = 23,
	EDE_INVALID_DATA = 24,
	EDE_NSEC3_ITERATIONS = 27,
};

enum dns_class { CLASS_IN = 1, CLASS_CH = 3, CLASS_NONE = 254, CLASS_ANY = 255 };

/* Only the types that some rule of ours speaks of; rdata.h knows the rest. */
enum dns_type {
	TYPE_A = 1, TYPE_NS = 2, TYPE_MD = 3, TYPE_MF = 4, TYPE_CNAME = 5, TYPE_SOA = 6,
	TYPE_MB = 7, TYPE_MG = 8, TYPE_MR = 9, TYPE_NULL = 10, TYPE_WKS = 11, TYPE_PTR = 12,
	TYPE_HINFO = 13, TYPE_MINFO = 14, TYPE_MX = 15, TYPE_TXT = 16, TYPE_RP = 17,
	TYPE_AFSDB = 18, TYPE_RT = 21, TYPE_SIG = 24, TYPE_KEY = 25, TYPE_PX = 26,
	TYPE_AAAA = 28, TYPE_LOC = 29, TYPE_NXT = 30, TYPE_SRV = 33, TYPE_NAPTR = 35,
	TYPE_KX = 36, TYPE_CERT = 37, TYPE_DNAME = 39, TYPE_OPT = 41, TYPE_APL = 42,
	TYPE_DS = 43, TYPE_SSHFP = 44, TYPE_IPSECKEY = 45, TYPE_RRSIG = 46, TYPE_NSEC = 47,
	TYPE_DNSKEY = 48, TYPE_DHCID = 49, TYPE_NSEC3 = 50, TYPE_NSEC3PARAM = 51,
	TYPE_TLSA = 52, TYPE_SMIMEA = 53, TYPE_HIP = 55, TYPE_CDS = 59, TYPE_CDNSKEY = 60,
	TYPE_OPENPGPKEY = 61, TYPE_CSYNC = 62, TYPE_ZONEMD = 63, TYPE_SVCB = 64,
	TYPE_HTTPS = 65, TYPE_SPF = 99, TYPE_EUI48 = 108, TYPE_EUI64 = 109, TYPE_TKEY = 249,
	TYPE_TSIG = 250, TYPE_IXFR = 251, TYPE_AXFR = 252, TYPE_MAILB = 253,
	TYPE_MAILA = 254, TYPE_ANY = 255, TYPE_URI = 256, TYPE_CAA = 257,

	TYPE_PRIVATE = 65280,		/* and up: RFC 6895 s.3.1 */
	/* of these: from them a primary computes what clients get */
	TYPE_ALIAS_SIMPLE = 65357,	/* Simple DNS Plus */
	TYPE_ALIAS = 65401, TYPE_LUA = 65402,	/* PowerDNS */
};

enum edns_option {
	EDNS_NSID = 3, EDNS_ECS = 8, EDNS_EXPIRE = 9, EDNS_COOKIE = 10, EDNS_KEEPALIVE = 11,
	EDNS_EDE = 15, EDNS_ZONEVERSION = 19,
};

#define EDNS_DO	0x8000u		/* in the flags of OPT's TTL, RFC 3225 */

#endif
