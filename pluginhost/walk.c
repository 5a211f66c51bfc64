#include "pluginhost/walk.h"

#include "common/base/error.h"
#include "pluginhost/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct level {
	int fd;
	struct file_names names;
	size_t next;
	/* The names were read. */
	bool read;
	/* Length of the directory's own path, with the slash behind it. */
	size_t path_n;
};

struct walk {
	struct walk_limits limits;
	struct walk_hooks hooks;
	struct level levels[WALK_DEPTH_MAX + 1];
	size_t depth;
	uint64_t entries;
	uid_t owner;
	struct buffer why;
	/* Descends into this entry at the next call. */
	bool descend;
	/* A walk of one file: the path it is reported under. */
	char *as;
	char path[PATH_MAX];
};

struct slice walk_why(const struct walk *w)
{
	return buffer_slice(&w->why);
}

/* "PATH: RULE"; a text that does not fit is cut, which is as good. */
static int refuse(struct walk *w, const char *path, const char *rule)
{
	buffer_clear(&w->why);
	if (path != NULL) {
		(void)buffer_append_json(&w->why, slice_str(path));
		(void)buffer_printf(&w->why, ": ");
	}
	(void)buffer_printf(&w->why, "%s", rule);
	return WALK_E_REFUSED;
}

int walk_explain_error(struct walk *w, const char *path, int error)
{
	switch (error) {
	case -ENOENT:
	case -ENOTDIR:
	case -ESTALE:
	case -EAGAIN:
		return WALK_E_CHANGED;
	case -ELOOP:
		return refuse(w, path, "is a symbolic link; links are not followed");
	case -EACCES:
	case -EPERM: {
		char rule[128];
		(void)snprintf(rule, sizeof(rule),
			"cannot be read by pluginhost (uid %u); it needs read permission",
			(unsigned)geteuid());
		return refuse(w, path, rule);
	}
	default:
		return error;
	}
}

bool walk_skips(const char *name)
{
	return name[0] == '.' || strcmp(name, "__pycache__") == 0 ||
		strcmp(name, "node_modules") == 0;
}

static bool is_allowed_name(const char *name)
{
	for (const char *p = name; *p != '\0'; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f) {
			return false;
		}
	}
	return slice_is_utf8(slice_str(name));
}

static void pop_level(struct walk *w)
{
	struct level *level = &w->levels[--w->depth];
	file_names_deinit(&level->names);
	(void)close(level->fd);
	*level = (struct level){ 0 };
}

static int refuse_entries(struct walk *w)
{
	char rule[128];
	(void)snprintf(rule, sizeof(rule),
		"more than %llu files and directories (MOZAIKS_SNAPSHOT_FILES)",
		(unsigned long long)w->limits.entries);
	return refuse(w, NULL, rule);
}

/* Skipped names count too: they are read and held all the same. */
static int read_names(struct walk *w, struct level *level)
{
	int r = beneath_list(level->fd, w->limits.entries - w->entries, &level->names);
	if (r == -E2BIG) {
		return refuse_entries(w);
	}
	w->entries += level->names.n;
	return r;
}

/* Takes `fd`. */
static void push_level(struct walk *w, int fd, size_t path_n)
{
	w->levels[w->depth++] = (struct level){ .fd = fd, .path_n = path_n };
	if (w->hooks.on_directory != NULL) {
		w->hooks.on_directory(w->hooks.context, fd);
	}
}

int walk_new(struct walk **ret,
	int root_fd,
	const struct walk_limits *limits,
	const struct walk_hooks *hooks)
{
	struct stat st;
	struct walk *w = calloc(1, sizeof(*w));
	if (w == NULL || fstat(root_fd, &st) < 0) {
		int e = w == NULL ? -ENOMEM : -errno;
		free(w);
		(void)close(root_fd);
		return e;
	}
	invariant(limits->depth <= WALK_DEPTH_MAX);
	w->limits = *limits;
	w->owner = st.st_uid;
	if (hooks != NULL) {
		w->hooks = *hooks;
	}
	buffer_init(&w->why, WALK_WHY_MAX);
	push_level(w, root_fd, 0);
	*ret = w;
	return 0;
}

