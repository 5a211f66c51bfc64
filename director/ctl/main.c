#include "director/ctl/ctl.h"
#include "director/ctl/output.h"

#include <curl/curl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* What a command takes beside the options that all take. */
enum {
	TAKES_USER = 1,
	TAKES_ROLES = 2,
	TAKES_TTL = 4,
	TAKES_FORCE = 8,
	TAKES_EMAIL = 16,
	TAKES_FULL_NAME = 32,
};

struct command {
	const char *words[2]; /* the second may be NULL */
	int args_min, args_max;
	unsigned options; /* TAKES_*; a user is required where it is taken */
	const char *args;
	const char *help;
	int (*run)(const struct ctl *ctl);
};

/* clang-format off */
static const struct command commands[] = {
	{ { "token", NULL }, 0, 0, TAKES_USER | TAKES_ROLES | TAKES_TTL,
		"--user U [--roles A,B] [--ttl SECONDS]",
		"Makes a token for a user.", ctl_token },
	{ { "plugin", "list" }, 0, 0, 0, "",
		"Lists the plugins with their states and errors.", ctl_plugin_list },
	{ { "plugin", "status" }, 0, 1, 0, "[NAME]",
		"Shows what the plugins do, or of one its workers and why they ended.", ctl_plugin_status },
	{ { "plugin", "refresh" }, 0, 0, 0, "",
		"Looks for new, changed and removed plugins.", ctl_plugin_refresh },
	{ { "plugin", "restart" }, 1, 1, 0, "NAME",
		"Starts new workers, which take over when they are ready.", ctl_plugin_restart },
	{ { "plugin", "reset" }, 1, 1, 0, "NAME",
		"Forgets a plugin's crashes: its breaker closes, it starts at once.", ctl_plugin_reset },
	{ { "plugin", "enable" }, 1, 1, 0, "NAME",
		"Enables a plugin, for good.", ctl_plugin_enable },
	{ { "plugin", "disable" }, 1, 1, 0, "NAME",
		"Disables a plugin, for good.", ctl_plugin_disable },
	{ { "plugin", "grant" }, 2, 2, 0, "NAME PERMISSION",
		"Grants a plugin a permission, for good.", ctl_plugin_grant },
	{ { "plugin", "revoke" }, 2, 2, 0, "NAME PERMISSION",
		"Takes a permission from a plugin, for good.", ctl_plugin_revoke },
	{ { "plugin", "grants" }, 0, 1, 0, "[NAME]",
		"Shows what plugins may, and what they ask for and may not.", ctl_plugin_grants },
	{ { "user", "add" }, 1, 1, TAKES_ROLES | TAKES_EMAIL | TAKES_FULL_NAME,
		"NAME [--email E] [--full-name N] [--roles A,B]",
		"Makes an account; its password is asked for, or read from standard input.", ctl_user_add },
	{ { "user", "list" }, 0, 1, 0, "[TEXT]",
		"Lists the accounts, or those with TEXT in their name or e-mail address.", ctl_user_list },
	{ { "user", "show" }, 1, 1, 0, "NAME",
		"Shows an account.", ctl_user_show },
	{ { "user", "disable" }, 1, 1, 0, "NAME",
		"Disables an account: its sessions end, its tokens are refused.", ctl_user_disable },
	{ { "user", "enable" }, 1, 1, 0, "NAME",
		"Enables an account.", ctl_user_enable },
	{ { "user", "password" }, 1, 1, 0, "NAME",
		"Gives an account a new password, asked for or read as for add; its sessions end.",
		ctl_user_password },
	{ { "user", "roles" }, 2, 2, 0, "NAME A,B",
		"Gives an account these roles and no others (\"\": none); its sessions end.",
		ctl_user_roles },
	{ { "call", NULL }, 2, 2, TAKES_USER | TAKES_ROLES,
		"PLUGIN JSON --user U [--roles A,B]",
		"Runs a plugin as a user; JSON is an object, or - for standard input.", ctl_call },
	{ { "backup", NULL }, 1, 1, TAKES_FORCE, "[--force] FILE",
		"Copies the embedded database, also while a director writes to it.", ctl_backup },
	{ { "restore", NULL }, 1, 1, 0, "FILE",
		"Puts a backup in the place of the embedded database; no director may run.", ctl_restore },
};

