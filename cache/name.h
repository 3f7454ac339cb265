/* SPDX-License-Identifier: ISC */
/*
 * name - domain names: on the wire, in text, and in the form that trees are keyed by.
 *
 * Purpose:  parses names from packets (decompressing, failing closed), compares them
 *           as DNS does, and makes the lookup form.
 * Not here: compressing names into a reply (response.c), trees (tree.h).
 * Threads:  any; all functions are pure.
 * Memory:   none. A "name" is uncompressed wire form in the caller's buffer: at most
 *           NAME_LEN_MAX bytes, ending in the root label. Functions that take a name
 *           trust it, since name_parse() or name_from_text() made it.
 * Failure:  parsers return 0 for a bad name (no name has length 0).
 * Spec:     RFC 1035 s.3.1, 4.1.4 and 5.1, RFC 4343 (case), RFC 4034 s.6.1 (order).
 */
#ifndef NAME_H
#define NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wire;

enum {
	NAME_LEN_MAX = 255,	/* RFC 1035 s.2.3.4 */
	NAME_LABELS_MAX = 127,	/* what fits into 255 bytes, the root not counted */
	NAME_TEXT_MAX = 1024,	/* every byte as \DDD, dots and NUL: 1009, rounded */
};

/*
 * Reads a name at `w`, following compression pointers strictly backward, and leaves
 * `w` behind it. Copies it to `name` with its case kept. Returns its length, or 0 with
 * w->bad set: label over 63 or of type 01/10, over 255 bytes, a pointer that is not
 * backward, or an overrun.
 */
size_t name_parse(struct wire *w, uint8_t name[NAME_LEN_MAX]);

/* Length of a name in bytes, its root label included. */
size_t name_len(const uint8_t *name);

/* Labels of a name, the root not counted: "." has 0, "example.com." 2. */
unsigned name_label_count(const uint8_t *name);

/* The name without its first `n` labels; n <= name_label_count(). Points into `name`. */
const uint8_t *name_skip(const uint8_t *name, unsigned n);

/* Equal but for the case of ASCII letters, RFC 4343: whole names, and one label of each. */
bool name_is_equal(const uint8_t *a, const uint8_t *b);
bool name_label_is_equal(const uint8_t *a, const uint8_t *b);

/* True when `name` is `parent` or lies below it. */
bool name_is_at_or_below(const uint8_t *name, const uint8_t *parent);

/* The same for who knows what name_len() of both is. */
bool name_ends_with(const uint8_t *name, size_t len, const uint8_t *parent, size_t parent_len);

/* Folds A-Z to a-z in place. */
void name_lower(uint8_t *name);

/* Canonical DNSSEC order, RFC 4034 s.6.1: negative, zero or positive. */
int name_compare(const uint8_t *a, const uint8_t *b);

/*
 * Text to wire. Takes \DDD and \X escapes; a missing last dot is assumed.
 * Returns the length, or 0 when the text is not a name.
 */
size_t name_from_text(const char *text, uint8_t name[NAME_LEN_MAX]);

/*
 * Wire to text: last dot always, bytes outside printable ASCII as \DDD, and what the
 * master file format, a log line or a shell could take for syntax (. \ " ; ( ) @ $ and
 * white space) escaped. Safe at every sink. Returns `text`.
 */
char *name_to_text(const uint8_t *name, char text[NAME_TEXT_MAX]);

/*
 * The lookup form: labels from the root, letters folded, each byte as one or two steps
 * in 1 .. NAME_STEPS-1 (one for what host names hold), each label closed by step 0.
 * Comparing steps compares names in canonical order, and the form of a name is a prefix
 * of its descendants' forms.
 * Reading a step at or past `len` must be taken as 0: use name_key_step().
 */
enum { NAME_STEPS = 48, NAME_KEY_MAX = 512 };

struct name_key {
	uint16_t len;
	uint8_t label_count;
	uint8_t step[NAME_KEY_MAX];	/* step[0 .. len-1] */
};

void name_to_key(const uint8_t *name, struct name_key *key);

/* The same, cheaper, for a name below another, whose key is known: `above_len` bytes of it come before that. */
void name_to_key_below(const uint8_t *name, size_t above_len, const struct name_key *parent, struct name_key *key);

/* The first step that differs; the shorter one's length when that is how the other begins. */
unsigned name_key_departure(const struct name_key *a, const struct name_key *b);

/* How many labels are over before step `end`, which is at most the key's length. */
unsigned name_key_labels(const struct name_key *key, unsigned end);

static inline unsigned name_key_step(const struct name_key *key, size_t at)
{
	return at < key->len ? key->step[at] : 0;
}

/* Where the lookup form of a name departs from a key. */
struct name_departure {
	unsigned at;	/* the first step that differs; NAME_KEY_MAX: none does */
	unsigned step;	/* the name's at that place */
	bool is_over;	/* nothing is left of the name there: it is the key's, or an ancestor's */
};

/* As name_to_key() and comparing steps, but no further than it has to go. */
struct name_departure name_key_compare(const struct name_key *key, const uint8_t *name);

#endif
