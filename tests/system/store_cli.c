/* SPDX-License-Identifier: ISC */
/*
 * store_cli - the store alone, driven line by line: for tests with a real or a hostile Redis.
 *
 * Usage:    store_cli REDIS PREFIX INSTANCE COMMAND_MS [USER PASSWORD [DATABASE]]
 *           REDIS is unix:PATH or IP:PORT
 * Input:    zone N ORIGIN NUMBER FILE    reads a zone file as generation NUMBER into slot N
 *           edit N M NUMBER FILE         slot N as slot M was (shared) with FILE's difference
 *           save N OLD                   OLD is a slot or -
 *           touch N SECONDS              refreshed_at
 *           follow N M                   from slot N by changes into slot M
 *           want ORIGIN SERIAL
 *           order ORIGIN                 the next save goes over a newer serial
 *           load ORIGIN N | same N M | lease ORIGIN | leave ORIGIN | poll ORIGIN SEEN
 *           forget ORIGIN                it left the configuration
 *           known                        how many zones the store remembers
 *           idle                         answers when nothing is on its way
 *           lag                          the longest turn of the loop since the last lag, in
 *                                        microseconds; without the time in which others ran
 * Output:   up | down REASON | saved ORIGIN NUMBER REASON | loaded ORIGIN ... | lease ...
 *           | newer ... | holder ... | followed ... | wanted ... | deaf REASON
 */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/clock.h"
#include "cache/rcu.h"
#include "cache/store_parts.h"
#include "tests/unit/fixture.c"

enum { SLOTS = 16, WORDS = 6, EXPIRE_S = 1209600 };

static struct cli {
	struct ev_loop *loop;
	struct store *store;
	struct generation *slots[SLOTS];
	unsigned load_into;
	bool wants_idle;
	uint64_t woke_us, kept_us, longest_us;
	char input[4096];
	size_t input_len;
} cli;

static const char *origin_text(const uint8_t *origin)
{
	static char text[NAME_TEXT_MAX];

	return name_to_text(origin, text);
}

/* ---- What the store tells ---- */

static void on_up(void *arg)
{
	(void)arg;
	printf("up\n");
}

static void on_down(const char *reason, void *arg)
{
	(void)arg;
	printf("down %s\n", reason);
}

static void put_slot(unsigned n, struct generation *g)
{
	generation_free(cli.slots[n]);
	cli.slots[n] = g;
}

static void on_loaded(const uint8_t *origin, struct generation *g, const struct zone_times *times,
		      const char *reason, void *arg)
{
	(void)arg;
	if (!g) {
		printf("loaded %s %s\n", origin_text(origin), reason ? reason : "none");
		return;
	}
	put_slot(cli.load_into, g);
	printf("loaded %s generation %" PRIu64 " serial %u records %zu refreshed %" PRIu64
	       " expires %" PRIu64 "\n", origin_text(origin), g->number, g->soa.serial, g->records,
	       times->refreshed_at, times->expires_at);
}

static void on_saved(const uint8_t *origin, uint64_t generation, const char *reason, void *arg)
{
	(void)arg;
	printf("saved %s %" PRIu64 " %s\n", origin_text(origin), generation, reason ? reason : "well");
}

static void on_lease(const uint8_t *origin, bool is_ours, const char *holder, void *arg)
{
	(void)arg;
	printf("lease %s %s %s\n", origin_text(origin), is_ours ? "ours" : "theirs", holder);
}

static void on_holder(const uint8_t *origin, const char *holder, void *arg)
{
	(void)arg;
	printf("holder %s %s\n", origin_text(origin), holder);
}

static void on_followed(const uint8_t *origin, struct generation *g, const struct zone_times *times,
			const char *reason, void *arg)
{
	(void)arg;
	if (g)
		printf("followed %s generation %" PRIu64 " serial %u\n", origin_text(origin), g->number,
		       g->soa.serial);
	else
		printf("followed %s %s\n", origin_text(origin),
		       reason ? reason : times ? "nothing" : "behind");
	if (g)
		put_slot(cli.load_into, g);
}

