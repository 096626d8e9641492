/* text.c - clean text: normal form, white space, cutting, folding, whole words.
 *
 * Most titles are short ASCII without markup: one scan finds that out and one append is all there is. Everything
 * else is written to the buffer and tidied there in place, which only shrinks it; utf8proc is asked for NFC only where
 * a code point occurs that NFC may change.
 * utf8proc sorts combining marks by insertion, quadratic in the length of one run, so runs are capped at 30 marks, the
 * bound of Unicode's Stream-Safe Text Format (UAX 15); no writing system comes near. Thread-safe: no state. */
#define _GNU_SOURCE /* memmem */
#include "text_internal.h"

#include <string.h>
#include <utf8proc.h>

enum { MARKS_MAX = 30 };

size_t nm_text_decode(const char *text, size_t len, uint32_t *code)
{
    utf8proc_int32_t value = 0;
    utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)len, &value);
    *code = n > 0 ? (uint32_t)value : 0xfffd;
    return n > 0 ? (size_t)n : 1;
}

void nm_text_encode(uint32_t code, struct nm_buf *out)
{
    utf8proc_uint8_t bytes[4];
    if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        code = 0xfffd;
    utf8proc_ssize_t n = utf8proc_encode_char((utf8proc_int32_t)code, bytes);
    nm_buf_add(out, bytes, (size_t)n);
}

bool nm_text_is_white(uint32_t code)
{
    if (code < 0x80)
        return code == ' ' || (code >= 9 && code <= 13);
    return code == 0x85 || code == 0xa0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200a) || code == 0x2028 ||
           code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}

bool nm_text_is_inert(uint32_t code)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {
        {0, 0x2ff},       {0x400, 0x482},   {0x48a, 0x58f},   {0x2010, 0x2027}, {0x2030, 0x205e}, {0x20a0, 0x20cf},
        {0x3041, 0x3096}, {0x30a1, 0x30fe}, {0x3400, 0x4dbf}, {0x4e00, 0x9fff}, {0xac00, 0xd7a3}, {0x1f300, 0x1faff},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (code <= ranges[i].last)
            return code >= ranges[i].first;
    return false;
}

static bool is_category(uint32_t code, utf8proc_category_t first, utf8proc_category_t last)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code);
    return category >= first && category <= last;
}

static bool is_mark(uint32_t code)
{
    return code >= 0x300 && is_category(code, UTF8PROC_CATEGORY_MN, UTF8PROC_CATEGORY_ME);
}

/* Letters, digits and marks: what may not stand next to a whole word. */
static bool is_word(uint32_t code)
{
    if (code < 0x80)
        return (code >= '0' && code <= '9') || (code >= 'A' && code <= 'Z') || (code >= 'a' && code <= 'z');
    return is_category(code, UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_NO);
}

/* Counts the marks that follow the last starter in decomposed form; false: the code point is a mark too many. */
static bool mark_allowed(uint32_t code, int *n_marks)
{
    utf8proc_int32_t parts[32];
    int boundary = 0;
    utf8proc_ssize_t n =
        utf8proc_decompose_char((utf8proc_int32_t)code, parts, 32, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, &boundary);
    if (n < 1 || n > 32)
        return true;
    int marks = *n_marks;
    for (utf8proc_ssize_t i = 0; i < n; i++)
        marks = is_mark((uint32_t)parts[i]) ? marks + 1 : 0;
    if (marks > MARKS_MAX && is_mark(code))
        return false;
    *n_marks = marks;
    return true;
}

/* Replaces what follows `start` by its normal form. */
static enum nm_status normalize(struct nm_buf *out, size_t start, utf8proc_option_t fold, struct nm_error *err)
{
    utf8proc_uint8_t *normal = NULL;
    utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)out->data + start, (utf8proc_ssize_t)(out->len - start),
                                      &normal, (utf8proc_option_t)(UTF8PROC_STABLE | UTF8PROC_COMPOSE | fold));
    if (n < 0 && n != UTF8PROC_ERROR_NOMEM)
        return nm_bad(err, "utf8_invalid", "a text cannot be normalised: %s", utf8proc_errmsg(n));
    if (n < 0)
        return nm_fail(err, NM_FATAL, "out of memory for a text of %zu bytes", out->len - start);
    out->len = start;
    nm_buf_add(out, normal, (size_t)n);
    free(normal);
    return NM_OK;
}

/* One pass in place over what follows `start`: writing never overtakes reading, since only a character that was
 * read and dropped makes room for the one space. */
struct tidy {
    char *write;     /* end of what is kept                         */
    const char *run; /* start of a run that is kept but not yet moved */
    bool space;      /* white space was read since the last kept run */
    bool exotic;     /* NFC may change something                     */
    int n_marks;
};

