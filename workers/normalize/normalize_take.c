/* normalize_take.c - what a field can make of a JSON value, whatever shape a crawler gave it.
 *
 * Feeds, JSON-LD and JSON Feed say the same thing as a string, as an object around it, or as an array of either. Each
 * nz_take_* function turns one value into its field of nz_raw and says whether the value was usable, as good as not
 * there, or of a type that this field can never use; the table in normalize_raw.c decides what follows from that.
 * Every object that is read is checked for names that stand twice. Recursion follows the nesting of the event, which
 * nz_json_open() has bounded, and visits each value once. Strings are borrowed from the tree.
 * Threads: pure functions. */
#include "normalize_internal.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define MAX_PIXELS 65535

static const char *const text_members[] = {"@value", "name", "#text", NULL};
static const char *const url_members[] = {"url", "contentUrl", "@id", "href", "@value", "#text", "name", NULL};
static const char *const link_rels[] = {"alternate", "canonical", NULL};

static enum nz_found failed(struct nz_taker *taker, enum nm_status status)
{
    taker->status = status;
    return NZ_FAILED;
}

static bool read_object(struct nz_taker *taker, yyjson_val *object)
{
    taker->status = nz_json_keys(taker->arena, object, taker->err);
    return taker->status == NM_OK;
}

static struct nz_str *target(const struct nz_field *field, struct nz_raw *raw)
{
    return (struct nz_str *)(void *)((char *)raw + field->offset);
}

static struct nz_str text_of(yyjson_val *val)
{
    return nz_trim((struct nz_str){yyjson_get_str(val), yyjson_get_len(val)});
}

static enum nz_found take_string(struct nz_taker *taker, yyjson_val *val, const char *const *members,
                                 struct nz_str *out);

static enum nz_found take_first(struct nz_taker *taker, yyjson_val *array, const char *const *members,
                                struct nz_str *out)
{
    enum nz_found best = NZ_ABSENT;
    yyjson_arr_iter iter = yyjson_arr_iter_with(array);
    for (yyjson_val *val; (val = yyjson_arr_iter_next(&iter));) {
        enum nz_found found = take_string(taker, val, members, out);
        if (found == NZ_USABLE || found == NZ_FAILED)
            return found;
        if (found == NZ_WRONG)
            best = NZ_WRONG;
    }
    return best;
}

static bool is_one_of(const char *text, const char *const *names)
{
    for (; *names; names++)
        if (strcasecmp(text, *names) == 0)
            return true;
    return false;
}

static enum nz_found take_member(struct nz_taker *taker, yyjson_val *object, const char *const *members,
                                 struct nz_str *out)
{
    if (!read_object(taker, object))
        return NZ_FAILED;
    enum nz_found best = NZ_ABSENT;
    for (; *members; members++) {
        enum nz_found found = take_string(taker, yyjson_obj_get(object, *members), members, out);
        if (found == NZ_USABLE || found == NZ_FAILED)
            return found;
        if (found == NZ_WRONG)
            best = NZ_WRONG;
    }
    return best;
}

static enum nz_found take_string(struct nz_taker *taker, yyjson_val *val, const char *const *members,
                                 struct nz_str *out)
{
    if (!val || yyjson_is_null(val))
        return NZ_ABSENT;
    if (yyjson_is_arr(val))
        return take_first(taker, val, members, out);
    if (yyjson_is_obj(val))
        return take_member(taker, val, members, out);
    if (!yyjson_is_str(val))
        return NZ_WRONG;
    struct nz_str text = text_of(val);
    if (!text.data)
        return NZ_ABSENT;
    if (taker->fits && !taker->fits(text))
        return taker->misfit;
    *out = text;
    return NZ_USABLE;
}

static enum nz_found take_limited(struct nz_taker *taker, yyjson_val *val, const char *const *members,
                                  const struct nz_field *field, struct nz_raw *raw)
{
    struct nz_str text;
    enum nz_found found = take_string(taker, val, members, &text);
    if (found != NZ_USABLE)
        return found;
    if (field->max_bytes > 0 && text.len > field->max_bytes)
        return failed(taker, nm_bad(taker->err, "too_big", "the %s has %zu bytes; send at most %zu", field->name,
                                    text.len, field->max_bytes));
    *target(field, raw) = text;
    return NZ_USABLE;
}

