/* message.c - Kafka messages as people and scripts see them, see message.h.
 *
 * Values are parsed with "numbers as raw" and written again, so that what a script reads has the digits that were sent
 * (a revision is above 2^53 for some readers, and 1.10 stays 1.10), on one line, and without bytes that a terminal
 * would obey. yyjson reads and writes without recursion, so depth is no danger. */
#include "message.h"

#include "newsmill/datetime.h"
#include "newsmill/text.h"
#include "plain.h"

#include <openssl/evp.h>
#include <string.h>
#include <yyjson.h>

#define MAX_TIME_MS 253402300799999 /* the end of the year 9999 */

int64_t nm_message_time_ms(const rd_kafka_message_t *message)
{
    rd_kafka_timestamp_type_t type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    int64_t ms = rd_kafka_message_timestamp(message, &type);
    return type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? -1 : ms;
}

void nm_time_text(int64_t ms, char out[21])
{
    out[0] = '\0';
    if (ms >= 0 && ms <= MAX_TIME_MS)
        nm_time_format(ms, out);
}

static void base64(const char *data, size_t len, struct nm_buf *out)
{
    unsigned char text[4 * 256 + 1];

    nm_buf_addc(out, '"');
    while (len > 0) { /* pieces of a multiple of three bytes join without padding */
        size_t piece = len > 768 ? 768 : len;
        int n = EVP_EncodeBlock(text, (const unsigned char *)data, (int)piece);
        nm_buf_add(out, text, (size_t)n);
        data += piece;
        len -= piece;
    }
    nm_buf_addc(out, '"');
}

void nm_message_headers_json(const rd_kafka_message_t *message, struct nm_buf *out)
{
    rd_kafka_headers_t *headers = NULL;
    const char *name = NULL;
    const void *value = NULL, *last = NULL;
    size_t len = 0, last_len = 0, n = 0;

    nm_buf_addc(out, '{');
    if (!rd_kafka_message_headers(message, &headers)) {
        for (size_t i = 0; !rd_kafka_header_get_all(headers, i, &name, &value, &len); i++) {
            if (rd_kafka_header_get_last(headers, name, &last, &last_len) || last != value)
                continue;
            nm_buf_adds(out, n++ ? "," : "");
            nm_json_string(name, strlen(name), out);
            nm_buf_addc(out, ':');
            if (value)
                nm_json_string(value, len, out);
            else
                nm_buf_adds(out, "null");
        }
    }
    nm_buf_addc(out, '}');
}

static enum nm_status add_value(const rd_kafka_message_t *message, struct nm_buf *out, struct nm_error *err)
{
    if (!message->payload) {
        nm_buf_adds(out, ",\"value\":null}");
        return NM_OK;
    }
    yyjson_doc *doc = yyjson_read_opts(message->payload, message->len, YYJSON_READ_NUMBER_AS_RAW, NULL, NULL);
    if (!doc) {
        nm_buf_adds(out, ",\"valueBase64\":");
        base64(message->payload, message->len, out);
        nm_buf_addc(out, '}');
        return NM_OK;
    }
    size_t len = 0;
    char *text = yyjson_write_opts(doc, 0, NULL, &len, NULL);
    yyjson_doc_free(doc);
    if (!text)
        return nm_fail(err, NM_FATAL, "out of memory for a message");
    nm_buf_adds(out, ",\"value\":");
    nm_json_safe(text, len, out);
    nm_buf_addc(out, '}');
    free(text);
    return NM_OK;
}

enum nm_status nm_message_json(const rd_kafka_message_t *message, struct nm_buf *out, struct nm_error *err)
{
    int64_t ms = nm_message_time_ms(message);

    nm_buf_addf(out, "{\"partition\":%d,\"offset\":%lld", (int)message->partition, (long long)message->offset);
    if (ms >= 0)
        nm_buf_addf(out, ",\"timestamp\":%lld", (long long)ms);
    else
        nm_buf_adds(out, ",\"timestamp\":null");
    if (!message->key) {
        nm_buf_adds(out, ",\"key\":null");
    } else if (nm_text_is_utf8(message->key, message->key_len)) {
        nm_buf_adds(out, ",\"key\":");
        nm_json_string(message->key, message->key_len, out);
    } else {
        nm_buf_adds(out, ",\"keyBase64\":");
        base64(message->key, message->key_len, out);
    }
    nm_buf_adds(out, ",\"headers\":");
    nm_message_headers_json(message, out);
    enum nm_status status = add_value(message, out, err);
    if (status == NM_OK && !nm_buf_ok(out))
        status = nm_fail(err, NM_FATAL, "out of memory for a message");
    return status;
}

const struct nm_column nm_record_columns[] = {
    {"heat", true, 4, 8},       {"quality", true, 7, 8},  {"published", false, 9, 9}, {"title", false, 16, 300},
    {"provider", false, 8, 18}, {"topics", false, 8, 20}, {"time", false, 17, 17},    {0},
};

