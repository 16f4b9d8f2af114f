#include "session.h"
#include <string.h>
#include "access.h"
#include "callbacks.h"
#include "conn.h"
#include "deliver.h"
#include "journal.h"
#include "mem.h"
#include "state.h"
#include "subs.h"

/* ---- id map: packet identifier -> entry; identifiers run in sequence, so the identifier is its own hash ---- */

#define IDS_MIN 32
#define MID_MAX 65535u
/* Messages in flight at most, whatever the client allows: with few identifiers free each new message would look for long. */
#define FLIGHT_MAX (MID_MAX - 4096)

static mq_entry *ids_get(const mq_ids *m, uint16_t mid) {
	for (uint32_t i = mid & m->mask; m->count && m->slots[i]; i = (i + 1) & m->mask)
		if (m->slots[i]->mid == mid) return m->slots[i];
	return NULL;
}

static void ids_place(mq_ids *m, mq_entry *e) {
	uint32_t home = e->mid & m->mask, i = home;
	while (m->slots[i]) i = (i + 1) & m->mask;
	m->slots[i] = e;
	m->count++;
	m->displaced += i != home;
}

static int ids_grow(mq_core *core, mq_ids *m) {
	uint32_t size = m->slots ? (m->mask + 1) * 2 : IDS_MIN;
	mq_entry **old = m->slots, **new = mq_zalloc(core, size * sizeof *new);
	if (!new) return MQ_NOMEM;
	uint32_t old_size = old ? m->mask + 1 : 0;
	*m = (mq_ids){.slots = new, .mask = size - 1};
	for (uint32_t i = 0; i < old_size; i++)
		if (old[i]) ids_place(m, old[i]);
	mq_release(core, old);
	return MQ_OK;
}

static int ids_put(mq_core *core, mq_ids *m, mq_entry *e) {
	if ((!m->slots || (m->count + 1) * 2 > m->mask + 1) && ids_grow(core, m)) return MQ_NOMEM;
	ids_place(m, e);
	return MQ_OK;
}

static void ids_remove(mq_core *core, mq_ids *m, uint16_t mid) {
	uint32_t i = mid & m->mask;
	while (m->slots[i]->mid != mid) i = (i + 1) & m->mask;
	m->displaced -= i != (mid & m->mask);
	for (uint32_t j = (i + 1) & m->mask; m->displaced && m->slots[j]; j = (j + 1) & m->mask) {
		uint32_t home = m->slots[j]->mid & m->mask;
		if (((j - home) & m->mask) < ((j - i) & m->mask)) continue;
		m->slots[i] = m->slots[j];
		m->displaced -= i == home;
		i = j;
	}
	m->slots[i] = NULL;
	if (--m->count || m->mask + 1 == IDS_MIN) return;
	mq_release(core, m->slots); /* a large map that ran empty goes back; a small one is kept for the next message */
	*m = (mq_ids){0};
}

/* ---- lists of entries ---- */

/* As many entries are kept for the next message; what a burst took beyond that goes back to the allocator. */
#define KEEP_ENTRIES 32768

static mq_entry *entry_new(mq_core *core, mq_message *message, mq_entry like) {
	mq_entry *e = core->entries;
	if (e) {
		core->entries = e->next;
		core->entries_kept--;
	} else if (!(e = mq_alloc(core, sizeof *e))) {
		return NULL;
	}
	*e = like;
	e->message = mq_message_ref(message);
	return e;
}

static void entry_free(mq_core *core, mq_entry *e) {
	if (e->row) mq_journal_end(core, e);
	mq_message_unref(core, e->message);
	if (core->entries_kept >= KEEP_ENTRIES) {
		mq_release(core, e);
		return;
	}
	e->next = core->entries;
	core->entries = e;
	core->entries_kept++;
}

static void list_append(mq_list *l, mq_entry *e) {
	e->prev = l->tail;
	e->next = NULL;
	if (l->tail) l->tail->next = e;
	else l->head = e;
	l->tail = e;
	l->n++;
	l->bytes += e->message->payload_n;
}

