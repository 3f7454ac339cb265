/* SPDX-License-Identifier: ISC */
#include "proxy/xdp_interface.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>

#include "cache/event.h"
#include "cache/memory.h"
#include "proxy/xdp.h"
#include "proxy/xdp_asked.h"

enum { LOOK_S = 2, REASON_MAX = 160 };

struct interface {
	char name[IFNAMSIZ];
	unsigned index;			/* the kernel's; 0: not attached */
	struct bpf_object *object;
	int link;			/* holds the program at the interface; -1: none */
	bool is_generic;		/* it runs where frames have become the kernel's packets */
	int sockets, asked;		/* its maps */
	struct xdp_asked_list now;	/* what `asked` holds */
	struct xdp_queue *queues[XDP_QUEUES_MAX];	/* borrowed from the workers */
	unsigned queue_count;
};

struct xdp_interfaces {
	struct ev_loop *loop;
	ev_timer look;
	const struct conf *conf;	/* the plan's: whose listeners are asked */
	struct interface *all;
	size_t count;
	struct worker *const *workers;
	unsigned worker_count, next_worker;	/* whose turn it is to get a queue */
};

/* The program, compiled: see the Makefile. */
__asm__(".section .rodata\n"
	".balign 8\n"
	"xdp_steer_begin: .incbin \"" XDP_STEER "\"\n"
	"xdp_steer_end:\n"
	".balign 8\n"
	"xdp_steer_len: .quad xdp_steer_end - xdp_steer_begin\n"
	".previous\n");
extern const uint8_t xdp_steer_begin[] __attribute__((visibility("hidden")));
extern const uint64_t xdp_steer_len __attribute__((visibility("hidden")));

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

static void tell_attached(const struct interface *i)
{
	struct event e;

	event_begin(&e, EVENT_NOTICE, "xdp_attached");
	event_text(&e, "interface", i->name);
	event_text(&e, "mode", i->is_generic ? "generic" : "driver");
	event_number(&e, "queues", i->queue_count);
	event_end(&e);
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
	i->object = bpf_object__open_mem(xdp_steer_begin, xdp_steer_len, NULL);
	if (!i->object)
		return -errno;
	if (bpf_object__load(i->object) < 0)
		return -errno;
	i->sockets = bpf_object__find_map_fd_by_name(i->object, "xdp_sockets");
	i->asked = bpf_object__find_map_fd_by_name(i->object, "xdp_asked");
	return i->sockets < 0 ? i->sockets : i->asked < 0 ? i->asked : 0;
}

static int attach_as(struct interface *i, bool is_generic)
{
	struct bpf_program *program = bpf_object__find_program_by_name(i->object, "xdp_steer");
	struct bpf_link_create_opts options = {
		.sz = sizeof(options), .flags = is_generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE,
	};

	i->is_generic = is_generic;
	i->link = bpf_link_create(bpf_program__fd(program), (int)i->index, BPF_XDP, &options);
	return i->link >= 0 ? 0 : -errno;
}

/* In the driver if it can. */
static int attach(struct interface *i)
{
	int result = attach_as(i, false);

	return result == 0 || result == -EBUSY || result == -EEXIST ? result : attach_as(i, true);
}

/* False: it cannot be told, or not now. */
static bool ask_kernel(const char *name, unsigned long what, struct ifreq *request)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool is_told;

	if (fd < 0)
		return false;
	memcpy(request->ifr_name, name, IFNAMSIZ);
	is_told = ioctl(fd, what, request) == 0;
	close(fd);
	return is_told;
}

/* A driver that does not tell has one. */
static unsigned queues_of(const char *name)
{
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };
	struct ifreq request = { .ifr_data = (char *)&channels };
	unsigned count = 0;

	if (ask_kernel(name, SIOCETHTOOL, &request))
		count = channels.rx_count + channels.combined_count;
	return count == 0 ? 1 : count > XDP_QUEUES_MAX ? XDP_QUEUES_MAX : count;
}

