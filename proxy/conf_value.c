/* SPDX-License-Identifier: ISC */
#include "proxy/conf_value.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cache/clock.h"
#include "proxy/conf_addresses.h"
#include "proxy/conf_guess.h"
#include "proxy/conf_program.h"
#include "proxy/conf_quantity.h"
#include "proxy/conf_tls.h"

#define HEX_DIGITS "0123456789abcdefABCDEF"

/* What a setter works on. */
struct setting {
	const struct conf_row *row;
	const char *text;
	struct conf *conf;
	void *field;
	char *problem;		/* CONF_PROBLEM_MAX bytes */
};

__attribute__((format(printf, 2, 3)))
static bool fail(const struct setting *s, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(s->problem, CONF_PROBLEM_MAX, format, args);
	va_end(args);
	return false;
}

/* ---- Numbers, times, sizes ---- */

static bool store(const struct setting *s, uint64_t n)
{
	if (s->row->size == sizeof(uint64_t)) {
		memcpy(s->field, &n, sizeof(n));
	} else {
		assert(s->row->size == sizeof(unsigned) && n <= UINT32_MAX);
		unsigned small = (unsigned)n;

		memcpy(s->field, &small, sizeof(small));
	}
	return true;
}

static bool check_range(const struct setting *s, uint64_t n)
{
	char range[128];

	if (n >= s->row->min && n <= s->row->max)
		return true;
	conf_range_text(s->row, range, sizeof(range));
	return fail(s, "%s = %.40s is out of range: it must be in %s", s->row->name, s->text,
		    range);
}

static bool set_number(const struct setting *s)
{
	uint64_t n;

	if (!conf_number_parse(s->text, &n))
		return fail(s, "%s = '%.40s' is no number: write digits only", s->row->name,
			    s->text);
	return check_range(s, n) && store(s, n);
}

static bool set_duration(const struct setting *s)
{
	uint64_t n;

	if (conf_number_parse(s->text, &n))
		return fail(s, "%s = %.20s has no unit: write \"%.20ss\" for seconds or "
			    "\"%.20sms\" for milliseconds", s->row->name, s->text, s->text, s->text);
	if (!conf_duration_parse(s->text, &n))
		return fail(s, "%s = '%.40s' is no duration: write a whole number and us, ms, s, m, h "
			    "or d, as in \"500ms\"", s->row->name, s->text);
	return check_range(s, n) && store(s, s->row->size == sizeof(unsigned) ? n / US_PER_MS : n);
}

static bool set_size(const struct setting *s)
{
	uint64_t n;

	if (!conf_size_parse(s->text, &n))
		return fail(s,
			    "%s = '%.40s' is no size: write a whole number and k, M or G, as in "
			    "\"64M\"",
			    s->row->name, s->text);
	return check_range(s, n) && store(s, n);
}

static bool set_bool(const struct setting *s)
{
	static const struct conf_word words[] = {
		{ "true", 1 }, { "false", 0 }, { "yes", 1 }, { "no", 0 }, { "on", 1 }, { "off", 0 },
		{ NULL, 0 }
	};

	for (const struct conf_word *w = words; w->text; w++) {
		if (strcmp(w->text, s->text) == 0) {
			*(bool *)s->field = w->value;
			return true;
		}
	}
	return fail(s, "%s = '%.40s' is neither true nor false: write one of them",
		    s->row->name, s->text);
}

/* ---- Words ---- */

static const struct conf_word *word_find(const struct setting *s)
{
	char mend[128];

	for (const struct conf_word *w = s->row->words; w->text; w++)
		if (strcmp(w->text, s->text) == 0)
			return w;
	conf_word_mend(s->row->words, s->text, mend, sizeof(mend));
	fail(s, "%s = '%.40s' is not known: %s", s->row->name, s->text, mend);
	return NULL;
}

static bool set_word(const struct setting *s)
{
	const struct conf_word *w = word_find(s);

	return w && store(s, w->value);
}

