/* publish.c: a PUBLISH from a client, from its first byte to its acknowledgement (MQTT 5.0, section 3.3).
 *
 * The checks run in the order a client can observe: read() looks at the packet alone, admit() asks whether this client may
 * publish it, accept() stores, routes and acknowledges. A message that is refused is answered as its QoS wants, and the connection
 * goes on; anything malformed ends it.
 */
#include <string.h>
#include "access.h"
#include "batch.h"
#include "callbacks.h"
#include "inbound.h"
#include "route.h"
#include "session.h"
#include "topic.h"
#include "wire.h"

enum { RC_NO_SUBSCRIBERS = 0x10, RC_UNSPECIFIED = 0x80, RC_NOT_AUTHORIZED = 0x87, RC_TOO_LARGE = 0x95, RC_QUOTA = 0x97 };

typedef struct {
	mq_view view;
	uint16_t mid;
	uint8_t first;
} publish;

static void trace(const mq_conn *c, const publish *p, int verdict) {
	if (!c->core->trace) return;
	mq_on_trace(c->core->user, 0, c->session->client_id, c->session->client_id_n, p->first, p->mid, 0, p->view.topic,
		p->view.topic_n, p->view.payload_n, verdict);
}

/* ---- what the packet says ---- */

static int check_flags(const mq_conn *c, const publish *p) {
	if (p->view.qos == 0 && p->first & 8) return MQ_PUBLISH_DUP_QOS0;
	if (p->view.qos == 3) return MQ_PUBLISH_QOS3;
	if (p->view.qos > c->terms.max_qos) return MQ_PUBLISH_QOS_MAX;
	int retain = c->role == MQ_SERVER ? c->core->options.retain_available : !c->terms.no_retain;
	return p->view.retain && !retain ? MQ_PUBLISH_RETAIN : MQ_OK;
}

/* Properties are compacted in place: what is forwarded moves to the front of the list. What is handed up stays whole. */
static int read_properties(mq_conn *c, publish *p, uint8_t **at, const uint8_t *end, uint16_t *alias) {
	mq_core *core = c->core;
	int place = c->role == MQ_SERVER ? MQ_IN_PUBLISH : MQ_IN_DELIVERY;
	uint32_t n;
	int used = mq_varint_get_strict(*at, (size_t)(end - *at), &n);
	if (used <= 0 || n > (size_t)(end - *at) - (size_t)used) return MQ_MALFORMED;
	uint8_t *list = *at + used;
	*at = list + n;
	if (n == 0) return MQ_OK;
	mq_publish_properties found;
	int status = mq_publish_properties_read(place, list, n, &found, c->hand_up ? NULL : list);
	if (status == MQ_MALFORMED && !mq_property_known(found.bad)) return mq_fault(core, MQ_UNKNOWN_PROPERTY, (int)found.bad, 0, 0);
	if (status) return status;
	p->view.properties = list;
	p->view.properties_n = c->hand_up ? n : found.forward_n;
	p->view.expires = found.expiry && !c->hand_up ? core->wall + found.expiry : 0;
	*alias = found.alias;
	return MQ_OK;
}

static int apply_alias(mq_conn *c, publish *p, uint16_t alias) {
	if (alias > c->terms.alias_max_in) return MQ_PUBLISH_ALIAS_MAX;
	if (p->view.topic_n) return mq_alias_set(c, alias, p->view.topic, p->view.topic_n);
	p->view.topic = mq_alias_get(c, alias, &p->view.topic_n);
	return p->view.topic ? MQ_OK : mq_fault(c->core, MQ_PUBLISH_ALIAS, alias, 0, 0);
}

