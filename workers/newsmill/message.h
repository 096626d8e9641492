/* message.h - Kafka messages as people and scripts see them.
 *
 * Pure but for reading the message; thread-safe. */
#ifndef NEWSMILL_MESSAGE_H
#define NEWSMILL_MESSAGE_H

#include "newsmill/buf.h"
#include "newsmill/status.h"
#include "table.h"

#include <librdkafka/rdkafka.h>
#include <stdint.h>

/* One line without line feed: {"partition","offset","timestamp","key","headers","value"}. timestamp: ms, null where
 * there is none. value: the JSON of the message with its numbers as they are, null for a tombstone; what is not JSON is
 * "valueBase64" in its place, as a key that is not UTF-8 is "keyBase64". headers: an object, the last one of a name.
 * NM_FATAL: out of memory. */
NM_MUST_USE enum nm_status nm_message_json(const rd_kafka_message_t *message, struct nm_buf *out, struct nm_error *err);

/* {"name": "value"...} of the headers; a header without value is null. */
void nm_message_headers_json(const rd_kafka_message_t *message, struct nm_buf *out);

/* Milliseconds since 1970, or -1. */
int64_t nm_message_time_ms(const rd_kafka_message_t *message);

/* "YYYY-MM-DDTHH:MM:SSZ" or "" for a time that cannot be shown. */
void nm_time_text(int64_t ms, char out[21]);

/* The columns of a record, of a record with one more cell for what it is to the one before, and of any other message;
 * and one row of a record and of any other message. */
extern const struct nm_column nm_record_columns[], nm_live_record_columns[], nm_message_columns[];
/* key is shown where the record cannot be read or is a tombstone (value NULL). */
void nm_record_row(const char *value, size_t len, const char *key, size_t key_len, struct nm_table *table);
/* As a reader sees it: a lead, and below it what it shows; nothing for a member, which is seen there. */
void nm_story_rows(const char *value, size_t len, const char *key, size_t key_len, struct nm_table *table);
void nm_message_row(const rd_kafka_message_t *message, struct nm_table *table);

#endif
