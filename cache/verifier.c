/* SPDX-License-Identifier: ISC */
#include "cache/verifier.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/dump.h"
#include "cache/memory.h"
#include "cache/rcu.h"
#include "cache/statefile.h"

#define SEARCH_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

enum {
	PIECE = 16 * 1024,		/* of text: a millisecond of ldns' work */
	VARIABLES_MAX = 6,
	VARIABLE_LEN_MAX = NAME_TEXT_MAX + 32,
};

enum state {
	STATE_WAITING,		/* in the list of those that wait */
	STATE_WRITING,		/* `slice` is at work; `fd` and `dump` are open */
	STATE_RUNNING,		/* `program` runs */
	STATE_ENDED,		/* `slice` says so in the next turn, or it was said */
};

struct verifier {
	struct verifiers *all;
	struct verifier *prev, *next;	/* while it waits */
	enum state state;
	const struct review_rules *rules;
	const struct generation *zone;
	bool has_held;
	uint32_t held_serial;
	struct slice slice;
	struct dump *dump;
	int fd;
	struct program *program;
	verifier_end_fn end;
	void *arg;
	char path[VERIFIER_PATH_MAX];	/* "": no file */
	char reason[REVIEW_REASON_MAX];
};

/* ---- The end ---- */

/* What it holds goes, but for itself. */
static void release(struct verifier *v)
{
	slice_stop(v->all->slices, &v->slice);
	if (v->state == STATE_WRITING)
		v->all->writing--;
	if (v->fd >= 0)
		close(v->fd);
	dump_free(v->dump);
	if (*v->path)
		unlink(v->path);
	v->fd = -1;
	v->dump = NULL;
	v->path[0] = '\0';
	v->state = STATE_ENDED;
}

static void start_next(struct verifiers *all);

/* The last thing done with `v`, which may be freed in it. */
static void end(struct verifier *v, const char *reason)
{
	struct verifiers *all = v->all;

	release(v);
	v->end(reason, v->arg);
	start_next(all);
}

__attribute__((format(printf, 2, 3)))
static void refuse(struct verifier *v, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(v->reason, sizeof(v->reason), format, args);
	va_end(args);
	end(v, v->reason);
}

static void on_program_end(const struct program_end *e, void *arg)
{
	struct verifier *v = arg;
	const char *colon = *e->line ? ": " : "";

	v->program = NULL;
	switch (e->outcome) {
	case PROGRAM_EXITED:
		if (e->code == 0)
			end(v, NULL);
		else if (*e->line)
			refuse(v, "%s", e->line);
		else
			refuse(v, "the program ended with exit code %d", e->code);
		return;
	case PROGRAM_SIGNALLED:
		refuse(v, "the program was ended by signal %d%s%s", e->code, colon, e->line);
		return;
	case PROGRAM_LATE:
		refuse(v, "the program was not done within verify-timeout%s%s", colon, e->line);
		return;
	case PROGRAM_LOST:
		refuse(v, "the program's end was not seen%s%s", colon, e->line);
		return;
	}
}

/* ---- Running ---- */

struct environment {
	char texts[VARIABLES_MAX][VARIABLE_LEN_MAX];
	char *list[VARIABLES_MAX + 1];	/* NULL ends it */
	size_t count;
};

__attribute__((format(printf, 2, 3)))
static void set_variable(struct environment *e, const char *format, ...)
{
	va_list args;

	assert(e->count < VARIABLES_MAX);
	va_start(args, format);
	vsnprintf(e->texts[e->count], sizeof(e->texts[0]), format, args);
	va_end(args);
	e->list[e->count] = e->texts[e->count];
	e->list[++e->count] = NULL;
}

static void set_environment(struct environment *e, const struct verifier *v)
{
	char origin[NAME_TEXT_MAX];

	e->count = 0;
	set_variable(e, SEARCH_PATH);
	set_variable(e, "UNDERSTUDY_FILE=%s", v->path);
	set_variable(e, "UNDERSTUDY_ZONE=%s", name_to_text(v->zone->origin, origin));
	set_variable(e, "UNDERSTUDY_SERIAL=%u", v->zone->soa.serial);
	if (v->has_held)
		set_variable(e, "UNDERSTUDY_OLD_SERIAL=%u", v->held_serial);
}

static void run(struct verifier *v)
{
	struct environment environment;
	struct program_job job = {
		.path = v->rules->program, .argument = v->path, .input = v->path,
		.environment = environment.list, .limit_us = v->rules->program_us,
	};
	int error;

	set_environment(&environment, v);
	v->all->writing--;
	v->state = STATE_RUNNING;
	error = program_start(&v->all->programs, &job, on_program_end, v, &v->program);
	if (error < 0)
		refuse(v, "%s cannot be run: %s", v->rules->program, strerrordesc_np(-error));
}

