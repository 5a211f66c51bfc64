/*
 * A request's head: what llhttp makes of the bytes that the guard let pass, and the rules that need
 * more than one line (RFC 9112, sections 3 and 6). Bytes in, structure out; no I/O, no allocation.
 */
#pragma once

#include "common/base/slice.h"
#include "director/http/guard.h"
#include "director/http/http.h"

/* Offsets into the head: half the size of slices, for 100 of them in every connection. */
struct head_field {
	uint32_t name;
	uint32_t name_n;
	uint32_t value;
	uint32_t value_n;
};

enum { HTTP_HEAD_MAX = 256 * 1024 };

struct http_head {
	const uint8_t *bytes;
	enum http_method method;
	bool http10;
	bool keep_alive;
	bool chunked;
	bool expects_continue;
	bool encoded;    /* has a Content-Encoding other than identity */
	bool asterisk;   /* OPTIONS * */
	uint64_t length; /* of the body; 0 when chunked */
	struct slice path;
	struct slice query;  /* without the '?' */
	struct slice host;   /* of an absolute target, else of Host; empty only in HTTP/1.0 */
	struct slice origin; /* p is NULL without one */
	unsigned n_fields;
	struct head_field fields[HTTP_FIELDS_MAX];
};

/**
 * Parses the head that `g` accepted.
 * @param in the bytes that guard_scan() saw; the head keeps pointing into them.
 * @return true; false with *ret_refusal set.
 */
bool head_parse(struct http_head *h,
	const struct guard *g,
	struct slice in,
	struct http_refusal *ret_refusal);

/** The first header of that name, without surrounding blanks; p is NULL when it is absent. */
struct slice head_find(const struct http_head *h, struct slice name);

/** The first of them from the field *at on, which moves behind it. */
struct slice head_find_from(const struct http_head *h, struct slice name, unsigned *at);