static const char options_help[] =
	"  -s, --state DIR       state directory of the director: MOZAIKS_STATE_PATH, else ./var,\n"
	"                        else /var/lib/mozaiks-dev\n"
	"  -o, --output FORM     table (default) or json\n"
	"      --json            the same as --output json\n"
	"  -t, --timeout SECONDS how long to wait for an answer: 60\n"
	"  -u, --user U          who the token is for\n"
	"  -r, --roles A,B       the user's roles\n"
	"      --ttl SECONDS     how long the token is valid: 86400\n"
	"      --email E         the e-mail address of a new account\n"
	"      --full-name N     the name of its user, for people\n"
	"  -f, --force           a backup replaces FILE when it is there\n"
	"  -h, --help            this text\n"
	"  -V, --version         the version\n"
	"\n"
	"Exit status: 0 done, 1 failed, 2 wrong usage, 3 no director is running, 4 not found or not\n"
	"allowed.\n";
/* clang-format on */

enum {
	N_COMMANDS = sizeof(commands) / sizeof(commands[0]),
	OPTION_TTL = 256,
	OPTION_JSON,
	OPTION_EMAIL,
	OPTION_FULL_NAME
};
enum { TTL_DEFAULT_S = 86400, TTL_MAX_S = 315360000, TIMEOUT_DEFAULT_S = 60 };

static void print_command(FILE *file, const struct command *c)
{
	bool one = c->words[1] == NULL;
	(void)fprintf(file, "  mozaiksctl %s%s%s%s%s\n      %s\n", c->words[0], one ? "" : " ",
		one ? "" : c->words[1], c->args[0] == '\0' ? "" : " ", c->args, c->help);
}

static void print_help(FILE *file, const struct command *only)
{
	(void)fprintf(file, "mozaiksctl talks to a running Mozaiks director.\n\nCommands:\n");
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (only == NULL || only == &commands[i]) {
			print_command(file, &commands[i]);
		}
	}
	(void)fprintf(file, "\nOptions:\n%s", options_help);
}

__attribute__((format(printf, 1, 2))) static int usage(const char *format, ...)
{
	char text[512];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	output_error("%s", text);
	output_hint("See: mozaiksctl --help");
	return CTL_USAGE;
}

/* What the command line says, before it is known to fit the command. */
struct line {
	struct ctl ctl;
	unsigned given; /* TAKES_* */
	bool help;
	bool version;
};

static bool take_number(const char *text, unsigned max, unsigned *ret)
{
	uint64_t value;
	if (!slice_to_u64(slice_str(text), max, &value) || value == 0) {
		return false;
	}
	*ret = (unsigned)value;
	return true;
}

static int take_output(struct line *line, const char *text)
{
	struct slice s = slice_str(text);
	if (!slice_eq(s, SLICE("table")) && !slice_eq(s, SLICE("json"))) {
		return usage("--output must be table or json");
	}
	line->ctl.output = slice_eq(s, SLICE("json")) ? CTL_JSON : CTL_TABLE;
	return CTL_OK;
}

static int take_option(struct line *line, int option)
{
	switch (option) {
	case 's':
		line->ctl.state = optarg;
		return optarg[0] == '\0' ? usage("--state needs a directory") : CTL_OK;
	case 'o':
		return take_output(line, optarg);
	case 't':
		return take_number(optarg, TTL_MAX_S, &line->ctl.timeout_s)
			? CTL_OK
			: usage("--timeout must be a whole number of seconds from 1 to %d",
				  TTL_MAX_S);
	case 'u':
		line->ctl.user = optarg;
		line->given |= TAKES_USER;
		return optarg[0] == '\0' ? usage("--user needs a name") : CTL_OK;
	case 'r':
		line->ctl.roles = optarg;
		line->given |= TAKES_ROLES;
		return CTL_OK;
	case 'f':
		line->ctl.force = true;
		line->given |= TAKES_FORCE;
		return CTL_OK;
	case OPTION_TTL:
		line->given |= TAKES_TTL;
		return take_number(optarg, TTL_MAX_S, &line->ctl.ttl_s)
			? CTL_OK
			: usage("--ttl must be a whole number of seconds from 1 to %d", TTL_MAX_S);
	case OPTION_EMAIL:
		line->ctl.email = optarg;
		line->given |= TAKES_EMAIL;
		return CTL_OK;
	case OPTION_FULL_NAME:
		line->ctl.full_name = optarg;
		line->given |= TAKES_FULL_NAME;
		return CTL_OK;
	case OPTION_JSON:
		line->ctl.output = CTL_JSON;
		return CTL_OK;
	case 'h':
		line->help = true;
		return CTL_OK;
	case 'V':
		line->version = true;
		return CTL_OK;
	default:
		/* getopt has said what is wrong. */
		output_hint("See: mozaiksctl --help");
		return CTL_USAGE;
	}
}

