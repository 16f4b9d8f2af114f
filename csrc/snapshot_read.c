/* snapshot_read.c: the reader of snapshot.h.
 *
 * Theory of operation. Three layers, each knowing only the one below.
 *
 *   bytes      want(n): the next n bytes in one piece, where they were fed if they are all there, else gathered in `kept`
 *   findings   one function for each type of chunk (kinds[]), which brings its body, taken apart by snapshot_layout.c, into the
 *              core or leaves it to the caller
 *   sequence   header and chunks, and what the end of the file means at each point
 */
#include "snapshot_layout.h"
#include <string.h>
#include "mem.h"
#include "state.h"
#include "wire.h"

#define MAGIC "\0\xb5\0mosquitto db"
#define MAGIC_N (sizeof MAGIC - 1)
#define HEADER_N (MAGIC_N + 4 + 4) /* a checksum that is always 0 and never looked at, and the version */
#define VERSION_MIN 2
#define GO_ON -1 /* nothing to say: read the next chunk */
/* More room than this is given back after the chunk that needed it. */
#define KEEP_ROOM 65536

struct mq_reader {
	mq_core *core;
	int version, ended, done; /* done: enum mq_finding after which there is nothing more */
	uint64_t offset;          /* in the file: of the first byte of what is kept or, with nothing kept, of what was fed */
	const uint8_t *fed;
	size_t fed_n;
	uint8_t *kept; /* the beginning of what is incomplete */
	size_t kept_n, room;
	uint64_t skip;    /* bytes of an unknown chunk that are still to come */
	uint32_t skipped; /* its type */
	uint64_t last_id;
	mq_session *session; /* whose the client messages of `owner` are; NULL: nobody's */
	uint32_t owner_n;    /* 0: no client yet */
	mq_restored counts;
	mq_found last; /* what was said when it was done */
	uint8_t owner[UINT16_MAX];
};

/* The reader is done, with what it found at an offset. */
static int bad(mq_reader *r, mq_found *out, int why, uint64_t offset, uint64_t value, uint64_t wanted) {
	*out = (mq_found){.offset = offset, .chunk = out->chunk, .why = (uint8_t)why, .value = value, .wanted = wanted};
	r->last = *out;
	return r->done = MQ_FOUND_BAD;
}

static int no_memory(mq_reader *r, mq_found *out) { return bad(r, out, MQ_BAD_NOMEM, r->offset, 0, 0); }

/* ---- bytes ----------------------------------------------------------------------------------------------------------- */

/* Room for what has come, at least doubled each time, but never more than is wanted. */
static int grow(mq_reader *r, size_t n, size_t wanted) {
	if (n <= r->room) return MQ_OK;
	size_t room = n < r->room * 2 ? r->room * 2 : n;
	uint8_t *kept = mq_resize(r->core, r->kept, room < wanted ? room : wanted);
	if (!kept) return MQ_NOMEM;
	r->kept = kept;
	r->room = room < wanted ? room : wanted;
	return MQ_OK;
}

static void shrink(mq_reader *r) {
	if (r->kept_n || r->room <= KEEP_ROOM) return;
	mq_release(r->core, r->kept);
	r->kept = NULL;
	r->room = 0;
}

/* The next n bytes; MQ_BLOCKED: they are not all there yet (and then all that was fed is kept), MQ_NOMEM. */
static int want(mq_reader *r, size_t n, const uint8_t **p) {
	shrink(r);
	if (!r->kept_n && r->fed_n >= n) {
		*p = r->fed;
		return MQ_OK;
	}
	if (r->kept_n < n) {
		size_t more = n - r->kept_n < r->fed_n ? n - r->kept_n : r->fed_n;
		if (grow(r, r->kept_n + more, n)) return MQ_NOMEM;
		if (more) memcpy(r->kept + r->kept_n, r->fed, more);
		r->kept_n += more;
		r->fed += more;
		r->fed_n -= more;
	}
	*p = r->kept;
	return r->kept_n < n ? MQ_BLOCKED : MQ_OK;
}

