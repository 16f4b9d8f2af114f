#include "journal.h"
#include "access.h"
#include "conn.h"
#include "mem.h"
#include "session.h"
#include "state.h"

/* Slots that one drain looks at: the owner's copies of a large batch stay small. */
#define DRAIN_MAX 8192
/* Below this many slots it is not worth while to look for empty ones. */
#define TIDY_MIN 4096

/* ---- arrays ---- */

static int reserve(mq_core *core, mq_array *a, size_t n, size_t size) {
	if (n <= a->room) return MQ_OK;
	size_t room = a->room ? a->room * 2 : 64;
	if (room < n) room = n;
	void *at = mq_resize(core, a->at, room * size);
	if (!at) return MQ_NOMEM;
	a->at = at;
	a->room = room;
	return MQ_OK;
}

static void release(mq_core *core, mq_array *a) {
	mq_release(core, a->at);
	*a = (mq_array){0};
}

#define PUSH(core, array, type, ...)                               \
	(reserve(core, array, (array)->n + 1, sizeof(type)) ? MQ_NOMEM \
														: (((type *)(array)->at)[(array)->n++] = (type)__VA_ARGS__, MQ_OK))

/* ---- what happens to the messages of sessions ---- */

static mq_slot_of_entry *slots(const mq_journal *j) { return j->added.at; }
static mq_entry **changes(const mq_journal *j) { return j->changed.at; }
static int is_fresh(const mq_journal *j, const mq_entry *e) { return e->row >= j->base + j->from; }

/* Most fresh entries end soon: close the gaps they left. Rows that no drain has given out may be given again. */
static void tidy(mq_journal *j) {
	size_t kept = j->from;
	for (size_t i = j->from; i < j->added.n; i++) {
		if (!slots(j)[i].entry) continue;
		slots(j)[kept] = slots(j)[i];
		slots(j)[kept].entry->row = j->base + kept;
		kept++;
	}
	j->added.n = kept;
	j->next_row = j->base + kept;
}

int mq_journal_add(mq_session *s, mq_entry *e) {
	mq_journal *j = &s->core->journal;
	if (j->added.n - j->from >= TIDY_MIN && j->alive * 2 < j->added.n - j->from) tidy(j);
	if (PUSH(s->core, &j->added, mq_slot_of_entry, {e, s})) return MQ_NOMEM;
	e->row = j->next_row++;
	j->alive++;
	j->promised = 1;
	return MQ_OK;
}

void mq_journal_change(mq_core *core, mq_entry *e) {
	mq_journal *j = &core->journal;
	if (!j->on) return;
	if (e->qos == 2) j->promised = 1; /* a QoS 1 message may be sent twice */
	if (e->change || is_fresh(j, e)) return;
	/* Without memory the store keeps the state before this one, from which delivery goes on after a restart. */
	if (PUSH(core, &j->changed, mq_entry *, e)) return;
	e->change = (uint32_t)j->changed.n;
	j->altered++;
}

/* Without memory the row stays, and the message is delivered once more after a restart. */
void mq_journal_vanish(mq_core *core, uint64_t row) {
	if (core->journal.on) PUSH(core, &core->journal.gone, uint64_t, row);
}

void mq_journal_end(mq_core *core, mq_entry *e) {
	mq_journal *j = &core->journal;
	if (!j->on) return;
	if (is_fresh(j, e)) {
		slots(j)[e->row - j->base].entry = NULL;
		j->alive--;
	} else {
		if (e->change) {
			changes(j)[e->change - 1] = NULL;
			j->altered--;
		}
		mq_journal_vanish(core, e->row);
		if (e->state == MQ_WAIT_PUBREL) j->promised = 1;
	}
	e->row = 0;
	e->change = 0;
}

/* ---- what happens to messages ---- */

/* A message that was superseded may be held by nothing but the journal. Large ones count for several. */
static size_t weight_of(const mq_message *m) { return 1 + m->payload_n / 4096; }

static void drop_superseded(mq_core *core, mq_journal *j) {
	mq_keeping *k = j->keepings.at;
	size_t kept = 0;
	j->weight = 0;
	for (size_t i = 0; i < j->keepings.n; i++) {
		if (k[i].cleared || k[i].message->current) {
			j->weight += weight_of(k[i].message);
			k[kept++] = k[i];
		} else {
			mq_message_unref(core, k[i].message);
		}
	}
	j->keepings.n = kept;
	j->weight_after_tidy = j->weight;
}

