/* SPDX-License-Identifier: ISC */
/*
 * sim - a world in which the product's own decisions run: its query path and its health.
 *
 * Purpose:  one seed is one world: servers, clients, a network and an operator, all of chance. Time
 *           is a number that leaps over calm hours. After each step the promises are checked.
 * The same code as in the daemon: dispatch, balance, in-flight table, wheel, plan, configuration,
 *           the whole watch with its event lines, answers from real generations. Played here:
 *           clocks, libev's timer, probes on their way, sockets, the mirror's transfers. They are
 *           replaced at link time (sim_control.c), so the product knows nothing of simulations.
 *
 *      sim_world.c    a world from its seed; the calendar of events; the loop; the leap
 *      sim_control.c  clocks, the watch's timer, probes, the mirror: under the product
 *      sim_network.c  messages on their way: loss, delay, ICMP, UDP sockets, TCP connections
 *      sim_server.c   what a server says, and what ails it
 *      sim_client.c   who asks, and what came back
 *      sim_chance.c   what happens to the world: faults, edits, orders, reloads
 *      sim_conf.c     the configuration that it runs with
 *      sim_check.c    the promises
 *
 * Threads:  one. There is one world at a time: `sim`.
 * Failure:  the first broken promise ends the world; sim.why says which, and when.
 */
#ifndef SIM_H
#define SIM_H

#include "cache/dns.h"
#include "cache/wire.h"
#include "proxy/dispatch.h"
#include "proxy/probe.h"
#include "proxy/watched.h"

enum {
	SIM_SERVERS = 5, SIM_ZONES = 2, SIM_OPEN_MAX = 1024, SIM_MESSAGE_MAX = 256,
	SIM_CONNECTIONS = 4, SIM_SOCKETS = 8,
	SIM_PROMPT_US = 300000,		/* while the mirror can answer, every answer comes within this */
};

#define SIM_NOBODY	UINT32_MAX	/* no message: the end of a chain */

/* Rules that a test breaks on purpose, to see that it is noticed. */
enum sim_breach {
	BREACH_NONE,
	BREACH_ANSWER_LOST,		/* a rescued query's answer is not sent */
	BREACH_ANSWER_TWICE,
	BREACH_LATE_REPLY,		/* what came too late is sent as well */
	BREACH_NOT_COUNTED,
	BREACH_WRONG_SOURCE,		/* the mirror's answer counts as the primary's */
	BREACH_STAYS_DOWN,		/* good probes of a server that is down do not count */
	BREACH_STAYS_UP,		/* bad probes do not count */
	BREACH_SILENT_CHANGE,		/* a change of state is not told */
	BREACH_GATE_OPEN,		/* an older serial comes back */
	BREACH_SERIAL_BACK,		/* who is behind for a zone is asked all the same */
	BREACH_MIRROR_BACK,		/* the mirror falls back to its version before */
	BREACH_SERVFAIL,		/* an error although the mirror could answer */
	BREACH_SLOW,			/* an answer is held back */
	BREACH_SLOT_LEAK,
	BREACH_HASTY,			/* what differs is believed whatever version the server has */
	BREACH_ALLOCATION,		/* memory is taken for a query */
	BREACH_DENIAL_BELIEVED,		/* that there is nothing, where the mirror has something */
	BREACH_WRONG_ANSWER,		/* what the client gets is to another question */
	BREACH_STALE_LASTS,		/* what is past its expire is said as if it were fresh */
	BREACH_COUNT,
};