enum nz_found nz_take_text(struct nz_taker *taker, yyjson_val *val, const struct nz_field *field, struct nz_raw *raw)
{
    return take_limited(taker, val, text_members, field, raw);
}

enum nz_found nz_take_url(struct nz_taker *taker, yyjson_val *val, const struct nz_field *field, struct nz_raw *raw)
{
    return take_limited(taker, val, url_members, field, raw);
}

/* A text that fits; others are passed over, in an array for the next element. */
static enum nz_found take_fitting(struct nz_taker *taker, yyjson_val *val, bool (*fits)(struct nz_str text),
                                  enum nz_found misfit, struct nz_str *out)
{
    taker->fits = fits;
    taker->misfit = misfit;
    enum nz_found found = take_string(taker, val, text_members, out);
    taker->fits = NULL;
    return found;
}

enum nz_found nz_take_word(struct nz_taker *taker, yyjson_val *val, const struct nz_field *field, struct nz_raw *raw)
{
    return take_fitting(taker, val, nz_is_word, NZ_WRONG, target(field, raw));
}

enum nz_found nz_take_category(struct nz_taker *taker, yyjson_val *val, const struct nz_field *field,
                               struct nz_raw *raw)
{
    return take_fitting(taker, val, nz_is_word, NZ_ABSENT, target(field, raw));
}

static bool is_locale(struct nz_str text)
{
    return nz_is_locale(text.data, text.len);
}

enum nz_found nz_take_locale(struct nz_taker *taker, yyjson_val *val, const struct nz_field *field, struct nz_raw *raw)
{
    struct nz_str *out = target(field, raw);
    enum nz_found found = take_fitting(taker, val, is_locale, taker->own ? NZ_WRONG : NZ_ABSENT, out);
    if (found != NZ_USABLE || !memchr(out->data, '_', out->len))
        return found;
    char *copy = nm_arena_copy(taker->arena, out->data, out->len);
    if (!copy)
        return failed(taker, nm_fail(taker->err, NM_FATAL, "out of memory for a language tag"));
    for (char *p = copy; *p; p++)
        *p = *p == '_' ? '-' : *p;
    out->data = copy;
    return NZ_USABLE;
}

/* A link to something else than the article: a feed's own address, an enclosure, an AMP page. */
static bool leads_elsewhere(yyjson_val *val)
{
    const char *rel = yyjson_get_str(yyjson_obj_get(val, "rel"));
    return rel && *rel && !is_one_of(rel, link_rels);
}

enum nz_found nz_take_link(struct nz_taker *taker, yyjson_val *val, const struct nz_field *field, struct nz_raw *raw)
{
    if (!yyjson_is_arr(val))
        return leads_elsewhere(val) ? NZ_ABSENT : nz_take_url(taker, val, field, raw);
    enum nz_found best = NZ_ABSENT;
    yyjson_arr_iter iter = yyjson_arr_iter_with(val);
    for (yyjson_val *link; (link = yyjson_arr_iter_next(&iter));) {
        enum nz_found found = leads_elsewhere(link) ? NZ_ABSENT : nz_take_url(taker, link, field, raw);
        if (found == NZ_USABLE || found == NZ_FAILED)
            return found;
        if (found == NZ_WRONG)
            best = NZ_WRONG;
    }
    return best;
}

static enum nz_found take_date(struct nz_taker *taker, yyjson_val *val, struct nz_str *text, double *number)
{
    if (yyjson_is_raw(val)) { /* a number too large for a double: no date, and said so when it is read */
        *text = (struct nz_str){yyjson_get_raw(val), yyjson_get_len(val)};
        return NZ_USABLE;
    }
    if (!yyjson_is_num(val))
        return take_string(taker, val, text_members, text);
    *number = yyjson_get_num(val);
    if (*number == 0) /* 1970-01-01; a zero in nz_raw means that there is no number */
        *text = nz_str_of("0");
    return NZ_USABLE;
}

