/* redis_decode.c - replies (RESP2), decoded where they lie in the connection's read buffer.
 *
 * Strings are packed one behind the other into the pipe's arena, the elements of an array lie side by side, so a reply
 * takes little more memory than its bytes on the wire. hiredis' reader copies what it is given, copies it again into an
 * object and moves its rest about: where replies are hundreds of ids, that was a third of a worker's CPU. It is what
 * tests/fuzz/fuzz_resp.c holds this file against: the same is refused, and the same values come out.
 * Answers may be cut anywhere. What is half read is one string (`fill`) and the arrays that are open around it; only
 * the beginning of a line stays behind in the buffer. What no Redis would send is refused as soon as it is seen:
 * numbers are written in one way only, a string ends where it said, and every length has a bound, so that no foreign
 * server makes us take memory without end.
 * take_reply() decodes everything. take_short() is there besides for the strings of a long array only, at a third of
 * its instructions (49 for an id of 32 bytes instead of 182). */
#include "redis_internal.h"

#include <string.h>

#define MAX_ELEMENTS (1 << 20)        /* of one array; no script or command of ours comes near it */
#define MAX_STRING   (128 << 20)      /* the largest that lies in Redis is a message: 100 MiB */
#define MAX_LINE     (64 * 1024)      /* of a status or an error */
#define MAX_DIGITS   19               /* of a number; as many fit into 64 bits */
#define TEXT_BYTES   (size_t)4096     /* strings are packed into pieces of that size */
#define SHORT        64               /* bytes of a string in the hot case, its end included */
#define TEXT_OWN     (TEXT_BYTES / 8) /* a string that long gets a piece of its own */

enum step { WHOLE, OPENED, MORE, BAD };

struct cursor {
    const char *at, *end;
};

static const struct nm_reply nil = {.str = "", .type = NM_REPLY_NIL};

static enum step refuse(struct nm_decoder *decoder, const char *why)
{
    decoder->why = why;
    return BAD;
}

static char *text_room(struct nm_decoder *decoder, size_t size)
{
    if (size > decoder->text_left) {
        if (size >= TEXT_OWN)
            return nm_arena_alloc(decoder->arena, size);
        char *text = nm_arena_alloc(decoder->arena, TEXT_BYTES);
        if (!text)
            return NULL;
        decoder->text = text;
        decoder->text_left = TEXT_BYTES;
    }
    char *room = decoder->text;
    decoder->text += size;
    decoder->text_left -= size;
    return room;
}

static enum step take_text(struct nm_decoder *decoder, const char *data, size_t len, enum nm_reply_type type,
                           struct nm_reply *out)
{
    char *text = text_room(decoder, len + 1);
    if (!text)
        return refuse(decoder, "there is no memory for it");
    memcpy(text, data, len);
    text[len] = '\0';
    *out = (struct nm_reply){.str = text, .len = (uint32_t)len, .type = type};
    return WHOLE;
}

/* "<mark><number>\r\n", and moves behind it. */
static enum step take_number(struct nm_decoder *decoder, struct cursor *cursor, long long *number)
{
    const char *at = cursor->at + 1;
    bool negative = *at == '-';
    const char *first = at += negative;
    unsigned long long value = 0;
    for (unsigned digit; (digit = (unsigned)*at - '0') < 10; at++) /* ends at *end at the latest */
        value = value * 10 + digit;
    if (at == cursor->end && at - first <= MAX_DIGITS)
        return MORE;
    if (*at != '\r' || at == first || at - first > MAX_DIGITS || (*first == '0' && (negative || at - first > 1)) ||
        value > (unsigned long long)INT64_MAX + negative)
        return refuse(decoder, "a number is malformed");
    if (at + 1 == cursor->end)
        return MORE;
    if (at[1] != '\n')
        return refuse(decoder, "a number is malformed");
    *number = negative ? (long long)(0 - value) : (long long)value;
    cursor->at = at + 2;
    return WHOLE;
}

static enum step take_line(struct nm_decoder *decoder, struct cursor *cursor, enum nm_reply_type type,
                           struct nm_reply *out)
{
    const char *text = cursor->at + 1, *at = text;
    while ((at = memchr(at, '\r', (size_t)(cursor->end - at))) && cursor->end - at > 1 && at[1] != '\n')
        at++;
    if ((at ? at : cursor->end) - text > MAX_LINE)
        return refuse(decoder, "a line is too long");
    if (!at || cursor->end - at < 2)
        return MORE;
    cursor->at = at + 2;
    return take_text(decoder, text, (size_t)(at - text), type, out);
}

/* What is there of the string that was begun, and its end. */
static enum step take_rest(struct nm_decoder *decoder, struct cursor *cursor)
{
    size_t n = (size_t)(cursor->end - cursor->at);
    if (n > decoder->fill_left)
        n = decoder->fill_left;
    memcpy(decoder->fill, cursor->at, n);
    decoder->fill += n;
    decoder->fill_left -= n;
    cursor->at += n;
    if (cursor->end - cursor->at < 2)
        return MORE;
    if (cursor->at[0] != '\r' || cursor->at[1] != '\n')
        return refuse(decoder, "a string is longer than it said");
    *decoder->fill = '\0';
    decoder->fill = NULL;
    cursor->at += 2;
    return WHOLE;
}

