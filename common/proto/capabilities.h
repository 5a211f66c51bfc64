/*
 * Capability codes: what a CALL may ask for. The director's table (director/capability/table.c) has
 * the permission, the limits and the handler of each; the runtimes use the codes to ask.
 *
 * `bson`: arguments and result are BSON documents (several in a row where noted); `json`: JSON text.
 *
 * database.find      {collection, filter?, projection?, sort?, skip?, limit?}
 *                    -> u32 cursor (0: all there), then documents in a row, up to 500 a batch
 * database.next      {cursor} -> as find          database.close {cursor} -> {}
 * database.count     {collection, filter?, skip?, limit?} -> {n}
 * database.distinct  {collection, field, filter?} -> {values: [...]}
 * database.insert    {collection, documents: [...], ordered?} -> {inserted, ids: [...],
 *                    errors: [{index, code, message}]}; a document without _id gets an ObjectId
 * database.update    {collection, filter, update, multi?, upsert?, array_filters?}
 *                    -> {matched, modified, upserted?}
 *                    an update without operators replaces the document (not with multi)
 * database.delete    {collection, filter, multi?} -> {deleted}
 * database.modify    {collection, filter, update | remove: true, upsert?, new?, sort?, projection?,
 *                    array_filters?} -> {value: document | null}   (findAndModify)
 * database.aggregate {collection, pipeline: [...]} -> as find
 * database.create_index {collection, index: {key: {a: 1}, name, unique?, sparse?,
 *                    expireAfterSeconds?}} -> {}
 * database.drop_index {collection, name} -> {}; "*": all of them
 * database.indexes   {collection} -> as find
 * database.bulk      {collection, writes: [{insert: {documents}} | {update: {filter, update, multi?,
 *                    upsert?, array_filters?, sort?}} | {delete: {filter, multi?}}, ...], ordered?}
 *                    -> {results: [{i, …as of the single command without ids, or code, message}, ...]}, in
 *                    any order; `i` is the place of the write. Each is a change by itself; `ordered` (true
 *                    unless said otherwise): those behind the first that fails are not made, and have no result
 * database.collections {} -> {values: [names]}: the plugin's own that are there, whosever documents they hold
 *
 * find, count, distinct, insert, update, delete, modify, aggregate and bulk also take {all_users: true}: the
 * documents of all users and of nobody, as they are. It needs the permission database.cross_user, too.
 *
 * settings.get       {"user_id"?, "plugin"?} -> the value saved, or {}
 * settings.save      {"user_id"?, "plugin"?, "settings": any} -> {"success":true}
 * events.publish     {"event", "data"} -> {}      events.subscribe {"events": [...]} -> {}
 * websocket.send     {"user_id", "message"} -> {"recipients": n}
 * websocket.broadcast {"message"} -> {"recipients": n}
 * notifications.create {"user_id", "type", "title", "message", "metadata"?, "channels"?} -> {"id"}
 */
#pragma once

/* X(SYMBOL, code, "name", "permission" ("" = implicit)) */
/* clang-format off */
#define CAPABILITIES(X) \
	X(DATABASE_FIND,        1, "database.find",        "database.read") \
	X(DATABASE_NEXT,        2, "database.next",        "database.read") \
	X(DATABASE_CLOSE,       3, "database.close",       "database.read") \
	X(DATABASE_COUNT,       4, "database.count",       "database.read") \
	X(DATABASE_DISTINCT,    5, "database.distinct",    "database.read") \
	X(DATABASE_INSERT,      6, "database.insert",      "database.write") \
	X(DATABASE_UPDATE,      7, "database.update",      "database.write") \
	X(DATABASE_DELETE,      8, "database.delete",      "database.write") \
	X(DATABASE_MODIFY,      9, "database.modify",      "database.write") \
	X(DATABASE_AGGREGATE,  10, "database.aggregate",   "database.read") \
	X(DATABASE_CREATE_INDEX,11,"database.create_index","database.write") \
	X(DATABASE_DROP_INDEX, 12, "database.drop_index",  "database.write") \
	X(DATABASE_INDEXES,    13, "database.indexes",     "database.read") \
	X(DATABASE_BULK,       14, "database.bulk",        "database.write") \
	X(DATABASE_COLLECTIONS,15, "database.collections", "database.read") \
	X(SETTINGS_GET,        32, "settings.get",         "") \
	X(SETTINGS_SAVE,       33, "settings.save",        "") \
	X(EVENTS_PUBLISH,      48, "events.publish",       "events.publish") \
	X(EVENTS_SUBSCRIBE,    49, "events.subscribe",     "events.subscribe") \
	X(WEBSOCKET_SEND,      64, "websocket.send",       "websocket.send") \
	X(WEBSOCKET_BROADCAST, 65, "websocket.broadcast",  "websocket.broadcast") \
	X(NOTIFICATIONS_CREATE,80, "notifications.create", "notifications.send")

/* Permissions that widen what a capability does. Only an operator grants them (director/hosts/grants.h);
 * a manifest asks. The code is no capability's. */
#define PERMISSIONS_OF_OPERATORS(X) \
	X(DATABASE_CROSS_USER, 240, "", "database.cross_user")

/* Those that widen, too, and for which asking in the manifest is enough. */
#define PERMISSIONS_THAT_WIDEN(X) \
	X(USERS_ANY,           241, "", "users.any")
/* clang-format on */

enum capability_code {
#define CAPABILITY_CODE(symbol, code, name, permission) CAP_##symbol = (code),
	CAPABILITIES(CAPABILITY_CODE) PERMISSIONS_OF_OPERATORS(CAPABILITY_CODE)
		PERMISSIONS_THAT_WIDEN(CAPABILITY_CODE)
#undef CAPABILITY_CODE
			CAPABILITY_CODE_MAX = 255,
};
