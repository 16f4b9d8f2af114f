#include "buf.h"
#include "mem.h"
#include "message.h"
#include "state.h"

/* A small chunk holds a burst for one of a thousand subscribers, a large one what a busy subscriber gets in a turn. */
static const uint32_t sizes[MQ_CHUNK_SIZES] = {1024 - sizeof(mq_chunk), 16384 - sizeof(mq_chunk)};
/* The free lists keep at most this many bytes; a burst beyond it goes back to the allocator. */
#define KEEP_BYTES (2u << 20)

static mq_chunk *chunk_new(mq_core *core, int class, size_t n) {
	mq_chunk *c = NULL;
	if (n <= sizes[class] && (c = core->chunks[class])) {
		core->chunks[class] = c->next;
		core->chunks_kept -= c->size;
	} else {
		size_t size = n <= sizes[class] ? sizes[class] : n;
		if (!(c = mq_alloc(core, sizeof *c + size))) return NULL;
		c->size = (uint32_t)size;
	}
	c->next = NULL;
	c->borrowed = NULL;
	c->data = (uint8_t *)(c + 1);
	c->start = c->end = c->packets = 0;
	return c;
}

static void chunk_free(mq_core *core, mq_chunk *c) {
	if (c->borrowed) {
		mq_message_unref(core, c->borrowed);
	} else if (core->chunks_kept < KEEP_BYTES) {
		for (int i = 0; i < MQ_CHUNK_SIZES; i++) {
			if (c->size != sizes[i]) continue;
			c->next = core->chunks[i];
			core->chunks[i] = c;
			core->chunks_kept += c->size;
			return;
		}
	}
	mq_release(core, c);
}

static void append(mq_chain *chain, mq_chunk *c) {
	if (chain->tail) chain->tail->next = c;
	else chain->head = c;
	chain->tail = c;
}

uint8_t *mq_chain_grow(mq_core *core, mq_chain *chain, size_t n) {
	int class = chain->tail || n > sizes[0];
	mq_chunk *c = chunk_new(core, class, n);
	if (!c) return NULL;
	append(chain, c);
	return c->data;
}

void mq_chain_add(mq_core *core, mq_chain *chain, size_t n, int packets) {
	chain->tail->end += (uint32_t)n;
	chain->tail->packets += (uint32_t)packets;
	chain->packets += (uint32_t)packets;
	chain->bytes += n;
	core->stats.out_packets += (uint32_t)packets;
	core->stats.out_bytes += n;
}

int mq_chain_borrow(mq_core *core, mq_chain *chain, mq_message *message, uint8_t *data, size_t n) {
	mq_chunk *c = mq_alloc(core, sizeof *c);
	if (!c) return MQ_NOMEM;
	*c = (mq_chunk){.borrowed = mq_message_ref(message), .data = data, .size = (uint32_t)n};
	append(chain, c);
	return MQ_OK;
}

int mq_chain_vectors(const mq_chain *chain, struct iovec *out, int max) {
	int n = 0;
	for (mq_chunk *c = chain->head; c && n < max; c = c->next)
		if (c->end > c->start) out[n++] = (struct iovec){c->data + c->start, c->end - c->start};
	return n;
}

static void drop_head(mq_core *core, mq_chain *chain) {
	mq_chunk *c = chain->head;
	chain->head = c->next;
	if (!chain->head) chain->tail = NULL;
	chain->packets -= c->packets;
	core->stats.out_packets -= c->packets;
	core->stats.messages_sent += c->packets;
	chunk_free(core, c);
}

void mq_chain_consume(mq_core *core, mq_chain *chain, size_t n) {
	chain->bytes -= n;
	core->stats.out_bytes -= n;
	core->stats.bytes_sent += n;
	while (chain->head) {
		mq_chunk *c = chain->head;
		size_t have = c->end - c->start;
		if (n < have) {
			c->start += (uint32_t)n;
			return;
		}
		n -= have;
		drop_head(core, chain);
	}
}

void mq_chain_clear(mq_core *core, mq_chain *chain) {
	core->stats.out_bytes -= chain->bytes;
	while (chain->head) {
		core->stats.messages_sent -= chain->head->packets;
		drop_head(core, chain);
	}
	chain->bytes = 0;
}

void mq_chunks_free(mq_core *core) {
	for (int i = 0; i < MQ_CHUNK_SIZES; i++) {
		while (core->chunks[i]) {
			mq_chunk *c = core->chunks[i];
			core->chunks[i] = c->next;
			mq_release(core, c);
		}
	}
}
