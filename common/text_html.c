/* text_html.c - HTML to text: tags, comments and hidden content out, entities decoded.
 *
 * A tokenizer after the HTML standard (section 13.2.5), without a tree, since only text is wanted. libxml2's HTML
 * parser is not used here: it compares each end tag with all open elements and each attribute with all earlier ones
 * (measured with 2.9.14: 2 s for 256 KiB of hostile HTML, and quadratic), and its reading changes between versions,
 * which would change article hashes.
 * Invariant: `at` only moves forward, and a search that fails ends the work or is never repeated, so time is linear. */
#include "text_internal.h"

#include <string.h>
#include <strings.h>

enum element_kind {
    INLINE = 0,
    BLOCK = 1,   /* becomes a space                                */
    HIDDEN = 2,  /* its content is raw text that is never shown    */
    IN_HEAD = 4, /* may stand in <head>; any other tag ends <head> */
};

enum { NAME_MAX_BYTES = 10 };

struct element {
    char name[NAME_MAX_BYTES + 1];
    unsigned char kind;
};

/* in byte order of the names */
static const struct element elements[] = {
    {"address", BLOCK},
    {"article", BLOCK},
    {"aside", BLOCK},
    {"base", IN_HEAD},
    {"blockquote", BLOCK},
    {"body", BLOCK},
    {"br", BLOCK},
    {"caption", BLOCK},
    {"center", BLOCK},
    {"dd", BLOCK},
    {"details", BLOCK},
    {"dialog", BLOCK},
    {"dir", BLOCK},
    {"div", BLOCK},
    {"dl", BLOCK},
    {"dt", BLOCK},
    {"fieldset", BLOCK},
    {"figcaption", BLOCK},
    {"figure", BLOCK},
    {"footer", BLOCK},
    {"form", BLOCK},
    {"h1", BLOCK},
    {"h2", BLOCK},
    {"h3", BLOCK},
    {"h4", BLOCK},
    {"h5", BLOCK},
    {"h6", BLOCK},
    {"head", BLOCK | IN_HEAD},
    {"header", BLOCK},
    {"hgroup", BLOCK},
    {"hr", BLOCK},
    {"html", BLOCK | IN_HEAD},
    {"iframe", HIDDEN},
    {"legend", BLOCK},
    {"li", BLOCK},
    {"link", IN_HEAD},
    {"main", BLOCK},
    {"menu", BLOCK},
    {"meta", IN_HEAD},
    {"nav", BLOCK},
    {"noembed", HIDDEN},
    {"noframes", HIDDEN | IN_HEAD},
    {"noscript", IN_HEAD},
    {"ol", BLOCK},
    {"optgroup", BLOCK},
    {"option", BLOCK},
    {"p", BLOCK},
    {"pre", BLOCK},
    {"script", HIDDEN | IN_HEAD},
    {"search", BLOCK},
    {"section", BLOCK},
    {"style", HIDDEN | IN_HEAD},
    {"summary", BLOCK},
    {"table", BLOCK},
    {"tbody", BLOCK},
    {"td", BLOCK},
    {"template", HIDDEN | IN_HEAD},
    {"tfoot", BLOCK},
    {"th", BLOCK},
    {"thead", BLOCK},
    {"title", HIDDEN | IN_HEAD},
    {"tr", BLOCK},
    {"ul", BLOCK},
};

