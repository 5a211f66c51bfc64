/* The one table of what a plugin may ask for. */
#include "director/capability/capability.h"

enum {
	DATABASE_ARGS = FRAME_PAYLOAD_MAX,
	SETTINGS_ARGS = 64 * 1024,
	EVENT_ARGS = 64 * 1024,
	MESSAGE_ARGS = 64 * 1024,
};

#define handler_DATABASE_FIND        capability_database, DATABASE_ARGS
#define handler_DATABASE_NEXT        capability_database, DATABASE_ARGS
#define handler_DATABASE_CLOSE       capability_database, DATABASE_ARGS
#define handler_DATABASE_COUNT       capability_database, DATABASE_ARGS
#define handler_DATABASE_DISTINCT    capability_database, DATABASE_ARGS
#define handler_DATABASE_INSERT      capability_database, DATABASE_ARGS
#define handler_DATABASE_UPDATE      capability_database, DATABASE_ARGS
#define handler_DATABASE_DELETE      capability_database, DATABASE_ARGS
#define handler_DATABASE_MODIFY      capability_database, DATABASE_ARGS
#define handler_SETTINGS_GET         capability_settings, SETTINGS_ARGS
#define handler_SETTINGS_SAVE        capability_settings, SETTINGS_ARGS
#define handler_EVENTS_PUBLISH       capability_events, EVENT_ARGS
#define handler_EVENTS_SUBSCRIBE     capability_events, EVENT_ARGS
#define handler_WEBSOCKET_SEND       capability_websocket, MESSAGE_ARGS
#define handler_WEBSOCKET_BROADCAST  capability_websocket, MESSAGE_ARGS
#define handler_NOTIFICATIONS_CREATE capability_notifications, MESSAGE_ARGS

#define ROW(code, name, permission, handler, args_max) \
	[code] = { (name), (permission), (args_max), (handler) },
#define ROW_OF(...) ROW(__VA_ARGS__)
#define CAPABILITY_ROW(symbol, code, name_, permission_) \
	ROW_OF(code, name_, permission_, handler_##symbol)

static const struct capability table[CAPABILITY_CODE_MAX + 1] = { CAPABILITIES(CAPABILITY_ROW) };

const struct capability *capability_find(uint16_t code)
{
	return code <= CAPABILITY_CODE_MAX && table[code].handler != NULL ? &table[code] : NULL;
}
