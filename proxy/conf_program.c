/* SPDX-License-Identifier: ISC */
#include "proxy/conf_program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_usable(const char *name, const char *text, char problem[CONF_PROBLEM_MAX])
{
	struct stat st;

	if (strcmp(text, "off") == 0)
		return true;
	if (*text != '/') {
		snprintf(problem, CONF_PROBLEM_MAX, "%s = '%.80s' is no absolute path: write \"/PATH\" "
			 "without arguments, or \"off\"", name, text);
		return false;
	}
	if (stat(text, &st) < 0 || faccessat(AT_FDCWD, text, X_OK, AT_EACCESS) < 0) {
		snprintf(problem, CONF_PROBLEM_MAX, "%s: %.200s cannot be run (%s): install it there, "
			 "or write \"off\"", name, text, strerrordesc_np(errno));
		return false;
	}
	if (!S_ISREG(st.st_mode)) {
		snprintf(problem, CONF_PROBLEM_MAX, "%s: %.200s is no file: name the program itself",
			 name, text);
		return false;
	}
	return true;
}

bool conf_program_set(char **program, const char *name, const char *text,
		      char problem[CONF_PROBLEM_MAX])
{
	if (!is_usable(name, text, problem))
		return false;
	free(*program);
	*program = strdup(text);
	if (!*program)
		abort();
	return true;
}
