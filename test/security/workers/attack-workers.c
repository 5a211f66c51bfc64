/*
 * The attacks, one per fresh worker.
 *
 *   attack-workers MODE [FORM...]    forms: python python-thread c c-thread; all of them by default
 *
 * One line per attack and form on stdout, tabs between its fields: row of the threat table, name, form,
 * answer, and how the answer is to be judged:
 *
 *   expected   the answer that the row wants, by the mechanism that it wants
 *   held       another mechanism stopped it
 *   through    it reached what it wanted, or the kernel's code behind it
 *
 * Lines with # say about what; "not run" is a judgement, too. With every layer in place all must be
 * "expected". This program is also linked with one layer left out (without/); then the judgement shows
 * whether another layer holds the attack.
 *
 * MOZAIKS_ATTACKS=A1,B2 takes only these rows of the threat table (a letter alone: its group).
 */
#include "test/security/workers/harness.h"
#include "test/security/workers/without/layers.h"
#include "test/security/workers/witness.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct form {
	const char *name;
	enum worker_flavour flavour;
	bool in_thread;
};

static const struct form forms[] = {
	{ "python", WORKER_PYTHON, false },
	{ "python-thread", WORKER_PYTHON, true },
	{ "c", WORKER_NATIVE, false },
	{ "c-thread", WORKER_NATIVE, true },
};

enum { N_FORMS = sizeof(forms) / sizeof(forms[0]) };

/* One attack on one worker, and what came of it. */
struct
try {
	bool answered;
	struct attack_outcome outcome;
	struct zygote_event end;
	char call[WITNESS_TEXT_MAX]; /* the system call that was the end, or "" */
};

/* ---- Selection ---- */

static bool is_wanted(const char *id)
{
	const char *list = getenv("MOZAIKS_ATTACKS");
	if (list == NULL || list[0] == '\0') {
		return true;
	}
	size_t n = strlen(id);
	for (const char *p = list; *p != '\0'; p += strcspn(p, ",")) {
		p += *p == ',';
		size_t m = strcspn(p, ",");
		if ((m == n || (m == 1 && p[0] >= 'A')) && strncmp(p, id, m) == 0) {
			return true;
		}
	}
	return false;
}

static bool makes_sense(const struct attack *a, const struct form *f)
{
	return (a->where & (f->flavour == WORKER_PYTHON ? IN_PYTHON : IN_NATIVE)) != 0 &&
		((a->where & UNSANITIZED) == 0 || !SANITIZED) &&
		((a->where & ONE_THREAD) == 0 || !f->in_thread);
}

/* @return what this machine lacks for it, or NULL. */
static const char *why_not(const struct attack *a)
{
	if ((a->where & OWN_UID) != 0 && harness_host.uids != SANDBOX_UIDS_BLOCK) {
		return "no uid per worker";
	}
	/* Left out on purpose, it is the question. */
	if ((a->where & CGROUP) != 0 && harness_host.cgroup.kind == CGROUP_NONE &&
		layer_left_out == NULL) {
		return "no memory cgroup";
	}
	return NULL;
}

/* ---- Judging ---- */

static bool is_expected(const struct attack *a, const struct try *t)
{
	const struct attack_outcome *o = &t->outcome;
	switch (a->answer) {
	case ANSWER_ERRNO:
		return t->answered && o->text[0] == '\0' && o->result == -1 &&
			(o->error == a->value || (a->other != 0 && o->error == a->other));
	case ANSWER_SIGNAL:
		return !t->answered && t->end.signal == a->value;
	case ANSWER_RESULT:
		return t->answered && o->text[0] == '\0' && o->result == a->value;
	case ANSWER_RANGE:
		return t->answered && o->result >= a->value && o->result <= a->other;
	case ANSWER_RAISES:
		return t->answered && strcmp(o->text, a->text) == 0;
	}
	return false;
}

/* Errors that come from behind every layer: the kernel looked at what it was asked. */
static bool is_from_behind(int e)
{
	static const int from_behind[] = { EFAULT, EBADF, EINVAL, ENOTTY, ENOTSOCK, EOPNOTSUPP,
		EAFNOSUPPORT, EPROTONOSUPPORT, ESOCKTNOSUPPORT, ENODEV };
	for (size_t i = 0; i < sizeof(from_behind) / sizeof(from_behind[0]); i++) {
		if (e == from_behind[i]) {
			return true;
		}
	}
	return false;
}

