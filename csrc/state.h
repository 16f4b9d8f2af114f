/* state.h: struct mq_core, what all parts of one data plane share. Nothing in csrc/ is global: state hangs from here.
 */
#ifndef MQ_STATE_H
#define MQ_STATE_H
#include "buf.h"
#include "core.h"
#include "journal.h"
#include "tree.h"

#define MQ_CHUNK_SIZES 2
/* One receive at most, and so what one connection may cost the others in a turn. */
#define MQ_RECEIVE 65536
/* The keepalive wheel: one slot a second. A longer timeout is looked at again each time round. */
#define MQ_WHEEL 128

/* Frames encoded once for many receivers (deliver.h): for v3 and v5, without and with RETAIN; larger ones are not shared. */
#define MQ_FRAMES 4
#define MQ_FRAME_MAX 4096

/* A growing array of pointers. */
typedef struct mq_vector {
	void **at;
	size_t n, room;
} mq_vector;
int mq_vector_push(mq_core *core, mq_vector *v, void *p); /* MQ_OK or MQ_NOMEM */

struct mq_core {
	void *user;
	mq_options options;
	mq_stats stats;
	uint64_t heap_high; /* the most the core held since memory was given back, see mq_core_trim */
	int64_t mono, wall; /* seconds, from mq_core_clock */
	int trace;
	int fault[3];               /* numbers of the last status, mq_conn_fault */
	uint32_t access_generation; /* counts changes of the rules about topics */
	uint32_t stamp;             /* counts publishes, see mq_session.stamp */

	uint64_t last_id, turn_id; /* store ids: the last one given, and the least one for this turn */
	mq_journal journal;
	struct mq_restoring *restoring; /* while a store is read (restore.c), NULL: not now */

	mq_tree subscriptions, retained;
	mq_conn *conns; /* all that are open */
	mq_session *sessions;
	mq_vector dirty;     /* connections with output of this turn */
	mq_conn *dead_conns; /* closed, freed by mq_core_reap */
	mq_session *dead_sessions;
	mq_vector stale;  /* retained nodes found expired by the walk under way */
	mq_vector shared; /* nodes with groups that the publish under way has met */

	mq_conn *wheel[MQ_WHEEL];
	int64_t wheel_at; /* the second whose slot is next */

	mq_chunk *chunks[MQ_CHUNK_SIZES];
	size_t chunks_kept;
	struct mq_entry *entries; /* free list */
	size_t entries_kept;      /* its length */
	struct mq_batch *batch;   /* messages on their way up (batch.h); NULL: none so far */
	size_t sweep;             /* slot of the retained tree where the sweep for expired messages goes on */

	uint8_t scratch[2 * MQ_RECEIVE]; /* receive: what was left over, then what is new */
	uint8_t mounted[UINT16_MAX];     /* a topic with its mount point */
	uint8_t frames[MQ_FRAMES][MQ_FRAME_MAX];
};

static inline int mq_fault(mq_core *core, int status, int a, int b, int c) {
	core->fault[0] = a;
	core->fault[1] = b;
	core->fault[2] = c;
	return status;
}

void mq_reap_later(mq_core *core, mq_conn *conn, mq_session *session);

#endif
