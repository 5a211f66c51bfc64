/*
 * The server's side against OpenSSL's client, through memory: whole conversations, cut at every byte
 * and in every size, and what a client must not get away with.
 */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "director/tls/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

enum { DAY = 24 * 3600, STEPS_MAX = 100000 };

/* A certificate that signs itself, as PEM. */
struct pair {
	struct buffer certificate;
	struct buffer key;
};

static void take_pem(BIO *bio, struct buffer *to)
{
	char *p;
	long n = BIO_get_mem_data(bio, &p);
	buffer_init(to, 1 << 20);
	assert_int_equal(buffer_append(to, slice_of(p, (size_t)n)), 0);
	(void)BIO_free(bio);
}

static void pair_make_of(struct pair *pair, EVP_PKEY *key, const EVP_CIPHER *cipher, long seconds)
{
	static unsigned char secret[] = "secret";
	X509 *x = X509_new();
	assert_non_null(key);
	assert_non_null(x);
	(void)X509_set_version(x, X509_VERSION_3);
	(void)ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	(void)X509_gmtime_adj(X509_getm_notBefore(x), -DAY);
	(void)X509_gmtime_adj(X509_getm_notAfter(x), seconds);
	(void)X509_set_pubkey(x, key);
	X509_NAME *name = X509_get_subject_name(x);
	(void)X509_NAME_add_entry_by_txt(
		name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
	(void)X509_set_issuer_name(x, name);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	BIO *certificate = BIO_new(BIO_s_mem());
	BIO *private = BIO_new(BIO_s_mem());
	assert_int_equal(PEM_write_bio_X509(certificate, x), 1);
	assert_int_equal(PEM_write_bio_PrivateKey(private, key, cipher, secret,
				 cipher == NULL ? 0 : (int)sizeof(secret) - 1, NULL, NULL),
		1);
	take_pem(certificate, &pair->certificate);
	take_pem(private, &pair->key);
	X509_free(x);
	EVP_PKEY_free(key);
}

static void pair_make(struct pair *pair)
{
	pair_make_of(pair, EVP_EC_gen("P-256"), NULL, 30 * DAY);
}

static void pair_free(struct pair *pair)
{
	buffer_deinit(&pair->certificate);
	buffer_deinit(&pair->key);
}

static struct pair pair;
static struct tls_context *context;

static int make_context(void **state)
{
	char why[TLS_WHY_SIZE];
	pair_make(&pair);
	int r = tls_context_new(
		&context, buffer_slice(&pair.certificate), buffer_slice(&pair.key), why);
	if (r != 0) {
		print_error("%s\n", why);
	}
	return r;
}

static int free_context(void **state)
{
	tls_context_free(context);
	pair_free(&pair);
	return 0;
}

/* Client and server, and what is on its way between them. */
struct talk {
	SSL_CTX *ctx;
	SSL *client;
	BIO *to_client;   /* the client reads from here */
	BIO *from_client; /* and writes there */
	struct tls_session *server;
	struct buffer out;
	struct buffer got; /* by the server, in the clear */
	size_t piece;      /* at most this much is handed over at a time; 0: all */
	bool server_ready;
	bool server_ended;
	bool server_failed;
	bool client_failed;
	unsigned long client_error;
};

static void talk_begin(struct talk *t, size_t piece)
{
	memset(t, 0, sizeof(*t));
	t->piece = piece;
	t->ctx = SSL_CTX_new(TLS_client_method());
	assert_non_null(t->ctx);
	buffer_init(&t->out, 1 << 24);
	buffer_init(&t->got, 1 << 24);
	t->server = tls_session_new(context, &t->out);
	assert_non_null(t->server);
}

static void talk_connect(struct talk *t)
{
	t->client = SSL_new(t->ctx);
	t->to_client = BIO_new(BIO_s_mem());
	t->from_client = BIO_new(BIO_s_mem());
	SSL_set_bio(t->client, t->to_client, t->from_client);
	SSL_set_connect_state(t->client);
}

static void talk_end(struct talk *t)
{
	SSL_free(t->client);
	SSL_CTX_free(t->ctx);
	tls_session_free(t->server);
	buffer_deinit(&t->out);
	buffer_deinit(&t->got);
	ERR_clear_error();
}

static size_t piece_of(const struct talk *t, size_t n)
{
	return t->piece == 0 || n < t->piece ? n : t->piece;
}

static void serve(struct talk *t)
{
	char room[1000];
	enum tls_verdict v = TLS_OK;
	if (!t->server_ready) {
		v = tls_handshake(t->server);
		t->server_ready = v == TLS_OK;
	}
	while (v == TLS_OK) {
		v = tls_look(t->server);
		if (v == TLS_OK) {
			size_t n;
			assert_int_equal(tls_read(t->server, room, sizeof(room), &n), TLS_OK);
			assert_true(n > 0);
			assert_int_equal(buffer_append(&t->got, slice_of(room, n)), 0);
		}
	}
	t->server_ended |= v == TLS_ENDED;
	t->server_failed |= v == TLS_FAILED;
}

static bool to_server(struct talk *t)
{
	char bytes[20000];
	size_t n = piece_of(t, sizeof(bytes));
	int r = BIO_read(t->from_client, bytes, (int)n);
	if (r <= 0) {
		return false;
	}
	if (t->server_failed || t->server_ended) {
		return true;
	}
	tls_feed(t->server, slice_of(bytes, (size_t)r));
	serve(t);
	/* TLS_MORE: all is used up. */
	assert_true(t->server_failed || t->server_ended || tls_unread(t->server).n == 0);
	return true;
}

static bool to_client(struct talk *t)
{
	size_t n = piece_of(t, t->out.n);
	if (n == 0) {
		return false;
	}
	assert_int_equal(BIO_write(t->to_client, t->out.p, (int)n), (int)n);
	buffer_consume(&t->out, n);
	return true;
}

/* The client goes on where it can. */
static void step_client(struct talk *t)
{
	int r = SSL_is_init_finished(t->client) ? 1 : SSL_do_handshake(t->client);
	if (r <= 0 && SSL_get_error(t->client, r) != SSL_ERROR_WANT_READ) {
		if (!t->client_failed) {
			t->client_error = ERR_peek_error();
		}
		t->client_failed = true;
	}
	ERR_clear_error();
}

/* Until nothing moves any more. */
static void run(struct talk *t)
{
	for (int i = 0; i < STEPS_MAX; i++) {
		if (!t->client_failed) {
			step_client(t);
		}
		bool moved = to_server(t);
		moved |= to_client(t);
		if (!moved) {
			return;
		}
	}
	fail_msg("it never ends");
}

static void client_write(struct talk *t, const void *p, size_t n)
{
	size_t written;
	assert_int_equal(SSL_write_ex(t->client, p, n, &written), 1);
	assert_int_equal(written, n);
}

static void client_expect(struct talk *t, const void *p, size_t n)
{
	char *all = malloc(n);
	size_t got = 0;
	assert_non_null(all);
	while (got < n) {
		size_t more;
		assert_int_equal(SSL_read_ex(t->client, all + got, n - got, &more), 1);
		got += more;
	}
	assert_memory_equal(all, p, n);
	free(all);
}

static void converse(int version, size_t piece)
{
	struct talk t;
	char question[3000];
	char answer[40000];
	memset(question, 'q', sizeof(question));
	memset(answer, 'a', sizeof(answer));
	talk_begin(&t, piece);
	(void)SSL_CTX_set_min_proto_version(t.ctx, version);
	(void)SSL_CTX_set_max_proto_version(t.ctx, version);
	talk_connect(&t);
	run(&t);
	assert_true(t.server_ready);
	assert_true(SSL_is_init_finished(t.client));
	assert_string_equal(SSL_get_version(t.client), tls_version(t.server));
	client_write(&t, question, sizeof(question));
	run(&t);
	assert_int_equal(t.got.n, sizeof(question));
	assert_memory_equal(t.got.p, question, sizeof(question));
	assert_int_equal(tls_write(t.server, slice_of(answer, sizeof(answer))), 0);
	run(&t);
	client_expect(&t, answer, sizeof(answer));
	/* Both say good-bye. */
	tls_finish(t.server);
	run(&t);
	char byte;
	int r = SSL_read(t.client, &byte, 1);
	assert_int_equal(SSL_get_error(t.client, r), SSL_ERROR_ZERO_RETURN);
	(void)SSL_shutdown(t.client);
	run(&t);
	assert_true(t.server_ended);
	assert_false(t.server_failed);
	talk_end(&t);
}

static void test_conversation(void **state)
{
	static const size_t pieces[] = { 0, 1, 2, 3, 5, 17, 255, 1460, 16384 };
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		converse(TLS1_2_VERSION, pieces[i]);
		converse(TLS1_3_VERSION, pieces[i]);
	}
}