/* Done with n bytes that were wanted; they stay where they are until the next want. */
static void consume(mq_reader *r, size_t n) {
	r->offset += n;
	if (r->kept_n) {
		r->kept_n = 0;
		return;
	}
	r->fed += n;
	r->fed_n -= n;
}

void mq_reader_feed(mq_reader *r, const uint8_t *data, size_t n) {
	r->fed = data;
	r->fed_n = n;
	r->ended = n == 0;
}

/* Not all is there: ask for more, or, if there is no more, say how much of what is wanted there is. */
static int starved(mq_reader *r, mq_found *out, int why, uint64_t offset, uint64_t there, uint64_t wanted) {
	return r->ended ? bad(r, out, why, offset, there, wanted) : MQ_FOUND_MORE;
}

/* ---- findings -------------------------------------------------------------------------------------------------------- */

static int odd(mq_found *out, int why) {
	out->why = (uint8_t)why;
	return MQ_FOUND_ODD;
}

static int no_room(mq_body *b) {
	mq_body_flaw(b, MQ_BAD_NOMEM, b->start, 0, 0);
	return GO_ON;
}

static int cfg(mq_reader *r, mq_body *b, mq_found *out) {
	out->value = r->last_id = b->id;
	return MQ_FOUND_CFG;
}

/* A list of properties, without its length, and what it says. */
typedef struct properties {
	const uint8_t *list;
	uint32_t n;
	mq_publish_properties read;
} properties;

/* Take the block of properties at the end of a chunk apart, and check it; bytes behind the list are nobody's. */
static properties properties_of(mq_body *b) {
	properties p = {0};
	if (!b->properties_n) return p;
	int used = mq_varint_get(b->properties, b->properties_n, &p.n);
	if (used <= 0 || p.n > b->properties_n - (uint32_t)used) {
		mq_body_flaw(b, MQ_BAD_PROPERTY, b->properties, UINT32_MAX, 0);
		return (properties){0};
	}
	p.list = b->properties + used;
	if (mq_publish_properties_read(MQ_IN_STORED, p.list, p.n, &p.read, NULL))
		mq_body_flaw(b, MQ_BAD_PROPERTY, b->properties, p.read.bad, 0);
	return p;
}

/* The time that a message still has does not fit into 32 bits: it is from another clock. Before 1970 it was over in any case. */
static int outside_time(const mq_core *core, int64_t expires) {
	return expires < 0 || (expires > core->wall && (uint64_t)expires - (uint64_t)core->wall > UINT32_MAX);
}

static int restore(mq_reader *r, mq_body *b) {
	const mq_record *m = &b->message;
	switch (outside_time(r->core, m->expires) ? MQ_NONE : mq_restore_message(r->core, m)) {
	case MQ_OK: r->counts.messages++; break;
	case MQ_EXISTS: mq_body_flaw(b, MQ_BAD_ID, b->start, m->id, 0); break;
	case MQ_BAD_FILTER: mq_body_flaw(b, MQ_BAD_TOPIC, m->topic, m->topic_n, 0); break;
	case MQ_NOMEM: return no_room(b);
	default: r->counts.expired++; break;
	}
	return GO_ON;
}

/* As restore, but without properties that belong to a delivery and not to a message. They may stand there; nobody writes them. */
static int restore_some(mq_reader *r, mq_body *b, const properties *p) {
	mq_publish_properties read;
	uint8_t *own = mq_alloc(r->core, p->n);
	if (!own) return no_room(b);
	mq_publish_properties_read(MQ_IN_STORED, p->list, p->n, &read, own);
	b->message.properties = own;
	b->message.properties_n = read.forward_n;
	restore(r, b);
	mq_release(r->core, own);
	return GO_ON;
}

static int base_msg(mq_reader *r, mq_body *b, mq_found *out) {
	properties p = properties_of(b);
	if (!b->message.id) mq_body_flaw(b, MQ_BAD_ID, b->start, 0, 0);
	if (!b->message.topic_n) mq_body_flaw(b, MQ_BAD_TOPIC, b->start, 0, 0);
	if (b->flaw.at) return GO_ON;
	if (p.read.forward_n != p.n) return restore_some(r, b, &p);
	b->message.properties = p.list;
	b->message.properties_n = p.n;
	return restore(r, b);
}

