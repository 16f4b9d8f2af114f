/* snapshot.h: the file mosquitto.db: read in versions 2 to 6, written in version 6.
 *
 * Theory of operation. The file is a header and a sequence of chunks, each with its type and length in front:
 *
 *      header | CFG | BASE_MSG ... | CLIENT CLIENT_MSG ... | CLIENT ... | SUB ... | RETAIN ...
 *
 * The reader gets bytes and says what it found, a finding at a time. Messages, retained ones and those of sessions, go into
 * the core without passing by; sessions and subscriptions are the caller's, who makes them and hands the session back:
 *
 *      feed(data); while ((what = next(&found)) != MQ_FOUND_MORE) ...      and feed(NULL, 0) says that the file ends
 *
 * It believes nothing: a chunk must hold exactly what its length says, and what does not fit together is MQ_FOUND_BAD with the
 * offset and the value found there. What it keeps is at most one incomplete chunk, of whose bytes only those that have come.
 *
 * The writer goes through memory and changes nothing there, so that it may run in a forked child without copying the pages of
 * its parent; what it needs itself is not counted against memory_limit.
 */
#ifndef MQ_SNAPSHOT_H
#define MQ_SNAPSHOT_H
#include "core.h"

typedef struct mq_reader mq_reader;
typedef struct mq_writer mq_writer;

#define MQ_SNAPSHOT_VERSION 6

/* Types of chunks, as in the file. */
enum mq_chunk_type { MQ_CHUNK_CFG = 1, MQ_CHUNK_BASE_MSG, MQ_CHUNK_CLIENT_MSG, MQ_CHUNK_RETAIN, MQ_CHUNK_SUB, MQ_CHUNK_CLIENT };

/* What mq_reader_next found, and which fields of mq_found it filled besides offset and chunk. */
enum mq_finding {
	MQ_FOUND_MORE,   /* nothing: all that was fed is read */
	MQ_FOUND_CFG,    /* value: the last store id handed out */
	MQ_FOUND_CLIENT, /* client_id (not empty), username, expires, interval, last_mid, port: make the session, mq_reader_session */
	/* client_id (not empty) of a client message that is not for the last session: mq_reader_session, or nothing (its messages are
	 * then counted and skipped). The message itself is read by the next call. */
	MQ_FOUND_OWNER,
	MQ_FOUND_SUB, /* client_id, filter (neither empty), options, id. The filter is not judged: mq_subscribe does that */
	MQ_FOUND_ODD, /* why (enum mq_odd): something was skipped that deserves a warning */
	MQ_FOUND_BAD, /* why (enum mq_bad), value, wanted: the file is corrupt; each further call says the same */
	MQ_FOUND_END  /* the file is whole, and mq_restore_done was called */
};

enum mq_odd {
	MQ_ODD_CHUNK,          /* unknown type of chunk */
	MQ_ODD_CLIENT,         /* CLIENT without a client id (versions 5 and 6) */
	MQ_ODD_MESSAGE_CLIENT, /* CLIENT_MSG without a client id */
	MQ_ODD_SUB_CLIENT,     /* SUB without a client id */
	MQ_ODD_SUB_FILTER      /* SUB without a topic filter */
};

/* offset is that of the bytes said to be wrong; chunk is 0 in the file header, where mq_reader_version is 0, too. */
enum mq_bad {
	MQ_BAD_MAGIC,   /* not such a file */
	MQ_BAD_VERSION, /* value: the version; wanted: the newest one known */
	/* the file ends within its header or the body of a chunk (offset: of that); value: bytes that are there; wanted: in all */
	MQ_BAD_CUT,
	MQ_BAD_CUT_HEADER, /* the same within the header of a chunk, so that chunk says nothing */
	MQ_BAD_LENGTH,     /* value: length of the body as its header says; wanted: what the fields inside add up to, or the bound */
	MQ_BAD_ID_SIZE,    /* value: size of a store id; wanted: 8 */
	MQ_BAD_ID,         /* value: a store id that is 0, or was there before */
	MQ_BAD_PAYLOAD,    /* value: length of the payload; wanted: the most it can be */
	MQ_BAD_TOPIC,      /* no topic (value 0), or one that nobody can publish to; value: its length */
	MQ_BAD_PROPERTY,   /* value: the identifier; UINT32_MAX: the list does not fit into the chunk, or cannot be read */
	MQ_BAD_VALUE, /* QoS, state, direction or subscription identifier; value: what it is; wanted: the greatest that is possible */
	MQ_BAD_CLIENT_ID, /* CLIENT without one (versions 2 to 4) */
	MQ_BAD_NOMEM      /* no fault of the file: memory, or memory_limit, is used up */
};