/* What the client sends up to the end of its handshake is cut once, at each byte in turn. */
static void cut_at(int version, size_t cut, bool *ret_more)
{
	struct talk t;
	talk_begin(&t, 0);
	(void)SSL_CTX_set_min_proto_version(t.ctx, version);
	(void)SSL_CTX_set_max_proto_version(t.ctx, version);
	talk_connect(&t);
	size_t sent = 0;
	for (int i = 0; i < 10; i++) {
		char bytes[20000];
		step_client(&t);
		int r = BIO_read(t.from_client, bytes, sizeof(bytes));
		size_t n = r > 0 ? (size_t)r : 0;
		size_t first = cut > sent && cut < sent + n ? cut - sent : n;
		if (first > 0) {
			tls_feed(t.server, slice_of(bytes, first));
			serve(&t);
		}
		if (first < n) {
			tls_feed(t.server, slice_of(bytes + first, n - first));
			serve(&t);
		}
		sent += n;
		(void)to_client(&t);
	}
	assert_true(t.server_ready);
	assert_false(t.server_failed);
	*ret_more = cut < sent;
	talk_end(&t);
}

static void test_cut_at_each_byte(void **state)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	for (int i = 0; i < 2; i++) {
		bool more = true;
		size_t cut;
		for (cut = 1; more; cut++) {
			cut_at(versions[i], cut, &more);
		}
		assert_true(cut > 200);
	}
}

