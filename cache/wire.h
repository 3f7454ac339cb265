/* SPDX-License-Identifier: ISC */
/*
 * wire - bounded cursors over a packet, one to read and one to write.
 *
 * Purpose:  straight-line parsing and writing with one check at the end. The first
 *           overrun sticks in `bad` (reading) or `full` (writing); later calls do
 *           nothing and give zero, so no caller can run past the end.
 * Not here: names (name.h), whole messages (message.h).
 * Threads:  any; a cursor belongs to its caller.
 * Memory:   none; cursors borrow the caller's buffer.
 * Spec:     RFC 1035 s.2.3.2: integers travel in network order.
 */
#ifndef WIRE_H
#define WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * As memcpy(3), for the few bytes that names and records are: where a compiler knows that they
 * are few, it puts a string instruction there, which takes longer to begin than they take.
 */
static inline void wire_copy(uint8_t *to, const uint8_t *from, size_t len)
{
	uint64_t last;

	if (len < sizeof(last)) {
		for (size_t i = 0; i < len; i++)
			to[i] = from[i];
		return;
	}
	memcpy(&last, from + len - sizeof(last), sizeof(last));
	for (size_t i = 0; i + sizeof(last) <= len; i += sizeof(last))
		memcpy(to + i, from + i, sizeof(last));
	memcpy(to + len - sizeof(last), &last, sizeof(last));
}

static inline uint16_t wire_get_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t wire_get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint64_t wire_get_u64(const uint8_t *p)
{
	return (uint64_t)wire_get_u32(p) << 32 | wire_get_u32(p + 4);
}

static inline void wire_put_u16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void wire_put_u32(uint8_t *p, uint32_t v)
{
	wire_put_u16(p, (uint16_t)(v >> 16));
	wire_put_u16(p + 2, (uint16_t)v);
}

static inline void wire_put_u64(uint8_t *p, uint64_t v)
{
	wire_put_u32(p, (uint32_t)(v >> 32));
	wire_put_u32(p + 4, (uint32_t)v);
}

/* Reading. `pos` never passes `len`. */
struct wire {
	const uint8_t *base;
	size_t len, pos;
	bool bad;
};

static inline struct wire wire_over(const uint8_t *base, size_t len)
{
	return (struct wire){ .base = base, .len = len };
}

static inline size_t wire_left(const struct wire *w)
{
	return w->bad ? 0 : w->len - w->pos;
}

static inline bool wire_need(struct wire *w, size_t n)
{
	if (!w->bad && w->len - w->pos >= n)
		return true;
	w->bad = true;
	return false;
}

static inline uint8_t wire_u8(struct wire *w)
{
	return wire_need(w, 1) ? w->base[w->pos++] : 0;
}

static inline uint16_t wire_u16(struct wire *w)
{
	if (!wire_need(w, 2))
		return 0;
	w->pos += 2;
	return wire_get_u16(w->base + w->pos - 2);
}

static inline uint32_t wire_u32(struct wire *w)
{
	if (!wire_need(w, 4))
		return 0;
	w->pos += 4;
	return wire_get_u32(w->base + w->pos - 4);
}

static inline uint64_t wire_u64(struct wire *w)
{
	uint64_t high = wire_u32(w);

	return high << 32 | wire_u32(w);
}

/* The next `n` bytes, or NULL when there are fewer. */
static inline const uint8_t *wire_bytes(struct wire *w, size_t n)
{
	if (!wire_need(w, n))
		return NULL;
	w->pos += n;
	return w->base + w->pos - n;
}

static inline void wire_skip(struct wire *w, size_t n)
{
	if (wire_need(w, n))
		w->pos += n;
}

/* Writing. `len` never passes `cap`; a write that does not fit writes nothing. */
struct wire_out {
	uint8_t *base;
	size_t cap, len;
	bool full;
};

static inline struct wire_out wire_into(uint8_t *base, size_t cap)
{
	return (struct wire_out){ .base = base, .cap = cap };
}

/* Space for `n` bytes that the caller fills, or NULL when they do not fit. */
static inline uint8_t *wire_room(struct wire_out *o, size_t n)
{
	if (o->full || o->cap - o->len < n) {
		o->full = true;
		return NULL;
	}
	o->len += n;
	return o->base + o->len - n;
}

static inline void wire_add_u8(struct wire_out *o, uint8_t v)
{
	uint8_t *p = wire_room(o, 1);

	if (p)
		*p = v;
}

static inline void wire_add_u16(struct wire_out *o, uint16_t v)
{
	uint8_t *p = wire_room(o, 2);

	if (p)
		wire_put_u16(p, v);
}

static inline void wire_add_u32(struct wire_out *o, uint32_t v)
{
	uint8_t *p = wire_room(o, 4);

	if (p)
		wire_put_u32(p, v);
}

static inline void wire_add_u64(struct wire_out *o, uint64_t v)
{
	uint8_t *p = wire_room(o, 8);

	if (p)
		wire_put_u64(p, v);
}

static inline void wire_add_bytes(struct wire_out *o, const void *from, size_t n)
{
	uint8_t *p = wire_room(o, n);

	if (p && n > 0)
		memcpy(p, from, n);
}

/* The same, quicker when they are as few as in a name. */
static inline void wire_add_few(struct wire_out *o, const uint8_t *from, size_t n)
{
	uint8_t *p = wire_room(o, n);

	if (p)
		wire_copy(p, from, n);
}

#endif
