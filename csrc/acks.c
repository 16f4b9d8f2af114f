/* acks.c: PUBACK, PUBREC, PUBREL and PUBCOMP from a client (MQTT 5.0, sections 3.4 to 3.7). What is common to the four comes
 * first, in the order a client can observe; then one small function for each.
 */
#include "batch.h"
#include "callbacks.h"
#include "inbound.h"
#include "session.h"
#include "wire.h"

static void trace(const mq_conn *c, int sent, uint8_t first, uint16_t mid, int reason) {
	const mq_session *s = c->session;
	mq_on_trace(
		c->core->user, sent, s ? s->client_id : NULL, s ? s->client_id_n : 0, first, mid, reason, NULL, 0, 0, MQ_TRACE_PLAIN);
}
void mq_trace_in(const mq_conn *c, uint8_t first, uint16_t mid, int reason) { trace(c, 0, first, mid, reason); }
void mq_trace_out(const mq_conn *c, uint8_t first, uint16_t mid, int reason) { trace(c, 1, first, mid, reason); }

typedef struct {
	uint16_t mid;
	uint8_t reason;
} ack;

static int reason_allowed(int type, uint8_t reason) {
	switch (reason) {
	case 0x00: return 1;
	case 0x92: return type == MQ_PUBREL || type == MQ_PUBCOMP;
	case 0x10:
	case 0x80:
	case 0x83:
	case 0x87:
	case 0x90:
	case 0x91:
	case 0x97:
	case 0x99: return type == MQ_PUBACK || type == MQ_PUBREC;
	default: return 0;
	}
}

static int check_flags(const mq_conn *c, uint8_t first) {
	uint8_t flags = first & 0x0F;
	if (first >> 4 != MQ_PUBREL) return flags ? MQ_MALFORMED : MQ_OK;
	return c->terms.version != 3 && flags != 2 ? mq_fault(c->core, MQ_PUBREL_FLAGS, first, 0, 0) : MQ_OK;
}

/* The part after the reason code: a property list, all of it, and nothing behind it. */
static int check_properties(mq_conn *c, int type, const uint8_t *p, uint32_t n) {
	uint32_t length = 0, bad;
	size_t count;
	int used = mq_varint_get_strict(p, n, &length), status = MQ_MALFORMED;
	if (used > 0 && length <= n - (uint32_t)used) status = mq_properties_walk(MQ_IN_ACK, p + used, length, NULL, 0, &count, &bad);
	if (status == MQ_OK) return length < n - (uint32_t)used ? MQ_MALFORMED : MQ_OK;
	if (status == MQ_BAD_UTF8) return status;
	return mq_fault(c->core, MQ_ACK_PROPERTIES, type, status, 0);
}

static int read_ack(mq_conn *c, int type, const uint8_t *body, uint32_t n, ack *a) {
	if (n < 2) return MQ_MALFORMED;
	a->mid = mq_get16(body);
	a->reason = 0;
	if (!a->mid) return mq_fault(c->core, MQ_MID_ZERO, type, 0, 0);
	if (n == 2) return MQ_OK;
	a->reason = body[2];
	if (!reason_allowed(type, a->reason)) return mq_fault(c->core, MQ_REASON_CODE, type, a->reason, 0);
	return n == 3 ? MQ_OK : check_properties(c, type, body + 3, n - 3);
}

static int on_pubrec(mq_conn *c, ack a) {
	int answer;
	int status = mq_session_pubrec(c->session, a.mid, a.reason, &answer);
	return status || !answer ? status : mq_conn_ack(c, 0x62, a.mid, 0);
}

/* The message is delivered now, by MQTT-4.3.3-2's method B: its owner is this client, its permission was checked on arrival. */
static int on_pubrel(mq_conn *c, ack a) {
	mq_entry *e = mq_session_inbound(c->session, a.mid);
	if (e) {
		mq_view view = mq_message_view(e->message);
		uint8_t first = (uint8_t)(0x30 | e->qos << 1 | e->retain);
		int status = mq_accepted(c, &view, first, a.mid);
		if (status == MQ_NOMEM && c->role == MQ_CLIENT) return status;
		/* Routing calls nobody who could end the session, so the entry is still there. */
		mq_session_release(c->session, e);
	}
	return mq_conn_ack(c, 0x70, a.mid, 0);
}

static int settle(mq_conn *c, int type, ack a) {
	switch (type) {
	case MQ_PUBACK: return mq_session_puback(c->session, a.mid);
	case MQ_PUBREC: return on_pubrec(c, a);
	case MQ_PUBREL: return on_pubrel(c, a);
	default: return mq_session_pubcomp(c->session, a.mid);
	}
}

int mq_in_ack(mq_conn *c, uint8_t first, const uint8_t *body, uint32_t n) {
	int type = first >> 4;
	if (c->state != MQ_STATE_ACTIVE || !c->session) return mq_fault(c->core, MQ_NOT_ACTIVE, type, 0, 0);
	ack a;
	int status = check_flags(c, first);
	if (status == MQ_OK) status = read_ack(c, type, body, n, &a);
	if (status) return status;
	if (c->core->trace) mq_trace_in(c, first, a.mid, a.reason);
	status = settle(c, type, a);
	/* A server that refuses what was published says so to the publisher, who may want to know. */
	if (status || c->role == MQ_SERVER || a.reason < 0x80 || type == MQ_PUBREL) return status;
	return mq_hand_up(c, first, body, n);
}
