/* admin.h - the admin endpoint: four pages over HTTP that say how this process is.
 *
 *   /livez    200, or 503 and the reason why this process should be replaced
 *   /readyz   200 when the group is joined and Redis and Kafka answer, else 503 and what is missing
 *   /metrics  Prometheus' text format
 *   /status   JSON: assignment, positions, what is being tried again
 *
 * GET and HEAD only, no secrets, nothing that changes anything; whoever reaches the address may read. It has a thread
 * of its own and answers while the worker's thread is busy: it shows the last report that was published. Before the
 * first one /livez is 200 and /readyz 503. Connections, the size of a request and its time are bounded. */
#ifndef NEWSMILL_ADMIN_H
#define NEWSMILL_ADMIN_H

#include "newsmill/metrics.h"
#include "newsmill/report.h"
#include "newsmill/settings.h"
#include "newsmill/status.h"

struct nm_admin;

/* Binds settings->admin.listen and starts the thread. Everything is borrowed until nm_admin_close(). With admin.listen
 * "" nothing is bound and the rest does nothing. NM_CONFIG: the address is taken, unknown or not allowed; the message
 * says what to do. NM_FATAL: no thread or no memory. */
NM_MUST_USE enum nm_status nm_admin_open(const struct nm_settings *settings, const char *worker,
                                         struct nm_metrics *metrics, struct nm_admin **out, struct nm_error *err);
void nm_admin_close(struct nm_admin *admin); /* NULL is fine; takes a moment at most */
NM_DEFINE_CLEANUP(struct nm_admin, nm_admin_close)

/* The address that is bound, "127.0.0.1:43211" or "[::1]:43211"; "" when it is switched off. Borrowed. */
const char *nm_admin_address(const struct nm_admin *admin);

/* Copies the report, which the pages show from now on. One thread at a time. Without memory the last one stays. */
void nm_admin_publish(struct nm_admin *admin, const struct nm_report *report);

#endif
