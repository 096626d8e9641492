/* collect_run.c - what every run of collect.h does: pages of the index, questions to Redis, files that go. */
#include "collect_internal.h"

#include "newsmill/clock.h"
#include "newsmill/digest.h"

#include <inttypes.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

enum { FAILURES = 5, STEPS = 1 << 20, PIXELS_A_BYTE = 6 /* of a thumbnail, about */ };
#define LAST_MS INT64_C(253402300799999) /* the end of the year 9999 */

static const char *const words[IM_N_DEEDS] = {
    [IM_DEED_ADOPT] = "adopt",     [IM_DEED_ORPHAN] = "orphan",   [IM_DEED_MARK] = "mark",
    [IM_DEED_UNUSED] = "unused",   [IM_DEED_EVICT] = "evict",     [IM_DEED_REMOVE] = "remove",
    [IM_DEED_DAMAGED] = "damaged", [IM_DEED_MISSING] = "missing",
};

const char *im_deed_word(enum im_deed deed)
{
    return words[deed];
}

enum nm_status im_run_open(struct im_run *run, const struct im_collect *collect, struct im_collected *out,
                           struct nm_error *err)
{
    unsigned char raw[(IM_TOKEN_BYTES - 1) / 2];
    *out = (struct im_collected){0};
    *run = (struct im_run){.collect = collect, .out = out, .redis = collect->redis, .state = *collect->state};
    run->state.dry = collect->dry_run;
    run->row = calloc(IM_ROWS, sizeof *run->row);
    run->entry = calloc(IM_FILES_PAGE, sizeof *run->entry);
    if (!run->row || !run->entry)
        return nm_fail(err, NM_FATAL, "out of memory");
    if (RAND_bytes(raw, sizeof raw) != 1)
        return nm_fail(err, NM_FATAL, "libcrypto has no random numbers");
    nm_hex_write(raw, sizeof raw, run->token);
    for (int i = 0; i < collect->n_thumbs; i++)
        im_run_edge(run, collect->thumb[i].edge, collect->thumb[i].format == IM_THUMB_WEBP ? IM_WEBP : IM_JPEG);
    return im_run_clock(run, err);
}

void im_run_clear(struct im_run *run)
{
    nm_pipe_clear(&run->pipe);
    free(run->row);
    free(run->entry);
}

bool im_run_stopped(struct im_run *run, const char *what)
{
    const struct im_collect *collect = run->collect;
    if (collect->tell)
        collect->tell(collect->ctx, what, run->out);
    if (collect->stopped && collect->stopped(collect->ctx))
        run->out->stopped = true;
    return run->out->stopped;
}

void im_run_did(struct im_run *run, enum im_deed deed, const char *name, int64_t bytes, int64_t since_ms)
{
    run->out->n[deed]++;
    run->out->bytes[deed] += bytes;
    if (run->collect->deed)
        run->collect->deed(run->collect->ctx, deed, name, bytes, since_ms);
}

void im_run_edge(struct im_run *run, int32_t edge, enum im_type type)
{
    for (size_t i = 0; i < run->n_edges; i++)
        if (run->edge[i].edge == edge && run->edge[i].type == type)
            return;
    if (run->n_edges < IM_EDGES)
        run->edge[run->n_edges++] = (struct im_edge){edge, type};
}

/* ---- Redis ---- */

enum nm_status im_run_exec(struct im_run *run, struct nm_error *err)
{
    return nm_redis_exec(run->redis, &run->pipe, err);
}

enum nm_status im_run_answer(struct im_run *run, size_t i, struct im_answer *out, struct nm_error *err)
{
    if (!im_answer_read(nm_pipe_reply(&run->pipe, i), out))
        return nm_fail(err, NM_FATAL, "a script of images gave a reply that this version does not know");
    return NM_OK;
}

enum nm_status im_run_ask(struct im_run *run, struct im_answer *out, struct nm_error *err)
{
    enum nm_status status = im_run_exec(run, err);
    return status == NM_OK ? im_run_answer(run, 0, out, err) : status;
}

enum nm_status im_run_steps(struct im_run *run, im_step *step, const char *sha, struct im_answer *out,
                            struct nm_error *err)
{
    enum nm_status status = NM_OK;
    struct im_answer answer = {.how = IM_HOW_more};
    for (int i = 0; i < STEPS && status == NM_OK && answer.how == IM_HOW_more; i++) {
        nm_pipe_reset(&run->pipe);
        (void)step(&run->state, &run->pipe, sha);
        status = im_run_ask(run, &answer, err);
    }
    if (status == NM_OK)
        *out = answer;
    return status;
}

void im_run_key(const struct im_run *run, const char *kind, const char *name, char out[IM_KEY])
{
    (void)snprintf(out, IM_KEY, "%simg:%s{%s}", run->state.prefix, kind, name);
}

