/* normalize_mapping.c - where in a raw event each field may stand: the built-in pointers and those of the option file.
 *
 * Pointers (RFC 6901) are taken apart once, when the worker starts: looking one up in an event compares names and
 * nothing else. Most have one step, which is a look into the event's own members. Every object on the way of a longer
 * one is checked for names that stand twice, as all objects are that we read.
 * A mapping does not change after it was opened. Threads: lookups are pure functions. */
#include "normalize_internal.h"

#include <assert.h>
#include <string.h>

#define MAX_TITLE_BYTES   65536
#define MAX_EXCERPT_BYTES 262144
#define NO_INDEX          SIZE_MAX

#define POINTERS(...)     ((const char *const[]){__VA_ARGS__, NULL})
#define AT(member)        offsetof(struct nz_raw, member)

static const char a_string[] = "a string";
static const char a_url[] = "a string with a URL";
static const char a_date[] = "a date as text or epoch number";
static const char a_word[] = "1 to 64 letters, digits, \"_\" or \"-\"";

/* In the order of enum nz_field_number. */
static const struct nz_field fields[NZ_N_FIELDS] = {
    {"retracted", "true", nz_take_retracted, 0, 0, POINTERS("/retracted")},
    {"url", a_url, nz_take_link, AT(url), 0,
     POINTERS("/url", "/webUrl", "/originalUrl", "/link", "/external_url", "/mainEntityOfPage", "/@id")},
    {"modifiedDateTime", a_date, nz_take_modified, 0, 0,
     POINTERS("/modifiedDateTime", "/dateModified", "/date_modified", "/updated")},
    {"title", a_string, nz_take_text, AT(title), MAX_TITLE_BYTES, POINTERS("/title", "/headline", "/name")},
    {"excerpt", a_string, nz_take_text, AT(excerpt), MAX_EXCERPT_BYTES,
     POINTERS("/excerpt", "/description", "/summary")},
    {"content", a_string, nz_take_text, AT(content), 0,
     POINTERS("/content", "/articleBody", "/content_html", "/content_text", "/content:encoded")},
    {"publishedDateTime", a_date, nz_take_published, 0, 0,
     POINTERS("/publishedDateTime", "/datePublished", "/date_published", "/pubDate", "/published", "/dc:date")},
    {"images", "URLs or objects with a url", nz_take_images, 0, 0,
     POINTERS("/images", "/image", "/media:content", "/enclosure", "/banner_image", "/thumbnailUrl")},
    {"provider", "an object with name and domain", nz_take_provider, 0, 0,
     POINTERS("/provider", "/publisher", "/source")},
    {"ampUrl", a_url, nz_take_url, AT(amp_url), 0, POINTERS("/ampUrl", "/ampWebUrl", "/amphtml")},
    {"locale", "a language tag such as en or pt-BR", nz_take_locale, AT(locale), 0,
     POINTERS("/locale", "/inLanguage", "/language", "/dc:language")},
    {"category", a_word, nz_take_category, AT(category), 0, POINTERS("/category")},
    {"type", a_word, nz_take_word, AT(type), 0, POINTERS("/type")},
    {"topics", "an array of names or ids", nz_take_topics, 0, 0, POINTERS("/topics")},
    {"featuredContent", a_string, nz_take_featured, 0, 0, POINTERS("/featuredContent")},
    {"private", "an object", nz_take_private, 0, 0, POINTERS("/private")},
    {"quality", "a whole number from -1000 to 1000", nz_take_quality, 0, 0, POINTERS("/quality")},
};

NM_DEFINE_CLEANUP(struct nz_mapping, nz_mapping_free)

void nz_mapping_free(struct nz_mapping *mapping)
{
    if (!mapping)
        return;
    nm_arena_clear(&mapping->arena);
    free(mapping);
}

/* ---- compiling ---- */

/* A token that may be the index of an array's element; leading zeros and more digits than any event has are none. */
static size_t index_of(const char *name, size_t len)
{
    size_t index = 0;
    if (len == 0 || len > 9 || (len > 1 && name[0] == '0'))
        return NO_INDEX;
    for (size_t i = 0; i < len; i++) {
        if (name[i] < '0' || name[i] > '9')
            return NO_INDEX;
        index = index * 10 + (size_t)(name[i] - '0');
    }
    return index;
}

/* One token, ~1 and ~0 replaced. `name` has room for it. */
static struct nz_step step_of(const char *token, size_t len, char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        bool escaped = token[i] == '~';
        name[n++] = escaped ? (token[i + 1] == '1' ? '/' : '~') : token[i];
        i += escaped;
    }
    name[n] = '\0';
    return (struct nz_step){name, n, index_of(name, n)};
}

