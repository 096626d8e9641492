/* scripted_http.h - an HTTP server that says what a test wrote down, for answers that no real server gives.
 *
 * It listens on a free port of 127.0.0.1 and serves one connection after the other on a thread of its own: it reads a
 * whole request, notes it, writes the next answer of the script as it stands, and closes. */
#ifndef SCRIPTED_HTTP_H
#define SCRIPTED_HTTP_H

#include <stddef.h>

#define SCRIPTED_ANSWERS 16

struct scripted_answer {
    const char *bytes;
    size_t len;  /* 0: strlen(bytes)                                             */
    size_t take; /* closes after that many bytes of the request; 0: reads it all */
    int hold_ms; /* keeps the connection that long without an answer             */
};

struct scripted_http;
/* The answers are copied, what they point to is borrowed. Fails the running test. */
struct scripted_http *scripted_start(const struct scripted_answer *answers, size_t n);
const char *scripted_url(const struct scripted_http *server); /* "http://127.0.0.1:PORT" */
/* Ends the thread. Then: what came in as the i-th request, "" for none. */
void scripted_stop(struct scripted_http *server);
const char *scripted_request(const struct scripted_http *server, size_t i);
size_t scripted_n_requests(const struct scripted_http *server);
void scripted_free(struct scripted_http *server);

#endif
