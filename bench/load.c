/* load.c: a load generator for MQTT brokers, one thread, cheaper per message than what it drives.
 *
 * Theory of operation. Closed loop: no more than `window` messages for each publisher are under way, and a message is under
 * way until every subscriber that should get it has it. So a broker is never asked for more than it delivers, never has a
 * reason to drop, and its rate is what comes out. With --rate the loop is open (messages are sent when they are due, whatever
 * comes back), which is for latency and for the cost of a message on a broker that is not busy.
 *
 * Prints one JSON object. Exit codes: 0; 2 usage, or the broker refused or closed a connection; 3 nothing moved for ten
 * seconds; 4 messages were lost.
 */
#define _GNU_SOURCE
#include "client.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
	"usage: load SCENARIO [options]\n"
	"scenarios:\n"
	"  pairs     publisher i to subscriber i, on a topic of their own\n"
	"  fanout    one topic, every subscriber gets every message\n"
	"  fanin     a topic for each publisher, every subscriber has a wildcard over them all\n"
	"  connect   --conns connections are opened, at most --burst at a time\n"
	"  idle      the same, then held for --secs\n"
	"  retained  --topics retained messages are stored, then read by a new subscription\n"
	"options, with their defaults:\n"
	"  --host 127.0.0.1  --port 1883   --pid 0 (the broker's, to measure its processor time and memory)\n"
	"  --pubs 1   --subs 1   --window 512 (messages under way for each publisher)\n"
	"  --qos 0    --subqos (as --qos)     --size 64 (payload, bytes)   --levels 3 (in a topic name)   --prefix t\n"
	"  --secs 5   --warm 1 (seconds before measuring)   --msgs 0 (deliveries to measure instead of --secs)\n"
	"  --rate 0 (messages a second in all; 0 is the closed loop)\n"
	"  --noise 0 (further subscriptions, which match nothing)\n"
	"  --conns 1000   --burst 200   --topics 10000\n"
	"  --tls SUITE (of TLS 1.3, in a generator built with LOAD_TLS; the broker's certificate is not looked at)\n"
	"  --lasting (the subscribers' sessions outlive their connections)\n"
	"  --v5   --keepalive 60   --id load   --user NAME   --pass PASSWORD\n";

struct options opt = {
	.host = "127.0.0.1",
	.prefix = "t",
	.id = "load",
	.port = 1883,
	.pubs = 1,
	.subs = 1,
	.window = 512,
	.subqos = -1,
	.size = 64,
	.levels = 3,
	.conns = 1000,
	.burst = 200,
	.topics = 10000,
	.keepalive = 60,
	.secs = 5,
	.warm = 1,
};

enum kind { TEXT, WHOLE, REAL, SWITCH };
struct option {
	const char *name;
	enum kind kind;
	void *value;
};
static const struct option option_table[] = {
	{"--host", TEXT, &opt.host},
	{"--port", WHOLE, &opt.port},
	{"--pid", WHOLE, &opt.pid},
	{"--pubs", WHOLE, &opt.pubs},
	{"--subs", WHOLE, &opt.subs},
	{"--window", WHOLE, &opt.window},
	{"--qos", WHOLE, &opt.qos},
	{"--subqos", WHOLE, &opt.subqos},
	{"--size", WHOLE, &opt.size},
	{"--levels", WHOLE, &opt.levels},
	{"--prefix", TEXT, &opt.prefix},
	{"--secs", REAL, &opt.secs},
	{"--warm", REAL, &opt.warm},
	{"--msgs", WHOLE, &opt.msgs},
	{"--rate", REAL, &opt.rate},
	{"--noise", WHOLE, &opt.noise},
	{"--conns", WHOLE, &opt.conns},
	{"--burst", WHOLE, &opt.burst},
	{"--topics", WHOLE, &opt.topics},
	{"--v5", SWITCH, &opt.v5},
	{"--lasting", SWITCH, &opt.lasting},
	{"--keepalive", WHOLE, &opt.keepalive},
	{"--id", TEXT, &opt.id},
	{"--user", TEXT, &opt.user},
	{"--pass", TEXT, &opt.pass},
	{"--tls", TEXT, &opt.tls},
};

/* ---- what is measured ------------------------------------------------------------------------------------------------- */

/* Latencies in microseconds, 64 steps to each power of two: within 1.6 % of the truth. */
static uint64_t histogram[64 * 64];

