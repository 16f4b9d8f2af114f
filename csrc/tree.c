#include "tree.h"
#include <string.h>
#include "mem.h"

#define SLOTS_MIN 64

/* A keyed multiplicative hash, eight bytes at a time. The factor is secret and the bytes are turned round between the two
 * products: a difference in the highest bits, which one product would leave as it is, is spread by the next. */
static uint64_t mix(uint64_t key, uint64_t h, uint64_t v) {
	h = __builtin_bswap64((h ^ v) * (key | 1));
	h *= key | 1;
	return h ^ h >> 32;
}

static uint32_t level_hash(const mq_tree *tree, const uint8_t *s, size_t n) {
	uint64_t h = tree->key ^ n, v;
	for (; n >= 8; s += 8, n -= 8) {
		memcpy(&v, s, 8);
		h = mix(tree->key, h, v);
	}
	v = 0;
	for (size_t i = 0; i < n; i++) v = v << 8 | s[i];
	return (uint32_t)mix(tree->key, h, v);
}

uint32_t mq_topic_hash(const mq_tree *tree, const uint8_t *s, size_t n) { return level_hash(tree, s, n) | 1; }

static uint32_t child_hash(const mq_tree *tree, const mq_node *parent, uint32_t level) {
	return (uint32_t)mix(tree->key, (uintptr_t)parent, level);
}

int mq_tree_init(mq_core *core, mq_tree *tree, uint64_t key) {
	*tree = (mq_tree){.key = key, .mask = SLOTS_MIN - 1};
	tree->root = mq_zalloc(core, sizeof *tree->root);
	tree->slots = mq_zalloc(core, SLOTS_MIN * sizeof *tree->slots);
	return tree->root && tree->slots ? MQ_OK : MQ_NOMEM;
}

void mq_tree_free(mq_core *core, mq_tree *tree, void (*drop)(mq_core *, void *)) {
	for (size_t i = 0; tree->slots && i <= tree->mask; i++) {
		mq_node *n = tree->slots[i].node;
		if (!n) continue;
		if (n->load) drop(core, n->load);
		mq_release(core, n);
	}
	mq_release(core, tree->slots);
	mq_release(core, tree->root);
}

int mq_levels_split(const mq_tree *tree, mq_levels *out, const uint8_t *s, size_t n) {
	const uint8_t *end = s + n;
	out->n = 0;
	for (;;) {
		if (out->n == MQ_LEVELS_ROOM) return MQ_BAD_FILTER;
		const uint8_t *cut = memchr(s, '/', (size_t)(end - s));
		uint32_t len = (uint32_t)((cut ? cut : end) - s);
		out->at[out->n].s = s;
		out->at[out->n].n = len;
		out->at[out->n++].hash = level_hash(tree, s, len);
		if (!cut) return MQ_OK;
		s = cut + 1;
	}
}

mq_node *mq_tree_child(const mq_tree *tree, const mq_node *parent, const uint8_t *s, uint32_t n, uint32_t hash) {
	uint32_t h = child_hash(tree, parent, hash);
	for (size_t i = h & tree->mask; tree->slots[i].node; i = (i + 1) & tree->mask) {
		mq_node *node = tree->slots[i].node;
		if (tree->slots[i].hash == h && node->parent == parent && node->level_n == n && !memcmp(node->level, s, n)) return node;
	}
	return NULL;
}

mq_node *mq_tree_find(const mq_tree *tree, const mq_levels *l) {
	mq_node *node = tree->root;
	for (uint32_t i = 0; node && i < l->n; i++) node = mq_tree_child(tree, node, l->at[i].s, l->at[i].n, l->at[i].hash);
	return node;
}

static void place(mq_tree *tree, mq_slot slot) {
	size_t i = slot.hash & tree->mask;
	while (tree->slots[i].node) i = (i + 1) & tree->mask;
	tree->slots[i] = slot;
}

/* Keep the table at most three quarters full. */
static int make_room(mq_core *core, mq_tree *tree) {
	size_t size = tree->mask + 1;
	if ((tree->count + 1) * 4 <= size * 3) return MQ_OK;
	mq_slot *old = tree->slots, *new = mq_zalloc(core, size * 2 * sizeof *new);
	if (!new) return MQ_NOMEM;
	tree->slots = new;
	tree->mask = size * 2 - 1;
	for (size_t i = 0; i < size; i++)
		if (old[i].node) place(tree, old[i]);
	mq_release(core, old);
	return MQ_OK;
}

static mq_node *add_child(mq_core *core, mq_tree *tree, mq_node *parent, const uint8_t *s, uint32_t n, uint32_t hash) {
	if (make_room(core, tree)) return NULL;
	mq_node *node = mq_alloc(core, sizeof *node + n);
	if (!node) return NULL;
	*node = (mq_node){.parent = parent, .prev = parent->last, .level_n = (uint16_t)n, .hash = child_hash(tree, parent, hash)};
	memcpy(node->level, s, n);
	if (parent->last) parent->last->next = node;
	else parent->first = node;
	parent->last = node;
	if (n == 1 && *s == '+') parent->plus = node;
	if (n == 1 && *s == '#') parent->rest = node;
	place(tree, (mq_slot){node->hash, node});
	tree->count++;
	return node;
}

mq_node *mq_tree_make(mq_core *core, mq_tree *tree, const mq_levels *l) {
	mq_node *node = tree->root;
	for (uint32_t i = 0; i < l->n; i++) {
		mq_node *next = mq_tree_child(tree, node, l->at[i].s, l->at[i].n, l->at[i].hash);
		if (!next) next = add_child(core, tree, node, l->at[i].s, l->at[i].n, l->at[i].hash);
		if (!next) {
			mq_tree_prune(core, tree, node);
			return NULL;
		}
		node = next;
	}
	return node;
}

/* Empty a slot and move back those behind it that would no longer be found (no tombstones). */
static void unplace(mq_tree *tree, const mq_node *node) {
	size_t i = node->hash & tree->mask;
	while (tree->slots[i].node != node) i = (i + 1) & tree->mask;
	for (size_t j = (i + 1) & tree->mask; tree->slots[j].node; j = (j + 1) & tree->mask) {
		size_t home = tree->slots[j].hash & tree->mask;
		if (((j - home) & tree->mask) < ((j - i) & tree->mask)) continue;
		tree->slots[i] = tree->slots[j];
		i = j;
	}
	tree->slots[i] = (mq_slot){0, NULL};
	tree->count--;
}

void mq_tree_prune(mq_core *core, mq_tree *tree, mq_node *node) {
	while (node->parent && !node->load && !node->first) {
		mq_node *parent = node->parent;
		unplace(tree, node);
		if (node->prev) node->prev->next = node->next;
		else parent->first = node->next;
		if (node->next) node->next->prev = node->prev;
		else parent->last = node->prev;
		if (parent->plus == node) parent->plus = NULL;
		if (parent->rest == node) parent->rest = NULL;
		mq_release(core, node);
		node = parent;
	}
}