void im_run_plain_key(const struct im_run *run, const char *name, char out[IM_KEY])
{
    (void)snprintf(out, IM_KEY, "%.*simg:%s", (int)sizeof run->state.prefix, run->state.prefix, name);
}

void im_run_add(struct im_run *run, const char *const *args)
{
    size_t n = 0;
    while (args[n])
        n++;
    (void)nm_pipe_command(&run->pipe, n);
    for (size_t i = 0; i < n; i++)
        nm_pipe_str(&run->pipe, args[i]);
}

enum nm_status im_run_clock(struct im_run *run, struct nm_error *err)
{
    run->now_ms = run->state.now_ms;
    if (run->now_ms >= 0)
        return NM_OK;
    nm_pipe_reset(&run->pipe);
    (void)nm_pipe_command(&run->pipe, 1);
    nm_pipe_str(&run->pipe, "TIME");
    enum nm_status status = im_run_exec(run, err);
    if (status != NM_OK)
        return status;
    const struct nm_reply *time = nm_pipe_reply(&run->pipe, 0);
    int64_t s = nm_reply_int(nm_reply_at(time, 0), -1), us = nm_reply_int(nm_reply_at(time, 1), 0);
    if (s < 0 || s > LAST_MS / 1000)
        return nm_fail(err, NM_FATAL, "Redis does not say what time it is");
    run->now_ms = s * 1000 + us / 1000;
    return NM_OK;
}

/* ---- the index ---- */

static bool is_sha(const struct nm_reply *text)
{
    return text->type == NM_REPLY_STR && im_is_hash(text->str, text->len);
}

static int64_t time_of(const struct nm_reply *reply)
{
    int64_t ms = nm_reply_int(reply, -1);
    return ms >= 0 && ms <= LAST_MS ? ms : -1;
}

void im_rows_ask(struct im_run *run, const char *sha)
{
    char key[IM_KEY];
    im_run_key(run, "o:", sha, key);
    (void)nm_pipe_command(&run->pipe, 7);
    nm_pipe_str(&run->pipe, "HMGET");
    nm_pipe_str(&run->pipe, key);
    nm_pipe_str(&run->pipe, "storedAt");
    nm_pipe_str(&run->pipe, "dying");
    nm_pipe_str(&run->pipe, "deleting");
    nm_pipe_str(&run->pipe, "bytes");
    nm_pipe_str(&run->pipe, "thumbs");
}

bool im_thumbs_of(const struct nm_reply *text, struct im_thumb_file file[IM_THUMBS], size_t *n)
{
    *n = 0;
    return text->type == NM_REPLY_STR && strlen(text->str) == text->len && im_thumbs_text_read(text->str, file, n);
}

bool im_row_of(const struct nm_reply *fields, struct im_row *row)
{
    const struct nm_reply *thumbs = nm_reply_at(fields, 4);
    struct im_thumb_file file[IM_THUMBS];
    size_t n = 0;
    int64_t bytes = nm_reply_int(nm_reply_at(fields, 3), 0);
    row->stored_ms = time_of(nm_reply_at(fields, 0));
    row->dying_ms = time_of(nm_reply_at(fields, 1));
    row->deleting_ms = time_of(nm_reply_at(fields, 2));
    row->all_bytes = bytes > 0 && bytes <= IM_OBJECT_BYTES ? bytes : 0;
    (void)im_thumbs_of(thumbs, file, &n);
    for (size_t i = 0; i < n; i++)
        row->all_bytes += (int64_t)file[i].width * file[i].height / PIXELS_A_BYTE;
    row->n_files = 1 + (int64_t)n;
    return row->stored_ms >= 0;
}

static void ask_page(struct im_run *run, const struct im_place *place)
{
    char skip[24], most[24], key[IM_KEY];
    (void)snprintf(skip, sizeof skip, "%" PRId64, place->skip);
    (void)snprintf(most, sizeof most, "%d", IM_ROWS);
    im_run_plain_key(run, "lru", key);
    nm_pipe_reset(&run->pipe);
    IM_ADD(run, "ZRANGEBYSCORE", key, place->score[0] ? place->score : "-inf", "+inf", "WITHSCORES", "LIMIT", skip,
           most);
}

/* Members and scores of the page; the place moves behind it. */
static void take_page(struct im_run *run, struct im_place *place, const struct nm_reply *page)
{
    size_t n = page->type == NM_REPLY_ARRAY ? page->len / 2 : 0;
    place->over = n < IM_ROWS;
    run->n_rows = 0;
    for (size_t i = 0; i < n && i < IM_ROWS; i++) {
        const struct nm_reply *sha = nm_reply_at(page, 2 * i), *score = nm_reply_at(page, 2 * i + 1);
        if (score->type != NM_REPLY_STR || score->len >= IM_SCORE_BYTES)
            continue;
        if (strcmp(score->str, place->score) != 0) {
            memcpy(place->score, score->str, score->len + 1);
            place->skip = 0;
        }
        place->skip++;
        if (!is_sha(sha)) {
            run->out->foreign++;
            continue;
        }
        struct im_row *row = &run->row[run->n_rows++];
        *row = (struct im_row){.used_ms = time_of(score)};
        memcpy(row->sha, sha->str, IM_SHA_BYTES);
        memcpy(row->score, score->str, score->len + 1);
    }
}