int walk_new_file(struct walk **ret, int dir_fd, const char *name, const char *as)
{
	static const struct walk_limits one = { .entries = 1, .depth = 0 };
	struct walk *w;
	int r = walk_new(&w, dir_fd, &one, NULL);
	if (r < 0) {
		return r;
	}
	w->levels[0].read = true;
	w->as = strdup(as);
	struct file_names *names = &w->levels[0].names;
	names->v = calloc(1, sizeof(names->v[0]));
	if (names->v != NULL) {
		names->v[0] = strdup(name);
		names->n = names->v[0] != NULL;
	}
	if (w->as == NULL || names->n == 0) {
		(void)walk_free(w);
		return -ENOMEM;
	}
	*ret = w;
	return 0;
}

struct walk *walk_free(struct walk *w)
{
	if (w != NULL) {
		while (w->depth > 0) {
			pop_level(w);
		}
		buffer_deinit(&w->why);
		free(w->as);
		free(w);
	}
	return NULL;
}

static int descend(struct walk *w)
{
	const struct level *parent = &w->levels[w->depth - 1];
	const char *name = parent->names.v[parent->next - 1];
	size_t path_n = strlen(w->path);
	if (w->depth > w->limits.depth) {
		char rule[96];
		(void)snprintf(rule, sizeof(rule), "more than %llu levels (MOZAIKS_SNAPSHOT_DEPTH)",
			(unsigned long long)w->limits.depth);
		return refuse(w, w->path, rule);
	}
	int fd = beneath_open(parent->fd, name, O_RDONLY | O_DIRECTORY);
	if (fd < 0) {
		return walk_explain_error(w, w->path, fd);
	}
	push_level(w, fd, path_n + 1);
	w->path[path_n] = '/';
	w->path[path_n + 1] = '\0';
	return 0;
}

/* Sets w->path to the entry's path. */
static int enter_path(struct walk *w, const struct level *level, const char *name)
{
	size_t n = strlen(name);
	if (level->path_n + n + 2 > sizeof(w->path)) {
		return refuse(w, NULL, "a path longer than 4094 bytes");
	}
	memcpy(w->path + level->path_n, name, n + 1);
	return 0;
}

static int check_entry(struct walk *w, const char *name, const struct stat *st)
{
	if (!is_allowed_name(name)) {
		return refuse(w, w->path, "a name with control bytes or invalid UTF-8");
	}
	if (S_ISLNK(st->st_mode)) {
		return refuse(w, w->path, "is a symbolic link; links are not followed");
	}
	if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode)) {
		return refuse(w, w->path, "is neither a regular file nor a directory");
	}
	if (S_ISREG(st->st_mode) && st->st_nlink > 1 && st->st_uid != w->owner) {
		return refuse(w, w->path, "is a hard link to a file of another owner");
	}
	return 0;
}

/* The next name that counts; directories that are done are left behind. */
static int next_name(struct walk *w, const char **ret)
{
	for (;;) {
		struct level *level = &w->levels[w->depth - 1];
		if (!level->read) {
			level->read = true;
			int r = read_names(w, level);
			if (r != 0) {
				return r;
			}
		}
		while (level->next < level->names.n) {
			const char *name = level->names.v[level->next++];
			if (!walk_skips(name)) {
				*ret = name;
				return 0;
			}
		}
		if (w->depth == 1) {
			return WALK_END;
		}
		pop_level(w);
	}
}

int walk_next(struct walk *w, struct walk_entry *ret)
{
	if (w->descend) {
		w->descend = false;
		int r = descend(w);
		if (r != 0) {
			return r;
		}
	}
	const char *name;
	int r = next_name(w, &name);
	if (r != 0) {
		return r;
	}
	const struct level *level = &w->levels[w->depth - 1];
	r = enter_path(w, level, name);
	if (r != 0) {
		return r;
	}
	struct stat st;
	if (fstatat(level->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		return walk_explain_error(w, w->path, -errno);
	}
	r = check_entry(w, name, &st);
	if (r != 0) {
		return r;
	}
	if (w->as != NULL && S_ISDIR(st.st_mode)) {
		return WALK_E_CHANGED;
	}
	w->descend = S_ISDIR(st.st_mode);
	*ret = (struct walk_entry){
		.path = w->as != NULL ? w->as : w->path, .name = name, .dir_fd = level->fd, .st = st
	};
	return WALK_ENTRY;
}
