/* publish_compose.c - from the state of an id to its card and its record, as bytes. Pure.
 *
 * What a reader sees is everything but the revision, so the body is composed and hashed without it; the head goes in
 * front at the end. Members' cards are spliced as they stand: they are ready JSON behind the three words that a lead
 * sorts by. */
#include "newsmill/digest.h"
#include "publish.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HEAD_ROOM   96 /* {"id":"<32>","revision":<19>, */
#define TIME_BYTES  20 /* YYYY-MM-DDTHH:MM:SSZ */
#define LEAD_OFFSET 49 /* of the lead's id in {"id":"<32>","lead":"<32>","size":N} as publish_event.c writes it */
#define NO_HASH     "00000000000000000000000000000000"

struct making {
    struct pb_maker *maker;
    yyjson_alc alc;
    const struct pb_state *state;
    yyjson_val *article, *images; /* images: of the facet, may be NULL */
    struct nm_error *err;
};

static enum nm_status parse(struct making *m)
{
    const struct pb_state *state = m->state;
    enum nm_status status =
        pb_parse(state->article.s, state->article.len, "an article of the state", m->maker->doc, &m->article, m->err);
    if (status == NM_OK && state->images.len) {
        yyjson_doc *doc =
            yyjson_read_opts((char *)(uintptr_t)state->images.s, state->images.len, YYJSON_READ_NOFLAG, &m->alc, NULL);
        m->images = yyjson_doc_get_root(doc);
        if (!yyjson_is_arr(m->images))
            status = NM_BAD_INPUT;
    }
    if (status == NM_BAD_INPUT)
        return nm_fail(m->err, NM_FATAL, "the state of %s holds an article or images that cannot be read", state->id);
    return status;
}

/* ---- images ---- */

/* The facet's image of that URL: in the same place as a rule, elsewhere when the facet is of another version. */
static yyjson_val *find_image(const struct making *m, size_t at, const char *url)
{
    yyjson_val *same = yyjson_arr_get(m->images, at), *image;
    if (yyjson_equals_str(yyjson_obj_get(same, "url"), url))
        return same;
    size_t i, n;
    yyjson_arr_foreach(m->images, i, n, image)
    {
        if (yyjson_equals_str(yyjson_obj_get(image, "url"), url))
            return image;
    }
    return NULL;
}

static void add_image(const struct making *m, yyjson_val *image, size_t at)
{
    static const char *const rest[] = {"cachedUrl", "thumbnails", "reason", "nextTry"};
    struct nm_buf *buf = m->maker->scratch;
    yyjson_val *url = yyjson_obj_get(image, "url");
    yyjson_val *facet = find_image(m, at, yyjson_get_str(url));
    yyjson_val *width = yyjson_obj_get(facet, "width"), *height = yyjson_obj_get(facet, "height");
    nm_buf_adds(buf, "{\"url\":");
    pb_add_value(buf, url, &m->alc);
    pb_add_member(buf, "width", width ? width : yyjson_obj_get(image, "width"), &m->alc);
    pb_add_member(buf, "height", height ? height : yyjson_obj_get(image, "height"), &m->alc);
    nm_buf_adds(buf, yyjson_is_true(yyjson_obj_get(facet, "isCached")) ? ",\"isCached\":true" : ",\"isCached\":false");
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++)
        pb_add_member(buf, rest[i], yyjson_obj_get(facet, rest[i]), &m->alc);
    nm_buf_addc(buf, '}');
}

/* `,"images":[...]`, the same in the record and in the card; empty without images. */
static enum nm_status make_images(const struct making *m, struct pb_text *out)
{
    struct nm_buf *buf = m->maker->scratch;
    yyjson_val *images = yyjson_obj_get(m->article, "images"), *image;
    size_t i, n;
    nm_buf_reset(buf);
    if (yyjson_arr_size(images)) {
        nm_buf_adds(buf, ",\"images\":[");
        yyjson_arr_foreach(images, i, n, image)
        {
            if (i)
                nm_buf_addc(buf, ',');
            add_image(m, image, i);
        }
        nm_buf_addc(buf, ']');
    }
    return pb_keep(buf, 0, m->maker->doc, out, m->err); /* goes into card and front */
}

/* ---- what an id is by itself ---- */

static int64_t quality_of(const struct making *m)
{
    yyjson_val *quality = yyjson_obj_get(m->article, "quality");
    return yyjson_is_int(quality) && !(yyjson_is_uint(quality) && yyjson_get_uint(quality) > INT64_MAX)
               ? yyjson_get_sint(quality)
               : 0;
}

