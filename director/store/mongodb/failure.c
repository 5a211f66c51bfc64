#include "director/store/mongodb/failure.h"

#include "common/base/clock.h"
#include "common/base/log.h"

#include <stdatomic.h>
#include <stdio.h>

/* Of a server that refuses commands in a row, one record a second is enough. */
enum { LOG_INTERVAL_MS = 1000 };

struct meaning {
	int32_t code;
	enum store_error read;
	enum store_error change;
};

/*
 * Codes of MongoDB's error_codes.yml that mean something else than "this command is wrong". Those of
 * an interrupted or failed-over server leave a change unknown: it may have been made before, or by
 * the first of two attempts (retryWrites).
 */
/* clang-format off */
static const struct meaning meanings[] = {
	{     0, STORE_E_UNAVAILABLE, STORE_E_UNKNOWN },     /* an error without a code */
	{     1, STORE_E_INTERNAL,    STORE_E_UNKNOWN },     /* InternalError */
	{     6, STORE_E_UNAVAILABLE, STORE_E_UNKNOWN },     /* HostUnreachable */
	{     7, STORE_E_UNAVAILABLE, STORE_E_UNKNOWN },     /* HostNotFound */
	{     8, STORE_E_INTERNAL,    STORE_E_UNKNOWN },     /* UnknownError */
	{    13, STORE_E_UNAVAILABLE, STORE_E_UNAVAILABLE }, /* Unauthorized */
	{    18, STORE_E_UNAVAILABLE, STORE_E_UNAVAILABLE }, /* AuthenticationFailed */
	{    24, STORE_E_UNAVAILABLE, STORE_E_UNKNOWN },     /* LockTimeout */
	{    43, STORE_E_UNAVAILABLE, STORE_E_UNKNOWN },     /* CursorNotFound */
	{    46, STORE_E_UNAVAILABLE, STORE_E_UNKNOWN },     /* LockBusy */
	{    50, STORE_E_LIMIT,       STORE_E_UNKNOWN },     /* MaxTimeMSExpired */
	{    59, STORE_E_UNSUPPORTED, STORE_E_UNSUPPORTED }, /* CommandNotFound */
	{    63, STORE_E_UNAVAILABLE, STORE_E_UNKNOWN },     /* StaleShardVersion */
	{    64, STORE_E_UNAVAILABLE, STORE_E_UNKNOWN },     /* WriteConcernFailed */
	{    89, STORE_E_UNAVAILABLE, STORE_E_UNKNOWN },     /* NetworkTimeout */
	{    91, STORE_E_UNAVAILABLE, STORE_E_UNKNOWN },     /* ShutdownInProgress */
	{   100, STORE_E_UNAVAILABLE, STORE_E_UNKNOWN },     /* UnsatisfiableWriteConcern */
	{   112, STORE_E_UNAVAILABLE, STORE_E_UNKNOWN },     /* WriteConflict */
	{   115, STORE_E_UNSUPPORTED, STORE_E_UNSUPPORTED }, /* CommandNotSupported */
	{   133, STORE_E_UNAVAILABLE, STORE_E_UNKNOWN },     /* FailedToSatisfyReadPreference */
	{   134, STORE_E_UNAVAILABLE, STORE_E_UNKNOWN },     /* ReadConcernMajorityNotAvailableYet */
	{   150, STORE_E_UNAVAILABLE, STORE_E_UNKNOWN },     /* StaleEpoch */
	{   175, STORE_E_UNAVAILABLE, STORE_E_UNKNOWN },     /* QueryPlanKilled */
	{   189, STORE_E_UNAVAILABLE, STORE_E_UNKNOWN },     /* PrimarySteppedDown */
	{   202, STORE_E_UNAVAILABLE, STORE_E_UNKNOWN },     /* NetworkInterfaceExceededTimeLimit */
	{   234, STORE_E_UNAVAILABLE, STORE_E_UNKNOWN },     /* RetryChangeStream */
	{   237, STORE_E_UNAVAILABLE, STORE_E_UNKNOWN },     /* CursorKilled */
	{   238, STORE_E_UNSUPPORTED, STORE_E_UNSUPPORTED }, /* NotImplemented */
	{   262, STORE_E_UNAVAILABLE, STORE_E_UNKNOWN },     /* ExceededTimeLimit */
	{   292, STORE_E_LIMIT,       STORE_E_LIMIT },       /* QueryExceededMemoryLimitNoDiskUseAllowed */
	{  8000, STORE_E_UNAVAILABLE, STORE_E_UNAVAILABLE }, /* AtlasError: not allowed */
	{  9001, STORE_E_UNAVAILABLE, STORE_E_UNKNOWN },     /* SocketException */
	{ 10107, STORE_E_UNAVAILABLE, STORE_E_UNKNOWN },     /* NotWritablePrimary */
	{ 10334, STORE_E_LIMIT,       STORE_E_LIMIT },       /* BSONObjectTooLarge */
	{ 11000, STORE_E_DUPLICATE,   STORE_E_DUPLICATE },   /* DuplicateKey */
	{ 11001, STORE_E_DUPLICATE,   STORE_E_DUPLICATE },   /* the same of an update, before 3.0 */
	{ 11600, STORE_E_UNAVAILABLE, STORE_E_UNKNOWN },     /* InterruptedAtShutdown */
	{ 11601, STORE_E_UNAVAILABLE, STORE_E_UNKNOWN },     /* Interrupted */
	{ 11602, STORE_E_UNAVAILABLE, STORE_E_UNKNOWN },     /* InterruptedDueToReplStateChange */
	{ 12582, STORE_E_DUPLICATE,   STORE_E_DUPLICATE },   /* a duplicate in a capped collection */
	{ 13388, STORE_E_UNAVAILABLE, STORE_E_UNKNOWN },     /* StaleConfig */
	{ 13435, STORE_E_UNAVAILABLE, STORE_E_UNKNOWN },     /* NotPrimaryNoSecondaryOk */
	{ 13436, STORE_E_UNAVAILABLE, STORE_E_UNKNOWN },     /* NotPrimaryOrSecondary */
	{ 14031, STORE_E_FULL,        STORE_E_FULL },        /* OutOfDiskSpace */
	{ 17217, STORE_E_LIMIT,       STORE_E_LIMIT },       /* distinct: more than one reply holds */
	{ 17280, STORE_E_LIMIT,       STORE_E_LIMIT },       /* KeyTooLong */
	{ 17419, STORE_E_LIMIT,       STORE_E_LIMIT },       /* an update makes a document too large */
	{ 17420, STORE_E_LIMIT,       STORE_E_LIMIT },       /* the same */
};
/* clang-format on */

