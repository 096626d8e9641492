/* enrich.c - the job that clients of Kafka and Redis are compared on (README.md), as a worker with every guarantee on.
 */
#include "enrich.h"
#include "newsmill/article.h"
#include "newsmill/datetime.h"
#include "newsmill/worker.h"

#include <stdio.h>
#include <string.h>

struct asked {
    size_t command;
    long penalty;
    char *url, hash[HASH];
};

#define SEND(pipe, ...)                                                                                                \
    send(pipe, (const char *[]){__VA_ARGS__}, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *))
static void send(struct nm_pipe *pipe, const char *const *word, size_t n)
{
    nm_pipe_command(pipe, n);
    for (size_t i = 0; i < n; i++)
        nm_pipe_str(pipe, word[i]);
}

static char *text_of(yyjson_val *root, const char *name)
{
    const char *text = yyjson_get_str(yyjson_obj_get(root, name));
    return (char *)(uintptr_t)(text ? text : "");
}

static enum nm_status ask(struct nm_batch *batch, struct nm_item *item, struct asked *asked, struct nm_error *err)
{
    yyjson_alc alc = nm_arena_alc(batch->arena);
    char *value = (char *)(uintptr_t)item->value, time[24], key[96];
    yyjson_val *root = yyjson_doc_get_root(yyjson_read_opts(value, item->value_len, 0, &alc, NULL));
    yyjson_val *terms = yyjson_obj_get(root, "terms");
    char *id = text_of(root, "id"), *title = text_of(root, "title"), *date = text_of(root, "publishedDateTime");
    int64_t ms;
    asked->url = nm_arena_copy(batch->arena, text_of(root, "url"), strlen(text_of(root, "url")));
    if (strlen(id) != ID || yyjson_arr_size(terms) != TERMS || !asked->url || strpbrk(asked->url, "\"\\\n") ||
        nm_time_parse(date, strlen(date), &ms, NULL) != NM_OK)
        return nm_bad(err, "wrong_type", "no article of this job");
    memcpy(item->id, id, ID);
    asked->command = batch->pipe->n_commands;
    asked->penalty = *title ? enrich_line(title) : 0;
    enrich_canonical(asked->url);
    enrich_hash(asked->url, asked->hash);
    (void)snprintf(time, sizeof time, "%lld", (long long)ms / 1000);
    for (size_t i = 0; i < TERMS; i++) {
        (void)snprintf(key, sizeof key, "p:%s", yyjson_get_str(yyjson_arr_get(terms, i)));
        SEND(batch->pipe, "ZADD", key, time, id);
        SEND(batch->pipe, "ZREVRANGE", key, "0", "63");
    }
    (void)snprintf(key, sizeof key, "a:%s", id);
    SEND(batch->pipe, "HSET", key, "title", title, "url", asked->url);
    (void)snprintf(key, sizeof key, "seen:%s", id);
    SEND(batch->pipe, "SET", key, asked->hash);
    return NM_OK;
}

/* The article without its last brace, and the new members behind it. */
static void answer(struct enrich_ids *ids, struct nm_batch *batch, struct nm_item *item, const struct asked *asked)
{
    const char *best[BEST];
    enrich_ids_reset(ids);
    for (size_t term = 0; term < TERMS; term++) {
        const struct nm_reply *newest = nm_pipe_reply(batch->replies, asked->command + 2 * term + 1);
        for (size_t i = 0; i < newest->len; i++)
            enrich_ids_add(ids, nm_reply_at(newest, i)->str);
    }
    size_t n = enrich_ids_best(ids, item->id, best), at = item->value_len, size = at + strlen(asked->url) + 512;
    while (item->value[at - 1] != '}')
        at--;
    char *record = nm_arena_alloc(batch->arena, size);
    batch->oom = batch->oom || !record;
    if (!record)
        return;
    memcpy(record, item->value, --at);
    at +=
        (size_t)snprintf(record + at, size - at, ",\"canonicalUrl\":\"%s\",\"hash\":\"%s\",\"heat\":%ld,\"related\":[",
                         asked->url, asked->hash, (long)ids->n - asked->penalty);
    for (size_t i = 0; i < n; i++)
        at += (size_t)snprintf(record + at, size - at, "%s\"%.32s\"", i ? "," : "", best[i]);
    at += (size_t)snprintf(record + at, size - at, "]}");
    nm_emit(batch, item, NM_RECORDS, item->id, record, at, 0);
    item->verdict = NM_DONE;
}

static enum nm_status process(void *ctx, struct nm_batch *batch, struct nm_error *err)
{
    for (size_t i = 0; i < batch->n_items; i++) {
        struct nm_item *item = &batch->item[i];
        if (item->verdict == NM_UNSET && batch->step > 0)
            answer(ctx, batch, item, item->data);
        else if (item->verdict == NM_UNSET && ask(batch, item, item->data, err) != NM_OK)
            nm_item_dead(batch, item, err);
    }
    return NM_OK;
}

int main(int argc, char **argv)
{
    static const struct nm_input inputs[] = {{.stream = NM_RAW}};
    static const enum nm_stream outputs[] = {NM_RECORDS};
    static const struct nm_worker worker = {
        "enrich",
        "the job of the benchmarks",
        .ctx_size = sizeof(struct enrich_ids),
        .item_size = sizeof(struct asked),
        .inputs = inputs,
        .n_inputs = 1,
        .outputs = outputs,
        .n_outputs = 1,

        .process = process,
    };
    return nm_run(&worker, argc, argv);
}