static int is_owner(const mq_reader *r, const mq_body *b) {
	return r->owner_n == b->client_id_n && !memcmp(r->owner, b->client_id, b->client_id_n);
}

static void set_owner(mq_reader *r, const mq_body *b) {
	r->session = NULL;
	r->owner_n = b->client_id_n;
	memcpy(r->owner, b->client_id, b->client_id_n);
}

/* What became of something that refers to a message. */
static int referred(mq_reader *r, mq_body *b, int status, uint64_t message) {
	if (status == MQ_NONE && !mq_restore_has(r->core, message)) r->counts.orphans_of_messages++;
	return status == MQ_NOMEM ? no_room(b) : GO_ON;
}

static int client_msg(mq_reader *r, mq_body *b, mq_found *out) {
	properties p = properties_of(b);
	if (b->flaw.at) return GO_ON;
	if (b->client_id_n && !is_owner(r, b)) {
		set_owner(r, b);
		return MQ_FOUND_OWNER;
	}
	r->counts.client_messages++;
	if (!b->client_id_n) return odd(out, MQ_ODD_MESSAGE_CLIENT);
	b->delivery.id = p.read.id;
	if (!r->session) {
		r->counts.orphans_of_clients++;
		return GO_ON;
	}
	return referred(r, b, mq_restore_delivery(r->session, &b->delivery), b->delivery.message);
}

static int retain(mq_reader *r, mq_body *b, mq_found *out) {
	int status = mq_restore_retained(r->core, b->id);
	if (status == MQ_OK) r->counts.retained++;
	return referred(r, b, status, b->id);
}

static int sub(mq_reader *r, mq_body *b, mq_found *out) {
	r->counts.subscriptions++;
	if (!b->client_id_n) return odd(out, MQ_ODD_SUB_CLIENT);
	return b->filter_n ? MQ_FOUND_SUB : odd(out, MQ_ODD_SUB_FILTER);
}

static int client(mq_reader *r, mq_body *b, mq_found *out) {
	if (b->client_id_n) {
		r->counts.clients++;
		set_owner(r, b);
		return MQ_FOUND_CLIENT;
	}
	if (r->version >= MQ_LAYOUT_5) return odd(out, MQ_ODD_CLIENT);
	mq_body_flaw(b, MQ_BAD_CLIENT_ID, b->start, 0, 0);
	return GO_ON;
}

/* Each type: what becomes of it, and the most that its body can be. A message came in a packet, whose length is limited. */
static const struct kind {
	int (*found)(mq_reader *r, mq_body *b, mq_found *out);
	uint32_t most;
} kinds[] = {
	[MQ_CHUNK_CFG] = {cfg, 16},
	[MQ_CHUNK_BASE_MSG] = {base_msg, 32 + 3 * UINT16_MAX + 2 * MQ_VARINT_MAX},
	[MQ_CHUNK_CLIENT_MSG] = {client_msg, 16 + 2 * UINT16_MAX},
	[MQ_CHUNK_RETAIN] = {retain, 8},
	[MQ_CHUNK_SUB] = {sub, 12 + 2 * UINT16_MAX},
	[MQ_CHUNK_CLIENT] = {client, 24 + 2 * UINT16_MAX},
};

/* ---- the sequence ---------------------------------------------------------------------------------------------------- */

static int file_header(mq_reader *r, mq_found *out) {
	const uint8_t *p;
	int status = want(r, HEADER_N, &p);
	if (status == MQ_NOMEM) return no_memory(r, out);
	size_t n = status == MQ_OK ? HEADER_N : r->kept_n;
	if (n && memcmp(p, MAGIC, n < MAGIC_N ? n : MAGIC_N)) return bad(r, out, MQ_BAD_MAGIC, 0, 0, 0);
	if (status == MQ_BLOCKED && r->ended && !n) return r->done = MQ_FOUND_END;
	if (status == MQ_BLOCKED) return starved(r, out, MQ_BAD_CUT, 0, n, HEADER_N);
	uint32_t version = mq_get32(p + MAGIC_N + 4);
	if (version < VERSION_MIN || version > MQ_SNAPSHOT_VERSION)
		return bad(r, out, MQ_BAD_VERSION, MAGIC_N + 4, version, MQ_SNAPSHOT_VERSION);
	r->version = (int)version;
	consume(r, HEADER_N);
	return GO_ON;
}

