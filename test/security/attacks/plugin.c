/*
 * The attacks as a plugin brings them: a shared object that a native worker loads with dlopen() and
 * a Python worker with ctypes.
 */
#include "test/security/attacks/plugin.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

static void attempt(const struct attack_order *order, struct attack_outcome *ret)
{
	const struct attack *a = attack_at(order->number);
	memcpy(attack_canary, order->canary, sizeof(attack_canary));
	errno = 0;
	ret->result = a->run();
	ret->error = ret->result == -1 ? errno : 0;
}

struct job {
	const struct attack_order *order;
	struct attack_outcome *outcome;
};

static void *attempt_in_thread(void *arg)
{
	struct job *j = arg;
	attempt(j->order, j->outcome);
	return NULL;
}

int attack_run(const struct attack_order *order, struct attack_outcome *ret)
{
	pthread_t thread;
	struct job j = { order, ret };
	memset(ret, 0, sizeof(*ret));
	if (order->in_thread == 0) {
		attempt(order, ret);
		return 0;
	}
	int e = pthread_create(&thread, NULL, attempt_in_thread, &j);
	return e != 0 ? -e : -pthread_join(thread, NULL);
}
