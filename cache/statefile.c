/* SPDX-License-Identifier: ISC */
#include "cache/statefile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xxhash.h>

#include "cache/name.h"

enum {
	PLAIN_MAX = 180,	/* of 255 bytes: leaves room for the digest and ".new" */
	MANY = 8,		/* files go to disk together: what others wrote there is worth less than their calls */
};

/* ---- Names ---- */

static bool is_plain(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* A byte of a label as no path, shell or terminal misreads it. */
static size_t put_byte(char *text, size_t room, uint8_t c)
{
	if (!is_plain(c))
		return (size_t)snprintf(text, room, "\\%03u", c);
	*text = (char)c;
	return 1;
}

char *statefile_name(const uint8_t *origin, char text[STATEFILE_NAME_MAX])
{
	const uint8_t *at = origin;
	size_t len = 0;

	if (*at == 0)	/* the root zone: "." is the directory itself */
		len = put_byte(text, STATEFILE_NAME_MAX, '.');
	for (; *at && len < PLAIN_MAX; at += 1 + *at) {
		for (uint8_t i = 1; i <= *at && len < PLAIN_MAX; i++)
			len += put_byte(text + len, STATEFILE_NAME_MAX - len, at[i]);
		text[len++] = '.';
	}
	text[len] = '\0';
	/* No other name has a '~', so two zones share a file only if their digests do. */
	if (len >= PLAIN_MAX)
		snprintf(text + len, STATEFILE_NAME_MAX - len, "~%016llx",
			 (unsigned long long)XXH3_64bits(origin, name_len(origin)));
	return text;
}

/* ---- The directory ---- */

static int make_directory(const char *path)
{
	return mkdir(path, 0750) < 0 && errno != EEXIST ? -errno : 0;
}

/* `dir`/zones as a descriptor, or -errno. */
static int open_directory(const char *dir)
{
	char zones[4096];

	if ((size_t)snprintf(zones, sizeof(zones), "%s/zones", dir) >= sizeof(zones))
		return -ENAMETOOLONG;
	int fd = open(zones, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? -errno : fd;
}

/* As open_directory(); made if need be. */
static int make_and_open_directory(const char *dir)
{
	char zones[4096];
	int fd = open_directory(dir), error;

	if (fd != -ENOENT)
		return fd;
	error = make_directory(dir);
	if ((size_t)snprintf(zones, sizeof(zones), "%s/zones", dir) >= sizeof(zones))
		return -ENAMETOOLONG;
	if (error == 0)
		error = make_directory(zones);
	return error < 0 ? error : open_directory(dir);
}

/* ---- Files ---- */

/* Neither a link out of the directory nor a FIFO that would keep us waiting is a file of ours. */
static int open_regular(int parent, const char *name, int flags, size_t *size)
{
	struct stat st;
	int fd = openat(parent, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	int error = fstat(fd, &st) < 0 ? -errno : S_ISREG(st.st_mode) ? 0 : -EINVAL;

	if (error < 0) {
		close(fd);
		return error;
	}
	*size = (size_t)st.st_size;
	return fd;
}

int statefile_open(const char *dir, const uint8_t *origin, int flags, size_t *size)
{
	char name[STATEFILE_NAME_MAX];
	int parent = open_directory(dir);

	if (parent < 0)
		return parent;
	int fd = open_regular(parent, statefile_name(origin, name), flags, size);

	close(parent);
	return fd;
}

enum { NEW_NAME_MAX = STATEFILE_NAME_MAX + 4 };

/* Under this name it is written. */
static char *new_name(const uint8_t *origin, char text[NEW_NAME_MAX])
{
	char name[STATEFILE_NAME_MAX];

	snprintf(text, NEW_NAME_MAX, "%s.new", statefile_name(origin, name));
	return text;
}

static int create(int parent, const char *name)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
	int fd = openat(parent, name, flags, 0640);

	if (fd < 0 && errno == EEXIST && unlinkat(parent, name, 0) == 0)	/* left by a crash */
		fd = openat(parent, name, flags, 0640);
	return fd < 0 ? -errno : fd;
}

/* Writes a new file to the end, and if `is_synced` to the disk. */
static int fill_new(int parent, const struct statefile *f, bool is_synced,
		    int (*fill)(int fd, void *arg))
{
	char name[NEW_NAME_MAX];
	int fd = create(parent, new_name(f->origin, name));

	if (fd < 0)
		return fd;
	int error = fill(fd, f->arg);

	if (error == 0 && is_synced && fsync(fd) < 0)
		error = -errno;
	if (close(fd) < 0 && error == 0)
		error = -errno;
	return error;
}

/*
 * The move is all or nothing: a crash leaves the old file or the new one. When the directory
 * gets to disk is the kernel's matter: seconds later we are no worse off than before.
 */
static int put_in_place(int parent, const struct statefile *f)
{
	char name[STATEFILE_NAME_MAX], written[NEW_NAME_MAX];

	new_name(f->origin, written);
	return renameat(parent, written, parent, statefile_name(f->origin, name)) < 0 ? -errno : 0;
}

static void drop_new(int parent, const struct statefile *f)
{
	char name[NEW_NAME_MAX];

	unlinkat(parent, new_name(f->origin, name), 0);
}

static int sync_new(int parent, const struct statefile *f)
{
	char name[NEW_NAME_MAX];
	int fd = openat(parent, new_name(f->origin, name), O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	int error = fd < 0 || fsync(fd) < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return error;
}

static void replace_in(int parent, struct statefile files[], size_t count,
		       int (*fill)(int fd, void *arg))
{
	bool are_few = count < MANY;

	for (size_t i = 0; i < count; i++)
		files[i].error = fill_new(parent, &files[i], are_few, fill);
	bool is_on_disk = are_few || syncfs(parent) == 0;	/* what failed may be somebody else's */

	for (size_t i = 0; i < count; i++) {
		if (files[i].error == 0 && !is_on_disk)
			files[i].error = sync_new(parent, &files[i]);
		if (files[i].error == 0)
			files[i].error = put_in_place(parent, &files[i]);
		if (files[i].error < 0)
			drop_new(parent, &files[i]);
	}
}

void statefile_replace(const char *dir, struct statefile files[], size_t count,
		       int (*fill)(int fd, void *arg))
{
	int parent = make_and_open_directory(dir);

	for (size_t i = 0; i < count && parent < 0; i++)
		files[i].error = parent;
	if (parent < 0)
		return;
	replace_in(parent, files, count, fill);
	close(parent);
}

int statefile_remove(const char *dir, const uint8_t *origin)
{
	char name[STATEFILE_NAME_MAX], left[NEW_NAME_MAX];
	int parent = open_directory(dir), error = 0;

	if (parent < 0)
		return parent == -ENOENT ? 0 : parent;
	unlinkat(parent, new_name(origin, left), 0);	/* by a crash */
	if (unlinkat(parent, statefile_name(origin, name), 0) < 0 && errno != ENOENT)
		error = -errno;
	close(parent);
	return error;
}

/* ---- Bytes ---- */

int statefile_write(int fd, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;

	while (len > 0) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			at += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

bool statefile_read(int fd, void *bytes, size_t len)
{
	uint8_t *at = bytes;

	while (len > 0) {
		ssize_t n = read(fd, at, len);

		if (n == 0 || (n < 0 && errno != EINTR))
			return false;
		if (n > 0) {
			at += n;
			len -= (size_t)n;
		}
	}
	return true;
}
