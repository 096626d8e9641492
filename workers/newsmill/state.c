/* state.c - what `related` and `publish` keep in Redis, see state.h. */
#include "state.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { REVISION_DIGITS = 16, MOST_POINTERS = 64, PREFIX = 128 };

enum nm_status nm_state_open(const struct nm_settings *settings, struct nm_state *out, struct nm_error *err)
{
    *out = (struct nm_state){.settings = settings, .problems = json_array()};
    if (!out->problems)
        return nm_fail(err, NM_FATAL, "out of memory");
    enum nm_status status = nm_redis_open(settings, &out->redis, NULL, err);
    return status == NM_RETRY ? NM_FATAL : status;
}

void nm_state_close(struct nm_state *state)
{
    nm_pipe_clear(&state->pipe);
    nm_redis_close(state->redis);
    json_decref(state->problems);
    *state = (struct nm_state){0};
}

void nm_state_problem(struct nm_state *state, const char *fmt, ...)
{
    char text[200];
    va_list args;

    if (json_array_size(state->problems) >= NM_PROBLEMS)
        return;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    (void)json_array_append_new(state->problems, json_string(text));
}

int64_t nm_state_number(const struct nm_reply *reply, int64_t min, int64_t max)
{
    int64_t value = nm_reply_int(reply, INT64_MIN);
    return value >= min && value <= max ? value : INT64_MIN;
}

/* ---- commands ---- */

static enum nm_status exec(struct nm_state *state, struct nm_error *err)
{
    enum nm_status status = nm_redis_exec(state->redis, &state->pipe, err);
    return status == NM_RETRY ? NM_FATAL : status;
}

/* The next argument: the key of `related` of that kind and raw name. */
static void related_key(struct nm_state *state, char kind, const void *name, size_t len)
{
    char key[PREFIX + 32];
    int n = snprintf(key, PREFIX, "%s:{rel}:%c:", state->settings->ns, kind); /* a namespace has at most 64 bytes */
    memcpy(key + n, name, len);
    nm_pipe_arg(&state->pipe, key, (size_t)n + len);
}

static size_t ask_fields(struct nm_state *state, char kind, const unsigned char name[NM_RAW_ID],
                         const char *const *fields, size_t n)
{
    size_t at = nm_pipe_command(&state->pipe, n + 2);
    nm_pipe_str(&state->pipe, "HMGET");
    related_key(state, kind, name, NM_RAW_ID);
    for (size_t i = 0; i < n; i++)
        nm_pipe_str(&state->pipe, fields[i]);
    return at;
}

/* At most one byte more than a worker stores there. */
static size_t ask_string(struct nm_state *state, char kind, const unsigned char name[NM_RAW_ID], long long most)
{
    size_t at = nm_pipe_command(&state->pipe, 4);
    nm_pipe_str(&state->pipe, "GETRANGE");
    related_key(state, kind, name, NM_RAW_ID);
    nm_pipe_int(&state->pipe, 0);
    nm_pipe_int(&state->pipe, most);
    return at;
}

/* ---- articles ---- */

static const char *const record_fields[] = {"a", "i", "r", "h", "rev", "hold"};
static const char *const member_fields[] = {"s", "t", "n", "q", "r", "gone"};
enum { N_RECORD = 6, N_MEMBER = 6 };
enum { VECTOR_BYTES = 1 + NM_ARTICLE_TERMS * NM_VECTOR_TERM_BYTES };

static void ask_article(struct nm_state *state, const char *id)
{
    unsigned char raw[NM_RAW_ID];
    char key[PREFIX + 64];

    nm_hex_read(id, NM_RAW_ID, raw);
    (void)snprintf(key, sizeof key, "%s:record:{%s}", state->settings->ns, id);
    (void)nm_pipe_command(&state->pipe, 2 + N_RECORD);
    nm_pipe_str(&state->pipe, "HMGET");
    nm_pipe_str(&state->pipe, key);
    for (size_t i = 0; i < N_RECORD; i++)
        nm_pipe_str(&state->pipe, record_fields[i]);
    (void)ask_fields(state, 'm', raw, member_fields, N_MEMBER);
    (void)ask_string(state, 'v', raw, VECTOR_BYTES);
}

static void take_vector(struct nm_state *state, const struct nm_reply *reply, struct nm_known *out)
{
    if (reply->type != NM_REPLY_STR || reply->len == 0)
        return;
    if (reply->str[0] != '1' || !nm_vector_read(reply->str + 1, reply->len - 1, NM_ARTICLE_TERMS, &out->vector))
        nm_state_problem(state, "the terms of %s (key v) have not the form that related writes", out->id);
}

