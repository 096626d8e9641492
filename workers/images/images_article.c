/* images_article.c - an article of the stream, as far as images needs it.
 *
 * A bad article is a bug somewhere and becomes a dead letter; a bad URL is listed with its reason, since the facet says
 * something of every image. Memory is bounded: of a URL that is no URL only its beginning is kept. */
#include "images_article.h"

#include "newsmill/article.h"
#include "newsmill/text.h"

#include <assert.h>
#include <string.h>

_Static_assert(IM_URL_TEXT_BYTES + NM_FETCH_MAX_BYTES + 64 <= IM_TEXT_MAX, "a text holds both forms");

/* ---- the article ---- */

static enum nm_status take_id(const struct nm_item *item, const char *id, struct im_article_event *out,
                              struct nm_error *err)
{
    if (!item->key || item->key_len != IM_ID || memcmp(item->key, id, IM_ID) != 0)
        return nm_bad(err, "wrong_type", "the key of the message is not its \"id\", %s", id);
    memcpy(out->id, id, IM_ID + 1);
    return NM_OK;
}

static int32_t pixels(yyjson_val *value)
{
    uint64_t number = yyjson_is_uint(value) ? yyjson_get_uint(value) : 0;
    return number <= 65535 ? (int32_t)number : 0;
}

/* What is shown of a URL that is no text, or an empty one; nothing at all is null. */
static enum nm_status take_json(yyjson_val *value, struct nm_arena *doc, struct im_article_image *out,
                                struct nm_error *err)
{
    yyjson_alc alc = nm_arena_alc(doc);
    out->url = "null";
    out->url_len = 4;
    if (value)
        out->url = yyjson_val_write_opts(value, YYJSON_WRITE_NOFLAG, &alc, &out->url_len, NULL);
    return out->url ? NM_OK : nm_fail(err, NM_FATAL, "out of memory for the images of an article");
}

/* At a character: the bytes are UTF-8. */
static void cut(struct im_article_image *image)
{
    if (image->url_len <= IM_URL_TEXT_BYTES)
        return;
    image->url_len = IM_URL_TEXT_BYTES;
    while (((unsigned char)image->url[image->url_len] & 0xc0) == 0x80)
        image->url_len--;
}

static enum nm_status take_url(yyjson_val *value, size_t url_bytes, struct nm_arena *doc, struct im_article_image *out,
                               struct nm_error *err)
{
    enum nm_status status = NM_OK;
    out->reason = IM_url_invalid;
    if (yyjson_is_str(value) && yyjson_get_len(value) > 0) {
        struct im_url *url = nm_arena_alloc(doc, sizeof *url);
        if (!url)
            return nm_fail(err, NM_FATAL, "out of memory for the images of an article");
        out->url = yyjson_get_str(value);
        out->url_len = yyjson_get_len(value);
        out->reason = im_url_read(out->url, out->url_len, url_bytes, url);
        if (out->reason == IM_NONE && out->url_len > IM_URL_TEXT_BYTES) /* long by the spaces around it */
            out->reason = IM_url_invalid;
        out->get = out->reason == IM_NONE ? url : NULL;
    } else {
        status = take_json(value, doc, out, err);
    }
    if (status == NM_OK)
        cut(out);
    return status;
}

static bool same_text(const struct im_article_image *image)
{
    return image->url_len == image->get->len && memcmp(image->url, image->get->text, image->url_len) == 0;
}

static enum nm_status write_listed(const struct im_article_image *image, struct nm_arena *doc, struct im_listed *out,
                                   struct nm_error *err)
{
    struct nm_buf buf = {0};
    nm_buf_addf(&buf, "1 %s %zu ", image->get ? "-" : im_reason_name(image->reason), image->url_len);
    nm_buf_add(&buf, image->url, image->url_len);
    if (image->get && !same_text(image))
        nm_buf_add(&buf, image->get->text, image->get->len);
    const char *text = nm_buf_ok(&buf) ? nm_arena_copy(doc, nm_buf_str(&buf), buf.len) : NULL;
    *out = (struct im_listed){.hash = image->get ? image->get->hash : NULL, .text = text, .text_len = buf.len};
    nm_buf_clear(&buf);
    return text ? NM_OK : nm_fail(err, NM_FATAL, "out of memory for the images of an article");
}

