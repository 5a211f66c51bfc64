/* The one table of what a plugin may ask for. */
#include "director/capability/capability.h"

#define handler_DATABASE_FIND         capability_database, false
#define handler_DATABASE_NEXT         capability_database, false
#define handler_DATABASE_CLOSE        capability_database, false
#define handler_DATABASE_COUNT        capability_database, false
#define handler_DATABASE_DISTINCT     capability_database, false
#define handler_DATABASE_INSERT       capability_database, false
#define handler_DATABASE_UPDATE       capability_database, false
#define handler_DATABASE_DELETE       capability_database, false
#define handler_DATABASE_MODIFY       capability_database, false
#define handler_DATABASE_AGGREGATE    capability_database, false
#define handler_DATABASE_CREATE_INDEX capability_database, false
#define handler_DATABASE_DROP_INDEX   capability_database, false
#define handler_DATABASE_INDEXES      capability_database, false
#define handler_DATABASE_BULK         capability_database, false
#define handler_DATABASE_COLLECTIONS  capability_database, false
#define handler_SETTINGS_GET          capability_settings, true
#define handler_SETTINGS_SAVE         capability_settings, true
#define handler_EVENTS_PUBLISH        capability_events, true
#define handler_EVENTS_SUBSCRIBE      capability_events, true
#define handler_WEBSOCKET_SEND        capability_websocket, true
#define handler_WEBSOCKET_BROADCAST   capability_websocket, true
#define handler_NOTIFICATIONS_CREATE  capability_notifications, true

#define ROW(code, name, permission, handler, small_args) \
	[code] = { (name), (permission), (small_args), (handler) },
#define ROW_OF(...) ROW(__VA_ARGS__)
#define CAPABILITY_ROW(symbol, code, name_, permission_) \
	ROW_OF(code, name_, permission_, handler_##symbol)

static const struct capability table[CAPABILITY_CODE_MAX + 1] = { CAPABILITIES(CAPABILITY_ROW) };

const struct capability *capability_find(uint16_t code)
{
	return code <= CAPABILITY_CODE_MAX && table[code].handler != NULL ? &table[code] : NULL;
}
