#include "subs.h"
#include <string.h>
#include "mem.h"
#include "session.h"
#include "state.h"

static mq_ring *ring_of(const mq_sub *sub) { return sub->group ? &sub->group->ring : &((mq_fans *)sub->node->load)->ring; }

/* ---- a ring of subscribers ---- */

static void ring_close_holes(mq_ring *r) {
	uint32_t kept = 0, cursor = 0;
	for (uint32_t i = 0; i < r->n; i++) {
		if (i == r->cursor) cursor = kept;
		if (!r->fans[i].session) continue;
		r->fans[i].sub->at = kept;
		r->fans[kept++] = r->fans[i];
	}
	if (r->cursor >= r->n) cursor = 0;
	r->n = kept;
	r->holes = 0;
	r->cursor = cursor < kept ? cursor : 0;
}

static int ring_add(mq_core *core, mq_ring *r, mq_fan fan) {
	if (r->n == r->room) {
		uint32_t room = r->room ? r->room * 2 : 1;
		mq_fan *fans = mq_resize(core, r->fans, room * sizeof *fans);
		if (!fans) return MQ_NOMEM;
		r->fans = fans;
		r->room = room;
	}
	fan.sub->at = r->n;
	r->fans[r->n++] = fan;
	return MQ_OK;
}

static void ring_remove(mq_core *core, mq_ring *r, uint32_t at) {
	r->fans[at].session = NULL;
	if (++r->holes == r->n) {
		mq_release(core, r->fans);
		*r = (mq_ring){0};
	} else if (r->holes * 4 >= r->n) {
		ring_close_holes(r);
	}
}

/* A new member goes to the tail of the rotation, which is just before the cursor. */
static void group_to_tail(mq_ring *r) {
	if (r->cursor == 0) return;
	mq_fan fan = r->fans[r->n - 1];
	memmove(r->fans + r->cursor + 1, r->fans + r->cursor, (r->n - 1 - r->cursor) * sizeof fan);
	r->fans[r->cursor] = fan;
	for (uint32_t i = r->cursor; i < r->n; i++)
		if (r->fans[i].session) r->fans[i].sub->at = i; /* a hole's subscription is freed already */
	r->cursor++;
}

mq_fan *mq_group_turn(mq_group *g) {
	mq_ring *r = &g->ring;
	for (uint32_t i = 0; i < r->n; i++) {
		mq_fan *fan = &r->fans[r->cursor];
		r->cursor = r->cursor + 1 == r->n ? 0 : r->cursor + 1;
		if (fan->session) return fan;
	}
	return NULL;
}

/* ---- nodes ---- */

static void node_tidy(mq_core *core, mq_node *node) {
	mq_fans *fans = node->load;
	if (fans && (fans->ring.n || fans->groups)) return;
	mq_release(core, fans);
	node->load = NULL;
	mq_tree_prune(core, &core->subscriptions, node);
}

static mq_fans *node_fans(mq_core *core, mq_node *node) {
	if (!node->load) node->load = mq_zalloc(core, sizeof(mq_fans));
	return node->load;
}

/* ---- groups ---- */

static mq_group **bucket(const mq_groups *all, uint32_t hash) { return &all->buckets[hash >> 1 & all->mask]; }

static mq_group *group_find(const mq_core *core, const mq_fans *fans, const uint8_t *name, size_t n) {
	if (!fans || !fans->groups) return NULL;
	for (mq_group *g = *bucket(fans->groups, mq_topic_hash(&core->subscriptions, name, n)); g; g = g->chain)
		if (g->name_n == n && !memcmp(g->name, name, n)) return g;
	return NULL;
}

static mq_groups *groups_new(mq_core *core) {
	mq_groups *all = mq_zalloc(core, sizeof *all);
	if (!all) return NULL;
	all->buckets = all->few;
	all->mask = sizeof all->few / sizeof *all->few - 1;
	return all;
}

static void groups_free(mq_core *core, mq_groups *all) {
	if (all->buckets != all->few) mq_release(core, all->buckets);
	mq_release(core, all);
}

static void enter(mq_groups *all, mq_group *g) {
	mq_group **at = bucket(all, g->hash);
	g->chain = *at;
	*at = g;
}

/* Without memory the chains get longer, and nothing else. */
static void groups_grow(mq_core *core, mq_groups *all) {
	uint32_t size = (all->mask + 1) * 2;
	mq_group **new = mq_zalloc(core, size * sizeof *new);
	if (!new) return;
	if (all->buckets != all->few) mq_release(core, all->buckets);
	all->buckets = new;
	all->mask = size - 1;
	for (mq_group *g = all->first; g; g = g->next) enter(all, g);
}

static mq_group *group_make(mq_core *core, mq_fans *fans, const uint8_t *name, size_t n) {
	mq_group *g = group_find(core, fans, name, n);
	if (g || (!fans->groups && !(fans->groups = groups_new(core)))) return g;
	mq_groups *all = fans->groups;
	if (!(g = mq_zalloc(core, sizeof *g + n))) {
		if (all->n) return NULL;
		groups_free(core, all);
		fans->groups = NULL;
		return NULL;
	}
	g->hash = mq_topic_hash(&core->subscriptions, name, n);
	g->name_n = (uint16_t)n;
	memcpy(g->name, name, n);
	if (all->n++ > all->mask) groups_grow(core, all);
	enter(all, g);
	g->prev = all->last;
	if (all->last) all->last->next = g;
	else all->first = g;
	return all->last = g;
}

