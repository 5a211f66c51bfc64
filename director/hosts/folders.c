#include "director/hosts/folders.h"

#include "common/base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, NAME_BYTES = 300 };

static bool id_of(const char *name, uint64_t *ret)
{
	char *end;
	if (name[0] < '1' || name[0] > '9') {
		return false;
	}
	errno = 0;
	*ret = strtoull(name, &end, 10);
	return *end == '\0' && errno == 0;
}

/* There is nothing in it but the socket. */
static bool remove_folder(int workers, const char *name)
{
	char socket[NAME_BYTES];
	(void)snprintf(socket, sizeof(socket), "%s/channel.sock", name);
	(void)unlinkat(workers, socket, 0);
	return unlinkat(workers, name, AT_REMOVEDIR) == 0;
}

uint64_t folders_clear(const char *run_path)
{
	char path[PATH_BYTES];
	uint64_t kept = 0;
	(void)snprintf(path, sizeof(path), "%s/workers", run_path);
	DIR *dir = opendir(path);
	if (dir == NULL) {
		return 0;
	}
	const struct dirent *entry;
	while ((entry = readdir(dir)) != NULL) {
		uint64_t id;
		if (id_of(entry->d_name, &id) && !remove_folder(dirfd(dir), entry->d_name)) {
			log_event(LOG_WARNING, "worker.folder_left", "%s/%s cannot be removed: %s",
				path, entry->d_name, strerror(errno));
			kept = id > kept ? id : kept;
		}
	}
	(void)closedir(dir);
	return kept;
}
