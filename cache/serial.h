/* SPDX-License-Identifier: ISC */
/* serial - zone serials compare on a circle: RFC 1982. */
#ifndef SERIAL_H
#define SERIAL_H

#include <stdbool.h>
#include <stdint.h>

/* True when `a` comes after `b`. At distance 2^31 the RFC leaves it open: false. */
static inline bool serial_is_newer(uint32_t a, uint32_t b)
{
	uint32_t ahead = a - b;

	return ahead != 0 && ahead < 0x80000000u;
}

#endif