static int read_publish(mq_conn *c, publish *p, uint8_t *at, uint32_t n) {
	const uint8_t *end = at + n;
	uint16_t alias = 0;
	int status = check_flags(c, p);
	if (status) return status;
	if (n < 2) return MQ_MALFORMED;
	p->view.topic = at + 2;
	p->view.topic_n = mq_get16(at);
	if (p->view.topic_n > n - 2) return MQ_MALFORMED;
	at += 2 + p->view.topic_n;
	/* An empty name or a wildcard is reported after the properties, broken UTF-8 before. */
	int name = p->view.topic_n ? mq_topic_check(p->view.topic, p->view.topic_n) : MQ_OK;
	if (name == MQ_MALFORMED) return name;
	if (!p->view.topic_n && c->terms.version != 5) return MQ_MALFORMED;
	if (p->view.qos) {
		if (end - at < 2) return MQ_MALFORMED;
		p->mid = mq_get16(at);
		at += 2;
		if (!p->mid) return mq_fault(c->core, MQ_MID_ZERO, MQ_PUBLISH, 0, 0);
	}
	if (c->terms.version == 5 && (status = read_properties(c, p, &at, end, &alias))) return status;
	if (alias && (name || (status = apply_alias(c, p, alias)))) return name ? MQ_MALFORMED : status;
	if (name || !p->view.topic_n) return MQ_MALFORMED;
	p->view.payload = at;
	p->view.payload_n = (uint32_t)(end - at);
	return MQ_OK;
}

/* ---- may it be published ---- */

static int starts(const mq_view *v, const char *prefix, size_t n) { return v->topic_n >= n && !memcmp(v->topic, prefix, n); }

/* $SYS belongs to the broker (but for the state topics of bridges), $share is no place to publish to. */
static int reserved(const mq_view *v) {
	static const char state[] = "$SYS/broker/connection/+/state";
	if (v->topic[0] != '$') return 0;
	if (starts(v, "$share", 6)) return 1;
	return mq_topic_is_sys(v->topic, v->topic_n) &&
		   !mq_topic_matches((const uint8_t *)state, sizeof state - 1, v->topic, v->topic_n);
}

static int mount(const mq_conn *c, publish *p) {
	uint8_t *topic = c->core->mounted;
	if (!c->mount) return MQ_OK;
	if ((size_t)c->mount_n + p->view.topic_n > UINT16_MAX) return MQ_MALFORMED;
	mq_put(mq_put(topic, c->mount, c->mount_n), p->view.topic, p->view.topic_n);
	p->view.topic = topic;
	p->view.topic_n += c->mount_n;
	return MQ_OK;
}

static int acknowledge(mq_conn *c, const publish *p, uint8_t reason) {
	if (p->view.qos == 0) return MQ_OK;
	return mq_conn_ack(c, p->view.qos == 1 ? 0x40 : 0x50, p->mid, reason);
}

static int refuse(mq_conn *c, const publish *p, uint8_t reason, int verdict) {
	trace(c, p, verdict);
	return mq_conn_backlogged(c) ? MQ_QUOTA : acknowledge(c, p, reason);
}

/* ---- what becomes of it ---- */

static int same(const mq_entry *e, const mq_view *v) {
	const mq_message *m = e->message;
	return m->qos == v->qos && m->topic_n == v->topic_n && m->payload_n == v->payload_n &&
		   !memcmp(m->bytes, v->topic, v->topic_n) &&
		   (!m->payload_n || !memcmp(m->bytes + m->topic_n + m->properties_n, v->payload, v->payload_n));
}

/* A packet identifier that still waits for PUBREL: the same message once more, or a new one that reuses it. */
static int repeated(mq_conn *c, const publish *p, mq_entry *e, int *answered) {
	*answered = same(e, &p->view);
	if (*answered) {
		if (e->repeats++) return MQ_PUBLISH_DUP_TWICE;
		return acknowledge(c, p, 0);
	}
	mq_on_notice(c->core->user, MQ_NOTICE_REUSED_MID, c->session->client_id, c->session->client_id_n, p->mid);
	mq_session_release(c->session, e);
	return MQ_OK;
}

static int accept_qos1(mq_conn *c, publish *p) {
	static const uint8_t reasons[] = {[MQ_OK] = 0, [MQ_NONE] = RC_NO_SUBSCRIBERS};
	int status = mq_accepted(c, &p->view, p->first, p->mid);
	if (c->role == MQ_CLIENT) return status == MQ_NOMEM ? status : acknowledge(c, p, 0);
	return acknowledge(c, p, status == MQ_NOMEM ? RC_UNSPECIFIED : reasons[status]);
}

