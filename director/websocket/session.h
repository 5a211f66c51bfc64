/*
 * /ws/notifications/{user_id}: the socket of an application's front end. The runtime pushes to it what is
 * for its user; the client may call plugins over it. Messages are JSON objects with a `type`:
 *
 *   from the runtime   connection_ack, notification, pong, execute_result, error; plugins' own
 *   from the client    ping, execute, auth (a fresh token of the same user)
 *
 * The README says what is in them. Loop thread.
 */
#pragma once

#include "director/websocket/websocket.h"

/* The route's handler; its owner is the struct director. */
extern const struct http_handler session_handler;

/** POST /api/ws/ticket: {"ticket", "expires_in"}. */
extern const struct http_handler session_ticket_handler;
