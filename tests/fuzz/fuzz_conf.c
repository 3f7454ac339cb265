/* SPDX-License-Identifier: ISC */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proxy/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Options that name files are left out: the fuzzer shall not read the machine. */
static int names_a_file(const uint8_t *data, size_t size)
{
	return memmem(data, size, "include", 7) || memmem(data, size, "-file", 5);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static FILE *nowhere;
	static int fd = -1;
	char path[64];

	if (fd < 0) {
		fd = memfd_create("conf", 0);
		nowhere = fopen("/dev/null", "w");
	}
	assert(fd >= 0 && nowhere);
	if (names_a_file(data, size) || ftruncate(fd, 0) < 0 ||
	    pwrite(fd, data, size, 0) != (ssize_t)size)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	struct conf *c = conf_read(path, nowhere);

	if (c) {
		assert(c->workers >= 1 && c->listen_count >= 1);
		assert(conf_can_replace(c, c, nowhere));
	}
	conf_free(c);
	return 0;
}
