/*
 * counter: named counters, one set per user, kept in the database. The smallest useful plugin in C.
 *
 *   {"action":"increment","name":"visits"}            -> {"name":"visits","value":1}
 *   {"action":"increment","name":"visits","by":5}     -> {"name":"visits","value":6}
 *   {"action":"get","name":"visits"}                  -> {"name":"visits","value":6}
 *   {"action":"reset","name":"visits"}                -> {"name":"visits","value":0}
 *   {"action":"list"}                                 -> {"counters":[{"name":"visits","value":0}]}
 *
 * The runtime scopes the collection to the caller; nothing here names the user but the _id, which
 * makes two increments at once meet in one document on every store.
 */
#include <mozaiks/plugin.h>
#include <string.h>

enum { NAME_MAX_BYTES = 100, STEP_MAX = 1000000 };

/* What a request asks for. */
struct request {
	struct mozaiks_text name; /* as JSON, with its quotes */
	struct mozaiks_text id;   /* likewise: "user/name" */
	int64_t by;
};

static int refuse(struct mozaiks_call *call, const char *what)
{
	struct mozaiks_text json;
	int e = mozaiks_format(
		call, &json, "{\"error\":\"%s\",\"error_code\":\"VALIDATION_ERROR\"}", what);
	return e != 0 ? e : mozaiks_answer(call, json);
}

/* A capability that failed: the client hears that it did, the log hears why. */
static int broken(struct mozaiks_call *call)
{
	struct mozaiks_text why = mozaiks_error(call);
	return mozaiks_fail(call, "the database said: %.*s", MOZAIKS_PRINTED(why));
}

/* @return 0; or 1 when the request was refused, which is its answer. */
static int read_request(struct mozaiks_call *call, struct request *r)
{
	struct mozaiks_text value;
	struct mozaiks_text name;
	struct mozaiks_text joined;
	struct mozaiks_text user = mozaiks_user(call);
	if (mozaiks_member(call, mozaiks_data(call), "name", &value) != 0 ||
		mozaiks_string(call, value, &name) != 0 || name.n == 0 || name.n > NAME_MAX_BYTES) {
		(void)refuse(call, "name must be a string of 1 to 100 bytes");
		return 1;
	}
	r->by = 1;
	if (mozaiks_member(call, mozaiks_data(call), "by", &value) == 0 &&
		(mozaiks_integer(call, value, &r->by) != 0 || r->by < -STEP_MAX ||
			r->by > STEP_MAX)) {
		(void)refuse(call, "by must be an integer from -1000000 to 1000000");
		return 1;
	}
	if (mozaiks_quote(call, name, &r->name) != 0 ||
		mozaiks_format(call, &joined, "%.*s/%.*s", MOZAIKS_PRINTED(user),
			MOZAIKS_PRINTED(name)) != 0 ||
		mozaiks_quote(call, joined, &r->id) != 0) {
		(void)refuse(call, "the name cannot be used");
		return 1;
	}
	return 0;
}

/* The member "value" of a counter's document; 0 without one. */
static int64_t value_of(struct mozaiks_call *call, struct mozaiks_text document)
{
	struct mozaiks_text value;
	int64_t number;
	if (mozaiks_member(call, document, "value", &value) != 0 ||
		mozaiks_integer(call, value, &number) != 0) {
		return 0;
	}
	return number;
}

static int answer_value(struct mozaiks_call *call, const struct request *r, int64_t value)
{
	struct mozaiks_text json;
	int e = mozaiks_format(call, &json, "{\"name\":%.*s,\"value\":%lld}",
		MOZAIKS_PRINTED(r->name), (long long)value);
	return e != 0 ? e : mozaiks_answer(call, json);
}

/* database.modify with an update; the new document's value is the answer. */
static int modify(
	struct mozaiks_call *call, const struct request *r, const char *operation, int64_t operand)
{
	struct mozaiks_text args;
	struct mozaiks_text result;
	struct mozaiks_text document;
	int e = mozaiks_format(call, &args,
		"{\"collection\":\"counters\",\"filter\":{\"_id\":%.*s},"
		"\"update\":{\"%s\":{\"value\":%lld},\"$setOnInsert\":{\"name\":%.*s}},"
		"\"upsert\":true,\"new\":true}",
		MOZAIKS_PRINTED(r->id), operation, (long long)operand, MOZAIKS_PRINTED(r->name));
	if (e != 0) {
		return e;
	}
	if (mozaiks_capability(call, "database.modify", args, &result) != 0 ||
		mozaiks_member(call, result, "value", &document) != 0) {
		return broken(call);
	}
	return answer_value(call, r, value_of(call, document));
}

static int increment(struct mozaiks_call *call)
{
	struct request r;
	return read_request(call, &r) != 0 ? 0 : modify(call, &r, "$inc", r.by);
}

static int reset(struct mozaiks_call *call)
{
	struct request r;
	return read_request(call, &r) != 0 ? 0 : modify(call, &r, "$set", 0);
}

static int get(struct mozaiks_call *call)
{
	struct request r;
	struct mozaiks_text args;
	struct mozaiks_text found;
	struct mozaiks_text document;
	size_t position = 0;
	if (read_request(call, &r) != 0) {
		return 0;
	}
	int e = mozaiks_format(call, &args,
		"{\"collection\":\"counters\",\"filter\":{\"_id\":%.*s},\"limit\":1}",
		MOZAIKS_PRINTED(r.id));
	if (e != 0) {
		return e;
	}
	if (mozaiks_capability(call, "database.find", args, &found) != 0) {
		return broken(call);
	}
	e = mozaiks_element(call, found, &position, &document);
	return answer_value(call, &r, e == 0 ? value_of(call, document) : 0);
}

static int list(struct mozaiks_call *call)
{
	struct mozaiks_text found;
	struct mozaiks_text plain;
	struct mozaiks_text json;
	if (mozaiks_capability(call, "database.find",
		    MOZAIKS_TEXT("{\"collection\":\"counters\",\"sort\":{\"name\":1},"
				 "\"projection\":{\"_id\":0,\"name\":1,\"value\":1}}"),
		    &found) != 0) {
		return broken(call);
	}
	int e = mozaiks_plain(call, found, &plain);
	if (e == 0) {
		e = mozaiks_format(call, &json, "{\"counters\":%.*s}", MOZAIKS_PRINTED(plain));
	}
	return e != 0 ? e : mozaiks_answer(call, json);
}

static int execute(struct mozaiks_call *call)
{
	static const struct {
		const char *action;
		int (*run)(struct mozaiks_call *call);
	} actions[] = {
		{ "increment", increment },
		{ "get", get },
		{ "reset", reset },
		{ "list", list },
	};
	struct mozaiks_text value;
	struct mozaiks_text action;
	if (mozaiks_member(call, mozaiks_data(call), "action", &value) == 0 &&
		mozaiks_string(call, value, &action) == 0) {
		for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
			if (strcmp(actions[i].action, action.p) == 0) {
				return actions[i].run(call);
			}
		}
	}
	return refuse(call, "action must be increment, get, reset or list");
}

static const struct mozaiks_plugin plugin = {
	MOZAIKS_PLUGIN_HEAD,
	.name = "counter",
	.execute = execute,
};

const struct mozaiks_plugin *mozaiks_plugin(void)
{
	return &plugin;
}
