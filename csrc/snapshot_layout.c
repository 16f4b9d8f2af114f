/* snapshot_layout.c: see snapshot_layout.h.
 *
 * Theory of operation. A cursor goes over the body. What is not there reads as zero, and the first flaw is remembered, so that the
 * code that lists the fields of a chunk has no branches; afterwards the length says whether all was there, and nothing else.
 */
#include "snapshot_layout.h"
#include <string.h>
#include "wire.h"

#define ID_SIZE 8

/* ---- fields ---------------------------------------------------------------------------------------------------------- */

typedef struct cursor {
	const uint8_t *p, *end;
	uint64_t wanted; /* what the fields so far add up to, also those that are not there */
	int version;
	mq_body *body;
} cursor;

static const uint8_t zeros[ID_SIZE];

/* What is not there is no value that could be wrong. */
static void fail(cursor *c, int why, const uint8_t *at, uint64_t value, uint64_t wanted) {
	if (at != zeros) mq_body_flaw(c->body, why, at, value, wanted);
}

static const uint8_t *take(cursor *c, size_t n) {
	const uint8_t *p = c->p;
	c->wanted += n;
	if ((size_t)(c->end - c->p) < n) {
		c->p = c->end;
		return n <= sizeof zeros ? zeros : NULL;
	}
	c->p += n;
	return p;
}

static uint8_t take8(cursor *c) { return *take(c, 1); }
static uint16_t take16(cursor *c) { return mq_get16(take(c, 2)); }
static uint32_t take32(cursor *c) {
	uint32_t high = take16(c);
	return high << 16 | take16(c);
}
/* In the byte order of the machine. */
static uint64_t take64(cursor *c) {
	uint64_t v;
	memcpy(&v, take(c, 8), sizeof v);
	return v;
}

static uint8_t take_most(cursor *c, uint8_t most) {
	const uint8_t *at = take(c, 1);
	if (*at > most) fail(c, MQ_BAD_VALUE, at, *at, most);
	return *at;
}

static uint8_t take_qos(cursor *c) { return take_most(c, 2); }

static uint8_t take_stage(cursor *c) {
	const uint8_t *at = take(c, 1);
	if (!*at || *at > MQ_STAGE_QUEUED) fail(c, MQ_BAD_VALUE, at, *at, MQ_STAGE_QUEUED);
	return *at;
}

static void take_id_size(cursor *c) {
	const uint8_t *at = take(c, 1);
	if (*at != ID_SIZE) fail(c, MQ_BAD_ID_SIZE, at, *at, ID_SIZE);
}

static uint32_t take_payload_n(cursor *c) {
	const uint8_t *at = c->p;
	uint32_t n = take32(c);
	if (n > MQ_VARINT_MAX) fail(c, MQ_BAD_PAYLOAD, at, n, MQ_VARINT_MAX);
	return n;
}

/* A string of a length that was read before, or whose length is in front. NULL: it is not there or empty. */
static const uint8_t *take_string(cursor *c, uint32_t n) {
	const uint8_t *p = take(c, n);
	return n ? p : NULL;
}
static const uint8_t *take_counted(cursor *c, uint16_t *n) {
	*n = take16(c);
	return take_string(c, *n);
}

/* ---- chunks ---------------------------------------------------------------------------------------------------------- */

typedef void layout(cursor *c, mq_body *b);

static void take_properties(cursor *c, mq_body *b) {
	b->properties_n = (uint32_t)(c->end - c->p);
	b->properties = take(c, b->properties_n);
}

static void cfg_5(cursor *c, mq_body *b) {
	b->id = take64(c);
	take8(c); /* was it written at exit? */
	take_id_size(c);
	take(c, 6);
}

static void base_msg_5(cursor *c, mq_body *b) {
	mq_record *m = &b->message;
	m->id = take64(c);
	m->expires = (int64_t)take64(c);
	m->payload_n = take_payload_n(c);
	m->mid = take16(c);
	m->client_id_n = take16(c);
	m->username_n = take16(c);
	m->topic_n = take16(c);
	m->port = take16(c);
	m->qos = take_qos(c);
	m->retain = take8(c) != 0;
	m->client_id = take_string(c, m->client_id_n);
	m->username = take_string(c, m->username_n);
	m->topic = take_string(c, m->topic_n);
	m->payload = take_string(c, m->payload_n);
	take_properties(c, b);
}

