/* store_name.c - names of objects and thumbnails, written and read back; see store.h.
 *
 * Reading is strict: what is accepted is written again to the same bytes. So a name that came from a folder, a server
 * or another process cannot lead out of the store. */
#include "store_internal.h"

#include "newsmill/digest.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { EDGE_MIN = 10, EDGE_MAX = 99999 };

/* What may be stored, and of what thumbnails may be. */
static const struct {
    enum im_type type;
    bool thumbnail;
} types[] = {{IM_JPEG, true}, {IM_PNG, false}, {IM_GIF, false}, {IM_WEBP, true}};
enum { N_TYPES = sizeof types / sizeof *types };

static bool is_type(enum im_type type, bool thumbnail)
{
    for (size_t i = 0; i < N_TYPES; i++)
        if (types[i].type == type)
            return !thumbnail || types[i].thumbnail;
    return false;
}

void im_name_write(const struct im_name *name, char out[IM_NAME_BYTES])
{
    char hex[IM_HEX_BYTES], area[16] = "o";
    assert(is_type(name->type, name->edge != 0));
    assert(name->edge == 0 || (name->edge >= EDGE_MIN && name->edge <= EDGE_MAX));
    nm_hex_write(name->sha256, IM_SHA256_BYTES, hex);
    if (name->edge)
        (void)snprintf(area, sizeof area, "t/%d", (int)name->edge);
    int n = snprintf(out, IM_NAME_BYTES, "%s%s/%.2s/%.2s/%s.%s", name->quarantined ? "q/" : "", area, hex, hex + 2, hex,
                     im_type_ext(name->type));
    assert(n > 0 && n < IM_NAME_BYTES);
    (void)n;
}

static bool take(const char **at, const char *end, const char *text)
{
    size_t len = strlen(text);
    if ((size_t)(end - *at) < len || memcmp(*at, text, len) != 0)
        return false;
    *at += len;
    return true;
}

/* At least two digits without a leading zero, at most five. */
static bool take_edge(const char **at, const char *end, int32_t *out)
{
    const char *p = *at;
    int32_t value = 0;
    while (p < end && p < *at + 5 && *p >= '0' && *p <= '9')
        value = value * 10 + (*p++ - '0');
    if (value < EDGE_MIN || **at == '0' || p == end || *p != '/')
        return false;
    *at = p + 1;
    *out = value;
    return true;
}

static bool is_hex(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
            return false;
    return true;
}

bool im_name_read(const char *text, size_t len, struct im_name *out)
{
    enum { FOLDERS = 6, HEX = 2 * IM_SHA256_BYTES }; /* "aa/bb/" */
    const char *at = text, *end = text + len;
    struct im_name name = {.quarantined = take(&at, end, "q/")};
    bool thumbnail = take(&at, end, "t/");
    if (thumbnail ? !take_edge(&at, end, &name.edge) : !take(&at, end, "o/"))
        return false;
    if (end - at < FOLDERS + HEX + 1 || !is_hex(at + FOLDERS, HEX) || at[FOLDERS + HEX] != '.')
        return false;
    if (memcmp(at, at + FOLDERS, 2) != 0 || at[2] != '/' || memcmp(at + 3, at + FOLDERS + 2, 2) != 0 || at[5] != '/')
        return false;
    nm_hex_read(at + FOLDERS, IM_SHA256_BYTES, name.sha256);
    at += FOLDERS + HEX + 1;
    for (size_t i = 0; i < N_TYPES; i++) {
        const char *ext = im_type_ext(types[i].type);
        if (strlen(ext) != (size_t)(end - at) || memcmp(ext, at, (size_t)(end - at)) != 0)
            continue;
        if (thumbnail && !types[i].thumbnail)
            return false;
        name.type = types[i].type;
        *out = name;
        return true;
    }
    return false;
}
