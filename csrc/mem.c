#include "mem.h"
#include <stdlib.h>
#include <string.h>
#ifdef __APPLE__
#include <malloc/malloc.h>
#define usable(p) malloc_size(p)
#elif defined(__FreeBSD__)
#include <malloc_np.h>
#define usable(p) malloc_usable_size(p)
#else
#include <malloc.h>
#define usable(p) malloc_usable_size(p)
#endif
#include "state.h"

static int allowed(mq_core *core, size_t n) {
	return !core->options.memory_limit || core->stats.heap + n <= core->options.memory_limit;
}

static void *counted(mq_core *core, void *p) {
	if (p) {
		core->stats.heap += usable(p);
		if (core->stats.heap > core->heap_high) core->heap_high = core->stats.heap;
		if (core->stats.heap > core->stats.heap_max) core->stats.heap_max = core->stats.heap;
	}
	return p;
}

void *mq_alloc(mq_core *core, size_t n) { return allowed(core, n) ? counted(core, malloc(n)) : NULL; }

void *mq_zalloc(mq_core *core, size_t n) {
	void *p = mq_alloc(core, n);
	if (p) memset(p, 0, n);
	return p;
}

void *mq_resize(mq_core *core, void *p, size_t n) {
	if (!allowed(core, n)) return NULL;
	size_t before = p ? usable(p) : 0;
	void *q = realloc(p, n);
	if (!q) return NULL;
	core->stats.heap -= before;
	return counted(core, q);
}

void mq_release(mq_core *core, void *p) {
	if (!p) return;
	core->stats.heap -= usable(p);
	free(p);
}

/* Walking the heap for free pages takes milliseconds: worth it when this much might come back. */
#define TRIM_MIN (8u << 20)

void mq_core_trim(mq_core *core) {
	if (core) {
		if (core->heap_high < core->stats.heap + TRIM_MIN) return;
		core->heap_high = core->stats.heap;
	}
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}