int mq_journal_retain(mq_core *core, mq_message *m, int cleared) {
	mq_journal *j = &core->journal;
	if (!j->on || mq_topic_is_sys(m->bytes, m->topic_n) || (cleared && !m->listed)) return MQ_OK;
	if (j->weight >= TIDY_MIN && j->weight >= 2 * j->weight_after_tidy) drop_superseded(core, j);
	if (PUSH(core, &j->keepings, mq_keeping, {m, cleared != 0})) return MQ_NOMEM;
	mq_message_ref(m);
	j->weight += weight_of(m);
	j->promised = 1;
	return MQ_OK;
}

void mq_journal_lost(mq_core *core, uint64_t id) {
	/* Without memory the row stays until the next start, where nobody refers to it. */
	if (core->journal.on) PUSH(core, &core->journal.lost, uint64_t, id);
}

/* ---- draining ---- */

static uint8_t stage_of(const mq_entry *e) { return e->state == MQ_QUEUED ? MQ_STAGE_QUEUED : e->state; }

static mq_delivery delivery_of(const mq_entry *e, const mq_session *s) {
	int incoming = e->state == MQ_WAIT_PUBREL;
	return (mq_delivery){.row = e->row,
		.message = e->message->id,
		.client_id = s ? s->client_id : NULL,
		.client_id_n = s ? s->client_id_n : 0,
		.id = e->id,
		.mid = e->mid,
		.qos = e->qos,
		.retain = e->retain,
		.dup = incoming ? 0 : e->repeats,
		.stage = stage_of(e),
		.incoming = (uint8_t)incoming};
}

mq_record mq_message_record(const mq_message *m) {
	mq_record r = {.id = m->id,
		.expires = m->expires,
		.topic = m->bytes,
		.topic_n = m->topic_n,
		.properties = m->bytes + m->topic_n,
		.properties_n = m->properties_n,
		.payload = m->bytes + m->topic_n + m->properties_n,
		.payload_n = m->payload_n,
		.mid = m->mid,
		.qos = (uint8_t)m->qos,
		.retain = (uint8_t)m->retain};
	const mq_source *from = m->source;
	if (!from) return r;
	r.client_id = from->bytes;
	r.client_id_n = from->client_id_n;
	r.username = from->has_username ? from->bytes + from->client_id_n : NULL;
	r.username_n = from->username_n;
	r.port = from->port;
	return r;
}

/* Room for everything this drain gives out, before anything is changed. */
static int make_room(mq_core *core, mq_journal *j, size_t added, size_t kept) {
	return reserve(core, &j->records, added + kept, sizeof(mq_record)) ||
		   reserve(core, &j->deliveries, added, sizeof(mq_delivery)) ||
		   reserve(core, &j->changes, j->changed.n, sizeof(mq_delivery)) || reserve(core, &j->keeps, kept, sizeof(mq_keep)) ||
		   reserve(core, &j->told, kept, sizeof(mq_message *));
}

static void give_message(mq_journal *j, mq_message *m) {
	if (m->stored) return;
	((mq_record *)j->records.at)[j->records.n++] = mq_message_record(m);
	m->stored = 1;
}

static void give_deliveries(mq_journal *j, size_t n) {
	for (; n; n--) {
		mq_slot_of_entry at = slots(j)[j->from++];
		if (!at.entry) continue;
		give_message(j, at.entry->message);
		((mq_delivery *)j->deliveries.at)[j->deliveries.n++] = delivery_of(at.entry, at.session);
		j->alive--;
	}
	if (j->from < j->added.n) return;
	j->base = j->next_row;
	j->from = j->added.n = 0;
}

static void give_changes(mq_journal *j) {
	for (size_t i = 0; i < j->changed.n; i++) {
		mq_entry *e = changes(j)[i];
		if (!e) continue;
		((mq_delivery *)j->changes.at)[j->changes.n++] = delivery_of(e, NULL);
		e->change = 0;
	}
	j->changed.n = j->altered = 0;
}

static void give_keepings(mq_journal *j, size_t n) {
	mq_keeping *k = j->keepings.at;
	for (size_t i = 0; i < n; i++) {
		mq_message *m = k[i].message;
		((mq_message **)j->told.at)[j->told.n++] = m; /* its reference goes with the next drain */
		if (!k[i].cleared && !m->current) continue;
		if (!k[i].cleared) {
			give_message(j, m);
			m->listed = 1;
		}
		((mq_keep *)j->keeps.at)[j->keeps.n++] = (mq_keep){k[i].cleared ? 0 : m->id, m->bytes, m->topic_n};
	}
	j->keepings.n -= n;
	for (size_t i = 0; i < j->keepings.n; i++) k[i] = k[i + n];
	if (!j->keepings.n) j->weight = j->weight_after_tidy = 0;
}

