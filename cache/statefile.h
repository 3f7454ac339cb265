/* SPDX-License-Identifier: ISC */
/*
 * statefile - one file for each zone in state-dir, under a name that is safe whatever the
 *             zone is called, and replaced whole or not at all.
 *
 * Purpose:  `dir`/zones/NAME. NAME is the origin with its last dot, every byte other than a-z,
 *           0-9, - and _ as \DDD; a long one is cut and ends in ~ and a digest.
 * Not here: what the files hold (snapshot.h).
 * Threads:  the mirror's and that aside, never both for one file. Blocking file calls.
 * Memory:   none.
 * Failure:  -errno; the old file stays as it was.
 */
#ifndef STATEFILE_H
#define STATEFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STATEFILE_NAME_MAX = 256 };

/* The file's name, for `origin` in lower case. Returns `text`. */
char *statefile_name(const uint8_t *origin, char text[STATEFILE_NAME_MAX]);

/*
 * Opens the file of `origin` (lower case). A descriptor and its size, or -errno: -ENOENT when
 * there is none, -EINVAL when it is no regular file.
 */
int statefile_open(const char *dir, const uint8_t *origin, int flags, size_t *size);

/* A file that is to be written anew. */
struct statefile {
	const uint8_t *origin;	/* lower case */
	void *arg;		/* of `fill` */
	int error;		/* what became of it: 0 or -errno */
};

/*
 * Writes `count` files anew, none of them twice: creates `dir` and `dir`/zones, lets `fill` write each (0 or -errno), and puts
 * it into the place of the old one when it is safely on disk. Of few each gets there by a call of its own;
 * of many all do by one, which takes a tenth of the time, and takes along what others have yet to write.
 */
void statefile_replace(const char *dir, struct statefile files[], size_t count,
		       int (*fill)(int fd, void *arg));

/* 0 or -errno; a file that is not there is 0. */
int statefile_remove(const char *dir, const uint8_t *origin);

/* All `len` bytes: 0 or -errno. */
int statefile_write(int fd, const void *bytes, size_t len);

/* All `len` bytes, or false: the file ends before, or cannot be read. */
bool statefile_read(int fd, void *bytes, size_t len);

#endif