enum nm_status im_rows_next(struct im_run *run, struct im_place *place, struct nm_error *err)
{
    ask_page(run, place);
    enum nm_status status = im_run_exec(run, err);
    if (status != NM_OK)
        return status;
    take_page(run, place, nm_pipe_reply(&run->pipe, 0));
    nm_pipe_reset(&run->pipe);
    for (size_t i = 0; i < run->n_rows; i++)
        im_rows_ask(run, run->row[i].sha);
    status = run->n_rows ? im_run_exec(run, err) : NM_OK;
    for (size_t i = 0; status == NM_OK && i < run->n_rows; i++)
        (void)im_row_of(nm_pipe_reply(&run->pipe, i), &run->row[i]);
    return status;
}

void im_rows_gone(struct im_place *place, const struct im_row *row)
{
    if (strcmp(place->score, row->score) == 0 && place->skip > 0)
        place->skip--;
}

/* ---- files ---- */

void im_entry_sha(const struct im_name *name, char out[IM_SHA_BYTES])
{
    nm_hex_write(name->sha256, IM_SHA256_BYTES, out);
}

enum nm_status im_run_failed(struct im_run *run, const struct nm_error *why, struct nm_error *err)
{
    if (++run->out->failed >= FAILURES || run->strict)
        return nm_fail(err, NM_RETRY, "%s", why->msg);
    return NM_OK;
}

static void add_name(char (*name)[IM_NAME_BYTES], size_t *n, const char *sha, int32_t edge, enum im_type type)
{
    struct im_name parts = {.type = type, .edge = edge};
    nm_hex_read(sha, IM_SHA256_BYTES, parts.sha256);
    im_name_write(&parts, name[(*n)++]);
}

/* What Redis says of the type: by its name or by its extension; else every type that may be stored. */
static void add_objects(char (*name)[IM_NAME_BYTES], size_t *n, const char *sha, const struct nm_reply *type)
{
    static const enum im_type types[] = {IM_JPEG, IM_PNG, IM_GIF, IM_WEBP};
    enum { N = sizeof types / sizeof *types };
    for (size_t i = 0; i < N; i++)
        if (strcmp(type->str, im_type_name(types[i])) == 0 || strcmp(type->str, im_type_ext(types[i])) == 0) {
            add_name(name, n, sha, 0, types[i]);
            return;
        }
    for (size_t i = 0; i < N; i++)
        add_name(name, n, sha, 0, types[i]);
}

enum nm_status im_run_names(struct im_run *run, const char *sha, char (*name)[IM_NAME_BYTES], size_t *n,
                            struct nm_error *err)
{
    char key[IM_KEY];
    struct im_thumb_file file[IM_THUMBS];
    size_t n_listed = 0;
    im_run_key(run, "o:", sha, key);
    nm_pipe_reset(&run->pipe);
    IM_ADD(run, "HMGET", key, "type", "thumbs");
    enum nm_status status = im_run_exec(run, err);
    if (status != NM_OK)
        return status;
    static const struct nm_reply none = {.str = "", .type = NM_REPLY_NIL};
    const struct nm_reply *fields = nm_pipe_reply(&run->pipe, 0), *type = nm_reply_at(fields, 0);
    const struct nm_reply *thumbs = nm_reply_at(fields, 1);
    *n = 0;
    (void)im_thumbs_of(thumbs, file, &n_listed);
    for (size_t i = 0; i < n_listed; i++)
        add_name(name, n, sha, file[i].edge, file[i].webp ? IM_WEBP : IM_JPEG);
    for (size_t i = 0; n_listed == 0 && i < run->n_edges; i++)
        add_name(name, n, sha, run->edge[i].edge, run->edge[i].type);
    add_objects(name, n, sha, type->type == NM_REPLY_STR ? type : &none);
    return NM_OK;
}

enum nm_status im_run_remove(struct im_run *run, const char *sha, int64_t started_ms, bool *done, struct nm_error *err)
{
    char name[IM_FILES][IM_NAME_BYTES];
    struct nm_error why = {0};
    size_t n = 0;
    *done = false;
    enum nm_status status = im_run_names(run, sha, name, &n, err);
    if (status != NM_OK)
        return status;
    for (size_t i = 0; i < n; i++) {
        if (nm_boottime_ms() - started_ms >= run->state.options.deleting_ms / 2)
            return NM_OK; /* too late: the next gc takes it over */
        if (im_store_remove(run->collect->store, name[i], &why) != IM_NONE)
            return im_run_failed(run, &why, err);
    }
    *done = true;
    return NM_OK;
}