enum nm_status nz_pointer_compile(struct nm_arena *arena, const char *text, struct nz_pointer *out,
                                  struct nm_error *err)
{
    assert(nz_is_pointer(text)); /* the option table has refused others */
    size_t len = strlen(text);
    struct nz_pointer pointer = {.text = nm_arena_copy(arena, text, len)};
    struct nz_step *step = nm_arena_alloc(arena, NZ_MAX_STEPS * sizeof *step);
    char *names = nm_arena_alloc(arena, len + NZ_MAX_STEPS);
    if (!pointer.text || !step || !names)
        return nm_fail(err, NM_FATAL, "out of memory for a pointer");
    pointer.step = step;
    for (const char *token = text + 1;; token++) {
        size_t n = strcspn(token, "/");
        step[pointer.n] = step_of(token, n, names);
        names += step[pointer.n++].len + 1;
        token += n;
        if (*token == '\0')
            break;
    }
    *out = pointer;
    return NM_OK;
}

static const struct nm_strings *mapped(const struct nz_options *options, const char *name)
{
    static const struct nm_strings none = {0};
    for (size_t i = 0; i < options->mapping.n; i++)
        if (strcmp(options->mapping.item[i].name, name) == 0)
            return &options->mapping.item[i].strings;
    return &none;
}

static enum nm_status add_pointer(struct nz_mapping *mapping, struct nz_route *route, const char *text,
                                  struct nm_error *err)
{
    struct nz_pointer *pointer = &route->pointer[route->n];
    enum nm_status status = nz_pointer_compile(&mapping->arena, text, pointer, err);
    pointer->own = strcmp(text + 1, route->field->name) == 0;
    route->n += status == NM_OK;
    return status;
}

static enum nm_status open_route(const struct nz_options *options, struct nz_mapping *mapping, struct nz_route *route,
                                 struct nm_error *err)
{
    const struct nm_strings *front = mapped(options, route->field->name);
    size_t n_built_in = 0;
    while (options->built_in_mapping && route->field->pointers[n_built_in])
        n_built_in++;
    route->pointer = nm_arena_alloc(&mapping->arena, (front->n + n_built_in + 1) * sizeof *route->pointer);
    if (!route->pointer)
        return nm_fail(err, NM_FATAL, "out of memory for the mapping");
    enum nm_status status = NM_OK;
    for (size_t i = 0; status == NM_OK && i < front->n; i++)
        status = add_pointer(mapping, route, front->item[i], err);
    for (size_t i = 0; status == NM_OK && i < n_built_in; i++)
        status = add_pointer(mapping, route, route->field->pointers[i], err);
    return status;
}

enum nm_status nz_mapping_open(const struct nz_options *options, struct nz_mapping **out, struct nm_error *err)
{
    NM_AUTO(nz_mapping_free) struct nz_mapping *mapping = calloc(1, sizeof *mapping);
    if (!mapping)
        return nm_fail(err, NM_FATAL, "out of memory for the mapping");
    for (size_t i = 0; i < NZ_N_FIELDS; i++) {
        mapping->route[i].field = &fields[i];
        enum nm_status status = open_route(options, mapping, &mapping->route[i], err);
        if (status != NM_OK)
            return status;
    }
    if (mapping->route[NZ_URL].n == 0 || mapping->route[NZ_TITLE].n == 0)
        return nm_fail(err, NM_CONFIG,
                       "normalize.builtInMapping is false and normalize.mapping has no %s, so that no event could "
                       "become an article: name its pointers",
                       mapping->route[NZ_URL].n == 0 ? "url" : "title");
    *out = mapping;
    mapping = NULL;
    return NM_OK;
}

/* ---- looking up ---- */

static yyjson_val *step_into(yyjson_val *val, const struct nz_step *step)
{
    if (yyjson_is_obj(val))
        return yyjson_obj_getn(val, step->name, step->len);
    return yyjson_is_arr(val) && step->index != NO_INDEX ? yyjson_arr_get(val, step->index) : NULL;
}

enum nm_status nz_pointer_find(const struct nz_pointer *pointer, struct nm_arena *arena, yyjson_val *root,
                               yyjson_val **out, struct nm_error *err)
{
    yyjson_val *val = step_into(root, &pointer->step[0]);
    for (size_t i = 1; val && i < pointer->n; i++) {
        enum nm_status status = yyjson_is_obj(val) ? nz_json_keys(arena, val, err) : NM_OK;
        if (status != NM_OK)
            return status;
        val = step_into(val, &pointer->step[i]);
    }
    *out = val;
    return NM_OK;
}
