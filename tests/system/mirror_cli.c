/* SPDX-License-Identifier: ISC */
/*
 * mirror_cli - the mirror alone, without a proxy around it: for tests.
 *
 * Usage:    mirror_cli -d STATE-DIR [-r REDIS] [-l LEASE-S] [-k NAME:ALGORITHM:SECRET] [-m MAX-RECORDS]
 *                      [-w READERS] -p PRIMARY ... ZONE ...
 *           Events go to stderr. Commands come on stdin, one a line, and each is answered by
 *           lines on stdout, the last of which is "." alone:
 *               status ZONE | refresh ZONE | retransfer ZONE | dump ZONE | wait MS
 *               zones ZONE ... (configures anew) | primary PRIMARY (likewise) | store | quit
 * Threads:  main is control; READERS read the zones all the time, as workers do.
 */
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/clock.h"
#include "cache/dump.h"
#include "cache/event.h"
#include "cache/mirror.h"

enum { ZONES_MAX = 64, READERS_MAX = 8, LINE_MAX_LEN = 8192 };

static struct mirror_conf conf;
static struct mirror_zone_conf template;	/* all but the origin */
static struct mirror_primary primaries[MIRROR_PRIMARIES_MAX];
static struct mirror *mirror;
static struct mirror_zone *slots[ZONES_MAX];
static uint8_t origins[ZONES_MAX][NAME_LEN_MAX];	/* of the slots */
static size_t slot_count;
static _Atomic bool is_over;
static pthread_t readers[READERS_MAX];
static unsigned reader_count;

static void die(const char *what, const char *which)
{
	fprintf(stderr, "mirror_cli: %s: %s\n", what, which);
	exit(2);
}

static void read_key(char *text)
{
	struct mirror_primary *p = &primaries[0];
	char *save, *name = strtok_r(text, ":", &save), *algorithm = strtok_r(NULL, ":", &save);

	if (!name || !algorithm || name_from_text(name, p->key.name) == 0 || !tsig_is_algorithm(algorithm) ||
	    !tsig_key_set_secret(&p->key, save))
		die("bad key", text);
	snprintf(p->key.algorithm, sizeof(p->key.algorithm), "%s", algorithm);
	p->has_key = true;
}

static void read_primary(const char *text)
{
	struct mirror_primary *p = &primaries[template.primary_count];

	if (template.primary_count == MIRROR_PRIMARIES_MAX || !address_from_text(text, 53, &p->address))
		die("bad primary", text);
	if (template.primary_count++ > 0) {
		p->has_key = primaries[0].has_key;
		p->key = primaries[0].key;
	}
}

static void read_redis(const char *text)
{
	struct redis_conf *r = &conf.store.redis;

	if (!address_unix_from_text(text, &r->address) && !address_from_text(text, 6379, &r->address))
		die("bad Redis", text);
	r->connect_ms = 1000;
	r->command_ms = 30000;		/* how long a Redis may be mute is for others to ask */
	r->queue_max = 64 << 20;
	conf.has_redis = true;
}

static void read_options(int argc, char **argv)
{
	int option;

	conf.store.lease_s = 10;
	conf.turns = (struct turns_limits){ 64, 10 };
	template.timeout_us = 1800 * US_PER_S;
	template.stream_limits.idle_us = 15 * US_PER_S;
	snprintf(conf.store.prefix, sizeof(conf.store.prefix), "understudy");
	snprintf(conf.store.instance, sizeof(conf.store.instance), "cli-%d", getpid());
	while ((option = getopt(argc, argv, "d:r:l:k:m:w:p:K:g:")) != -1) {
		switch (option) {
		case 'd': snprintf(conf.state_dir, sizeof(conf.state_dir), "%s", optarg); break;
		case 'r': read_redis(optarg); break;
		case 'l': conf.store.lease_s = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'k': read_key(optarg); break;
		case 'm': template.max_records = strtoul(optarg, NULL, 10); break;
		case 'K': template.keep = (unsigned)strtoul(optarg, NULL, 10) % (MIRROR_KEEP_MAX + 1); break;
		case 'g': template.grace_us = strtoul(optarg, NULL, 10) * US_PER_S; break;
		case 'w': reader_count = (unsigned)strtoul(optarg, NULL, 10) % (READERS_MAX + 1); break;
		case 'p': read_primary(optarg); break;
		default: exit(2);
		}
	}
}

