/*
 * mozaiksctl: a client of a running director, over <state>/admin.sock (HTTP on a unix socket); and
 * for its embedded database, running or not, through the file.
 *
 * A command is a row of the table in main.c and a function in the file of its group. It prints its
 * result on stdout, what went wrong and what to do next on stderr, and returns an exit status.
 * What the server sends is not trusted to be harmless for a terminal (output.h).
 */
#pragma once

#include "common/base/slice.h"

enum ctl_status {
	CTL_OK = 0,
	CTL_FAILURE = 1,
	CTL_USAGE = 2,
	CTL_NOT_RUNNING = 3,
	CTL_NOT_FOUND = 4, /* or not allowed */
};

enum ctl_output { CTL_TABLE, CTL_JSON };

/* The command line. */
struct ctl {
	const char *state; /* the state directory, chosen */
	enum ctl_output output;
	const char *user;
	const char *roles; /* comma-separated; "" without */
	unsigned ttl_s;
	unsigned timeout_s;
	bool force;
	const char *email;     /* NULL: not given */
	const char *full_name; /* NULL: not given */
	char *const *args;     /* what is no option, after the command's words */
	int n_args;
};

/* Commands, one file per group. */
int ctl_token(const struct ctl *ctl);
int ctl_plugin_list(const struct ctl *ctl);
int ctl_plugin_refresh(const struct ctl *ctl);
int ctl_plugin_status(const struct ctl *ctl);
int ctl_plugin_reset(const struct ctl *ctl);
int ctl_plugin_restart(const struct ctl *ctl);
int ctl_plugin_enable(const struct ctl *ctl);
int ctl_plugin_disable(const struct ctl *ctl);
int ctl_plugin_grant(const struct ctl *ctl);
int ctl_plugin_revoke(const struct ctl *ctl);
int ctl_plugin_grants(const struct ctl *ctl);
int ctl_user_add(const struct ctl *ctl);
int ctl_user_list(const struct ctl *ctl);
int ctl_user_show(const struct ctl *ctl);
int ctl_user_disable(const struct ctl *ctl);
int ctl_user_enable(const struct ctl *ctl);
int ctl_user_password(const struct ctl *ctl);
int ctl_user_roles(const struct ctl *ctl);
int ctl_call(const struct ctl *ctl);
int ctl_backup(const struct ctl *ctl);
int ctl_restore(const struct ctl *ctl);

/**
 * Asks the director for a token (token.c).
 * @param ret_token a heap string.
 * @return CTL_OK, or another status after its message.
 */
int ctl_make_token(const struct ctl *ctl, unsigned ttl_s, char **ret_token);
