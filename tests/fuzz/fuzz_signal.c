/* fuzz_signal.c - any bytes as a signal of the site, as an article and as a facet.
 *
 * What is taken is within the bounds that the scripts rely on, and the same bytes give the same; what is refused has a
 * code and a sentence.
 *
 *   cmake -DNM_FUZZ=ON -DNM_SANITIZE=address,undefined …; fuzz_signal tests/fuzz/corpus/signal */
#include "heat/heat.h"

#include "newsmill/url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW_MS 1933740142000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct nm_arena arena, second;

static void require(bool holds, const char *what)
{
    if (holds)
        return;
    (void)fprintf(stderr, "broken: %s\n", what);
    abort();
}

static void check_refusal(enum nm_status status, const struct nm_error *err)
{
    require(status == NM_BAD_INPUT, "a refusal is bad input");
    require(err->code[0] && strspn(err->code, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(err->code), "a code");
    require(strlen(err->msg) > 10, "a sentence");
}

static void as_signal(const uint8_t *data, size_t size)
{
    struct nm_item item = {
        .stream = NM_SIGNALS, .value = (const char *)data, .value_len = size, .timestamp_ms = NOW_MS - 1000};
    struct hp_event event = {0}, same = {0};
    struct nm_error err = {0};
    enum nm_status status = hp_read_signal(&item, NOW_MS, &arena, &event, &err);
    require(hp_read_signal(&item, NOW_MS + 1, &second, &same, &err) == status, "the same again");
    if (status != NM_OK) {
        check_refusal(status, &err);
        return;
    }
    require(nm_is_article_id(event.id, strlen(event.id)) && memcmp(event.id, same.id, sizeof event.id) == 0, "an id");
    require(event.kind && strchr("csomv", event.kind), "a kind");
    require(event.count >= 1 && event.count <= HP_COUNT, "a count");
    require(event.at_s >= 0 && event.at_s * 1000 <= NOW_MS + HP_AHEAD_MS, "a time");
    require(event.source_len >= 1 && event.source_len <= HP_SOURCE, "a source");
    require(event.source_len == same.source_len && memcmp(event.source, same.source, same.source_len) == 0, "a source");
    require(event.has_hash == same.has_hash && memcmp(event.hash, same.hash, HP_HASH) == 0, "a signalId");
}

static void as_own(const uint8_t *data, size_t size, enum nm_stream stream)
{
    static const char key[] = "136ab291632faf53215323ed8744d7a4";
    struct nm_item item = {
        .stream = stream, .value = (const char *)data, .value_len = size, .key = key, .key_len = HP_ID};
    struct hp_event event = {0};
    struct nm_error err = {0};
    enum nm_status status = hp_read(&item, &arena, &event, &err);
    if (status != NM_OK) {
        check_refusal(status, &err);
        return;
    }
    require(event.type == HP_NOTHING || memcmp(event.id, key, sizeof key) == 0, "the key is the id");
    require(event.type == HP_NOTHING || (event.revision >= 1 && event.revision < (int64_t)1 << 53), "a revision");
    require(event.quality >= -1000 && event.quality <= 1000 && event.published_s >= 0 && event.size >= 0, "numbers");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    as_signal(data, size);
    as_own(data, size, NM_NORMALIZED);
    as_own(data, size, NM_FACETS);
    return 0;
}