static void test_older_versions_are_refused(void **state)
{
	struct talk t;
	talk_begin(&t, 0);
	SSL_CTX_set_security_level(t.ctx, 0);
	(void)SSL_CTX_set_min_proto_version(t.ctx, TLS1_VERSION);
	(void)SSL_CTX_set_max_proto_version(t.ctx, TLS1_1_VERSION);
	talk_connect(&t);
	run(&t);
	assert_true(t.server_failed);
	assert_string_equal(tls_failure(t.server), "unsupported protocol");
	assert_true(t.client_failed);
	assert_int_equal(ERR_GET_REASON(t.client_error), SSL_R_TLSV1_ALERT_PROTOCOL_VERSION);
	talk_end(&t);
}

static void test_weak_ciphers_are_refused(void **state)
{
	static const char *const weak[] = { "AES128-SHA", "AES128-GCM-SHA256",
		"ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384" };
	for (size_t i = 0; i < sizeof(weak) / sizeof(weak[0]); i++) {
		struct talk t;
		talk_begin(&t, 0);
		SSL_CTX_set_security_level(t.ctx, 0);
		(void)SSL_CTX_set_max_proto_version(t.ctx, TLS1_2_VERSION);
		assert_int_equal(SSL_CTX_set_cipher_list(t.ctx, weak[i]), 1);
		talk_connect(&t);
		run(&t);
		assert_true(t.server_failed);
		assert_string_equal(tls_failure(t.server), "no shared cipher");
		talk_end(&t);
	}
}

static void test_protocol_names(void **state)
{
	static const unsigned char both[] = "\x02h2\x08http/1.1";
	static const unsigned char other[] = "\x02h2";
	struct talk t;
	talk_begin(&t, 0);
	assert_int_equal(SSL_CTX_set_alpn_protos(t.ctx, both, sizeof(both) - 1), 0);
	talk_connect(&t);
	run(&t);
	const unsigned char *chosen;
	unsigned n;
	SSL_get0_alpn_selected(t.client, &chosen, &n);
	assert_int_equal(n, 8);
	assert_memory_equal(chosen, "http/1.1", 8);
	talk_end(&t);
	talk_begin(&t, 0);
	assert_int_equal(SSL_CTX_set_alpn_protos(t.ctx, other, sizeof(other) - 1), 0);
	talk_connect(&t);
	run(&t);
	assert_true(t.server_failed && t.client_failed);
	assert_int_equal(ERR_GET_REASON(t.client_error), SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL);
	talk_end(&t);
}

static void test_renegotiation_is_refused(void **state)
{
	struct talk t;
	talk_begin(&t, 0);
	(void)SSL_CTX_set_max_proto_version(t.ctx, TLS1_2_VERSION);
	talk_connect(&t);
	run(&t);
	assert_int_equal(SSL_renegotiate(t.client), 1);
	(void)SSL_do_handshake(t.client);
	run(&t);
	assert_true(t.client_failed);
	assert_int_equal(ERR_GET_REASON(t.client_error), SSL_R_NO_RENEGOTIATION);
	assert_int_equal(t.got.n, 0);
	talk_end(&t);
}

