/* access.h: may a session publish to, or receive from, a topic? And who published a stored message?
 *
 * A session is open (nothing is asked), cached (each decision is remembered by topic, the owner is asked on a miss) or asked
 * every time. The cache is a small hash table of topics; it is emptied when it is full, and when the rules have changed
 * (core->access_generation), so a decision in it is always the one the owner would give.
 */
#ifndef MQ_ACCESS_H
#define MQ_ACCESS_H
#include "durable.h"
#include "message.h"
#include "session.h"

/* Who published: kept with stored messages while check_retain_source wants to know. Shared by all messages of a session. */
typedef struct mq_source {
	uint32_t refs;
	uint16_t client_id_n, username_n, port;
	uint8_t has_username;
	uint8_t bytes[]; /* client id, user name */
} mq_source;

int mq_access_ask(mq_session *session, int access, mq_view *view); /* MQ_OK, MQ_NONE: denied, MQ_NOMEM: could not be decided */
static inline int mq_access_check(mq_session *session, int access, mq_view *view) {
	return session->access == MQ_ACCESS_OPEN ? MQ_OK : mq_access_ask(session, access, view);
}
void mq_access_forget(mq_session *session); /* free the cache */

static inline mq_source *mq_source_ref(mq_source *source) {
	if (source) source->refs++;
	return source;
}
mq_source *mq_source_new(mq_core *core, const uint8_t *client_id, uint16_t client_id_n, const uint8_t *username,
	uint16_t username_n, int has_username, uint16_t port);          /* NULL: no memory */
int mq_source_is(const mq_source *source, const mq_record *record); /* did that one publish it? */
void mq_source_unref(mq_core *core, mq_source *source);
int mq_source_check(mq_core *core, const mq_message *message); /* as mq_access_ask, for whoever published a retained message */

#endif
