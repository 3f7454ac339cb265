/* SPDX-License-Identifier: ISC */
/*
 * xdp_steer - runs in the kernel, for each frame that an interface of `listen-xdp` receives.
 *
 * Purpose:  UDP to an address and port that we listen on goes to the AF_XDP socket of its receive
 *           queue; everything else, and what has no such socket, takes the kernel's way.
 * Not here: who puts addresses and sockets into the maps (xdp_interface.h); looking at the query
 *           (xdp_frame.h).
 */
#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include "proxy/xdp_maps.h"

enum {
	GROUP = 1,			/* in an Ethernet address: of many stations */
	FRAGMENT = 0x3fff,
	NO_OPTIONS = 5,
	LINK_LOCAL = 0xfe80,
	LINK_LOCAL_MASK = 0xffc0,
};

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, XDP_QUEUES_MAX);
	__type(key, __u32);
	__type(value, __u32);
} xdp_sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, XDP_ASKED_MAX);
	__type(key, struct xdp_asked);
	__type(value, __u8);
} xdp_asked SEC(".maps");

SEC("xdp")
int xdp_steer(struct xdp_md *context)
{
	void *end = (void *)(long)context->data_end;
	struct ethhdr *ethernet = (void *)(long)context->data;
	struct iphdr *v4 = (void *)(ethernet + 1);
	struct ipv6hdr *v6 = (void *)(ethernet + 1);
	struct xdp_asked asked = { 0 };
	struct udphdr *udp;

	/*
	 * What is longer than frames of ours, begins after a VLAN tag, or went to more stations than
	 * ours is no matter of ours. Who asks from a link-local address may do so at a bridge that
	 * this interface is part of: the kernel knows.
	 */
	if ((void *)(ethernet + 1) > end || (void *)ethernet + XDP_FRAME_MAX < end ||
	    (ethernet->h_dest[0] & GROUP))
		return XDP_PASS;
	if ((void *)(v4 + 1) <= end && ethernet->h_proto == bpf_htons(ETH_P_IP)) {
		if (v4->ihl != NO_OPTIONS || v4->protocol != IPPROTO_UDP ||
		    (v4->frag_off & bpf_htons(FRAGMENT)))
			return XDP_PASS;
		udp = (void *)(v4 + 1);
		asked.family = XDP_ASKED_V4;
		__builtin_memcpy(asked.address, &v4->daddr, sizeof(v4->daddr));
	} else if ((void *)(v6 + 1) <= end && ethernet->h_proto == bpf_htons(ETH_P_IPV6)) {
		if (v6->nexthdr != IPPROTO_UDP ||
		    (v6->saddr.s6_addr16[0] & bpf_htons(LINK_LOCAL_MASK)) == bpf_htons(LINK_LOCAL))
			return XDP_PASS;
		udp = (void *)(v6 + 1);
		asked.family = XDP_ASKED_V6;
		__builtin_memcpy(asked.address, &v6->daddr, sizeof(v6->daddr));
	} else {
		return XDP_PASS;
	}
	if ((void *)(udp + 1) > end)
		return XDP_PASS;
	asked.port = bpf_ntohs(udp->dest);
	if (!bpf_map_lookup_elem(&xdp_asked, &asked))
		return XDP_PASS;
	return bpf_redirect_map(&xdp_sockets, context->rx_queue_index, XDP_PASS);
}

char xdp_license[] SEC("license") = "Dual BSD/GPL";