static int end(mq_reader *r) {
	mq_restore_done(r->core, r->last_id);
	return r->done = MQ_FOUND_END;
}

static int skip(mq_reader *r, mq_found *out) {
	size_t n = r->skip < r->fed_n ? (size_t)r->skip : r->fed_n;
	r->skip -= n;
	consume(r, n);
	out->chunk = r->skipped;
	return r->skip ? starved(r, out, MQ_BAD_CUT, r->offset, 0, r->skip) : GO_ON;
}

/* Read a body, and say what was found; p is the chunk with its header of head bytes. */
static int read_body(mq_reader *r, const uint8_t *p, uint32_t head, uint32_t n, mq_found *out) {
	mq_body b;
	mq_layout_read(r->version, out->chunk, p + head, n, &b);
	int what = b.flaw.at ? GO_ON : kinds[out->chunk].found(r, &b, out);
	if (b.flaw.at) return bad(r, out, b.flaw.why, r->offset + (uint64_t)(b.flaw.at - p), b.flaw.value, b.flaw.wanted);
	out->client_id = b.client_id;
	out->client_id_n = b.client_id_n;
	out->username = b.username;
	out->username_n = b.username_n;
	out->filter = b.filter;
	out->filter_n = b.filter_n;
	out->options = b.options;
	out->id = b.subscription_id;
	out->expires = b.expires;
	out->interval = b.interval;
	out->last_mid = b.last_mid;
	out->port = b.port;
	return what;
}

static int read_chunk(mq_reader *r, mq_found *out) {
	const uint8_t *p;
	const uint32_t head = r->version >= MQ_LAYOUT_5 ? 8 : 6;
	if (r->skip) return skip(r, out);
	int status = want(r, head, &p);
	if (status == MQ_NOMEM) return no_memory(r, out);
	if (status == MQ_BLOCKED && r->ended && !r->kept_n) return end(r);
	if (status == MQ_BLOCKED) return starved(r, out, MQ_BAD_CUT_HEADER, r->offset, r->kept_n, head);
	uint32_t n = mq_get32(p + head - 4);
	out->offset = r->offset;
	out->chunk = head == 8 ? mq_get32(p) : mq_get16(p);
	if (out->chunk < MQ_CHUNK_CFG || out->chunk > MQ_CHUNK_CLIENT) {
		r->skip = n;
		r->skipped = out->chunk;
		consume(r, head);
		return odd(out, MQ_ODD_CHUNK);
	}
	if (n > kinds[out->chunk].most) return bad(r, out, MQ_BAD_LENGTH, r->offset + head - 4, n, kinds[out->chunk].most);
	status = want(r, (size_t)head + n, &p);
	if (status == MQ_NOMEM) return no_memory(r, out);
	if (status == MQ_BLOCKED) return starved(r, out, MQ_BAD_CUT, r->offset + head, r->kept_n - head, n);
	int what = read_body(r, p, head, n, out);
	if (what != MQ_FOUND_OWNER && what != MQ_FOUND_BAD) consume(r, (size_t)head + n);
	return what;
}

int mq_reader_next(mq_reader *r, mq_found *out) {
	int what;
	if (r->done) {
		*out = r->last;
		return r->done;
	}
	do {
		*out = (mq_found){0};
		what = r->version ? read_chunk(r, out) : file_header(r, out);
	} while (what == GO_ON);
	return what;
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

mq_reader *mq_reader_new(mq_core *core) {
	mq_reader *r = mq_zalloc(core, sizeof *r);
	if (r) r->core = core;
	return r;
}

void mq_reader_free(mq_reader *r) {
	if (!r) return;
	mq_release(r->core, r->kept);
	mq_release(r->core, r);
}

void mq_reader_session(mq_reader *r, mq_session *session) { r->session = session; }
int mq_reader_version(const mq_reader *r) { return r->version; }
const mq_restored *mq_reader_counts(const mq_reader *r) { return &r->counts; }
