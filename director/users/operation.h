/*
 * An operation on accounts: a list of steps that run one after the other (private to this folder). A step
 * does its work and says go on; or begins something (a store command, a hash), says wait, and is followed
 * by the next step when that has ended; or it ends the operation by setting the answer's outcome.
 *
 * The engine is operation.c; the steps are in steps.c and session_steps.c, the lists in kinds.c; open.c has the
 * one that opens the module. Loop thread.
 */
#pragma once

#include "common/uvx/later.h"
#include "common/uvx/timer.h"
#include "director/store/query/document.h"
#include "director/users/names.h"
#include "director/users/sessions.h"
#include "director/users/users.h"

enum {
	USER_ID_MAX = AUTH_USER_BYTES_MAX,
	ROLES_TEXT_MAX = 8192,
	DOCUMENT_LIMIT = 64 * 1024,
	TOKEN_MARGIN_S = 60, /* the leeway of auth, and clocks of other nodes */
};

enum step_result { STEP_ON, STEP_WAIT };

typedef enum step_result (*step_fn)(struct operation *o);

struct operation_kind {
	const char *name;
	const step_fn *steps; /* NULL ends them */
};

struct users {
	struct users_config config;
	struct hasher *hasher;
	struct throttle *throttle;
	struct revocations revocations;
	uint64_t changes; /* of the disabled users, on this node */
	bool known;       /* what is in `revocations` is all there is */
	bool told;        /* that loading fails */
	bool closing;
	struct uvx_timer timer;    /* loads again */
	struct operation *loading; /* or NULL */
	bool opened;               /* indexes are made, older accounts have their keys */
	int64_t loaded_ms;         /* sessions that ended before then are known */
	int64_t purged_ms;
	struct uvx_later later; /* first steps: an answer never comes from within users_begin() */
	struct operation *starting; /* whose first step that is */
	struct operation *ops;      /* that run */
	unsigned closing_parts;
	void (*on_closed)(void *arg);
	void *on_closed_arg;
};

/* A user as the store has it. */
struct user_record {
	bool found;
	char id[USER_ID_MAX + 1];
	struct value raw_id; /* in `document` */
	struct slice username;
	struct slice email;
	struct slice full_name;
	struct slice hash;
	bool disabled;
	uint8_t *document; /* on the heap; the slices point into it */
	size_t n;
};

struct operation {
	struct operation *prev, *next;
	struct users *users;
	const struct operation_kind *kind;
	size_t step;
	users_done_fn done; /* NULL: abandoned, or nobody asked */
	void *owner;
	bool ended;
	struct users_request request; /* points into `memory` */
	uint8_t *memory;
	size_t memory_n;
	uint8_t key_bytes[USER_KEY_MAX];
	struct slice key; /* of the username */

	struct users_answer answer;
	char text[STORE_MESSAGE_MAX];
	void (*take)(struct operation *o, const struct store_result *r);
	enum store_error tolerated; /* by the next `take`, beside DUPLICATE */
	size_t n_indexes;           /* that are made */

	struct user_record user;
	char roles[ROLES_TEXT_MAX];
	size_t roles_n;
	uint8_t oid[OID_BYTES]; /* of a new user */
	char new_hash[PASSWORD_HASH_SIZE];
	bool match;
	bool raced; /* somebody else was faster */
	bool email_taken;
	char asker[USER_ID_MAX + 1];
	char session[SESSION_ID_SIZE]; /* of the asker, or the one to keep or end */
	struct session_token token;
	struct session_token used;
	char *access_token;
	int64_t now_ms; /* one moment for all that it writes */
	bool charged;   /* by the throttle */
	uint8_t *rows;  /* documents of the last find that are kept */
	size_t rows_n;
	uint8_t *more_rows;
	size_t more_rows_n;
	uint64_t changes; /* users->changes when the list was asked for */
};

/** Ends the operation with this outcome, once the step returns. @return STEP_ON. */
enum step_result operation_end(struct operation *o, enum users_outcome outcome, const char *text);
enum step_result operation_invalid(struct operation *o, const char *field, const char *text);

/** Submits a command on one of core's collections; `take` gets its answer when it is OK or DUPLICATE. */
enum step_result operation_submit(struct operation *o,
	const struct store_command *c,
	void (*take)(struct operation *o, const struct store_result *r));

/** A command from a writer: ends the operation when the writer has failed. */
enum step_result operation_submit_written(struct operation *o,
	struct store_command *c,
	struct document_writer *filter,
	struct document_writer *update,
	void (*take)(struct operation *o, const struct store_result *r));

void operation_tick(struct operation *o);

/* record.c: what documents look like */

/** @return false: it is no account. Takes nothing over; `u` gets a copy. */
bool record_read(struct user_record *u, struct slice document);
void record_deinit(struct user_record *u);
/** "a,b" of a document of user_roles; names that cannot be in a token are left out. */
size_t record_read_roles(struct slice document, char out[static ROLES_TEXT_MAX]);
/** The id as text: a string, or the hexadecimal digits of an ObjectId. @return false: neither. */
bool record_id_text(struct value id, char out[static USER_ID_MAX + 1]);

/** Opens {…}. */
static inline size_t filter_open(struct document_writer *w)
{
	writer_init(w, DOCUMENT_LIMIT);
	return writer_open(w);
}

/** {_id: …} for a user id, whichever type it has in the store. */
void filter_user(struct document_writer *w, struct slice id);

/* steps.c: steps that several lists have */

enum step_result step_throttle_login(struct operation *o);
enum step_result step_find_by_name(struct operation *o);
enum step_result step_find_by_id(struct operation *o);
enum step_result step_need_user(struct operation *o);
enum step_result step_find_roles(struct operation *o);
enum step_result step_verify(struct operation *o);
enum step_result step_judge_login(struct operation *o);
enum step_result step_hash_new(struct operation *o);
enum step_result step_store_hash(struct operation *o);
enum step_result step_check_new_user(struct operation *o);
enum step_result step_find_taken(struct operation *o);
enum step_result step_insert_user(struct operation *o);
enum step_result step_check_roles(struct operation *o);
enum step_result step_store_roles(struct operation *o);
enum step_result step_store_disabled(struct operation *o);
enum step_result step_switched(struct operation *o);

/* session_steps.c */

enum step_result step_open_session(struct operation *o);
/** Behind it: finds those that are too many, and ends them. */
enum step_result step_find_surplus(struct operation *o);
enum step_result step_end_surplus(struct operation *o);
enum step_result step_make_access_token(struct operation *o);
enum step_result step_end_sessions(struct operation *o);
enum step_result step_note_ended(struct operation *o);
enum step_result step_end_session(struct operation *o);
enum step_result step_parse_refresh(struct operation *o);
enum step_result step_rotate(struct operation *o);
enum step_result step_judge_reuse(struct operation *o);
enum step_result step_need_session(struct operation *o);
enum step_result step_tell_registered(struct operation *o);
enum step_result step_tell_login(struct operation *o);

/** Remembers sessions of `sessions` documents as ended. */
int sessions_note(struct users *u, struct slice documents, unsigned *ret_n);

/** Until when a token of a session that ends now may live. */
int64_t session_gone_ms(const struct users *u, int64_t now_ms);

/* open.c */
extern const struct operation_kind users_open_kind;