static void take_member(struct nm_state *state, const struct nm_reply *fields, struct nm_known *out)
{
    const struct nm_reply *story = nm_reply_at(fields, 0), *norm = nm_reply_at(fields, 2);

    out->related_revision = nm_reply_int(nm_reply_at(fields, 4), -1);
    out->gone = nm_reply_at(fields, 5)->type == NM_REPLY_STR;
    if (out->gone || story->type != NM_REPLY_STR)
        return;
    out->at_s = nm_state_number(nm_reply_at(fields, 1), 0, NM_LAST_SECOND);
    out->quality = nm_state_number(nm_reply_at(fields, 3), -NM_QUALITY_MOST, NM_QUALITY_MOST);
    out->norm = norm->type == NM_REPLY_STR ? strtod(norm->str, NULL) : 0;
    out->linked =
        story->len == NM_RAW_ID && out->at_s >= 0 && out->quality != INT64_MIN && isfinite(out->norm) && out->norm > 0;
    if (out->linked)
        memcpy(out->story_name, story->str, NM_RAW_ID);
    else
        nm_state_problem(state, "what related keeps of %s (key m) has not the form that it writes", out->id);
}

/* "<16 digits of revision><what is kept>"; false: something else. */
static bool split_part(const struct nm_reply *part, int64_t *revision, const char **rest, size_t *len)
{
    struct nm_reply digits = *part;

    if (part->type != NM_REPLY_STR || part->len < REVISION_DIGITS)
        return false;
    digits.len = REVISION_DIGITS;
    *revision = nm_reply_int(&digits, -1);
    *rest = part->str + REVISION_DIGITS;
    *len = part->len - REVISION_DIGITS;
    return *revision >= 0;
}

/* related: ids of 32 digits each, then the story as an object. */
static json_t *story_of(const char *text, size_t len)
{
    const char *open = memchr(text, '{', len);
    return open ? json_loadb(open, len - (size_t)(open - text), 0, NULL) : NULL;
}

static void take_part(struct nm_state *state, enum nm_part part, const struct nm_reply *reply, struct nm_known *out)
{
    const char *rest = NULL;
    size_t len = 0;
    struct nm_reply number = *reply;

    out->part_revision[part] = -1;
    if (reply->type == NM_REPLY_NIL)
        return;
    bool good = split_part(reply, &out->part_revision[part], &rest, &len);
    out->part_empty[part] = good && len == 0;
    if (good && len > 0 && part == NM_PART_ARTICLE) {
        out->article = json_loadb(rest, len, 0, NULL);
        good = json_is_object(out->article);
    } else if (good && len > 0 && part == NM_PART_RELATED) {
        out->story = story_of(rest, len);
        good = json_is_object(out->story);
    } else if (good && len > 0 && part == NM_PART_HEAT) {
        number.str = rest;
        number.len = (uint32_t)(len < 32 ? len : 32); /* longer is no number */
        out->heat = nm_reply_int(&number, INT64_MIN);
        out->has_heat = good = out->heat != INT64_MIN;
    }
    if (!good)
        nm_state_problem(state, "the field %s of record:{%s} has not the form that publish writes", record_fields[part],
                         out->id);
}

void nm_known_clear(struct nm_known *known)
{
    json_decref(known->article);
    json_decref(known->story);
    *known = (struct nm_known){0};
}

enum nm_status nm_state_articles(struct nm_state *state, struct nm_known *known, size_t n, struct nm_error *err)
{
    nm_pipe_reset(&state->pipe);
    for (size_t i = 0; i < n; i++)
        ask_article(state, known[i].id);
    enum nm_status status = n ? exec(state, err) : NM_OK;
    for (size_t i = 0; status == NM_OK && i < n; i++) {
        const struct nm_reply *record = nm_pipe_reply(&state->pipe, 3 * i);
        for (enum nm_part part = NM_PART_ARTICLE; part < NM_N_PARTS; part++)
            take_part(state, part, nm_reply_at(record, part), &known[i]);
        known[i].revision = nm_reply_int(nm_reply_at(record, 4), -1);
        known[i].holds = known[i].revision < 0 && nm_reply_at(record, 5)->type == NM_REPLY_STR;
        take_member(state, nm_pipe_reply(&state->pipe, 3 * i + 1), &known[i]);
        take_vector(state, nm_pipe_reply(&state->pipe, 3 * i + 2), &known[i]);
    }
    return status;
}

