/* terms_chars.c - UTF-8 to characters in normal form NFKC, each with its class.
 *
 * Most texts hold only characters that NFKC leaves alone whatever stands beside them; one look at each finds that out.
 * For the others utf8proc has the mappings. What it does not get to do is put combining marks in order: it does so by
 * insertion, quadratic in the length of a run, and a run may be as long as the text. Here long runs are sorted by
 * counting. Thread-safe: all state is the caller's. */
#include "terms_internal.h"

#include <string.h>
#include <utf8proc.h>

enum {
    FIRST_CAP = 512,
    SHORT_RUN = 16,
    MARK_CLASSES = 256,
};

static const utf8proc_option_t normal_form = UTF8PROC_STABLE | UTF8PROC_COMPAT | UTF8PROC_COMPOSE;

struct range {
    int32_t first, last;
};
#define N(array) (sizeof(array) / sizeof *(array))

/* In order. */
static bool in_ranges(int32_t code, const struct range *ranges, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (code <= ranges[i].last)
            return code >= ranges[i].first;
    return false;
}

/* True for a character that stays as it is under NFKC and neither combines with one before it nor is moved; false may
 * mean "not known". */
static bool is_inert(int32_t code)
{
    static const struct range ranges[] = {
        {0, 0x9f},        {0xab, 0xae},       {0xbf, 0x131},      {0x134, 0x13e},     {0x141, 0x148},
        {0x14a, 0x17e},   {0x180, 0x1c3},     {0x1cd, 0x1f0},     {0x1f4, 0x2af},     {0x388, 0x38a},
        {0x38e, 0x3a1},   {0x3a3, 0x3cf},     {0x3fa, 0x482},     {0x48a, 0x52f},     {0x531, 0x556},
        {0x5d0, 0x5ea},   {0x620, 0x64a},     {0x904, 0x939},     {0xe01, 0xe32},     {0xe40, 0xe47},
        {0x2012, 0x2016}, {0x2018, 0x2023},   {0x2030, 0x2032},   {0x20a9, 0x20c0},   {0x3001, 0x3029},
        {0x3041, 0x3096}, {0x30a0, 0x30fe},   {0x3400, 0x4dbf},   {0x4e00, 0x9fff},   {0xac00, 0xd7a3},
        {0xfe0e, 0xfe0f}, {0x1f300, 0x1f64f}, {0x1f680, 0x1f6c5}, {0x20000, 0x2a6df},
    };
    return in_ranges(code, ranges, N(ranges));
}

static bool is_dense(int32_t code)
{
    static const struct range ranges[] = {
        {0xe00, 0xeff},   {0x1000, 0x109f}, {0x1100, 0x11ff}, {0x1780, 0x17ff}, {0x3040, 0x30ff},   {0x31f0, 0x31ff},
        {0x3400, 0x4dbf}, {0x4e00, 0x9fff}, {0xac00, 0xd7af}, {0xf900, 0xfaff}, {0x20000, 0x3ffff},
    };
    return in_ranges(code, ranges, N(ranges));
}

/* Digits that do not count by tens (category No), as far as NFKC leaves them: circled, Ethiopic, Brahmi, ... */
static bool is_odd_digit(int32_t code)
{
    static const struct range ranges[] = {
        {0x1369, 0x1371}, {0x19da, 0x19da}, {0x24f5, 0x24fd},   {0x24ff, 0x24ff},   {0x2776, 0x277e},
        {0x2780, 0x2788}, {0x278a, 0x2792}, {0x10a40, 0x10a43}, {0x10e60, 0x10e68}, {0x11052, 0x1105a},
    };
    return in_ranges(code, ranges, N(ranges));
}

