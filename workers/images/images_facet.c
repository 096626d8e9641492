/* images_facet.c - from a view of the state to the facet's bytes, and the text of thumbnails in the state. */
#include "images_facet.h"

#include "images_article.h"
#include "probe.h"

#include "newsmill/datetime.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TIME_MAX_MS INT64_C(253402300799999) /* the end of 9999 */

/* ---- thumbnails ---- */

size_t im_thumbs_text_write(const struct im_thumb_file *file, size_t n, char out[IM_THUMBS_MAX])
{
    size_t len = 0;
    int32_t last = 0;
    assert(n <= IM_THUMBS);
    out[0] = '\0';
    for (size_t done = 0; done < n; done++) { /* the smallest edge above the last one */
        const struct im_thumb_file *next = NULL;
        for (size_t i = 0; i < n; i++)
            if (file[i].edge > last && (!next || file[i].edge < next->edge))
                next = &file[i];
        assert(next);
        last = next->edge;
        len += (size_t)snprintf(out + len, IM_THUMBS_MAX - len, "%s%" PRId32 " %" PRId32 " %" PRId32 " %s %.64s",
                                done > 0 ? ";" : "", next->edge, next->width, next->height, next->webp ? "webp" : "jpg",
                                next->sha256);
        assert(len < IM_THUMBS_MAX);
    }
    return len;
}

/* A whole number from 1 to 65,535 and the space behind it; moves on. */
static bool take_number(const char **text, int32_t *out)
{
    const char *at = *text;
    int32_t number = 0;
    for (; *at >= '0' && *at <= '9' && number <= 65535; at++)
        number = number * 10 + (*at - '0');
    if (**text == '0' || at == *text || number > 65535 || *at != ' ')
        return false;
    *text = at + 1;
    *out = number;
    return true;
}

/* One file, up to ";" or the end; moves there. */
static bool take_file(const char **text, struct im_thumb_file *out)
{
    struct im_thumb_file file = {0};
    if (!take_number(text, &file.edge) || !take_number(text, &file.width) || !take_number(text, &file.height))
        return false;
    file.webp = strncmp(*text, "webp ", 5) == 0;
    if (!file.webp && strncmp(*text, "jpg ", 4) != 0)
        return false;
    *text += file.webp ? 5 : 4;
    size_t len = strcspn(*text, ";");
    if (!im_is_hash(*text, len))
        return false;
    memcpy(file.sha256, *text, len);
    *text += len;
    *out = file;
    return file.edge >= IM_THUMB_EDGE_MIN && file.edge <= IM_THUMB_EDGE_MAX;
}

bool im_thumbs_text_read(const char *text, struct im_thumb_file out[IM_THUMBS], size_t *n)
{
    struct im_thumb_file files[IM_THUMBS];
    size_t count = 0;
    while (*text) {
        if (count == IM_THUMBS || !take_file(&text, &files[count]))
            return false;
        if (count > 0 && files[count].edge <= files[count - 1].edge)
            return false;
        count++;
        if (*text == ';' && *++text == '\0')
            return false;
    }
    if (count > 0)
        memcpy(out, files, count * sizeof *files);
    *n = count;
    return true;
}

/* ---- the facet ---- */

static void add_string(struct nm_buf *buf, const char *text, size_t len)
{
    nm_buf_addc(buf, '"');
    for (size_t i = 0, from = 0; i <= len; i++) {
        unsigned char c = i < len ? (unsigned char)text[i] : 0;
        if (i < len && c >= 0x20 && c != '"' && c != '\\')
            continue;
        nm_buf_add(buf, text + from, i - from);
        from = i + 1;
        if (i < len && c < 0x20)
            nm_buf_addf(buf, "\\u%04X", c);
        else if (i < len)
            nm_buf_addf(buf, "\\%c", c);
    }
    nm_buf_addc(buf, '"');
}

static bool is_whole(const struct im_picture *picture)
{
    return im_is_hash(picture->sha256, strlen(picture->sha256)) && im_type_stored(picture->type) != IM_UNKNOWN &&
           picture->width >= 1 && picture->width <= 65535 && picture->height >= 1 && picture->height <= 65535 &&
           picture->bytes >= 1 && picture->bytes < (int64_t)1 << 53;
}