struct html {
    const char *at, *end;
    const char *cdata_end; /* the next "]]>" of an open CDATA section; NULL: none is open  */
    bool no_cdata_end;     /* a search for "]]>" has failed: none is left                  */
    bool in_head;          /* between <head> and the first thing that cannot stand in it   */
    struct nm_buf *out;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool starts_with(const struct html *h, const char *text)
{
    size_t len = strlen(text);
    return (size_t)(h->end - h->at) >= len && memcmp(h->at, text, len) == 0;
}

static void put_text(struct html *h, const char *text, size_t len)
{
    for (size_t i = 0; h->in_head && i < len; i++)
        if (!is_space(text[i]))
            h->in_head = false;
    if (!h->in_head)
        nm_buf_add(h->out, text, len);
}

static void put_code(struct html *h, uint32_t code)
{
    if (!nm_text_is_white(code))
        h->in_head = false;
    if (!h->in_head)
        nm_text_encode(code, h->out);
}

static unsigned int element_kind(const char *name, size_t len)
{
    char lower[NAME_MAX_BYTES + 1];
    if (len > NAME_MAX_BYTES)
        return INLINE;
    for (size_t i = 0; i < len; i++)
        lower[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] - 'A' + 'a') : name[i];
    lower[len] = '\0';
    size_t low = 0, high = sizeof elements / sizeof *elements;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(lower, elements[middle].name);
        if (order == 0)
            return elements[middle].kind;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return INLINE;
}

/* Past the ">" of the tag whose attributes begin at `p`; the end where there is none: browsers show nothing of it. */
static const char *skip_attributes(const char *p, const char *end)
{
    for (;;) {
        while (p < end && (is_space(*p) || *p == '/'))
            p++;
        if (p == end)
            return end;
        if (*p == '>')
            return p + 1;
        p++; /* the first byte of a name may be anything, "=" too */
        while (p < end && !is_space(*p) && *p != '/' && *p != '>' && *p != '=')
            p++;
        while (p < end && is_space(*p))
            p++;
        if (p == end || *p != '=')
            continue;
        p++;
        while (p < end && is_space(*p))
            p++;
        if (p < end && (*p == '"' || *p == '\'')) {
            p = memchr(p + 1, *p, (size_t)(end - p) - 1);
            if (!p)
                return end;
            p++;
            continue;
        }
        while (p < end && !is_space(*p) && *p != '>')
            p++;
    }
}

/* Moves to the end tag of a hidden element, or to the end. */
static void skip_hidden(struct html *h, const char *name, size_t len)
{
    while ((h->at = memchr(h->at, '<', (size_t)(h->end - h->at))) != NULL) {
        const char *p = h->at + 2;
        if ((size_t)(h->end - h->at) > len + 2 && h->at[1] == '/' && strncasecmp(p, name, len) == 0 &&
            (is_space(p[len]) || p[len] == '/' || p[len] == '>'))
            return;
        h->at++;
    }
    h->at = h->end;
}

static void take_tag(struct html *h, bool closing)
{
    const char *name = h->at + (closing ? 2 : 1);
    const char *p = name;
    while (p < h->end && !is_space(*p) && *p != '/' && *p != '>')
        p++;
    size_t len = (size_t)(p - name);
    unsigned int kind = element_kind(name, len);
    h->at = skip_attributes(p, h->end);
    bool is_head = len == 4 && strncasecmp(name, "head", 4) == 0;
    if (is_head)
        h->in_head = !closing;
    else if (!(kind & IN_HEAD))
        h->in_head = h->in_head && closing && !(kind & BLOCK);
    if (kind & BLOCK)
        put_text(h, " ", 1);
    if ((kind & HIDDEN) && !closing)
        skip_hidden(h, name, len);
}

/* Past the next ">", or to the end: what browsers call a bogus comment. */
static void skip_bogus(struct html *h)
{
    const char *close = memchr(h->at, '>', (size_t)(h->end - h->at));
    h->at = close ? close + 1 : h->end;
}

/* at: "<!--". It ends with "-->" or "--!>"; "<!-->" and "<!--->" are whole comments. */
static void skip_comment(struct html *h)
{
    const char *start = h->at, *p = start + 4;
    for (;; p++) {
        p = memchr(p, '>', (size_t)(h->end - p));
        if (!p) {
            h->at = h->end;
            return;
        }
        bool closed = p[-1] == '-' && p[-2] == '-';
        bool banged = p - start >= 7 && p[-1] == '!' && p[-2] == '-' && p[-3] == '-';
        if (closed || banged) {
            h->at = p + 1;
            return;
        }
    }
}

