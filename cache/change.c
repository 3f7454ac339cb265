/* SPDX-License-Identifier: ISC */
#include "cache/change.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cache/chunk.h"
#include "cache/dns.h"
#include "cache/memory.h"
#include "cache/wire.h"

/* The two lists grow at the same time, since a difference comes owner by owner. */
struct packer {
	struct change *removed, *added;
	struct chunk_writer removing, adding;
	size_t limit;
};

static void *get_memory(size_t size)
{
	void *p = memory_zeroed(1, size);

	return p;
}

static bool put_part(struct change *list, struct chunk_writer *w, bool is_added)
{
	struct change_part *part = &list->parts[list->count];

	if (w->records == 0)
		return true;
	if (list->count == CHANGE_PARTS_MAX)
		return false;
	chunk_finish(w);
	part->is_added = is_added;
	part->len = w->len;
	part->bytes = get_memory(w->len);
	memcpy(part->bytes, w->bytes, w->len);
	list->count++;
	list->bytes += w->len;
	chunk_start(w);
	return true;
}

static bool pack_record(struct change *list, struct chunk_writer *w, bool is_added,
			const uint8_t *owner, uint16_t type, uint32_t ttl,
			const uint8_t *rdata, uint16_t rdata_len)
{
	if (chunk_add(w, owner, type, ttl, rdata, rdata_len))
		return true;
	if (!put_part(list, w, is_added))
		return false;
	return chunk_add(w, owner, type, ttl, rdata, rdata_len);
}

static bool is_over(const struct packer *p)
{
	return p->removed->bytes + p->added->bytes + p->removing.len + p->adding.len > p->limit;
}

static bool on_removed(const uint8_t *owner, uint16_t type, uint32_t ttl,
		       const uint8_t *rdata, uint16_t rdata_len, void *arg)
{
	struct packer *p = arg;

	return pack_record(p->removed, &p->removing, false, owner, type, ttl, rdata, rdata_len) &&
	       !is_over(p);
}

static bool on_added(const uint8_t *owner, uint16_t type, uint32_t ttl,
		     const uint8_t *rdata, uint16_t rdata_len, void *arg)
{
	struct packer *p = arg;

	return pack_record(p->added, &p->adding, true, owner, type, ttl, rdata, rdata_len) &&
	       !is_over(p);
}

static bool on_differing_name(void *old_leaf, void *new_leaf, void *arg)
{
	size_t *left = arg;

	(void)old_leaf;
	(void)new_leaf;
	return --*left > 0;
}

bool change_is_cheap(const struct generation *old, const struct generation *new)
{
	size_t left = CHANGE_NAMES_MAX;

	if (old->tree.count + new->tree.count + old->nsec3.count + new->nsec3.count < left)
		return true;
	return tree_diff(&old->tree, &new->tree, on_differing_name, &left) &&
	       tree_diff(&old->nsec3, &new->nsec3, on_differing_name, &left);
}

/* Moves the parts of `added` behind those of `removed`. */
static bool join(struct change *removed, struct change *added)
{
	if (removed->count + added->count > CHANGE_PARTS_MAX)
		return false;
	memcpy(&removed->parts[removed->count], added->parts,
	       added->count * sizeof(added->parts[0]));
	removed->count += added->count;
	removed->bytes += added->bytes;
	added->count = 0;
	return true;
}

struct change *change_new(const struct generation *old, const struct generation *new, size_t limit)
{
	struct packer *p;
	struct change *made;

	if (!change_is_cheap(old, new))
		return NULL;
	p = get_memory(sizeof(*p));
	p->limit = limit;
	p->removed = get_memory(sizeof(*p->removed));
	p->added = get_memory(sizeof(*p->added));
	chunk_start(&p->removing);
	chunk_start(&p->adding);
	made = p->removed;
	if (!generation_diff(old, new, on_removed, on_added, p) ||
	    !put_part(p->removed, &p->removing, false) || !put_part(p->added, &p->adding, true) ||
	    !join(p->removed, p->added)) {
		change_free(made);
		made = NULL;
	}
	change_free(p->added);
	free(p);
	return made;
}

void change_free(struct change *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->count; i++)
		free(c->parts[i].bytes);
	free(c);
}

/* ---- Playing back ---- */

struct player {
	struct zone_edit *edit;
	bool is_added;
	enum zone_error error;
	uint32_t *serial;
};

static bool play_record(const uint8_t *owner, uint16_t type, uint32_t ttl,
			const uint8_t *rdata, uint16_t rdata_len, void *arg)
{
	struct player *p = arg;

	/* Stored rdata of an SOA: two names, then five numbers, the serial first. */
	if (type == TYPE_SOA && rdata_len >= 20)
		*p->serial = wire_get_u32(rdata + rdata_len - 20);
	p->error = p->is_added ? zone_edit_add(p->edit, owner, type, ttl, rdata, rdata_len)
			       : zone_edit_del(p->edit, owner, type, rdata, rdata_len);
	return p->error == ZONE_OK;
}

const char *change_part_apply(struct zone_edit *edit, bool is_added, const uint8_t *bytes,
			      size_t len, uint32_t *serial)
{
	struct player p = { .edit = edit, .is_added = is_added, .error = ZONE_OK,
			    .serial = serial };
	const char *wrong = chunk_read(bytes, len, play_record, &p);

	return p.error == ZONE_OK ? wrong : zone_error_text(p.error);
}