static void configure(char *const *names, size_t count)
{
	static struct mirror_zone_conf zones[ZONES_MAX];

	if (count > ZONES_MAX)
		die("too many zones", "64 at most");
	template.primaries = primaries;
	for (size_t i = 0; i < count; i++) {
		zones[i] = template;
		zones[i].origin = origins[i];
		if (name_from_text(names[i], origins[i]) == 0)
			die("bad zone", names[i]);
		name_lower(origins[i]);
	}
	mirror_configure(mirror, zones, count, slots);
	slot_count = count;
}

/* ---- Readers ---- */

static void *read_zones(void *arg)
{
	uint64_t sum = 0;

	(void)arg;
	rcu_thread_start();
	while (!atomic_load(&is_over)) {
		for (size_t i = 0; i < slot_count; i++) {
			const struct generation *g = mirror_zone_servable(slots[i]);

			if (g)
				sum += g->soa.serial + g->records + node_name(g->apex)[0];
		}
		rcu_sleep();
		usleep(100);
		rcu_wake();
	}
	rcu_thread_stop();
	return (void *)(uintptr_t)(sum & 1);
}

static void start_readers(void)
{
	for (unsigned i = 0; i < reader_count; i++)
		pthread_create(&readers[i], NULL, read_zones, NULL);
}

static void stop_readers(void)
{
	atomic_store(&is_over, true);
	rcu_sleep();
	for (unsigned i = 0; i < reader_count; i++)
		pthread_join(readers[i], NULL);
	rcu_wake();
	atomic_store(&is_over, false);
}

/* ---- Commands ---- */

static struct mirror_zone *slot_of(const char *text)
{
	uint8_t name[NAME_LEN_MAX];

	if (text && name_from_text(text, name) > 0)
		for (size_t i = 0; i < slot_count; i++)
			if (name_is_equal(origins[i], name))
				return slots[i];
	return NULL;
}

static const uint8_t *origin_of(const struct mirror_zone *z)
{
	size_t i = 0;

	while (slots[i] != z)
		i++;
	return origins[i];
}

static void print_status(struct mirror_zone *z)
{
	struct mirror_zone_status s;
	char origin[NAME_TEXT_MAX];

	mirror_zone_status(mirror, z, &s);
	printf("origin=%s is_held=%d is_servable=%d is_transferring=%d has_lease=%d serial=%" PRIu32
	       " generation=%" PRIu64 " records=%" PRIu64 " refreshed_at=%" PRIu64 " expires_at=%" PRIu64
	       " next_refresh_s=%" PRIu64 " saved_generation=%" PRIu64 " hold=%d has_newer=%d newer_serial=%" PRIu32
	       " holder=\"%s\" source=\"%s\" last_error=\"%s\"\n",
	       name_to_text(origin_of(z), origin), s.is_held, s.is_servable, s.is_transferring, s.has_lease, s.serial, s.generation,
	       s.records, s.refreshed_at, s.expires_at, s.next_refresh_s, s.saved_generation,
	       s.hold, s.has_newer, s.newer_serial, s.lease_holder, s.source,
	       s.last_error);
}

static void print_zone(struct mirror_zone *z)
{
	const struct generation *g = rcu_read(z->current);
	struct dump *d;
	const char *text;
	size_t len;

	if (!g)
		return;
	d = dump_new(g);
	while ((text = dump_next(d, 4096, &len)))
		fwrite(text, 1, len, stdout);
	dump_free(d);
}

static void print_store(void)
{
	char reason[160];
	bool is_up, is_there = mirror_store_status(mirror, &is_up, reason);

	printf("is_there=%d is_up=%d reason=\"%s\"\n", is_there, is_up, reason);
}