static void client_msg_5(cursor *c, mq_body *b) {
	mq_delivery *p = &b->delivery;
	p->message = take64(c);
	p->mid = take16(c);
	b->client_id_n = take16(c);
	p->qos = take_qos(c);
	p->stage = take_stage(c);
	uint8_t flags = take8(c);
	p->retain = flags >> 4 != 0;
	p->dup = (flags & 0x0F) != 0;
	p->incoming = !take_most(c, 1);
	b->client_id = take_string(c, b->client_id_n);
	take_properties(c, b);
}

static void retain_any(cursor *c, mq_body *b) { b->id = take64(c); }

static void sub_5(cursor *c, mq_body *b) {
	const uint8_t *at = c->p;
	b->subscription_id = take32(c);
	if (b->subscription_id > MQ_VARINT_MAX) fail(c, MQ_BAD_VALUE, at, b->subscription_id, MQ_VARINT_MAX);
	b->client_id_n = take16(c);
	b->filter_n = take16(c);
	b->options = take_qos(c);
	b->options |= take8(c) & 0x3C;
	take16(c);
	b->client_id = take_string(c, b->client_id_n);
	b->filter = take_string(c, b->filter_n);
}

static void client_5(cursor *c, mq_body *b) {
	b->expires = (int64_t)take64(c);
	b->interval = take32(c);
	b->last_mid = take16(c);
	b->client_id_n = take16(c);
	if (c->version > 5) {
		b->port = take16(c);
		b->username_n = take16(c);
		take32(c);
	}
	b->client_id = take_string(c, b->client_id_n);
	b->username = take_string(c, b->username_n);
}

static void cfg_2(cursor *c, mq_body *b) {
	take8(c);
	take_id_size(c);
	b->id = take64(c);
}

static void base_msg_2(cursor *c, mq_body *b) {
	mq_record *m = &b->message;
	uint16_t topic_n;
	m->id = take64(c);
	m->client_id = take_counted(c, &m->client_id_n);
	if (c->version > 3) {
		m->username = take_counted(c, &m->username_n);
		m->port = take16(c);
	}
	m->mid = take16(c);
	take16(c);
	m->topic = take_counted(c, &topic_n);
	m->topic_n = topic_n;
	m->qos = take_qos(c);
	m->retain = take8(c) != 0;
	m->payload_n = take_payload_n(c);
	m->payload = take_string(c, m->payload_n);
}

static void client_msg_2(cursor *c, mq_body *b) {
	mq_delivery *p = &b->delivery;
	b->client_id = take_counted(c, &b->client_id_n);
	p->message = take64(c);
	p->mid = take16(c);
	p->qos = take_qos(c);
	p->retain = take8(c) != 0;
	p->incoming = !take_most(c, 1);
	p->stage = take_stage(c);
	p->dup = take8(c) != 0;
}

static void sub_2(cursor *c, mq_body *b) {
	b->client_id = take_counted(c, &b->client_id_n);
	b->filter = take_counted(c, &b->filter_n);
	b->options = take_qos(c);
}

/* The time of the disconnect is as wide as time_t was where the file was written. */
static void client_2(cursor *c, mq_body *b) {
	b->client_id = take_counted(c, &b->client_id_n);
	b->last_mid = take16(c);
	if (c->version > 2) take(c, c->end - c->p == 4 ? 4 : 8);
	b->interval = UINT32_MAX;
}

static layout *const layouts[2][MQ_CHUNK_CLIENT + 1] = {
	{[MQ_CHUNK_CFG] = cfg_2, base_msg_2, client_msg_2, retain_any, sub_2, client_2},
	{[MQ_CHUNK_CFG] = cfg_5, base_msg_5, client_msg_5, retain_any, sub_5, client_5},
};

void mq_layout_read(int version, uint32_t type, const uint8_t *p, uint32_t n, mq_body *out) {
	cursor c = {.p = p, .end = p + n, .version = version, .body = out};
	*out = (mq_body){.start = p};
	layouts[version >= MQ_LAYOUT_5][type](&c, out);
	if (c.wanted != n) fail(&c, MQ_BAD_LENGTH, p - 4, n, c.wanted);
}
