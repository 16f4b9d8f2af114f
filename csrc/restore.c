/* restore.c: messages on their way back from a file or a store into queues, windows and the retained tree.
 *
 * While a store is read its messages are found by their numbers in a table that holds a reference to each. mq_restore_done
 * frees the table, and with it every message that nobody has claimed. What is not taken back is reported to the journal as
 * gone, so that it leaves the store, too.
 */
#include "access.h"
#include "journal.h"
#include "mem.h"
#include "route.h"
#include "session.h"
#include "state.h"
#include "topic.h"
#include "wire.h"

#define SLOTS_MIN 1024

typedef struct mq_restoring {
	mq_message **slots;
	size_t mask, count;
	mq_source *source; /* of the message before: messages of one publisher often follow each other */
} mq_restoring;

/* ---- the table ---- */

static size_t home(const mq_restoring *r, uint64_t id) { return (size_t)(id * 0x9E3779B97F4A7C15u >> 20) & r->mask; }

static mq_message *find(const mq_restoring *r, uint64_t id) {
	for (size_t i = r && r->slots ? home(r, id) : 0; r && r->slots && r->slots[i]; i = (i + 1) & r->mask)
		if (r->slots[i]->id == id) return r->slots[i];
	return NULL;
}

static void place(mq_restoring *r, mq_message *m) {
	size_t i = home(r, m->id);
	while (r->slots[i]) i = (i + 1) & r->mask;
	r->slots[i] = m;
}

static int grow(mq_core *core, mq_restoring *r) {
	size_t size = r->slots ? (r->mask + 1) * 2 : SLOTS_MIN;
	mq_message **old = r->slots, **new = mq_zalloc(core, size * sizeof *new);
	if (!new) return MQ_NOMEM;
	size_t old_size = old ? r->mask + 1 : 0;
	r->slots = new;
	r->mask = size - 1;
	for (size_t i = 0; i < old_size; i++)
		if (old[i]) place(r, old[i]);
	mq_release(core, old);
	return MQ_OK;
}

static mq_restoring *table(mq_core *core) {
	mq_restoring *r = core->restoring;
	if (!r) r = core->restoring = mq_zalloc(core, sizeof *r);
	if (!r || ((!r->slots || (r->count + 1) * 2 > r->mask + 1) && grow(core, r))) return NULL;
	return r;
}

/* ---- messages ---- */

static mq_source *source_of(mq_core *core, mq_restoring *r, const mq_record *m) {
	if (!m->client_id_n && !m->username && !m->port) return NULL;
	if (r->source && mq_source_is(r->source, m)) return r->source;
	mq_source *new = mq_source_new(core, m->client_id, m->client_id_n, m->username, m->username_n, m->username != NULL, m->port);
	if (!new) return NULL;
	mq_source_unref(core, r->source);
	return r->source = new;
}

static int is_over(const mq_core *core, const mq_record *m) { return m->expires && m->expires <= core->wall; }

/* The ten highest bits name another node of a cluster, whose numbers are not ours to go on with. */
static void seen(mq_core *core, uint64_t id) {
	if (id > core->last_id && id >> 54 == 0) core->last_id = id;
}

int mq_restore_message(mq_core *core, const mq_record *m) {
	mq_restoring *r = table(core);
	if (!r) return MQ_NOMEM;
	if (m->topic_n > UINT16_MAX || m->properties_n > MQ_VARINT_MAX || m->payload_n > MQ_VARINT_MAX ||
		!mq_topic_formed(m->topic, m->topic_n) || !mq_utf8_valid(m->topic, m->topic_n))
		return MQ_BAD_FILTER;
	if (find(r, m->id)) return MQ_EXISTS;
	seen(core, m->id);
	if (is_over(core, m)) {
		mq_journal_lost(core, m->id);
		return MQ_NONE;
	}
	mq_view view = {.topic = m->topic,
		.topic_n = m->topic_n,
		.properties = m->properties,
		.properties_n = m->properties_n,
		.payload = m->payload,
		.payload_n = m->payload_n,
		.mid = m->mid,
		.qos = m->qos & 3,
		.retain = m->retain != 0,
		.expires = m->expires,
		.source = source_of(core, r, m)};
	uint64_t last = core->last_id;
	mq_message *kept = mq_view_keep(core, &view); /* its reference is the table's */
	if (!kept) return MQ_NOMEM;
	kept->id = m->id;
	kept->stored = core->journal.on;
	core->last_id = last;
	place(r, kept);
	r->count++;
	return MQ_OK;
}

int mq_restore_has(const mq_core *core, uint64_t id) { return find(core->restoring, id) != NULL; }

int mq_restore_retained(mq_core *core, uint64_t id) {
	mq_message *m = find(core->restoring, id);
	if (!m || !m->payload_n) return MQ_NONE;
	mq_view view = mq_message_view(m);
	uint8_t on = core->journal.on;
	core->journal.on = 0; /* the store knows */
	int status = mq_retain(core, &view);
	core->journal.on = on;
	m->listed = on;
	return status;
}

int mq_restore_delivery(mq_session *s, const mq_delivery *p) {
	mq_journal *j = &s->core->journal;
	mq_message *m = find(s->core->restoring, p->message);
	if (p->row >= j->next_row) j->base = j->next_row = p->row + 1;
	int status = m ? mq_session_restore(s, m, p) : MQ_NONE;
	/* What was taken back reported its own end; of the rest nobody knows. */
	if (p->row && (!m || p->qos > 2)) mq_journal_vanish(s->core, p->row);
	return status;
}

void mq_restore_done(mq_core *core, uint64_t last_id) {
	mq_restoring *r = core->restoring;
	seen(core, last_id);
	if (!r) return;
	core->restoring = NULL;
	for (size_t i = 0; r->slots && i <= r->mask; i++)
		if (r->slots[i]) mq_message_unref(core, r->slots[i]);
	mq_source_unref(core, r->source);
	mq_release(core, r->slots);
	mq_release(core, r);
}
