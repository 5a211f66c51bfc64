#include "common/service/sockets.h"

#include <systemd/sd-daemon.h>

int service_sockets(int *ret_first)
{
	*ret_first = SD_LISTEN_FDS_START;
	return sd_listen_fds(1);
}