/* Strings point into what was fed or kept, and hold until the next call. */
typedef struct mq_found {
	uint64_t offset; /* in the file: of the chunk; MQ_FOUND_BAD: see there */
	uint64_t value, wanted;
	int64_t expires;   /* CLIENT: when the session expires, Unix second; 0: nothing is set */
	uint32_t interval; /* CLIENT: session expiry interval, seconds; UINT32_MAX: never, as in versions 2 to 4, which have none */
	uint32_t chunk;    /* its type */
	const uint8_t *client_id, *username, *filter; /* username NULL: none */
	uint32_t id;                                  /* SUB: subscription identifier, 0: none */
	uint16_t client_id_n, username_n, filter_n;
	uint16_t last_mid, port; /* CLIENT: packet identifier used last; port of its listener, 0: unknown */
	uint8_t options;         /* SUB: the byte of MQTT 5.0 section 3.8.3.1, as mq_subscribe takes it */
	uint8_t why;
} mq_found;

/* For the lines that say what was restored. */
typedef struct mq_restored {
	uint64_t messages, retained;             /* kept: not those that had expired */
	uint64_t clients;                        /* with a client id */
	uint64_t subscriptions, client_messages; /* in the file, whatever became of them */
	uint64_t expired;                        /* messages that were not kept because they had expired */
	/* What was skipped because it refers to what is not there: client messages for which no session was handed over (such
	 * subscriptions are the caller's to count), and client messages and retained ones without their message. */
	uint64_t orphans_of_clients, orphans_of_messages;
} mq_restored;

mq_reader *mq_reader_new(mq_core *core); /* of an empty core whose clock is set; NULL: no memory */
void mq_reader_free(mq_reader *reader);
/* The next bytes of the file, which must stay where they are until MQ_FOUND_MORE is found. n 0: the file ends here. */
void mq_reader_feed(mq_reader *reader, const uint8_t *data, size_t n);
int mq_reader_next(mq_reader *reader, mq_found *out);
/* Whose the client messages are: after CLIENT or OWNER. The session must live, without a connection, as long as the reader. */
void mq_reader_session(mq_reader *reader, mq_session *session);
int mq_reader_version(const mq_reader *reader); /* of the file; 0: not known yet, or an empty file */
const mq_restored *mq_reader_counts(const mq_reader *reader);

/* What the core does not know of a session. */
typedef struct mq_client {
	int64_t expires;         /* Unix second, 0: nothing set */
	uint32_t interval;       /* seconds, UINT32_MAX: never */
	const uint8_t *username; /* NULL: none */
	uint16_t username_n, port;
} mq_client;

/* In this order, each once but mq_writer_client. What goes wrong is remembered, nothing more is written, and finish says it.
 * The descriptor is written to from where it stands, and is neither synced nor closed. */
mq_writer *mq_writer_new(mq_core *core, int fd, int shutdown); /* header and CFG; NULL: no memory */
void mq_writer_messages(mq_writer *writer);
/* CLIENT and its CLIENT_MSGs, unless the session is not durable or has no client id. To be called for every durable session. */
void mq_writer_client(mq_writer *writer, const mq_session *session, const mq_client *client);
void mq_writer_subscriptions(mq_writer *writer); /* of durable sessions, shared ones with $share and group */
void mq_writer_retained(mq_writer *writer);
int mq_writer_error(const mq_writer *writer); /* 0 or the errno of what went wrong so far */
int mq_writer_finish(
	mq_writer *writer, uint64_t *bytes); /* 0 or an errno; frees the writer. bytes (or NULL): the file's length */

#endif