static void add_thumbnails(struct nm_buf *buf, const struct im_picture *picture, const char *public_base)
{
    struct im_thumb_file file[IM_THUMBS];
    size_t n = 0;
    if (!im_thumbs_text_read(picture->thumbs, file, &n) || n == 0)
        return;
    nm_buf_adds(buf, ",\"thumbnails\":[");
    for (size_t i = 0; i < n; i++) {
        nm_buf_adds(buf, i > 0 ? ",{\"url\":\"" : "{\"url\":\"");
        nm_buf_addf(buf, "%s/t/%" PRId32 "/%s.%s\",\"width\":%" PRId32 ",\"height\":%" PRId32 "}", public_base,
                    file[i].edge, picture->sha256, file[i].webp ? "webp" : "jpg", file[i].width, file[i].height);
    }
    nm_buf_addc(buf, ']');
}

static void add_cached(struct nm_buf *buf, const struct im_picture *picture, const char *public_base)
{
    nm_buf_addf(buf,
                ",\"state\":\"cached\",\"isCached\":true,\"width\":%" PRId64 ",\"height\":%" PRId64
                ",\"type\":\"%s\",\"bytes\":%" PRId64 ",\"sha256\":\"%s\"",
                picture->width, picture->height, picture->type, picture->bytes, picture->sha256);
    if (!public_base)
        return;
    nm_buf_addf(buf, ",\"cachedUrl\":\"%s/img/%s.%s\"", public_base, picture->sha256,
                im_type_ext(im_type_stored(picture->type)));
    add_thumbnails(buf, picture, public_base);
}

static void add_failed(struct nm_buf *buf, enum im_reason reason, int64_t next_try_ms)
{
    char next[NM_TIME_TEXT_BYTES];
    nm_buf_addf(buf, ",\"state\":\"failed\",\"isCached\":false,\"reason\":\"%s\"", im_reason_name(reason));
    if (next_try_ms <= 0 || next_try_ms > TIME_MAX_MS)
        return;
    nm_time_format(next_try_ms, next);
    nm_buf_addf(buf, ",\"nextTry\":\"%s\"", next);
}

static void add_state(struct nm_buf *buf, const struct im_picture *picture, const char *public_base)
{
    enum im_reason_kind kind = im_reason_kind(picture->reason);
    if (picture->state == IM_CACHED)
        add_cached(buf, picture, public_base);
    else if (picture->state == IM_FAILED && kind != IM_KIND_NONE && kind != IM_KIND_OURS)
        add_failed(buf, picture->reason, picture->next_try_ms);
    else
        nm_buf_adds(buf, ",\"state\":\"pending\",\"isCached\":false");
}

static enum nm_status add_image(struct nm_buf *buf, const char *id, const struct im_picture *picture,
                                const char *public_base, struct nm_error *err)
{
    struct im_listed_text text;
    bool refused = strcmp(picture->hash, "-") == 0;
    if (!im_listed_read(picture->text, picture->text_len, &text) || refused != (text.reason != IM_NONE))
        return nm_fail(err, NM_FATAL, "the state of %s holds an image that cannot be read", id);
    if (picture->state == IM_CACHED && (refused || !is_whole(picture)))
        return nm_fail(err, NM_FATAL, "the state of %s holds a cached image that is not whole", id);
    nm_buf_adds(buf, "{\"url\":");
    add_string(buf, text.url, text.url_len);
    if (refused)
        add_failed(buf, text.reason, 0);
    else
        add_state(buf, picture, public_base);
    nm_buf_addc(buf, '}');
    return NM_OK;
}

/* state.lua says "x" of an article that is gone, whatever the event was. */
static bool is_gone(const struct im_view *view)
{
    return view->how == IM_HOW_retracted || strcmp(view->content, "x") == 0;
}

enum nm_status im_facet_write(struct nm_buf *out, const char *id, const struct im_view *view, const char *public_base,
                              struct nm_error *err)
{
    enum nm_status status = NM_OK;
    assert(view->revision > 0);
    nm_buf_reset(out);
    nm_buf_addf(out, "{\"id\":\"%s\",\"facet\":\"images\",\"revision\":%" PRId64 ",\"data\":", id, view->revision);
    if (is_gone(view)) {
        nm_buf_adds(out, "null}");
    } else {
        nm_buf_adds(out, "{\"images\":[");
        for (size_t i = 0; i < view->n_images && status == NM_OK; i++) {
            if (i > 0)
                nm_buf_addc(out, ',');
            status = add_image(out, id, &view->image[i], public_base, err);
        }
        nm_buf_adds(out, "]}}");
    }
    if (status == NM_OK && !nm_buf_ok(out))
        return nm_fail(err, NM_FATAL, "out of memory for the facet of %s", id);
    return status;
}
