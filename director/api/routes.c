#include "director/api/api.h"
#include "director/execute/execute.h"
#include "director/websocket/plugin.h"
#include "director/websocket/session.h"

#include <errno.h>
#include <stdlib.h>

struct row {
	enum http_method method;
	const char *pattern;
	const struct http_handler *handler;
};

static const struct row public_rows[] = {
	{ HTTP_M_GET, "/livez", &health_livez },
	{ HTTP_M_GET, "/readyz", &health_readyz },
	{ HTTP_M_GET, "/health", &health_health },
	{ HTTP_M_GET, "/ready", &health_ready },
	{ HTTP_M_GET, "/info", &health_info },
	{ HTTP_M_POST, "/api/execute/{plugin}", &execute_handler },
	{ HTTP_M_GET, "/ws/notifications/{user_id}", &session_handler },
	{ HTTP_M_GET, "/ws/plugins/{plugin}", &plugin_socket_handler },
	{ HTTP_M_GET, "/ws/plugins/{plugin}/{a}", &plugin_socket_handler },
	{ HTTP_M_GET, "/ws/plugins/{plugin}/{a}/{b}", &plugin_socket_handler },
	{ HTTP_M_GET, "/ws/plugins/{plugin}/{a}/{b}/{c}", &plugin_socket_handler },
	{ HTTP_M_POST, "/api/ws/ticket", &session_ticket_handler },
	{ HTTP_M_POST, "/ws/ticket", &session_ticket_handler },
	{ HTTP_M_POST, "/api/auth/token-exchange", &tokens_exchange },
	{ HTTP_M_GET, "/api/plugins", &plugins_list },
	{ HTTP_M_GET, "/api/available-plugins", &plugins_list },
	{ HTTP_M_POST, "/api/auth/register", &auth_register },
	{ HTTP_M_POST, "/api/auth/token", &auth_token },
	{ HTTP_M_POST, "/api/auth/login", &auth_login },
	{ HTTP_M_POST, "/api/auth/refresh", &auth_refresh },
	{ HTTP_M_POST, "/api/auth/logout", &auth_logout },
	{ HTTP_M_POST, "/api/auth/change-password", &auth_change_password },
	{ HTTP_M_GET, "/api/auth/me", &auth_me },
	{ HTTP_M_GET, "/api/auth/validate-token", &auth_validate },
	{ HTTP_M_GET, "/__mozaiks/admin/plugins", &operator_plugins },
	{ HTTP_M_GET, "/__mozaiks/admin/plugins/{plugin}", &operator_plugin },
};

static const struct row admin_rows[] = {
	{ HTTP_M_GET, "/livez", &health_livez },
	{ HTTP_M_GET, "/readyz", &health_readyz },
	{ HTTP_M_POST, "/api/execute/{plugin}", &execute_handler },
	{ HTTP_M_POST, "/admin/token", &admin_token },
	{ HTTP_M_GET, "/admin/users", &admin_users },
	{ HTTP_M_POST, "/admin/users", &admin_user_add },
	{ HTTP_M_GET, "/admin/users/{user}", &admin_user },
	{ HTTP_M_POST, "/admin/users/{user}/disable", &admin_user_disable },
	{ HTTP_M_POST, "/admin/users/{user}/enable", &admin_user_enable },
	{ HTTP_M_POST, "/admin/users/{user}/password", &admin_user_password },
	{ HTTP_M_POST, "/admin/users/{user}/roles", &admin_user_roles },
	{ HTTP_M_GET, "/admin/plugins", &admin_plugins },
	{ HTTP_M_GET, "/admin/plugins/{plugin}", &admin_plugin },
	{ HTTP_M_POST, "/admin/plugins/{plugin}/reset", &admin_plugin_reset },
	{ HTTP_M_POST, "/admin/plugins/{plugin}/restart", &admin_plugin_restart },
	{ HTTP_M_POST, "/admin/plugins/{plugin}/enable", &admin_plugin_enable },
	{ HTTP_M_POST, "/admin/plugins/{plugin}/disable", &admin_plugin_disable },
	{ HTTP_M_POST, "/admin/plugins/{plugin}/grant", &admin_plugin_grant },
	{ HTTP_M_POST, "/admin/plugins/{plugin}/revoke", &admin_plugin_revoke },
	{ HTTP_M_POST, "/admin/plugins/refresh", &admin_refresh },
};

static int
make(struct director *d, const struct row *rows, size_t n, struct http_route **ret, size_t *ret_n)
{
	struct http_route *routes = calloc(n, sizeof(*routes));
	if (routes == NULL) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		routes[i] = (struct http_route){
			.method = rows[i].method,
			.pattern = rows[i].pattern,
			.handler = rows[i].handler,
			.owner = d,
		};
	}
	*ret = routes;
	*ret_n = n;
	return 0;
}

int routes_public(struct director *d, struct http_route **ret, size_t *ret_n)
{
	return make(d, public_rows, sizeof(public_rows) / sizeof(public_rows[0]), ret, ret_n);
}

int routes_admin(struct director *d, struct http_route **ret, size_t *ret_n)
{
	return make(d, admin_rows, sizeof(admin_rows) / sizeof(admin_rows[0]), ret, ret_n);
}
