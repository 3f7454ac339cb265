/* SPDX-License-Identifier: ISC */
#include "cache/name.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

#include "cache/wire.h"

enum {
	LABEL_LEN_MAX = 63,	/* RFC 1035 s.2.3.4 */
	POINTER_BITS = 0xc0,	/* RFC 1035 s.4.1.4 */
	JUMPS_MAX = 127,	/* no RFC limit: a name has no more labels to point at */
};

/*
 * Tables of 256, each made by the compiler from one formula: T(f) lists f(0), f(1),
 * ... f(255).
 */
#define T4(f, c)	f((c)), f((c) + 1), f((c) + 2), f((c) + 3)
#define T16(f, c)	T4(f, c), T4(f, (c) + 4), T4(f, (c) + 8), T4(f, (c) + 12)
#define T64(f, c)	T16(f, c), T16(f, (c) + 16), T16(f, (c) + 32), T16(f, (c) + 48)
#define T(f)		T64(f, 0), T64(f, 64), T64(f, 128), T64(f, 192)

/* RFC 4343 s.3: only the letters of ASCII have case. Length bytes are below 'A'. */
#define FOLD(c)	((c) >= 'A' && (c) <= 'Z' ? (c) + ('a' - 'A') : (c))

#define FOLD_BYTE(c)	(uint8_t)FOLD(c)

static const uint8_t fold[256] = { T(FOLD_BYTE) };

/*
 * The lookup form of a folded byte: 47 first steps do not suffice for 230 bytes, so what
 * host names use (and '.', '/' and '`', each alone in its gap) takes one step, and each
 * run of other bytes between them shares a first step and is told apart by a second.
 * Both grow with the byte, which keeps canonical order.
 */
#define FIRST(c)					\
	((c) < '-'  ? 1 :				\
	 (c) <= '9' ? 2 + (c) - '-' :			\
	 (c) <= '@' ? 15 :				\
	 (c) < '_'  ? 16 :				\
	 (c) <= 'z' ? 17 + (c) - '_' :			\
		      45 + ((c) - '{') / 47)

/* 0 where the first step says all. */
#define SECOND(c)					\
	((c) < '-'  ? 1 + (c) :				\
	 (c) <= '9' ? 0 :				\
	 (c) <= '@' ? 1 + (c) - ':' :			\
	 (c) < '_'  ? 1 + (c) - '[' :			\
	 (c) <= 'z' ? 0 :				\
		      1 + ((c) - '{') % 47)

#define STEPS(c)	(uint16_t)(FIRST(FOLD(c)) | SECOND(FOLD(c)) << 8)

static const uint16_t steps[256] = { T(STEPS) };

static_assert(FIRST(0xff) == NAME_STEPS - 1, "steps fill the bitmap of a branch");
static_assert(SECOND(',') < NAME_STEPS && SECOND(0xa9) < NAME_STEPS, "so do second steps");
static_assert(2 * 250 + 4 < NAME_KEY_MAX, "four labels of two-step bytes, and one to spare");

/*
 * Bytes of the plain labels at `p`, within `room`: up to its root label (`*end` 0), a
 * pointer or a bad length byte (`*end` is that byte). `room` itself when they run past.
 */
