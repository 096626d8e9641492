/* fuzz_record.c - any bytes as what publish reads: an article, a facet, a record read back.
 *
 * The first byte chooses the stream. What is taken is composed, beside an article that lists it: record and card must
 * be JSON again, and a record that we wrote must be read back with its own hash. */
#include "publish/publish.h"

#include <stdint.h>
#include <string.h>

#define ID    "136ab291632faf53215323ed8744d7a4"
#define OTHER "236ab291632faf53215323ed8744d7a4"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct pb_options options = {.min_quality = 70, .max_related = 20};
static const char small[] =
    "{\"title\":\"t\",\"quality\":80,\"images\":[{\"url\":\"u\",\"width\":1,\"height\":1},{\"url\":\"v\"}]}";

static void need(bool good)
{
    if (!good)
        abort();
}

static void compose(struct pb_maker *maker, const struct pb_event *event)
{
    struct pb_state state = {.id = ID, .article = {.s = small, .len = sizeof small - 1}};
    struct pb_own own;
    struct pb_body body;
    struct pb_event back;
    if (event->kind == PB_ARTICLE)
        state.article = event->data;
    else if (event->kind == PB_IMAGES)
        state.images = event->data;
    else if (event->kind == PB_RELATED)
        state.related = event->data;
    else if (event->kind == PB_HEAT)
        state.heat = event->data;
    need(pb_make_own(maker, &state, &own, NULL) == NM_OK);
    struct pb_member self = {.id = OTHER, .card = own.card};
    need(pb_make_body(maker, &own, &self, 1, 1 << 20, &body, NULL) == NM_OK);
    struct pb_text record = pb_record(ID, &body, 1933740145000000);
    need((record.s == NULL) == own.retracted);
    if (!record.s)
        return;
    yyjson_doc *doc = yyjson_read(record.s, record.len, 0);
    need(yyjson_arr_size(yyjson_obj_get(yyjson_doc_get_root(doc), "related")) == 1 - body.n_dropped);
    yyjson_doc_free(doc);
    struct nm_item item = {
        .stream = NM_RECORDS, .key = ID, .key_len = PB_ID, .value = record.s, .value_len = record.len};
    need(pb_read(maker, &item, &back, NULL) == NM_OK && strcmp(back.hash, body.hash) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum nm_stream streams[] = {NM_NORMALIZED, NM_FACETS, NM_RECORDS};
    struct nm_arena arena = {0}, doc = {0};
    struct nm_buf scratch = {0};
    struct pb_maker maker = {.options = &options, .arena = &arena, .doc = &doc, .scratch = &scratch};
    struct pb_event event;
    struct nm_error err = {0};
    if (size == 0 || size > 1 << 18)
        return 0;
    NM_AUTO(free) char *value = malloc(size); /* of the exact size: a byte too far is seen */
    if (!value)
        return 0;
    memcpy(value, data + 1, size - 1);
    struct nm_item item = {.stream = streams[data[0] % 3],
                           .key = ID,
                           .key_len = PB_ID,
                           .value = size > 1 ? value : NULL,
                           .value_len = size - 1,
                           .revision = 7};
    enum nm_status status = pb_read(&maker, &item, &event, &err);
    need(status == NM_OK || (status == NM_BAD_INPUT && err.code[0]));
    if (status == NM_OK && event.kind != PB_BACK)
        compose(&maker, &event);
    nm_arena_clear(&arena);
    nm_arena_clear(&doc);
    nm_buf_clear(&scratch);
    return 0;
}
