/* snapshot_write.c: the writer of snapshot.h.
 *
 * Theory of operation. What is written goes through one buffer to the descriptor; the first error ends all writing. Messages come
 * first in the file, each once, while memory knows them only from the retained tree and the lists of the sessions: so those are
 * gathered, sorted by store id, and repetitions dropped. Nothing that belongs to the core is written to, not even a count of
 * references: in a forked child each page touched would be copied.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "access.h"
#include "journal.h"
#include "session.h"
#include "snapshot.h"
#include "state.h"
#include "subs.h"
#include "wire.h"

#define BUFFER (1u << 18)
#define HEADER "\0\xb5\0mosquitto db\0\0\0\0\0\0\0\6" /* magic, a checksum that is always 0, the version */
#define SHARE "$share/"
#define SHARE_N (sizeof SHARE - 1)
/* Chunk header and the longest fixed part. */
#define FIXED_MAX (8 + 32)

typedef struct gathered {
	uint64_t id;
	const mq_message *message;
} gathered;

struct mq_writer {
	mq_core *core;
	int fd, error;
	size_t n;        /* waiting in buffer */
	uint64_t length; /* of the file so far */
	gathered *messages;
	size_t messages_n;
	uint8_t topic[UINT16_MAX]; /* the path to the node where a walk is */
	uint8_t buffer[BUFFER];
};

/* ---- bytes ----------------------------------------------------------------------------------------------------------- */

static void write_all(mq_writer *w, const uint8_t *p, size_t n) {
	while (n && !w->error) {
		ssize_t written = write(w->fd, p, n);
		if (written < 0 && errno != EINTR) w->error = errno;
		if (written <= 0) continue;
		p += written;
		n -= (size_t)written;
		w->length += (uint64_t)written;
	}
}

static void flush(mq_writer *w) {
	write_all(w, w->buffer, w->n);
	w->n = 0;
}

static void put(mq_writer *w, const void *p, size_t n) {
	if (w->n + n > BUFFER) flush(w);
	if (n > BUFFER) {
		write_all(w, p, n);
	} else if (n) {
		memcpy(w->buffer + w->n, p, n);
		w->n += n;
	}
}

/* In the byte order of the machine. */
static uint8_t *put64(uint8_t *p, uint64_t v) { return mq_put(p, &v, sizeof v); }

static uint8_t *put_zeros(uint8_t *p, size_t n) { return (uint8_t *)memset(p, 0, n) + n; }

/* The header of a chunk whose body has a fixed part of `fixed` bytes and `rest` more. */
static uint8_t *put_head(uint8_t *p, uint32_t type, uint32_t fixed, uint64_t rest) {
	return mq_put32(mq_put32(p, type), (uint32_t)(fixed + rest));
}

/* ---- walks over the trees -------------------------------------------------------------------------------------------- */

typedef void visit(mq_writer *w, const mq_node *node, size_t topic_n);

/* n bytes of the topic are known: those of the levels above, and the separator behind them. */
static void walk(mq_writer *w, const mq_node *node, size_t n, visit *each) {
	if (n + node->level_n > sizeof w->topic) return; /* no topic is that long */
	memcpy(w->topic + n, node->level, node->level_n);
	n += node->level_n;
	if (node->load) each(w, node, n);
	if (n == sizeof w->topic) return;
	for (const mq_node *c = node->first; c; c = c->next) {
		w->topic[n] = '/';
		walk(w, c, n + 1, each);
	}
}

/* Ordinary topics first, then those that start with $. */
static void walk_tree(mq_writer *w, const mq_tree *tree, visit *each) {
	for (int dollar = 0; dollar < 2; dollar++)
		for (const mq_node *c = tree->root->first; c; c = c->next)
			if ((c->level_n && c->level[0] == '$') == dollar) walk(w, c, 0, each);
}

static int is_kept(const mq_message *m) { return !mq_topic_is_sys(m->bytes, m->topic_n); }

/* ---- messages -------------------------------------------------------------------------------------------------------- */

static void gather(mq_writer *w, const mq_message *m) { w->messages[w->messages_n++] = (gathered){m->id, m}; }

static void gather_retained(mq_writer *w, const mq_node *node, size_t topic_n) {
	if (is_kept(node->load)) gather(w, node->load);
}

static void gather_list(mq_writer *w, const mq_list *list) {
	for (const mq_entry *e = list->head; e; e = e->next) gather(w, e->message);
}

