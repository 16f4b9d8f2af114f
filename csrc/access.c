#include "access.h"
#include <string.h>
#include "callbacks.h"
#include "mem.h"
#include "state.h"
#include "tree.h"

/* Topics a session may have decisions on at a time; more start the cache anew. A power of two, the table is twice that. */
#define DECISIONS_MAX 1024
#define DECISIONS_MIN 16
/* Decisions on longer topics are not remembered: each publisher could fill the cache of each subscriber with 64 MB. */
#define TOPIC_MAX 256

typedef struct {
	uint32_t hash;
	uint16_t n;
	uint8_t known, allowed; /* bits of enum mq_access */
	uint8_t topic[];
} decision;

typedef struct mq_decisions {
	decision **slots;
	decision *last; /* the one found last: most clients use one topic many times, and need no hash for that */
	uint32_t mask, count;
	uint32_t generation;
} mq_decisions;

static void clear(mq_core *core, mq_decisions *d) {
	for (uint32_t i = 0; d->slots && i <= d->mask; i++) mq_release(core, d->slots[i]);
	mq_release(core, d->slots);
	*d = (mq_decisions){.generation = core->access_generation};
}

void mq_access_forget(mq_session *s) {
	if (!s->decisions) return;
	clear(s->core, s->decisions);
	mq_release(s->core, s->decisions);
	s->decisions = NULL;
}

void mq_session_access(mq_session *s, int mode) {
	mq_access_forget(s);
	s->access = (uint8_t)mode;
}

void mq_core_access_changed(mq_core *core) { core->access_generation++; }

static int is_about(const decision *at, const mq_view *v) {
	return at->n == v->topic_n && !memcmp(at->topic, v->topic, v->topic_n);
}

/* The decision on a topic, NULL if there is none, and then the view has its hash; decisions of older rules go. */
static decision *find(mq_session *s, mq_view *v) {
	mq_decisions *d = s->decisions;
	if (d && d->generation != s->core->access_generation) clear(s->core, d);
	if (d && d->last && is_about(d->last, v)) return d->last;
	if (!v->hash) v->hash = mq_topic_hash(&s->core->retained, v->topic, v->topic_n);
	if (!d || !d->slots) return NULL;
	for (uint32_t i = v->hash & d->mask; d->slots[i]; i = (i + 1) & d->mask)
		if (d->slots[i]->hash == v->hash && is_about(d->slots[i], v)) return d->last = d->slots[i];
	return NULL;
}

static void place(mq_decisions *d, decision *new) {
	uint32_t i = new->hash & d->mask;
	while (d->slots[i]) i = (i + 1) & d->mask;
	d->slots[i] = new;
}

static int make_room(mq_core *core, mq_decisions *d) {
	if (d->count >= DECISIONS_MAX) clear(core, d);
	if (d->slots && (d->count + 1) * 2 <= d->mask + 1) return MQ_OK;
	uint32_t size = d->slots ? (d->mask + 1) * 2 : DECISIONS_MIN;
	decision **old = d->slots, **new = mq_zalloc(core, size * sizeof *new);
	if (!new) return MQ_NOMEM;
	uint32_t old_size = old ? d->mask + 1 : 0;
	d->slots = new;
	d->mask = size - 1;
	for (uint32_t i = 0; i < old_size; i++)
		if (old[i]) place(d, old[i]);
	mq_release(core, old);
	return MQ_OK;
}

/* Without memory, or for a long topic, a decision is not remembered, and asked for again. */
static decision *add(mq_session *s, const mq_view *v) {
	mq_core *core = s->core;
	if (v->topic_n > TOPIC_MAX) return NULL;
	if (!s->decisions && !(s->decisions = mq_zalloc(core, sizeof *s->decisions))) return NULL;
	mq_decisions *d = s->decisions;
	if (!d->slots) d->generation = core->access_generation;
	if (make_room(core, d)) return NULL;
	decision *new = mq_zalloc(core, sizeof *new + v->topic_n);
	if (!new) return NULL;
	new->hash = v->hash;
	new->n = (uint16_t)v->topic_n;
	memcpy(new->topic, v->topic, v->topic_n);
	place(d, new);
	d->count++;
	d->last = new;
	return new;
}

static int ask(mq_session *s, int access, const mq_view *v, int with_payload) {
	return mq_on_access(s->core->user, s->client_id, s->client_id_n, access, v->topic, v->topic_n,
		with_payload ? v->payload : NULL, with_payload ? v->payload_n : 0, v->qos, v->retain);
}

int mq_access_ask(mq_session *s, int access, mq_view *v) {
	if (s->access == MQ_ACCESS_ASK) return ask(s, access, v, 1);
	decision *d = find(s, v);
	if (d && d->known & access) return d->allowed & access ? MQ_OK : MQ_NONE;
	int verdict = ask(s, access, v, 0);
	if (verdict != MQ_OK && verdict != MQ_NONE) return MQ_NOMEM;
	if (!d && !(d = add(s, v))) return verdict;
	d->known |= (uint8_t)access;
	if (verdict == MQ_OK) d->allowed |= (uint8_t)access;
	return verdict;
}

/* ---- who published ---- */

mq_source *mq_source_new(mq_core *core, const uint8_t *client_id, uint16_t client_id_n, const uint8_t *username,
	uint16_t username_n, int has_username, uint16_t port) {
	mq_source *new = mq_alloc(core, sizeof *new + client_id_n + username_n);
	if (!new) return NULL;
	*new = (mq_source){
		.refs = 1, .client_id_n = client_id_n, .username_n = username_n, .port = port, .has_username = has_username != 0};
	if (client_id_n) memcpy(new->bytes, client_id, client_id_n);
	if (username_n) memcpy(new->bytes + client_id_n, username, username_n);
	return new;
}

int mq_session_source(mq_session *s, const uint8_t *username, size_t n, int has_username, uint16_t port) {
	if (n > UINT16_MAX) return MQ_MALFORMED;
	mq_source *new = mq_source_new(s->core, s->client_id, s->client_id_n, username, (uint16_t)n, has_username, port);
	if (!new) return MQ_NOMEM;
	mq_source_unref(s->core, s->source);
	s->source = new;
	return MQ_OK;
}

int mq_source_is(const mq_source *from, const mq_record *m) {
	return from->port == m->port && from->client_id_n == m->client_id_n && from->username_n == m->username_n &&
		   from->has_username == (m->username != NULL) &&
		   (!m->client_id_n || !memcmp(from->bytes, m->client_id, m->client_id_n)) &&
		   (!m->username_n || !memcmp(from->bytes + from->client_id_n, m->username, m->username_n));
}

void mq_source_unref(mq_core *core, mq_source *source) {
	if (source && --source->refs == 0) mq_release(core, source);
}

int mq_source_check(mq_core *core, const mq_message *m) {
	const mq_source *from = m->source;
	if (!from) return MQ_OK; /* the broker's own */
	return mq_on_source(core->user, from->bytes, from->client_id_n, from->bytes + from->client_id_n,
		from->has_username ? from->username_n : -1, from->port, m->bytes, m->topic_n);
}
