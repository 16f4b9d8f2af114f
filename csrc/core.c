/* core.c: the core as a whole: making and freeing it, the clock, messages of the broker's own, the picture of the trees.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "batch.h"
#include "conn.h"
#include "deliver.h"
#include "mem.h"
#include "route.h"
#include "session.h"
#include "subs.h"
#include "wire.h"

/* ---- vectors ---- */

int mq_vector_push(mq_core *core, mq_vector *v, void *p) {
	if (v->n == v->room) {
		size_t room = v->room ? v->room * 2 : 64;
		void **at = mq_resize(core, v->at, room * sizeof *at);
		if (!at) return MQ_NOMEM;
		v->at = at;
		v->room = room;
	}
	v->at[v->n++] = p;
	return MQ_OK;
}

/* ---- life ---- */

static uint64_t random_key(void) {
	uint64_t key;
	/* Without randomness topics can be chosen to collide, which costs time and nothing else. */
	if (getentropy(&key, sizeof key)) key = (uint64_t)(uintptr_t)&key;
	return key;
}

mq_core *mq_core_new(void *user) {
	mq_core *core = calloc(1, sizeof *core);
	if (!core) return NULL;
	core->user = user;
	core->options = (mq_options){.max_inflight_messages = 20,
		.max_queued_messages = 1000,
		.max_packet_size = 2000000,
		.retain_available = 1,
		.allow_duplicate_messages = 1};
	if (mq_tree_init(core, &core->subscriptions, random_key()) || mq_tree_init(core, &core->retained, random_key())) {
		mq_core_free(core);
		return NULL;
	}
	return core;
}

static void conn_free(mq_conn *c) {
	mq_core *core = c->core;
	mq_aliases_free(c);
	mq_release(core, c->in);
	mq_release(core, c->mount);
	mq_release(core, c);
}

/* The dead are linked by the field that linked them while they lived, so that this cannot fail. */
void mq_reap_later(mq_core *core, mq_conn *c, mq_session *s) {
	if (c) {
		c->next = core->dead_conns;
		core->dead_conns = c;
	}
	if (s) {
		s->next = core->dead_sessions;
		core->dead_sessions = s;
	}
}

/* A connection that is still in the list of this turn's output waits one turn more. */
void mq_core_reap(mq_core *core) {
	for (mq_conn **at = &core->dead_conns; *at;) {
		mq_conn *c = *at;
		if (c->dirty) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		conn_free(c);
	}
	while (core->dead_sessions) {
		mq_session *s = core->dead_sessions;
		core->dead_sessions = s->next;
		mq_release(core, s);
	}
}

void mq_core_free(mq_core *core) {
	mq_journal_free(core);
	mq_restore_done(core, 0);
	while (core->conns) mq_conn_close(core->conns);
	while (core->sessions) mq_session_free(core->sessions);
	for (size_t i = 0; i < core->dirty.n; i++) ((mq_conn *)core->dirty.at[i])->dirty = 0;
	mq_core_reap(core);
	mq_tree_free(core, &core->subscriptions, mq_fans_drop);
	mq_tree_free(core, &core->retained, mq_retained_drop);
	mq_chunks_free(core);
	mq_batch_free(core);
	while (core->entries) {
		mq_entry *e = core->entries;
		core->entries = e->next;
		mq_release(core, e);
	}
	void *vectors[] = {core->dirty.at, core->stale.at, core->shared.at};
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) mq_release(core, vectors[i]);
	free(core);
}

mq_options *mq_core_options(mq_core *core) { return &core->options; }
mq_stats *mq_core_stats(mq_core *core) { return &core->stats; }
void mq_core_trace(mq_core *core, int on) { core->trace = on; }

/* The least store id for a moment: seconds since one in 2021, modulo 2^31, and below that units of 128 ns. */
static uint64_t store_id(double wall) {
	uint64_t seconds = (uint64_t)wall, ns = (uint64_t)((wall - (double)seconds) * 1e9);
	return ((seconds - 1637168273u) & 0x7FFFFFFF) << 23 | ns / 128;
}

void mq_core_clock(mq_core *core, double monotonic, double wall) {
	if (!core->mono) core->wheel_at = (int64_t)monotonic;
	core->mono = (int64_t)monotonic;
	core->wall = (int64_t)wall;
	core->turn_id = store_id(wall);
}

/* ---- messages of the broker's own ---- */

int mq_publish(mq_core *core, mq_session *origin, const uint8_t *topic, size_t topic_n, const uint8_t *payload, size_t payload_n,
	uint8_t qos, int retain, const uint8_t *properties, size_t properties_n, uint32_t expiry) {
	if (topic_n > UINT16_MAX || payload_n > MQ_VARINT_MAX || !mq_topic_valid(topic, topic_n)) return MQ_BAD_FILTER;
	mq_view view = {.topic = topic,
		.topic_n = (uint32_t)topic_n,
		.payload = payload,
		.payload_n = (uint32_t)payload_n,
		.properties = properties,
		.properties_n = (uint32_t)properties_n,
		.qos = qos,
		.retain = retain != 0,
		.source = origin ? origin->source : NULL,
		.expires = expiry && expiry != UINT32_MAX ? core->wall + expiry : 0};
	int status = mq_route(core, origin, &view);
	mq_view_done(core, &view);
	return status;
}

