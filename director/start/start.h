/*
 * The steps of the start: settings become modules here. main.c has their order. What cannot be is
 * logged. Loop thread, before the loop runs.
 */
#pragma once

struct director;

/** Logs why the start ends. @return -1 */
int start_refuse(const char *id, const char *text);

/** TLS_CERT_FILE and TLS_KEY_FILE, if they are set. @return 0 or -1; so do all steps. */
int start_certificates(struct director *d);

/** Listens to the public, before root is given up: the port may be a privileged one. Nothing is read
 * from it yet. */
int start_http(struct director *d);

/** Opens the database. */
int start_store(struct director *d);

/** Local accounts, where tokens are our own. */
int start_users(struct director *d);

/** What a call passes through, and the registry of plugins. */
int start_modules(struct director *d);

/** Listens to the operator. */
int start_admin(struct director *d);

/** Says where tools find the port when it was any: <run>/http_port. */
int start_port_file(struct director *d);