/* ---- Writing ---- */

static void written(struct verifier *v)
{
	int error = close(v->fd) < 0 ? errno : 0;

	v->fd = -1;
	dump_free(v->dump);
	v->dump = NULL;
	slice_stop(v->all->slices, &v->slice);
	if (error)
		refuse(v, "%s cannot be written: %s", v->path, strerrordesc_np(error));
	else
		run(v);
}

static void write_piece(void *arg)
{
	struct verifier *v = arg;
	size_t len;
	const char *text = dump_next(v->dump, PIECE, &len);
	int error = 0;

	rcu_sleep();		/* a slow disk is nobody else's wait */
	if (text)
		error = statefile_write(v->fd, text, len);
	rcu_wake();
	if (!text)
		written(v);
	else if (error < 0)
		refuse(v, "%s cannot be written: %s", v->path, strerrordesc_np(-error));
}

static void say_unwritten(void *arg)
{
	struct verifier *v = arg;

	end(v, v->reason);
}

/* 0600, in a folder that is ours: zones may be secret. */
static int create(struct verifier *v)
{
	char folder[VERIFIER_PATH_MAX];

	snprintf(folder, sizeof(folder), "%s/verify", v->all->state_dir);
	if ((mkdir(v->all->state_dir, 0750) < 0 && errno != EEXIST) ||
	    (mkdir(folder, 0700) < 0 && errno != EEXIST))
		return -errno;
	snprintf(v->path, sizeof(v->path), "%.280s/%u.zone", folder, ++v->all->files);
	unlink(v->path);
	v->fd = open(v->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return v->fd < 0 ? -errno : 0;
}

static void begin_writing(struct verifier *v)
{
	int error = create(v);

	v->state = STATE_WRITING;
	v->all->writing++;
	if (error < 0) {
		snprintf(v->reason, sizeof(v->reason), "%.160s cannot be written: %s",
			 *v->path ? v->path : v->all->state_dir, strerrordesc_np(-error));
		slice_start(v->all->slices, &v->slice, say_unwritten, v);
		return;
	}
	v->dump = dump_new(v->zone);
	slice_start(v->all->slices, &v->slice, write_piece, v);
}

/* ---- Waiting ---- */

static void leave_queue(struct verifier *v)
{
	struct verifiers *all = v->all;

	*(v->prev ? &v->prev->next : &all->first) = v->next;
	*(v->next ? &v->next->prev : &all->last) = v->prev;
	v->prev = v->next = NULL;
	all->waiting--;
}

static void start_next(struct verifiers *all)
{
	while (all->first && all->writing + all->programs.count < VERIFIERS_MAX) {
		struct verifier *v = all->first;

		leave_queue(v);
		begin_writing(v);
	}
}

static void on_freed(void *arg)
{
	start_next(arg);
}

struct verifier *verifier_new(struct verifiers *all, const struct verifier_job *job,
			      verifier_end_fn end_fn, void *arg)
{
	struct verifier *v = memory_zeroed(1, sizeof(*v));

	v->all = all;
	v->rules = job->rules;
	v->zone = job->zone;
	v->has_held = job->has_held;
	v->held_serial = job->held_serial;
	v->fd = -1;
	v->end = end_fn;
	v->arg = arg;
	v->prev = all->last;
	*(all->last ? &all->last->next : &all->first) = v;
	all->last = v;
	all->waiting++;
	start_next(all);
	return v;
}

void verifier_free(struct verifier *v)
{
	if (!v)
		return;
	if (v->state == STATE_WAITING)
		leave_queue(v);
	program_abandon(v->program);
	release(v);
	free(v);
}

/* ---- All of them ---- */

/* A crash leaves files. */
static void sweep(const char *state_dir)
{
	char folder[VERIFIER_PATH_MAX];
	struct dirent *entry;
	DIR *d;

	snprintf(folder, sizeof(folder), "%s/verify", state_dir);
	d = opendir(folder);
	if (!d)
		return;
	while ((entry = readdir(d)))
		if (strspn(entry->d_name, "0123456789") > 0 && strstr(entry->d_name, ".zone"))
			unlinkat(dirfd(d), entry->d_name, 0);
	closedir(d);
}

void verifiers_init(struct verifiers *all, struct ev_loop *loop, struct slices *slices,
		    const char *state_dir)
{
	*all = (struct verifiers){ .state_dir = state_dir, .slices = slices };
	programs_init(&all->programs, loop, on_freed, all);
	sweep(state_dir);
}

void verifiers_fini(struct verifiers *all)
{
	assert(!all->first && all->writing == 0);
	programs_fini(&all->programs);
}