static enum step take_string(struct nm_decoder *decoder, struct cursor *cursor, long long len, struct nm_reply *out)
{
    if (len == -1) {
        *out = nil;
        return WHOLE;
    }
    if (len < 0 || len > MAX_STRING)
        return refuse(decoder, "the length of a string is out of range");
    char *text = text_room(decoder, (size_t)len + 1);
    if (!text)
        return refuse(decoder, "there is no memory for it");
    *out = (struct nm_reply){.str = text, .len = (uint32_t)len, .type = NM_REPLY_STR};
    const char *at = cursor->at;
    if (cursor->end - at < len + 2) {
        decoder->fill = text;
        decoder->fill_left = (size_t)len;
        return take_rest(decoder, cursor);
    }
    memcpy(text, at, (size_t)len);
    text[len] = '\0';
    at += len;
    if (at[0] != '\r' || at[1] != '\n')
        return refuse(decoder, "a string is longer than it said");
    cursor->at = at + 2;
    return WHOLE;
}

static enum step take_array(struct nm_decoder *decoder, long long n, struct nm_reply *out)
{
    if (n == 0 || n == -1) {
        *out = n ? nil : (struct nm_reply){.element = &nil, .type = NM_REPLY_ARRAY};
        return WHOLE;
    }
    if (n < 0 || n > MAX_ELEMENTS)
        return refuse(decoder, "the length of an array is out of range");
    if (decoder->depth == NM_DECODER_DEPTH)
        return refuse(decoder, "arrays are nested too deep");
    struct nm_reply *element = nm_arena_alloc(decoder->arena, (size_t)n * sizeof *element);
    if (!element)
        return refuse(decoder, "there is no memory for it");
    *out = (struct nm_reply){.element = element, .len = (uint32_t)n, .type = NM_REPLY_ARRAY};
    decoder->open[decoder->depth].next = element;
    decoder->open[decoder->depth++].stop = element + n;
    return OPENED;
}

static enum step take_reply(struct nm_decoder *decoder, struct cursor *cursor, struct nm_reply *out)
{
    const char *begin = cursor->at;
    if (decoder->fill)
        return take_rest(decoder, cursor);
    if (begin == cursor->end)
        return MORE;
    if (*begin == '+' || *begin == '-')
        return take_line(decoder, cursor, *begin == '+' ? NM_REPLY_STATUS : NM_REPLY_ERROR, out);
    if (*begin != '$' && *begin != ':' && *begin != '*')
        return refuse(decoder, "its first byte means nothing");
    long long number;
    enum step step = take_number(decoder, cursor, &number);
    if (step != WHOLE)
        return step;
    if (*begin == '$')
        return take_string(decoder, cursor, number, out);
    if (*begin == '*')
        return take_array(decoder, number, out);
    return take_text(decoder, begin + 1, (size_t)(cursor->at - begin - 3), NM_REPLY_INT, out);
}

/* Elements from `next` on, as long as they are short strings that lie wholly in the buffer, with so much behind them
 * that SHORT bytes are moved without asking how many are meant. Everything else, also what is to be refused, is left to
 * take_reply(). Returns the first element that was not taken. */
static struct nm_reply *take_short(struct nm_decoder *decoder, struct cursor *cursor, struct nm_reply *next,
                                   const struct nm_reply *stop)
{
    const char *at = cursor->at, *end = cursor->end;
    char *text = decoder->text;
    size_t left = decoder->text_left;
    for (; next < stop && end - at >= SHORT + 8 && left >= SHORT && at[0] == '$'; next++) {
        unsigned len = (unsigned)at[1] - '0', digit = (unsigned)at[2] - '0';
        const char *from = at + 4;
        if (len > 9)
            break;
        if (digit < 10 && len > 0) {
            len = len * 10 + digit;
            from++;
        }
        if (len > SHORT - 2 || memcmp(from - 2, "\r\n", 2) != 0 || memcmp(from + len, "\r\n", 2) != 0)
            break;
        memcpy(text, from, SHORT);
        text[len] = '\0';
        *next = (struct nm_reply){.str = text, .len = len, .type = NM_REPLY_STR};
        text += len + 1;
        left -= len + 1;
        at = from + len + 2;
    }
    cursor->at = at;
    decoder->text = text;
    decoder->text_left = left;
    return next;
}

/* Elements of the innermost open array. */
static enum step take_elements(struct nm_decoder *decoder, struct cursor *cursor)
{
    struct nm_reply **next = &decoder->open[decoder->depth - 1].next, *stop = decoder->open[decoder->depth - 1].stop;
    for (;;) {
        if (!decoder->fill)
            *next = take_short(decoder, cursor, *next, stop);
        if (*next == stop)
            break;
        enum step step = take_reply(decoder, cursor, *next);
        if (step == MORE || step == BAD)
            return step;
        ++*next;
        if (step == OPENED)
            return step;
    }
    decoder->depth--;
    return WHOLE;
}

enum nm_status nm_decode(struct nm_decoder *decoder, struct nm_arena *arena, const char **at, const char *end,
                         struct nm_reply *out, bool *whole, struct nm_error *err)
{
    struct cursor cursor = {*at, end};
    decoder->arena = arena;
    enum step step = decoder->depth ? OPENED : take_reply(decoder, &cursor, out);
    while (decoder->depth && (step == OPENED || step == WHOLE))
        step = take_elements(decoder, &cursor);
    if (step == BAD)
        return nm_fail(err, NM_RETRY, "Redis sent a reply that is not RESP: %s", decoder->why);
    *at = cursor.at;
    *whole = step == WHOLE;
    return NM_OK;
}