static void on_wanted(const uint8_t *origin, uint32_t serial, void *arg)
{
	(void)arg;
	printf("wanted %s %u\n", origin_text(origin), serial);
}

static void on_spoilt(const uint8_t *origin, uint64_t generation, void *arg)
{
	(void)arg;
	printf("spoilt %s %" PRIu64 "\n", origin_text(origin), generation);
}

static void on_deaf(const char *reason, void *arg)
{
	(void)arg;
	printf("deaf %s\n", reason);
}

static void on_newer(const uint8_t *origin, uint64_t generation, void *arg)
{
	(void)arg;
	printf("newer %s %" PRIu64 "\n", origin_text(origin), generation);
}

static void on_older(const uint8_t *origin, uint64_t generation, uint64_t before, void *arg)
{
	(void)arg;
	printf("older %s %" PRIu64 " before %" PRIu64 "\n", origin_text(origin), generation, before);
}

static void on_refusing(const char *reason, void *arg)
{
	(void)arg;
	printf("refusing %s\n", reason ? reason : "no more");
}

static void on_denied(const char *command, const char *reason, void *arg)
{
	(void)arg;
	printf("denied %s %s\n", command, reason);
}

static void on_setting(const struct store_finding *f, bool is_bad, void *arg)
{
	(void)arg;
	printf("%s %s %s\n", is_bad ? "unsafe" : "safe", f->name, f->value);
}

static const struct store_listener listener = {
	.on_up = on_up, .on_down = on_down, .on_loaded = on_loaded, .on_saved = on_saved,
	.on_lease = on_lease, .on_holder = on_holder, .on_newer = on_newer,
	.on_followed = on_followed, .on_wanted = on_wanted, .on_spoilt = on_spoilt,
	.on_deaf = on_deaf,
	.on_older = on_older, .on_refusing = on_refusing, .on_denied = on_denied,
	.on_setting = on_setting,
};

/* ---- What the test asks ---- */

static unsigned slot(const char *text)
{
	unsigned n = (unsigned)strtoul(text, NULL, 10);

	if (n >= SLOTS)
		abort();
	return n;
}

static struct generation *renumber(struct generation *g, uint64_t number)
{
	enum zone_error error;
	struct generation *again =
		zone_edit_finish(zone_edit_new(g->origin, g, 0, 0), number, &error, NULL);

	generation_free(g);
	return again;
}

static struct generation *read_zone(const char *origin, const char *path)
{
	FILE *file = fopen(path, "r");

	if (!file) {
		perror(path);
		abort();
	}
	struct generation *g = fixture_zone_from_file(origin, file);

	fclose(file);
	return g;
}

static void command_zone(char **word)
{
	put_slot(slot(word[1]), renumber(read_zone(word[2], word[4]), strtoull(word[3], NULL, 10)));
}

static bool take_out(const uint8_t *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
		     uint16_t rdata_len, void *arg)
{
	(void)ttl;
	return zone_edit_del(arg, owner, type, rdata, rdata_len) == ZONE_OK;
}

static bool put_in(const uint8_t *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
		   uint16_t rdata_len, void *arg)
{
	return zone_edit_add(arg, owner, type, ttl, rdata, rdata_len) == ZONE_OK;
}

/* As an incremental transfer would: shares with the old generation what has not changed. */
static void command_edit(char **word)
{
	const struct generation *old = cli.slots[slot(word[2])];
	struct zone_edit *e = zone_edit_new(old->origin, old, 0, 0);
	char origin[NAME_TEXT_MAX];
	enum zone_error error;
	struct generation *new = read_zone(name_to_text(old->origin, origin), word[4]);

	if (!generation_diff(old, new, take_out, put_in, e))
		abort();
	generation_free(new);
	put_slot(slot(word[1]), zone_edit_finish(e, strtoull(word[3], NULL, 10), &error, NULL));
}

