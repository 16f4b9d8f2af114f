/* frames.c: bytes -> packets -> their handlers. The order of the checks is what a client sees (section "framing" of
 * docs/compatibility.md), so it stands in one place: next() looks at the fixed header, mq_frames hands out whole packets.
 */
#include "batch.h"
#include "callbacks.h"
#include "conn.h"
#include "inbound.h"
#include "session.h"
#include "wire.h"

/* Fixed limits in bytes, whatever max_packet_size says. */
#define LARGE_MAX 100000u
#define SMALL_MAX 10000u

#define FROM_CLIENT (1u << MQ_SERVER)
#define FROM_SERVER (1u << MQ_CLIENT)
#define FROM_BOTH (FROM_CLIENT | FROM_SERVER)

/* What the fixed header alone decides, by packet type. */
typedef struct {
	int32_t exact3, exact5; /* remaining length must be this in v3 / v5; -1: any */
	uint32_t max3, max5;    /* from a client: whole packet at most this long in v3 / v5; 0: no limit of its own */
	uint8_t roles;          /* who takes it, by role */
} shape;

static const shape shapes[16] = {
	[MQ_CONNECT] = {-1, -1, LARGE_MAX, LARGE_MAX, FROM_CLIENT},
	[MQ_CONNACK] = {-1, -1, 0, 0, FROM_SERVER},
	[MQ_PUBLISH] = {-1, -1, 0, 0, FROM_BOTH},
	[MQ_PUBACK] = {2, -1, 0, SMALL_MAX, FROM_BOTH},
	[MQ_PUBREC] = {2, -1, 0, SMALL_MAX, FROM_BOTH},
	[MQ_PUBREL] = {2, -1, 0, SMALL_MAX, FROM_BOTH},
	[MQ_PUBCOMP] = {2, -1, 0, SMALL_MAX, FROM_BOTH},
	[MQ_SUBSCRIBE] = {-1, -1, 0, LARGE_MAX, FROM_CLIENT},
	[MQ_SUBACK] = {-1, -1, 0, 0, FROM_SERVER},
	[MQ_UNSUBSCRIBE] = {-1, -1, 0, LARGE_MAX, FROM_CLIENT},
	[MQ_UNSUBACK] = {2, -1, 0, SMALL_MAX, FROM_SERVER},
	[MQ_PINGREQ] = {0, 0, 0, 0, FROM_CLIENT},
	[MQ_PINGRESP] = {0, 0, 0, 0, FROM_SERVER},
	[MQ_DISCONNECT] = {0, -1, 0, SMALL_MAX, FROM_BOTH},
	[MQ_AUTH] = {-1, -1, LARGE_MAX, LARGE_MAX, FROM_BOTH},
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
	if (max && total > max && c->role == MQ_SERVER) return MQ_OVERSIZE_FIXED;
	max = c->role == MQ_SERVER ? c->core->options.max_packet_size : mq_client_of(c)->max_packet;
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

int mq_hand_up(mq_conn *c, uint8_t first, const uint8_t *body, uint32_t n) {
	if (c->hand_up && mq_batch_flush(c)) return MQ_STOPPED;
	if (c->state == MQ_STATE_CLOSED || c->ended) return MQ_STOPPED;
	return mq_on_packet(c->core->user, c->owner, first, body, n) ? MQ_STOPPED : MQ_OK;
}

static int handle(mq_conn *c, uint8_t first, uint8_t *body, uint32_t n) {
	switch (first >> 4) {
	case MQ_PUBLISH: return mq_in_publish(c, first, body, n);
	case MQ_PUBACK:
	case MQ_PUBREC:
	case MQ_PUBREL:
	case MQ_PUBCOMP: return mq_in_ack(c, first, body, n);
	default: break;
	}
	if (!(shapes[first >> 4].roles & 1u << c->role)) return mq_fault(c->core, MQ_NOT_FROM_CLIENT, first >> 4, 0, 0);
	return first >> 4 == MQ_PINGREQ ? ping(c, first) : mq_hand_up(c, first, body, n);
}

static int walk(mq_conn *c, uint8_t *data, size_t n, size_t *used) {
	frame f = {0};
	int status = MQ_OK;
	while (!c->ended && (status = next(c, data + *used, n - *used, &f)) == MQ_OK) {
		uint8_t *p = data + *used;
		*used += f.head + f.remaining;
		c->core->stats.messages_received++;
		c->last_in = (int32_t)c->core->mono;
		status = handle(c, p[0], p + f.head, f.remaining);
		if (c->state == MQ_STATE_CLOSED) return MQ_STOPPED;
		if (!status && c->hand_up && mq_batch_ripe(c) && mq_batch_flush(c)) status = MQ_STOPPED;
		if (status) {
			c->in_total = 0;
			return status;
		}
	}
	c->in_total = f.head ? f.head + f.remaining : 0;
	return status == MQ_NONE ? MQ_OK : status;
}

int mq_frames(mq_conn *c, uint8_t *data, size_t n, size_t *used) {
	int status = walk(c, data, n, used);
	if (c->hand_up && mq_batch_flush(c) && status == MQ_OK) status = MQ_STOPPED;
	if (c->ended) *used = n;
	return c->state == MQ_STATE_CLOSED ? MQ_STOPPED : status;
}