static void print_generations(struct mirror_zone *z)
{
	struct mirror_generation list[MIRROR_KEEP_MAX + 1];
	unsigned count = mirror_generations(mirror, z, list);

	for (unsigned i = 0; i < count; i++)
		printf("number=%" PRIu64 " serial=%" PRIu32 " copy_of=%" PRIu64 " source=%s\n", list[i].number,
		       list[i].serial, list[i].copy_of, list[i].source);
}

/* Waits until the mirror has obeyed, so that a test need not. */
static void roll_back(struct mirror_zone *z, const char *text)
{
	struct mirror_which which = { .may_be_generation = text && *text == 'g',
				      .may_be_serial = text && *text == 's' };

	if (text && strpbrk(text, "0123456789"))
		which.number = strtoull(strpbrk(text, "0123456789"), NULL, 10);
	if (text && *text == 'x')
		which.may_be_generation = which.may_be_serial = true;
	printf("%d\n", mirror_roll_back(mirror, z, &which));
}

static void reconfigure(char *text)
{
	char *names[ZONES_MAX], *save;
	size_t count = 0;

	for (char *word = strtok_r(text, " \n", &save); word && count < ZONES_MAX;
	     word = strtok_r(NULL, " \n", &save))
		names[count++] = word;
	stop_readers();
	configure(names, count);
	mirror_forget_left(mirror);
	start_readers();
}

static void change_primary(const char *text)
{
	char zones[LINE_MAX_LEN] = "";

	template.primary_count = 0;
	read_primary(text ? text : "");
	for (size_t i = 0; i < slot_count; i++) {
		char name[NAME_TEXT_MAX];
		size_t len = strlen(zones);

		snprintf(zones + len, sizeof(zones) - len, "%s ", name_to_text(origins[i], name));
	}
	reconfigure(zones);
}

/* False to quit. */
static bool obey(char *line)
{
	char *save, *verb = strtok_r(line, " \n", &save), *word;
	struct mirror_zone *z;

	if (!verb || strcmp(verb, "quit") == 0)
		return false;
	if (strcmp(verb, "zones") == 0) {
		reconfigure(save);
		return true;
	}
	word = strtok_r(NULL, " \n", &save);
	if (strcmp(verb, "primary") == 0) {
		change_primary(word);
		return true;
	}
	z = slot_of(word);
	if (strcmp(verb, "store") == 0)
		print_store();
	else if (strcmp(verb, "wait") == 0)
		printf("%d\n", mirror_wait_loaded(mirror, word ? (unsigned)strtoul(word, NULL, 10) : 0));
	else if (!z)
		printf("no such zone\n");
	else if (strcmp(verb, "status") == 0)
		print_status(z);
	else if (strcmp(verb, "dump") == 0)
		print_zone(z);
	else if (strcmp(verb, "refresh") == 0)
		mirror_refresh(mirror, z);
	else if (strcmp(verb, "retransfer") == 0)
		mirror_retransfer(mirror, z);
	else if (strcmp(verb, "generations") == 0)
		print_generations(z);
	else if (strcmp(verb, "hold") == 0)
		printf("%d\n", mirror_hold(mirror, z));
	else if (strcmp(verb, "accept") == 0)
		printf("%d\n", mirror_accept(mirror, z));
	else if (strcmp(verb, "rollback") == 0)
		roll_back(z, strtok_r(NULL, " \n", &save));
	return true;
}

static bool read_line(char line[LINE_MAX_LEN])
{
	bool is_read;

	rcu_sleep();
	is_read = fgets(line, LINE_MAX_LEN, stdin) != NULL;
	rcu_wake();
	return is_read;
}

int main(int argc, char **argv)
{
	char line[LINE_MAX_LEN];

	event_open_log("stderr", EVENT_LOGFMT, EVENT_DEBUG);
	read_options(argc, argv);
	rcu_thread_start();
	mirror = mirror_new(&conf);
	configure(argv + optind, (size_t)(argc - optind));
	mirror_start(mirror);
	start_readers();
	while (read_line(line) && obey(line)) {
		printf(".\n");
		fflush(stdout);
	}
	stop_readers();
	mirror_stop(mirror);
	rcu_thread_stop();
	mirror_free(mirror);
	return 0;
}