static unsigned classify(int32_t code)
{
    unsigned dense = code >= 0xe00 && is_dense(code) ? NM_TERMS_DENSE : NM_TERMS_WORD;
    if (code == '.' || code == '\'' || code == '&')
        return NM_TERMS_INNER;
    switch (utf8proc_category(code)) {
    case UTF8PROC_CATEGORY_LU:
        return dense | NM_TERMS_UPPER;
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_NL:
        return dense;
    case UTF8PROC_CATEGORY_ND:
        return dense | NM_TERMS_DIGIT;
    case UTF8PROC_CATEGORY_NO:
        return dense | (is_odd_digit(code) ? NM_TERMS_DIGIT : 0);
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
        return NM_TERMS_MARK;
    default: /* letters in black circles and squares are symbols, but have the property Uppercase */
        return (code >= 0x1f150 && code <= 0x1f169) || (code >= 0x1f170 && code <= 0x1f189) ? NM_TERMS_UPPER : 0;
    }
}

unsigned nm_terms_class(const struct nm_terms_chars *chars, int32_t code)
{
    return code < NM_TERMS_TABLED ? chars->tabled[code] : classify(code);
}

int32_t nm_terms_lower(int32_t code)
{
    if (code < 0x80)
        return code >= 'A' && code <= 'Z' ? code - 'A' + 'a' : code;
    return utf8proc_tolower(code);
}

bool nm_terms_is_white(int32_t code)
{
    if (code < 0x80)
        return code == ' ' || (code >= 9 && code <= 13) || (code >= 0x1c && code <= 0x1f);
    return code == 0x85 || code == 0xa0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200a) || code == 0x2028 ||
           code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}

bool nm_terms_is_decimal(int32_t code)
{
    return code < 0x80 ? code >= '0' && code <= '9' : utf8proc_category(code) == UTF8PROC_CATEGORY_ND;
}

void nm_terms_chars_init(struct nm_terms_chars *chars)
{
    *chars = (struct nm_terms_chars){0};
    for (int32_t code = 0; code < NM_TERMS_TABLED; code++)
        chars->tabled[code] = (uint8_t)classify(code);
}

void nm_terms_chars_clear(struct nm_terms_chars *chars)
{
    free(chars->code);
    free(chars->spare);
    free(chars->class);
}

/* Replaces *piece by one of `size` bytes; false: out of memory, it stays as it is. */
static bool resize(void *piece, size_t size)
{
    void *old, *bigger;
    memcpy(&old, piece, sizeof old);
    bigger = realloc(old, size);
    if (bigger)
        memcpy(piece, &bigger, sizeof bigger);
    return bigger != NULL;
}

static enum nm_status reserve(struct nm_terms_chars *chars, size_t n, struct nm_error *err)
{
    if (n <= chars->cap)
        return NM_OK;
    size_t cap = chars->cap ? chars->cap * 2 : FIRST_CAP;
    if (cap < n)
        cap = n;
    if (!resize(&chars->code, cap * sizeof *chars->code) || !resize(&chars->spare, cap * sizeof *chars->spare) ||
        !resize(&chars->class, cap))
        return nm_fail(err, NM_FATAL, "out of memory for a text of %zu characters", n);
    chars->cap = cap;
    return NM_OK;
}

/* True: NFKC changes nothing. `code` has room for len. */
static bool decode(struct nm_terms_chars *chars, const char *text, size_t len)
{
    const utf8proc_uint8_t *at = (const utf8proc_uint8_t *)text, *end = at + len;
    int32_t *out = chars->code;
    bool inert = true;
    while (at < end) {
        int32_t code = *at;
        utf8proc_ssize_t n = 1;
        if (code >= 0x80) {
            n = utf8proc_iterate(at, end - at, &code);
            if (n < 1)
                break;
            inert = inert && is_inert(code);
        }
        *out++ = code;
        at += n;
    }
    chars->n = (size_t)(out - chars->code);
    return inert;
}

/* Compatibility decomposition of `code` into `spare`; n becomes its length. */
static enum nm_status decompose(struct nm_terms_chars *chars, struct nm_error *err)
{
    size_t n = 0, n_in = chars->n;
    for (size_t i = 0; i < n_in; i++) {
        utf8proc_ssize_t more = 1;
        int boundary = 0;
        enum nm_status s = reserve(chars, n + 1, err);
        if (s == NM_OK && chars->code[i] < 0x80) {
            chars->spare[n] = chars->code[i];
        } else if (s == NM_OK) {
            utf8proc_ssize_t room = (utf8proc_ssize_t)(chars->cap - n);
            more = utf8proc_decompose_char(chars->code[i], chars->spare + n, room, normal_form, &boundary);
            if (more > room && (s = reserve(chars, n + (size_t)more, err)) == NM_OK)
                more = utf8proc_decompose_char(chars->code[i], chars->spare + n, more, normal_form, &boundary);
        }
        if (s != NM_OK)
            return s;
        if (more > 0)
            n += (size_t)more;
    }
    chars->n = n;
    return NM_OK;
}