static enum nm_status make_card(const struct making *m, struct pb_text images, struct pb_own *own)
{
    static const char *const first[] = {"title",        "excerpt", "publishedDateTime", "webUrl", "ampWebUrl",
                                        "cdnAmpWebUrl", "type"};
    struct nm_buf *buf = m->maker->scratch;
    yyjson_val *time = yyjson_obj_get(m->article, "publishedDateTime");
    yyjson_val *provider = yyjson_obj_get(m->article, "provider");
    nm_buf_reset(buf);
    bool ordered = yyjson_is_str(time) && strcspn(yyjson_get_str(time), " ") == TIME_BYTES;
    nm_buf_addf(buf, "%" PRId64 " %.20s ", quality_of(m), ordered ? yyjson_get_str(time) : "-");
    size_t at = buf->len;
    for (size_t i = 0; i < sizeof first / sizeof *first; i++)
        pb_add_member(buf, first[i], yyjson_obj_get(m->article, first[i]), &m->alc);
    if (yyjson_is_obj(provider)) {
        nm_buf_adds(buf, ",\"provider\":");
        size_t inner = buf->len;
        pb_add_member(buf, "name", yyjson_obj_get(provider, "name"), &m->alc);
        pb_add_member(buf, "domain", yyjson_obj_get(provider, "domain"), &m->alc);
        if (buf->len == inner)
            nm_buf_addc(buf, ' ');
        if (nm_buf_ok(buf))
            buf->data[inner] = '{';
        nm_buf_addc(buf, '}');
    }
    pb_add_member(buf, "quality", yyjson_obj_get(m->article, "quality"), &m->alc);
    nm_buf_add(buf, images.s, images.len);
    if (buf->len == at)
        nm_buf_addc(buf, ' ');
    nm_buf_addc(buf, '}');
    if (nm_buf_ok(buf))
        buf->data[at] = '{';
    return pb_keep(buf, 0, m->maker->arena, &own->card, m->err);
}

static enum nm_status make_front(const struct making *m, struct pb_text images, struct pb_text story,
                                 struct pb_own *own)
{
    static const char *const first[] = {"path",         "category",          "type",        "locale", "title",
                                        "excerpt",      "publishedDateTime", "originalUrl", "webUrl", "ampWebUrl",
                                        "cdnAmpWebUrl", "provider",          "topics",      "quality"};
    struct nm_buf *buf = m->maker->scratch;
    const struct pb_text heat = m->state->heat;
    int64_t quality = quality_of(m);
    yyjson_obj_iter iter = yyjson_obj_iter_with(m->article);
    nm_buf_reset(buf);
    for (size_t i = 0; i < sizeof first / sizeof *first; i++)
        pb_add_member(buf, first[i], yyjson_obj_iter_get(&iter, first[i]), &m->alc);
    nm_buf_add(buf, images.s, images.len);
    pb_add_member(buf, "secured", yyjson_obj_iter_get(&iter, "secured"), &m->alc);
    bool published = own->lead && quality >= m->maker->options->min_quality;
    nm_buf_adds(buf, published ? ",\"published\":true,\"heat\":" : ",\"published\":false,\"heat\":");
    if (!own->lead)
        nm_buf_adds(buf, "-1");
    else if (heat.len)
        nm_buf_add(buf, heat.s, heat.len);
    else
        nm_buf_addf(buf, "%" PRId64, quality);
    if (story.len) {
        nm_buf_adds(buf, ",\"story\":");
        nm_buf_add(buf, story.s, story.len);
    }
    return pb_keep(buf, 1, m->maker->arena, &own->front, m->err);
}

enum nm_status pb_make_own(struct pb_maker *maker, const struct pb_state *state, struct pb_own *out,
                           struct nm_error *err)
{
    struct making m = {.maker = maker, .alc = nm_arena_alc(maker->doc), .state = state, .err = err};
    struct pb_own own = {.retracted = state->article.len == 0, .lead = true};
    struct pb_text images, story = {.s = "", .len = 0};
    nm_arena_reset(maker->doc);
    if (own.retracted) {
        *out = own;
        return NM_OK;
    }
    if (state->related.len) {
        size_t ids = 0;
        while (ids < state->related.len && state->related.s[ids] != '{')
            ids += PB_ID;
        if (ids + LEAD_OFFSET + PB_ID > state->related.len)
            return nm_fail(err, NM_FATAL, "the state of %s holds a related facet that cannot be read", state->id);
        story = (struct pb_text){.s = state->related.s + ids, .len = state->related.len - ids};
        own.lead = memcmp(story.s + LEAD_OFFSET, state->id, PB_ID) == 0;
        size_t most = (size_t)maker->options->max_related * PB_ID;
        if (own.lead)
            own.members = (struct pb_text){.s = state->related.s, .len = ids < most ? ids : most};
    }
    enum nm_status status = parse(&m);
    if (status == NM_OK)
        status = make_images(&m, &images);
    if (status == NM_OK)
        status = make_card(&m, images, &own);
    if (status == NM_OK)
        status = make_front(&m, images, story, &own);
    if (status == NM_OK)
        *out = own;
    return status;
}

