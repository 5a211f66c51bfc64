/* Documents of the director, for the commands that show them. */
#pragma once

#include "common/json/tree.h"
#include "director/ctl/client.h"

struct document {
	struct client_answer answer;
	json_t *tree;
};

/**
 * Fetches a document: GET, or POST of an empty object.
 * @return CTL_OK and the document, for document_deinit(); or another status after its message.
 */
int document_fetch(const struct ctl *ctl, const char *path, bool post, struct document *ret);
void document_deinit(struct document *d);

/**
 * The same with a path of which one segment is a name: PREFIX/name SUFFIX.
 * @param suffix "" or "/reset".
 */
int document_fetch_named(const struct ctl *ctl,
	const char *prefix,
	const char *name,
	const char *suffix,
	bool post,
	struct document *ret);

/** POST of a JSON object. @return as document_fetch(). */
int document_post(const struct ctl *ctl, const char *path, struct slice body, struct document *ret);
int document_post_named(const struct ctl *ctl,
	const char *prefix,
	const char *name,
	const char *suffix,
	struct slice body,
	struct document *ret);

/** The member's string; empty when it is missing, null or something else. */
struct slice member_text(const json_t *object, const char *name);
/** The member's number; 0 when it is missing, null or something else. */
long long member_number(const json_t *object, const char *name);
/** A version for people: of a hash the beginning says enough. */
struct slice member_version(const json_t *object, const char *name);
