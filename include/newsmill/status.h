/* status.h - what a fallible function tells its caller to do next.
 *
 * Every function of newsmill that can fail returns an nm_status; its result leaves through an out parameter that
 * stands before `err` and is written only on NM_OK. The message says what happened, in one line, without secrets.
 * No allocation, so it works when memory is gone. Thread-safe: nothing is shared. */
#ifndef NEWSMILL_STATUS_H
#define NEWSMILL_STATUS_H

#include <stdlib.h>

enum nm_status {
    NM_OK = 0,
    NM_RETRY,     /* a dependency failed: the same call may succeed later   */
    NM_BAD_INPUT, /* this item can never succeed: dead-letter it, carry on  */
    NM_CONFIG,    /* the operator must act: exit 2                          */
    NM_FATAL,     /* state unknown: exit 1, commit nothing                  */
};

struct nm_error {
    enum nm_status status;
    char code[33]; /* NM_BAD_INPUT only: the dead-letter code, [a-z0-9_]; else "" */
    char msg[300]; /* one line, what to do or what happened                     */
};

#define NM_MUST_USE __attribute__((warn_unused_result))

/* Fills *err (may be NULL) and returns `status`, so that every failure is one `return nm_fail(...)`.
 * Control characters in the formatted text become spaces. */
NM_MUST_USE enum nm_status nm_fail(struct nm_error *err, enum nm_status status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for one bad event: status NM_BAD_INPUT and the dead-letter code (a literal, at most 32 bytes). */
NM_MUST_USE enum nm_status nm_bad(struct nm_error *err, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Cleanup by scope: NM_AUTO(free_fn) on a pointer calls free_fn when the variable leaves its scope.
 * free_fn accepts NULL. To hand ownership on, copy the pointer out and set the variable to NULL. */
#define NM_DEFINE_CLEANUP(type, free_fn) /* NOLINTNEXTLINE(bugprone-macro-parentheses): a type */                      \
    static inline void free_fn##_p(type **p)                                                                           \
    {                                                                                                                  \
        free_fn(*p);                                                                                                   \
        *p = NULL;                                                                                                     \
    }
#define NM_AUTO(free_fn) __attribute__((cleanup(free_fn##_p)))

NM_DEFINE_CLEANUP(char, free)

#endif