enum nz_found nz_take_published(struct nz_taker *taker, yyjson_val *val, const struct nz_field *field,
                                struct nz_raw *raw)
{
    (void)field;
    return take_date(taker, val, &raw->published, &raw->published_number);
}

enum nz_found nz_take_modified(struct nz_taker *taker, yyjson_val *val, const struct nz_field *field,
                               struct nz_raw *raw)
{
    (void)field;
    return take_date(taker, val, &raw->modified, &raw->modified_number);
}

static enum nz_found take_publisher(struct nz_taker *taker, yyjson_val *val, struct nz_raw *raw)
{
    if (!yyjson_is_obj(val))
        return take_string(taker, val, text_members, &raw->provider_name);
    enum nz_found name = take_member(taker, val, text_members, &raw->provider_name);
    if (name == NZ_FAILED)
        return NZ_FAILED;
    enum nz_found domain = take_string(taker, yyjson_obj_get(val, "domain"), text_members, &raw->provider_domain);
    return domain > name ? domain : name;
}

enum nz_found nz_take_provider(struct nz_taker *taker, yyjson_val *val, const struct nz_field *field,
                               struct nz_raw *raw)
{
    (void)field;
    if (!yyjson_is_arr(val))
        return take_publisher(taker, val, raw);
    enum nz_found best = NZ_ABSENT;
    yyjson_arr_iter iter = yyjson_arr_iter_with(val);
    for (yyjson_val *entry; (entry = yyjson_arr_iter_next(&iter));) {
        enum nz_found found = take_publisher(taker, entry, raw);
        if (found == NZ_USABLE || found == NZ_FAILED)
            return found;
        if (found == NZ_WRONG)
            best = NZ_WRONG;
    }
    return best;
}

/* The elements of an array, or the value itself; more than NZ_MAX_IN: NZ_FAILED. */
static enum nz_found count_elements(struct nz_taker *taker, yyjson_val *val, const struct nz_field *field, size_t *out)
{
    size_t n = yyjson_is_arr(val) ? yyjson_arr_size(val) : 1;
    if (n > NZ_MAX_IN)
        return failed(
            taker, nm_bad(taker->err, "too_many", "the event has %zu %s; send at most %d", n, field->name, NZ_MAX_IN));
    *out = n;
    return n > 0 ? NZ_USABLE : NZ_ABSENT;
}

static enum nz_found no_memory(struct nz_taker *taker, size_t n)
{
    return failed(taker, nm_fail(taker->err, NM_FATAL, "out of memory for a list of %zu", n));
}

enum nz_found nz_take_topics(struct nz_taker *taker, yyjson_val *val, const struct nz_field *field, struct nz_raw *raw)
{
    size_t n = 0, used = 0;
    enum nz_found best = count_elements(taker, val, field, &n);
    if (best != NZ_USABLE)
        return best;
    struct nz_str *topic = nm_arena_alloc(taker->arena, n * sizeof *topic);
    if (!topic)
        return no_memory(taker, n);
    best = NZ_ABSENT;
    for (size_t i = 0; i < n; i++) {
        yyjson_val *element = yyjson_is_arr(val) ? yyjson_arr_get(val, i) : val;
        enum nz_found found = take_string(taker, element, text_members, &topic[used]);
        if (found == NZ_FAILED)
            return NZ_FAILED;
        used += found == NZ_USABLE;
        best = found > best ? found : best;
    }
    if (best == NZ_USABLE) {
        raw->topic = topic;
        raw->n_topics = used;
    }
    return best;
}

/* Width or height: a whole number, or its digits with or without "px"; anything else is unknown, since a broken extra
 * must not cost the article. */
static int pixels(yyjson_val *val)
{
    if (yyjson_is_num(val)) {
        double number = yyjson_get_num(val);
        return number >= 1 && number <= MAX_PIXELS ? (int)number : 0;
    }
    if (yyjson_is_obj(val))
        return pixels(yyjson_obj_get(val, "value"));
    struct nz_str text = yyjson_is_str(val) ? text_of(val) : (struct nz_str){NULL, 0};
    if (text.len > 2 && strncasecmp(text.data + text.len - 2, "px", 2) == 0)
        text.len -= 2;
    int number = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || number > MAX_PIXELS)
            return 0;
        number = number * 10 + (text.data[i] - '0');
    }
    return number <= MAX_PIXELS ? number : 0;
}