static void flush_run(struct tidy *t, const char *start, const char *stop)
{
    if (stop == t->run)
        return;
    if (t->space && t->write > start)
        *t->write++ = ' ';
    t->space = false;
    size_t len = (size_t)(stop - t->run);
    memmove(t->write, t->run, len);
    t->write += len;
}

/* False: the code point is dropped, or is white space. */
static bool is_kept(struct tidy *t, uint32_t code, bool *white)
{
    *white = nm_text_is_white(code);
    if (*white || code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x200b || code == 0xfeff)
        return false;
    if (nm_text_is_inert(code)) {
        t->n_marks = 0;
        return true;
    }
    t->exotic = true;
    return mark_allowed(code, &t->n_marks);
}

/* Cleans what follows `start`; true: it must still be brought into normal form. */
static bool tidy(struct nm_buf *out, size_t start)
{
    char *first = out->data + start;
    const char *end = out->data + out->len;
    struct tidy t = {.write = first, .run = first};
    for (const char *p = first; p < end;) {
        unsigned char c = (unsigned char)*p;
        if (c > 0x20 && c < 0x7f) {
            t.n_marks = 0;
            p++;
            continue;
        }
        uint32_t code = c;
        size_t n = c < 0x80 ? 1 : nm_text_decode(p, (size_t)(end - p), &code);
        bool white = false;
        if (!is_kept(&t, code, &white)) {
            flush_run(&t, first, p);
            t.space |= white;
            t.run = p + n;
        }
        p += n;
    }
    flush_run(&t, first, end);
    out->len = (size_t)(t.write - out->data);
    return t.exotic;
}

/* Printable ASCII, words one space apart. Eight bytes a step: a borrow or carry between bytes happens only where the
 * answer is no anyway. */
static bool is_clean_ascii(const char *text, size_t len)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = UINT64_C(0x8080808080808080);
    size_t i = 0;
    if (len == 0)
        return true;
    if (text[0] == ' ' || text[len - 1] == ' ')
        return false;
    for (; len - i > sizeof ones; i += sizeof ones) {
        uint64_t here, next;
        memcpy(&here, text + i, sizeof here);
        memcpy(&next, text + i + 1, sizeof next);
        uint64_t pair = (here ^ (ones * ' ')) | (next ^ (ones * ' ')); /* a zero byte: two spaces */
        if (((here | (here + ones) | (here - ones * ' ') | ((pair - ones) & ~pair)) & tops) != 0)
            return false;
    }
    for (; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c > 0x7e || (c == ' ' && text[i - 1] == ' '))
            return false;
    }
    return true;
}

enum nm_status nm_text_clean(const char *text, size_t len, struct nm_buf *out, struct nm_error *err)
{
    bool html = len > 0 && (memchr(text, '<', len) || memchr(text, '&', len));
    bool clean = !html && is_clean_ascii(text, len);
    if (!clean && !nm_text_is_utf8(text, len))
        return nm_bad(err, "utf8_invalid", "a text is not UTF-8");
    size_t start = out->len;
    if (html)
        nm_text_from_html(text, len, out);
    else
        nm_buf_add(out, text, len);
    if (!clean && nm_buf_ok(out) && out->len > start && tidy(out, start)) {
        enum nm_status s = normalize(out, start, 0, err);
        if (s != NM_OK) {
            out->len = start;
            return s;
        }
    }
    if (!nm_buf_ok(out))
        return nm_fail(err, NM_FATAL, "out of memory for a text of %zu bytes", len);
    return NM_OK;
}

/* The end of the last whole grapheme within max_chars code points. */
static size_t cut_graphemes(const char *text, size_t len, size_t max_chars)
{
    utf8proc_int32_t state = 0;
    uint32_t before = 0, code;
    size_t at = 0, cut = 0;
    for (size_t n_chars = 0; at < len; n_chars++) {
        size_t n = nm_text_decode(text + at, len - at, &code);
        if (n_chars > 0 && utf8proc_grapheme_break_stateful((utf8proc_int32_t)before, (utf8proc_int32_t)code, &state))
            cut = at;
        if (n_chars == max_chars)
            return cut;
        before = code;
        at += n;
    }
    return len;
}

size_t nm_text_cut(const char *text, size_t len, size_t max_chars)
{
    size_t at = 0, word_end = 0; /* word_end: of the last word that fits as a whole */
    bool white = true;
    if (len > 0 && len <= max_chars && (unsigned char)(text[len - 1] - 0x21) < 0x5e)
        return len; /* no need to count */
    for (size_t n_chars = 0; at < len; n_chars++) {
        uint32_t code = (unsigned char)text[at];
        size_t n = code < 0x80 ? 1 : nm_text_decode(text + at, len - at, &code);
        bool now_white = nm_text_is_white(code);
        if (now_white && !white)
            word_end = at;
        if (n_chars == max_chars)
            return word_end > 0 || white || now_white ? word_end : cut_graphemes(text, len, max_chars);
        white = now_white;
        at += n;
    }
    return white ? word_end : len;
}

