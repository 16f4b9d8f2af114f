/* alias.c: topic aliases of one connection, in both directions (MQTT 5.0, section 3.3.2.3.4).
 *
 * From the client: an array by alias. To the client: aliases are given to topics first come, first served and never change,
 * so a small table of topic -> alias is enough; it is searched by hash and grows with the number given.
 */
#include <string.h>
#include "conn.h"
#include "mem.h"

typedef struct {
	uint32_t n, hash;
	uint8_t bytes[];
} name;

typedef struct mq_aliases {
	name **in; /* in[alias - 1] */
	uint32_t in_room;
	name **out;      /* out[alias - 1], in the order of giving */
	uint16_t *index; /* hash table of aliases given, 0 = empty; a power of two, at most half full */
	uint32_t out_n, index_mask;
} mq_aliases;

static uint32_t hash_of(const uint8_t *s, size_t n) {
	uint32_t h = 2166136261u;
	for (size_t i = 0; i < n; i++) h = (h ^ s[i]) * 16777619u;
	return h;
}

static name *name_new(mq_core *core, const uint8_t *s, size_t n) {
	name *out = mq_alloc(core, sizeof *out + n);
	if (!out) return NULL;
	out->n = (uint32_t)n;
	out->hash = hash_of(s, n);
	memcpy(out->bytes, s, n);
	return out;
}

static mq_aliases *aliases_of(mq_conn *c) {
	if (!c->aliases) c->aliases = mq_zalloc(c->core, sizeof *c->aliases);
	return c->aliases;
}

int mq_alias_set(mq_conn *c, uint16_t alias, const uint8_t *topic, size_t n) {
	mq_core *core = c->core;
	mq_aliases *a = aliases_of(c);
	if (!a) return MQ_NOMEM;
	if (alias > a->in_room) {
		name **in = mq_resize(core, a->in, alias * sizeof *in);
		if (!in) return MQ_NOMEM;
		memset(in + a->in_room, 0, (alias - a->in_room) * sizeof *in);
		a->in = in;
		a->in_room = alias;
	}
	name *old = a->in[alias - 1];
	if (old && old->n == n && !memcmp(old->bytes, topic, n)) return MQ_OK;
	name *new = name_new(core, topic, n);
	if (!new) return MQ_NOMEM;
	mq_release(core, old);
	a->in[alias - 1] = new;
	return MQ_OK;
}

const uint8_t *mq_alias_get(const mq_conn *c, uint16_t alias, uint32_t *n) {
	const mq_aliases *a = c->aliases;
	if (!a || alias > a->in_room || !a->in[alias - 1]) return NULL;
	*n = a->in[alias - 1]->n;
	return a->in[alias - 1]->bytes;
}

uint16_t mq_alias_out(const mq_conn *c, const uint8_t *topic, size_t n, int *fresh) {
	const mq_aliases *a = c->aliases;
	*fresh = 0;
	if (!c->terms.alias_max_out) return 0;
	if (a && a->out_n) {
		uint32_t h = hash_of(topic, n);
		for (uint32_t i = h & a->index_mask; a->index[i]; i = (i + 1) & a->index_mask) {
			const name *t = a->out[a->index[i] - 1];
			if (t->hash == h && t->n == n && !memcmp(t->bytes, topic, n)) return a->index[i];
		}
		if (a->out_n >= c->terms.alias_max_out) return 0;
	}
	*fresh = 1;
	return (uint16_t)(a ? a->out_n + 1 : 1);
}

static void index_put(mq_aliases *a, uint16_t alias) {
	uint32_t i = a->out[alias - 1]->hash & a->index_mask;
	while (a->index[i]) i = (i + 1) & a->index_mask;
	a->index[i] = alias;
}

static int out_grow(mq_core *core, mq_aliases *a) {
	uint32_t size = a->index ? (a->index_mask + 1) * 2 : 16;
	uint16_t *index = mq_zalloc(core, size * sizeof *index);
	name **out = index ? mq_resize(core, a->out, size / 2 * sizeof *out) : NULL;
	if (!out) {
		mq_release(core, index);
		return MQ_NOMEM;
	}
	mq_release(core, a->index);
	a->out = out;
	a->index = index;
	a->index_mask = size - 1;
	for (uint32_t i = 1; i <= a->out_n; i++) index_put(a, (uint16_t)i);
	return MQ_OK;
}

int mq_alias_introduce(mq_conn *c, const uint8_t *topic, size_t n) {
	mq_core *core = c->core;
	mq_aliases *a = aliases_of(c);
	if (!a || ((!a->index || (a->out_n + 1) * 2 > a->index_mask + 1) && out_grow(core, a))) return MQ_NOMEM;
	if (!(a->out[a->out_n] = name_new(core, topic, n))) return MQ_NOMEM;
	index_put(a, (uint16_t)++a->out_n);
	return MQ_OK;
}

void mq_aliases_free(mq_conn *c) {
	mq_aliases *a = c->aliases;
	if (!a) return;
	for (uint32_t i = 0; i < a->in_room; i++) mq_release(c->core, a->in[i]);
	for (uint32_t i = 0; i < a->out_n; i++) mq_release(c->core, a->out[i]);
	mq_release(c->core, a->in);
	mq_release(c->core, a->out);
	mq_release(c->core, a->index);
	mq_release(c->core, a);
	c->aliases = NULL;
}
