#include "message.h"
#include <string.h>
#include "access.h"
#include "journal.h"
#include "mem.h"
#include "state.h"
#include "wire.h"

/* Ids grow with time, so that those of another process on the same files are lower or long gone. */
static uint64_t next_id(mq_core *core) {
	core->last_id = core->last_id < core->turn_id ? core->turn_id : core->last_id + 1;
	return core->last_id;
}

mq_message *mq_view_keep(mq_core *core, mq_view *v) {
	if (v->kept) return v->kept;
	mq_message *m = mq_alloc(core, sizeof *m + v->topic_n + v->properties_n + v->payload_n);
	if (!m) return NULL;
	*m = (mq_message){.refs = 1,
		.properties_n = v->properties_n,
		.payload_n = v->payload_n,
		.topic_n = (uint16_t)v->topic_n,
		.mid = v->mid,
		.id = next_id(core),
		.qos = v->qos,
		.retain = v->retain,
		.expires = v->expires,
		.source = mq_source_ref(v->source)};
	uint8_t *p = mq_put(m->bytes, v->topic, v->topic_n);
	if (v->properties_n) p = mq_put(p, v->properties, v->properties_n);
	if (v->payload_n) mq_put(p, v->payload, v->payload_n);
	core->stats.stored++;
	core->stats.stored_bytes += m->payload_n;
	v->topic = m->bytes;
	v->properties = m->bytes + v->topic_n;
	v->payload = v->properties + v->properties_n;
	v->owned = 1;
	return v->kept = m;
}

mq_view mq_message_view(mq_message *m) {
	return (mq_view){.source = m->source,
		.topic = m->bytes,
		.topic_n = m->topic_n,
		.properties = m->bytes + m->topic_n,
		.properties_n = m->properties_n,
		.payload = m->bytes + m->topic_n + m->properties_n,
		.payload_n = m->payload_n,
		.mid = m->mid,
		.qos = m->qos,
		.retain = m->retain,
		.expires = m->expires,
		.kept = m};
}

void mq_message_unref(mq_core *core, mq_message *m) {
	if (!m || --m->refs) return;
	if (m->stored) mq_journal_lost(core, m->id);
	mq_source_unref(core, m->source);
	core->stats.stored--;
	core->stats.stored_bytes -= m->payload_n;
	mq_release(core, m);
}

void mq_view_done(mq_core *core, mq_view *v) {
	if (v->owned) mq_message_unref(core, v->kept);
	v->kept = NULL;
	v->owned = 0;
}
