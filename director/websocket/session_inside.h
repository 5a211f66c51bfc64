/* What session.c and execute.c share. Inside director/websocket only. */
#pragma once

#include "director/websocket/websocket.h"

struct director;
struct ws_execution;

struct session {
	struct director *director;
	struct websocket *socket;
	struct ws_execution *executions; /* in flight */
	bool draining;                   /* closes with the last of them */
};

/* The members of a client's message, as they stand in it; p is NULL for an absent one. */
struct session_message {
	struct slice type, id, plugin, data, token;
};

/** An execute message whose id is good. */
void session_execute(struct session *s, const struct session_message *m);

/** The client is gone: its calls are cancelled. */
void session_abandon(struct session *s);

/** All that was sent has gone: answers in pieces go on. */
void session_go_on(struct session *s);

/** Sends {"type":"error",…}. @param id of the client's message; empty: none. */
void session_error(struct session *s, struct slice id, const char *code, const char *detail);

/** The drain's end, when nothing is in flight any more. */
void session_check_drain(struct session *s);
