/* SPDX-License-Identifier: ISC */
#include "proxy/xdp_interface.h"

#include <errno.h>
#include <ifaddrs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/if_vlan.h>
#include <linux/sockios.h>

#include "cache/event.h"
#include "cache/memory.h"
#include "proxy/xdp.h"
#include "proxy/xdp_maps.h"

enum { LOOK_S = 2, REASON_MAX = 160 };

struct interface {
	char name[IFNAMSIZ];
	unsigned index;			/* the kernel's; 0: not attached */
	struct bpf_object *object;
	int link;			/* holds the program at the interface; -1: none */
	int sockets, asked;		/* its maps */
	struct xdp_asked now[XDP_ASKED_MAX];	/* what `asked` holds */
	size_t now_count;
};

struct xdp_interfaces {
	struct ev_loop *loop;
	ev_timer look;
	const struct conf *conf;	/* the plan's: whose listeners are asked */
	struct interface *all;
	size_t count;
};

/* The program, compiled: see the Makefile. */
__asm__(".section .rodata\n"
	".balign 8\n"
	"xdp_steer_begin: .incbin \"" XDP_STEER "\"\n"
	"xdp_steer_end:\n"
	".previous\n");
extern const uint8_t xdp_steer_begin[] __attribute__((visibility("hidden")));
extern const uint8_t xdp_steer_end[] __attribute__((visibility("hidden")));

/* ---- Events ---- */

static void tell_failed(const struct interface *i, const char *reason)
{
	struct event e;

	event_begin(&e, EVENT_WARNING, "xdp_failed");
	event_text(&e, "interface", i->name);
	event_text(&e, "reason", reason);
	event_end(&e);
}

static const char *mend_of(int error)
{
	switch (error) {
	case EPERM:
	case EACCES:	return ": CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF are needed";
	case EEXIST:
	case EBUSY:	return ": another program uses its XDP, see `ip link`";
	case ENOBUFS:	return ": LimitMEMLOCK is too small for it";
	case ENODEV:	return ": there is no such interface, see `ip link`";
	default:	return "";
	}
}

static void tell_error(const struct interface *i, const char *step, int error)
{
	char reason[REASON_MAX];

	snprintf(reason, sizeof(reason), "%s: %s%s", step, strerror(error), mend_of(error));
	tell_failed(i, reason);
}

static void tell_attached(const struct interface *i, const char *mode, unsigned queues)
{
	struct event e;

	event_begin(&e, EVENT_NOTICE, "xdp_attached");
	event_text(&e, "interface", i->name);
	event_text(&e, "mode", mode);
	event_number(&e, "queues", queues);
	event_end(&e);
}

/* ---- Which addresses are ours ---- */

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

struct asked_list { struct xdp_asked *list; size_t count; };

static bool has(const struct xdp_asked *list, size_t count, const struct xdp_asked *a)
{
	for (size_t i = 0; i < count; i++)
		if (memcmp(&list[i], a, sizeof(*a)) == 0)
			return true;
	return false;
}

/* Who asks there has no address that frames could go to. */
static bool is_loopback(const struct xdp_asked *a)
{
	static const uint8_t v6[16] = { [15] = 1 };

	return a->family == XDP_ASKED_V4 ? a->address[0] == 127 : memcmp(a->address, v6, 16) == 0;
}

static void add_asked(struct asked_list *l, const struct sockaddr *sa, uint16_t port)
{
	struct xdp_asked a = { .port = port };

	if (sa->sa_family == AF_INET) {
		a.family = XDP_ASKED_V4;
		memcpy(a.address, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
	} else {
		a.family = XDP_ASKED_V6;
		memcpy(a.address, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
	}
	if (l->count < XDP_ASKED_MAX && !is_loopback(&a) && !has(l->list, l->count, &a))
		l->list[l->count++] = a;
}

/* Cards take the tag out of a frame, and its answer would go back without it. */
static bool is_vlan(int fd, const char *interface)
{
	struct vlan_ioctl_args request = { .cmd = GET_VLAN_REALDEV_NAME_CMD };

	snprintf(request.device1, sizeof(request.device1), "%s", interface);
	return ioctl(fd, SIOCGIFVLAN, &request) == 0;
}

/* A listener to all addresses is one to each that this machine has, and to none that it has not. */
static void gather(const struct conf *conf, struct asked_list *l)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifaddrs *own = NULL;

	if (fd < 0 || getifaddrs(&own) < 0)
		own = NULL;
	for (const struct ifaddrs *o = own; o; o = o->ifa_next)
		for (size_t i = 0; i < conf->listen_count; i++)
			if (o->ifa_addr && is_listening(&conf->listen[i], o->ifa_addr) &&
			    !is_vlan(fd, o->ifa_name))
				add_asked(l, o->ifa_addr, address_port(&conf->listen[i]));
	if (own)
		freeifaddrs(own);
	if (fd >= 0)
		close(fd);
}

static void publish(struct interface *i, const struct asked_list *l)
{
	static const uint8_t yes = 1;

	for (size_t n = 0; n < i->now_count; n++)
		if (!has(l->list, l->count, &i->now[n]))
			bpf_map_delete_elem(i->asked, &i->now[n]);
	for (size_t n = 0; n < l->count; n++)
		if (!has(i->now, i->now_count, &l->list[n]))
			bpf_map_update_elem(i->asked, &l->list[n], &yes, BPF_ANY);
	memcpy(i->now, l->list, l->count * sizeof(*l->list));
	i->now_count = l->count;
}

/* ---- An interface ---- */

static void detach(struct interface *i)
{
	if (i->link >= 0)
		close(i->link);
	if (i->object)
		bpf_object__close(i->object);
	i->link = -1;
	i->object = NULL;
	i->index = 0;
}

static int load(struct interface *i)
{
	i->object = bpf_object__open_mem(xdp_steer_begin, (size_t)(xdp_steer_end - xdp_steer_begin),
					 NULL);
	if (!i->object)
		return -errno;
	if (bpf_object__load(i->object) < 0)
		return -errno;
	i->sockets = bpf_object__find_map_fd_by_name(i->object, "xdp_sockets");
	i->asked = bpf_object__find_map_fd_by_name(i->object, "xdp_asked");
	return i->sockets < 0 ? i->sockets : i->asked < 0 ? i->asked : 0;
}

/* In the driver if it can, else where frames have become the kernel's packets already. */
static int attach(struct interface *i, const char **mode)
{
	struct bpf_program *program = bpf_object__find_program_by_name(i->object, "xdp_steer");
	struct bpf_link_create_opts options = { .sz = sizeof(options), .flags = XDP_FLAGS_DRV_MODE };

	*mode = "driver";
	i->link = bpf_link_create(bpf_program__fd(program), (int)i->index, BPF_XDP, &options);
	if (i->link >= 0 || errno == EBUSY || errno == EEXIST)
		return i->link >= 0 ? 0 : -errno;
	*mode = "generic";
	options.flags = XDP_FLAGS_SKB_MODE;
	i->link = bpf_link_create(bpf_program__fd(program), (int)i->index, BPF_XDP, &options);
	return i->link >= 0 ? 0 : -errno;
}

/* A driver that does not tell has one. */
static unsigned queues_of(const char *name)
{
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };
	struct ifreq request = { .ifr_data = (char *)&channels };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	unsigned count = 0;

	memcpy(request.ifr_name, name, IFNAMSIZ);
	if (fd >= 0 && ioctl(fd, SIOCETHTOOL, &request) == 0)
		count = channels.rx_count + channels.combined_count;
	if (fd >= 0)
		close(fd);
	return count == 0 ? 1 : count > XDP_QUEUES_MAX ? XDP_QUEUES_MAX : count;
}