static enum nm_status take_images(yyjson_val *images, size_t url_bytes, struct nm_arena *doc,
                                  struct im_article_event *out, struct nm_error *err)
{
    enum nm_status status = NM_OK;
    size_t i, n;
    yyjson_val *value;
    if (images && !yyjson_is_arr(images))
        return nm_bad(err, "wrong_type", "\"images\" is not an array");
    yyjson_arr_foreach(images, i, n, value)
    {
        if (i == IM_MAX_IMAGES || status != NM_OK)
            break;
        struct im_article_image *image = &out->image[i];
        image->width = pixels(yyjson_obj_get(value, "width"));
        image->height = pixels(yyjson_obj_get(value, "height"));
        status = take_url(yyjson_is_obj(value) ? yyjson_obj_get(value, "url") : value, url_bytes, doc, image, err);
        if (status == NM_OK && !yyjson_is_obj(value)) { /* even a good URL: it is in no place where one belongs */
            image->reason = IM_url_invalid;
            image->get = NULL;
        }
        if (status == NM_OK)
            status = write_listed(image, doc, &out->listed[i], err);
        out->n = i + 1;
    }
    return status;
}

enum nm_status im_article_read(const struct nm_item *item, size_t url_bytes, struct nm_arena *doc,
                               struct im_article_event *out, struct nm_error *err)
{
    struct nm_article article;
    struct im_article_event event = {.n = 0};
    nm_arena_reset(doc);
    enum nm_status status = nm_article_read(item->value, item->value_len, doc, &article, err);
    if (status == NM_OK)
        status = take_id(item, article.id, &event, err);
    if (status != NM_OK)
        return status;
    event.revision = article.revision;
    event.retracted = article.retracted;
    if (!event.retracted)
        status = take_images(yyjson_obj_get(article.root, "images"), url_bytes, doc, &event, err);
    if (status == NM_OK)
        *out = event;
    return status;
}

/* ---- the text of an image ---- */

struct rest {
    const char *at;
    size_t len;
};

/* What stands before the next space, which is taken too; false: there is none near. */
static bool take_word(struct rest *rest, struct rest *word)
{
    const char *space = memchr(rest->at, ' ', rest->len < 64 ? rest->len : 64);
    if (!space)
        return false;
    *word = (struct rest){rest->at, (size_t)(space - rest->at)};
    rest->at = space + 1;
    rest->len -= word->len + 1;
    return true;
}

static bool read_reason(struct rest word, enum im_reason *out)
{
    *out = IM_NONE;
    if (word.len == 1 && word.at[0] == '-')
        return true;
    if (word.len > 4 && memcmp(word.at, "url_", 4) == 0)
        *out = im_reason_find(word.at, word.len);
    return *out != IM_NONE;
}

/* 1 to IM_URL_TEXT_BYTES, written as everybody writes it; 0: something else. */
static size_t read_length(struct rest word)
{
    size_t number = 0;
    if (word.len == 0 || word.len > 4 || word.at[0] == '0')
        return 0;
    for (size_t i = 0; i < word.len; i++) {
        if (word.at[i] < '0' || word.at[i] > '9')
            return 0;
        number = number * 10 + (size_t)(word.at[i] - '0');
    }
    return number <= IM_URL_TEXT_BYTES ? number : 0;
}

/* Good enough for one line that says where to go; whether it is canonical im_listed_url() says. */
static bool is_http(const char *text, size_t len)
{
    bool good =
        len > 8 && len <= NM_FETCH_MAX_BYTES && (memcmp(text, "http://", 7) == 0 || memcmp(text, "https://", 8) == 0);
    for (size_t i = 0; good && i < len; i++)
        good = text[i] > ' ' && text[i] <= '~';
    return good;
}

bool im_listed_read(const char *text, size_t len, struct im_listed_text *out)
{
    struct rest rest = {text, len}, version, reason, length;
    struct im_listed_text mine = {.url = NULL};
    if (len > IM_TEXT_MAX || !take_word(&rest, &version) || version.len != 1 || version.at[0] != '1')
        return false;
    if (!take_word(&rest, &reason) || !read_reason(reason, &mine.reason) || !take_word(&rest, &length))
        return false;
    mine.url = rest.at;
    mine.url_len = read_length(length);
    if (mine.url_len == 0 || mine.url_len > rest.len || !nm_text_is_utf8(mine.url, mine.url_len))
        return false;
    bool same = rest.len == mine.url_len;
    if (mine.reason != IM_NONE && !same)
        return false;
    if (mine.reason == IM_NONE) {
        mine.get = same ? mine.url : mine.url + mine.url_len;
        mine.get_len = same ? mine.url_len : rest.len - mine.url_len;
        bool twice = !same && mine.get_len == mine.url_len && memcmp(mine.get, mine.url, mine.url_len) == 0;
        if (twice || !is_http(mine.get, mine.get_len))
            return false;
    }
    *out = mine;
    return true;
}

bool im_listed_url(const struct im_listed_text *text, const char *hash, struct im_url *out)
{
    if (!text->get || im_url_read(text->get, text->get_len, NM_FETCH_MAX_BYTES, out) != IM_NONE)
        return false;
    return out->len == text->get_len && memcmp(out->text, text->get, out->len) == 0 && strcmp(out->hash, hash) == 0;
}