static void list_prepend(mq_list *l, mq_entry *e) {
	e->prev = NULL;
	e->next = l->head;
	if (l->head) l->head->prev = e;
	else l->tail = e;
	l->head = e;
	l->n++;
	l->bytes += e->message->payload_n;
}

static void list_unlink(mq_list *l, mq_entry *e) {
	if (e->prev) e->prev->next = e->next;
	else l->head = e->next;
	if (e->next) e->next->prev = e->prev;
	else l->tail = e->prev;
	l->n--;
	l->bytes -= e->message->payload_n;
}

static void list_free(mq_core *core, mq_list *l) {
	while (l->head) {
		mq_entry *e = l->head;
		list_unlink(l, e);
		entry_free(core, e);
	}
}

/* ---- the session itself ---- */

mq_session *mq_session_new(mq_core *core, const uint8_t *client_id, size_t n) {
	if (n > UINT16_MAX) return NULL;
	mq_session *s = mq_zalloc(core, sizeof *s + n);
	if (!s) return NULL;
	s->core = core;
	s->client_id_n = (uint16_t)n;
	if (n) memcpy(s->client_id, client_id, n);
	s->next = core->sessions;
	if (s->next) s->next->prev = s;
	core->sessions = s;
	return s;
}

/* A session that is to end with its connection leaves nothing in the store. */
static void forget_rows(mq_core *core, const mq_list *l) {
	for (mq_entry *e = l->head; e; e = e->next)
		if (e->row) mq_journal_end(core, e);
}

void mq_session_durable(mq_session *s, int on) {
	s->durable = on != 0;
	if (on || !s->flow) return;
	forget_rows(s->core, &s->flow->flight);
	forget_rows(s->core, &s->flow->queue);
	forget_rows(s->core, &s->flow->inbound);
}

static void flow_free(mq_core *core, mq_flow *f) {
	if (!f) return;
	list_free(core, &f->flight);
	list_free(core, &f->queue);
	list_free(core, &f->inbound);
	mq_release(core, f->flight_ids.slots);
	mq_release(core, f->inbound_ids.slots);
	mq_release(core, f);
}

void mq_session_free(mq_session *s) {
	if (s->dead) return;
	if (s->conn) s->conn->session = NULL;
	s->conn = NULL;
	mq_subs_end(s);
	flow_free(s->core, s->flow);
	s->flow = NULL;
	mq_access_forget(s);
	mq_source_unref(s->core, s->source);
	s->source = NULL;
	s->dead = 1;
	if (s->prev) s->prev->next = s->next;
	else s->core->sessions = s->next;
	if (s->next) s->next->prev = s->prev;
	mq_reap_later(s->core, NULL, s);
}

static mq_flow *flow_of(mq_session *s) {
	if (!s->flow) s->flow = mq_zalloc(s->core, sizeof *s->flow);
	return s->flow;
}

/* ---- outgoing: window and queue ---- */

static int is_journalled(const mq_session *s) { return s->durable && s->core->journal.on; }

static uint32_t window_of(const mq_session *s) { return s->conn ? s->conn->terms.receive_max : 0; }

static int window_open(const mq_session *s) {
	const mq_flow *f = s->flow;
	uint32_t max = window_of(s);
	uint64_t max_bytes = s->core->options.max_inflight_bytes;
	return s->conn && f->flight.n < (max && max < FLIGHT_MAX ? max : FLIGHT_MAX) && (!max_bytes || f->flight.bytes < max_bytes) &&
		   !mq_conn_backlogged(s->conn);
}

/* While connected the queue may hold a window more than max_queued_messages, and likewise in bytes. */
static int queue_open(const mq_session *s) {
	const mq_options *o = &s->core->options;
	uint64_t n = o->max_queued_messages, bytes = o->max_queued_bytes;
	if (s->conn) {
		if (n) n += window_of(s);
		if (bytes) bytes += o->max_inflight_bytes;
	}
	return (!n || s->flow->queue.n < n) && (!bytes || s->flow->queue.bytes < bytes);
}

