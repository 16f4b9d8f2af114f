/* journal.h: what the durable store has not heard of yet (durable.h tells the idea). Here is how it is kept.
 *
 *   added  [entry | entry | gone meanwhile | entry]    row of a slot = base + its index, so an entry finds its slot by its row,
 *           ^ base            ^ base + from            and is fresh (not drained) when its row is not below base + from
 *
 * A fresh entry that ends empties its slot. Drained ones leave their row in gone. Changes of drained entries are in
 * changed, found by entry->change. Everything else is found when it is drained: a message that a delivery or the retained
 * tree needs and that the store does not have is written then.
 */
#ifndef MQ_JOURNAL_H
#define MQ_JOURNAL_H
#include "core.h"
#include "durable.h"

struct mq_entry;
struct mq_message;

typedef struct mq_slot_of_entry {
	struct mq_entry *entry; /* NULL: gone meanwhile */
	mq_session *session;
} mq_slot_of_entry;

/* A retained message set or cleared; the journal holds a reference to it. */
typedef struct mq_keeping {
	struct mq_message *message;
	uint8_t cleared;
} mq_keeping;

/* An array that grows; items of one size, which the functions that use it know. */
typedef struct mq_array {
	void *at;
	size_t n, room;
} mq_array;

typedef struct mq_journal {
	uint8_t on, hold, refuse;
	uint8_t promised; /* something was said that is not committed, and that an acknowledgement may stand for */
	uint32_t epoch;   /* counts commits; a connection is held when its own number is this one */
	uint64_t base, next_row;
	size_t from, alive, altered;      /* alive: fresh entries; altered: changes that still count */
	size_t weight, weight_after_tidy; /* of the messages in keepings */
	mq_array added, changed, keepings, gone, lost;
	/* What the last drain gave out. */
	mq_array records, deliveries, changes, keeps, gone_out, lost_out, told;
} mq_journal;

void mq_journal_free(mq_core *core);
int mq_journal_add(mq_session *session, struct mq_entry *entry); /* of a session that lasts. MQ_OK or MQ_NOMEM */
/* Of an entry with a row: others the journal does not know. */
void mq_journal_change(mq_core *core, struct mq_entry *entry);
void mq_journal_end(mq_core *core, struct mq_entry *entry); /* the entry is about to go */
/* MQ_OK or MQ_NOMEM. Of a topic that the store has nothing of, a message is cleared without a word: no matter how often it is set
 * and cleared, one of each is kept in mind. */
int mq_journal_retain(mq_core *core, struct mq_message *message, int cleared);
void mq_journal_vanish(mq_core *core, uint64_t row); /* a row that nothing stands for */
void mq_journal_lost(mq_core *core, uint64_t id);    /* nobody refers to a stored message any more */
void mq_hold(mq_conn *conn);                         /* nothing leaves before the next commit (mq_promise) */
mq_record mq_message_record(const struct mq_message *message);

#endif
