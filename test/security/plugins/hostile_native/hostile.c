/* Attacks on the runtime from C. */
#include <errno.h>
#include <fcntl.h>
#include <mozaiks/plugin.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CHANNEL = 3 };

static void spin(void)
{
	for (volatile unsigned i = 0;; i++) {
	}
}

static void hang(void)
{
	for (;;) {
		(void)pause();
	}
}

static void leak(void)
{
	for (;;) {
		char *p = malloc(65536);
		if (p != NULL) {
			memset(p, 1, 65536);
		}
	}
}

static int deeper(volatile int n)
{
	volatile char frame[4096];
	frame[0] = (char)n;
	return n == 0 ? frame[0] : deeper(n - 1) + frame[0];
}

static void overflow(void)
{
	(void)deeper(10000000);
}

static void crash(void)
{
	*(volatile int *)8 = 1;
}

static void leave(void)
{
	_exit(3);
}

static void garbage(void)
{
	char bytes[65536];
	memset(bytes, 0xa5, sizeof(bytes));
	ssize_t n = write(CHANNEL, bytes, sizeof(bytes));
	(void)n;
}

static void close_channel(void)
{
	(void)close(CHANNEL);
}

static void flood(void)
{
	static char lines[65536];
	memset(lines, 'y', sizeof(lines));
	for (size_t i = 99; i < sizeof(lines); i += 100) {
		lines[i] = '\n';
	}
	for (size_t written = 0; written < (size_t)200 << 20;) {
		ssize_t n = write(STDOUT_FILENO, lines, sizeof(lines));
		written += n > 0 ? (size_t)n : 0;
	}
}

static void *wait_for_ever(void *arg)
{
	hang();
	return arg;
}

static void start_threads(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, 65536);
	while (pthread_create(&thread, &attr, wait_for_ever, NULL) == 0) {
	}
}

static void do_reboot(void)
{
	(void)syscall(SYS_reboot, 0, 0, 0, NULL);
}

static const struct {
	const char *name;
	void (*run)(void);
} actions[] = {
	{ "spin", spin },
	{ "hang", hang },
	{ "leak", leak },
	{ "overflow", overflow },
	{ "crash", crash },
	{ "leave", leave },
	{ "garbage", garbage },
	{ "close_channel", close_channel },
	{ "flood", flood },
	{ "start_threads", start_threads },
	{ "reboot", do_reboot },
};

static void *run_action(void *arg)
{
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (strcmp(actions[i].name, arg) == 0) {
			actions[i].run();
		}
	}
	return NULL;
}

static int execute(struct mozaiks_call *call)
{
	struct mozaiks_text action;
	struct mozaiks_text text;
	struct mozaiks_text in_thread;
	char name[32] = "";
	if (mozaiks_member(call, mozaiks_data(call), "action", &action) != 0 ||
		mozaiks_string(call, action, &text) != 0 || text.n >= sizeof(name)) {
		return mozaiks_fail(call, "which action?");
	}
	memcpy(name, text.p, text.n);
	if (mozaiks_member(call, mozaiks_data(call), "thread", &in_thread) == 0) {
		pthread_t thread;
		if (pthread_create(&thread, NULL, run_action, name) != 0) {
			return mozaiks_fail(call, "no thread");
		}
		(void)pthread_join(thread, NULL);
	} else {
		(void)run_action(name);
	}
	return mozaiks_answer(call, MOZAIKS_TEXT("{}"));
}

static const struct mozaiks_plugin plugin = {
	MOZAIKS_PLUGIN_HEAD,
	.name = "hostile",
	.execute = execute,
};

const struct mozaiks_plugin *mozaiks_plugin(void)
{
	return &plugin;
}
