/* status.c - the one line that a failed call leaves behind.
 *
 * The text is formatted into the caller's struct, never on the heap, so it works when memory is gone. Messages quote
 * untrusted input, so control characters (C0, DEL and C1) become spaces: a message can neither start a new log line
 * nor send an escape sequence to a terminal. A text that is cut at the end of the array is cut before a UTF-8
 * sequence, since it goes into JSON and Kafka headers. Thread-safe: nothing is shared. */
#include "newsmill/status.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void blank_controls(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p; p++) {
        if (*p < 0x20 || *p == 0x7f)
            *p = ' ';
        if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) /* C1: U+0080 to U+009F */
            p[0] = p[1] = ' ';
    }
}

/* Takes away a UTF-8 sequence that vsnprintf cut in two. */
static void drop_partial_tail(char *text, size_t len)
{
    size_t at = len;
    while (at > 0 && len - at < 3 && ((unsigned char)text[at - 1] & 0xc0) == 0x80)
        at--;
    if (at == 0 || (unsigned char)text[at - 1] < 0xc0)
        return;
    unsigned char lead = (unsigned char)text[at - 1];
    size_t want = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (len - (at - 1) < want)
        text[at - 1] = '\0';
}

static void fill(struct nm_error *err, enum nm_status status, const char *fmt, va_list args)
{
    err->status = status;
    err->code[0] = '\0';
    int n = vsnprintf(err->msg, sizeof err->msg, fmt, args);
    if (n < 0) /* an encoding error: the format alone still says where it came from */
        (void)snprintf(err->msg, sizeof err->msg, "%s", fmt);
    else if ((size_t)n >= sizeof err->msg)
        drop_partial_tail(err->msg, sizeof err->msg - 1);
    blank_controls(err->msg);
}

enum nm_status nm_fail(struct nm_error *err, enum nm_status status, const char *fmt, ...)
{
    if (err) {
        va_list args;
        va_start(args, fmt);
        fill(err, status, fmt, args);
        va_end(args);
    }
    return status;
}

enum nm_status nm_bad(struct nm_error *err, const char *code, const char *fmt, ...)
{
    if (err) {
        va_list args;
        va_start(args, fmt);
        fill(err, NM_BAD_INPUT, fmt, args);
        va_end(args);
        size_t len = strlen(code);
        assert(len < sizeof err->code);
        if (len >= sizeof err->code)
            len = sizeof err->code - 1;
        memcpy(err->code, code, len);
        err->code[len] = '\0';
    }
    return NM_BAD_INPUT;
}
