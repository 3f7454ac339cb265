/* SPDX-License-Identifier: ISC */
/*
 * program - somebody else's program, run beside us until it ends or its time is over.
 *
 * Purpose:  starts a program without a shell, in a process group of its own, with a file as its
 *           standard input and nothing else of ours; keeps the first line that it writes to its
 *           standard error; kills the whole group at the end, or when its time is over.
 * Not here: which program, and what its verdict means (verifier.h).
 * Owns:     the process, a descriptor of it, and the pipe of its standard error.
 * Threads:  that of the loop. Nobody else may wait for children of this process: no SIGCHLD.
 * Time:     libev's timer.
 * Memory:   one allocation for each program. What it writes is read and dropped, a pipe full in
 *           each turn of the loop at most.
 * Failure:  -errno when it cannot be started; else one call of `end`.
 */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ev.h>

enum { PROGRAM_LINE_MAX = 200 };

/* All that run in one loop. */
struct programs {
	struct ev_loop *loop;
	struct program *first;
	unsigned count;		/* those that were killed and have not died yet among them */
	void (*freed)(void *arg);	/* one has ended: there is room for another */
	void *arg;
};

struct program;

struct program_job {
	const char *path;		/* absolute */
	const char *argument;		/* its only one */
	const char *input;		/* path of what it reads */
	char *const *environment;	/* all of it */
	uint64_t limit_us;
};

enum program_outcome {
	PROGRAM_EXITED,		/* `code`: its exit code */
	PROGRAM_SIGNALLED,	/* `code`: the signal that ended it */
	PROGRAM_LATE,		/* its time was over */
	PROGRAM_LOST,		/* somebody else has seen its end */
};

struct program_end {
	enum program_outcome outcome;
	int code;
	const char *line;	/* printable ASCII; "": it wrote none. Until `end` returns */
};

/* The program is gone, and `p` with it. */
typedef void (*program_end_fn)(const struct program_end *end, void *arg);

void programs_init(struct programs *all, struct ev_loop *loop, void (*freed)(void *), void *arg);
void programs_fini(struct programs *all);	/* kills all; their `end` is not called */

/* 0 and *p, or -errno. `job` is read during the call. */
int program_start(struct programs *all, const struct program_job *job, program_end_fn end,
		  void *arg, struct program **p);

/* Kills it; `end` is not called. Its slot is free when it has died. NULL is fine. */
void program_abandon(struct program *p);

#endif
