/*
 * TLS between a stream and its connection: the stream's callbacks come here, and the connection gets
 * its own ones, with what the peer has really said. Inside director/http only, behind transport.h.
 *
 * Bytes are read into one block that all share. What of them is not wanted yet (a record of 16 KiB for
 * a room of one) is kept with the connection, and nothing more is read: so a connection holds at most
 * one block and one record. Bytes for the peer gather in one buffer that all share, which is emptied
 * before anybody else is called.
 */
#pragma once

#include "common/uvx/later.h"
#include "common/uvx/stream.h"
#include "director/tls/tls.h"

struct transport;

enum { SECURE_IN = 16 * 1024 + 512 };

/* What the secure transports of a server share. */
struct secure_hub {
	struct tls_context *context; /* of new ones */
	struct buffer out;
	struct uvx_later later;
	struct secure *waiting; /* those that have something to read in the next turn */
	uint64_t silent_until;  /* ms of the loop, for the log of failures */
	uint64_t failed;        /* handshakes since the last record of that */
	uv_loop_t *loop;
	uint8_t in[SECURE_IN];
};

/** @return NULL without memory. */
struct secure_hub *secure_hub_new(uv_loop_t *loop, struct tls_context *context);
/** When none of its transports is left; before secure_hub_free(). */
void secure_hub_close(struct secure_hub *hub, uvx_closed_fn closed, void *arg);
/** NULL is allowed. */
void secure_hub_free(struct secure_hub *hub);

/* The TLS of one transport. */
struct secure;

/** @return NULL without memory. */
struct secure *secure_new(
	struct secure_hub *hub, struct transport *t, const struct uvx_stream_ops *ops);
void secure_free(struct secure *s);

/** What the stream calls. */
extern const struct uvx_stream_ops secure_stream_ops;

/** True once the handshake is done. */
bool secure_is_ready(const struct secure *s);

/* As the functions of transport.h. */
int secure_read(struct secure *s);
void secure_pause(struct secure *s);
int secure_send(struct secure *s, const uv_buf_t *bufs, unsigned n_bufs);
void secure_finish(struct secure *s);
/** The last word to the peer; the caller closes the stream, and frees this when it is closed. */
void secure_close(struct secure *s);
