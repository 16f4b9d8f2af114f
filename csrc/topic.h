/* topic.h: topic names and topic filters as bytes: validity, levels, shared subscriptions, one-to-one matching.
 * mq_topic_valid, mq_filter_valid and mq_topic_matches are declared in core.h.
 */
#ifndef MQ_TOPIC_H
#define MQ_TOPIC_H
#include <string.h>
#include "core.h"

#define MQ_LEVELS_MAX 201                  /* levels in a name or filter: 200 separators */
#define MQ_LEVELS_ROOM (2 * MQ_LEVELS_MAX) /* the same with a mount point in front */

/* One pass over a topic name from the network: valid UTF-8 (mq_utf8_valid's rules), then mq_topic_valid's rules.
 * MQ_OK, MQ_MALFORMED (UTF-8), MQ_BAD_FILTER (wildcard, levels, empty). The hot path: plain ASCII costs one table look-up a byte. */
int mq_topic_check(const uint8_t *s, size_t n);

/* mq_topic_valid and mq_filter_valid but for the number of levels: for those with a mount point in front. */
int mq_topic_formed(const uint8_t *s, size_t n);
int mq_filter_formed(const uint8_t *s, size_t n);

/* Does a topic begin with $SYS? What is below it the broker says about itself, and says anew after each start. */
static inline int mq_topic_is_sys(const uint8_t *s, size_t n) { return n >= 4 && !memcmp(s, "$SYS", 4); }

/* $share/<group>/<filter>: MQ_OK and the two parts; MQ_NONE: not a shared subscription (first level is not exactly $share);
 * MQ_BAD_SHARE: no or empty group, no or empty filter, wildcard in the group. The filter part is not validated further. */
int mq_share_split(const uint8_t *s, size_t n, const uint8_t **group, size_t *group_n, const uint8_t **filter, size_t *filter_n);

#endif
