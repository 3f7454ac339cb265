/* SPDX-License-Identifier: ISC */
#include "tests/system/differ/packet.h"

#include <stdlib.h>
#include <string.h>

/*
 * Rdata that holds names: 'n' a name, 's' a character string, a digit so many bytes; what is
 * left over stays as it is. `is_old`: RFC 3597 s.4 lets its names be compressed.
 */
static const struct layout {
	uint16_t type;
	bool is_old;
	const char *fields;
} layouts[] = {
	{ 2, true, "n" },    { 3, true, "n" },    { 4, true, "n" },    { 5, true, "n" },
	{ 6, true, "nn" },   { 7, true, "n" },    { 8, true, "n" },    { 9, true, "n" },
	{ 12, true, "n" },   { 14, true, "nn" },  { 15, true, "2n" },  { 17, false, "nn" },
	{ 18, false, "2n" }, { 21, false, "2n" }, { 24, false, "882n" }, { 26, false, "2nn" },
	{ 30, false, "n" },  { 33, false, "6n" }, { 35, false, "4sssn" }, { 36, false, "2n" },
	{ 39, false, "n" },  { 46, false, "882n" }, { 47, false, "n" }, { 64, false, "2n" },
	{ 65, false, "2n" }, { 107, false, "2n" },
};

uint16_t read_u16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

uint32_t read_u32(const uint8_t *at)
{
	return (uint32_t)read_u16(at) << 16 | read_u16(at + 2);
}

static uint8_t lower(uint8_t byte)
{
	return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + 32) : byte;
}

size_t name_unpack(const uint8_t *message, size_t len, size_t pos, uint8_t *name, size_t *name_len,
		   bool *has_pointer)
{
	size_t end = 0, below = pos, n = 0;

	for (;;) {
		if (pos >= len)
			return 0;
		uint8_t head = message[pos];

		if (head >= 0xc0) {
			if (pos + 2 > len)
				return 0;
			size_t to = read_u16(message + pos) & 0x3fffu;

			if (to >= below || to < 12)
				return 0;	/* backwards only, hence an end */
			if (end == 0)
				end = pos + 2;
			*has_pointer = true;
			below = pos = to;
			continue;
		}
		if (head > 63 || pos + 1 + head > len || n + 1 + head > NAME_MAX_LEN)
			return 0;
		name[n++] = head;
		for (unsigned i = 1; i <= head; i++)
			name[n++] = lower(message[pos + i]);
		pos += 1u + head;
		if (head == 0)
			break;
	}
	*name_len = n;
	return end ? end : pos;
}

static const struct layout *layout_of(uint16_t type)
{
	for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++)
		if (layouts[i].type == type)
			return &layouts[i];
	return NULL;
}

static bool copy(struct packet *p, const uint8_t *message, size_t *pos, size_t end, size_t count)
{
	if (*pos + count > end || p->arena_len + count > ARENA_MAX)
		return false;
	memcpy(p->arena + p->arena_len, message + *pos, count);
	p->arena_len += count;
	*pos += count;
	return true;
}

static bool copy_name(struct packet *p, const uint8_t *message, size_t *pos, size_t end,
		      bool *has_pointer)
{
	size_t name_len;

	if (p->arena_len + NAME_MAX_LEN > ARENA_MAX)
		return false;
	*pos = name_unpack(message, end, *pos, p->arena + p->arena_len, &name_len, has_pointer);
	if (*pos == 0)
		return false;
	p->arena_len += name_len;
	return true;
}

static bool copy_rdata(struct packet *p, const uint8_t *message, size_t pos, size_t end,
		       uint16_t type)
{
	const struct layout *layout = layout_of(type);
	bool has_pointer = false, ok = true;

	for (const char *f = layout ? layout->fields : ""; *f && ok; f++) {
		if (*f == 'n')
			ok = copy_name(p, message, &pos, end, &has_pointer);
		else if (*f == 's')
			ok = pos < end && copy(p, message, &pos, end, message[pos] + 1u);
		else
			ok = copy(p, message, &pos, end, (size_t)(*f - '0'));
	}
	if (has_pointer && !layout->is_old)
		p->has_new_compression = true;
	return ok && copy(p, message, &pos, end, end - pos);
}

bool record_read(struct packet *p, const uint8_t *message, size_t len, size_t *pos,
		 struct record *r)
{
	size_t start = p->arena_len;
	bool has_pointer;

	if (!copy_name(p, message, pos, len, &has_pointer) || *pos + 10 > len)
		return false;
	size_t head = *pos, end = head + 10 + read_u16(message + head + 8);