void latency_add(uint64_t us) {
	int scale = us < 64 ? 0 : 58 - __builtin_clzll(us);
	histogram[scale * 64 + (int)(us >> scale)]++;
}

static double latency_at(double share) {
	uint64_t total = 0, passed = 0;
	for (int i = 0; i < 64 * 64; i++) total += histogram[i];
	for (int i = 0; i < 64 * 64 && total; i++)
		if ((double)(passed += histogram[i]) >= share * (double)total) return (double)((uint64_t)(i % 64) << (i / 64));
	return 0;
}

/* Processor time in seconds: of a process, or of this one for pid 0. */
static double cpu_of(long pid) {
	clockid_t clock;
	struct timespec t = {0};
	if (clock_getcpuclockid((pid_t)pid, &clock) || clock_gettime(clock, &t)) return 0;
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static long rss_kb(void) {
	char path[64], line[256];
	long kb = 0;
	snprintf(path, sizeof path, "/proc/%ld/status", opt.pid);
	FILE *file = opt.pid ? fopen(path, "r") : NULL;
	if (!file) return 0;
	while (fgets(line, sizeof line, file) && sscanf(line, "VmRSS: %ld", &kb) != 1) {}
	fclose(file);
	return kb;
}

static double broker_cpu(void) { return opt.pid ? cpu_of(opt.pid) : 0; }

/* ---- scenarios: messages ---------------------------------------------------------------------------------------------- */

enum shape { PAIRS, FANOUT, FANIN };

static void topic_name(char *to, size_t size, long i) {
	size_t n = (size_t)snprintf(to, size, "%s", opt.prefix);
	for (long level = 1; level < opt.levels - 1; level++) n += (size_t)snprintf(to + n, size - n, "/l%ld", level);
	snprintf(to + n, size - n, "/%ld", i);
}

static void noise_filter(char *to, size_t size, long i) {
	switch (i % 3) {
	case 0: snprintf(to, size, "noise/%ld/%ld/%ld", i % 100, i % 1000, i); break;
	case 1: snprintf(to, size, "noise/+/%ld/%ld", i % 1000, i); break;
	default: snprintf(to, size, "noise/%ld/%ld/#", i % 100, i); break;
	}
}

/* Subscribers come first in conns, then publishers. */
static void set_up(enum shape shape) {
	char topic[512];
	open_conns(opt.pubs + opt.subs);
	for (long i = 0; i < opt.pubs + opt.subs; i++) open_conn((uint32_t)i);
	turn_until(&count.connected, opt.pubs + opt.subs, "connected");
	for (long i = 0; i < opt.subs; i++) {
		if (shape == FANIN) snprintf(topic, sizeof topic, "%s/#", opt.prefix);
		else topic_name(topic, sizeof topic, shape == FANOUT ? 0 : i);
		send_subscribe(&conns[i], topic, opt.subqos);
	}
	turn_until(&count.subscribed, opt.subs, "subscribed");
	for (long i = 0; i < opt.noise; i++) {
		noise_filter(topic, sizeof topic, i);
		send_subscribe(&conns[i % opt.subs], topic, opt.subqos);
		if (i % 4096 == 4095) turn_until(&count.subscribed, opt.subs + i - 4096, "subscribed to noise");
	}
	turn_until(&count.subscribed, opt.subs + opt.noise, "subscribed to noise");
	for (long i = 0; i < opt.pubs; i++) {
		topic_name(topic, sizeof topic, shape == FANOUT ? 0 : i);
		set_frame(&conns[opt.subs + i], topic, opt.qos, false);
	}
}

/* Closed loop: what was delivered to all makes room for as many new messages, spread over the publishers. */
static void refill(long fan, uint64_t stamp) {
	static long next;
	long room = opt.window * opt.pubs - (count.sent - count.delivered / fan);
	long each = room / opt.pubs > 0 ? room / opt.pubs : 1;
	for (long i = 0; i < opt.pubs && room > 0; i++, next = (next + 1) % opt.pubs) {
		struct conn *c = &conns[opt.subs + next];
		long n = each < room ? each : room, unacknowledged = c->sent - c->acknowledged;
		if (opt.qos && n > opt.window - unacknowledged) n = opt.window - unacknowledged;
		if (n <= 0 || c->out.len - c->out.off > PENDING_MAX) continue;
		publish(c, n, stamp);
		room -= n;
	}
}

/* Open loop: publishes what is due since the last call; returns nanoseconds until the next message is. */
static uint64_t send_due(uint64_t start, uint64_t at) {
	static long next;
	double due = (double)(at - start) * opt.rate / 1e9;
	for (; (double)count.sent < due; next = (next + 1) % opt.pubs) publish(&conns[opt.subs + next], 1, at);
	return (uint64_t)((double)count.sent * 1e9 / opt.rate) + 1 + start - at;
}

struct sample {
	uint64_t time;
	long sent, delivered;
	double broker, self;
};

static struct sample take_sample(uint64_t at) {
	return (struct sample){at, count.sent, count.delivered, broker_cpu(), cpu_of(0)};
}

/* Runs through warming up and measuring; returns the two ends of what was measured. */
static void drive(long fan, struct sample *first, struct sample *last) {
	uint64_t start = now(), moved = start;
	for (long seen = -1;;) {
		uint64_t at = now();
		if (!measuring && at - start >= (uint64_t)(opt.warm * 1e9)) {
			*first = take_sample(at);
			measuring = true;
		}
		if (measuring &&
			(opt.msgs ? count.delivered - first->delivered >= opt.msgs : at - first->time >= (uint64_t)(opt.secs * 1e9)))
			break;
		if (opt.rate > 0) turn(send_due(start, at));
		else refill(fan, at), turn(SECOND / 50);
		if (count.delivered != seen) moved = at;
		else if (at - moved > STALL)
			fail(3, "stalled: %ld sent, %ld of %ld delivered", count.sent, count.delivered, count.sent * fan);
		seen = count.delivered;
	}
	*last = take_sample(now());
	measuring = false;
}

/* Messages that have not come two seconds after the last one did. */
static long lost(long fan) {
	uint64_t moved = now();
	while (count.delivered < count.sent * fan && now() - moved < 2 * SECOND) {
		long seen = count.delivered;
		turn(SECOND / 50);
		if (count.delivered != seen) moved = now();
	}
	return count.sent * fan - count.delivered;
}

static int traffic(const char *scenario, enum shape shape) {
	if (shape == PAIRS) opt.subs = opt.pubs;
	long fan = shape == PAIRS ? 1 : opt.subs;
	struct sample a = {0}, b = {0};
	set_up(shape);
	drive(fan, &a, &b);
	long missing = lost(fan);
	double secs = (double)(b.time - a.time) / 1e9, delivered = (double)(b.delivered - a.delivered);
	double cpu = b.broker - a.broker;
	printf("{\"scenario\":\"%s\",\"qos\":%ld,\"pubs\":%ld,\"subs\":%ld,\"size\":%ld,\"secs\":%.2f,", scenario, opt.qos, opt.pubs,
		opt.subs, opt.size, secs);
	printf("\"published_per_s\":%.0f,\"delivered_per_s\":%.0f,", (double)(b.sent - a.sent) / secs, delivered / secs);
	printf("\"p50_us\":%.0f,\"p99_us\":%.0f,\"p999_us\":%.0f,", latency_at(.5), latency_at(.99), latency_at(.999));
	printf("\"broker_cpu\":%.3f,\"broker_us_per_delivery\":%.3f,", cpu / secs, delivered > 0 ? cpu * 1e6 / delivered : 0);
	printf("\"load_cpu\":%.3f,\"broker_rss_kb\":%ld,\"lost\":%ld}\n", (b.self - a.self) / secs, rss_kb(), missing);
	return missing ? 4 : 0;
}

static int pairs(const char *name) { return traffic(name, PAIRS); }
static int fanout(const char *name) { return traffic(name, FANOUT); }
static int fanin(const char *name) { return traffic(name, FANIN); }

/* ---- scenarios: connections and retained messages --------------------------------------------------------------------- */

static int connections(const char *scenario, double hold) {
	long before = rss_kb(), opened = 0;
	double cpu = broker_cpu();
	open_conns(opt.conns);
	uint64_t start = now();
	while (opened < opt.conns) {
		for (; opened < opt.conns && opened - count.connected < opt.burst; opened++) open_conn((uint32_t)opened);
		turn_until(&count.connected, opened - opt.burst + 1, "connected");
	}
	turn_until(&count.connected, opt.conns, "connected");
	double secs = (double)(now() - start) / 1e9;
	cpu = broker_cpu() - cpu;
	for (uint64_t end = now() + (uint64_t)(hold * 1e9); now() < end;) turn(SECOND / 10);
	long after = rss_kb();
	printf("{\"scenario\":\"%s\",\"conns\":%ld,\"connects_per_s\":%.0f,\"broker_cpu_us_per_connect\":%.1f,", scenario, opt.conns,
		(double)opt.conns / secs, cpu * 1e6 / (double)opt.conns);
	printf("\"broker_rss_kb_before\":%ld,\"broker_rss_kb_after\":%ld,\"bytes_per_conn\":%.0f}\n", before, after,
		(double)(after - before) * 1024 / (double)opt.conns);
	return 0;
}

static int connect_all(const char *name) { return connections(name, 0); }
static int idle(const char *name) { return connections(name, opt.secs); }

/* Stored with QoS 1, so that the time is known when the broker has them; at most 4096 under way. */
static int retained(const char *scenario) {
	char topic[512];
	open_conns(2);
	struct conn *publisher = &conns[0], *reader = &conns[1];
	open_conn(0);
	open_conn(1);
	turn_until(&count.connected, 2, "connected");
	uint64_t start = now();
	for (long i = 0; i < opt.topics; i++) {
		snprintf(topic, sizeof topic, "%s/%ld/%ld", opt.prefix, i % 100, i);
		set_frame(publisher, topic, 1, true);
		publish(publisher, 1, start);
		if (i % 256 != 255) continue;
		turn(0);
		turn_until(&count.acknowledged, i - 4096, "stored");
	}
	turn_until(&count.acknowledged, opt.topics, "stored");
	double stored = (double)(now() - start) / 1e9;
	start = now();
	snprintf(topic, sizeof topic, "%s/#", opt.prefix);
	send_subscribe(reader, topic, 0);
	turn_until(&count.delivered, opt.topics, "read");
	double read = (double)(now() - start) / 1e9;
	printf("{\"scenario\":\"%s\",\"topics\":%ld,\"stored_per_s\":%.0f,\"read_per_s\":%.0f,\"broker_rss_kb\":%ld}\n", scenario,
		opt.topics, (double)opt.topics / stored, (double)opt.topics / read, rss_kb());
	return 0;
}

struct scenario {
	const char *name;
	int (*run)(const char *);
};
static const struct scenario scenarios[] = {
	{"pairs", pairs},
	{"fanout", fanout},
	{"fanin", fanin},
	{"connect", connect_all},
	{"idle", idle},
	{"retained", retained},
};

/* ---- command line ----------------------------------------------------------------------------------------------------- */

static void set_option(const char *name, const char *value) {
	for (size_t i = 0; i < sizeof option_table / sizeof *option_table; i++) {
		void *to = option_table[i].value;
		if (strcmp(name, option_table[i].name)) continue;
		if (option_table[i].kind != SWITCH && !value) fail(2, "%s: a value is missing", name);
		switch (option_table[i].kind) {
		case TEXT: *(const char **)to = value; break;
		case WHOLE: *(long *)to = atol(value); break;
		case REAL: *(double *)to = atof(value); break;
		case SWITCH: *(long *)to = 1; break;
		}
		return;
	}
	fail(2, "%s: no such option\n%s", name, usage);
}

int main(int argc, char **argv) {
	if (argc < 2 || !strcmp(argv[1], "-h") || !strcmp(argv[1], "--help")) {
		fputs(usage, argc < 2 ? stderr : stdout);
		return argc < 2 ? 2 : 0;
	}
	for (int i = 2; i < argc; i++) {
		bool alone = !strcmp(argv[i], "--v5") || !strcmp(argv[i], "--lasting");
		set_option(argv[i], alone ? NULL : argv[i + 1]);
		i += !alone;
	}
	if (opt.subqos < 0) opt.subqos = opt.qos;
	if (opt.pubs < 1 || opt.subs < 1 || opt.window < 1 || opt.burst < 1 || opt.size < 0)
		fail(2, "a number is too small\n%s", usage);

#ifndef LOAD_TLS
	if (opt.tls) fail(2, "--tls: this generator was built without TLS");
#endif

	struct rlimit files;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
		if (!strcmp(argv[1], scenarios[i].name)) return scenarios[i].run(argv[1]);
	fail(2, "%s: no such scenario\n%s", argv[1], usage);
}