/* ---- stories ---- */

static const char *const story_fields[] = {"into", "n", "last", "lead", "rest"};

static void take_story(struct nm_state *state, const struct nm_reply *fields, const struct nm_reply *centroid,
                       struct nm_story *out)
{
    const struct nm_reply *lead = nm_reply_at(fields, 3), *rest = nm_reply_at(fields, 4);
    char name[NM_ID_BYTES];

    out->n = nm_state_number(nm_reply_at(fields, 1), 1, NM_MEMBERS_MOST);
    out->last_s = nm_state_number(nm_reply_at(fields, 2), 0, NM_LAST_SECOND);
    out->has_lead = lead->type == NM_REPLY_STR && lead->len == NM_RAW_ID;
    out->moving = rest->type == NM_REPLY_STR && rest->len > 0;
    out->there = out->n > 0 && out->last_s >= 0;
    if (out->has_lead)
        memcpy(out->lead, lead->str, NM_RAW_ID);
    nm_hex_write(out->name, NM_RAW_ID, name);
    if (nm_reply_at(fields, 1)->type != NM_REPLY_NIL && !(out->there && out->has_lead))
        nm_state_problem(state, "what related keeps of story %s (key s) has not the form that it writes", name);
    if (centroid->type == NM_REPLY_STR &&
        !nm_vector_read(centroid->str, centroid->len, NM_VECTOR_TERMS, &out->centroid))
        nm_state_problem(state, "the terms of story %s (key c) have not the form that related writes", name);
}

enum nm_status nm_state_story(struct nm_state *state, const unsigned char name[NM_RAW_ID], struct nm_story *out,
                              struct nm_error *err)
{
    *out = (struct nm_story){0};
    memcpy(out->name, name, NM_RAW_ID);
    for (int i = 0; i < MOST_POINTERS; i++) {
        nm_pipe_reset(&state->pipe);
        (void)ask_fields(state, 's', out->name, story_fields, 5);
        (void)ask_string(state, 'c', out->name, NM_VECTOR_TERMS * NM_VECTOR_TERM_BYTES);
        enum nm_status status = exec(state, err);
        if (status != NM_OK)
            return status;
        const struct nm_reply *fields = nm_pipe_reply(&state->pipe, 0), *into = nm_reply_at(fields, 0);
        if (into->type != NM_REPLY_STR || into->len != NM_RAW_ID) {
            take_story(state, fields, nm_pipe_reply(&state->pipe, 1), out);
            return NM_OK;
        }
        memcpy(out->name, into->str, NM_RAW_ID);
    }
    nm_state_problem(state, "a story points to another one more than %d times", MOST_POINTERS);
    return NM_OK;
}

enum nm_status nm_state_order(struct nm_state *state, const struct nm_story *story, const char *id, int64_t *place,
                              char second[NM_ID_BYTES], struct nm_error *err)
{
    unsigned char raw[NM_RAW_ID];

    nm_hex_read(id, NM_RAW_ID, raw);
    nm_pipe_reset(&state->pipe);
    (void)nm_pipe_command(&state->pipe, 3);
    nm_pipe_str(&state->pipe, "ZREVRANK");
    related_key(state, 'z', story->name, NM_RAW_ID);
    nm_pipe_arg(&state->pipe, raw, NM_RAW_ID);
    (void)nm_pipe_command(&state->pipe, 4);
    nm_pipe_str(&state->pipe, "ZREVRANGE");
    related_key(state, 'z', story->name, NM_RAW_ID);
    nm_pipe_int(&state->pipe, 1);
    nm_pipe_int(&state->pipe, 1);
    enum nm_status status = exec(state, err);
    if (status != NM_OK)
        return status;
    const struct nm_reply *next = nm_reply_at(nm_pipe_reply(&state->pipe, 1), 0);
    *place = nm_reply_int(nm_pipe_reply(&state->pipe, 0), -1);
    second[0] = '\0';
    if (next->type == NM_REPLY_STR && next->len == NM_RAW_ID)
        nm_hex_write((const unsigned char *)next->str, NM_RAW_ID, second);
    return NM_OK;
}

enum nm_status nm_state_links(struct nm_state *state, const char *id, struct nm_stored_link *out, size_t *n,
                              struct nm_error *err)
{
    unsigned char raw[NM_RAW_ID];

