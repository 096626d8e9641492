/* fetch_headers.c - see fetch_headers.h. No value is trusted to end, to be ASCII, or to fit. */
#include "fetch_headers.h"

#include "newsmill/datetime.h"

#include <string.h>
#include <strings.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static void trim(struct im_value *value)
{
    while (value->len > 0 && is_blank(*value->text)) {
        value->text++;
        value->len--;
    }
    while (value->len > 0 && is_blank(value->text[value->len - 1]))
        value->len--;
}

/* Compares without regard to the case of ASCII letters; `word` is lower case. */
static bool is_word(struct im_value value, const char *word)
{
    return value.len == strlen(word) && strncasecmp(value.text, word, value.len) == 0;
}

/* Digits only; what does not fit is INT64_MAX. */
static bool read_number(struct im_value value, int64_t *out)
{
    int64_t n = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (!is_digit(value.text[i]))
            return false;
        int digit = value.text[i] - '0';
        n = n > (INT64_MAX - digit) / 10 ? INT64_MAX : n * 10 + digit;
    }
    if (value.len == 0)
        return false;
    *out = n;
    return true;
}

bool im_header_is(const char *line, size_t len, const char *name, struct im_value *value)
{
    size_t n = strlen(name);
    if (len <= n || line[n] != ':' || strncasecmp(line, name, n) != 0)
        return false;
    while (len > n + 1 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
        len--;
    *value = (struct im_value){.text = line + n + 1, .len = len - n - 1};
    trim(value);
    return true;
}

int im_header_status(const char *line, size_t len)
{
    size_t i = 5;
    if (len < 5 || memcmp(line, "HTTP/", 5) != 0)
        return 0;
    while (i < len && (is_digit(line[i]) || line[i] == '.'))
        i++;
    if (i == 5 || len - i < 4 || line[i] != ' ' || line[i + 1] < '1' || line[i + 1] > '9' || !is_digit(line[i + 2]) ||
        !is_digit(line[i + 3]) || (len - i > 4 && is_digit(line[i + 4])))
        return 0;
    return (line[i + 1] - '0') * 100 + (line[i + 2] - '0') * 10 + (line[i + 3] - '0');
}

bool im_header_length(struct im_value value, int64_t *bytes)
{
    return read_number(value, bytes);
}

bool im_header_is_identity(struct im_value value)
{
    return value.len == 0 || is_word(value, "identity");
}

bool im_header_is_chunked(struct im_value value)
{
    return value.len == 0 || is_word(value, "chunked");
}

/* A character of a token of RFC 9110, 5.6.2. */
static bool is_token(char c)
{
    return c > ' ' && c < 0x7f && !strchr("\"(),/:;<=>?@[\\]{}", c);
}

void im_header_media(struct im_value value, char out[IM_MEDIA_BYTES])
{
    size_t n = 0, slash = 0;
    *out = '\0';
    while (n < value.len && (is_token(value.text[n]) || (value.text[n] == '/' && slash == 0 && n > 0))) {
        if (value.text[n] == '/')
            slash = n;
        n++;
    }
    struct im_value rest = {.text = value.text + n, .len = value.len - n};
    trim(&rest);
    if (slash == 0 || slash + 1 == n || n >= IM_MEDIA_BYTES || (rest.len > 0 && *rest.text != ';'))
        return;
    for (size_t i = 0; i < n; i++)
        out[i] = lower(value.text[i]);
    out[n] = '\0';
}

void im_header_etag(struct im_value value, char out[IM_ETAG_BYTES])
{
    size_t quote = value.len > 2 && memcmp(value.text, "W/", 2) == 0 ? 2 : 0;
    *out = '\0';
    if (value.len >= IM_ETAG_BYTES || value.len < quote + 2 || value.text[quote] != '"' ||
        value.text[value.len - 1] != '"')
        return;
    for (size_t i = quote + 1; i < value.len - 1; i++)
        if (value.text[i] <= ' ' || value.text[i] > '~' || value.text[i] == '"')
            return;
    memcpy(out, value.text, value.len);
    out[value.len] = '\0';
}

void im_header_date(struct im_value value, char out[IM_DATE_BYTES])
{
    int64_t ms;
    *out = '\0';
    if (value.len == 0 || value.len >= IM_DATE_BYTES || is_digit(*value.text))
        return;
    for (size_t i = 0; i < value.len; i++)
        if (value.text[i] < ' ' || value.text[i] > '~')
            return;
    if (nm_time_parse(value.text, value.len, &ms, NULL) != NM_OK)
        return;
    memcpy(out, value.text, value.len);
    out[value.len] = '\0';
}

/* Seconds that one directive of Cache-Control names; -1 where it says nothing about age. */
static int64_t directive_age(struct im_value directive)
{
    int64_t seconds;
    if (is_word(directive, "no-store") || is_word(directive, "no-cache"))
        return 0;
    if (directive.len < 8 || strncasecmp(directive.text, "max-age=", 8) != 0)
        return -1;
    struct im_value number = {.text = directive.text + 8, .len = directive.len - 8};
    if (number.len >= 2 && number.text[0] == '"' && number.text[number.len - 1] == '"')
        number = (struct im_value){.text = number.text + 1, .len = number.len - 2};
    if (!read_number(number, &seconds))
        return -1;
    return seconds > IM_MAX_AGE_MOST_S ? IM_MAX_AGE_MOST_S : seconds;
}

int64_t im_header_max_age(struct im_value value)
{
    int64_t least = -1;
    for (size_t start = 0; start < value.len;) {
        size_t end = start;
        for (bool quoted = false; end < value.len && (quoted || value.text[end] != ','); end++)
            quoted = (value.text[end] == '"') != quoted;
        struct im_value directive = {.text = value.text + start, .len = end - start};
        trim(&directive);
        int64_t age = directive_age(directive);
        if (age >= 0 && (least < 0 || age < least))
            least = age;
        start = end + 1;
    }
    return least;
}

int64_t im_header_retry_after(struct im_value value, int64_t now_ms, int64_t min_ms, int64_t max_ms, int64_t default_ms)
{
    int64_t n, ms = default_ms;
    char date[IM_DATE_BYTES];
    im_header_date(value, date);
    if (read_number(value, &n))
        ms = n > max_ms / 1000 ? max_ms : n * 1000;
    else if (*date && nm_time_parse(date, strlen(date), &n, NULL) == NM_OK)
        ms = n - now_ms; /* neither is near the ends of int64_t: dates end with the year 9999 */
    return ms < min_ms ? min_ms : ms > max_ms ? max_ms : ms;
}