static void command_save(char **word)
{
	uint64_t now = clock_wall_us() / US_PER_S;
	struct zone_times times = { .refreshed_at = now, .expires_at = now + EXPIRE_S };

	store_save(cli.store, cli.slots[slot(word[1])],
		   strcmp(word[2], "-") == 0 ? NULL : cli.slots[slot(word[2])], &times, "192.0.2.53:53");
}

static void command_touch(char **word)
{
	const struct generation *g = cli.slots[slot(word[1])];
	uint64_t at = strtoull(word[2], NULL, 10);
	struct zone_times times = { .refreshed_at = at, .expires_at = at + EXPIRE_S };

	store_touch(cli.store, g->origin, g->number, &times);
}

static bool differs(const uint8_t *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
		    uint16_t rdata_len, void *arg)
{
	(void)owner;
	(void)type;
	(void)ttl;
	(void)rdata;
	(void)rdata_len;
	(void)arg;
	return false;
}

static void command_same(char **word)
{
	const struct generation *a = cli.slots[slot(word[1])], *b = cli.slots[slot(word[2])];

	printf("same %s\n", generation_diff(a, b, differs, differs, NULL) ? "yes" : "no");
}

static void command_lag(char **word)
{
	(void)word;
	printf("lag %" PRIu64 "\n", cli.longest_us);
	cli.longest_us = 0;
}

static void command_idle(char **word)
{
	(void)word;
	cli.wants_idle = true;
}

static bool count_one(void *leaf, void *arg)
{
	(void)leaf;
	++*(size_t *)arg;
	return true;
}

/* How many zones it remembers. */
static void command_known(char **word)
{
	size_t count = 0;

	(void)word;
	tree_walk(&cli.store->zones, count_one, &count);
	printf("known %zu\n", count);
}

static void command_follow(char **word)
{
	cli.load_into = slot(word[2]);
	store_follow(cli.store, cli.slots[slot(word[1])], 0, 0);
}

static void with_origin(char **word)
{
	uint8_t origin[NAME_LEN_MAX];

	name_from_text(word[1], origin);
	if (strcmp(word[0], "load") == 0) {
		cli.load_into = slot(word[2]);
		store_load(cli.store, origin, 0, 0);
	} else if (strcmp(word[0], "lease") == 0) {
		store_take_lease(cli.store, origin);
	} else if (strcmp(word[0], "want") == 0) {
		store_want(cli.store, origin, (uint32_t)strtoul(word[2], NULL, 10));
	} else if (strcmp(word[0], "order") == 0) {
		store_order(cli.store, origin);
	} else if (strcmp(word[0], "leave") == 0) {
		store_leave_lease(cli.store, origin);
	} else if (strcmp(word[0], "forget") == 0) {
		store_forget(cli.store, origin);
	} else {
		store_poll(cli.store, origin, strtoull(word[2], NULL, 10));
	}
}

static const struct command {
	const char *name;
	void (*run)(char **word);
} commands[] = {
	{ "zone", command_zone },   { "edit", command_edit },   { "save", command_save },
	{ "touch", command_touch }, { "same", command_same },   { "lag", command_lag },
	{ "idle", command_idle },   { "load", with_origin },    { "lease", with_origin },
	{ "leave", with_origin },   { "poll", with_origin },	{ "want", with_origin },
	{ "follow", command_follow }, { "order", with_origin }, { "forget", with_origin },
	{ "known", command_known },
};

static void run_line(char *line)
{
	char *word[WORDS] = { 0 }, *at = line;

	for (size_t i = 0; i < WORDS && at; i++)
		word[i] = strsep(&at, " ");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(word[0], commands[i].name) == 0) {
			commands[i].run(word);
			return;
		}
	}
	abort();
}

/* ---- The loop ---- */