int mq_publish_to(mq_conn *c, const uint8_t *topic, size_t topic_n, const uint8_t *payload, size_t payload_n) {
	if (c->state != MQ_STATE_ACTIVE || !c->session || topic_n > UINT16_MAX || payload_n > MQ_VARINT_MAX) return MQ_BAD_FILTER;
	mq_view view = {.topic = topic, .topic_n = (uint32_t)topic_n, .payload = payload, .payload_n = (uint32_t)payload_n};
	int status = mq_deliver(c, &view, (mq_sending){0});
	mq_view_done(c->core, &view);
	return status;
}

/* ---- SIGUSR2: the subscription trees as text ---- */

typedef struct {
	mq_core *core;
	char *at;
	size_t n, room;
	int failed;
} text;

static void put(text *t, const void *s, size_t n) {
	if (t->n + n > t->room) {
		size_t room = (t->room + n) * 2;
		char *at = realloc(t->at, room);
		if (!at) t->failed = 1;
		if (t->failed) return;
		t->at = at;
		t->room = room;
	}
	memcpy(t->at + t->n, s, n);
	t->n += n;
}

static void put_level(text *t, const uint8_t *level, size_t n, int depth) {
	for (int i = 0; i < depth + 2; i++) put(t, "  ", 2);
	put(t, level, n);
}

static void put_node(text *t, const mq_node *node, int depth, int shared) {
	const mq_fans *fans = node->load;
	put_level(t, node->level, node->level_n, depth);
	for (uint32_t i = 0; !shared && fans && i < fans->ring.n; i++) {
		const mq_fan *f = &fans->ring.fans[i];
		char qos[] = {',', ' ', (char)('0' + (f->options & MQ_SUB_QOS)), ')'};
		if (!f->session) continue;
		put(t, " (", 2);
		put(t, f->session->client_id, f->session->client_id_n);
		put(t, qos, sizeof qos);
	}
	put(t, "\n", 1);
}

/* Does this branch hold a subscription of the kind that is drawn? */
static int holds(const mq_node *node, int shared) {
	const mq_fans *fans = node->load;
	if (fans && (shared ? fans->groups != NULL : fans->ring.n > 0)) return 1;
	for (const mq_node *c = node->first; c; c = c->next)
		if (holds(c, shared)) return 1;
	return 0;
}

static void put_branch(text *t, const mq_node *node, int depth, int shared) {
	if (!holds(node, shared)) return;
	put_node(t, node, depth, shared);
	for (const mq_node *c = node->first; c; c = c->next) put_branch(t, c, depth + 1, shared);
}

static void put_heading(text *t, const char *name, int depth) {
	put_level(t, (const uint8_t *)name, strlen(name), depth);
	put(t, "\n", 1);
}

/* Branches below the root whose first level is name, or, with name NULL, any that does not start with $. */
static void put_branches(text *t, const char *name, int shared) {
	for (const mq_node *c = t->core->subscriptions.root->first; c; c = c->next) {
		int dollar = c->level_n && c->level[0] == '$';
		int named = name && c->level_n == strlen(name) && !memcmp(c->level, name, c->level_n);
		if (name ? named : !dollar) put_branch(t, c, name ? 1 : 2, shared);
	}
}

/* The picture is that of Mosquitto: plain topics under two empty levels, each $ level under itself, $SYS always there. */
char *mq_subscriptions_text(mq_core *core, size_t *n) {
	text t = {.core = core};
	put_heading(&t, "", 0);
	put_heading(&t, "", 1);
	put_branches(&t, NULL, 0);
	put_heading(&t, "$SYS", 0);
	put_branches(&t, "$SYS", 0);
	for (const mq_node *c = core->subscriptions.root->first; c; c = c->next) {
		if (!c->level_n || c->level[0] != '$' || (c->level_n == 4 && !memcmp(c->level, "$SYS", 4)) || !holds(c, 0)) continue;
		put_level(&t, c->level, c->level_n, 0);
		put(&t, "\n", 1);
		put_branch(&t, c, 1, 0);
	}
	if (core->stats.shared_subscriptions) {
		put_heading(&t, "", 0);
		put_heading(&t, "", 1);
		for (const mq_node *c = core->subscriptions.root->first; c; c = c->next) put_branch(&t, c, 2, 1);
	}
	*n = t.failed ? 0 : t.n;
	return t.at;
}

void mq_text_free(char *s) { free(s); }