static bool set_words(const struct setting *s)
{
	const struct conf_word *w = word_find(s);

	if (w)
		*(unsigned *)s->field |= w->value;
	return w != NULL;
}

/* "hold", "accept", or "accept-after" and a duration. */
static bool set_regression(const struct setting *s)
{
	static const char after[] = "accept-after ";
	struct conf_regression r = { .policy = REGRESS_HOLD };
	struct setting duration = *s;
	struct conf_row row = *s->row;

	row.size = sizeof(r.after_us);
	duration.row = &row;
	duration.field = &r.after_us;
	duration.text = s->text + strlen(after);
	if (strncmp(s->text, after, strlen(after)) == 0) {
		r.policy = REGRESS_ACCEPT_AFTER;
		if (!set_duration(&duration))
			return false;
	} else if (strcmp(s->text, "accept") == 0) {
		r.policy = REGRESS_ACCEPT;
	} else if (strcmp(s->text, "hold") != 0) {
		return fail(s, "on-regression = '%.40s' is not known: write \"hold\", \"accept\" or "
			    "\"accept-after 1h\"", s->text);
	}
	memcpy(s->field, &r, sizeof(r));
	return true;
}

/* ---- Addresses ---- */

static bool fail_address(const struct setting *s, const char *kinds)
{
	bool is_name = strpbrk(s->text, "ghijklmnopqrstuvwxyzGHIJKLMNOPQRSTUVWXYZ") != NULL &&
		       strncmp(s->text, "unix:", 5) != 0;

	return fail(s, "%s = '%.80s' is %s: write %s", s->row->name, s->text, is_name
		    ? "a host name, which we might have to resolve through ourselves" : "no address", kinds);
}

static bool parse_address(const struct setting *s, struct address *a)
{
	return address_from_text(s->text, (uint16_t)s->row->min, a) &&
	       (address_port(a) != 0 || s->row->min == 0);
}

static bool set_address(const struct setting *s)
{
	struct address a;

	if (!parse_address(s, &a))
		return fail_address(s, "an IP address and port, as in \"192.0.2.53:53\" or "
				       "\"[2001:db8::53]:53\"");
	if (address_is_any(&a))
		return fail(s,
			    "%s = '%.80s' means all addresses: write the one that is to be asked",
			    s->row->name, s->text);
	memcpy(s->field, &a, sizeof(a));
	return true;
}

static bool set_redis_address(const struct setting *s)
{
	if (address_unix_from_text(s->text, s->field) || parse_address(s, s->field))
		return true;
	return fail_address(s,
			    "\"unix:/PATH\" or an IP address and port, as in \"127.0.0.1:6379\"");
}

static bool set_sentinels(const struct setting *s)
{
	struct address a;

	if (!parse_address(s, &a))
		return fail_address(s, "an IP address and port, as in \"192.0.2.1:26379\"");
	return conf_sentinel_add(s->field, &a, s->problem);
}

static bool set_listen(const struct setting *s)
{
	struct address a;

	if (!parse_address(s, &a))
		return fail_address(
			s, "IP addresses and ports, as in \"192.0.2.1:53\" or \"[::]:53\"");
	return conf_listen_add(s->conf, &a, s->problem);
}

/* ---- Texts and files ---- */

static bool set_text(const struct setting *s)
{
	size_t len = strlen(s->text);

	if (len < s->row->min)
		return fail(s, "%s is empty: give it a value or leave it out", s->row->name);
	if (len >= s->row->size)
		return fail(s, "%s is too long: at most %zu bytes", s->row->name, s->row->size - 1);
	memcpy(s->field, s->text, len + 1);
	return true;
}

/* Braces mark hash tags in our keys, so the prefix must be free of them. */
static bool set_prefix(const struct setting *s)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:-";

	if (!*s->text || s->text[strspn(s->text, allowed)])
		return fail(s, "%s = '%.40s' is no prefix: use letters, digits and _ . : - only",
			    s->row->name, s->text);
	return set_text(s);
}

