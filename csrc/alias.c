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

typedef struct {
	name **at;
	uint32_t room;
} names;

typedef struct mq_aliases {
	names in, chosen; /* by alias - 1: given by the other end; chosen by the publisher, in the client role */
	name **out;       /* out[alias - 1], in the order of giving */
	uint16_t *index;  /* hash table of aliases given, 0 = empty; a power of two, at most half full */
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

static name *name_of(const names *in, uint16_t alias) { return alias > in->room ? NULL : in->at[alias - 1]; }

static int is(const name *known, const uint8_t *topic, size_t n) {
	return known && known->n == n && !memcmp(known->bytes, topic, n);
}

static int set(mq_core *core, names *in, uint16_t alias, const uint8_t *topic, size_t n) {
	if (alias > in->room) {
		name **at = mq_resize(core, in->at, alias * sizeof *at);
		if (!at) return MQ_NOMEM;
		memset(at + in->room, 0, (alias - in->room) * sizeof *at);
		*in = (names){at, alias};
	}
	name *old = in->at[alias - 1];
	if (is(old, topic, n)) return MQ_OK;
	name *new = name_new(core, topic, n);
	if (!new) return MQ_NOMEM;
	mq_release(core, old);
	in->at[alias - 1] = new;
	return MQ_OK;
}

int mq_alias_set(mq_conn *c, uint16_t alias, const uint8_t *topic, size_t n) {
	mq_aliases *a = aliases_of(c);
	return a ? set(c->core, &a->in, alias, topic, n) : MQ_NOMEM;
}

const uint8_t *mq_alias_get(const mq_conn *c, uint16_t alias, uint32_t *n) {
	const name *known = c->aliases ? name_of(&c->aliases->in, alias) : NULL;
	if (!known) return NULL;
	*n = known->n;
	return known->bytes;
}

uint16_t mq_alias_chosen(const mq_conn *c, uint16_t alias, const uint8_t *topic, size_t n, int *fresh) {
	*fresh = 0;
	if (alias > c->terms.alias_chosen) return 0;
	*fresh = !c->aliases || !is(name_of(&c->aliases->chosen, alias), topic, n);
	return alias;
}

int mq_alias_choose(mq_conn *c, uint16_t alias, const uint8_t *topic, size_t n) {
	mq_aliases *a = aliases_of(c);
	return a ? set(c->core, &a->chosen, alias, topic, n) : MQ_NOMEM;
}

uint16_t mq_alias_out(const mq_conn *c, const uint8_t *topic, size_t n, int *fresh) {
	const mq_aliases *a = c->aliases;
	*fresh = 0;
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
	for (uint32_t i = 0; i < a->in.room; i++) mq_release(c->core, a->in.at[i]);
	for (uint32_t i = 0; i < a->chosen.room; i++) mq_release(c->core, a->chosen.at[i]);
	for (uint32_t i = 0; i < a->out_n; i++) mq_release(c->core, a->out[i]);
	mq_release(c->core, a->in.at);
	mq_release(c->core, a->chosen.at);
	mq_release(c->core, a->out);
	mq_release(c->core, a->index);
	mq_release(c->core, a);
	c->aliases = NULL;
}
