#include "director/start/start.h"

#include "common/base/log.h"

int start_refuse(const char *id, const char *text)
{
	log_event(LOG_ERROR, id, "%s", text);
	return -1;
}