/* Keys that are changed for ever carry nothing. */
static void test_key_updates_end(void **state)
{
	struct talk t;
	talk_begin(&t, 0);
	talk_connect(&t);
	run(&t);
	size_t most = 0;
	unsigned updates = 0;
	while (!t.server_failed && updates < 100000) {
		assert_int_equal(SSL_key_update(t.client, SSL_KEY_UPDATE_REQUESTED), 1);
		assert_int_equal(SSL_do_handshake(t.client), 1);
		(void)to_server(&t);
		most = t.out.n > most ? t.out.n : most;
		updates++;
	}
	assert_true(t.server_failed);
	assert_true(updates < 10000);
	assert_true(most < TLS_QUIET_MAX);
	talk_end(&t);
}

/* With data in between they are allowed, for as long as anybody likes. */
static void test_key_updates_between_data(void **state)
{
	struct talk t;
	talk_begin(&t, 0);
	talk_connect(&t);
	run(&t);
	for (int i = 0; i < 5000; i++) {
		assert_int_equal(SSL_key_update(t.client, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
		client_write(&t, "x", 1);
		(void)to_server(&t);
	}
	assert_false(t.server_failed);
	assert_int_equal(t.got.n, 5000);
	talk_end(&t);
}

static void feed_garbage(struct slice bytes, const char *failure)
{
	struct talk t;
	talk_begin(&t, 0);
	tls_feed(t.server, bytes);
	serve(&t);
	assert_true(t.server_failed);
	if (failure != NULL) {
		assert_string_equal(tls_failure(t.server), failure);
	}
	talk_end(&t);
}

static void test_garbage(void **state)
{
	char bytes[4096];
	feed_garbage(SLICE("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "http request");
	feed_garbage(SLICE("SSH-2.0-OpenSSH_9.2\r\n"), NULL);
	memset(bytes, 0, sizeof(bytes));
	feed_garbage(slice_of(bytes, sizeof(bytes)), NULL);
	memset(bytes, 0xff, sizeof(bytes));
	feed_garbage(slice_of(bytes, sizeof(bytes)), NULL);
	struct talk t;
	talk_begin(&t, 0);
	tls_feed(t.server, SLICE("GET / HTTP/1.1\r\n\r\n"));
	assert_int_equal(tls_handshake(t.server), TLS_FAILED);
	assert_true(tls_is_plain_http(t.server));
	talk_end(&t);
}

/* Each byte of a record is changed in turn: what arrives is never taken for what was sent. */
static void test_changed_bytes(void **state)
{
	for (size_t i = 0;; i++) {
		struct talk t;
		uint8_t bytes[1000];
		talk_begin(&t, 0);
		talk_connect(&t);
		run(&t);
		client_write(&t, "GET / HTTP/1.1", 14);
		int n = BIO_read(t.from_client, bytes, sizeof(bytes));
		assert_true(n > 14);
		if (i == (size_t)n) {
			talk_end(&t);
			return;
		}
		bytes[i] ^= 0x41;
		tls_feed(t.server, slice_of(bytes, (size_t)n));
		serve(&t);
		/* A changed length may make it wait for more. */
		assert_true(t.server_failed || i == 3 || i == 4);
		assert_int_equal(t.got.n, 0);
		talk_end(&t);
	}
}

/* Bytes that are not wanted yet may be moved. */
static void test_moved(void **state)
{
	struct talk t;
	char bytes[1000];
	char elsewhere[1000];
	talk_begin(&t, 0);
	talk_connect(&t);
	run(&t);
	client_write(&t, "one", 3);
	client_write(&t, "two", 3);
	int n = BIO_read(t.from_client, bytes, sizeof(bytes));
	assert_true(n > 0);
	tls_feed(t.server, slice_of(bytes, (size_t)n));
	size_t got;
	char room[16];
	assert_int_equal(tls_look(t.server), TLS_OK);
	assert_int_equal(tls_read(t.server, room, 2, &got), TLS_OK);
	assert_int_equal(got, 2);
	assert_true(tls_has_rest(t.server));
	struct slice rest = tls_unread(t.server);
	assert_true(rest.n > 0);
	memcpy(elsewhere, rest.p, rest.n);
	memset(bytes, 0, sizeof(bytes));
	tls_moved(t.server, (const uint8_t *)elsewhere);
	assert_int_equal(tls_read(t.server, room, sizeof(room), &got), TLS_OK);
	assert_int_equal(got, 1);
	assert_false(tls_has_rest(t.server));
	assert_int_equal(tls_read(t.server, room, sizeof(room), &got), TLS_OK);
	assert_memory_equal(room, "two", 3);
	assert_int_equal(tls_look(t.server), TLS_MORE);
	talk_end(&t);
}

static SSL_SESSION *session_of(struct talk *t)
{
	char byte;
	run(t);
	(void)SSL_read(t->client, &byte, 1); /* TLS 1.3 sends its ticket afterwards */
	ERR_clear_error();
	/* Without a good-bye the client would not use it again. */
	SSL_set_shutdown(t->client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	return SSL_get1_session(t->client);
}

static bool resumes(SSL_SESSION *session, int version)
{
	struct talk t;
	talk_begin(&t, 0);
	(void)SSL_CTX_set_max_proto_version(t.ctx, version);
	talk_connect(&t);
	assert_int_equal(SSL_set_session(t.client, session), 1);
	run(&t);
	assert_true(t.server_ready);
	bool reused = SSL_session_reused(t.client);
	talk_end(&t);
	return reused;
}

static void test_tickets(void **state)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	for (int i = 0; i < 2; i++) {
		struct talk t;
		talk_begin(&t, 0);
		(void)SSL_CTX_set_max_proto_version(t.ctx, versions[i]);
		talk_connect(&t);
		SSL_SESSION *session = session_of(&t);
		talk_end(&t);
		assert_true(resumes(session, versions[i]));
		assert_true(tls_context_renew_tickets(context));
		assert_false(resumes(session, versions[i]));
		SSL_SESSION_free(session);
	}
}

static void refuse_pair(struct slice certificate, struct slice key, const char *why_is)
{
	char why[TLS_WHY_SIZE];
	struct tls_context *c = NULL;
	assert_int_equal(tls_context_new(&c, certificate, key, why), TLS_E_BAD);
	assert_null(c);
	if (strstr(why, why_is) == NULL) {
		fail_msg("\"%s\" does not say \"%s\"", why, why_is);
	}
}

static void test_bad_pairs(void **state)
{
	struct pair other;
	struct pair locked;
	struct pair weak;
	struct slice certificate = buffer_slice(&pair.certificate);
	struct slice key = buffer_slice(&pair.key);
	pair_make(&other);
	pair_make_of(&locked, EVP_EC_gen("P-256"), EVP_aes_128_cbc(), DAY);
	pair_make_of(&weak, EVP_RSA_gen(1024), NULL, DAY);
	refuse_pair(SLICE_NULL, key, "TLS_CERT_FILE");
	refuse_pair(certificate, SLICE_NULL, "TLS_KEY_FILE");
	refuse_pair(key, certificate, "TLS_CERT_FILE");
	refuse_pair(certificate, buffer_slice(&other.key), "does not belong");
	refuse_pair(buffer_slice(&locked.certificate), buffer_slice(&locked.key), "not encrypted");
	refuse_pair(buffer_slice(&weak.certificate), buffer_slice(&weak.key), "key too small");
	/* A file that was not written to its end. */
	refuse_pair(slice_of(certificate.p, certificate.n / 2), key, "TLS_CERT_FILE");
	refuse_pair(certificate, slice_of(key.p, key.n / 2), "TLS_KEY_FILE");
	struct buffer chain;
	buffer_init(&chain, 1 << 20);
	for (int i = 0; i < 12; i++) {
		assert_int_equal(buffer_append(&chain, certificate), 0);
	}
	refuse_pair(buffer_slice(&chain), key, "more than 11");
	chain.n -= certificate.n / 2;
	refuse_pair(slice_of(chain.p, certificate.n * 2 - 50), key, "after the first");
	buffer_deinit(&chain);
	pair_free(&other);
	pair_free(&locked);
	pair_free(&weak);
}

static void test_expiry(void **state)
{
	time_t left = tls_context_expires(context) - time(NULL);
	assert_true(left > 29 * DAY && left <= 30 * DAY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conversation),
		cmocka_unit_test(test_cut_at_each_byte),
		cmocka_unit_test(test_older_versions_are_refused),
		cmocka_unit_test(test_weak_ciphers_are_refused),
		cmocka_unit_test(test_protocol_names),
		cmocka_unit_test(test_renegotiation_is_refused),
		cmocka_unit_test(test_key_updates_end),
		cmocka_unit_test(test_key_updates_between_data),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_changed_bytes),
		cmocka_unit_test(test_moved),
		cmocka_unit_test(test_tickets),
		cmocka_unit_test(test_bad_pairs),
		cmocka_unit_test(test_expiry),
	};
	return cmocka_run_group_tests(tests, make_context, free_context);
}
