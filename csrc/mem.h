/* mem.h: every byte the core holds is counted here, so that memory_limit holds and $SYS/broker/heap tells the truth.
 *
 * The count is in usable bytes as the allocator sees them. An allocation beyond the limit fails like any other: the caller
 * answers with MQ_NOMEM, which ends in a refused packet.
 */
#ifndef MQ_MEM_H
#define MQ_MEM_H
#include <stddef.h>
#include "core.h"

void *mq_alloc(mq_core *core, size_t n); /* NULL: no memory, or memory_limit reached */
void *mq_zalloc(mq_core *core, size_t n);
void *mq_resize(mq_core *core, void *p, size_t n); /* NULL: p is as it was */
void mq_release(mq_core *core, void *p);

#endif
