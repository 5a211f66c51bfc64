#include "director/store/mongodb/address.h"

#include "common/base/buffer.h"
#include "common/base/log.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

enum {
	TIMEOUT_MIN_MS = 100,
	TIMEOUT_MAX_MS = 60000,
	THREADS_MIN = 4,
	THREADS_MAX = 64,
	URI_MAX = 4096,
	NAME_ROOM = 41, /* of an option, in a message */
};

static const struct slice scheme = { (const uint8_t *)"mongodb://", 10 };

/* --- libmongoc's log --- */

static void count_record(mongoc_log_level_t level, const char *domain, const char *text, void *arg)
{
	unsigned *n = (unsigned *)arg;
	if (level <= MONGOC_LOG_LEVEL_WARNING) {
		(*n)++;
	}
}

static void pass_record(mongoc_log_level_t level, const char *domain, const char *text, void *arg)
{
	struct log_field field = { "text", slice_str(text) };
	/* Its warnings are of lost connections, which failure.c and health.c report. */
	enum log_level ours = level <= MONGOC_LOG_LEVEL_CRITICAL ? LOG_WARNING : LOG_DEBUG;
	if (level <= MONGOC_LOG_LEVEL_WARNING) {
		log_fields(ours, "store.mongodb_client", &field, 1, "libmongoc says so");
	}
}

void mongodb_address_log(void)
{
	mongoc_log_set_handler(pass_record, NULL);
}

/* --- parsing, and saying where a mistake is --- */

/* libmongoc only warns of an option that it does not know or cannot read; here that is an error. */
static mongoc_uri_t *parse(const char *text)
{
	unsigned warnings = 0;
	bson_error_t error;
	mongoc_log_set_handler(count_record, &warnings);
	mongoc_uri_t *uri = mongoc_uri_new_with_error(text, &error);
	mongoc_log_set_handler(NULL, NULL);
	if (warnings > 0) {
		mongoc_uri_destroy(uri);
		return NULL;
	}
	return uri;
}

static bool parses(const char *text)
{
	mongoc_uri_t *uri = parse(text);
	mongoc_uri_destroy(uri);
	return uri != NULL;
}

/* Up to the first of the characters in `stop`, or all. */
static struct slice until(struct slice s, const char *stop)
{
	size_t n = 0;
	while (n < s.n && strchr(stop, s.p[n]) == NULL) {
		n++;
	}
	return slice_of(s.p, n);
}

static bool holds(struct slice s, uint8_t c)
{
	return s.n > 0 && memchr(s.p, c, s.n) != NULL;
}

/* Whether "mongodb://" and the two parts is a URI. They may hold secrets: no copy stays. */
static bool parts_parse(struct slice a, struct slice b)
{
	struct buffer text;
	buffer_init(&text, URI_MAX + 64);
	bool ok = buffer_append(&text, scheme) == 0 && buffer_append(&text, a) == 0 &&
		buffer_append(&text, b) == 0 && buffer_append_byte(&text, 0) == 0 &&
		parses((const char *)text.p);
	if (text.n > 0) {
		explicit_bzero(text.p, text.n);
	}
	buffer_deinit(&text);
	return ok;
}

/* Names the first option that libmongoc does not take alone. */
static bool blame_option(struct slice options, char why[static 256])
{
	char name[NAME_ROOM] = "?";
	while (options.n > 0) {
		struct slice option = until(options, "&;");
		if (!parts_parse(SLICE("h/?"), option)) {
			struct slice word = until(option, "=");
			if (slice_is_name(word, NAME_ROOM - 1)) {
				memcpy(name, word.p, word.n);
				name[word.n] = '\0';
			}
			(void)snprintf(why, 256,
				"DATABASE_URI: the option %s is not known or its value is wrong",
				name);
			return true;
		}
		options = slice_skip(options, option.n < options.n ? option.n + 1 : option.n);
	}
	return false;
}

