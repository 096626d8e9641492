/* publish_fixture.h - what the tests of publish's pure parts share: an event as the runtime hands it over, the state
 * that it leaves, and a record composed from states. Everything lives in the fixture's arena. */
#ifndef PUBLISH_FIXTURE_H
#define PUBLISH_FIXTURE_H

#include "publish/publish.h"

#include <string.h>

#define ID_A "136ab291632faf53215323ed8744d7a4"
#define ID_B "236ab291632faf53215323ed8744d7a4"
#define ID_C "336ab291632faf53215323ed8744d7a4"

struct publish_fixture {
    struct pb_options options;
    struct nm_arena arena, doc;
    struct nm_buf scratch;
    struct pb_maker maker;
    struct nm_error err;
};

static inline void fixture_open(struct publish_fixture *f)
{
    *f = (struct publish_fixture){.options = {.min_quality = 70, .max_related = 20}};
    f->maker = (struct pb_maker){.options = &f->options, .arena = &f->arena, .doc = &f->doc, .scratch = &f->scratch};
}

static inline void fixture_clear(struct publish_fixture *f)
{
    nm_arena_clear(&f->arena);
    nm_arena_clear(&f->doc);
    nm_buf_clear(&f->scratch);
}

/* Reads `value` (NULL: a tombstone) from a stream under `key` (NULL: none). */
static inline enum nm_status fixture_read(struct publish_fixture *f, enum nm_stream stream, const char *key,
                                          const char *value, struct pb_event *out)
{
    struct nm_item item = {.stream = stream,
                           .key = key,
                           .key_len = key ? strlen(key) : 0,
                           .value = value,
                           .value_len = value ? strlen(value) : 0,
                           .revision = 77};
    f->err = (struct nm_error){0};
    return pb_read(&f->maker, &item, out, &f->err);
}

/* ---- the fixture of a test program, for cmocka's groups ---- */

static struct publish_fixture f;

static int open_fixture(void **state)
{
    (void)state;
    fixture_open(&f);
    return 0;
}

static int close_fixture(void **state)
{
    (void)state;
    fixture_clear(&f);
    return 0;
}

#define ARTICLE(members)  "{\"id\":\"" ID_A "\",\"revision\":5,\"sourceTime\":0" members "}"
#define FACET(name, data) "{\"id\":\"" ID_A "\",\"facet\":\"" name "\",\"revision\":9,\"data\":" data "}"

#endif