/* For how long it has been ready to run and another ran: a busy machine is no fault of the loop. */
static uint64_t kept_waiting_us(void)
{
	static int fd = -1;
	unsigned long long ran, waited;
	char text[100];
	ssize_t n;

	if (fd < 0)
		fd = open("/proc/self/schedstat", O_RDONLY | O_CLOEXEC);
	n = pread(fd, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	return sscanf(text, "%llu %llu", &ran, &waited) == 2 ? waited / 1000 : 0;
}

static void note_waking(void)
{
	cli.kept_us = kept_waiting_us();
	cli.woke_us = clock_monotonic_us();
}

static void note_long_turn(uint64_t turn_us, uint64_t kept_us)
{
	if (turn_us > cli.longest_us + kept_us)
		cli.longest_us = turn_us - kept_us;
}

static void on_input(struct ev_loop *loop, ev_io *w, int revents)
{
	ssize_t n = read(w->fd, cli.input + cli.input_len, sizeof(cli.input) - 1 - cli.input_len);
	char *end;

	(void)revents;
	if (n <= 0) {
		ev_break(loop, EVBREAK_ALL);
		return;
	}
	cli.input_len += (size_t)n;
	cli.input[cli.input_len] = '\0';
	while ((end = strchr(cli.input, '\n'))) {
		*end++ = '\0';
		run_line(cli.input);
		cli.input_len -= (size_t)(end - cli.input);
		memmove(cli.input, end, cli.input_len + 1);
		note_waking();			/* reading zone files is the test's own time */
	}
}

static void on_sleep(struct ev_loop *loop, ev_prepare *w, int revents)
{
	uint64_t turn = clock_monotonic_us() - cli.woke_us;

	(void)loop;
	(void)w;
	(void)revents;
	if (cli.woke_us > 0 && turn > cli.longest_us)
		note_long_turn(turn, kept_waiting_us() - cli.kept_us);
	if (cli.wants_idle && store_is_idle(cli.store)) {
		cli.wants_idle = false;
		printf("idle\n");
	}
}

static void on_wake(struct ev_loop *loop, ev_check *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
	note_waking();
}

static void run(void)
{
	ev_io input;
	ev_prepare sleeping;
	ev_check waking;

	ev_io_init(&input, on_input, STDIN_FILENO, EV_READ);
	ev_io_start(cli.loop, &input);
	ev_prepare_init(&sleeping, on_sleep);
	ev_set_priority(&sleeping, EV_MINPRI);
	ev_prepare_start(cli.loop, &sleeping);
	ev_check_init(&waking, on_wake);
	ev_set_priority(&waking, EV_MAXPRI);
	ev_check_start(cli.loop, &waking);
	ev_run(cli.loop, 0);
}

int main(int argc, char **argv)
{
	static struct store_conf conf = {
		.redis = { .connect_ms = 1000, .queue_max = 64 << 20 },
		.lease_s = 30,
	};

	if (argc < 5 || argc == 6 || argc > 8) {
		fprintf(stderr, "usage: store_cli REDIS PREFIX INSTANCE COMMAND_MS [USER PASSWORD [DATABASE]]\n");
		return 2;
	}
	if (!address_unix_from_text(argv[1], &conf.redis.address) &&
	    !address_from_text(argv[1], 6379, &conf.redis.address))
		return 2;
	snprintf(conf.prefix, sizeof(conf.prefix), "%s", argv[2]);
	snprintf(conf.instance, sizeof(conf.instance), "%s", argv[3]);
	conf.redis.command_ms = (unsigned)strtoul(argv[4], NULL, 10);
	if (argc > 7)
		conf.redis.database = (unsigned)strtoul(argv[7], NULL, 10);
	if (argc > 6) {
		snprintf(conf.redis.username, sizeof(conf.redis.username), "%s", argv[5]);
		snprintf(conf.redis.password, sizeof(conf.redis.password), "%s", argv[6]);
	}
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	rcu_thread_start();
	cli.loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	cli.store = store_new(cli.loop, &conf, &listener, NULL);
	store_start(cli.store);
	run();
	store_free(cli.store);
	for (unsigned i = 0; i < SLOTS; i++)
		put_slot(i, NULL);
	ev_loop_destroy(cli.loop);
	rcu_thread_stop();
	return 0;
}
