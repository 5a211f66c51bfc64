/* The REST areas, one file each: request -> module -> response. Their routes are put together in
 * routes.c. The owner of every handler is the struct director. Loop thread. */
#pragma once

#include "director/http/http.h"

extern const struct http_handler health_livez;
extern const struct http_handler health_readyz;
extern const struct http_handler health_health;
extern const struct http_handler health_ready;
extern const struct http_handler health_info;

extern const struct http_handler plugins_list;

extern const struct http_handler tokens_exchange;

/* On the public port, for tokens of the superadmin role. */
extern const struct http_handler operator_plugins;
extern const struct http_handler operator_plugin;

/* /api/auth */
extern const struct http_handler auth_register;
extern const struct http_handler auth_token;
extern const struct http_handler auth_login;
extern const struct http_handler auth_refresh;
extern const struct http_handler auth_logout;
extern const struct http_handler auth_change_password;
extern const struct http_handler auth_me;
extern const struct http_handler auth_validate;

/* Only on the admin socket. */
extern const struct http_handler admin_users;
extern const struct http_handler admin_user_add;
extern const struct http_handler admin_user;
extern const struct http_handler admin_user_disable;
extern const struct http_handler admin_user_enable;
extern const struct http_handler admin_user_password;
extern const struct http_handler admin_user_roles;
extern const struct http_handler admin_token;
extern const struct http_handler admin_plugins;
extern const struct http_handler admin_plugin;
extern const struct http_handler admin_refresh;

extern const struct http_handler admin_plugin_reset;
extern const struct http_handler admin_plugin_restart;
extern const struct http_handler admin_plugin_enable;
extern const struct http_handler admin_plugin_disable;
extern const struct http_handler admin_plugin_grant;
extern const struct http_handler admin_plugin_revoke;

struct director;
struct plugin;

/** on_head of the admin socket: the peer is root or the director's own user, else 403. */
bool api_admin_head(void *owner, struct http_request *r);

/** The plugin that the path names, or NULL after 404. */
struct plugin *api_find_plugin(const struct director *d, struct http_request *r);

/** The routes of the public listener / of the admin socket. The table is the caller's to free(). */
int routes_public(struct director *d, struct http_route **ret, size_t *ret_n);
int routes_admin(struct director *d, struct http_route **ret, size_t *ret_n);