	*r = (struct record){ .bytes = p->arena + start, .type = read_u16(message + head),
			      .owner_len = (uint16_t)(p->arena_len - start) };
	r->covered = r->type;
	if (end > len || !copy(p, message, pos, len, 8))
		return false;
	if (r->type == T_RRSIG && end - head >= 12)
		r->covered = read_u16(message + head + 10);
	if (!copy_rdata(p, message, head + 10, end, r->type))
		return false;
	r->len = (uint32_t)(p->arena_len - start);
	*pos = end;
	return true;
}

static int by_bytes(const void *left, const void *right)
{
	const struct record *a = left, *b = right;
	int order = memcmp(a->bytes, b->bytes, a->len < b->len ? a->len : b->len);

	return order ? order : (a->len > b->len) - (a->len < b->len);
}

static void take_opt(struct packet *p, const struct record *r)
{
	const uint8_t *at = r->bytes + r->owner_len;

	if (p->has_opt)
		p->fault = "two OPT records";
	if (r->owner_len != 1)
		p->fault = "OPT has an owner";
	p->has_opt = true;
	p->opt_size = read_u16(at + 2);
	p->opt_flags = read_u16(at + 6);
	p->is_dnssec_ok = (p->opt_flags & 0x8000) != 0;
	p->rcode |= (uint16_t)(at[4] << 4);
	if (at[5] != 0)
		p->fault = "version of EDNS is not 0";
}

static void find_doubles(struct packet *p, unsigned part)
{
	struct record *list = p->parts[part];

	for (unsigned i = 1; i < p->counts[part]; i++) {
		const struct record *a = &list[i - 1], *b = &list[i];

		if (by_bytes(a, b) == 0)
			p->has_double = true;
		/* sorted by owner, type, class and then TTL: equal up to the TTL is one RRset */
		if (a->owner_len == b->owner_len && a->type == b->type && a->type != T_RRSIG &&
		    memcmp(a->bytes, b->bytes, a->owner_len + 4u) == 0 &&
		    memcmp(a->bytes + a->owner_len + 4, b->bytes + b->owner_len + 4, 4) != 0)
			p->has_split_ttl = true;
	}
}

static size_t read_part(struct packet *p, unsigned part, unsigned count, const uint8_t *reply,
			size_t len, size_t pos)
{
	struct record *r = part ? p->parts[part - 1] + p->counts[part - 1] : p->records;

	p->parts[part] = r;
	while (count-- > 0 && !p->fault) {
		if (r == p->records + RECORDS_MAX || !record_read(p, reply, len, &pos, r))
			p->fault = "a record is malformed";
		else if (r->type == T_OPT && part == PART_ADDITIONAL)
			take_opt(p, r);
		else
			r++;
	}
	p->counts[part] = (unsigned)(r - p->parts[part]);
	qsort(p->parts[part], p->counts[part], sizeof(*r), by_bytes);
	find_doubles(p, part);
	return pos;
}

static bool is_header_sound(struct packet *p, const uint8_t *query, size_t question_end,
			    const uint8_t *reply, size_t len)
{
	if (len < 12 || memcmp(query, reply, 2) != 0)
		p->fault = "no reply to this query";
	else if (!(p->flags & F_QR) || ((p->flags ^ read_u16(query + 2)) & OPCODE_MASK))
		p->fault = "QR or opcode";
	else if (read_u16(reply + 4) != 1 || len < question_end ||
		 memcmp(query + 12, reply + 12, question_end - 12) != 0)
		p->fault = "the question is not as it was asked";
	return !p->fault;
}

void packet_parse(struct packet *p, const uint8_t *query, size_t query_len, const uint8_t *reply,
		  size_t reply_len)
{
	uint8_t name[NAME_MAX_LEN];
	size_t name_len, pos;
	bool has_pointer;

	memset(p, 0, offsetof(struct packet, records));
	p->arena_len = 0;
	p->len = reply_len;
	if (reply_len == 0) {
		p->fault = "no reply";
		return;
	}
	if (reply_len >= 4)
		p->flags = read_u16(reply + 2);
	p->rcode = p->flags & F_RCODE;
	pos = name_unpack(query, query_len, 12, name, &name_len, &has_pointer) + 4;
	if (!is_header_sound(p, query, pos, reply, reply_len))
		return;
	for (unsigned i = 0; i < PARTS; i++)
		pos = read_part(p, i, read_u16(reply + 6 + 2 * i), reply, reply_len, pos);
	if (!p->fault && pos != reply_len)
		p->fault = "bytes after the end";
}