static void group_tidy(mq_core *core, mq_fans *fans, mq_group *g) {
	mq_groups *all = fans->groups;
	if (g->ring.n) return;
	mq_group **at = bucket(all, g->hash);
	while (*at != g) at = &(*at)->chain;
	*at = g->chain;
	if (g->prev) g->prev->next = g->next;
	else all->first = g->next;
	if (g->next) g->next->prev = g->prev;
	else all->last = g->prev;
	mq_release(core, g);
	if (--all->n) return;
	groups_free(core, all);
	fans->groups = NULL;
}

void mq_fans_drop(mq_core *core, void *load) {
	mq_fans *fans = load;
	for (mq_group *g = fans->groups ? fans->groups->first : NULL, *next; g; g = next) {
		next = g->next;
		mq_release(core, g->ring.fans);
		mq_release(core, g);
	}
	if (fans->groups) groups_free(core, fans->groups);
	mq_release(core, fans->ring.fans);
	mq_release(core, fans);
}

/* ---- subscriptions ---- */

/* A session's subscription on a node: look through the shorter of the two lists. */
static mq_sub *sub_find(const mq_session *s, const mq_node *node, const mq_group *group) {
	if (!node || !node->load) return NULL;
	const mq_ring *r = group ? &group->ring : &((mq_fans *)node->load)->ring;
	if (s->subs_n < r->n) {
		for (mq_sub *sub = s->subs; sub; sub = sub->next)
			if (sub->node == node && sub->group == group) return sub;
		return NULL;
	}
	for (uint32_t i = 0; i < r->n; i++)
		if (r->fans[i].session == s) return r->fans[i].sub;
	return NULL;
}

static void sub_end(mq_core *core, mq_sub *sub) {
	mq_session *s = sub->session;
	mq_node *node = sub->node;
	ring_remove(core, ring_of(sub), sub->at);
	if (sub->group) {
		group_tidy(core, node->load, sub->group);
		core->stats.shared_subscriptions--;
	} else {
		core->stats.subscriptions--;
	}
	if (sub->prev) sub->prev->next = sub->next;
	else s->subs = sub->next;
	if (sub->next) sub->next->prev = sub->prev;
	s->subs_n--;
	mq_release(core, sub);
	node_tidy(core, node);
}

void mq_subs_end(mq_session *s) {
	while (s->subs) sub_end(s->core, s->subs);
}

/* A filter as the tree knows it: its levels, and the group of a shared subscription. */
typedef struct {
	const uint8_t *group;
	size_t group_n;
	mq_levels levels;
} place;

static int parse(mq_core *core, place *p, const uint8_t *filter, size_t n) {
	if (n > UINT16_MAX || !mq_filter_formed(filter, n)) return MQ_BAD_FILTER; /* a mount point may make it too long */
	p->group = NULL;
	int status = mq_share_split(filter, n, &p->group, &p->group_n, &filter, &n);
	if (status == MQ_NONE) p->group = NULL;
	else if (status) return status;
	return mq_levels_split(&core->subscriptions, &p->levels, filter, n);
}

static int sub_add(mq_session *s, mq_node *node, const place *p, uint8_t options, uint32_t id) {
	mq_core *core = s->core;
	mq_fans *fans = node_fans(core, node);
	mq_group *g = fans && p->group ? group_make(core, fans, p->group, p->group_n) : NULL;
	mq_sub *sub = !fans || (p->group && !g) ? NULL : mq_alloc(core, sizeof *sub);
	if (sub) {
		*sub = (mq_sub){.next = s->subs, .session = s, .node = node, .group = g};
		if (!ring_add(core, ring_of(sub), (mq_fan){s, sub, id, options})) {
			if (g) group_to_tail(&g->ring);
			if (s->subs) s->subs->prev = sub;
			s->subs = sub;
			s->subs_n++;
			if (g) core->stats.shared_subscriptions++;
			else core->stats.subscriptions++;
			return MQ_OK;
		}
	}
	mq_release(core, sub);
	if (g) group_tidy(core, fans, g);
	node_tidy(core, node);
	return MQ_NOMEM;
}

int mq_subscribe(mq_session *s, const uint8_t *filter, size_t n, uint8_t options, uint32_t id) {
	mq_core *core = s->core;
	place *p = &(place){0};
	int status = parse(core, p, filter, n);
	if (status) return status;
	mq_node *node = mq_tree_make(core, &core->subscriptions, &p->levels);
	if (!node) return MQ_NOMEM;
	mq_group *g = p->group ? group_find(core, node->load, p->group, p->group_n) : NULL;
	mq_sub *sub = p->group && !g ? NULL : sub_find(s, node, g);
	if (!sub) return sub_add(s, node, p, options, id);
	mq_fan *fan = &ring_of(sub)->fans[sub->at];
	fan->options = options;
	fan->id = id;
	return MQ_EXISTS;
}

int mq_unsubscribe(mq_session *s, const uint8_t *filter, size_t n) {
	mq_core *core = s->core;
	place *p = &(place){0};
	int status = parse(core, p, filter, n);
	if (status) return status;
	mq_node *node = mq_tree_find(&core->subscriptions, &p->levels);
	if (!node) return MQ_NONE;
	mq_group *g = p->group ? group_find(core, node->load, p->group, p->group_n) : NULL;
	mq_sub *sub = p->group && !g ? NULL : sub_find(s, node, g);
	if (!sub) return MQ_NONE;
	sub_end(core, sub);
	return MQ_OK;
}