static const char *judge(const struct attack *a, const struct try *t)
{
	if (is_expected(a, t)) {
		return "expected";
	}
	const struct attack_outcome *o = &t->outcome;
	bool stopped = !t->answered || o->text[0] != '\0' ||
		(o->result == -1 && !is_from_behind(o->error)) ||
		/* A bomb tells how far it came until it was refused. */
		(a->answer == ANSWER_RANGE && o->result >= 0);
	return stopped ? "held" : "through";
}

static void describe(const struct attack *a, const struct try *t, char *out, size_t size)
{
	const struct attack_outcome *o = &t->outcome;
	const char *name = NULL;
	if (!t->answered && t->end.signal > 0) {
		name = sigabbrev_np(t->end.signal);
		(void)snprintf(out, size, "SIG%s%s%s", name == NULL ? "?" : name,
			t->call[0] == '\0' ? "" : " ", t->call);
		if (t->end.reason == WORKER_ENDED_OOM) {
			(void)snprintf(out, size, "SIGKILL, out of memory");
		}
	} else if (!t->answered) {
		(void)snprintf(out, size, "exit %d", t->end.status);
	} else if (o->text[0] != '\0') {
		(void)snprintf(out, size, "%.*s", (int)sizeof(o->text), o->text);
	} else if (o->result == -1 && o->error != 0) {
		name = strerrorname_np(o->error);
		(void)snprintf(out, size, "%s", name == NULL ? "?" : name);
	} else if (a->answer == ANSWER_RANGE && is_expected(a, t) && a->value != a->other) {
		(void)snprintf(out, size, "%ld..%ld", a->value, a->other);
	} else {
		(void)snprintf(out, size, "%lld", (long long)o->result);
	}
}

/* ---- Attacking ---- */

static bool try_once(
	struct zygote *z, const struct form *f, unsigned number, bool with_witness, struct try *t)
{
	struct subject s;
	if (!subject_start_and_await(z, &s, f->flavour)) {
		return false;
	}
	bool watched = with_witness && witness_follow(s.end.pid) == 0;
	t->answered = subject_attack(&s, number, f->in_thread, &t->outcome);
	subject_close(&s);
	if (!subject_await(z, &s, ZYGOTE_WORKER_EXITED)) {
		return false;
	}
	t->end = s.end;
	if (watched) {
		witness_tell(t->call);
	}
	return true;
}

static void attack(struct zygote *z, const struct form *f, unsigned number)
{
	const struct attack *a = attack_at(number);
	struct try t = { 0 };
	const char *missing = why_not(a);
	unsigned fds = harness_open_fds();
	if (missing != NULL) {
		(void)printf("%s\t%s\t%s\t%s\tnot run\n", a->id, a->name, f->name, missing);
		return;
	}
	if (!try_once(z, f, number, false, &t)) {
		return;
	}
	if (!t.answered && t.end.signal == SIGSYS) {
		t = (struct try){ 0 };
		if (!try_once(z, f, number, true, &t)) {
			return;
		}
	}
	char text[80];
	describe(a, &t, text, sizeof(text));
	const char *judgement = judge(a, &t);
	(void)printf("%s\t%s\t%s\t%s\t%s\n", a->id, a->name, f->name, text, judgement);
	check(layer_left_out != NULL || is_expected(a, &t), "%s %s (%s): %s", a->id, a->name,
		f->name, text);
	harness_check_leaks(z, fds, a->name);
}

static void attack_in(const struct form *f, struct zygote *z)
{
	for (unsigned i = 0; attack_at(i) != NULL; i++) {
		const struct attack *a = attack_at(i);
		if (is_wanted(a->id) && makes_sense(a, f)) {
			attack(z, f, i);
		}
	}
}

static bool is_asked(int argc, char **argv, const char *form)
{
	bool asked = argc <= 2;
	for (int i = 2; i < argc; i++) {
		asked = asked || strcmp(argv[i], form) == 0;
	}
	return asked;
}

int main(int argc, char **argv)
{
	int role = harness_role(argc, argv);
	if (role >= 0) {
		return role;
	}
	if (argc < 2) {
		(void)fprintf(stderr, "usage: attack-workers root|caps|plain|as-is [FORM...]\n");
		return 2;
	}
	if (!harness_open(argv, argv[1])) {
		return SKIPPED;
	}
	for (enum worker_flavour flavour = WORKER_PYTHON; flavour <= WORKER_NATIVE; flavour++) {
		struct zygote *z = harness_zygote(flavour);
		for (size_t i = 0; i < N_FORMS; i++) {
			if (forms[i].flavour == flavour && is_asked(argc, argv, forms[i].name)) {
				attack_in(&forms[i], z);
			}
		}
		zygote_free(z);
	}
	return harness_close();
}