static inline size_t plain_labels(const uint8_t *p, size_t room, uint8_t *end)
{
	size_t n = 0;

	while (n < room) {
		uint8_t label_len = p[n];

		if ((uint8_t)(label_len - 1) >= LABEL_LEN_MAX) {
			*end = label_len;
			return n;
		}
		n += 1u + label_len;
	}
	return room;
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t parse_fail(struct wire *w)
{
	w->bad = true;
	return 0;
}

/*
 * A name that is not plain from end to end. Each pointer must go before the start of the
 * piece that it ends, so a loop cannot be; each piece must fit into what is left of 255.
 */
static size_t parse_compressed(struct wire *w, uint8_t name[NAME_LEN_MAX])
{
	size_t pos = w->pos, len = 0, after = 0;

	for (int jumps = 0; jumps <= JUMPS_MAX; jumps++) {
		size_t room = smaller(w->len - pos, NAME_LEN_MAX - len);
		uint8_t end = 0;
		size_t n = plain_labels(w->base + pos, room, &end);

		if (n >= room)
			return parse_fail(w);
		memcpy(name + len, w->base + pos, n);
		len += n;
		if (end == 0) {
			name[len++] = 0;
			w->pos = after ? after : pos + n + 1;
			return len;
		}
		if (end < POINTER_BITS || w->len - pos - n < 2)
			return parse_fail(w);
		if (!after)
			after = pos + n + 2;
		size_t target = wire_get_u16(w->base + pos + n) & 0x3fff;

		if (target >= pos)
			return parse_fail(w);
		pos = target;
	}
	return parse_fail(w);
}

size_t name_parse(struct wire *w, uint8_t name[NAME_LEN_MAX])
{
	if (w->bad)
		return 0;

	const uint8_t *p = w->base + w->pos;
	size_t room = smaller(w->len - w->pos, NAME_LEN_MAX);
	uint8_t end = 0;
	size_t n = plain_labels(p, room, &end);

	if (n >= room)
		return parse_fail(w);
	if (end != 0)
		return parse_compressed(w, name);
	wire_copy(name, p, n + 1);
	w->pos += n + 1;
	return n + 1;
}

size_t name_len(const uint8_t *name)
{
	const uint8_t *p = name;

	while (*p)
		p += 1 + *p;
	return (size_t)(p - name) + 1;
}

unsigned name_label_count(const uint8_t *name)
{
	unsigned count = 0;

	for (; *name; name += 1 + *name)
		count++;
	return count;
}

const uint8_t *name_skip(const uint8_t *name, unsigned n)
{
	for (; n > 0; n--) {
		assert(*name);
		name += 1 + *name;
	}
	return name;
}

/* Equal by the byte, as they mostly are: four and more bytes are read twice where they overlap. */
static inline bool is_same(const uint8_t *a, const uint8_t *b, size_t len)
{
	uint64_t x, y;
	uint32_t u, v, s, t;

	if (len < sizeof(u))
		return false;	/* not known */
	if (len < sizeof(x)) {
		memcpy(&u, a, sizeof(u));
		memcpy(&v, b, sizeof(v));
		memcpy(&s, a + len - sizeof(s), sizeof(s));
		memcpy(&t, b + len - sizeof(t), sizeof(t));
		return u == v && s == t;
	}
	for (size_t i = 0;; i = i + 2 * sizeof(x) <= len ? i + sizeof(x) : len - sizeof(x)) {
		memcpy(&x, a + i, sizeof(x));
		memcpy(&y, b + i, sizeof(y));
		if (x != y || i == len - sizeof(x))
			return x == y;
	}
}

/* Eight bytes at once: A to Z have their top bit clear, and are told by two sums that set it. */
static uint64_t fold_eight(uint64_t bytes)
{
	const uint64_t each = 0x0101010101010101u;
	uint64_t low = bytes & 0x7f * each;
	uint64_t from_a = low + (0x80 - 'A') * each, past_z = low + (0x7f - 'Z') * each;

	return bytes | ((from_a ^ past_z) & ~bytes & 0x80 * each) >> 2;
}

/* Length bytes are not letters, so a whole name folds like one string. */
static bool is_equal_folded(const uint8_t *a, const uint8_t *b, size_t len)
{
	uint64_t x, y;
	size_t i = 0;

	if (is_same(a, b, len))
		return true;
	for (; i + sizeof(x) <= len; i += sizeof(x)) {
		memcpy(&x, a + i, sizeof(x));
		memcpy(&y, b + i, sizeof(y));
		if (x != y && fold_eight(x) != fold_eight(y))
			return false;
	}
	for (; i < len; i++)
		if (fold[a[i]] != fold[b[i]])
			return false;
	return true;
}

bool name_is_equal(const uint8_t *a, const uint8_t *b)
{
	size_t len = name_len(a);

	return len == name_len(b) && is_equal_folded(a, b, len);
}

bool name_label_is_equal(const uint8_t *a, const uint8_t *b)
{
	return *a == *b && is_equal_folded(a + 1, b + 1, *a);
}

bool name_ends_with(const uint8_t *name, size_t len, const uint8_t *parent, size_t parent_len)
{
	while (len > parent_len) {
		len -= 1u + *name;
		name += 1 + *name;
	}
	return len == parent_len && is_equal_folded(name, parent, len);
}

bool name_is_at_or_below(const uint8_t *name, const uint8_t *parent)
{
	return name_ends_with(name, name_len(name), parent, name_len(parent));
}

void name_lower(uint8_t *name)
{
	size_t len = name_len(name), i = 0;

	for (uint64_t bytes; i + sizeof(bytes) <= len; i += sizeof(bytes)) {
		memcpy(&bytes, name + i, sizeof(bytes));
		bytes = fold_eight(bytes);
		memcpy(name + i, &bytes, sizeof(bytes));
	}
	for (; i < len; i++)
		name[i] = fold[name[i]];
}

/* Where each label starts, the leftmost first; returns how many. */
static inline unsigned label_starts(const uint8_t *name, uint8_t start[NAME_LABELS_MAX])
{
	unsigned count = 0, at = 0;

	for (; name[at]; at += 1u + name[at])
		start[count++] = (uint8_t)at;
	return count;
}

/* Two labels as octet strings, letters folded, absence before any byte. */
static int label_compare(const uint8_t *a, const uint8_t *b)
{
	size_t shared = smaller(*a, *b);

	for (size_t i = 1; i <= shared; i++)
		if (fold[a[i]] != fold[b[i]])
			return fold[a[i]] - fold[b[i]];
	return *a - *b;
}

int name_compare(const uint8_t *a, const uint8_t *b)
{
	uint8_t a_start[NAME_LABELS_MAX], b_start[NAME_LABELS_MAX];
	unsigned a_count = label_starts(a, a_start), b_count = label_starts(b, b_start);

	while (a_count > 0 && b_count > 0) {
		int order = label_compare(a + a_start[--a_count], b + b_start[--b_count]);

		if (order)
			return order;
	}
	return (int)a_count - (int)b_count;	/* an ancestor comes before what is below it */
}

/* The byte that `*text` (behind its backslash) stands for, or -1. RFC 1035 s.5.1. */
static int unescape(const char **text)
{
	const char *t = *text;

	if (*t == '\0')
		return -1;
	if (*t < '0' || *t > '9') {
		*text = t + 1;
		return (uint8_t)*t;
	}
	int value = 0;

	for (int i = 0; i < 3; i++) {
		if (t[i] < '0' || t[i] > '9')
			return -1;
		value = value * 10 + (t[i] - '0');
	}
	*text = t + 3;
	return value <= 255 ? value : -1;
}

/*
 * One label up to its dot or the end of the text, into `label` (its length byte first).
 * The label's length, or 0 when it is empty, too long, or has a blank in it.
 */
static size_t label_from_text(const char **text, uint8_t label[1 + LABEL_LEN_MAX])
{
	size_t len = 0;

	while (**text && **text != '.') {
		int byte = (uint8_t)*(*text)++;

		if (byte <= ' ' || byte == 0x7f)
			return 0;
		if (byte == '\\')
			byte = unescape(text);
		if (byte < 0 || len == LABEL_LEN_MAX)
			return 0;
		label[1 + len++] = (uint8_t)byte;
	}
	label[0] = (uint8_t)len;
	return len;
}

size_t name_from_text(const char *text, uint8_t name[NAME_LEN_MAX])
{
	size_t len = 0;

	if (*text == '\0')
		return 0;
	if (text[0] == '.' && text[1] == '\0')
		text++;
	while (*text) {
		uint8_t label[1 + LABEL_LEN_MAX];
		size_t label_len = label_from_text(&text, label);

		if (label_len == 0 || len + 1 + label_len + 1 > NAME_LEN_MAX)
			return 0;
		memcpy(name + len, label, 1 + label_len);
		len += 1 + label_len;
		if (*text == '.')
			text++;
	}
	name[len++] = 0;
	return len;
}

static char *byte_to_text(uint8_t byte, char *t)
{
	if (byte <= ' ' || byte > '~') {
		*t++ = '\\';
		*t++ = (char)('0' + byte / 100);
		*t++ = (char)('0' + byte / 10 % 10);
		*t++ = (char)('0' + byte % 10);
		return t;
	}
	if (strchr(".\\\";()@$", byte))
		*t++ = '\\';
	*t++ = (char)byte;
	return t;
}

char *name_to_text(const uint8_t *name, char text[NAME_TEXT_MAX])
{
	char *t = text;

	if (*name == 0)
		*t++ = '.';
	for (; *name; name += 1 + *name) {
		for (uint8_t i = 1; i <= *name; i++)
			t = byte_to_text(name[i], t);
		*t++ = '.';
	}
	*t = '\0';
	return text;
}

/* The steps of some labels, the last one first, to `to`; returns the place behind them. */
static inline uint8_t *put_labels(uint8_t *to, const uint8_t *name, const uint8_t *start, unsigned count)
{
	while (count > 0) {
		const uint8_t *label = name + start[--count];

		/* Both steps are stored always; the next byte writes over an unused one. */
		for (const uint8_t *p = label + 1, *end = p + *label; p < end; p++) {
			uint16_t pair = steps[*p];

			to[0] = (uint8_t)pair;
			to[1] = (uint8_t)(pair >> 8);
			to += 1 + (pair > 0xff);
		}
		*to++ = 0;
	}
	return to;
}

void name_to_key(const uint8_t *name, struct name_key *key)
{
	uint8_t start[NAME_LABELS_MAX];
	unsigned count = label_starts(name, start);

	key->label_count = (uint8_t)count;
	key->len = (uint16_t)(put_labels(key->step, name, start, count) - key->step);
}

void name_to_key_below(const uint8_t *name, size_t above_len, const struct name_key *parent, struct name_key *key)
{
	uint8_t start[NAME_LABELS_MAX], *end;
	unsigned count = 0;

	for (size_t at = 0; at < above_len; at += 1u + name[at])
		start[count++] = (uint8_t)at;
	memcpy(key->step, parent->step, parent->len);
	key->label_count = (uint8_t)(parent->label_count + count);
	end = put_labels(key->step + parent->len, name, start, count);
	key->len = (uint16_t)(end - key->step);
}

unsigned name_key_departure(const struct name_key *a, const struct name_key *b)
{
	unsigned i = 0, len = a->len < b->len ? a->len : b->len;
	uint64_t x, y;

	for (; i + sizeof(x) <= len; i += (unsigned)sizeof(x)) {
		memcpy(&x, a->step + i, sizeof(x));
		memcpy(&y, b->step + i, sizeof(y));
		if (x != y)
			return i + (unsigned)__builtin_ctzll(le64toh(x ^ y)) / 8;
	}
	while (i < len && a->step[i] == b->step[i])
		i++;
	return i;
}

unsigned name_key_labels(const struct name_key *key, unsigned end)
{
	const uint64_t each = 0x0101010101010101u;
	unsigned i = 0, count = 0;
	uint64_t x;

	for (; i + sizeof(x) <= end; i += (unsigned)sizeof(x)) {
		memcpy(&x, key->step + i, sizeof(x));
		/* Steps are small: the top bit of each is set by the sum, but for those that are 0. */
		count += 8 - (unsigned)((((x + 0x7f * each) >> 7 & each) * each) >> 56);
	}
	for (; i < end; i++)
		count += key->step[i] == 0;
	return count;
}

struct name_departure name_key_compare(const struct name_key *key, const uint8_t *name)
{
	uint8_t start[NAME_LABELS_MAX];
	unsigned count = label_starts(name, start), at = 0;

	while (count > 0) {
		const uint8_t *label = name + start[--count];

		for (const uint8_t *p = label + 1, *end = p + *label; p < end; p++) {
			unsigned pair = steps[*p];

			if (name_key_step(key, at) != (pair & 0xff))
				return (struct name_departure){ .at = at, .step = pair & 0xff };
			at++;
			if (pair <= 0xff)
				continue;
			if (name_key_step(key, at) != pair >> 8)
				return (struct name_departure){ .at = at, .step = pair >> 8 };
			at++;
		}
		if (name_key_step(key, at) != 0)
			return (struct name_departure){ .at = at };
		at++;
	}
	return (struct name_departure){ .at = at < key->len ? at : NAME_KEY_MAX, .is_over = true };
}