/* A socket for one of its queues, to the worker whose turn it is. */
static bool give_queue(struct xdp_interfaces *x, struct interface *i, uint32_t queue)
{
	struct xdp_queue *q = xdp_queue_open(i->name, queue, i->is_generic);
	int fd = q ? xdp_queue_fd(q) : -1;

	if (!q || bpf_map_update_elem(i->sockets, &queue, &fd, BPF_ANY) < 0) {
		tell_error(i, "a socket for one of its queues", errno);
		xdp_queue_close(q);
		return false;
	}
	if (!worker_take_queue(x->workers[x->next_worker], q)) {
		bpf_map_delete_elem(i->sockets, &queue);
		xdp_queue_close(q);
		tell_failed(i, "the workers have as many queues as they can: fewer (ethtool -L), or more "
			       "workers");
		return false;
	}
	x->next_worker = (x->next_worker + 1) % x->worker_count;
	i->queues[i->queue_count++] = q;
	return true;
}

static void open_one(struct xdp_interfaces *x, struct interface *i)
{
	const char *step = "loading the program";
	unsigned queues;
	int result;

	i->index = if_nametoindex(i->name);
	if (i->index == 0) {
		tell_error(i, "looking for it", errno);
		return;
	}
	result = load(i);
	if (result == 0) {
		step = "attaching the program";
		result = attach(i);
	}
	if (result < 0)
		tell_error(i, step, -result);
	queues = result < 0 ? 0 : queues_of(i->name);
	while (i->queue_count < queues && give_queue(x, i, i->queue_count))
		;
	if (i->queue_count == 0)
		detach(i);
	else
		tell_attached(i);
}

/* ---- What changes about it ---- */

static void publish(struct interface *i, const struct xdp_asked_list *l)
{
	static const uint8_t yes = 1;

	for (size_t n = 0; n < i->now.count; n++)
		if (!xdp_asked_has(l, &i->now.list[n]))
			bpf_map_delete_elem(i->asked, &i->now.list[n]);
	for (size_t n = 0; n < l->count; n++)
		if (!xdp_asked_has(&i->now, &l->list[n]))
			bpf_map_update_elem(i->asked, &l->list[n], &yes, BPF_ANY);
	i->now = *l;
}

/* Who has no descriptor left cannot look, and it may be there. */
static bool is_gone(const struct interface *i)
{
	unsigned index = if_nametoindex(i->name);

	return index == 0 ? errno == ENODEV : index != i->index;
}

static void look(struct interface *i, const struct xdp_asked_list *l)
{
	struct ifreq request = { .ifr_mtu = 0 };
	bool has_mtu;

	if (i->index == 0)
		return;
	if (is_gone(i)) {
		detach(i);
		tell_failed(i, "the interface is gone: when it is back, a restart takes it up again");
		return;
	}
	has_mtu = ask_kernel(i->name, SIOCGIFMTU, &request);
	for (unsigned n = 0; has_mtu && n < i->queue_count; n++)
		xdp_queue_set_mtu(i->queues[n], (unsigned)request.ifr_mtu);
	if (l)
		publish(i, l);
}

/* ---- All of them ---- */

static void on_look(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct xdp_interfaces *x = timer->data;
	struct xdp_asked_list *l = memory_zeroed(1, sizeof(*l));
	bool is_found = xdp_asked_find(l, x->conf);

	(void)loop;
	(void)revents;
	for (size_t n = 0; n < x->count; n++)
		look(&x->all[n], is_found ? l : NULL);
	free(l);
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
	x->workers = workers;
	x->worker_count = worker_count;
	x->count = conf->listen_xdp.count;
	x->all = memory_zeroed(x->count, sizeof(*x->all));
	for (size_t i = 0; i < x->count; i++) {
		memcpy(x->all[i].name, conf->listen_xdp.name[i], IFNAMSIZ);
		x->all[i].link = -1;
		open_one(x, &x->all[i]);
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