void mq_session_dropped(mq_session *s) {
	s->core->stats.publish_dropped++;
	if (s->dropping) return;
	s->dropping = 1;
	mq_on_notice(s->core->user, MQ_NOTICE_DROPPING, s->client_id, s->client_id_n, 0);
}

/* The next packet identifier that no message in flight has (MQTT-2.2.1-3). */
static uint16_t next_mid(mq_flow *f) {
	do f->last_mid = f->last_mid == MID_MAX ? 1 : (uint16_t)(f->last_mid + 1);
	while (ids_get(&f->flight_ids, f->last_mid));
	return f->last_mid;
}

uint16_t mq_session_next_mid(mq_session *s) { return flow_of(s) ? next_mid(s->flow) : 0; }

static void flight_remove(mq_session *s, mq_entry *e) {
	ids_remove(s->core, &s->flow->flight_ids, e->mid);
	list_unlink(&s->flow->flight, e);
	entry_free(s->core, e);
}

static int transmit(mq_session *s, mq_entry *e) {
	mq_view view = mq_message_view(e->message);
	if (e->qos == 2 && s->durable) mq_promise(s->conn); /* its packet identifier must be known after a restart: exactly once */
	int status = mq_deliver(
		s->conn, &view, (mq_sending){.id = e->id, .mid = e->mid, .qos = e->qos, .retain = e->retain, .dup = e->repeats});
	if (status == MQ_OK) e->repeats = 1;
	return status;
}

/* Send an entry that is in no list; one that cannot be delivered (expired, too large) gives its slot back. */
static void launch(mq_session *s, mq_entry *e) {
	mq_flow *f = s->flow;
	if (e->qos == 0) {
		transmit(s, e);
		entry_free(s->core, e);
		return;
	}
	if (ids_get(&f->flight_ids, e->mid)) e->mid = next_mid(f);
	if (ids_put(s->core, &f->flight_ids, e)) {
		mq_session_dropped(s);
		entry_free(s->core, e);
		return;
	}
	e->state = e->qos == 1 ? MQ_WAIT_PUBACK : MQ_WAIT_PUBREC;
	if (e->row) mq_journal_change(s->core, e);
	list_append(&f->flight, e);
	if (transmit(s, e) == MQ_NONE) flight_remove(s, e);
}

static void enqueue(mq_session *s, mq_entry *e) {
	list_append(&s->flow->queue, e);
	s->core->stats.changes++;
}

void mq_session_offer(mq_session *s, mq_offer o) {
	mq_core *core = s->core;
	mq_flow *f = flow_of(s);
	mq_message *m = mq_view_keep(core, o.view);
	if (!f || !m) {
		mq_session_dropped(s);
		return;
	}
	mq_entry like = {.id = o.id, .qos = o.qos, .retain = o.retain, .mid = o.qos ? next_mid(f) : 0};
	int direct = f->queue.n == 0 && window_open(s);
	mq_entry *e = direct || queue_open(s) ? entry_new(core, m, like) : NULL;
	if (e && is_journalled(s) && mq_journal_add(s, e)) {
		entry_free(core, e);
		e = NULL;
	}
	if (!e) mq_session_dropped(s);
	else if (direct) launch(s, e);
	else enqueue(s, e);
}

void mq_session_pump(mq_session *s) {
	mq_flow *f = s->flow;
	while (f && f->queue.n && window_open(s)) {
		mq_entry *e = f->queue.head;
		list_unlink(&f->queue, e);
		if (s->conn->terms.max_qos < e->qos) e->qos = s->conn->terms.max_qos;
		launch(s, e);
	}
}

/* Expired, or not to be read by this client any more: the rules may have changed while it was away. */
static int void_now(mq_session *s, const mq_entry *e, int access) {
	mq_view view = mq_message_view(e->message);
	return mq_expired(view.expires, s->core->wall) || mq_access_check(s, access, &view);
}