static int read_line(int argc, char **argv, struct line *line)
{
	static const struct option options[] = {
		{ "state", required_argument, NULL, 's' },
		{ "output", required_argument, NULL, 'o' },
		{ "timeout", required_argument, NULL, 't' },
		{ "user", required_argument, NULL, 'u' },
		{ "roles", required_argument, NULL, 'r' },
		{ "ttl", required_argument, NULL, OPTION_TTL },
		{ "json", no_argument, NULL, OPTION_JSON },
		{ "force", no_argument, NULL, 'f' },
		{ "email", required_argument, NULL, OPTION_EMAIL },
		{ "full-name", required_argument, NULL, OPTION_FULL_NAME },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	int option;
	while ((option = getopt_long(argc, argv, "s:o:t:u:r:fhV", options, NULL)) != -1) {
		int status = take_option(line, option);
		if (status != CTL_OK) {
			return status;
		}
	}
	line->ctl.args = argv + optind;
	line->ctl.n_args = argc - optind;
	return CTL_OK;
}

/* The command whose words the line begins with; they are taken off. */
static const struct command *take_command(struct ctl *ctl)
{
	for (size_t i = 0; i < N_COMMANDS; i++) {
		const struct command *c = &commands[i];
		int n = c->words[1] == NULL ? 1 : 2;
		bool fits = ctl->n_args >= n;
		for (int w = 0; w < n && fits; w++) {
			fits = slice_eq(slice_str(ctl->args[w]), slice_str(c->words[w]));
		}
		if (fits) {
			ctl->args += n;
			ctl->n_args -= n;
			return c;
		}
	}
	return NULL;
}

static bool roles_are_good(const char *roles)
{
	struct slice s = slice_str(roles);
	for (size_t i = 0; i < s.n; i++) {
		bool first = i == 0 || s.p[i - 1] == ',';
		if (s.p[i] == ',' && (first || i + 1 == s.n)) {
			return false;
		}
	}
	return true;
}

static int check_line(const struct command *c, const struct line *line)
{
	/* In the order of TAKES_*. */
	static const char *const names[] = { "user", "roles", "ttl", "force", "email",
		"full-name" };
	unsigned surplus = line->given & ~c->options;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if ((surplus & (1U << i)) != 0) {
			return usage("%s%s%s takes no --%s", c->words[0],
				c->words[1] == NULL ? "" : " ",
				c->words[1] == NULL ? "" : c->words[1], names[i]);
		}
	}
	if ((c->options & TAKES_USER) != 0 && (line->given & TAKES_USER) == 0) {
		return usage("%s needs --user U", c->words[0]);
	}
	if (!roles_are_good(line->ctl.roles)) {
		return usage("--roles must be names separated by single commas");
	}
	int n = line->ctl.n_args;
	if (n < c->args_min || n > c->args_max) {
		return usage("%s%s%s takes %s%d arguments, not %d", c->words[0],
			c->words[1] == NULL ? "" : " ", c->words[1] == NULL ? "" : c->words[1],
			c->args_min < c->args_max ? "at most " : "", c->args_max, n);
	}
	return CTL_OK;
}

/* A director runs there, or has left its database. */
static bool has_state(const char *socket, const char *database)
{
	return access(socket, F_OK) == 0 || access(database, F_OK) == 0;
}

static const char *choose_state(void)
{
	const char *given = getenv("MOZAIKS_STATE_PATH");
	if (given != NULL && given[0] != '\0') {
		return given;
	}
	bool elsewhere = !has_state("var/admin.sock", "var/mozaiks.db") &&
		has_state("/var/lib/mozaiks-dev/admin.sock", "/var/lib/mozaiks-dev/mozaiks.db");
	return elsewhere ? "/var/lib/mozaiks-dev" : "var";
}

static int run(struct line *line)
{
	const struct command *c = take_command(&line->ctl);
	if (line->help) {
		print_help(stdout, c);
		return CTL_OK;
	}
	if (line->version) {
		(void)printf("mozaiksctl " MOZAIKS_VERSION "\n");
		return CTL_OK;
	}
	if (c == NULL) {
		return line->ctl.n_args == 0
			? usage("no command given")
			: usage("unknown command: %s%s%s", line->ctl.args[0],
				  line->ctl.n_args > 1 ? " " : "",
				  line->ctl.n_args > 1 ? line->ctl.args[1] : "");
	}
	int status = check_line(c, line);
	if (status != CTL_OK) {
		return status;
	}
	if (line->ctl.state == NULL) {
		line->ctl.state = choose_state();
	}
	if (curl_global_init(CURL_GLOBAL_NOTHING) != CURLE_OK) {
		output_error("libcurl cannot be started");
		return CTL_FAILURE;
	}
	status = c->run(&line->ctl);
	curl_global_cleanup();
	return status;
}

int main(int argc, char **argv)
{
	struct line line = {
		.ctl = { .roles = "", .ttl_s = TTL_DEFAULT_S, .timeout_s = TIMEOUT_DEFAULT_S },
	};
	int status = read_line(argc, argv, &line);
	return status == CTL_OK ? run(&line) : status;
}
