/* normalize_secured.c - the private fields that are passed on: which they are, as what text they are sealed.
 *
 * The plaintext is the private object reduced to the members of secured.fields, compact, the members of every object
 * sorted by their bytes, so that events that say the same in another order are the same. A pointer leads through
 * objects only; one that leads nowhere, or to null, leaves nothing behind. Pointers are sorted and the shorter of two
 * nested ones comes first, so each object is visited once and every member is written once. Recursion follows the
 * nesting of the event, which normalize.maxDepth bounds. Threads: the keys' contexts are shared, so one thread at a
 * time. */
#include "normalize_internal.h"

#include "newsmill/article.h"

#include <string.h>

struct nz_secured {
    struct nm_arena arena;
    struct nz_pointer *field; /* sorted; step[0] is "private" */
    size_t n;
    struct nm_seal *seal;
    struct nm_buf text; /* used again for every article */
};
NM_DEFINE_CLEANUP(struct nz_secured, nz_secured_free)

void nz_secured_free(struct nz_secured *secured)
{
    if (!secured)
        return;
    nm_seal_free(secured->seal);
    nm_arena_clear(&secured->arena);
    nm_buf_clear(&secured->text);
    free(secured);
}

/* ---- fields ---- */

static int compare_bytes(const char *a, size_t a_len, const char *b, size_t b_len)
{
    int order = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}

static int by_steps(const void *a, const void *b)
{
    const struct nz_pointer *left = a, *right = b;
    for (size_t i = 0; i < left->n && i < right->n; i++) {
        const struct nz_step *l = &left->step[i], *r = &right->step[i];
        int order = compare_bytes(l->name, l->len, r->name, r->len);
        if (order != 0)
            return order;
    }
    return (left->n > right->n) - (left->n < right->n);
}

static bool begins(const struct nz_pointer *pointer, const struct nz_pointer *start)
{
    return start->n <= pointer->n && by_steps(&(struct nz_pointer){.step = pointer->step, .n = start->n}, start) == 0;
}

/* Sorted, and without those that another one covers. */
static void reduce(struct nz_secured *secured)
{
    size_t kept = 0;
    qsort(secured->field, secured->n, sizeof *secured->field, by_steps);
    for (size_t i = 0; i < secured->n; i++)
        if (kept == 0 || !begins(&secured->field[i], &secured->field[kept - 1]))
            secured->field[kept++] = secured->field[i];
    secured->n = kept;
}

enum nm_status nz_secured_open(const struct nz_options *options, struct nz_secured **out, struct nm_buf *warnings,
                               struct nm_error *err)
{
    const struct nm_strings *fields = &options->secured_fields;
    if (fields->n == 0) {
        *out = NULL;
        return NM_OK;
    }
    NM_AUTO(nz_secured_free) struct nz_secured *secured = calloc(1, sizeof *secured);
    if (secured)
        secured->field = nm_arena_alloc(&secured->arena, fields->n * sizeof *secured->field);
    if (!secured || !secured->field)
        return nm_fail(err, NM_FATAL, "out of memory for secured.fields");
    enum nm_status status = NM_OK;
    for (size_t i = 0; status == NM_OK && i < fields->n; i++)
        status = nz_pointer_compile(&secured->arena, fields->item[i], &secured->field[i], err);
    if (status == NM_OK)
        status =
            nm_seal_load("secured.keys", &options->secured_keys, options->secured_key, &secured->seal, warnings, err);
    if (status != NM_OK)
        return status;
    secured->n = fields->n;
    reduce(secured);
    *out = secured;
    secured = NULL;
    return NM_OK;
}

void nz_secured_describe(const struct nz_secured *secured, struct nm_buf *out)
{
    for (size_t i = 0; secured && i < secured->n; i++)
        nm_buf_addf(out, "%s\n", secured->field[i].text);
}

/* ---- the plaintext ---- */

/* What a copy needs; `status` turns bad once and stays so. */
struct copier {
    yyjson_mut_doc *doc;
    struct nm_arena *arena;
    struct nm_error *err;
    enum nm_status status;
};
struct member {
    yyjson_val *key, *val;
};

static void *out_of_memory(struct copier *copier)
{
    if (copier->status == NM_OK)
        copier->status = nm_fail(copier->err, NM_FATAL, "out of memory for private fields");
    return NULL;
}

static int by_key(const void *a, const void *b)
{
    const struct member *left = a, *right = b;
    return compare_bytes(yyjson_get_str(left->key), yyjson_get_len(left->key), yyjson_get_str(right->key),
                         yyjson_get_len(right->key));
}

static yyjson_mut_val *copy_sorted(struct copier *copier, yyjson_val *val);