static void forget_void(mq_session *s) {
	mq_flow *f = s->flow;
	for (mq_entry *e = f->flight.head, *next; e; e = next) {
		next = e->next;
		if (void_now(s, e, MQ_READ)) flight_remove(s, e);
	}
	for (mq_entry *e = f->queue.head, *next; e; e = next) {
		next = e->next;
		if (!void_now(s, e, MQ_READ)) continue;
		list_unlink(&f->queue, e);
		entry_free(s->core, e);
	}
	for (mq_entry *e = f->inbound.head, *next; e; e = next) {
		next = e->next;
		if (s->access && void_now(s, e, MQ_WRITE)) mq_session_release(s, e);
	}
}

/* A server may take less at a time than before: then the last to be sent wait again, in front of the queue, with the
 * identifiers they have. A message it has said PUBREC to is its own affair already, and stays. */
static void hold_back(mq_session *s) {
	mq_flow *f = s->flow;
	uint32_t max = window_of(s);
	for (mq_entry *e = f->flight.tail, *previous; e && max && f->flight.n > max; e = previous) {
		previous = e->prev;
		if (e->state == MQ_WAIT_PUBCOMP) continue;
		ids_remove(s->core, &f->flight_ids, e->mid);
		list_unlink(&f->flight, e);
		e->state = MQ_QUEUED;
		list_prepend(&f->queue, e);
		mq_journal_change(s->core, e);
	}
}

/* MQTT-4.4.0-1: what was in flight again, in the original order, then what waits. */
void mq_session_resume(mq_session *s) {
	if (!s->flow) return;
	forget_void(s);
	if (s->conn->role == MQ_CLIENT) hold_back(s); /* a client of ours gets everything again at once, as from Mosquitto */
	for (mq_entry *e = s->flow->inbound.head; e; e = e->next) e->repeats = 0;
	for (mq_entry *e = s->flow->flight.head, *next; e; e = next) {
		next = e->next;
		if (e->state == MQ_WAIT_PUBCOMP) mq_conn_ack(s->conn, 0x62, e->mid, 0);
		else if (transmit(s, e) == MQ_NONE) flight_remove(s, e);
	}
	mq_session_pump(s);
}

/* ---- acknowledgements of what was sent ---- */

static mq_entry *in_flight(mq_session *s, uint16_t mid) { return s->flow ? ids_get(&s->flow->flight_ids, mid) : NULL; }

static int settled(mq_session *s, mq_entry *e) {
	flight_remove(s, e);
	s->core->stats.changes++;
	mq_session_pump(s);
	return MQ_OK;
}

int mq_session_puback(mq_session *s, uint16_t mid) {
	mq_entry *e = in_flight(s, mid);
	if (!e) return MQ_OK;
	if (e->qos != 1) return mq_fault(s->core, MQ_ACK_QOS, e->qos, 1, 0);
	return settled(s, e);
}

int mq_session_pubrec(mq_session *s, uint16_t mid, uint8_t reason, int *answer) {
	mq_entry *e = in_flight(s, mid);
	*answer = reason < 0x80;
	if (!e) {
		if (*answer) mq_on_notice(s->core->user, MQ_NOTICE_UNKNOWN_PUBREC, s->client_id, s->client_id_n, mid);
		return MQ_OK;
	}
	if (e->qos != 2) return mq_fault(s->core, MQ_ACK_QOS, e->qos, 2, 1);
	if (*answer) {
		e->state = MQ_WAIT_PUBCOMP;
		if (e->row) mq_journal_change(s->core, e);
		return MQ_OK;
	}
	if (e->state != MQ_WAIT_PUBREC) return mq_fault(s->core, MQ_ACK_STATE, e->state, MQ_WAIT_PUBREC, 0);
	return settled(s, e);
}

int mq_session_pubcomp(mq_session *s, uint16_t mid) {
	mq_entry *e = in_flight(s, mid);
	if (!e) return MQ_OK;
	if (e->qos != 2) return mq_fault(s->core, MQ_ACK_QOS, e->qos, 2, 0);
	if (e->state != MQ_WAIT_PUBCOMP) return mq_fault(s->core, MQ_ACK_STATE, e->state, MQ_WAIT_PUBCOMP, 0);
	return settled(s, e);
}

/* ---- inbound QoS 2 ---- */