static int by_id(const void *a, const void *b) {
	uint64_t x = ((const gathered *)a)->id, y = ((const gathered *)b)->id;
	return x < y ? -1 : x > y;
}

static int is_sorted(const mq_writer *w) {
	for (size_t i = 1; i < w->messages_n; i++)
		if (w->messages[i - 1].id > w->messages[i].id) return 0;
	return 1;
}

/* All that is referred to in memory, in the order of creation; the same message may come several times. */
static int gather_all(mq_writer *w) {
	const mq_core *core = w->core;
	uint64_t n = core->stats.retained;
	for (const mq_session *s = core->sessions; s; s = s->next)
		if (s->flow) n += s->flow->inbound.n + s->flow->flight.n + s->flow->queue.n;
	w->messages = malloc((n ? n : 1) * sizeof *w->messages);
	if (!w->messages) return ENOMEM;
	walk_tree(w, &core->retained, gather_retained);
	for (const mq_session *s = core->sessions; s; s = s->next) {
		if (!s->flow) continue;
		gather_list(w, &s->flow->inbound);
		gather_list(w, &s->flow->flight);
		gather_list(w, &s->flow->queue);
	}
	if (!is_sorted(w)) qsort(w->messages, w->messages_n, sizeof *w->messages, by_id);
	return 0;
}

static void write_message(mq_writer *w, const mq_message *m) {
	const mq_record r = mq_message_record(m);
	uint32_t block = r.properties_n ? (uint32_t)mq_varint_size(r.properties_n) + r.properties_n : 0;
	uint64_t rest = (uint64_t)r.client_id_n + r.username_n + r.topic_n + r.payload_n + block;
	uint8_t fixed[FIXED_MAX], size[4], *p = put_head(fixed, MQ_CHUNK_BASE_MSG, 32, rest);
	p = put64(p, r.id);
	p = put64(p, (uint64_t)r.expires);
	p = mq_put32(p, r.payload_n);
	p = mq_put16(p, r.mid);
	p = mq_put16(p, r.client_id_n);
	p = mq_put16(p, r.username_n);
	p = mq_put16(p, (uint16_t)r.topic_n);
	p = mq_put16(p, r.port);
	*p++ = r.qos;
	*p++ = r.retain && is_kept(m);
	put(w, fixed, (size_t)(p - fixed));
	put(w, r.client_id, r.client_id_n);
	put(w, r.username, r.username_n);
	put(w, r.topic, r.topic_n);
	put(w, r.payload, r.payload_n);
	if (!block) return;
	put(w, size, (size_t)(mq_varint_put(size, r.properties_n) - size));
	put(w, r.properties, r.properties_n);
}

void mq_writer_messages(mq_writer *w) {
	if (!w->error) w->error = gather_all(w);
	for (size_t i = 0; i < w->messages_n && !w->error; i++)
		if (!i || w->messages[i].id != w->messages[i - 1].id) write_message(w, w->messages[i].message);
	free(w->messages);
	w->messages = NULL;
	w->messages_n = 0;
}

/* ---- sessions -------------------------------------------------------------------------------------------------------- */

static int is_saved(const mq_session *s) { return s->durable && s->client_id_n; }

enum direction { FROM_CLIENT, TO_CLIENT };

static void write_entry(mq_writer *w, const mq_session *s, const mq_entry *e, enum direction direction) {
	uint8_t block[1 + 1 + 4], *end = block + 1; /* the subscription identifier as a list of properties */
	if (e->id) {
		*end++ = 0x0B;
		end = mq_varint_put(end, e->id);
		block[0] = (uint8_t)(end - block - 1);
	}
	size_t block_n = e->id ? (size_t)(end - block) : 0;
	int sent = direction == TO_CLIENT && e->repeats;
	uint8_t fixed[FIXED_MAX], *p = put_head(fixed, MQ_CHUNK_CLIENT_MSG, 16, s->client_id_n + block_n);
	p = put64(p, e->message->id);
	p = mq_put16(p, e->mid);
	p = mq_put16(p, s->client_id_n);
	*p++ = e->qos;
	*p++ = e->state == MQ_QUEUED ? MQ_STAGE_QUEUED : e->state;
	*p++ = (uint8_t)((e->retain != 0) << 4 | sent);
	*p++ = direction;
	put(w, fixed, (size_t)(p - fixed));
	put(w, s->client_id, s->client_id_n);
	put(w, block, block_n);
}

static void write_list(mq_writer *w, const mq_session *s, const mq_list *list, enum direction direction) {
	for (const mq_entry *e = list->head; e && !w->error; e = e->next) write_entry(w, s, e, direction);
}

