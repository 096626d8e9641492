/* admin_internal.h - what the files of the admin endpoint share. */
#ifndef NM_ADMIN_INTERNAL_H
#define NM_ADMIN_INTERNAL_H

#include "newsmill/admin.h"
#include "newsmill/buf.h"

#include <stdint.h>

/* Where to listen: "host:port" or "[v6]:port", the port 0 to 65535 (0: a free one). */
struct nm_listen {
    char host[256]; /* without brackets; "": switched off */
    char port[6];
};

/* "" is switched off. NM_CONFIG: the message begins lower-case, behind the option's name ("is 'x', not ..."). */
NM_MUST_USE enum nm_status nm_listen_parse(const char *text, struct nm_listen *out, struct nm_error *err);
/* A listening socket, and the address that it got ("127.0.0.1:43211"). NM_CONFIG: taken, unknown or not allowed. */
NM_MUST_USE enum nm_status nm_listen_open(const struct nm_listen *listen, char address[300], int *out,
                                          struct nm_error *err);

/* What the pages are made of. */
struct nm_admin_view {
    const char *worker, *ns;
    int64_t uptime_ms;
    const struct nm_report *report; /* NULL: none was published yet */
};

/* A page appended to `out` (or out->oom); returns the HTTP status. */
unsigned nm_page_livez(const struct nm_admin_view *view, struct nm_buf *out);
unsigned nm_page_readyz(const struct nm_admin_view *view, struct nm_buf *out);
unsigned nm_page_status(const struct nm_admin_view *view, struct nm_buf *out);

/* Bounds of the server; the contract's nm_admin_open() takes nm_admin_default_limits. */
struct nm_admin_limits {
    unsigned connections; /* at most NM_ADMIN_CONNECTIONS; further ones wait                */
    unsigned silence_s;   /* a connection that says nothing for so long is closed           */
    int connection_ms;    /* a connection that lasts longer is closed, whatever it says     */
};
#define NM_ADMIN_CONNECTIONS 32
extern const struct nm_admin_limits nm_admin_default_limits;

NM_MUST_USE enum nm_status nm_admin_open_limited(const struct nm_settings *settings, const char *worker,
                                                 struct nm_metrics *metrics, const struct nm_admin_limits *limits,
                                                 struct nm_admin **out, struct nm_error *err);

#endif