/* at: "<![CDATA[". Browsers drop it in HTML, but feeds leave it around whole titles: its content is read on. */
static void open_cdata(struct html *h)
{
    h->at += strlen("<![CDATA[");
    if (h->no_cdata_end || (h->cdata_end && h->cdata_end >= h->at))
        return;
    const char *p = h->at;
    while ((p = memchr(p, ']', (size_t)(h->end - p))) != NULL) {
        if (h->end - p >= 3 && p[1] == ']' && p[2] == '>')
            break;
        p++;
    }
    h->cdata_end = p;
    h->no_cdata_end = !p;
}

static void take_markup(struct html *h)
{
    char c = h->end - h->at > 1 ? h->at[1] : '\0';
    if (is_letter(c)) {
        take_tag(h, false);
    } else if (c == '/' && h->end - h->at > 2) {
        if (is_letter(h->at[2]))
            take_tag(h, true);
        else
            skip_bogus(h);
    } else if (starts_with(h, "<!--")) {
        skip_comment(h);
    } else if (starts_with(h, "<![CDATA[")) {
        open_cdata(h);
    } else if (c == '!' || c == '?') {
        skip_bogus(h);
    } else { /* "a < b" */
        put_text(h, h->at, 1);
        h->at++;
    }
}

static int digit_value(char c, bool hex)
{
    if (is_digit(c))
        return c - '0';
    char lower = (char)(c | 0x20);
    return hex && lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* at: "&#". The numbers 128 to 159 mean Windows-1252, as in browsers. */
static void take_numeric(struct html *h)
{
    static const uint16_t windows_1252[32] = {0x20ac, 0x81,   0x201a, 0x192,  0x201e, 0x2026, 0x2020, 0x2021,
                                              0x2c6,  0x2030, 0x160,  0x2039, 0x152,  0x8d,   0x17d,  0x8f,
                                              0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
                                              0x2dc,  0x2122, 0x161,  0x203a, 0x153,  0x9d,   0x17e,  0x178};
    const char *p = h->at + 2;
    bool hex = p < h->end && (*p == 'x' || *p == 'X');
    p += hex;
    const char *digits = p;
    uint32_t code = 0;
    for (; p < h->end && digit_value(*p, hex) >= 0; p++)
        if (code <= 0x10ffff)
            code = code * (hex ? 16 : 10) + (uint32_t)digit_value(*p, hex);
    if (p == digits) {
        put_text(h, "&", 1);
        h->at++;
        return;
    }
    if (code >= 0x80 && code < 0xa0)
        code = windows_1252[code - 0x80];
    put_code(h, code == 0 ? 0xfffd : code);
    h->at = p < h->end && *p == ';' ? p + 1 : p;
}

static void take_reference(struct html *h)
{
    enum { ENTITY_MAX_BYTES = 32 };
    if (starts_with(h, "&#")) {
        take_numeric(h);
        return;
    }
    const char *name = h->at + 1;
    size_t left = (size_t)(h->end - name), len = 0, used = 0;
    uint32_t codes[2];
    while (len < left && len < ENTITY_MAX_BYTES && (is_letter(name[len]) || is_digit(name[len])))
        len++;
    bool closed = len < left && name[len] == ';';
    if (len > 0)
        used = nm_text_entity(name, len, closed, codes);
    if (used == 0) {
        put_text(h, "&", 1);
        h->at++;
        return;
    }
    put_code(h, codes[0]);
    if (codes[1])
        put_code(h, codes[1]);
    h->at = name + used + (closed && used == len);
}

void nm_text_from_html(const char *html, size_t len, struct nm_buf *out)
{
    struct html h = {.at = html, .end = html + len, .out = out};
    while (h.at < h.end) {
        const char *stop = h.cdata_end && h.cdata_end >= h.at ? h.cdata_end : h.end;
        const char *p = h.at;
        while (p < stop && *p != '<' && *p != '&')
            p++;
        put_text(&h, h.at, (size_t)(p - h.at));
        h.at = p;
        if (p == h.end)
            break;
        if (h.cdata_end && p == h.cdata_end)
            h.at += strlen("]]>");
        else if (*p == '<')
            take_markup(&h);
        else
            take_reference(&h);
    }
}