/* Appends the lower case of ASCII and stops before the first byte that is none; returns the bytes that it took. */
static size_t fold_ascii(const char *text, size_t len, struct nm_buf *out)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
    char *to = nm_buf_room(out, len);
    size_t i = 0;
    if (!to)
        return len;
    for (uint64_t eight; len - i >= sizeof eight; i += sizeof eight) {
        memcpy(&eight, text + i, sizeof eight);
        if (eight & tops)
            break;
        uint64_t upper = (eight + ones * (0x80 - 'A')) & ~(eight + ones * (0x7f - 'Z')) & tops; /* top bit: A to Z */
        eight |= upper >> 2;
        memcpy(to + i, &eight, sizeof eight);
    }
    for (; i < len && (unsigned char)text[i] < 0x80; i++)
        to[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] - 'A' + 'a' : text[i]);
    out->len += i;
    return i;
}

/* Appends the folding of one code point; false: NFC may change it where it stands, or what it becomes. */
static bool fold_code(uint32_t code, const char *bytes, size_t n, struct nm_buf *out)
{
    utf8proc_int32_t parts[4];
    int boundary = 0;
    if (!nm_text_is_inert(code))
        return false;
    if ((code >= 0xe0 && code <= 0xff) || code >= 0x3041) { /* small letters; scripts without case */
        nm_buf_add(out, bytes, n);
        return true;
    }
    utf8proc_ssize_t n_parts = utf8proc_decompose_char((utf8proc_int32_t)code, parts, 4, UTF8PROC_CASEFOLD, &boundary);
    if (n_parts < 1 || n_parts > 4)
        return false;
    for (utf8proc_ssize_t i = 0; i < n_parts; i++) {
        if (!nm_text_is_inert((uint32_t)parts[i]))
            return false;
        nm_text_encode((uint32_t)parts[i], out);
    }
    return true;
}

/* Any text: what is too much of its marks is left out, then all of it is folded and brought into normal form. */
static enum nm_status fold_any(const char *text, size_t len, struct nm_buf *out, struct nm_error *err)
{
    size_t start = out->len;
    int n_marks = 0;
    for (size_t i = 0; i < len;) {
        uint32_t code;
        i += nm_text_decode(text + i, len - i, &code);
        bool inert = nm_text_is_inert(code);
        if (inert)
            n_marks = 0;
        if (inert || mark_allowed(code, &n_marks))
            nm_text_encode(code, out);
    }
    return nm_buf_ok(out) ? normalize(out, start, UTF8PROC_CASEFOLD, err) : NM_OK;
}

enum nm_status nm_text_fold(const char *text, size_t len, struct nm_buf *out, struct nm_error *err)
{
    size_t start = out->len;
    bool inert = true;
    for (size_t i = 0; i < len && inert;) {
        i += fold_ascii(text + i, len - i, out);
        while (i < len && inert && (unsigned char)text[i] >= 0x80) {
            uint32_t code;
            size_t n = nm_text_decode(text + i, len - i, &code);
            inert = fold_code(code, text + i, n, out);
            i += n;
        }
    }
    enum nm_status s = NM_OK;
    if (!inert && nm_buf_ok(out)) {
        out->len = start;
        s = fold_any(text, len, out, err);
    }
    if (s == NM_OK && !nm_buf_ok(out))
        s = nm_fail(err, NM_FATAL, "out of memory for a text of %zu bytes", len);
    if (s != NM_OK)
        out->len = start;
    return s;
}

static bool word_before(const char *text, size_t at)
{
    size_t start = at;
    uint32_t code;
    if (at == 0)
        return false;
    do
        start--;
    while (start > 0 && at - start < 4 && ((unsigned char)text[start] & 0xc0) == 0x80);
    (void)nm_text_decode(text + start, at - start, &code);
    return is_word(code);
}

static bool word_at(const char *text, size_t len, size_t at, size_t *n)
{
    uint32_t code = 0;
    *n = at < len ? nm_text_decode(text + at, len - at, &code) : 0;
    return at < len && is_word(code);
}

bool nm_text_has_word(const char *text, size_t len, const char *needle, size_t needle_len, bool prefix)
{
    size_t n, at = 0;
    while (needle_len > 0 && len - at >= needle_len) {
        const char *hit = memmem(text + at, len - at, needle, needle_len);
        if (!hit)
            return false;
        at = (size_t)(hit - text);
        if (!word_before(text, at) && (prefix || !word_at(text, len, at + needle_len, &n)))
            return true;
        /* Inside of this word no other hit has a boundary on its left: go on behind it, so that time is linear. */
        while (word_at(text, len, at, &n))
            at += n;
        at += n;
    }
    return false;
}
