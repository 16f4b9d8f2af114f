/* buf.h: an output chain, and the free lists its chunks come from and go back to.
 *
 *   chain  head -> [ own bytes   start....end....size ] -> [ borrowed: payload of a message ] -> [ own bytes ] <- tail
 *
 * Bytes are appended at the tail and consumed at the head. Small packets are copied into the tail chunk; a large payload is
 * not copied: a borrowed chunk points into the message and holds a reference to it. The first chunk of an empty chain
 * is small (a fan-out to thousands touches little memory), later ones are large. An empty chain owns nothing.
 */
#ifndef MQ_BUF_H
#define MQ_BUF_H
#include <sys/uio.h>
#include "core.h"

typedef struct mq_message mq_message;

typedef struct mq_chunk {
	struct mq_chunk *next;
	mq_message *borrowed; /* NULL: the bytes are this chunk's own */
	uint8_t *data;
	uint32_t start, end, size; /* data[start, end) is waiting; size is what data has room for */
	uint32_t packets;          /* packets whose last byte is in this chunk */
} mq_chunk;

typedef struct mq_chain {
	mq_chunk *head, *tail;
	uint32_t packets; /* waiting, counted out a chunk at a time */
	uint64_t bytes;   /* a payload counts for each packet that borrows it, so this is not bounded by memory */
} mq_chain;

/* Room for n more bytes in one piece at the tail; NULL: no memory. Write them, then mq_chain_add. */
uint8_t *mq_chain_grow(mq_core *core, mq_chain *chain, size_t n);
static inline uint8_t *mq_chain_room(mq_core *core, mq_chain *chain, size_t n) {
	mq_chunk *t = chain->tail;
	if (t && t->size - t->end >= n) return t->data + t->end;
	return mq_chain_grow(core, chain, n);
}
void mq_chain_add(mq_core *core, mq_chain *chain, size_t n, int packets);
int mq_chain_borrow(mq_core *core, mq_chain *chain, mq_message *message, uint8_t *data, size_t n); /* MQ_OK or MQ_NOMEM */
int mq_chain_vectors(const mq_chain *chain, struct iovec *out, int max);                           /* how many were filled */
void mq_chain_consume(mq_core *core, mq_chain *chain, size_t n);
void mq_chain_clear(mq_core *core, mq_chain *chain);
void mq_chunks_free(mq_core *core); /* the free lists themselves, at the end of the core */

#endif
