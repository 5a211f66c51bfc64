/* mozaiksctl user: accounts. Passwords come from the terminal or from standard input, never from the
 * command line, which everybody on the machine can read. */
#include "director/ctl/fetch.h"
#include "director/ctl/output.h"
#include "director/ctl/table.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

enum { PASSWORD_MAX = 8192 };

/* ---- passwords ------------------------------------------------------------------------------ */

/* One line, without its end. @return false: it is too long, or nothing could be read. */
static bool read_line(int fd, char line[static PASSWORD_MAX], size_t *ret_n)
{
	size_t n = 0;
	for (;;) {
		char c;
		ssize_t r = read(fd, &c, 1);
		if (r < 0 && errno == EINTR) {
			continue;
		}
		if (r < 0 || n == PASSWORD_MAX - 1) {
			return false;
		}
		if (r == 0 || c == '\n') {
			break;
		}
		line[n++] = c;
	}
	line[n] = '\0';
	*ret_n = n;
	return true;
}

static bool ask_once(const char *prompt, char line[static PASSWORD_MAX], size_t *ret_n)
{
	struct termios before;
	struct termios silent;
	(void)fputs(prompt, stderr);
	if (tcgetattr(STDIN_FILENO, &before) < 0) {
		return false;
	}
	silent = before;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
	bool good = read_line(STDIN_FILENO, line, ret_n);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	(void)fputc('\n', stderr);
	return good;
}

static int ask_twice(char password[static PASSWORD_MAX], size_t *ret_n)
{
	char again[PASSWORD_MAX];
	size_t n = 0;
	bool good = ask_once("Password: ", password, ret_n) && ask_once("Again: ", again, &n);
	bool same = good && slice_eq(slice_of(password, *ret_n), slice_of(again, n));
	explicit_bzero(again, sizeof(again));
	if (!same) {
		output_error(good ? "the two passwords differ" : "no password could be read");
	}
	return same ? CTL_OK : CTL_USAGE;
}

static int take_password(char password[static PASSWORD_MAX], size_t *ret_n)
{
	if (isatty(STDIN_FILENO) != 0) {
		return ask_twice(password, ret_n);
	}
	if (!read_line(STDIN_FILENO, password, ret_n) || *ret_n == 0) {
		output_error("no password on standard input, or one that is too long");
		output_hint("Its first line is the password.");
		return CTL_USAGE;
	}
	return CTL_OK;
}

/* ---- what is shown -------------------------------------------------------------------------- */

static struct slice disabled_text(const json_t *user)
{
	return json_is_true(json_object_get(user, "disabled")) ? SLICE("disabled")
							       : SLICE("enabled");
}

static int print_user(const struct ctl *ctl, const struct document *d)
{
	struct buffer b;
	static const char *const members[] = { "user_id", "email", "full_name", "roles" };
	if (ctl->output == CTL_JSON) {
		return output_document(buffer_slice(&d->answer.body));
	}
	buffer_init(&b, 65536);
	struct slice name = member_text(d->tree, "username");
	int r = buffer_append(&b, name);
	r = r < 0 ? r : buffer_append(&b, SLICE(": "));
	r = r < 0 ? r : buffer_append(&b, disabled_text(d->tree));
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]) && r == 0; i++) {
		struct slice value = member_text(d->tree, members[i]);
		if (value.n > 0) {
			r = buffer_printf(&b, ", %s ", members[i]);
			r = r < 0 ? r : buffer_append(&b, value);
		}
	}
	long long ended = member_number(d->tree, "sessions_ended");
	if (r == 0 && ended > 0) {
		r = buffer_printf(&b, ", %lld sessions ended", ended);
	}
	int status = r < 0 ? CTL_FAILURE : output_document(buffer_slice(&b));
	buffer_deinit(&b);
	return status;
}