/* ---- with its members ---- */

struct listed {
    const char *id;
    int64_t quality;
    struct pb_text time, object;
};

/* False: no card. */
static bool read_card(const struct pb_member *member, struct listed *out)
{
    const char *at = member->card.s, *end = member->card.s + member->card.len;
    bool negative = at < end && *at == '-';
    int64_t quality = 0;
    for (at += negative; at < end && *at >= '0' && *at <= '9'; at++)
        quality = (int64_t)((uint64_t)quality * 10 + (uint64_t)(*at - '0'));
    const char *time = at < end ? at + 1 : end;
    const char *space = time < end ? memchr(time, ' ', (size_t)(end - time)) : NULL;
    if (!space)
        return false;
    *out = (struct listed){.id = member->id,
                           .quality = negative ? -quality : quality,
                           .time = {.s = time, .len = (size_t)(space - time)},
                           .object = {.s = space + 1, .len = (size_t)(end - space - 1)}};
    return true;
}

/* Best quality first; of equals the oldest, then the greater id: the order in which a story chooses its lead. */
static int compare_listed(const void *left, const void *right)
{
    const struct listed *a = left, *b = right;
    if (a->quality != b->quality)
        return a->quality > b->quality ? -1 : 1;
    size_t len = a->time.len < b->time.len ? a->time.len : b->time.len;
    int order = memcmp(a->time.s, b->time.s, len);
    if (order == 0 && a->time.len != b->time.len)
        order = a->time.len < b->time.len ? -1 : 1;
    return order ? order : memcmp(b->id, a->id, PB_ID);
}

static char *put(char *at, const void *data, size_t len)
{
    memcpy(at, data, len);
    return at + len;
}

enum nm_status pb_make_body(struct pb_maker *maker, const struct pb_own *own, struct pb_member *member,
                            size_t n_members, size_t room, struct pb_body *out, struct nm_error *err)
{
    static const char related[] = ",\"related\":[";
    struct pb_body body = {.hash = NO_HASH};
    if (own->retracted) {
        *out = body;
        return NM_OK;
    }
    struct listed *listed = nm_arena_alloc(maker->arena, (n_members + 1) * sizeof *listed);
    if (!listed)
        return nm_fail(err, NM_FATAL, "out of memory for %zu related articles", n_members);
    size_t n = 0, shown = 0, len = own->front.len + 1;
    for (size_t i = 0; i < n_members; i++)
        n += read_card(&member[i], &listed[n]);
    qsort(listed, n, sizeof *listed, compare_listed);
    while (shown < n) {
        size_t more = listed[shown].object.len + (shown ? 1 : sizeof related); /* with the closing bracket */
        if (HEAD_ROOM + len + more > room)
            break;
        len += more;
        shown++;
    }
    char *text = nm_arena_alloc(maker->arena, HEAD_ROOM + len);
    if (!text)
        return nm_fail(err, NM_FATAL, "out of memory for a record of %zu bytes", len);
    text += HEAD_ROOM;
    char *at = put(text, own->front.s, own->front.len);
    if (shown)
        at = put(at, related, sizeof related - 1);
    for (size_t i = 0; i < shown; i++) {
        if (i)
            *at++ = ',';
        at = put(at, listed[i].object.s, listed[i].object.len);
    }
    if (shown)
        *at++ = ']';
    *at = '}';
    body.text = (struct pb_text){.s = text, .len = len};
    body.n_dropped = n - shown;
    nm_digest(text, len, body.hash);
    *out = body;
    return NM_OK;
}

struct pb_text pb_record(const char *id, const struct pb_body *body, int64_t revision)
{
    char head[HEAD_ROOM];
    if (!body->text.s)
        return body->text;
    int len = snprintf(head, sizeof head, "{\"id\":\"%s\",\"revision\":%" PRId64 ",", id, revision);
    char *text = (char *)(uintptr_t)body->text.s - len; /* pb_make_body() left room */
    memcpy(text, head, (size_t)len);
    return (struct pb_text){.s = text, .len = body->text.len + (size_t)len};
}
