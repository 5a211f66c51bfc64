#include "common/service/notify.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

enum { TEXT_BYTES = 512 };

/* A line each: what follows a line end would be an assignment of its own. */
static void __attribute__((format(printf, 2, 0)))
tell(const char *first, const char *format, va_list args)
{
	char text[TEXT_BYTES];
	(void)vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = '\0';
	(void)sd_notifyf(0, "%sSTATUS=%s", first, text);
}

void service_ready(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	tell("READY=1\n", format, args);
	va_end(args);
}

void service_status(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	tell("", format, args);
	va_end(args);
}

void service_stopping(void)
{
	(void)sd_notify(0, "STOPPING=1\nSTATUS=Stopping");
}
