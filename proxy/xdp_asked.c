/* SPDX-License-Identifier: ISC */
#include "proxy/xdp_asked.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/if_vlan.h>
#include <linux/sockios.h>

/* `own`: an address of this machine. */
static bool is_listening(const struct address *a, const struct sockaddr *own)
{
	struct address b = { .len = a->len };

	if (own->sa_family != a->storage.ss_family)
		return false;
	memcpy(&b.storage, own, own->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
							    : sizeof(struct sockaddr_in));
	return address_is_any(a) || address_is_same_host(a, &b);
}

static bool is_left_to_kernel(const struct sockaddr *sa)
{
	const struct in6_addr *v6 = &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
	const struct in_addr *v4 = &((const struct sockaddr_in *)(const void *)sa)->sin_addr;

	if (sa->sa_family == AF_INET)
		return ntohl(v4->s_addr) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET;
	return IN6_IS_ADDR_LOOPBACK(v6) || IN6_IS_ADDR_LINKLOCAL(v6);
}

static bool is_vlan(int fd, const char *interface)
{
	struct vlan_ioctl_args request = { .cmd = GET_VLAN_REALDEV_NAME_CMD };

	snprintf(request.device1, sizeof(request.device1), "%s", interface);
	return ioctl(fd, SIOCGIFVLAN, &request) == 0;
}

static void add(struct xdp_asked_list *l, const struct sockaddr *sa, uint16_t port)
{
	struct xdp_asked a = { .port = port };

	if (l->count == XDP_ASKED_MAX || is_left_to_kernel(sa))
		return;
	if (sa->sa_family == AF_INET) {
		a.family = XDP_ASKED_V4;
		memcpy(a.address, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
	} else {
		a.family = XDP_ASKED_V6;
		memcpy(a.address, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
	}
	l->list[l->count++] = a;
}

static void add_listeners(struct xdp_asked_list *l, const struct conf *conf,
			  const struct sockaddr *own)
{
	for (size_t i = 0; i < conf->listen_count; i++)
		if (is_listening(&conf->listen[i], own))
			add(l, own, address_port(&conf->listen[i]));
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct xdp_asked));
}

bool xdp_asked_find(struct xdp_asked_list *l, const struct conf *conf)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifaddrs *own = NULL;

	if (fd < 0)
		return false;
	if (getifaddrs(&own) < 0) {
		close(fd);
		return false;
	}
	l->count = 0;
	for (const struct ifaddrs *o = own; o; o = o->ifa_next)
		if (o->ifa_addr && !is_vlan(fd, o->ifa_name))
			add_listeners(l, conf, o->ifa_addr);
	qsort(l->list, l->count, sizeof(*l->list), compare);
	freeifaddrs(own);
	close(fd);
	return true;
}

bool xdp_asked_has(const struct xdp_asked_list *l, const struct xdp_asked *a)
{
	return bsearch(a, l->list, l->count, sizeof(*l->list), compare) != NULL;
}
