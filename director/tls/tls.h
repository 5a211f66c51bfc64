/*
 * The server's side of TLS, as a state machine without I/O: bytes of the peer go in, bytes for the
 * peer come out, and what they carry is read and written in between.
 *
 *   tls_feed(received) ; tls_handshake() until TLS_OK ; tls_read() until TLS_MORE ; send what is in `out`
 *
 * What is spoken is fixed: TLS 1.2 with forward secrecy and authenticated encryption, or 1.3; no
 * renegotiation, no compression, no early data, http/1.1 by ALPN, tickets for resumption and no
 * memory of sessions. OpenSSL stands behind it and nowhere else in the director but for tokens.
 *
 * A session's own memory: OpenSSL's state, and its record buffers only while a record is incomplete.
 */
#pragma once

#include "common/base/buffer.h"

#include <stdint.h>
#include <time.h>

enum {
	TLS_WHY_SIZE = 256,
	/* Received bytes that may carry nothing at all (handshakes, keys that are changed again and
	 * again) in a row. */
	TLS_QUIET_MAX = 64 * 1024,
};

/* A certificate with its key, and the rules: what sessions are made from. */
struct tls_context;

enum tls_load {
	TLS_E_BAD = 1, /* `why` says what is wrong with the certificate or its key */
};

/**
 * @param certificate PEM: the certificate, then those between it and its root.
 * @param key PEM, not encrypted.
 * @param why for the operator, when the answer is not 0.
 * @return 0, TLS_E_BAD or -ENOMEM. Any thread.
 */
int tls_context_new(struct tls_context **ret,
	struct slice certificate,
	struct slice key,
	char why[static TLS_WHY_SIZE]);

/** NULL is allowed. Sessions that were made from it go on. */
void tls_context_free(struct tls_context *context);

/** When the certificate ends to be valid. */
time_t tls_context_expires(const struct tls_context *context);

/** New keys for tickets; who has an old one makes a whole handshake. @return false on failure. */
bool tls_context_renew_tickets(struct tls_context *context);

struct tls_session;

/** @param out gets what is for the peer; several sessions may share it, so that it is emptied after
 * each call that may fill it. @return NULL without memory. */
struct tls_session *tls_session_new(struct tls_context *context, struct buffer *out);
/** NULL is allowed. */
void tls_session_free(struct tls_session *s);

enum tls_verdict {
	TLS_OK,
	TLS_MORE,   /* nothing without more bytes of the peer */
	TLS_ENDED,  /* the peer has said that it sends no more */
	TLS_FAILED, /* this is no TLS, or none that we speak; `out` may hold an alert */
};

/** Hands over received bytes, when all before are used up. They must stay where they are until
 * they are used, or moved with tls_moved(). */
void tls_feed(struct tls_session *s, struct slice in);

/** What of them is not used yet. */
struct slice tls_unread(const struct tls_session *s);

/** The same bytes stand elsewhere now. */
void tls_moved(struct tls_session *s, const uint8_t *p);

/** Nobody will use them any more. */
void tls_forget(struct tls_session *s);

/** Goes on with the handshake. @return TLS_OK when it is done, TLS_MORE or TLS_FAILED. */
enum tls_verdict tls_handshake(struct tls_session *s);

/** Is there something to read? @return TLS_OK: yes. May fill `out`. */
enum tls_verdict tls_look(struct tls_session *s);

/** Reads what there is. @param n above 0. */
enum tls_verdict tls_read(struct tls_session *s, void *to, size_t n, size_t *ret_n);

/** True when bytes of a record were not read yet. */
bool tls_has_rest(const struct tls_session *s);

/** Writes to `out`. @return 0 or a negative errno, after which the session is of no use. */
int tls_write(struct tls_session *s, struct slice bytes);

/** Tells the peer that nothing more comes (close_notify); nothing is written afterwards. */
void tls_finish(struct tls_session *s);

/** Why it failed: a static text for the log. */
const char *tls_failure(const struct tls_session *s);

/** True when it failed because the peer speaks HTTP without TLS. */
bool tls_is_plain_http(const struct tls_session *s);

/** "TLSv1.3", "TLSv1.2". */
const char *tls_version(const struct tls_session *s);