int mq_session_window_full(const mq_session *s) {
	const mq_options *o = &s->core->options;
	if (!s->flow) return 0;
	const mq_list *in = &s->flow->inbound;
	return (o->max_inflight_messages && in->n >= o->max_inflight_messages) ||
		   (o->max_inflight_bytes && in->bytes >= o->max_inflight_bytes);
}

mq_entry *mq_session_inbound(const mq_session *s, uint16_t mid) { return s->flow ? ids_get(&s->flow->inbound_ids, mid) : NULL; }

static mq_entry inbound_like(uint16_t mid, uint8_t qos, uint8_t retain) {
	return (mq_entry){.mid = mid, .qos = qos, .retain = retain, .state = MQ_WAIT_PUBREL};
}

int mq_session_hold(mq_session *s, mq_view *view, uint16_t mid) {
	mq_flow *f = flow_of(s);
	mq_message *m = f ? mq_view_keep(s->core, view) : NULL;
	mq_entry *e = m ? entry_new(s->core, m, inbound_like(mid, view->qos, view->retain)) : NULL;
	if (!e) return MQ_NOMEM;
	if (ids_put(s->core, &f->inbound_ids, e)) {
		entry_free(s->core, e);
		return MQ_NOMEM;
	}
	list_append(&f->inbound, e);
	if (!is_journalled(s) || mq_journal_add(s, e) == MQ_OK) return MQ_OK;
	mq_session_release(s, e);
	return MQ_NOMEM;
}

void mq_session_release(mq_session *s, mq_entry *e) {
	ids_remove(s->core, &s->flow->inbound_ids, e->mid);
	list_unlink(&s->flow->inbound, e);
	entry_free(s->core, e);
}

/* ---- coming back from a file ---- */

/* Packet identifiers are taken as they stand there, unless two messages claim one: then the second waits in the queue. */
static int restore_outgoing(mq_session *s, mq_entry *e, const mq_delivery *p) {
	mq_flow *f = s->flow;
	int sent = p->stage != MQ_STAGE_QUEUED && e->qos && e->mid && f->flight.n < FLIGHT_MAX && !ids_get(&f->flight_ids, e->mid);
	if (e->qos && !e->mid) e->mid = next_mid(f);
	if (!sent) {
		list_append(&f->queue, e);
		return MQ_OK;
	}
	if (ids_put(s->core, &f->flight_ids, e)) return MQ_NOMEM;
	int released = e->qos == 2 && (p->stage == MQ_STAGE_PUBCOMP || p->stage == MQ_STAGE_PUBREL_AGAIN);
	e->state = released ? MQ_WAIT_PUBCOMP : e->qos == 1 ? MQ_WAIT_PUBACK : MQ_WAIT_PUBREC;
	list_append(&f->flight, e);
	return MQ_OK;
}

static int restore_incoming(mq_session *s, mq_entry *e) {
	mq_flow *f = s->flow;
	if (e->qos != 2 || !e->mid || ids_get(&f->inbound_ids, e->mid)) return MQ_NONE;
	if (ids_put(s->core, &f->inbound_ids, e)) return MQ_NOMEM;
	e->state = MQ_WAIT_PUBREL;
	list_append(&f->inbound, e);
	return MQ_OK;
}

int mq_session_restore(mq_session *s, mq_message *m, const mq_delivery *p) {
	mq_entry like = {
		.row = p->row, .id = p->id, .mid = p->mid, .qos = p->qos, .retain = p->retain, .repeats = p->dup && !p->incoming};
	mq_entry *e = flow_of(s) && p->qos <= 2 ? entry_new(s->core, m, like) : NULL;
	if (!e) return p->qos > 2 ? MQ_NONE : MQ_NOMEM;
	int status = p->incoming ? restore_incoming(s, e) : restore_outgoing(s, e, p);
	if (status) entry_free(s->core, e);
	return status;
}

uint16_t mq_session_last_mid(const mq_session *s) { return s->flow ? s->flow->last_mid : 0; }

void mq_session_set_last_mid(mq_session *s, uint16_t mid) {
	if (mid && flow_of(s)) s->flow->last_mid = mid;
}
