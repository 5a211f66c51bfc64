#include "pluginhost/spec.h"

#include "common/base/error.h"
#include "pluginhost/beneath.h"
#include "pluginhost/control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A worker that may use more memory needs more room for addresses, too. */
enum { ADDRESS_SPACE_EXTRA_MIB = 768 };

static bool read_limit(const struct json_fields *f, const char *name, uint64_t max, uint64_t *ret)
{
	int64_t n = 0;
	if (!json_field_int(f, name, JSON_OPTIONAL, 1, INT64_MAX, &n)) {
		return false;
	}
	*ret = n == 0 ? 0 : (uint64_t)n > max ? max : (uint64_t)n;
	return true;
}

static bool read_limits(
	const struct json_fields *f, const struct settings *s, struct worker_limits *ret)
{
	uint64_t memory = 0;
	uint64_t pids = 0;
	uint64_t cpu = 0;
	if (!read_limit(f, "memory", s->memory_max, &memory) ||
		!read_limit(f, "pids", s->processes_max, &pids) ||
		!read_limit(f, "cpu", s->cpu_max, &cpu)) {
		return false;
	}
	ret->memory_bytes = memory;
	ret->processes = (uint32_t)pids;
	ret->cpu_percent = (uint32_t)cpu;
	return true;
}

static void fill_defaults(const struct settings *s, struct worker_limits *l)
{
	static const uint64_t extra = (uint64_t)ADDRESS_SPACE_EXTRA_MIB << 20;
	/* Who asks for more of them gets them, and not the profile's fewer threads. */
	l->threads = l->processes;
	l->memory_bytes = l->memory_bytes == 0 ? s->memory_bytes : l->memory_bytes;
	l->processes = l->processes == 0 ? (uint32_t)s->processes : l->processes;
	l->cpu_percent = l->cpu_percent == 0 ? (uint32_t)s->cpu_percent : l->cpu_percent;
	l->tmp_bytes = s->tmp_bytes;
	l->file_size_bytes = s->tmp_bytes;
	l->open_files = (uint32_t)s->open_files;
	if (s->address_space > 0) {
		l->address_space_bytes =
			s->address_space < l->memory_bytes ? l->memory_bytes : s->address_space;
		return;
	}
	/* Up to the usual memory the profile's own value does. */
	l->address_space_bytes =
		l->memory_bytes > (UINT64_C(256) << 20) ? l->memory_bytes + extra : 0;
}

static bool copy_text(
	const struct json_fields *f, const char *name, struct slice text, char *out, size_t size)
{
	if (text.n >= size) {
		return json_field_refuse(f, name, "is too long");
	}
	memcpy(out, text.p, text.n);
	out[text.n] = '\0';
	return true;
}

static bool read_names(const struct json_fields *f, struct start_spec *spec)
{
	struct slice plugin = SLICE_NULL;
	struct slice version = SLICE_NULL;
	struct slice socket = SLICE_NULL;
	if (!json_field_string(f, "plugin", JSON_REQUIRED, 1, PLUGIN_ID_SIZE - 1, &plugin) ||
		!json_field_string(f, "version", JSON_REQUIRED, 1, VERSION_SIZE - 1, &version) ||
		!json_field_string(f, "socket", JSON_REQUIRED, 1, SPEC_SOCKET_SIZE - 1, &socket)) {
		return false;
	}
	if (!plugin_id_is_valid(plugin)) {
		return json_field_refuse(f, "plugin", "is no plugin id");
	}
	if (!snapshot_is_version(version)) {
		return json_field_refuse(f, "version", "is no version");
	}
	return copy_text(f, "plugin", plugin, spec->plugin, sizeof(spec->plugin)) &&
		copy_text(f, "version", version, spec->version, sizeof(spec->version)) &&
		copy_text(f, "socket", socket, spec->socket, sizeof(spec->socket));
}

static bool parse_object(
	struct slice json, json_t **ret_tree, struct json_fields *ret, struct json_why *why)
{
	int r = json_tree_parse(json, ret_tree, why);
	if (r < 0) {
		if (r != -EBADMSG) {
			(void)snprintf(why->text, sizeof(why->text), "%s", strerror(-r));
		}
		return false;
	}
	return json_fields_init(ret, *ret_tree, "", why);
}

bool spec_parse(struct slice json,
	const struct settings *settings,
	struct start_spec *ret,
	struct json_why *why)
{
	json_t *tree = NULL;
	struct json_fields f;
	struct json_fields limits;
	struct start_spec spec = { 0 };
	bool ok = parse_object(json, &tree, &f, why) && read_names(&f, &spec) &&
		json_field_object(&f, "limits", JSON_OPTIONAL, &limits) &&
		read_limits(&limits, settings, &spec.limits);
	json_decref(tree);
	if (ok) {
		fill_defaults(settings, &spec.limits);
		*ret = spec;
	}
	return ok;
}

bool spec_parse_limits(struct slice json,
	const struct settings *settings,
	struct worker_limits *ret,
	struct json_why *why)
{
	json_t *tree = NULL;
	struct json_fields f;
	struct worker_limits limits = { 0 };
	bool ok = parse_object(json, &tree, &f, why) && read_limits(&f, settings, &limits);
	json_decref(tree);
	if (ok) {
		*ret = limits;
	}
	return ok;
}

/* The last `parts` components of a path. */
static const char *tail_of(const char *path, int parts)
{
	const char *at = path + strlen(path);
	while (at > path) {
		at--;
		if (*at == '/' && --parts == 0) {
			return at + 1;
		}
	}
	return NULL;
}

static bool same_directory(int fd, const char *path, size_t n)
{
	char parent[SPEC_SOCKET_SIZE];
	struct stat a;
	struct stat b;
	invariant(n < sizeof(parent));
	memcpy(parent, path, n);
	parent[n] = '\0';
	return fstat(fd, &a) == 0 && stat(n == 0 ? "/" : parent, &b) == 0 && a.st_dev == b.st_dev &&
		a.st_ino == b.st_ino;
}

static int open_workers(const char *run_path)
{
	int run_fd = open(run_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (run_fd < 0) {
		return -errno;
	}
	int fd = beneath_open(run_fd, "workers", O_PATH | O_DIRECTORY);
	(void)close(run_fd);
	return fd;
}

int spec_connect(const char *run_path, const char *socket)
{
	const char *tail = tail_of(socket, 2);
	if (tail == NULL || strcmp(strchr(tail, '/'), "/channel.sock") != 0) {
		return -EXDEV;
	}
	int workers_fd = open_workers(run_path);
	if (workers_fd < 0) {
		return workers_fd;
	}
	int r = same_directory(workers_fd, socket, (size_t)(tail - socket) - 1)
		? control_connect(workers_fd, tail)
		: -EXDEV;
	(void)close(workers_fd);
	return r;
}
