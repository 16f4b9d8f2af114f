/* tree.h: one trie, two uses: the subscription tree (nodes carry subscribers) and the retained tree (nodes carry a message).
 *
 *   root -- "a" -- "b" -- "c"        a node is one level of a topic; its children are a list in the order of their making
 *              \-- "+" -- "#"        (the order in which retained messages are delivered), and every node but the root is in
 *   one table for the whole tree     one open-addressing table under the hash of (parent, level): a look-up costs the same
 *   [hash, node] [hash, node] ...    whether a node has two children or a million.
 *
 * The hash is keyed at start, so that topics cannot be chosen to collide. In the subscription tree "+" and "#" children are
 * direct pointers too, since matching asks for them at each node.
 */
#ifndef MQ_TREE_H
#define MQ_TREE_H
#include "core.h"
#include "topic.h"

typedef struct mq_node {
	struct mq_node *parent, *first, *last, *prev, *next;
	struct mq_node *plus, *rest; /* the children "+" and "#" */
	void *load;                  /* mq_fans or mq_message; NULL: only a way to deeper nodes */
	uint32_t hash;
	uint16_t level_n;
	uint8_t level[];
} mq_node;

typedef struct mq_slot {
	uint32_t hash;
	mq_node *node;
} mq_slot;

typedef struct mq_tree {
	mq_node *root;
	mq_slot *slots;
	size_t mask, count; /* mask + 1 slots, a power of two */
	uint64_t key;
} mq_tree;

/* A topic cut into levels, each with its hash (not yet mixed with the parent). */
typedef struct mq_levels {
	uint32_t n;
	struct {
		const uint8_t *s;
		uint32_t n, hash;
	} at[MQ_LEVELS_ROOM];
} mq_levels;

int mq_tree_init(mq_core *core, mq_tree *tree, uint64_t key); /* MQ_OK or MQ_NOMEM */
void mq_tree_free(mq_core *core, mq_tree *tree, void (*drop)(mq_core *core, void *load));
int mq_levels_split(const mq_tree *tree, mq_levels *out, const uint8_t *s, size_t n); /* MQ_OK; MQ_BAD_FILTER: too many levels */
uint32_t mq_topic_hash(const mq_tree *tree, const uint8_t *s, size_t n); /* of any bytes, under the key of the tree; never 0 */
mq_node *mq_tree_child(const mq_tree *tree, const mq_node *parent, const uint8_t *s, uint32_t n, uint32_t hash);
mq_node *mq_tree_find(const mq_tree *tree, const mq_levels *levels);          /* NULL: not there */
mq_node *mq_tree_make(mq_core *core, mq_tree *tree, const mq_levels *levels); /* NULL: no memory; nothing is left behind */
void mq_tree_prune(mq_core *core, mq_tree *tree, mq_node *node);              /* remove node and ancestors that carry nothing */

#endif