/* The store is in trouble, so nothing can be promised. Before MQTT 5.0 only the end of the connection says so. */
static int refuse_promise(mq_conn *c, const publish *p) {
	if (c->terms.version < 5) return MQ_STORE;
	return refuse(c, p, c->core->journal.refuse, MQ_TRACE_DENIED);
}

/* A server that sends more than was asked for; what is of QoS 1 was acknowledged at once. */
static int receive_max_exceeded(const mq_conn *c) {
	const mq_flow *f = c->session->flow;
	uint32_t max = mq_client_of(c)->receive_max;
	return max && f && f->inbound.n >= max;
}

static int accept_guaranteed(mq_conn *c, publish *p) {
	mq_session *s = c->session;
	if (c->core->journal.refuse) return refuse_promise(c, p);
	mq_entry *e = mq_session_inbound(s, p->mid);
	int answered = 0, status = e ? repeated(c, p, e, &answered) : MQ_OK;
	if (status || answered) return status;
	if (c->role == MQ_CLIENT && receive_max_exceeded(c)) return MQ_PUBLISH_RECEIVE_MAX;
	if (c->role == MQ_SERVER && mq_session_window_full(s)) {
		mq_on_notice(c->core->user, MQ_NOTICE_RECEIVE_MAX, s->client_id, s->client_id_n, 0);
		return refuse(c, p, RC_QUOTA, MQ_TRACE_DENIED);
	}
	if (p->view.qos == 1) return accept_qos1(c, p);
	status = mq_session_hold(s, &p->view, p->mid);
	return status ? status : acknowledge(c, p, 0);
}

static int control(mq_conn *c, const publish *p) {
	return mq_on_control(
			   c->core->user, c->owner, p->view.qos, p->mid, p->view.topic, p->view.topic_n, p->view.payload, p->view.payload_n)
			   ? MQ_STOPPED
			   : MQ_OK;
}

static int take(mq_conn *c, publish *p) {
	if (p->view.qos) return accept_guaranteed(c, p);
	return mq_accepted(c, &p->view, p->first, 0) == MQ_NOMEM ? MQ_NOMEM : MQ_OK;
}

/* From a client: may it be published? What a server sends the client has asked for. */
static int admit(mq_conn *c, publish *p, int *answered) {
	const mq_options *o = &c->core->options;
	int status = mount(c, p);
	if (status) return status;
	*answered = 1;
	if (o->message_size_limit && p->view.payload_n > o->message_size_limit) return refuse(c, p, RC_TOO_LARGE, MQ_TRACE_TOO_LARGE);
	if (reserved(&p->view)) return refuse(c, p, RC_NOT_AUTHORIZED, MQ_TRACE_DENIED);
	status = mq_access_check(c->session, MQ_WRITE, &p->view);
	if (status) return status == MQ_NONE ? refuse(c, p, RC_NOT_AUTHORIZED, MQ_TRACE_DENIED) : status;
	if (starts(&p->view, "$CONTROL/", 9)) {
		trace(c, p, MQ_TRACE_PLAIN);
		return control(c, p);
	}
	*answered = 0;
	return MQ_OK;
}

int mq_in_publish(mq_conn *c, uint8_t first, uint8_t *body, uint32_t n) {
	if (c->state != MQ_STATE_ACTIVE || !c->session) return mq_fault(c->core, MQ_NOT_ACTIVE, MQ_PUBLISH, 0, 0);
	publish p = {.first = first, .view = {.qos = first >> 1 & 3, .retain = first & 1}};
	int status = read_publish(c, &p, body, n);
	if (status) return status;
	p.view.source = c->session->source;
	p.view.mid = p.mid;
	c->core->stats.publish_received++;
	c->core->stats.publish_bytes_received += p.view.payload_n;
	int answered = 0;
	if (c->role == MQ_SERVER) status = admit(c, &p, &answered);
	if (!status && !answered) {
		trace(c, &p, MQ_TRACE_PLAIN);
		status = take(c, &p);
	}
	mq_view_done(c->core, &p.view);
	return status;
}
