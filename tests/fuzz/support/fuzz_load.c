/* fuzz_load.c - bytes through a file to a reader, see fuzz_load.h. One file in memory serves every run. */
#define _GNU_SOURCE /* memfd_create() */
#include "fuzz_load.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void fuzz_require(bool held)
{
    if (!held)
        abort();
}

static enum nm_status take(void *self, const char *text, size_t len, struct nm_place place, struct nm_error *err)
{
    struct outcome *outcome = self;
    (void)err;
    fuzz_require(place.line > 0 && !memchr(text, '\n', len));
    if (outcome->expected != ANY_LINE) {
        yyjson_doc *doc = yyjson_read(text, len, YYJSON_READ_BIGNUM_AS_RAW);
        fuzz_require(doc && (outcome->expected == ANY_JSON || yyjson_is_obj(yyjson_doc_get_root(doc))));
        size_t key_len = 0;
        const char *key = nm_event_key(doc, &key_len);
        fuzz_require((key != NULL) == (key_len > 0));
        yyjson_doc_free(doc);
    }
    nm_buf_add(&outcome->events, text, len);
    nm_buf_addc(&outcome->events, '\n');
    outcome->n_events++;
    return NM_OK;
}

static void say(struct outcome *outcome, struct nm_place place, const char *text)
{
    fuzz_require(*text && strlen(text) < 500 && !strchr(text, '\n'));
    nm_buf_addf(&outcome->refusals, "%llu:%llu %s\n", place.line, place.item, text);
}

static void refuse(void *self, struct nm_place place, const char *why)
{
    struct outcome *outcome = self;
    say(outcome, place, why);
    outcome->n_refusals++;
}

static void remark(void *self, struct nm_place place, const char *text)
{
    say(self, place, text);
}

static void skip(void *self, size_t n)
{
    (void)self;
    fuzz_require(n > 0);
}

struct outcome fuzz_read(reader *read, enum expected expected, const void *data, size_t len, size_t block,
                         size_t max_bytes)
{
    static int fd = -1;
    struct outcome outcome = {.expected = expected};
    struct nm_sink sink = {
        .take = take, .refuse = refuse, .skip = skip, .remark = remark, .self = &outcome, .max_bytes = max_bytes};
    struct nm_error err = {0};
    NM_AUTO(nm_source_close) struct nm_source *source = NULL;

    if (fd < 0)
        fd = memfd_create("fuzz", 0);
    fuzz_require(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, data, len, 0) == (ssize_t)len &&
                 lseek(fd, 0, SEEK_SET) == 0);
    if (nm_source_open(&(struct nm_source_options){.fd = fd, .block_bytes = block}, &source, NULL) != NM_OK)
        return outcome;
    outcome.status = read(source, &sink, &err);
    fuzz_require(outcome.status == NM_OK || (outcome.status == NM_BAD_INPUT && err.msg[0]));
    fuzz_require(nm_buf_ok(&outcome.events) && nm_buf_ok(&outcome.refusals));
    return outcome;
}

void fuzz_clear(struct outcome *outcome)
{
    nm_buf_clear(&outcome->events);
    nm_buf_clear(&outcome->refusals);
}

static bool same_bytes(const struct nm_buf *a, const struct nm_buf *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

void fuzz_same(const struct outcome *a, const struct outcome *b)
{
    fuzz_require(a->status == b->status && same_bytes(&a->events, &b->events) &&
                 same_bytes(&a->refusals, &b->refusals));
}