static void blame(const char *uri, char why[static 256])
{
	struct slice rest = slice_skip(slice_str(uri), scheme.n);
	struct slice authority = until(rest, "/?");
	struct slice tail = slice_skip(rest, authority.n);
	struct slice path = until(tail, "?");
	struct slice options = slice_skip(tail, path.n < tail.n ? path.n + 1 : path.n);
	if (holds(tail, '@')) {
		/* What looks like options may be a password. */
		(void)snprintf(why, 256,
			"DATABASE_URI: in user and password the characters : / ? # [ ] @ %% are written "
			"percent-encoded");
		return;
	}
	if (blame_option(options, why)) {
		return;
	}
	struct slice user = until(authority, "@");
	struct slice hosts = user.n < authority.n ? slice_skip(authority, user.n + 1) : authority;
	if (!parts_parse(hosts, path)) {
		(void)snprintf(why, 256,
			"DATABASE_URI: the hosts or the database are not as in "
			"mongodb://user:password@host:27017/database");
	} else if (!parts_parse(hosts, tail)) {
		(void)snprintf(why, 256, "DATABASE_URI: its options contradict each other");
	} else {
		(void)snprintf(why, 256,
			"DATABASE_URI: user and password do not go with the options, or the characters "
			": / ? # [ ] @ %% in them are not percent-encoded");
	}
}

/* --- what the runtime wants --- */

static int refuse_range(const char *name, long min, long max, char why[static 256])
{
	(void)snprintf(why, 256, "DATABASE_URI: %s has to be %ld to %ld", name, min, max);
	return -EINVAL;
}

static int set_timeout(mongoc_uri_t *uri,
	const char *option,
	const char *name,
	int32_t value,
	char why[static 256])
{
	if (!mongoc_uri_has_option(uri, option)) {
		return mongoc_uri_set_option_as_int32(uri, option, value) ? 0 : -ENOMEM;
	}
	int32_t given = mongoc_uri_get_option_as_int32(uri, option, 0);
	if (given < TIMEOUT_MIN_MS || given > TIMEOUT_MAX_MS) {
		return refuse_range(name, TIMEOUT_MIN_MS, TIMEOUT_MAX_MS, why);
	}
	return 0;
}

static int set_timeouts(mongoc_uri_t *uri, unsigned operation_ms, char why[static 256])
{
	/* Together less than the five seconds after which a command has to be answered. */
	int32_t answer_ms = operation_ms < 4000 ? 5000 : (int32_t)operation_ms + 1000;
	int r = set_timeout(uri, MONGOC_URI_CONNECTTIMEOUTMS, "connectTimeoutMS", 3000, why);
	r = r < 0 ? r
		  : set_timeout(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS,
			    "serverSelectionTimeoutMS", 4500, why);
	r = r < 0 ? r
		  : set_timeout(uri, MONGOC_URI_SOCKETTIMEOUTMS, "socketTimeoutMS", answer_ms, why);
	return r;
}

static int set_write_concern(mongoc_uri_t *uri, char why[static 256])
{
	const mongoc_write_concern_t *given = mongoc_uri_get_write_concern(uri);
	int64_t timeout_ms = mongoc_write_concern_get_wtimeout_int64(given);
	if (timeout_ms == 0) {
		timeout_ms = 5000;
	} else if (timeout_ms < TIMEOUT_MIN_MS || timeout_ms > TIMEOUT_MAX_MS) {
		return refuse_range("wtimeoutMS", TIMEOUT_MIN_MS, TIMEOUT_MAX_MS, why);
	}
	if (mongoc_uri_has_option(uri, MONGOC_URI_W) &&
		!mongoc_write_concern_get_wmajority(given)) {
		log_event(LOG_WARNING, "store.mongodb_write_concern",
			"the option w of DATABASE_URI is ignored: what is acknowledged has to be "
			"durable, so it is w=majority");
	}
	mongoc_write_concern_t *durable = mongoc_write_concern_new();
	mongoc_write_concern_set_wmajority(durable, (int32_t)timeout_ms);
	mongoc_write_concern_set_journal(durable, true);
	mongoc_uri_set_write_concern(uri, durable);
	mongoc_write_concern_destroy(durable);
	return 0;
}