/* A socket for each queue that has one to give, to the workers in turn. How many. */
static unsigned give_queues(struct interface *i, struct worker *const *workers, unsigned count)
{
	unsigned queues = queues_of(i->name), given = 0;

	for (uint32_t n = 0; n < queues; n++) {
		struct xdp_queue *q = xdp_queue_open(i->name, n);
		int fd = q ? xdp_queue_fd(q) : -1;

		if (!q || bpf_map_update_elem(i->sockets, &n, &fd, BPF_ANY) < 0) {
			tell_error(i, "a socket for one of its queues", errno);
			xdp_queue_close(q);
			break;
		}
		if (!worker_take_queue(workers[given % count], q)) {
			bpf_map_delete_elem(i->sockets, &n);
			xdp_queue_close(q);
			break;
		}
		given++;
	}
	return given;
}

static void open_one(struct interface *i, struct worker *const *workers, unsigned count)
{
	const char *step = "loading the program", *mode;
	unsigned queues;
	int result;

	i->index = if_nametoindex(i->name);
	if (i->index == 0) {
		tell_error(i, "looking for it", ENODEV);
		return;
	}
	result = load(i);
	if (result == 0) {
		step = "attaching the program";
		result = attach(i, &mode);
	}
	queues = result == 0 ? give_queues(i, workers, count) : 0;
	if (result < 0)
		tell_error(i, step, -result);
	if (queues == 0) {
		detach(i);
		return;
	}
	tell_attached(i, mode, queues);
}

/* ---- All of them ---- */

static void on_look(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct xdp_interfaces *x = timer->data;
	struct asked_list l = { .list = memory_zeroed(XDP_ASKED_MAX, sizeof(*l.list)) };

	(void)loop;
	(void)revents;
	gather(x->conf, &l);
	for (size_t n = 0; n < x->count; n++) {
		struct interface *i = &x->all[n];

		if (i->index != 0 && if_nametoindex(i->name) != i->index) {
			detach(i);
			tell_failed(i, "the interface is gone: when it is back, a restart takes it up "
				       "again");
		}
		if (i->index != 0)
			publish(i, &l);
	}
	free(l.list);
}

void xdp_interfaces_listen(struct xdp_interfaces *x, const struct conf *conf)
{
	if (!x)
		return;
	x->conf = conf;
	on_look(x->loop, &x->look, 0);
}

static int be_silent(enum libbpf_print_level level, const char *format, va_list arguments)
{
	(void)level, (void)format, (void)arguments;
	return 0;
}

struct xdp_interfaces *xdp_interfaces_open(struct ev_loop *loop, const struct conf *conf,
					   struct worker *const *workers, unsigned worker_count)
{
	struct xdp_interfaces *x;

	if (conf->listen_xdp.count == 0)
		return NULL;
	libbpf_set_print(be_silent);
	x = memory_zeroed(1, sizeof(*x));
	x->loop = loop;
	x->count = conf->listen_xdp.count;
	x->all = memory_zeroed(x->count, sizeof(*x->all));
	for (size_t i = 0; i < x->count; i++) {
		memcpy(x->all[i].name, conf->listen_xdp.name[i], IFNAMSIZ);
		x->all[i].link = -1;
		open_one(&x->all[i], workers, worker_count);
	}
	ev_timer_init(&x->look, on_look, LOOK_S, LOOK_S);
	x->look.data = x;
	ev_timer_start(loop, &x->look);
	xdp_interfaces_listen(x, conf);
	return x;
}

void xdp_interfaces_close(struct xdp_interfaces *x)
{
	if (!x)
		return;
	ev_timer_stop(x->loop, &x->look);
	for (size_t i = 0; i < x->count; i++)
		detach(&x->all[i]);
	free(x->all);
	free(x);
}