static int print_users(const json_t *users)
{
	static const char *const head[] = { "NAME", "ID", "E-MAIL", "ROLES", "STATE",
		"LAST LOGIN" };
	struct table t;
	table_init(&t, head, sizeof(head) / sizeof(head[0]));
	size_t i;
	json_t *u;
	json_array_foreach(users, i, u)
	{
		table_add(&t, member_text(u, "username"));
		table_add(&t, member_text(u, "user_id"));
		table_add(&t, member_text(u, "email"));
		table_add(&t, member_text(u, "roles"));
		table_add(&t, disabled_text(u));
		table_add(&t, member_text(u, "last_login"));
	}
	int status = table_print(&t);
	table_deinit(&t);
	return status;
}

/* ---- commands ------------------------------------------------------------------------------- */

/* Takes the reference of `body` over. */
static int post(const struct ctl *ctl, const char *name, const char *suffix, json_t *body)
{
	struct document d;
	char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
	json_decref(body);
	if (text == NULL) {
		output_error("names and passwords must be valid UTF-8");
		return CTL_USAGE;
	}
	int status = name == NULL
		? document_post(ctl, "/admin/users", slice_str(text), &d)
		: document_post_named(ctl, "/admin/users", name, suffix, slice_str(text), &d);
	explicit_bzero(text, slice_str(text).n);
	free(text);
	if (status == CTL_OK) {
		status = print_user(ctl, &d);
		document_deinit(&d);
	}
	return status;
}

int ctl_user_add(const struct ctl *ctl)
{
	char password[PASSWORD_MAX];
	size_t n = 0;
	int status = take_password(password, &n);
	if (status == CTL_OK) {
		json_t *body = json_pack("{s:s, s:s%, s:s*, s:s*, s:s}", "username", ctl->args[0],
			"password", password, n, "email", ctl->email, "full_name", ctl->full_name,
			"roles", ctl->roles);
		status = post(ctl, NULL, NULL, body);
	}
	explicit_bzero(password, sizeof(password));
	return status;
}

int ctl_user_password(const struct ctl *ctl)
{
	char password[PASSWORD_MAX];
	size_t n = 0;
	int status = take_password(password, &n);
	if (status == CTL_OK) {
		status = post(ctl, ctl->args[0], "/password",
			json_pack("{s:s%}", "password", password, n));
	}
	explicit_bzero(password, sizeof(password));
	return status;
}

int ctl_user_roles(const struct ctl *ctl)
{
	return post(ctl, ctl->args[0], "/roles", json_pack("{s:s}", "roles", ctl->args[1]));
}

int ctl_user_disable(const struct ctl *ctl)
{
	return post(ctl, ctl->args[0], "/disable", json_object());
}

int ctl_user_enable(const struct ctl *ctl)
{
	return post(ctl, ctl->args[0], "/enable", json_object());
}

int ctl_user_show(const struct ctl *ctl)
{
	struct document d;
	int status = document_fetch_named(ctl, "/admin/users", ctl->args[0], "", false, &d);
	if (status == CTL_OK) {
		status = print_user(ctl, &d);
		document_deinit(&d);
	}
	return status;
}

static int fetch_list(const struct ctl *ctl, struct document *ret)
{
	char *path = NULL;
	char *text = curl_easy_escape(NULL, ctl->n_args > 0 ? ctl->args[0] : "", 0);
	if (text == NULL || asprintf(&path, "/admin/users?limit=1000&q=%s", text) < 0) {
		curl_free(text);
		output_error("no memory for a request");
		return CTL_FAILURE;
	}
	int status = document_fetch(ctl, path, false, ret);
	curl_free(text);
	free(path);
	return status;
}

int ctl_user_list(const struct ctl *ctl)
{
	struct document d;
	int status = fetch_list(ctl, &d);
	if (status != CTL_OK) {
		return status;
	}
	const json_t *users = json_object_get(d.tree, "users");
	long long total = member_number(d.tree, "total");
	if (!json_is_array(users)) {
		output_error("the director's answer has no list of accounts in it");
		status = CTL_FAILURE;
	} else if (ctl->output == CTL_JSON) {
		status = output_document(buffer_slice(&d.answer.body));
	} else {
		status = print_users(users);
		if ((long long)json_array_size(users) < total) {
			output_hint("%lld more: name a part of what you look for",
				total - (long long)json_array_size(users));
		}
	}
	document_deinit(&d);
	return status;
}
