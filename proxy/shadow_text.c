/* SPDX-License-Identifier: ISC */
/* shadow_text - what one side of a difference says, in a few words for operators. */
#include <arpa/inet.h>
#include <stdio.h>

#include "cache/rdata.h"
#include "proxy/shadow.h"

enum { DATA_TEXT_MAX = NAME_TEXT_MAX + 16 };

/* Whole names only: of a longer one nothing is said. */
static bool put_name(const struct shadow_side *side, size_t at, const char *before,
		     char text[DATA_TEXT_MAX])
{
	char name[NAME_TEXT_MAX];

	if (side->len > SHADOW_RDATA_MAX)
		return false;
	snprintf(text, DATA_TEXT_MAX, "%s%s", before, name_to_text(side->rdata + at, name));
	return true;
}

static bool put_string(const struct shadow_side *side, char text[DATA_TEXT_MAX])
{
	size_t len = side->len < SHADOW_RDATA_MAX ? side->len : SHADOW_RDATA_MAX, i;

	for (i = 1; i < len && i <= side->rdata[0]; i++) {
		char c = (char)side->rdata[i];

		text[i - 1] = c >= ' ' && c <= '~' && c != '"' && c != '\\' ? c : '?';
	}
	snprintf(text + i - 1, 4, "%s", i <= side->rdata[0] || i < side->len ? "..." : "");
	return true;
}

/* False: its type has no short form, or it is too long. */
static bool put_data(const struct shadow_side *side, char text[DATA_TEXT_MAX])
{
	char preference[8];

	switch (side->type) {
	case TYPE_A:
		return side->len == 4 && inet_ntop(AF_INET, side->rdata, text, DATA_TEXT_MAX);
	case TYPE_AAAA:
		return side->len == 16 && inet_ntop(AF_INET6, side->rdata, text, DATA_TEXT_MAX);
	case TYPE_NS:
	case TYPE_CNAME:
	case TYPE_DNAME:
	case TYPE_PTR:
		return put_name(side, 0, "", text);
	case TYPE_MX:
		snprintf(preference, sizeof(preference), "%u ", wire_get_u16(side->rdata));
		return put_name(side, 2, preference, text);
	case TYPE_TXT:
		return side->len > 0 && put_string(side, text);
	default:
		return false;
	}
}

static size_t put_gist(const struct shadow_side *side, char text[SHADOW_TEXT_MAX])
{
	const char *rcode = side->rcode == RCODE_NXDOMAIN ? "NXDOMAIN" : "no records";
	const char *what = side->is_referral ? "referral, " : "";

	if (side->count == 0)
		return (size_t)snprintf(text, SHADOW_TEXT_MAX, "%s", rcode);
	return (size_t)snprintf(text, SHADOW_TEXT_MAX, "%s%s%u record%s",
				side->rcode == RCODE_NXDOMAIN ? "NXDOMAIN, " : "", what,
				side->count, side->count == 1 ? "" : "s");
}

char *shadow_text(const struct shadow_side *side, char text[SHADOW_TEXT_MAX])
{
	char type[16], data[DATA_TEXT_MAX];
	size_t len = put_gist(side, text);

	if (side->has_extra && put_data(side, data))
		len += (size_t)snprintf(text + len, SHADOW_TEXT_MAX - len, ", %s %s",
					rdata_type_text(side->type, type), data);
	else if (side->has_extra)
		len += (size_t)snprintf(text + len, SHADOW_TEXT_MAX - len, ", %s of %u bytes",
					rdata_type_text(side->type, type), side->len);
	if (!side->is_authoritative && !side->is_referral)
		snprintf(text + len, SHADOW_TEXT_MAX - len, ", no AA");
	return text;
}