enum sim_event_kind {
	/* on their way: there is no leap while one of these is in the calendar */
	EVENT_AT_SERVER, EVENT_AT_US, EVENT_ICMP, EVENT_CONNECTED, EVENT_CONNECT_FAILED,
	EVENT_CLOSED, EVENT_PROBE_OVER, EVENT_WAKE, EVENT_SWEEP, EVENT_TRANSFERRED, EVENT_HELD_BACK,
	/* of the world */
	EVENT_OF_WORLD,
	EVENT_ASK = EVENT_OF_WORLD, EVENT_SERVER, EVENT_TOGGLE, EVENT_EDIT, EVENT_FOLLOW, EVENT_NOTIFY,
	EVENT_MIRROR, EVENT_OPERATOR, EVENT_RELOAD, EVENT_HOLD, EVENT_CLOCK, EVENT_DESCRIPTORS,
};

struct sim_event {
	uint64_t at_us, order;		/* of equal times the first that was entered */
	enum sim_event_kind kind;
	uint32_t what, serial;		/* which server, message, probe, connection; which life of it */
};

/* A DNS message on its way. */
struct sim_message {
	uint32_t next;			/* free, in a backlog, or waiting for its connection */
	uint8_t server;
	bool is_tcp, is_probe;
	uint32_t socket;		/* or the probe's index */
	uint32_t serial;		/* the probe's life */
	uint16_t len;
	uint8_t bytes[SIM_MESSAGE_MAX];
};

enum sim_tcp { TCP_WELL, TCP_REFUSES, TCP_HANGS, TCP_RESETS, TCP_CLOSES_EACH };
enum sim_lie {
	LIE_NONE, LIE_WRONG_ID, LIE_WRONG_QUESTION, LIE_CASE, LIE_GARBAGE, LIE_CUT, LIE_QR_CLEAR,
};

/* What ails a server; all zero: nothing. */
struct sim_ails {
	bool is_killed;			/* ICMP and RST */
	bool is_frozen;			/* silence; all is answered when it thaws */
	bool is_gone;			/* silence, and nothing is remembered */
	bool is_udp_dead, is_truncating, has_creeping_delay;
	enum sim_tcp tcp;
	enum sim_lie lie;
	unsigned rcode;			/* instead of an answer; 0: none */
	bool is_lame;
	unsigned denies;		/* what exists: 1 by NXDOMAIN, 2 by an empty answer without SOA */
	bool only_zone_1;		/* rcode, lameness and denials: for that zone alone */
	unsigned loss_in, loss_out;	/* percent */
	uint32_t delay_us, jitter_us;	/* more than usual */
	unsigned per_second;		/* overload: answers so many; 0: all */
	unsigned twice;			/* percent of replies that come twice */
	uint32_t flap_us;		/* half a period; 0: steady */
};

/* Which tiers there are: sim_conf.c. */
enum sim_mode {
	MODE_FAILOVER, MODE_LAST_RESORT, MODE_MIRROR_FIRST, MODE_ALL, MODE_ALL_AND_MIRROR, MODE_NO_MIRROR,
	MODES,
};

struct sim_socket { uint32_t serial; uint64_t born_us, close_us; };

struct sim_connection {
	uint32_t serial;		/* 0: none */
	bool is_open;
	uint64_t begun_us, opened_us, used_us, heard_us;
	unsigned owed;
	uint32_t waiting;		/* messages until it is open */
};

struct sim_server {
	unsigned index;
	char name[16];
	struct backend *backend;
	uint32_t way_us;		/* one way */
	uint32_t serials[SIM_ZONES];
	uint64_t serial_us;		/* when one of them last changed */
	uint32_t serials_before[SIM_ZONES];	/* replies with them may be on their way */
	uint64_t serial_before_us;
	bool is_regressed;
	struct sim_ails ails, flaps;	/* flaps: the ailment that comes and goes */
	uint64_t changed_us;		/* of `ails` */
	uint64_t denied_us;		/* the last time that it denied what exists */
	uint64_t well_us[2];		/* since when by UDP, by TCP; UINT64_MAX: is not */
	uint64_t dead_us;		/* since when no probe can be good; UINT64_MAX: one can */
	uint64_t second;		/* overload: `answered` in this second */
	unsigned answered;
	uint32_t backlog;		/* frozen: messages that wait */
	unsigned backlog_len;
	struct sim_socket sockets[SIM_SOCKETS];	/* [0] is in use */
	struct sim_connection connections[SIM_CONNECTIONS];
	unsigned told;			/* enum health_state, as the log has it */
	enum health_state state;	/* as it was last seen */
	uint64_t down_us;		/* when it went down last */
	uint64_t fit_us;		/* since when it may be asked; UINT64_MAX: it may not */
};

