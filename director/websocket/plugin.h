/*
 * /ws/plugins/{plugin}[/path]: WebSockets that a plugin serves itself. Who calls, what may run and what
 * the plugin gets are those of POST /api/execute; what it gets is an object of the query's members,
 * `_path`, and the trusted members. Loop thread.
 */
#pragma once

#include "director/http/http.h"

/* The routes' handler; its owner is the struct director. */
extern const struct http_handler plugin_socket_handler;