enum store_error mongodb_code_class(int32_t code, bool change)
{
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
		if (meanings[i].code == code) {
			return change ? meanings[i].change : meanings[i].read;
		}
	}
	return STORE_E_INVALID;
}

bool mongodb_is_unconfirmed(const bson_t *reply)
{
	bson_iter_t it;
	bson_iter_t errors;
	if (reply == NULL) {
		return false;
	}
	if (bson_iter_init_find(&it, reply, "writeConcernErrors") &&
		bson_iter_recurse(&it, &errors) && bson_iter_next(&errors)) {
		return true;
	}
	return bson_has_field(reply, "writeConcernError");
}

static enum store_error stream_class(uint32_t code, bool change)
{
	switch (code) {
	case MONGOC_ERROR_STREAM_NAME_RESOLUTION:
	case MONGOC_ERROR_STREAM_CONNECT:
	case MONGOC_ERROR_STREAM_NOT_ESTABLISHED:
		/* There was no connection to send on. */
		return STORE_E_UNAVAILABLE;
	default:
		return change ? STORE_E_UNKNOWN : STORE_E_UNAVAILABLE;
	}
}

enum store_error mongodb_error_class(const bson_error_t *error, const bson_t *reply, bool change)
{
	if (change && mongodb_is_unconfirmed(reply)) {
		return STORE_E_UNKNOWN;
	}
	switch (error->domain) {
	case MONGOC_ERROR_SERVER:
	case MONGOC_ERROR_WRITE_CONCERN:
		return mongodb_code_class((int32_t)error->code, change);
	case MONGOC_ERROR_SERVER_SELECTION:
	case MONGOC_ERROR_SCRAM:
	case MONGOC_ERROR_SASL:
		/* No server was found, or none let us in: none was asked. */
		return STORE_E_UNAVAILABLE;
	case MONGOC_ERROR_CLIENT:
		return error->code == MONGOC_ERROR_CLIENT_AUTHENTICATE ? STORE_E_UNAVAILABLE
			: change                                       ? STORE_E_UNKNOWN
								       : STORE_E_INTERNAL;
	case MONGOC_ERROR_STREAM:
		return stream_class(error->code, change);
	case MONGOC_ERROR_PROTOCOL:
		return change ? STORE_E_UNKNOWN : STORE_E_UNAVAILABLE;
	case MONGOC_ERROR_COMMAND:
	case MONGOC_ERROR_BSON:
		/* libmongoc itself refused to send it. */
		return STORE_E_INTERNAL;
	default:
		return change ? STORE_E_UNKNOWN : STORE_E_INTERNAL;
	}
}

