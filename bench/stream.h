/* stream.h: how a client's bytes reach its socket: as they are, or with LOAD_TLS through OpenSSL (link with -lssl -lcrypto).
 *
 * As send(2) and recv(2) on a socket that does not block. errno EINPROGRESS after stream_send: nothing can be sent before
 * something has come; stream_stuck says then that it is time to try again.
 */
#ifndef STREAM_H
#define STREAM_H
#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>
#include "client.h"

#ifndef LOAD_TLS

static inline void stream_open(struct conn *c) { (void)c; }
static inline ssize_t stream_send(struct conn *c, const void *data, size_t n) { return send(c->fd, data, n, MSG_NOSIGNAL); }
static inline ssize_t stream_recv(struct conn *c, void *to, size_t n) { return recv(c->fd, to, n, 0); }
static inline bool stream_stuck(struct conn *c) { return (void)c, false; }

#else
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static SSL **streams; /* by index of the connection */
static SSL_CTX *stream_context;

static inline void stream_set_up(void) {
	signal(SIGPIPE, SIG_IGN);
	stream_context = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_mode(
		stream_context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(stream_context, SSL_SESS_CACHE_OFF);
	if (opt.tls && SSL_CTX_set_ciphersuites(stream_context, opt.tls) != 1) fail(2, "%s: no such cipher suite", opt.tls);
	if (opt.tls) SSL_CTX_set_min_proto_version(stream_context, TLS1_3_VERSION);
	streams = calloc((size_t)(opt.conns > opt.pubs + opt.subs ? opt.conns : opt.pubs + opt.subs), sizeof *streams);
}

static inline void stream_open(struct conn *c) {
	if (!opt.tls) return;
	if (!stream_context) stream_set_up();
	streams[c->index] = SSL_new(stream_context);
	SSL_set_fd(streams[c->index], c->fd);
	SSL_set_connect_state(streams[c->index]);
}

static inline ssize_t stream_result(SSL *ssl, int n, int other) {
	if (n > 0) return n;
	int reason = SSL_get_error(ssl, n);
	if (reason == SSL_ERROR_ZERO_RETURN) return 0;
	if (reason != SSL_ERROR_WANT_READ && reason != SSL_ERROR_WANT_WRITE) {
		ERR_print_errors_fp(stderr);
		fail(2, "TLS error %d", reason);
	}
	errno = reason == other ? EINPROGRESS : EAGAIN;
	return -1;
}

static inline ssize_t stream_send(struct conn *c, const void *data, size_t n) {
	if (!opt.tls) return send(c->fd, data, n, MSG_NOSIGNAL);
	ssize_t sent = stream_result(streams[c->index], SSL_write(streams[c->index], data, (int)n), SSL_ERROR_WANT_READ);
	c->stuck = sent < 0 && errno == EINPROGRESS;
	return sent;
}

static inline ssize_t stream_recv(struct conn *c, void *to, size_t n) {
	if (!opt.tls) return recv(c->fd, to, n, 0);
	return stream_result(streams[c->index], SSL_read(streams[c->index], to, (int)n), -1);
}

static inline bool stream_stuck(struct conn *c) { return c->stuck; }
#endif
#endif
