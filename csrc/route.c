/* route.c: match a topic against the subscription tree and hand the message to each subscriber.
 *
 * The walk is depth first: at each level the literal child, then "+"; "#" after its node's own descendants. Ordinary
 * subscriptions are served on the way; nodes with shared subscriptions are noted and served after the walk.
 * Nothing in here calls back into Python in a way that could change sessions, connections or subscriptions.
 */
#include "route.h"
#include "access.h"
#include "conn.h"
#include "deliver.h"
#include "session.h"
#include "subs.h"

typedef struct {
	mq_core *core;
	mq_session *origin;
	mq_view *view;
	int matched;
	int plain; /* not a $ topic, which wildcards at the first level and shared subscriptions never match */
	const mq_levels *levels;
	mq_shared shared;
} route;

static uint8_t delivered_qos(const mq_core *core, const mq_view *view, uint8_t granted, const mq_conn *c) {
	uint8_t qos = view->qos;
	if (core->options.upgrade_outgoing_qos || granted < qos) qos = granted;
	return c && c->terms.max_qos < qos ? c->terms.max_qos : qos;
}

/* allow_duplicate_messages false: an MQTT 3 client gets only the first copy. */
static int already(route *r, mq_session *s) {
	if (r->core->options.allow_duplicate_messages || s->version == 5) return 0;
	if (s->stamp == r->core->stamp) return 1;
	s->stamp = r->core->stamp;
	return 0;
}

/* QoS 0 is sent or lost; only when the peer does not read, max_queued_messages and max_queued_bytes drop it. */
static int qos0_fits(const mq_session *s) {
	const mq_options *o = &s->core->options;
	if (!s->conn->terms.receive_max && !o->max_inflight_bytes) return 1;
	if (mq_conn_backlogged(s->conn)) return 0;
	return !o->max_queued_bytes || !s->flow || s->flow->flight.bytes < o->max_queued_bytes + o->max_inflight_bytes;
}

static void send_qos0(route *r, mq_session *s, mq_sending how) {
	if (!qos0_fits(s)) {
		mq_session_dropped(s);
		return;
	}
	mq_deliver_shared(s->conn, &r->shared, r->view, how);
}

static void deliver_to(route *r, const mq_fan *fan) {
	mq_session *s = fan->session;
	r->matched = 1;
	if (s == r->origin && fan->options & MQ_SUB_NO_LOCAL) return;
	if (mq_access_check(s, MQ_READ, r->view)) return; /* denied, or undecided: that is no fault of the publisher's */
	if (already(r, s)) return;
	mq_conn *c = s->conn;
	uint8_t qos = delivered_qos(r->core, r->view, fan->options & MQ_SUB_QOS, c);
	uint8_t retain = fan->options & MQ_SUB_AS_PUBLISHED ? r->view->retain : 0;
	if (qos == 0 && c) send_qos0(r, s, (mq_sending){.id = fan->id, .retain = retain});
	else if (c || (s->durable && (qos || r->core->options.queue_qos0_messages)))
		mq_session_offer(s, (mq_offer){r->view, fan->id, qos, retain});
}

static void serve(route *r, mq_node *node) {
	const mq_fans *fans = node ? node->load : NULL;
	if (!fans) return;
	const mq_ring *ring = &fans->ring;
	for (uint32_t i = 0; i < ring->n; i++)
		if (ring->fans[i].session) deliver_to(r, &ring->fans[i]);
	if (fans->groups && r->plain) {
		r->matched = 1;
		mq_vector_push(r->core, &r->core->shared, node);
	}
}

static void walk(route *r, mq_node *node, uint32_t level) {
	if (level == r->levels->n) {
		serve(r, node->rest);
		serve(r, node);
		return;
	}
	int wild = level || r->plain;
	mq_node *child =
		mq_tree_child(&r->core->subscriptions, node, r->levels->at[level].s, r->levels->at[level].n, r->levels->at[level].hash);
	if (child) walk(r, child, level + 1);
	if (wild && node->plus) walk(r, node->plus, level + 1);
	if (wild) serve(r, node->rest);
}

static void serve_groups(route *r) {
	mq_vector *v = &r->core->shared;
	for (size_t i = 0; i < v->n; i++) {
		const mq_fans *fans = ((mq_node *)v->at[i])->load;
		for (mq_group *g = fans->groups->first; g; g = g->next) {
			mq_fan *fan = mq_group_turn(g);
			if (fan) deliver_to(r, fan);
		}
	}
	v->n = 0;
}

int mq_route(mq_core *core, mq_session *origin, mq_view *view) {
	route r = {.core = core, .origin = origin, .view = view, .plain = view->topic[0] != '$'};
	mq_levels levels;
	if (mq_levels_split(&core->subscriptions, &levels, view->topic, view->topic_n)) return MQ_NONE;
	r.levels = &levels;
	core->stamp++;
	walk(&r, core->subscriptions.root, 0);
	if (core->shared.n) serve_groups(&r);
	if (view->retain && core->options.retain_available && mq_retain(core, view)) return MQ_NOMEM;
	return r.matched ? MQ_OK : MQ_NONE;
}

void mq_send_retained(mq_session *s, mq_view *view, uint8_t granted, uint32_t id) {
	uint8_t qos = delivered_qos(s->core, view, granted, s->conn);
	if (qos) mq_session_offer(s, (mq_offer){view, id, qos, 1});
	else if (qos0_fits(s)) mq_deliver(s->conn, view, (mq_sending){.id = id, .retain = 1});
	else mq_session_dropped(s);
}
