/* fuzz_snapshot.c: mosquitto.db read into a core, as the broker does it.
 *
 * The first byte says in pieces of which size the file is read, the second how much memory there is; the rest is the file.
 * Checked beyond memory: the pieces do not matter; what is refused is refused at a place in the file; and what was read and
 * is written can be read again, refers to nothing that is not there, and then gives the same file.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "durable.h"
#include "input.h"
#include "silent.h"
#include "snapshot.h"

#define CLIENTS 32
#define WALL 1795217390 /* when the samples were written */

typedef struct client {
	uint8_t id[64], username[64];
	mq_client terms;
	size_t id_n;
	mq_session *session;
} client;

typedef struct database {
	mq_core *core;
	mq_reader *reader;
	client clients[CLIENTS];
	size_t clients_n;
	mq_found end; /* what was said at last */
	int what;
} database;

static client *find(database *d, const mq_found *found) {
	for (size_t i = 0; i < d->clients_n; i++)
		if (d->clients[i].id_n == found->client_id_n && !memcmp(d->clients[i].id, found->client_id, found->client_id_n))
			return &d->clients[i];
	return NULL;
}

/* A session as the file has it. Too long a name, or one client too many: its messages are nobody's. */
static void make(database *d, const mq_found *found) {
	client *c = find(d, found);

	if (found->client_id_n > sizeof c->id || found->username_n > sizeof c->username) return;
	if (!c) {
		if (d->clients_n == CLIENTS) return;
		c = &d->clients[d->clients_n++];
		c->id_n = found->client_id_n;
		memcpy(c->id, found->client_id, c->id_n);
		c->session = mq_session_new(d->core, c->id, c->id_n);
		if (c->session) mq_session_durable(c->session, 1);
	}
	if (found->username_n) memcpy(c->username, found->username, found->username_n);
	c->terms = (mq_client){.expires = found->expires,
		.interval = found->interval,
		.port = found->port,
		.username = found->username ? c->username : NULL,
		.username_n = found->username_n};
	if (!c->session) return;
	mq_session_set_last_mid(c->session, found->last_mid);
	mq_reader_session(d->reader, c->session);
}

static void found_one(database *d, const mq_found *found, size_t size) {
	client *c;

	MUST(found->offset <= size);
	switch (d->what) {
	case MQ_FOUND_CFG: break;
	case MQ_FOUND_CLIENT:
		MUST(found->client_id_n);
		make(d, found);
		break;
	case MQ_FOUND_OWNER:
		MUST(found->client_id_n);
		c = find(d, found);
		if (c && c->session) mq_reader_session(d->reader, c->session);
		break;
	case MQ_FOUND_SUB:
		MUST(found->client_id_n && found->filter_n);
		c = find(d, found);
		if (c && c->session) mq_subscribe(c->session, found->filter, found->filter_n, found->options, found->id);
		break;
	case MQ_FOUND_ODD: MUST(found->why <= MQ_ODD_SUB_FILTER); break;
	default: abort();
	}
}

/* Read a file in pieces of n bytes, each in memory of its own. */
static void read_file(database *d, const uint8_t *data, size_t size, size_t n, size_t memory) {
	*d = (database){.core = mq_core_new(NULL)};
	MUST(d->core);
	mq_core_clock(d->core, 1, WALL);
	if (memory) mq_core_options(d->core)->memory_limit = mq_core_stats(d->core)->heap + memory;
	d->reader = mq_reader_new(d->core);
	for (size_t at = 0; d->reader;) {
		size_t part_n = size - at < n ? size - at : n;
		uint8_t *part = malloc(part_n + 1);

		MUST(part);
		if (part_n) memcpy(part, data + at, part_n);
		mq_reader_feed(d->reader, part, part_n);
		while ((d->what = mq_reader_next(d->reader, &d->end)) != MQ_FOUND_MORE && d->what < MQ_FOUND_BAD)
			found_one(d, &d->end, size);
		free(part);
		at += part_n;
		if (d->what >= MQ_FOUND_BAD) break;
		MUST(part_n); /* after the end nothing more is asked for */
	}
}

static void done(database *d) {
	mq_reader_free(d->reader);
	mq_core_free(d->core);
}

/* The file of a core, in memory that the caller unmaps. */
static uint8_t *write_file(database *d, size_t *size) {
	int fd = memfd_create("mosquitto.db", 0);
	mq_writer *writer = mq_writer_new(d->core, fd, 1);
	uint64_t n;

	MUST(fd >= 0 && writer);
	mq_writer_messages(writer);
	for (size_t i = 0; i < d->clients_n; i++)
		if (d->clients[i].session) mq_writer_client(writer, d->clients[i].session, &d->clients[i].terms);
	mq_writer_subscriptions(writer);
	mq_writer_retained(writer);
	MUST(mq_writer_finish(writer, &n) == 0);
	uint8_t *file = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
	MUST(file != MAP_FAILED);
	close(fd);
	*size = n;
	return file;
}

static void there_and_back(database *d) {
	database again;
	size_t first_n, second_n;
	uint8_t *first = write_file(d, &first_n);

	read_file(&again, first, first_n, first_n, 0);
	MUST(again.what == MQ_FOUND_END);
	const mq_restored *counts = mq_reader_counts(again.reader);
	MUST(!counts->expired && !counts->orphans_of_clients && !counts->orphans_of_messages);
	uint8_t *second = write_file(&again, &second_n);
	MUST(first_n == second_n && !memcmp(first, second, first_n));
	munmap(first, first_n);
	munmap(second, second_n);
	done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
	input in = {data, n};
	size_t piece = take_byte(&in) + 1u, memory = take_byte(&in) * 256u;
	database whole, pieces;

	read_file(&whole, in.p, in.n, in.n + 1, memory);
	if (whole.reader && whole.what == MQ_FOUND_END) there_and_back(&whole);
	if (!memory) {
		read_file(&pieces, in.p, in.n, piece, 0);
		MUST(whole.what == pieces.what && !memcmp(&whole.end, &pieces.end, sizeof whole.end));
		MUST(!memcmp(mq_reader_counts(whole.reader), mq_reader_counts(pieces.reader), sizeof(mq_restored)));
		done(&pieces);
	}
	done(&whole);
	return 0;
}
