/* deadletter.c - what a dead letter carries: key, value and headers as received, then who gave up on it and why.
 *
 * One that the stream could not take goes out with the first 64 KiB of its value and says so: nm-value-bytes and
 * nm-value-sha256 are those of the whole value, which can still be read at its source offset. */
#include "newsmill/digest.h"
#include "runtime_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CUT_BYTES 65536

bool nm_header_text(rd_kafka_headers_t *headers, const char *name, const char *value)
{
    return rd_kafka_header_add(headers, name, -1, value, (ssize_t)strlen(value)) == RD_KAFKA_RESP_ERR_NO_ERROR;
}

bool nm_header_number(rd_kafka_headers_t *headers, const char *name, int64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRId64, value);
    return nm_header_text(headers, name, text);
}

static bool add_whole_value(rd_kafka_headers_t *headers, const struct nm_item *item)
{
    unsigned char digest[32];
    char hex[2 * sizeof digest + 1];
    nm_digest_raw(item->value, item->value_len, digest, sizeof digest);
    nm_hex_write(digest, sizeof digest, hex);
    return nm_header_number(headers, "nm-value-bytes", (int64_t)item->value_len) &&
           nm_header_text(headers, "nm-value-sha256", hex);
}

/* Those as received that fit; ours, which a letter that was sent back may still carry, are replaced. */
static rd_kafka_headers_t *received_headers(const rd_kafka_message_t *source, size_t room)
{
    rd_kafka_headers_t *received = NULL, *headers = rd_kafka_headers_new(16);
    if (!source || rd_kafka_message_headers(source, &received) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return headers;
    const char *name;
    const void *value;
    size_t len;
    for (size_t i = 0; headers && !rd_kafka_header_get_all(received, i, &name, &value, &len); i++) {
        size_t cost = strlen(name) + len + 16;
        if (strncmp(name, "nm-", 3) == 0 || cost > room)
            continue;
        room -= cost;
        if (rd_kafka_header_add(headers, name, -1, value, value ? (ssize_t)len : -1)) {
            rd_kafka_headers_destroy(headers);
            headers = NULL;
        }
    }
    return headers;
}

void nm_dead_letter(const struct nm_runtime *rt, struct nm_item *item, struct nm_output *out)
{
    size_t most = (size_t)rt->settings.stream[NM_DEAD].max_message_bytes;
    size_t room = most > NM_ENVELOPE_BYTES ? most - NM_ENVELOPE_BYTES : 0;
    *out =
        (struct nm_output){.stream = NM_DEAD, .item = item, .key = item->key, .key_len = item->key_len, .dead = true};
    if (out->key_len > room / 4)
        out->key = NULL, out->key_len = 0;
    out->value = item->value;
    out->len = item->value_len;
    if (out->len + out->key_len > room) {
        out->cut = true;
        out->len = CUT_BYTES < room / 2 ? CUT_BYTES : room / 2;
    }
}

rd_kafka_headers_t *nm_dead_headers(const struct nm_runtime *rt, const struct nm_output *output,
                                    const rd_kafka_message_t *source)
{
    const struct nm_item *item = output->item;
    size_t most = (size_t)rt->settings.stream[NM_DEAD].max_message_bytes;
    size_t used = output->len + output->key_len + NM_ENVELOPE_BYTES;
    rd_kafka_headers_t *headers = received_headers(source, most > used ? most - used : 0);
    bool ok =
        headers && nm_header_text(headers, "nm-schema", nm_schemas[NM_DEAD]) &&
        nm_header_text(headers, "nm-ns", rt->settings.ns) && nm_header_text(headers, "nm-code", item->dead->code) &&
        nm_header_text(headers, "nm-message", item->dead->msg) &&
        nm_header_text(headers, "nm-worker", rt->worker->name) && nm_header_text(headers, "nm-version", NM_VERSION) &&
        nm_header_text(headers, "nm-stream", rt->settings.stream[item->stream].name) &&
        nm_header_number(headers, "nm-partition", item->partition) &&
        nm_header_number(headers, "nm-offset", item->offset) &&
        nm_header_number(headers, "nm-timestamp", item->timestamp_ms) && nm_header_number(headers, "nm-attempts", 1) &&
        (!item->id[0] || nm_header_text(headers, "nm-id", item->id)) &&
        (!output->cut || add_whole_value(headers, item));
    if (!ok && headers) {
        rd_kafka_headers_destroy(headers);
        headers = NULL;
    }
    return headers;
}