struct sim_zone {
	struct mirror_zone slot;
	uint8_t origin[NAME_LEN_MAX];
	uint32_t serial;		/* of what the mirror holds */
	uint64_t serial_us;
	uint64_t servable_us;		/* since when it can answer; UINT64_MAX: it cannot */
	uint32_t served, seen;		/* the last by the mirror; the highest that a client saw */
	bool is_expired, is_asked;
	bool is_changed;		/* since control has looked */
};

enum sim_question {
	ASK_A, ASK_SOA, ASK_NONE, ASK_UNLISTED, ASK_AXFR, ASK_REPLY, ASK_CHAOS, ASK_NOTIFY,
};

/* A client's query that is owed an answer. */
struct sim_query {
	bool is_open;
	uint32_t serial;		/* in the client's address: whose answer is this */
	enum sim_question question;
	unsigned zone, client;
	bool is_tcp;
	uint64_t asked_us, held_us;	/* held_us: sim.held_us then */
	uint64_t plan;
	uint16_t len;
	uint16_t question_end;
	uint8_t bytes[SIM_MESSAGE_MAX];
};

/* What a run adds up to, for those who wonder what an hour of it is worth. */
struct sim_tally {
	uint64_t worlds, simulated_s, leapt_us, queries, rescued, probes, faults, reloads, lines;
	uint64_t errors;		/* that nobody could have prevented */
	uint64_t went_back;		/* answers with an older serial than one before */
	uint64_t slowest_us;
};

struct sim {
	uint64_t seed;
	enum sim_breach breach;
	bool is_loud;
	struct random chance;
	uint64_t now_us, end_us;
	int64_t wall_us;		/* the wall clock's lead */
	bool has_failed;
	char why[512];
	struct sim_tally tally;

	/* the calendar */
	struct sim_event *events;
	size_t event_count, event_room, on_the_way;
	uint64_t order;

	/* the product */
	struct dispatch *dispatch;
	struct stats stats;
	struct plan *plan;
	struct watch *watch;
	uint64_t watch_us;		/* when its timer ends */
	bool is_woken;
	uint64_t stirred_us;			/* when something of the world last happened */
	uint64_t held_until_us, held_us;	/* the whole process is held up; so long in all */
	bool lacks_descriptors;
	uint64_t blind_us;		/* the last time that it had none to probe with */
	uint32_t last_udp, last_tcp;	/* serials */
	bool sweeps;

	/* the world */
	enum sim_mode mode;
	unsigned server_count, members;	/* bits: which servers are in the pool */
	struct sim_server servers[SIM_SERVERS];
	bool has_mirror, has_grace;	/* what expires there is served on */
	struct sim_zone zones[SIM_ZONES];
	uint64_t busy_until_us;		/* clients ask much */
	unsigned busy_rate;
	uint64_t drill_until_us;	/* as ordered; 0: none */
	uint64_t ordered_us;		/* the last order of the operator, or reload */
	uint64_t changed_us;		/* anything of the world, or of health */

	/* clients */
	struct sim_query *queries;
	unsigned next_query, open_count;
	uint32_t last_query;
	bool asks_busily;
	uint32_t ask_serial;		/* the latest EVENT_ASK: others are void */
	uint64_t asked[4];		/* well-formed or not; by UDP, by TCP; not to be answered */
	uint64_t by_primary, by_backend, by_us[16];	/* answers by who gave them */
	uint64_t acknowledged;		/* NOTIFY */
	unsigned oldest;		/* query that may be open */
	unsigned tier, takeovers, takeovers_seen;	/* who serves; lines that said so */
	uint64_t allocations;		/* of the whole process */
	uint8_t room[DNS_MESSAGE_MAX];
};

