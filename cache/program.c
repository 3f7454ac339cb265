/* SPDX-License-Identifier: ISC */
/*
 * The end is seen through a descriptor of the process (pidfd), not by SIGCHLD: signals are
 * control's. A process that has ended stays a zombie until we have killed what is left of its
 * group, so that its number cannot be another's by then.
 */
#include "cache/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cache/clock.h"
#include "cache/memory.h"

enum { READ_MAX = 64 * 1024 };	/* in one turn of the loop: as much as a pipe holds */

struct program {
	struct programs *all;
	struct program *next;
	pid_t pid;
	ev_io exit, output;	/* of the pidfd, of the pipe */
	ev_timer limit;
	bool is_late;
	bool is_line_whole;
	size_t line_len;
	char line[PROGRAM_LINE_MAX];
	program_end_fn end;	/* NULL: nobody wants to know */
	void *arg;
};

/* ---- What it writes ---- */

/* Whatever a terminal or a log might take for more than text is a question mark. */
static void keep(struct program *p, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len && !p->is_line_whole; i++) {
		char c = bytes[i];

		if (c == '\n' || c == '\r')
			p->is_line_whole = p->line_len > 0;	/* empty lines before it are none */
		else
			p->line[p->line_len++] = c == '\t' ? ' ' : c < 0x20 || c > 0x7e ? '?' : c;
		p->is_line_whole |= p->line_len + 1 == sizeof(p->line);
	}
}

/* False at the end of the pipe, or when nothing is in it now. */
static bool read_some(struct program *p)
{
	char bytes[READ_MAX];
	ssize_t n = read(p->output.fd, bytes, sizeof(bytes));

	if (n > 0)
		keep(p, bytes, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		ev_io_stop(p->all->loop, &p->output);
	return n > 0;
}

static void on_output(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)loop;
	(void)revents;
	read_some(w->data);
}

/* ---- The end ---- */

static void kill_group(const struct program *p)
{
	kill(-p->pid, SIGKILL);
}

static void take_out(struct program *p)
{
	struct program **at = &p->all->first;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	p->all->count--;
}

static void close_all(struct program *p)
{
	struct ev_loop *loop = p->all->loop;

	ev_io_stop(loop, &p->exit);
	ev_io_stop(loop, &p->output);
	ev_timer_stop(loop, &p->limit);
	close(p->exit.fd);
	close(p->output.fd);
}

static struct program_end end_of(struct program *p, const siginfo_t *info, bool is_known)
{
	struct program_end e = { .outcome = PROGRAM_LOST, .code = info->si_status, .line = p->line };

	if (p->is_late)
		e.outcome = PROGRAM_LATE;
	else if (is_known)
		e.outcome = info->si_code == CLD_EXITED ? PROGRAM_EXITED : PROGRAM_SIGNALLED;
	p->line[p->line_len] = '\0';
	return e;
}

static void on_exit_seen(struct ev_loop *loop, ev_io *w, int revents)
{
	struct program *p = w->data;
	struct programs *all = p->all;
	siginfo_t info = { 0 };
	struct program_end e;

	(void)loop;
	(void)revents;
	read_some(p);
	kill_group(p);
	if (waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOHANG) == 0 && info.si_pid == 0)
		return;		/* not yet: it will be said again */
	e = end_of(p, &info, info.si_pid == p->pid);
	close_all(p);
	take_out(p);
	if (p->end)
		p->end(&e, p->arg);
	free(p);
	all->freed(all->arg);
}

static void on_limit(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct program *p = t->data;

	(void)loop;
	(void)revents;
	p->is_late = true;
	kill_group(p);		/* on_exit_seen() follows */
}

void program_abandon(struct program *p)
{
	if (!p)
		return;
	p->end = NULL;
	kill_group(p);
}

/* ---- The beginning ---- */

/* Our threads block signals, and ignore SIGPIPE: a program is to find neither. */
static void set_attributes(posix_spawnattr_t *a)
{
	sigset_t none, all;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(a);
	posix_spawnattr_setflags(a, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
				    POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setpgroup(a, 0);
	posix_spawnattr_setsigmask(a, &none);
	posix_spawnattr_setsigdefault(a, &all);
}

static void set_files(posix_spawn_file_actions_t *f, const char *input, int errors)
{
	posix_spawn_file_actions_init(f);
	posix_spawn_file_actions_adddup2(f, errors, STDERR_FILENO);
	posix_spawn_file_actions_addopen(f, STDIN_FILENO, input, O_RDONLY, 0);
	posix_spawn_file_actions_addopen(f, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addclosefrom_np(f, STDERR_FILENO + 1);
}

/* 0 or -errno. */
static int spawn(const struct program_job *job, int errors, pid_t *pid)
{
	char *const words[] = { (char *)(uintptr_t)job->path, (char *)(uintptr_t)job->argument, NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	int error;

	set_attributes(&attributes);
	set_files(&files, job->input, errors);
	error = posix_spawn(pid, job->path, &files, &attributes, words, job->environment);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attributes);
	return -error;
}

/* As spawn(), with the descriptor of the process. */
static int spawn_watched(const struct program_job *job, int errors, pid_t *pid, int *pidfd)
{
	int error = spawn(job, errors, pid);

	if (error < 0)
		return error;
	*pidfd = pidfd_open(*pid, 0);
	if (*pidfd >= 0)
		return 0;
	error = -errno;
	kill(-*pid, SIGKILL);
	waitpid(*pid, NULL, 0);		/* it has just begun */
	return error;
}

static void watch(struct program *p, int pidfd, int output, uint64_t limit_us)
{
	struct ev_loop *loop = p->all->loop;

	ev_io_init(&p->exit, on_exit_seen, pidfd, EV_READ);
	ev_io_init(&p->output, on_output, output, EV_READ);
	ev_timer_init(&p->limit, on_limit, (double)limit_us / (double)US_PER_S, 0.);
	p->exit.data = p->output.data = p->limit.data = p;
	ev_io_start(loop, &p->exit);
	ev_io_start(loop, &p->output);
	ev_now_update(loop);
	ev_timer_start(loop, &p->limit);
}

int program_start(struct programs *all, const struct program_job *job, program_end_fn end,
		  void *arg, struct program **p)
{
	int pipes[2], pidfd, error;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return -errno;
	error = spawn_watched(job, pipes[1], &pid, &pidfd);
	close(pipes[1]);
	if (error < 0) {
		close(pipes[0]);
		return error;
	}
	fcntl(pipes[0], F_SETFL, O_NONBLOCK);	/* our end alone: the other is the program's */
	*p = memory_zeroed(1, sizeof(**p));
	(*p)->all = all;
	(*p)->pid = pid;
	(*p)->end = end;
	(*p)->arg = arg;
	(*p)->next = all->first;
	all->first = *p;
	all->count++;
	watch(*p, pidfd, pipes[0], job->limit_us);
	return 0;
}

/* ---- All of them ---- */

void programs_init(struct programs *all, struct ev_loop *loop, void (*freed)(void *), void *arg)
{
	*all = (struct programs){ .loop = loop, .freed = freed, .arg = arg };
}

/* We are about to end: a zombie that is left goes to init. */
void programs_fini(struct programs *all)
{
	while (all->first) {
		struct program *p = all->first;

		kill_group(p);
		waitpid(p->pid, NULL, WNOHANG);
		close_all(p);
		take_out(p);
		free(p);
	}
}
