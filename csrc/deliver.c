#include "deliver.h"
#include <string.h>
#include "callbacks.h"
#include "session.h"
#include "wire.h"

/* A payload of this size is referenced, not copied. */
#define BORROW_MIN 8192
/* Properties the broker adds: expiry (5), alias (3), subscription identifier (5). */
#define ADDED_MAX 13

/* Everything about one PUBLISH that has to be known before its first byte is written. */
typedef struct {
	const uint8_t *topic;
	uint32_t topic_n, properties_n, remaining;
	uint8_t added[ADDED_MAX];
	uint32_t added_n;
	uint16_t alias;
	int fresh;  /* the alias comes with its topic: to be remembered */
	int chosen; /* the publisher chose it */
} plan;

/* The topic as this client knows it: without the mount point. MQ_NONE: it is not below the mount point. */
static int strip(const mq_conn *c, const mq_view *v, plan *p) {
	p->topic = v->topic;
	p->topic_n = v->topic_n;
	if (!c->mount) return MQ_OK;
	if (v->topic_n <= c->mount_n || memcmp(v->topic, c->mount, c->mount_n)) return MQ_NONE;
	p->topic += c->mount_n;
	p->topic_n -= c->mount_n;
	return MQ_OK;
}

/* Towards a server, mq_sending.id is not a subscription's but the alias that the publisher chose. */
static void find_alias(const mq_conn *c, mq_sending how, plan *p) {
	p->chosen = c->role == MQ_CLIENT && how.id;
	if (p->chosen) p->alias = mq_alias_chosen(c, (uint16_t)how.id, p->topic, p->topic_n, &p->fresh);
	else if (c->terms.alias_max_out) p->alias = mq_alias_out(c, p->topic, p->topic_n, &p->fresh);
}

/* The properties after the message's own, in this order: message expiry, topic alias, subscription identifier. */
static void add_properties(const mq_conn *c, const mq_view *v, mq_sending how, plan *p) {
	uint8_t *a = p->added;
	int64_t left = v->expires - c->core->wall;
	if (v->expires && left > 0) {
		*a++ = 0x02;
		a = mq_put32(a, left < UINT32_MAX ? (uint32_t)left : UINT32_MAX - 1); /* more than was asked for: the clock went back */
	}
	find_alias(c, how, p);
	if (p->alias) {
		*a++ = 0x23;
		a = mq_put16(a, p->alias);
	}
	if (how.id && !p->chosen) {
		*a++ = 0x0B;
		a = mq_varint_put(a, how.id);
	}
	p->added_n = (uint32_t)(a - p->added);
	p->properties_n = v->properties_n + p->added_n;
}

static void measure(const mq_conn *c, const mq_view *v, mq_sending how, plan *p) {
	uint32_t topic_n = p->alias && !p->fresh ? 0 : p->topic_n;
	p->remaining = 2 + topic_n + (how.qos ? 2 : 0) + v->payload_n;
	if (c->terms.version == 5) p->remaining += (uint32_t)mq_varint_size(p->properties_n) + p->properties_n;
}

static void trace_sending(const mq_conn *c, const mq_view *v, const plan *p, mq_sending how) {
	uint8_t first = (uint8_t)(0x30 | how.dup << 3 | how.qos << 1 | how.retain);
	uint32_t topic_n = p->chosen && !p->fresh ? 0 : p->topic_n;
	mq_on_trace(c->core->user, 1, c->session->client_id, c->session->client_id_n, first, how.mid, 0, p->topic, topic_n,
		v->payload_n, MQ_TRACE_PLAIN);
}

/* The packet up to its payload. */
static uint8_t *put_head(uint8_t *o, const mq_conn *c, const mq_view *v, mq_sending how, const plan *p) {
	*o++ = (uint8_t)(0x30 | how.dup << 3 | how.qos << 1 | how.retain);
	o = mq_varint_put(o, p->remaining);
	if (p->alias && !p->fresh) {
		o = mq_put16(o, 0);
	} else {
		o = mq_put16(o, (uint16_t)p->topic_n);
		o = mq_put(o, p->topic, p->topic_n);
	}
	if (how.qos) o = mq_put16(o, how.mid);
	if (c->terms.version != 5) return o;
	o = mq_varint_put(o, p->properties_n);
	if (v->properties_n) o = mq_put(o, v->properties, v->properties_n);
	return mq_put(o, p->added, p->added_n);
}

