#include "director/tls/tls.h"

#include "common/base/error.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* Certificates in the file beside the server's own. */
enum { CHAIN_MAX = 10 };

/* How long a ticket is good. */
enum { TICKET_SECONDS = 2 * 3600 };

#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"

struct tls_context {
	SSL_CTX *ctx;
	time_t expires;
};

struct tls_session {
	SSL *ssl;
	struct buffer *out;
	struct slice in;
	size_t quiet; /* bytes received since something was read */
	bool out_failed;
	bool plain_http;
	const char *failure;
};

/* Bytes in and out, as OpenSSL sees them. */

static int bio_read(BIO *bio, char *to, int n)
{
	struct tls_session *s = BIO_get_data(bio);
	BIO_clear_retry_flags(bio);
	if (s->in.n == 0 || n <= 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	size_t k = s->in.n < (size_t)n ? s->in.n : (size_t)n;
	memcpy(to, s->in.p, k);
	s->in = slice_skip(s->in, k);
	return (int)k;
}

static int bio_write(BIO *bio, const char *from, int n)
{
	struct tls_session *s = BIO_get_data(bio);
	BIO_clear_retry_flags(bio);
	if (n < 0 || s->out_failed || buffer_append(s->out, slice_of(from, (size_t)n)) < 0) {
		s->out_failed = true;
		return -1;
	}
	return n;
}

static long bio_ctrl(BIO *bio, int what, long number, void *p)
{
	return what == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *bio_method;
static pthread_once_t bio_once = PTHREAD_ONCE_INIT;

static void bio_method_make(void)
{
	bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "slices");
	if (bio_method != NULL) {
		(void)BIO_meth_set_read(bio_method, bio_read);
		(void)BIO_meth_set_write(bio_method, bio_write);
		(void)BIO_meth_set_ctrl(bio_method, bio_ctrl);
	}
}

/* Contexts */

static int refuse(char why[static TLS_WHY_SIZE], const char *what)
{
	unsigned long e = ERR_peek_error();
	const char *reason = e == 0 ? NULL : ERR_reason_error_string(e);
	(void)snprintf(why, TLS_WHY_SIZE, "%s%s%s", what, reason == NULL ? "" : ": ",
		reason == NULL ? "" : reason);
	ERR_clear_error();
	return TLS_E_BAD;
}

/* Nobody is there to type a passphrase. */
static int no_passphrase(char *to, int n, int writing, void *arg)
{
	return -1;
}

static BIO *open_pem(struct slice pem)
{
	/* An empty file has no bytes to point at. */
	return pem.n > INT_MAX ? NULL
			       : BIO_new_mem_buf(pem.n == 0 ? "" : (const void *)pem.p, (int)pem.n);
}

static int use_certificates(struct tls_context *c, BIO *pem, char why[static TLS_WHY_SIZE])
{
	X509 *own = PEM_read_bio_X509(pem, NULL, no_passphrase, NULL);
	if (own == NULL) {
		return refuse(why, "no certificate (PEM) can be read from TLS_CERT_FILE");
	}
	struct tm expires;
	bool used = SSL_CTX_use_certificate(c->ctx, own) == 1 &&
		ASN1_TIME_to_tm(X509_get0_notAfter(own), &expires) == 1;
	X509_free(own);
	if (!used) {
		return refuse(why, "the certificate in TLS_CERT_FILE cannot be used");
	}
	c->expires = timegm(&expires);
	for (int i = 0; i < CHAIN_MAX; i++) {
		X509 *next = PEM_read_bio_X509(pem, NULL, no_passphrase, NULL);
		if (next == NULL) {
			if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
				return refuse(
					why, "a certificate after the first in TLS_CERT_FILE");
			}
			ERR_clear_error();
			return 0;
		}
		if (SSL_CTX_add0_chain_cert(c->ctx, next) != 1) {
			X509_free(next);
			return refuse(why, "a certificate after the first in TLS_CERT_FILE");
		}
	}
	return refuse(why, "TLS_CERT_FILE has more than 11 certificates");
}

