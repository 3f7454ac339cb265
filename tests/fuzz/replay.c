/* SPDX-License-Identifier: ISC */
/*
 * replay - feeds files to a fuzzer's entry point once, without libFuzzer.
 *
 * Purpose:  `make check` replays each corpus (and whatever was found) with any compiler and
 *           sanitizer. Each input lies in a block of exactly its size, so that a read past
 *           its end is seen by ASan.
 * Usage:    fuzz_NAME FILE-OR-DIRECTORY ...; prints how many inputs it fed.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t fed_count;

static void die(const char *path)
{
	perror(path);
	exit(EXIT_FAILURE);
}

static void feed_file(const char *path, size_t size)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = malloc(size ? size : 1);

	if (!f || !data || fread(data, 1, size, f) != size)
		die(path);
	fclose(f);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	fed_count++;
}

static void feed(const char *path);

static void feed_directory(const char *path)
{
	DIR *d = opendir(path);
	char inner[4096];

	if (!d)
		die(path);
	for (struct dirent *e = readdir(d); e; e = readdir(d)) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(inner, sizeof(inner), "%s/%s", path, e->d_name);
		feed(inner);
	}
	closedir(d);
}

static void feed(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		die(path);
	if (S_ISDIR(st.st_mode))
		feed_directory(path);
	else
		feed_file(path, (size_t)st.st_size);
}

int main(int argc, char **argv)
{
	LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	for (int i = 1; i < argc; i++)
		feed(argv[i]);
	printf("%zu inputs\n", fed_count);
	return EXIT_SUCCESS;
}