/* The first line without its end; what is wrong with it is said. */
static bool read_first_line(const struct setting *s, char *line, size_t room)
{
	FILE *f = fopen(s->text, "re");
	bool is_read = f && fgets(line, (int)room, f);
	const char *why = !f || ferror(f) ? strerror(errno) : "it is empty";

	if (f)
		fclose(f);
	if (is_read)
		line[strcspn(line, "\r\n")] = '\0';
	if (is_read && *line)
		return true;
	return fail(s, "%s: %.200s cannot be read: %s", s->row->name, s->text,
		    is_read ? "its first line is empty" : why);
}

static bool set_text_file(const struct setting *s)
{
	char line[1024];
	struct setting inner = *s;
	bool is_ok = read_first_line(s, line, sizeof(line));

	inner.text = line;
	is_ok = is_ok && set_text(&inner);
	explicit_bzero(line, sizeof(line));
	return is_ok;
}

/* "0x" and pairs of digits. False: none, half a one, or more than fit. */
static bool bytes_from_hex(const char *hex, struct conf_bytes *b)
{
	for (b->len = 0; *hex; hex += 2) {
		const char pair[3] = { hex[0], hex[1], '\0' };

		if (b->len == sizeof(b->bytes) || pair[strspn(pair, HEX_DIGITS)] || !pair[1])
			return false;
		b->bytes[b->len++] = (uint8_t)strtoul(pair, NULL, 16);
	}
	return b->len > 0;
}

static bool set_bytes(const struct setting *s)
{
	struct conf_bytes b = { 0 };
	size_t len = strlen(s->text);

	if (strncmp(s->text, "0x", 2) == 0) {
		if (!bytes_from_hex(s->text + 2, &b))
			return fail(s, "%s = '%.40s' is not 1 to %zu bytes in hexadecimal: write "
				    "two digits for each behind 0x",
				    s->row->name, s->text, sizeof(b.bytes));
	} else if (len > sizeof(b.bytes)) {
		return fail(s, "%s is too long: at most %zu bytes", s->row->name, sizeof(b.bytes));
	} else {
		memcpy(b.bytes, s->text, len);
		b.len = (uint8_t)len;
	}
	memcpy(s->field, &b, sizeof(b));
	return true;
}

static bool set_cookie_file(const struct setting *s)
{
	char problem[CONF_PROBLEM_MAX - 64];

	if (cookie_secrets_read(s->field, s->text, problem, sizeof(problem)))
		return true;
	return fail(s, "%s: %s", s->row->name, problem);
}

static bool set_program(const struct setting *s)
{
	return conf_program_set(s->field, s->row->name, s->text, s->problem);
}

/* ---- Keys ---- */

/* The field of these rows is a member of the key; the whole key is what is set. */
static struct tsig_key *key_of(const struct setting *s)
{
	return (struct tsig_key *)((char *)s->field - s->row->offset);
}

static bool set_algorithm(const struct setting *s)
{
	if (!tsig_is_algorithm(s->text))
		return fail(s, "algorithm = '%.40s' is not known: one of hmac-sha1 hmac-sha224 "
			    "hmac-sha256 hmac-sha384 hmac-sha512", s->text);
	return set_text(s);
}

static bool set_secret(const struct setting *s)
{
	if (!tsig_key_set_secret(key_of(s), s->text))
		return fail(
			s, "%s is no base64 of 1 to %d bytes: copy it again from the primary's key",
			s->row->name, TSIG_SECRET_MAX);
	return true;
}

static bool set_secret_file(const struct setting *s)
{
	char line[1024];
	struct setting inner = *s;
	bool is_ok = read_first_line(s, line, sizeof(line));

	inner.text = line;
	is_ok = is_ok && set_secret(&inner);
	explicit_bzero(line, sizeof(line));
	return is_ok;
}