static int check_file(mongoc_uri_t *uri, const char *option, const char *name, char why[static 256])
{
	const char *path = mongoc_uri_get_option_as_utf8(uri, option, NULL);
	if (path != NULL && access(path, R_OK) < 0) {
		(void)snprintf(why, 256, "DATABASE_URI: the file of %s cannot be read: %m", name);
		return -EINVAL;
	}
	return 0;
}

static int set_options(mongoc_uri_t *uri, unsigned operation_ms, char why[static 256])
{
	int r = set_timeouts(uri, operation_ms, why);
	r = r < 0 ? r : set_write_concern(uri, why);
	r = r < 0 ? r : check_file(uri, MONGOC_URI_TLSCAFILE, "tlsCAFile", why);
	r = r < 0 ? r
		  : check_file(uri, MONGOC_URI_TLSCERTIFICATEKEYFILE, "tlsCertificateKeyFile", why);
	if (r < 0) {
		return r;
	}
	mongoc_read_prefs_t *primary = mongoc_read_prefs_new(MONGOC_READ_PRIMARY);
	mongoc_uri_set_read_prefs_t(uri, primary);
	mongoc_read_prefs_destroy(primary);
	if (!mongoc_uri_has_option(uri, MONGOC_URI_RETRYWRITES) &&
		!mongoc_uri_set_option_as_bool(uri, MONGOC_URI_RETRYWRITES, true)) {
		return -ENOMEM;
	}
	if (mongoc_uri_get_appname(uri) == NULL &&
		!mongoc_uri_set_appname(uri, "mozaiks-director")) {
		return -ENOMEM;
	}
	return 0;
}

static int take_names(struct mongodb_address *a, char why[static 256])
{
	const char *database = mongoc_uri_get_database(a->uri);
	database = database == NULL || database[0] == '\0' ? "mozaiks" : database;
	int n = snprintf(a->database, sizeof(a->database), "%s", database);
	if (n < 0 || (size_t)n >= sizeof(a->database)) {
		(void)snprintf(why, 256, "DATABASE_URI: the database's name is longer than %zu",
			sizeof(a->database) - 1);
		return -EINVAL;
	}
	if (!mongoc_uri_has_option(a->uri, MONGOC_URI_MAXPOOLSIZE)) {
		return 0;
	}
	int32_t threads = mongoc_uri_get_option_as_int32(a->uri, MONGOC_URI_MAXPOOLSIZE, 0);
	if (threads < THREADS_MIN || threads > THREADS_MAX) {
		return refuse_range("maxPoolSize", THREADS_MIN, THREADS_MAX, why);
	}
	a->threads = (unsigned)threads;
	return 0;
}

int mongodb_address_init(
	struct mongodb_address *a, const char *text, unsigned operation_ms, char why[static 256])
{
	*a = (struct mongodb_address){ 0 };
	if (!slice_starts(slice_str(text), scheme) || strlen(text) >= URI_MAX) {
		(void)snprintf(
			why, 256, "DATABASE_URI: not mongodb://…, or over %d bytes", URI_MAX);
		return -EINVAL;
	}
	a->uri = parse(text);
	if (a->uri == NULL) {
		blame(text, why);
		return -EINVAL;
	}
	int r = set_options(a->uri, operation_ms, why);
	r = r < 0 ? r : take_names(a, why);
	if (r < 0) {
		mongodb_address_deinit(a);
	}
	return r;
}

int mongodb_address_files(const char *text, store_file_fn each, void *arg)
{
	static const char *const options[] = { MONGOC_URI_TLSCAFILE,
		MONGOC_URI_TLSCERTIFICATEKEYFILE };
	mongoc_uri_t *uri = parse(text);
	int r = 0;
	for (size_t i = 0; uri != NULL && r == 0 && i < sizeof(options) / sizeof(options[0]); i++) {
		const char *path = mongoc_uri_get_option_as_utf8(uri, options[i], NULL);
		r = path == NULL ? 0 : each(arg, path, false);
	}
	mongoc_uri_destroy(uri);
	return r;
}

void mongodb_address_deinit(struct mongodb_address *a)
{
	mongoc_uri_destroy(a->uri);
	*a = (struct mongodb_address){ 0 };
}
