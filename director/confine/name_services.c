#include "director/confine/name_services.h"

#include "common/base/slice.h"

#include <dlfcn.h>
#include <stdio.h>

enum { LINE_BYTES = 1024, NAME_BYTES = 32 };

static const char separators[] = " \t\n";

/* glibc maps a module by this name once, and finds it again by it. */
static void load(const char *service)
{
	char name[NAME_BYTES + 16];
	bool action = service[0] == '[';
	if (action || !slice_is_name(slice_str(service), NAME_BYTES)) {
		return;
	}
	(void)snprintf(name, sizeof(name), "libnss_%s.so.2", service);
	/* For good: the handle is not needed. */
	(void)dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
}

static void load_line(char *line)
{
	char *rest;
	const char *word = strtok_r(line, separators, &rest);
	if (word == NULL || !slice_eq(slice_str(word), SLICE("hosts:"))) {
		return;
	}
	for (word = strtok_r(NULL, separators, &rest); word != NULL;
		word = strtok_r(NULL, separators, &rest)) {
		load(word);
	}
}

void name_services_load(void)
{
	char line[LINE_BYTES];
	FILE *file = fopen("/etc/nsswitch.conf", "re");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		load_line(line);
	}
	if (file != NULL) {
		(void)fclose(file);
	}
}
