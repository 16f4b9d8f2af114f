/* frames.c: bytes -> packets -> their handlers. The order of the checks is what a client sees (section "framing" of
 * docs/compatibility.md), so it stands in one place: next() looks at the fixed header, mq_frames hands out whole packets.
 */
#include "callbacks.h"
#include "conn.h"
#include "inbound.h"
#include "session.h"
#include "wire.h"

/* Fixed limits in bytes, whatever max_packet_size says. */
#define LARGE_MAX 100000u
#define SMALL_MAX 10000u

/* What the fixed header alone decides, by packet type. */
typedef struct {
	int32_t exact3, exact5; /* remaining length must be this in v3 / v5; -1: any */
	uint32_t max3, max5;    /* whole packet at most this long in v3 / v5; 0: no limit of its own */
} shape;

static const shape shapes[16] = {
	[MQ_CONNECT] = {-1, -1, LARGE_MAX, LARGE_MAX},
	[MQ_CONNACK] = {-1, -1, 0, 0},
	[MQ_PUBLISH] = {-1, -1, 0, 0},
	[MQ_PUBACK] = {2, -1, 0, SMALL_MAX},
	[MQ_PUBREC] = {2, -1, 0, SMALL_MAX},
	[MQ_PUBREL] = {2, -1, 0, SMALL_MAX},
	[MQ_PUBCOMP] = {2, -1, 0, SMALL_MAX},
	[MQ_SUBSCRIBE] = {-1, -1, 0, LARGE_MAX},
	[MQ_SUBACK] = {-1, -1, 0, 0},
	[MQ_UNSUBSCRIBE] = {-1, -1, 0, LARGE_MAX},
	[MQ_UNSUBACK] = {2, -1, 0, SMALL_MAX},
	[MQ_PINGREQ] = {0, 0, 0, 0},
	[MQ_PINGRESP] = {0, 0, 0, 0},
	[MQ_DISCONNECT] = {0, -1, 0, SMALL_MAX},
	[MQ_AUTH] = {-1, -1, LARGE_MAX, LARGE_MAX},
};

typedef struct {
	uint32_t head, remaining; /* bytes of the fixed header, and after it */
} frame;

static int check_length(const mq_conn *c, uint8_t first, frame f) {
	const shape *s = &shapes[first >> 4];
	int v5 = c->terms.version == 5;
	int32_t exact = v5 ? s->exact5 : s->exact3;
	uint32_t max = v5 ? s->max5 : s->max3, total = f.head + f.remaining;
	if (exact >= 0 && f.remaining != (uint32_t)exact) return MQ_LENGTH;
	if (max && total > max) return MQ_OVERSIZE_FIXED;
	max = c->core->options.max_packet_size;
	return max && total > max ? MQ_OVERSIZE : MQ_OK;
}

/* The frame at p. MQ_NONE: not enough bytes yet (f->remaining is known when f->head is not 0). */
static int next(mq_conn *c, const uint8_t *p, size_t n, frame *f) {
	*f = (frame){0};
	if (n == 0) return MQ_NONE;
	if (c->state == MQ_STATE_NEW && p[0] >> 4 != MQ_CONNECT) return mq_fault(c->core, MQ_NOT_CONNECT, p[0], 0, 0);
	if (p[0] >> 4 == 0) return MQ_RESERVED;
	int used = mq_varint_get(p + 1, n - 1, &f->remaining);
	if (used < 0) return MQ_LENGTH;
	if (used == 0) return MQ_NONE;
	f->head = 1 + (uint32_t)used;
	int status = check_length(c, p[0], *f);
	if (status) return status;
	return n - f->head < f->remaining ? MQ_NONE : MQ_OK;
}

static int ping(mq_conn *c, uint8_t first) {
	static const uint8_t pong[2] = {0xD0, 0};
	if (c->core->trace) mq_trace_in(c, first, 0, 0);
	if (c->state != MQ_STATE_ACTIVE) return mq_fault(c->core, MQ_NOT_ACTIVE, MQ_PINGREQ, 0, 0);
	if (first & 0x0F) return MQ_MALFORMED;
	if (c->core->trace) mq_trace_out(c, pong[0], 0, 0);
	return mq_conn_send(c, pong, sizeof pong);
}

static int handle(mq_conn *c, uint8_t first, uint8_t *body, uint32_t n) {
	switch (first >> 4) {
	case MQ_PUBLISH: return mq_in_publish(c, first, body, n);
	case MQ_PUBACK:
	case MQ_PUBREC:
	case MQ_PUBREL:
	case MQ_PUBCOMP: return mq_in_ack(c, first, body, n);
	case MQ_PINGREQ: return ping(c, first);
	case MQ_CONNACK:
	case MQ_SUBACK:
	case MQ_UNSUBACK:
	case MQ_PINGRESP: return mq_fault(c->core, MQ_NOT_FROM_CLIENT, first >> 4, 0, 0);
	default: return mq_on_packet(c->core->user, c->owner, first, body, n) ? MQ_STOPPED : MQ_OK;
	}
}

int mq_frames(mq_conn *c, uint8_t *data, size_t n, size_t *used) {
	frame f;
	int status;
	while ((status = next(c, data + *used, n - *used, &f)) == MQ_OK) {
		uint8_t *p = data + *used;
		*used += f.head + f.remaining;
		c->core->stats.messages_received++;
		c->last_in = (int32_t)c->core->mono;
		status = handle(c, p[0], p + f.head, f.remaining);
		if (c->state == MQ_STATE_CLOSED) return MQ_STOPPED;
		if (status) {
			c->in_total = 0;
			return status;
		}
	}
	c->in_total = f.head ? f.head + f.remaining : 0;
	return status == MQ_NONE ? MQ_OK : status;
}