static int use_key(struct tls_context *c, BIO *pem, char why[static TLS_WHY_SIZE])
{
	EVP_PKEY *key = PEM_read_bio_PrivateKey(pem, NULL, no_passphrase, NULL);
	if (key == NULL) {
		return refuse(why, "no key (PEM, not encrypted) can be read from TLS_KEY_FILE");
	}
	bool used = SSL_CTX_use_PrivateKey(c->ctx, key) == 1;
	EVP_PKEY_free(key);
	if (!used || SSL_CTX_check_private_key(c->ctx) != 1) {
		return refuse(why, "TLS_KEY_FILE does not belong to the certificate");
	}
	return 0;
}

/* http/1.1 is all that we speak; a client that names protocols and not this one is told so. */
static int choose_protocol(SSL *ssl,
	const unsigned char **ret,
	unsigned char *ret_n,
	const unsigned char *offered,
	unsigned n,
	void *arg)
{
	static const unsigned char ours[] = "\x08http/1.1";
	unsigned char *chosen;
	if (SSL_select_next_proto(&chosen, ret_n, ours, sizeof(ours) - 1, offered, n) !=
		OPENSSL_NPN_NEGOTIATED) {
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	}
	*ret = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static bool set_rules(SSL_CTX *ctx)
{
	static const unsigned char name[] = "mozaiks";
	/* Not changed; OpenSSL's macro takes a char *. */
	char groups[] = "X25519:P-256:P-384";
	SSL_CTX_set_security_level(ctx, 2);
	(void)SSL_CTX_set_options(ctx,
		SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
			SSL_OP_PRIORITIZE_CHACHA);
	(void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	(void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_set_timeout(ctx, TICKET_SECONDS);
	SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
	SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
	return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
		SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1 &&
		SSL_CTX_set_cipher_list(ctx, CIPHERS) == 1 &&
		SSL_CTX_set1_groups_list(ctx, groups) == 1 &&
		SSL_CTX_set_num_tickets(ctx, 1) == 1 &&
		SSL_CTX_set_session_id_context(ctx, name, sizeof(name) - 1) == 1;
}

static int fill(struct tls_context *c,
	struct slice certificate,
	struct slice key,
	char why[static TLS_WHY_SIZE])
{
	BIO *certificates = open_pem(certificate);
	BIO *private = open_pem(key);
	int r = -ENOMEM;
	if (certificates != NULL && private != NULL) {
		r = set_rules(c->ctx) ? 0 : refuse(why, "OpenSSL does not take our rules");
		r = r != 0 ? r : use_certificates(c, certificates, why);
		r = r != 0 ? r : use_key(c, private, why);
	}
	(void)BIO_free(certificates);
	(void)BIO_free(private);
	return r;
}

int tls_context_new(struct tls_context **ret,
	struct slice certificate,
	struct slice key,
	char why[static TLS_WHY_SIZE])
{
	(void)snprintf(why, TLS_WHY_SIZE, "no memory");
	(void)pthread_once(&bio_once, bio_method_make);
	struct tls_context *c = calloc(1, sizeof(*c));
	ERR_clear_error();
	if (c != NULL) {
		c->ctx = SSL_CTX_new(TLS_server_method());
	}
	int r = c == NULL || c->ctx == NULL || bio_method == NULL ? -ENOMEM
								  : fill(c, certificate, key, why);
	if (r != 0) {
		tls_context_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

void tls_context_free(struct tls_context *context)
{
	if (context != NULL) {
		SSL_CTX_free(context->ctx);
		free(context);
	}
}

time_t tls_context_expires(const struct tls_context *context)
{
	return context->expires;
}

bool tls_context_renew_tickets(struct tls_context *context)
{
	unsigned char keys[256];
	long n = SSL_CTX_get_tlsext_ticket_keys(context->ctx, NULL, 0);
	bool ok = n > 0 && (size_t)n <= sizeof(keys) && RAND_priv_bytes(keys, (int)n) == 1 &&
		SSL_CTX_set_tlsext_ticket_keys(context->ctx, keys, n) == 1;
	explicit_bzero(keys, sizeof(keys));
	ERR_clear_error();
	return ok;
}

/* Sessions */

struct tls_session *tls_session_new(struct tls_context *context, struct buffer *out)
{
	struct tls_session *s = calloc(1, sizeof(*s));
	BIO *bio = s == NULL ? NULL : BIO_new(bio_method);
	if (bio == NULL) {
		free(s);
		return NULL;
	}
	BIO_set_data(bio, s);
	BIO_set_init(bio, 1);
	s->out = out;
	s->ssl = SSL_new(context->ctx);
	if (s->ssl == NULL) {
		(void)BIO_free(bio);
		free(s);
		return NULL;
	}
	/* One for both ways; it goes with the session. */
	SSL_set_bio(s->ssl, bio, bio);
	SSL_set_accept_state(s->ssl);
	return s;
}

void tls_session_free(struct tls_session *s)
{
	if (s != NULL) {
		SSL_free(s->ssl);
		free(s);
	}
}

void tls_feed(struct tls_session *s, struct slice in)
{
	invariant(s->in.n == 0);
	s->in = in;
	s->quiet += in.n;
}

struct slice tls_unread(const struct tls_session *s)
{
	return s->in;
}

void tls_moved(struct tls_session *s, const uint8_t *p)
{
	s->in.p = p;
}

void tls_forget(struct tls_session *s)
{
	s->in = SLICE_NULL;
}

static enum tls_verdict fail(struct tls_session *s, const char *reason)
{
	s->failure = reason;
	ERR_clear_error();
	return TLS_FAILED;
}

static enum tls_verdict judge(struct tls_session *s, int result)
{
	unsigned long e = ERR_peek_error();
	switch (SSL_get_error(s->ssl, result)) {
	case SSL_ERROR_NONE:
		return TLS_OK;
	case SSL_ERROR_ZERO_RETURN:
		ERR_clear_error();
		return TLS_ENDED;
	case SSL_ERROR_WANT_READ:
		ERR_clear_error();
		return s->quiet > TLS_QUIET_MAX ? fail(s, "too many bytes that carry nothing")
						: TLS_MORE;
	default:
		break;
	}
	if (s->out_failed) {
		return fail(s, "no memory");
	}
	const char *reason = e == 0 ? NULL : ERR_reason_error_string(e);
	s->plain_http = ERR_GET_LIB(e) == ERR_LIB_SSL && ERR_GET_REASON(e) == SSL_R_HTTP_REQUEST;
	return fail(s, reason == NULL ? "unknown" : reason);
}

enum tls_verdict tls_handshake(struct tls_session *s)
{
	ERR_clear_error();
	enum tls_verdict v = judge(s, SSL_do_handshake(s->ssl));
	s->quiet = v == TLS_OK ? 0 : s->quiet;
	return v == TLS_ENDED ? fail(s, "the peer gave up") : v;
}

enum tls_verdict tls_look(struct tls_session *s)
{
	char byte;
	ERR_clear_error();
	return judge(s, SSL_peek(s->ssl, &byte, 1));
}

enum tls_verdict tls_read(struct tls_session *s, void *to, size_t n, size_t *ret_n)
{
	ERR_clear_error();
	*ret_n = 0;
	int r = SSL_read_ex(s->ssl, to, n, ret_n);
	s->quiet = r == 1 ? s->in.n : s->quiet;
	return judge(s, r);
}

bool tls_has_rest(const struct tls_session *s)
{
	return SSL_pending(s->ssl) > 0;
}

int tls_write(struct tls_session *s, struct slice bytes)
{
	size_t written;
	if (bytes.n == 0) {
		return 0;
	}
	ERR_clear_error();
	if (SSL_write_ex(s->ssl, bytes.p, bytes.n, &written) != 1 || written != bytes.n) {
		(void)fail(s, "cannot write");
		return s->out_failed ? -ENOMEM : -EPROTO;
	}
	return 0;
}

void tls_finish(struct tls_session *s)
{
	ERR_clear_error();
	(void)SSL_shutdown(s->ssl);
	ERR_clear_error();
}

const char *tls_failure(const struct tls_session *s)
{
	return s->failure == NULL ? "none" : s->failure;
}

bool tls_is_plain_http(const struct tls_session *s)
{
	return s->plain_http;
}

const char *tls_version(const struct tls_session *s)
{
	return SSL_get_version(s->ssl);
}
