/*
 * Local accounts: what MOZAIKS_AUTH_MODE=local is made of. Accounts, their roles and sessions are core's
 * collections `users`, `user_roles` and `sessions`; here are the operations on them, each a list of steps
 * (operation.h). What has ended or is disabled is also in memory, where auth asks for each request.
 *
 * Until the store has told who is disabled and what has ended, no token is taken. With a store that other
 * nodes use too, it is asked again every `poll_ms`.
 *
 * Loop thread. Nothing here knows HTTP.
 */
#pragma once

#include "director/auth/auth.h"
#include "director/store/store.h"
#include "director/users/hasher.h"
#include "director/users/throttle.h"

struct operation;
struct operation_kind;
struct users;

struct users_config {
	uv_loop_t *loop;
	struct store *store;
	struct auth *auth; /* gets the hook */
	struct slice app_id;
	struct password_rules rules;
	struct password_cost cost;
	unsigned threads;
	unsigned queue;
	struct throttle_policy throttle;
	unsigned access_s;  /* life of an access token */
	unsigned refresh_s; /* of a session that is not refreshed */
	unsigned sessions;  /* of a user; 0: any number */
	bool registration;
	uint64_t poll_ms; /* 0: never */
	/* user:registered, user:login. The user is a reference of the caller's. May be NULL. */
	void (*event)(void *arg, struct slice name, struct user_context *user, struct slice data);
	void *event_arg;
};

/** @return 0 or a negative errno. */
int users_new(struct users **ret, const struct users_config *config);
/** What runs goes on with the store; nothing new begins. `done` from the loop. */
void users_close(struct users *u, void (*done)(void *arg), void *arg);
/** After users_close() and the end of the store; NULL is allowed. @return NULL. */
struct users *users_free(struct users *u);

/** True once it is known who is disabled and what has ended. */
bool users_ready(const struct users *u);

/* How an operation ended. */
enum users_outcome {
	USERS_OK = 0,
	USERS_E_INVALID,     /* `field` breaks the rule in `text` */
	USERS_E_CREDENTIALS, /* no such user, or another password: nobody is told which */
	USERS_E_PASSWORD,    /* the current password is another one */
	USERS_E_DISABLED,
	USERS_E_NAME_TAKEN,
	USERS_E_EMAIL_TAKEN,
	USERS_E_NOT_FOUND,
	USERS_E_TOKEN,     /* the refresh token is none, has run out or was used before */
	USERS_E_CLOSED,    /* nobody may register */
	USERS_E_THROTTLED, /* too many attempts: `retry_after_s` */
	USERS_E_BUSY,      /* the hashing queue is full: `retry_after_s` */
	USERS_E_STORE,     /* `text` */
	USERS_E_INTERNAL,  /* `text` */
};

struct users_answer {
	enum users_outcome outcome;
	unsigned retry_after_s;
	const char *field; /* of the request, with USERS_E_INVALID */
	const char *text;
	/* The user, where there is one. */
	struct slice user_id;
	struct slice username;
	struct slice email;     /* empty: none */
	struct slice full_name; /* empty: none */
	struct slice roles;     /* separated by commas */
	bool disabled;
	/* A new session, or the next tokens of one. */
	const char *access_token;
	const char *refresh_token;
	unsigned expires_in_s;
	unsigned refresh_expires_in_s;
	/* Sessions that were ended. */
	unsigned sessions;
	/* users_list(): users as documents in a row, and how many there are in all. */
	struct slice documents;
	struct slice roles_documents; /* {_id: user id, roles: […]} */
	uint64_t total;
	const struct hasher_counters *hashing;
};

/* On the loop thread, once; the answer is valid during the call. */
typedef void (*users_done_fn)(void *owner, const struct users_answer *answer);

/* What is asked for; all of it is copied. Empty: not given. */
struct users_request {
	struct slice username;
	struct slice email;
	struct slice full_name;
	struct slice password;
	struct slice new_password;
	struct slice refresh_token;
	struct slice roles;              /* separated by commas */
	struct slice address;            /* of the client, for the throttle */
	const struct user_context *user; /* who asks */
	bool all;                        /* users_logout(): every session of the user */
	bool disabled;
	uint64_t skip;
	uint64_t limit;
	struct slice search;
};

/*
 * Each begins an operation: `done` is called later, never from within.
 * @return the operation, for users_abandon() until `done`; NULL: no memory, or the module is closing.
 */
struct operation *users_begin(struct users *u,
	const struct operation_kind *kind,
	const struct users_request *request,
	users_done_fn done,
	void *owner);

/** Nobody wants the answer any more; what was begun goes on. */
void users_abandon(struct operation *o);

/* For everybody. */
extern const struct operation_kind users_register;        /* username password email full_name */
extern const struct operation_kind users_login;           /* username password */
extern const struct operation_kind users_refresh;         /* refresh_token */
extern const struct operation_kind users_logout;          /* user, all */
extern const struct operation_kind users_logout_refresh;  /* refresh_token */
extern const struct operation_kind users_me;              /* user */
extern const struct operation_kind users_change_password; /* user password new_password */
/* For operators. */
extern const struct operation_kind users_add;          /* username password email full_name roles */
extern const struct operation_kind users_show;         /* username */
extern const struct operation_kind users_list;         /* skip limit search */
extern const struct operation_kind users_set_disabled; /* username disabled */
extern const struct operation_kind users_set_password; /* username new_password */
extern const struct operation_kind users_set_roles;    /* username roles */