/* An enclosure or a media element that says that it is sound or film. */
static bool is_other_medium(yyjson_val *object)
{
    const char *type = yyjson_get_str(yyjson_obj_get(object, "type"));
    const char *medium = yyjson_get_str(yyjson_obj_get(object, "medium"));
    return (type && strchr(type, '/') && strncasecmp(type, "image/", 6) != 0) ||
           (medium && *medium && strcasecmp(medium, "image") != 0);
}

/* {"@id": "https://site.example/page#image"}: JSON-LD for "described elsewhere in this document". */
static bool is_reference(yyjson_val *object)
{
    const char *id = yyjson_get_str(yyjson_obj_get(object, "@id"));
    return id && yyjson_obj_size(object) == 1 && strchr(id, '#');
}

static enum nz_found take_image(struct nz_taker *taker, yyjson_val *val, struct nz_image *out)
{
    struct nz_image image = {0};
    if (yyjson_is_obj(val) && (is_other_medium(val) || is_reference(val)))
        return NZ_ABSENT;
    enum nz_found found = take_string(taker, val, url_members, &image.url);
    if (found != NZ_USABLE)
        return found;
    if (yyjson_is_obj(val)) {
        image.width = pixels(yyjson_obj_get(val, "width"));
        image.height = pixels(yyjson_obj_get(val, "height"));
    }
    *out = image;
    return NZ_USABLE;
}

enum nz_found nz_take_images(struct nz_taker *taker, yyjson_val *val, const struct nz_field *field, struct nz_raw *raw)
{
    size_t n = 0, used = 0;
    enum nz_found best = count_elements(taker, val, field, &n);
    if (best != NZ_USABLE)
        return best;
    struct nz_image *image = nm_arena_alloc(taker->arena, n * sizeof *image);
    if (!image)
        return no_memory(taker, n);
    best = NZ_ABSENT;
    for (size_t i = 0; i < n; i++) {
        yyjson_val *element = yyjson_is_arr(val) ? yyjson_arr_get(val, i) : val;
        enum nz_found found = take_image(taker, element, &image[used]);
        if (found == NZ_FAILED)
            return NZ_FAILED;
        used += found == NZ_USABLE;
        best = found > best ? found : best;
    }
    if (best == NZ_USABLE) {
        raw->image = image;
        raw->n_images = used;
    }
    return best;
}

enum nz_found nz_take_featured(struct nz_taker *taker, yyjson_val *val, const struct nz_field *field,
                               struct nz_raw *raw)
{
    (void)field;
    struct nz_str ignored;
    enum nz_found found = take_string(taker, val, text_members, &ignored);
    raw->featured = found == NZ_USABLE;
    return found;
}

enum nz_found nz_take_quality(struct nz_taker *taker, yyjson_val *val, const struct nz_field *field, struct nz_raw *raw)
{
    (void)taker;
    (void)field;
    if (!val || yyjson_is_null(val))
        return NZ_ABSENT;
    double number = yyjson_is_num(val) ? yyjson_get_num(val) : 0.5;
    if (number < -1000 || number > 1000 || number != (double)(long long)number)
        return NZ_WRONG;
    raw->quality = (long long)number;
    raw->has_quality = true;
    return NZ_USABLE;
}

enum nz_found nz_take_retracted(struct nz_taker *taker, yyjson_val *val, const struct nz_field *field,
                                struct nz_raw *raw)
{
    (void)taker;
    (void)field;
    if (!val || yyjson_is_null(val))
        return NZ_ABSENT;
    if (!yyjson_is_bool(val))
        return NZ_WRONG;
    raw->retracted = yyjson_is_true(val);
    return NZ_USABLE;
}

enum nz_found nz_take_private(struct nz_taker *taker, yyjson_val *val, const struct nz_field *field, struct nz_raw *raw)
{
    (void)taker;
    (void)field;
    if (!val || yyjson_is_null(val))
        return NZ_ABSENT;
    if (!yyjson_is_obj(val))
        return NZ_WRONG;
    raw->private_object = val;
    return NZ_USABLE;
}