static unsigned mark_class(int32_t code)
{
    return code < 0x300 ? 0 : (unsigned)utf8proc_get_property(code)->combining_class;
}

static void insertion_sort(int32_t *run, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        int32_t code = run[i];
        unsigned class = mark_class(code);
        size_t at = i;
        for (; at > 0 && mark_class(run[at - 1]) > class; at--)
            run[at] = run[at - 1];
        run[at] = code;
    }
}

static void counting_sort(int32_t *run, size_t n, int32_t *room)
{
    size_t place[MARK_CLASSES + 1] = {0};
    for (size_t i = 0; i < n; i++)
        place[(mark_class(run[i]) & 0xff) + 1]++;
    for (size_t class = 1; class <= MARK_CLASSES; class ++)
        place[class] += place[class - 1];
    for (size_t i = 0; i < n; i++)
        room[place[mark_class(run[i]) & 0xff]++] = run[i];
    memcpy(run, room, n * sizeof *run);
}

/* Marks of each run in the order of their classes, equal ones as they came. `code` is free to be used. */
static void order_marks(struct nm_terms_chars *chars)
{
    for (size_t i = 0; i < chars->n; i++) {
        size_t start = i;
        while (i < chars->n && mark_class(chars->spare[i]) != 0)
            i++;
        if (i - start > SHORT_RUN)
            counting_sort(chars->spare + start, i - start, chars->code);
        else if (i - start > 1)
            insertion_sort(chars->spare + start, i - start);
    }
}

/* Composes what is in `spare`. utf8proc takes the vowel U+11A7 for "no final consonant" and would lose it behind a
 * Hangul syllable, so each begins a piece of its own; no character composes with it. */
static void compose(struct nm_terms_chars *chars)
{
    int32_t *code = chars->spare;
    size_t n = 0;
    for (size_t start = 0, end; start < chars->n; start = end) {
        for (end = start + 1; end < chars->n && code[end] != 0x11a7;)
            end++;
        utf8proc_ssize_t len = utf8proc_normalize_utf32(code + start, (utf8proc_ssize_t)(end - start), normal_form);
        if (len < 0)
            break;
        memmove(code + n, code + start, (size_t)len * sizeof *code);
        n += (size_t)len;
    }
    chars->n = n;
}

static enum nm_status normalize(struct nm_terms_chars *chars, struct nm_error *err)
{
    enum nm_status s = decompose(chars, err);
    if (s != NM_OK)
        return s;
    order_marks(chars);
    compose(chars);
    int32_t *done = chars->spare;
    chars->spare = chars->code;
    chars->code = done;
    return NM_OK;
}

/* Spellings that mean the same become one, and every character gets its class. */
static void finish(struct nm_terms_chars *chars)
{
    size_t n = 0;
    unsigned seen = 0;
    for (size_t i = 0; i < chars->n; i++) {
        int32_t code = chars->code[i];
        if (code == '\\')
            continue;
        if (code == 0x2018 || code == 0x2019 || code == 0x2bc)
            code = '\'';
        unsigned class = nm_terms_class(chars, code);
        chars->code[n] = code;
        chars->class[n++] = (uint8_t) class;
        seen |= class;
    }
    chars->n = n;
    chars->seen = seen;
}

enum nm_status nm_terms_chars_read(struct nm_terms_chars *chars, const char *text, size_t len, struct nm_error *err)
{
    enum nm_status s = reserve(chars, len, err);
    chars->n = 0;
    if (s == NM_OK && len > 0 && !decode(chars, text, len))
        s = normalize(chars, err);
    if (s == NM_OK)
        finish(chars);
    return s;
}