    nm_hex_read(id, NM_RAW_ID, raw);
    nm_pipe_reset(&state->pipe);
    (void)ask_string(state, 'l', raw, NM_LINKS * NM_LINK_BYTES);
    enum nm_status status = exec(state, err);
    if (status != NM_OK)
        return status;
    const struct nm_reply *links = nm_pipe_reply(&state->pipe, 0);
    *n = 0;
    if (links->type != NM_REPLY_STR)
        return NM_OK;
    if (links->len % NM_LINK_BYTES || links->len > NM_LINKS * NM_LINK_BYTES) {
        nm_state_problem(state, "the links of %s (key l) have not the form that related writes", id);
        return NM_OK;
    }
    for (size_t at = 0; at < links->len; at += NM_LINK_BYTES, (*n)++) {
        const unsigned char *bytes = (const unsigned char *)links->str + at;
        nm_hex_write(bytes, NM_RAW_ID, out[*n].id);
        out[*n].score = nm_float_read(bytes + NM_RAW_ID);
        out[*n].score = isfinite(out[*n].score) ? out[*n].score : 0;
    }
    return NM_OK;
}

/* ---- neighbours ---- */

static int compare_ids(const void *a, const void *b)
{
    return memcmp(((const struct nm_neighbour *)a)->id, ((const struct nm_neighbour *)b)->id, NM_RAW_ID);
}

static int compare_shared(const void *a, const void *b)
{
    const struct nm_neighbour *left = a, *right = b;
    if (left->shared > right->shared || left->shared < right->shared)
        return left->shared > right->shared ? -1 : 1;
    return compare_ids(a, b);
}

/* One row of each id, with the sum of the weights. */
static size_t join_rows(struct nm_neighbour *row, size_t n)
{
    size_t kept = 0;

    qsort(row, n, sizeof *row, compare_ids);
    for (size_t i = 0; i < n; i++) {
        if (kept && compare_ids(&row[kept - 1], &row[i]) == 0)
            row[kept - 1].shared += row[i].shared;
        else
            row[kept++] = row[i];
    }
    qsort(row, kept, sizeof *row, compare_shared);
    return kept;
}

static void ask_postings(struct nm_state *state, const struct nm_vector *vector, size_t n, size_t most)
{
    nm_pipe_reset(&state->pipe);
    for (size_t i = 0; i < n; i++) {
        (void)nm_pipe_command(&state->pipe, 4);
        nm_pipe_str(&state->pipe, "ZREVRANGE");
        related_key(state, 'p', vector->term[i].key, NM_TERM_KEY_BYTES);
        nm_pipe_int(&state->pipe, 0);
        nm_pipe_int(&state->pipe, (long long)most - 1);
    }
}

/* A row for each id under one term; returns how many. */
static size_t take_postings(const struct nm_reply *ids, const unsigned char own[NM_RAW_ID], double weight, size_t most,
                            struct nm_neighbour *row)
{
    size_t n = 0;
    for (size_t i = 0; ids->type == NM_REPLY_ARRAY && i < ids->len && i < most; i++) {
        const struct nm_reply *id = nm_reply_at(ids, i);
        if (id->type != NM_REPLY_STR || id->len != NM_RAW_ID || memcmp(id->str, own, NM_RAW_ID) == 0)
            continue;
        memcpy(row[n].id, id->str, NM_RAW_ID);
        row[n++].shared = weight;
    }
    return n;
}

enum nm_status nm_state_neighbours(struct nm_state *state, const struct nm_known *known,
                                   const struct nm_linking *linking, struct nm_neighbour **out, size_t *n,
                                   struct nm_error *err)
{
    const struct nm_vector *vector = &known->vector;
    size_t terms = vector->n < (size_t)linking->query_terms ? vector->n : (size_t)linking->query_terms;
    size_t most = (size_t)linking->postings, found = 0;
    unsigned char own[NM_RAW_ID];
    struct nm_neighbour *row = calloc(terms * most + 1, sizeof *row);

    if (!row)
        return nm_fail(err, NM_FATAL, "out of memory");
    nm_hex_read(known->id, NM_RAW_ID, own);
    ask_postings(state, vector, terms, most);
    enum nm_status status = terms ? exec(state, err) : NM_OK;
    for (size_t i = 0; status == NM_OK && i < terms; i++)
        found += take_postings(nm_pipe_reply(&state->pipe, i), own, vector->term[i].weight, most, row + found);
    if (status != NM_OK) {
        free(row);
        return status;
    }
    *n = join_rows(row, found);
    *out = row;
    return NM_OK;
}