extern struct sim sim;

/* ---- sim_world.c ---- */

/* Plays one world. False: a promise was broken, see sim.why; the tally is added to `sum`. */
bool sim_play(uint64_t seed, uint64_t seconds, enum sim_breach breach, bool is_loud,
	      struct sim_tally *sum);

void sim_at(uint64_t at_us, enum sim_event_kind kind, uint32_t what, uint32_t serial);

/* The clients ask much for a while: something has just changed. */
void sim_stir(uint64_t for_us);

void sim_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Chance. */
bool sim_percent(unsigned percent);
uint64_t sim_between(uint64_t least, uint64_t most);
uint64_t sim_about(uint64_t mean);	/* exponential */
uint64_t sim_span(uint64_t least, uint64_t most);	/* every order of magnitude alike */

/* ---- sim_control.c ---- */

void sim_control_start(void);
void sim_control_stop(void);
void sim_watch_timer(void);
void sim_watch_woken(void);
bool sim_watch_is_at_rest(void);
void sim_probe_reply(const struct sim_message *m);
void sim_probe_refused(const struct sim_message *m, int error);
void sim_probe_over(uint32_t index, uint32_t serial);		/* its time is up */
bool sim_probe_is_over(uint32_t index, uint32_t serial);
void sim_transferred(unsigned zone);
void sim_hold_zone(unsigned zone, uint32_t serial);
void sim_zone_changed(unsigned zone);

/* ---- sim_network.c ---- */

extern const struct dispatch_ops sim_ops;
void sim_network_start(void);
uint32_t sim_message_new(void);
struct sim_message *sim_message(uint32_t index);
void sim_message_free(uint32_t index);
void sim_to_server(uint32_t index);		/* takes the message */
void sim_to_us(uint32_t index, uint64_t delay_us);	/* likewise */
void sim_at_us(uint32_t index);
void sim_icmp(uint32_t index);
void sim_connected(unsigned server, uint32_t serial);
void sim_connect_failed(unsigned server, uint32_t serial);
void sim_closed(unsigned server, uint32_t serial);
void sim_sweep(void);
void sim_server_died(struct sim_server *s);	/* its connections are reset */
void sim_leave_server(struct sim_server *s);	/* it is in no plan any more */

/* ---- sim_server.c ---- */

void sim_at_server(uint32_t index);
void sim_server_set(struct sim_server *s, const struct sim_ails *ails);
void sim_server_set_serial(struct sim_server *s, unsigned zone, uint32_t serial);
bool sim_server_is_well(const struct sim_server *s);
void sim_question_name(enum sim_question question, unsigned zone, uint8_t name[NAME_LEN_MAX]);

/* ---- sim_client.c ---- */

uint8_t *sim_room(void *shell, const struct client *to, size_t want);
void sim_answer(void *shell, const struct client *to, const uint8_t *bytes, size_t len);
void sim_answer_again(const uint8_t *bytes, size_t len);
void sim_ask(void);
void sim_notify(unsigned zone);
void sim_held_back(uint32_t index, uint32_t serial);

/* ---- sim_chance.c ---- */

void sim_chance_start(void);
void sim_chance(const struct sim_event *e);

/* ---- sim_conf.c ---- */

struct plan *sim_plan(uint64_t number);

/* ---- sim_check.c ---- */

void sim_check_answer(struct sim_query *q, const uint8_t *bytes, size_t len);
void sim_check_turn(void);
void sim_check_watch(void);
void sim_check_end(void);
bool sim_server_is_behind(const struct sim_server *s);	/* with some zone: the gate is closed */
void sim_hear(const char *line, size_t len, void *arg);

#endif