static yyjson_mut_val *copy_object(struct copier *copier, yyjson_val *val)
{
    size_t n = yyjson_obj_size(val), at = 0;
    struct member *member = nm_arena_alloc(copier->arena, (n + 1) * sizeof *member);
    yyjson_mut_val *object = yyjson_mut_obj(copier->doc);
    if (!member || !object)
        return out_of_memory(copier);
    copier->status = nz_json_keys(copier->arena, val, copier->err);
    yyjson_obj_iter iter = yyjson_obj_iter_with(val);
    for (yyjson_val *key; at < n && (key = yyjson_obj_iter_next(&iter));)
        member[at++] = (struct member){key, yyjson_obj_iter_get_val(key)};
    qsort(member, at, sizeof *member, by_key);
    for (size_t i = 0; copier->status == NM_OK && i < at; i++) {
        yyjson_mut_val *name = yyjson_val_mut_copy(copier->doc, member[i].key);
        yyjson_mut_val *copy = copy_sorted(copier, member[i].val);
        if (copier->status == NM_OK && !yyjson_mut_obj_add(object, name, copy))
            return out_of_memory(copier);
    }
    return object;
}

static yyjson_mut_val *copy_sorted(struct copier *copier, yyjson_val *val)
{
    if (yyjson_is_obj(val))
        return copy_object(copier, val);
    if (!yyjson_is_arr(val)) {
        yyjson_mut_val *copy = yyjson_val_mut_copy(copier->doc, val);
        return copy ? copy : out_of_memory(copier);
    }
    yyjson_mut_val *array = yyjson_mut_arr(copier->doc);
    yyjson_arr_iter iter = yyjson_arr_iter_with(val);
    for (yyjson_val *element; copier->status == NM_OK && (element = yyjson_arr_iter_next(&iter));) {
        yyjson_mut_val *copy = copy_sorted(copier, element);
        if (copier->status == NM_OK && !yyjson_mut_arr_append(array, copy))
            return out_of_memory(copier);
    }
    return array ? array : out_of_memory(copier);
}

/* The members of `val` that field[0..n) lead to; all of these agree in their first `depth` steps. NULL: none. */
static yyjson_mut_val *pick(struct copier *copier, yyjson_val *val, const struct nz_pointer *field, size_t n,
                            size_t depth)
{
    if (!val || yyjson_is_null(val))
        return NULL;
    if (field[0].n == depth)
        return copy_sorted(copier, val);
    if (!yyjson_is_obj(val))
        return NULL;
    yyjson_mut_val *object = yyjson_mut_obj(copier->doc);
    if (!object)
        return out_of_memory(copier);
    copier->status = nz_json_keys(copier->arena, val, copier->err);
    for (size_t i = 0; copier->status == NM_OK && i < n;) {
        const struct nz_step *step = &field[i].step[depth];
        size_t same = 1;
        while (i + same < n && compare_bytes(field[i + same].step[depth].name, field[i + same].step[depth].len,
                                             step->name, step->len) == 0)
            same++;
        yyjson_mut_val *picked = pick(copier, yyjson_obj_getn(val, step->name, step->len), field + i, same, depth + 1);
        yyjson_mut_val *name = picked ? yyjson_mut_strn(copier->doc, step->name, step->len) : NULL;
        if (copier->status == NM_OK && picked && !yyjson_mut_obj_add(object, name, picked))
            return out_of_memory(copier);
        i += same;
    }
    return yyjson_mut_obj_size(object) > 0 ? object : NULL;
}

enum nm_status nz_secured_plain(const struct nz_secured *secured, struct nm_arena *arena, yyjson_val *private_object,
                                struct nz_str *out, struct nm_error *err)
{
    yyjson_alc alc = nm_arena_alc(arena);
    struct copier copier = {.doc = yyjson_mut_doc_new(&alc), .arena = arena, .err = err};
    size_t len = 0;
    yyjson_write_err why = {0};
    if (!copier.doc)
        return nm_fail(err, NM_FATAL, "out of memory for private fields");
    yyjson_mut_val *picked = pick(&copier, private_object, secured->field, secured->n, 1);
    if (copier.status != NM_OK || yyjson_mut_obj_size(picked) == 0)
        return copier.status;
    const char *text = yyjson_mut_val_write_opts(picked, YYJSON_WRITE_NOFLAG, &alc, &len, &why);
    if (!text)
        return nm_fail(err, NM_FATAL, "private fields cannot be written: %s", why.msg);
    *out = (struct nz_str){text, len};
    return NM_OK;
}

/* ---- sealing ---- */

enum nm_status nz_secured_seal(struct nz_secured *secured, struct nm_arena *arena, const struct nz_article *article,
                               struct nz_str *out, struct nm_error *err)
{
    nm_buf_reset(&secured->text);
    enum nm_status status =
        nm_seal_text(secured->seal, article->id, article->secret.data, article->secret.len, &secured->text, err);
    if (status != NM_OK)
        return status;
    *out = (struct nz_str){nm_arena_copy(arena, secured->text.data, secured->text.len), secured->text.len};
    return out->data ? NM_OK : nm_fail(err, NM_FATAL, "out of memory for a sealed text");
}

enum nm_status nz_secured_digest(struct nz_secured *secured, const struct nz_article *article,
                                 unsigned char out[NM_SEAL_DIGEST_BYTES], struct nm_error *err)
{
    return nm_seal_digest(secured->seal, article->id, article->secret.data, article->secret.len, out, err);
}