static void count_sent(mq_conn *c, const mq_view *v) {
	c->core->stats.publish_sent++;
	c->core->stats.publish_bytes_sent += v->payload_n;
	mq_conn_touch(c);
	if (c->out.bytes > MQ_FLUSH_EARLY) mq_conn_flush_early(c);
}

static int append(mq_conn *c, mq_view *v, mq_sending how, const plan *p) {
	mq_core *core = c->core;
	int borrow = v->payload_n >= BORROW_MIN && mq_view_keep(core, v);
	size_t head_max = 5 + p->remaining - v->payload_n;
	uint8_t *start = mq_chain_room(core, &c->out, head_max + (borrow ? 0 : v->payload_n));
	if (!start) return MQ_NOMEM;
	/* Nothing may be half written: the chunk that borrows is made before the head counts. */
	uint8_t *o = put_head(start, c, v, how, p);
	if (!borrow) {
		if (v->payload_n) o = mq_put(o, v->payload, v->payload_n);
		mq_chain_add(core, &c->out, (size_t)(o - start), 1);
		return MQ_OK;
	}
	mq_chunk *head = c->out.tail;
	if (mq_chain_borrow(core, &c->out, v->kept, (uint8_t *)(uintptr_t)v->payload, v->payload_n)) return MQ_NOMEM;
	head->end += (uint32_t)(o - start);
	c->out.bytes += (uint64_t)(o - start);
	core->stats.out_bytes += (uint64_t)(o - start);
	mq_chain_add(core, &c->out, v->payload_n, 1);
	return MQ_OK;
}

static void introduce(mq_conn *c, const plan *p) {
	if (p->chosen) mq_alias_choose(c, p->alias, p->topic, p->topic_n);
	else mq_alias_introduce(c, p->topic, p->topic_n);
}

int mq_deliver(mq_conn *c, mq_view *v, mq_sending how) {
	plan p = {0};
	if (c->terms.no_retain) how.retain = 0;
	if (mq_expired(v->expires, c->core->wall) || strip(c, v, &p)) return MQ_NONE;
	if (c->terms.version == 5) add_properties(c, v, how, &p);
	measure(c, v, how, &p);
	if (c->core->trace) trace_sending(c, v, &p, how);
	/* What is added on the way out may make it longer than any packet can be. */
	if (p.remaining > MQ_VARINT_MAX ||
		(c->terms.max_packet_out && 1 + mq_varint_size(p.remaining) + p.remaining > c->terms.max_packet_out)) {
		mq_on_notice(c->core->user, MQ_NOTICE_TOO_LARGE, c->session->client_id, c->session->client_id_n, p.remaining);
		return MQ_NONE;
	}
	int status = append(c, v, how, &p);
	if (status) return status;
	/* Only what is on its way may be remembered; without memory for that, the next topic replaces this one at the client. */
	if (p.fresh) introduce(c, &p);
	count_sent(c, v);
	return MQ_OK;
}

/* ---- frames shared by receivers ---- */

static int shareable(const mq_conn *c, const mq_view *v, mq_sending how) {
	return c->plain && !how.id && !c->core->trace && v->topic_n + v->properties_n + v->payload_n + 32 <= MQ_FRAME_MAX;
}

static uint32_t encode(uint8_t *to, const mq_conn *c, const mq_view *v, mq_sending how) {
	plan p = {.topic = v->topic, .topic_n = v->topic_n};
	if (c->terms.version == 5) add_properties(c, v, how, &p);
	measure(c, v, how, &p);
	uint8_t *o = put_head(to, c, v, how, &p);
	if (v->payload_n) o = mq_put(o, v->payload, v->payload_n);
	return (uint32_t)(o - to);
}

int mq_deliver_shared(mq_conn *c, mq_shared *shared, mq_view *v, mq_sending how) {
	mq_core *core = c->core;
	if (c->terms.no_retain) how.retain = 0;
	int i = (c->terms.version == 5) * 2 + how.retain;
	if (!shared->once[i] || !shareable(c, v, how)) {
		shared->once[i] = 1;
		return mq_deliver(c, v, how);
	}
	if (mq_expired(v->expires, core->wall)) return MQ_NONE;
	if (!shared->n[i]) shared->n[i] = encode(core->frames[i], c, v, how);
	uint8_t *o = mq_chain_room(core, &c->out, shared->n[i]);
	if (!o) return MQ_NOMEM;
	memcpy(o, core->frames[i], shared->n[i]);
	mq_chain_add(core, &c->out, shared->n[i], 1);
	count_sent(c, v);
	return MQ_OK;
}