static void swap(mq_array *a, mq_array *b) {
	mq_array c = *a;
	*a = *b;
	*b = c;
}

static void forget_last_drain(mq_core *core, mq_journal *j) {
	for (size_t i = 0; i < j->told.n; i++) mq_message_unref(core, ((mq_message **)j->told.at)[i]);
	j->records.n = j->deliveries.n = j->changes.n = j->keeps.n = j->gone_out.n = j->lost_out.n = j->told.n = 0;
}

static size_t at_most(size_t n) { return n < DRAIN_MAX ? n : DRAIN_MAX; }

int mq_journal_drain(mq_core *core, mq_drain *out) {
	mq_journal *j = &core->journal;
	forget_last_drain(core, j);
	size_t added = at_most(j->added.n - j->from), kept = at_most(j->keepings.n);
	*out = (mq_drain){0};
	if (make_room(core, j, added, kept)) return MQ_NOMEM;
	give_deliveries(j, added);
	give_changes(j);
	give_keepings(j, kept);
	swap(&j->gone, &j->gone_out);
	swap(&j->lost, &j->lost_out);
	*out = (mq_drain){.messages = j->records.at,
		.deliveries = j->deliveries.at,
		.changed = j->changes.at,
		.retained = j->keeps.at,
		.gone = j->gone_out.at,
		.gone_messages = j->lost_out.at,
		.messages_n = j->records.n,
		.deliveries_n = j->deliveries.n,
		.changed_n = j->changes.n,
		.retained_n = j->keeps.n,
		.gone_n = j->gone_out.n,
		.gone_messages_n = j->lost_out.n};
	return mq_journal_pending(core) || j->told.n ? MQ_BLOCKED : MQ_OK; /* messages told of may be lost with the next drain */
}

/* ---- life ---- */

void mq_core_journal(mq_core *core, int on) {
	mq_journal *j = &core->journal;
	j->on = on != 0;
	if (!j->next_row) j->base = j->next_row = 1;
}

size_t mq_journal_pending(const mq_core *core) {
	const mq_journal *j = &core->journal;
	return j->alive + j->altered + j->keepings.n + j->gone.n + j->lost.n;
}

void mq_journal_free(mq_core *core) {
	mq_journal *j = &core->journal;
	j->on = 0;
	forget_last_drain(core, j);
	mq_keeping *k = j->keepings.at;
	for (size_t i = 0; i < j->keepings.n; i++) mq_message_unref(core, k[i].message);
	mq_array *all[] = {&j->added, &j->changed, &j->keepings, &j->gone, &j->lost, &j->records, &j->deliveries, &j->changes,
		&j->keeps, &j->gone_out, &j->lost_out, &j->told};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) release(core, all[i]);
}

/* ---- promises ---- */

void mq_core_hold(mq_core *core, int on) {
	core->journal.hold = on != 0;
	mq_core_committed(core);
}

void mq_core_committed(mq_core *core) {
	core->journal.promised = 0;
	if (!++core->journal.epoch) core->journal.epoch = 1; /* 0: no connection is held */
}

/* In the list of output, where the flush after the commit finds it. */
void mq_hold(mq_conn *c) {
	c->held = c->core->journal.epoch;
	mq_conn_touch(c);
}

void mq_conn_promise(mq_conn *c) {
	c->core->journal.promised = 1;
	mq_promise(c);
}

int mq_conn_held(const mq_conn *c) { return mq_is_held(c); }

size_t mq_core_held(mq_core *core, uint32_t *owners, size_t max) {
	size_t n = 0;
	for (size_t i = 0; i < core->dirty.n && n < max; i++) {
		const mq_conn *c = core->dirty.at[i];
		if (c->state != MQ_STATE_CLOSED && mq_is_held(c)) owners[n++] = c->owner;
	}
	return n;
}

void mq_conn_discard(mq_conn *c) {
	const mq_chunk *next = c->out.head;
	c->cut = next && (next->start || next->borrowed);
	mq_chain_clear(c->core, &c->out);
	c->held = 0;
	c->answers = 0;
}

void mq_core_refuse(mq_core *core, uint8_t reason) { core->journal.refuse = reason; }