/* ---- Names of other sections ---- */

const struct tsig_key *conf_key_find(const struct conf *c, const uint8_t *name)
{
	for (size_t i = 0; i < c->key_count; i++)
		if (name_is_equal(c->keys[i].name, name))
			return &c->keys[i];
	return NULL;
}

const struct conf_pool *conf_pool_find(const struct conf *c, const char *name)
{
	for (size_t i = 0; i < c->pool_count; i++)
		if (strcmp(c->pools[i].name, name) == 0)
			return &c->pools[i];
	return NULL;
}

static bool set_key(const struct setting *s)
{
	uint8_t name[NAME_LEN_MAX];
	const struct tsig_key *key =
		name_from_text(s->text, name) ? conf_key_find(s->conf, name) : NULL;

	if (!key)
		return fail(s, "there is no key '%.80s': add key \"%.80s\" { secret = \"...\" }",
			    s->text, s->text);
	memcpy(s->field, &key, sizeof(key));
	return true;
}

static bool set_pool(const struct setting *s)
{
	const struct conf_pool *pool = conf_pool_find(s->conf, s->text);

	if (!pool)
		return fail(s, "there is no pool '%.63s': add pool \"%.63s\" { ... }", s->text,
			    s->text);
	memcpy(s->field, &pool, sizeof(pool));
	return true;
}

static bool set_allow(const struct setting *s)
{
	struct conf_allow entry;

	if (!conf_allow_parse(s->row->name, s->text, s->conf, &entry, s->problem))
		return false;
	conf_allow_add(s->field, &entry);
	return true;
}

static bool value_set(const struct setting *s)
{
	switch (s->row->type) {
	case CONF_NUMBER:	return set_number(s);
	case CONF_DURATION:	return set_duration(s);
	case CONF_SIZE:		return set_size(s);
	case CONF_BOOL:		return set_bool(s);
	case CONF_ADDRESS:	return set_address(s);
	case CONF_REDIS_ADDRESS: return set_redis_address(s);
	case CONF_SENTINELS:	return set_sentinels(s);
	case CONF_LISTEN:	return set_listen(s);
	case CONF_INTERFACES:	return conf_interface_add(s->field, s->text, s->problem);
	case CONF_TEXT:		return set_text(s);
	case CONF_PREFIX:	return set_prefix(s);
	case CONF_TEXT_FILE:	return set_text_file(s);
	case CONF_BYTES:	return set_bytes(s);
	case CONF_COOKIE_FILE:	return set_cookie_file(s);
	case CONF_PROGRAM:	return set_program(s);
	case CONF_WORD:		return set_word(s);
	case CONF_REGRESSION:	return set_regression(s);
	case CONF_WORDS:	return set_words(s);
	case CONF_POOL:		return set_pool(s);
	case CONF_KEY:		return set_key(s);
	case CONF_ALLOW:	return set_allow(s);
	case CONF_NAMES:
		return conf_names_add(s->field, s->text) ||
		       fail(s, "%s = '%.80s' is no domain name: write it as in \"example.com\"",
			    s->row->name, s->text);
	case CONF_ALGORITHM:	return set_algorithm(s);
	case CONF_SECRET:	return set_secret(s);
	case CONF_SECRET_FILE:	return set_secret_file(s);
	case CONF_TLS_NAME:
	case CONF_TLS_FILE:
	case CONF_PIN:
		return conf_tls_set(s->row, s->text, s->field, s->problem, CONF_PROBLEM_MAX);
	}
	abort();
}

bool conf_value_set(const struct conf_row *row, const char *text, struct conf *conf, void *object,
		    char problem[CONF_PROBLEM_MAX])
{
	const struct setting s = {
		.row = row, .text = text, .conf = conf,
		.field = (char *)object + row->offset, .problem = problem,
	};

	return value_set(&s);
}
