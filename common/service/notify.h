/* What a program tells systemd, when systemd has started it; else nothing happens. Any thread. */
#pragma once

/** It serves. `format` is a sentence for `systemctl status`. */
void service_ready(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** A sentence for `systemctl status`. */
void service_status(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** It was told to end and does. */
void service_stopping(void);
