/* retained.c: the retained tree: store, deliver on SUBSCRIBE, forget what expired (MQTT 5.0, section 3.3.1.3).
 */
#include "access.h"
#include "conn.h"
#include "deliver.h"
#include "journal.h"
#include "mem.h"
#include "route.h"
#include "session.h"
#include "subs.h"

/* Retained messages end with the second in which they expire; queued ones a second later (mq_expired). */
static int over(const mq_core *core, const mq_message *m) { return m->expires && core->wall >= m->expires; }

static void forget(mq_core *core, mq_node *node) {
	mq_message *m = node->load;
	m->current = 0;
	mq_journal_retain(core, m, 1); /* without memory it is there again after a restart */
	mq_message_unref(core, m);
	node->load = NULL;
	core->stats.retained--;
	mq_tree_prune(core, &core->retained, node);
}

/* The new message takes the place of the old one. */
static int settle(mq_core *core, mq_node *node, mq_message *m) {
	mq_message *old = node->load;
	m->current = 1;
	if (old && old->listed) m->listed = 1;
	if (mq_journal_retain(core, m, 0)) {
		m->current = m == old;
		return MQ_NOMEM;
	}
	node->load = mq_message_ref(m);
	if (!old) core->stats.retained++;
	else if (old != m) old->current = 0;
	mq_message_unref(core, old);
	return MQ_OK;
}

int mq_retain(mq_core *core, mq_view *view) {
	mq_levels levels;
	if (!mq_topic_is_sys(view->topic, view->topic_n)) core->stats.changes++;
	if (mq_levels_split(&core->retained, &levels, view->topic, view->topic_n)) return MQ_OK;
	if (view->payload_n == 0) {
		mq_node *old = mq_tree_find(&core->retained, &levels);
		if (old && old->load) forget(core, old);
		return MQ_OK;
	}
	mq_node *node = mq_tree_make(core, &core->retained, &levels);
	if (!node) return MQ_NOMEM;
	mq_message *m = mq_view_keep(core, view);
	if (m && settle(core, node, m) == MQ_OK) return MQ_OK;
	mq_tree_prune(core, &core->retained, node);
	return MQ_NOMEM;
}

void mq_retained_drop(mq_core *core, void *load) { mq_message_unref(core, load); }

/* ---- delivery to a new subscription ---- */

typedef struct {
	mq_core *core;
	mq_session *session;
	const mq_levels *levels;
	uint32_t id;
	uint8_t qos;
} walk;

static void emit(walk *w, mq_node *node) {
	mq_message *m = node->load;
	if (!m || !w->session->conn) return;
	if (over(w->core, m)) {
		mq_vector_push(w->core, &w->core->stale, node);
		return;
	}
	if (w->core->options.check_retain_source && mq_source_check(w->core, m)) return;
	mq_view view = mq_message_view(m);
	if (mq_access_check(w->session, MQ_READ, &view)) return;
	mq_send_retained(w->session, &view, w->qos, w->id);
}

static void emit_below(walk *w, mq_node *node, int plain_only) {
	for (mq_node *c = node->first; c; c = c->next) {
		if (plain_only && c->level_n && c->level[0] == '$') continue;
		emit(w, c);
		emit_below(w, c, 0);
	}
}

static void descend(walk *w, mq_node *node, uint32_t level) {
	if (level == w->levels->n) {
		emit(w, node);
		return;
	}
	const uint8_t *s = w->levels->at[level].s;
	uint32_t n = w->levels->at[level].n;
	if (n == 1 && *s == '#') {
		emit_below(w, node, level == 0);
		if (level) emit(w, node);
	} else if (n == 1 && *s == '+') {
		for (mq_node *c = node->first; c; c = c->next)
			if (level || !c->level_n || c->level[0] != '$') descend(w, c, level + 1);
	} else {
		mq_node *c = mq_tree_child(&w->core->retained, node, s, n, w->levels->at[level].hash);
		if (c) descend(w, c, level + 1);
	}
}

int mq_retained_send(mq_session *s, const uint8_t *filter, size_t n, uint8_t qos, uint32_t id) {
	mq_core *core = s->core;
	mq_levels levels;
	if (!mq_filter_formed(filter, n) || mq_levels_split(&core->retained, &levels, filter, n)) return MQ_BAD_FILTER;
	walk w = {core, s, &levels, id, qos};
	descend(&w, core->retained.root, 0);
	for (size_t i = 0; i < core->stale.n; i++) forget(core, core->stale.at[i]);
	core->stale.n = 0;
	return MQ_OK;
}

/* ---- the sweep of retain_expiry_interval, a bounded number of slots at a time ---- */

size_t mq_retained_expire(mq_core *core, size_t budget) {
	mq_tree *t = &core->retained;
	for (; budget && core->sweep <= t->mask; budget--) {
		mq_node *node = t->slots[core->sweep].node;
		/* Forgetting may move another node into this slot (or, rarely, past it: the next sweep finds that one). */
		if (node && node->load && over(core, node->load)) forget(core, node);
		else core->sweep++;
	}
	if (core->sweep <= t->mask) return t->mask + 1 - core->sweep;
	core->sweep = 0;
	return 0;
}