const struct nm_column nm_live_record_columns[] = {
    {"heat", true, 4, 8},      {"quality", true, 7, 8},    {"published", false, 9, 9},
    {"title", false, 16, 300}, {"provider", false, 8, 18}, {"topics", false, 8, 20},
    {"time", false, 17, 17},   {"change", false, 9, 9},    {0},
};

const struct nm_column nm_message_columns[] = {
    {"time", false, 20, 20}, {"position", false, 8, 16}, {"key", false, 8, 32},
    {"bytes", true, 5, 10},  {"value", false, 16, 300},  {0},
};

static void text_cell(struct nm_table *table, yyjson_val *value)
{
    nm_table_cell(table, yyjson_get_str(value), yyjson_get_len(value));
}

/* To the minute: a table has more use for the room than for seconds. */
static void minute_cell(struct nm_table *table, yyjson_val *value)
{
    char text[18];
    bool usual = yyjson_get_len(value) == 20 && yyjson_is_str(value);

    if (usual)
        (void)snprintf(text, sizeof text, "%.16sZ", yyjson_get_str(value));
    nm_table_cells(table, usual ? text : "");
}

static void number_cell(struct nm_table *table, yyjson_val *value)
{
    if (yyjson_is_int(value))
        nm_table_number(table, yyjson_get_sint(value));
    else
        nm_table_cells(table, "");
}

static void topics_cell(struct nm_table *table, yyjson_val *topics)
{
    struct nm_buf text = {0};
    size_t i = 0, max = 0;
    yyjson_val *topic = NULL;

    yyjson_arr_foreach(topics, i, max, topic)
    {
        if (!yyjson_is_str(topic))
            continue;
        nm_buf_adds(&text, text.len ? ", " : "");
        nm_buf_add(&text, yyjson_get_str(topic), yyjson_get_len(topic));
    }
    nm_table_cell(table, text.data, text.len);
    nm_buf_clear(&text);
}

void nm_record_row(const char *value, size_t len, const char *key, size_t key_len, struct nm_table *table)
{
    yyjson_doc *doc = value ? yyjson_read(value, len, 0) : NULL;
    yyjson_val *root = yyjson_doc_get_root(doc);
    struct nm_buf other = {0};

    number_cell(table, yyjson_obj_get(root, "heat"));
    number_cell(table, yyjson_obj_get(root, "quality"));
    yyjson_val *published = yyjson_obj_get(root, "published");
    nm_table_cells(table, yyjson_is_bool(published) ? (yyjson_get_bool(published) ? "yes" : "no") : "");
    if (yyjson_is_obj(root)) {
        text_cell(table, yyjson_obj_get(root, "title"));
    } else {
        nm_buf_adds(&other, value ? "(not a record) " : "(retracted) ");
        nm_buf_add(&other, key, key_len);
        nm_table_cell(table, other.data, other.len);
    }
    text_cell(table, yyjson_obj_get(yyjson_obj_get(root, "provider"), "name"));
    topics_cell(table, yyjson_obj_get(root, "topics"));
    minute_cell(table, yyjson_obj_get(root, "publishedDateTime"));
    nm_buf_clear(&other);
    yyjson_doc_free(doc);
}

static void member_row(yyjson_val *member, struct nm_table *table)
{
    struct nm_buf title = {0};
    nm_buf_adds(&title, "└ ");
    nm_buf_add(&title, yyjson_get_str(yyjson_obj_get(member, "title")),
               yyjson_get_len(yyjson_obj_get(member, "title")));
    nm_table_cells(table, "");
    number_cell(table, yyjson_obj_get(member, "quality"));
    nm_table_cells(table, "");
    nm_table_cell(table, title.data, title.len);
    text_cell(table, yyjson_obj_get(yyjson_obj_get(member, "provider"), "name"));
    nm_table_cells(table, "");
    minute_cell(table, yyjson_obj_get(member, "publishedDateTime"));
    nm_buf_clear(&title);
}

void nm_story_rows(const char *value, size_t len, const char *key, size_t key_len, struct nm_table *table)
{
    yyjson_doc *doc = value ? yyjson_read(value, len, 0) : NULL;
    yyjson_val *root = yyjson_doc_get_root(doc), *member = NULL;
    yyjson_val *lead = yyjson_obj_get(yyjson_obj_get(root, "story"), "lead");
    size_t i = 0, max = 0;

    if (!lead || yyjson_equals_strn(lead, key, key_len))
        nm_record_row(value, len, key, key_len, table);
    yyjson_arr_foreach(yyjson_obj_get(root, "related"), i, max, member) member_row(member, table);
    yyjson_doc_free(doc);
}

void nm_message_row(const rd_kafka_message_t *message, struct nm_table *table)
{
    char time[21], position[48];

    nm_time_text(nm_message_time_ms(message), time);
    (void)snprintf(position, sizeof position, "%d:%lld", (int)message->partition, (long long)message->offset);
    nm_table_cells(table, time);
    nm_table_cells(table, position);
    nm_table_cell(table, message->key, message->key_len);
    nm_table_number(table, (long long)message->len);
    if (message->payload)
        nm_table_cell(table, message->payload, message->len);
    else
        nm_table_cells(table, "(tombstone)");
}