const char *mongodb_class_text(enum store_error e)
{
	switch (e) {
	case STORE_E_DUPLICATE:
		return "there is a document with this _id already";
	case STORE_E_LIMIT:
		return "the operation took longer or needs more memory than the database allows "
		       "(MOZAIKS_STORE_TIMEOUT_SECONDS)";
	case STORE_E_FULL:
		return "the database has no space left";
	case STORE_E_UNAVAILABLE:
		return "the database cannot be reached; nothing was done";
	case STORE_E_UNKNOWN:
		return "the database did not confirm the change: it may or may not have happened";
	case STORE_E_INVALID:
		return "the database refused the operation";
	case STORE_E_UNSUPPORTED:
		return "the database does not know this operation";
	case STORE_OK:
	case STORE_E_PERMISSION:
	case STORE_E_INTERNAL:
		break;
	}
	return "the database failed";
}

/* "E11000 duplicate key error collection: … index: NAME dup key: …" */
void mongodb_duplicate_text(const char *server, char ret[static STORE_MESSAGE_MAX])
{
	static const char before[] = " index: ";
	static const char behind[] = " dup key";
	static const char owned[] = "owned:";
	const char *name = strstr(server, before);
	const char *end = name == NULL ? NULL : strstr(name, behind);
	name = name == NULL ? NULL : name + sizeof(before) - 1;
	if (end == NULL || end <= name || strncmp(name, "_id_", 4) == 0) {
		(void)snprintf(ret, STORE_MESSAGE_MAX, "%s", mongodb_class_text(STORE_E_DUPLICATE));
		return;
	}
	name += strncmp(name, owned, sizeof(owned) - 1) == 0 ? sizeof(owned) - 1 : 0;
	struct slice text = slice_of(name, end > name ? (size_t)(end - name) : 0);
	struct store_failure f;
	(void)store_fail(&f, STORE_E_DUPLICATE,
		"there is a document with this key in the unique index %.*s already",
		STORE_NAME(text));
	memcpy(ret, f.message, sizeof(f.message));
}

void mongodb_note_duplicate(struct store_task *t, uint32_t index, struct slice error)
{
	struct value keys = document_find(error, SLICE("keyPattern"));
	struct value values = document_find(error, SLICE("keyValue"));
	if (keys.type == BT_OBJECT && values.type == BT_OBJECT) {
		store_task_note_duplicate(t, index, keys.data, values.data);
	}
}

/* Of a command that made one change: in the reply itself, or its only write error. */
static void note_reply(struct store_task *t, const bson_t *reply)
{
	struct slice whole =
		reply == NULL ? SLICE_NULL : slice_of(bson_get_data(reply), reply->len);
	struct value errors = document_find(whole, SLICE("writeErrors"));
	struct value first = document_find(errors.data, SLICE("0"));
	mongodb_note_duplicate(t, 0, first.type == BT_OBJECT ? first.data : whole);
}

/* True at most once per interval. Any thread. */
static bool may_log(void)
{
	static _Atomic uint64_t next;
	uint64_t now = clock_ms();
	uint64_t due = atomic_load(&next);
	return now >= due && atomic_compare_exchange_strong(&next, &due, now + LOG_INTERVAL_MS);
}

enum store_error mongodb_fail(
	struct store_task *t, const bson_error_t *error, const bson_t *reply, bool change)
{
	enum store_error e = mongodb_error_class(error, reply, change);
	struct log_field fields[] = {
		{ "collection", t->collection },
		{ "error", slice_str(error->message) },
	};
	if (e != STORE_E_DUPLICATE && may_log()) {
		log_fields(LOG_WARNING, "store.mongodb_error", fields, 2,
			"MongoDB refused a command or could not be asked (domain %u, code %u): %s",
			error->domain, error->code, store_error_code(e));
	}
	if (e == STORE_E_DUPLICATE) {
		char text[STORE_MESSAGE_MAX];
		mongodb_duplicate_text(error->message, text);
		note_reply(t, reply);
		(void)store_task_fail(t, e, "%s", text);
		return e;
	}
	(void)store_task_fail(t, e, "%s", mongodb_class_text(e));
	return e;
}
