/* SPDX-License-Identifier: ISC */
/* main - understudy's command line; everything else is in daemon.c. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "proxy/daemon.h"
#include "proxy/version.h"

#define CONF_FILE_DEFAULT "/etc/understudy/understudy.conf"

enum { EXIT_USAGE = 2 };

static void print_usage(FILE *out)
{
	fprintf(out, "usage: understudy [-t] [-c FILE]\n"
		     "       understudy -h | -V\n"
		     "  -c FILE  the configuration; default %s\n"
		     "  -t       checks it and ends: exit 0, or 1 with FILE:LINE: and what is wrong\n"
		     "  -h       prints this\n"
		     "  -V       prints the version\n", CONF_FILE_DEFAULT);
}

static int run(const char *file, bool is_test)
{
	static struct daemon daemon;
	struct conf *conf = conf_read(file, stderr);

	if (!conf)
		return EXIT_FAILURE;
	if (is_test) {
		printf("%s: good: %zu zones, %zu pools\n", file, conf->zone_count, conf->pool_count);
		conf_free(conf);
		return EXIT_SUCCESS;
	}
	if (!daemon_start(&daemon, file, conf, stderr))
		return EXIT_FAILURE;
	daemon_run(&daemon);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	const char *file = CONF_FILE_DEFAULT;
	bool is_test = false;
	int option;

	while ((option = getopt(argc, argv, "c:thV")) != -1) {
		switch (option) {
		case 'c':
			file = optarg;
			break;
		case 't':
			is_test = true;
			break;
		case 'V':
			printf("understudy %s\n", UNDERSTUDY_VERSION);
			return EXIT_SUCCESS;
		case 'h':
			print_usage(stdout);
			return EXIT_SUCCESS;
		default:
			print_usage(stderr);
			return EXIT_USAGE;
		}
	}
	if (optind != argc) {
		print_usage(stderr);
		return EXIT_USAGE;
	}
	return run(file, is_test);
}