void mq_writer_client(mq_writer *w, const mq_session *s, const mq_client *client) {
	if (!is_saved(s) || w->error) return;
	uint8_t fixed[FIXED_MAX], *p = put_head(fixed, MQ_CHUNK_CLIENT, 24, (uint64_t)s->client_id_n + client->username_n);
	p = put64(p, (uint64_t)client->expires);
	p = mq_put32(p, client->interval);
	p = mq_put16(p, mq_session_last_mid(s));
	p = mq_put16(p, s->client_id_n);
	p = mq_put16(p, client->port);
	p = mq_put16(p, client->username_n);
	p = put_zeros(p, 4);
	put(w, fixed, (size_t)(p - fixed));
	put(w, s->client_id, s->client_id_n);
	put(w, client->username, client->username_n);
	if (!s->flow) return;
	write_list(w, s, &s->flow->inbound, FROM_CLIENT);
	write_list(w, s, &s->flow->flight, TO_CLIENT);
	write_list(w, s, &s->flow->queue, TO_CLIENT);
}

/* ---- subscriptions --------------------------------------------------------------------------------------------------- */

/* The subscribers of one ring; with a group the filter has $share/group/ in front. */
static void write_ring(mq_writer *w, const mq_ring *ring, const mq_group *group, size_t filter_n) {
	size_t whole_n = (group ? SHARE_N + group->name_n + 1 : 0) + filter_n;
	for (uint32_t i = 0; i < ring->n && !w->error; i++) {
		const mq_fan *fan = &ring->fans[i];
		if (!fan->session || !is_saved(fan->session)) continue;
		uint8_t fixed[FIXED_MAX], *p = put_head(fixed, MQ_CHUNK_SUB, 12, fan->session->client_id_n + whole_n);
		p = mq_put32(p, fan->id);
		p = mq_put16(p, fan->session->client_id_n);
		p = mq_put16(p, (uint16_t)whole_n);
		*p++ = fan->options & MQ_SUB_QOS;
		*p++ = fan->options & 0x3C; /* no local, retain as published, retain handling */
		p = put_zeros(p, 2);
		put(w, fixed, (size_t)(p - fixed));
		put(w, fan->session->client_id, fan->session->client_id_n);
		if (group) {
			put(w, SHARE, SHARE_N);
			put(w, group->name, group->name_n);
			put(w, "/", 1);
		}
		put(w, w->topic, filter_n);
	}
}

static void write_fans(mq_writer *w, const mq_node *node, size_t topic_n) {
	const mq_fans *fans = node->load;
	write_ring(w, &fans->ring, NULL, topic_n);
	for (const mq_group *g = fans->groups ? fans->groups->first : NULL; g; g = g->next) write_ring(w, &g->ring, g, topic_n);
}

void mq_writer_subscriptions(mq_writer *w) { walk_tree(w, &w->core->subscriptions, write_fans); }

/* ---- retained messages ----------------------------------------------------------------------------------------------- */

static void write_retained(mq_writer *w, const mq_node *node, size_t topic_n) {
	const mq_message *m = node->load;
	uint8_t fixed[FIXED_MAX], *p = put64(put_head(fixed, MQ_CHUNK_RETAIN, 8, 0), m->id);
	if (is_kept(m)) put(w, fixed, (size_t)(p - fixed));
}

void mq_writer_retained(mq_writer *w) { walk_tree(w, &w->core->retained, write_retained); }

/* ---- beginning and end ----------------------------------------------------------------------------------------------- */

mq_writer *mq_writer_new(mq_core *core, int fd, int shutdown) {
	mq_writer *w = malloc(sizeof *w);
	if (!w) return NULL;
	w->core = core;
	w->fd = fd;
	w->error = 0;
	w->n = w->messages_n = 0;
	w->length = 0;
	w->messages = NULL;
	uint8_t fixed[FIXED_MAX], *p = put64(put_head(fixed, MQ_CHUNK_CFG, 16, 0), core->last_id);
	*p++ = shutdown != 0;
	*p++ = sizeof core->last_id;
	p = put_zeros(p, 6);
	put(w, HEADER, sizeof HEADER - 1);
	put(w, fixed, (size_t)(p - fixed));
	return w;
}

int mq_writer_error(const mq_writer *w) { return w->error; }

int mq_writer_finish(mq_writer *w, uint64_t *bytes) {
	flush(w);
	int error = w->error;
	if (bytes) *bytes = w->length;
	free(w);
	return error;
}
