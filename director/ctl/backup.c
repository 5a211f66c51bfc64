/*
 * mozaiksctl backup, restore: the embedded database as one file. They work on the database file itself,
 * beside the director or without one, so that a backup costs the director nothing and may go where it
 * must not write. Who may use them is who may open the file.
 */
#include "director/store/sqlite/backup.h"

#include "director/ctl/ctl.h"
#include "director/ctl/output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, WHY_BYTES = 256 };

#define SQLITE_SCHEME "sqlite:///"

/* DATABASE_URI as the director reads it. @return CTL_OK, or another status after its message. */
static int database_path(const struct ctl *ctl, char path[static PATH_BYTES])
{
	static const char *const names[] = { "DATABASE_URI", "MONGODB_URI" };
	const char *uri = NULL;
	for (size_t i = 0; i < 2 && (uri == NULL || uri[0] == '\0'); i++) {
		uri = getenv(names[i]);
	}
	int n = 0;
	if (uri == NULL || uri[0] == '\0') {
		n = snprintf(path, PATH_BYTES, "%s/mozaiks.db", ctl->state);
	} else if (slice_starts(slice_str(uri), SLICE(SQLITE_SCHEME "/"))) {
		n = snprintf(path, PATH_BYTES, "%s", uri + sizeof(SQLITE_SCHEME) - 1);
	} else {
		/* Not shown: it may hold a password. */
		output_error("DATABASE_URI names no embedded database");
		output_hint("Use the server's own tools, such as mongodump and mongorestore.");
		return CTL_USAGE;
	}
	if (n < 0 || n >= PATH_BYTES) {
		output_error("the path of the database is too long");
		return CTL_USAGE;
	}
	return CTL_OK;
}

/* One line that is written over, at a terminal. */
static void show_progress(void *arg, uint64_t done, uint64_t all)
{
	unsigned *shown = arg;
	unsigned percent = all == 0 ? 0 : (unsigned)(done * 100 / all);
	if (percent != *shown) {
		*shown = percent;
		(void)fprintf(stderr, "\r%3u %%%s", percent, percent == 100 ? "\n" : "");
		(void)fflush(stderr);
	}
}

static struct backup_progress progress_for(unsigned *shown)
{
	*shown = UINT32_MAX;
	return (struct backup_progress){ isatty(STDERR_FILENO) == 1 ? show_progress : NULL, shown };
}

static int explain(int r, const char *why)
{
	output_error("%s", why);
	switch (-r) {
	case EEXIST:
		output_hint("--force replaces it.");
		return CTL_FAILURE;
	case EBUSY:
		output_hint("Stop the director first: a database in use is not replaced.");
		return CTL_FAILURE;
	case ENOENT:
		output_hint(
			"The database is mozaiks.db in the state directory (--state DIR), or what "
			"DATABASE_URI names.");
		return CTL_NOT_FOUND;
	case EACCES:
	case EPERM:
		output_hint("Run mozaiksctl as root or as the user that runs the director.");
		return CTL_NOT_FOUND;
	default:
		return CTL_FAILURE;
	}
}

static int print_done(const struct ctl *ctl, const char *file, const char *kept)
{
	struct buffer out;
	struct stat st = { 0 };
	(void)stat(file, &st);
	buffer_init(&out, 65536);
	int r = 0;
	if (ctl->output == CTL_JSON) {
		r = buffer_append(&out, SLICE("{\"file\":"));
		r = r < 0 ? r : buffer_append_json(&out, slice_str(file));
		r = r < 0 ? r
			  : buffer_printf(&out,
				    ",\"bytes\":%llu,\"kept\":", (unsigned long long)st.st_size);
		r = r < 0                 ? r
			: kept[0] == '\0' ? buffer_append(&out, SLICE("null"))
					  : buffer_append_json(&out, slice_str(kept));
		r = r < 0 ? r : buffer_append_byte(&out, '}');
	} else {
		r = buffer_printf(&out, "%s: %llu bytes", file, (unsigned long long)st.st_size);
		if (r >= 0 && kept[0] != '\0') {
			r = buffer_printf(&out, "\nwhat was there: %s", kept);
		}
	}
	int status = CTL_OK;
	if (r < 0) {
		output_error("the paths are too long");
		status = CTL_FAILURE;
	} else {
		status = output_document(buffer_slice(&out));
	}
	buffer_deinit(&out);
	return status;
}

int ctl_backup(const struct ctl *ctl)
{
	char database[PATH_BYTES];
	char why[WHY_BYTES];
	unsigned shown;
	struct backup_progress progress = progress_for(&shown);
	int status = database_path(ctl, database);
	if (status != CTL_OK) {
		return status;
	}
	int r = backup_make(database, ctl->args[0], ctl->force, &progress, why);
	return r < 0 ? explain(r, why) : print_done(ctl, ctl->args[0], "");
}

int ctl_restore(const struct ctl *ctl)
{
	char database[PATH_BYTES];
	char kept[PATH_BYTES];
	char why[WHY_BYTES];
	unsigned shown;
	struct backup_progress progress = progress_for(&shown);
	int status = database_path(ctl, database);
	if (status != CTL_OK) {
		return status;
	}
	int r = backup_restore(ctl->args[0], database, &progress, kept, why);
	return r < 0 ? explain(r, why) : print_done(ctl, database, kept);
}
