/* topic.c: see topic.h and the "bytes" section of core.h.
 *
 * Theory of operation. Topics are bytes; '/', '+', '#' and '$' are single bytes that never occur inside a longer UTF-8
 * character, so only mq_topic_check knows about UTF-8. It tests eight bytes per step for "plain": ASCII, no control
 * character, no wildcard. Nearly every topic is plain from end to end; one that is not is judged again, slowly and exactly.
 */
#include "topic.h"
#include <string.h>

#define SEPARATORS_MAX (MQ_LEVELS_MAX - 1)

/* ---- validity -------------------------------------------------------------------------------------------------------- */

static int too_deep(const uint8_t *s, size_t n) {
	size_t separators = 0;

	if (n <= SEPARATORS_MAX) return 0;
	for (size_t i = 0; i < n; i++) separators += s[i] == '/';
	return separators > SEPARATORS_MAX;
}

int mq_topic_formed(const uint8_t *s, size_t n) { return n && !memchr(s, '+', n) && !memchr(s, '#', n); }

int mq_topic_valid(const uint8_t *s, size_t n) { return mq_topic_formed(s, n) && !too_deep(s, n); }

int mq_filter_formed(const uint8_t *s, size_t n) {
	for (size_t i = 0; i < n; i++) {
		if (s[i] != '+' && s[i] != '#') continue;
		if (i > 0 && s[i - 1] != '/') return 0;
		if (i + 1 < n && (s[i] == '#' || s[i + 1] != '/')) return 0;
	}
	return n > 0;
}

int mq_filter_valid(const uint8_t *s, size_t n) { return mq_filter_formed(s, n) && !too_deep(s, n); }

#define EACH(byte) (0x0101010101010101u * (byte))

/* Eight bytes at once: 0 if all are plain. '+' and '#' differ in bit 3 alone, so one comparison finds both. A borrow can
 * mark a byte falsely, but only above one that is marked rightly, and one is enough. */
static inline uint64_t special(uint64_t w) {
	uint64_t wildcard = (w | EACH(0x08)) ^ EACH('+');

	return (w | (w - EACH(0x20)) | (w + EACH(0x01)) | (wildcard - EACH(0x01))) & EACH(0x80);
}

static inline uint64_t load64(const uint8_t *s) {
	uint64_t w;

	memcpy(&w, s, sizeof w);
	return w;
}

static inline uint64_t load32(const uint8_t *s) {
	uint32_t w;

	memcpy(&w, s, sizeof w);
	return w;
}

/* Loads may overlap: judging a byte twice costs less than a loop over the rest. */
static inline uint64_t any_special(const uint8_t *s, size_t n) {
	uint64_t found = 0;

	if (n >= 8) {
		for (size_t i = 0; i < n - 8; i += 8) found |= special(load64(s + i));
		return found | special(load64(s + n - 8));
	}
	if (n >= 4) return special(load32(s) | load32(s + n - 4) << 32);
	return special(s[0] | (uint64_t)s[n / 2] << 8 | (uint64_t)s[n - 1] << 16 | EACH('a') << 24);
}

int mq_topic_check(const uint8_t *s, size_t n) {
	if (!n) return MQ_BAD_FILTER;
	if (any_special(s, n)) {
		if (!mq_utf8_valid(s, n)) return MQ_MALFORMED;
		if (!mq_topic_valid(s, n)) return MQ_BAD_FILTER;
		return MQ_OK;
	}
	return too_deep(s, n) ? MQ_BAD_FILTER : MQ_OK;
}

/* ---- shared subscriptions -------------------------------------------------------------------------------------------- */

int mq_share_split(const uint8_t *s, size_t n, const uint8_t **group, size_t *group_n, const uint8_t **filter, size_t *filter_n) {
	static const char first[] = "$share";
	const size_t first_n = sizeof first - 1;
	const uint8_t *end = s + n, *slash;

	if (n < first_n || memcmp(s, first, first_n) || (n > first_n && s[first_n] != '/')) return MQ_NONE;
	if (n == first_n) return MQ_BAD_SHARE;
	s += first_n + 1;
	slash = memchr(s, '/', (size_t)(end - s));
	if (!slash || slash == s || slash + 1 == end) return MQ_BAD_SHARE;
	*group = s;
	*group_n = (size_t)(slash - s);
	if (memchr(s, '+', *group_n) || memchr(s, '#', *group_n)) return MQ_BAD_SHARE;
	*filter = slash + 1;
	*filter_n = (size_t)(end - slash - 1);
	return MQ_OK;
}

/* ---- matching -------------------------------------------------------------------------------------------------------- */

/* The length of the level at the front. */
static size_t level(const uint8_t *s, size_t n) {
	const uint8_t *slash = n ? memchr(s, '/', n) : NULL;

	return slash ? (size_t)(slash - s) : n;
}

static int is_only(const uint8_t *s, size_t n, uint8_t wildcard) { return n == 1 && s[0] == wildcard; }

/* Both are taken to be valid. Level by level; "after the last level" is told from "an empty level" by a NULL. */
int mq_topic_matches(const uint8_t *filter, size_t filter_n, const uint8_t *topic, size_t topic_n) {
	const uint8_t *f = filter, *t = topic, *f_end = filter + filter_n, *t_end = topic + topic_n;

	if (!filter_n || !topic_n) return 0;
	if (topic[0] == '$' && (filter[0] == '+' || filter[0] == '#')) return 0;
	while (f) {
		size_t fn = level(f, (size_t)(f_end - f)), tn;

		if (is_only(f, fn, '#') && f + fn == f_end) return 1;
		if (!t) return 0;
		tn = level(t, (size_t)(t_end - t));
		if (!is_only(f, fn, '+') && (fn != tn || memcmp(f, t, fn))) return 0;
		f = f + fn == f_end ? NULL : f + fn + 1;
		t = t + tn == t_end ? NULL : t + tn + 1;
	}
	return !t;
}
