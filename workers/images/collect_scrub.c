/* collect_scrub.c - the scrubber: objects and thumbnails are read back and hashed, a part of them each time.
 *
 * Hashes are spread evenly, so a part of all objects is a part of the range of their names, and the place where the
 * next run begins is one hash, in img:scrub. First everything of this part that Redis has is looked for in the store,
 * then what lies there is hashed, page by page, each noted when it is done: a run that was killed is continued.
 *
 * What is wrong goes to quarantine first and is given up then: the other way round a worker could take it for a dedup
 * hit. Who put it anew just in between has a name without a file; so at the end what was given up is looked at again,
 * and a worker that misses a file says so himself. */
#include "collect_internal.h"

#include "newsmill/digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { AGAIN = 256, PAGE = 50 };

struct part {
    struct im_run *run;
    uint64_t start, span; /* of the first 64 bits of the hash; span 0: all of them */
    bool all, over, wrapped;
    char again[AGAIN][IM_SHA_BYTES]; /* given up by this run */
    size_t n_again;
};

static uint64_t position(const char *sha)
{
    uint64_t at = 0;
    unsigned char raw[8];
    nm_hex_read(sha, sizeof raw, raw);
    for (size_t i = 0; i < sizeof raw; i++)
        at = at << 8 | raw[i];
    return at;
}

static bool is_inside(const struct part *part, const char *sha)
{
    return part->all || position(sha) - part->start < part->span; /* around the end, too */
}

/* ---- where it goes on ---- */

static enum nm_status read_cursor(struct part *part, char sha[IM_SHA_BYTES], struct nm_error *err)
{
    char key[IM_KEY];
    struct im_run *run = part->run;
    im_run_plain_key(run, "scrub", key);
    nm_pipe_reset(&run->pipe);
    IM_ADD(run, "GET", key);
    enum nm_status status = im_run_exec(run, err);
    if (status != NM_OK)
        return status;
    const struct nm_reply *reply = nm_pipe_reply(&run->pipe, 0);
    memset(sha, '0', IM_SHA_BYTES - 1);
    sha[IM_SHA_BYTES - 1] = '\0';
    if (reply->type == NM_REPLY_STR && im_is_hash(reply->str, reply->len))
        memcpy(sha, reply->str, IM_SHA_BYTES);
    part->start = position(sha);
    return NM_OK;
}

static enum nm_status write_cursor(struct part *part, const char *sha, struct nm_error *err)
{
    char key[IM_KEY];
    struct im_run *run = part->run;
    if (run->collect->dry_run)
        return NM_OK;
    im_run_plain_key(run, "scrub", key);
    nm_pipe_reset(&run->pipe);
    IM_ADD(run, "SET", key, sha);
    return im_run_exec(run, err);
}

static enum nm_status write_end(struct part *part, struct nm_error *err)
{
    char sha[IM_SHA_BYTES];
    (void)snprintf(sha, sizeof sha, "%016" PRIx64 "%048d", part->start + part->span, 0);
    return write_cursor(part, sha, err);
}

/* ---- given up ---- */

static enum nm_status give_up(struct part *part, enum im_deed deed, const char *sha, const char *name, int64_t bytes,
                              struct nm_error *err)
{
    struct im_run *run = part->run;
    struct im_answer answer;
    if (!run->collect->dry_run) {
        enum nm_status status = im_run_steps(run, im_lost, sha, &answer, err);
        if (status != NM_OK)
            return status;
        if (part->n_again < AGAIN)
            memcpy(part->again[part->n_again++], sha, IM_SHA_BYTES);
    }
    im_run_did(run, deed, name, bytes, -1);
    return NM_OK;
}

/* A file that is larger than any of ours cannot be copied, and is worth nothing. */
static enum nm_status put_aside(struct part *part, const char *name, int64_t bytes, struct nm_error *err)
{
    struct im_store *store = part->run->collect->store;
    bool moved;
    if (part->run->collect->dry_run)
        return NM_OK;
    enum im_reason reason =
        bytes > IM_OBJECT_BYTES ? im_store_remove(store, name, err) : im_store_quarantine(store, name, &moved, err);
    return reason == IM_NONE ? NM_OK : NM_RETRY;
}

/* ---- what Redis has and the store has not ---- */

struct known { /* of an object */
    int64_t stored_ms;
    bool deleting, has_type;
    struct im_thumb_file thumb[IM_THUMBS];
    size_t n_thumbs;
};

static enum nm_status ask_known(struct im_run *run, const char *sha, struct known *out, struct nm_error *err)
{
    char key[IM_KEY];
    im_run_key(run, "o:", sha, key);
    nm_pipe_reset(&run->pipe);
    IM_ADD(run, "HMGET", key, "storedAt", "deleting", "type", "thumbs");
    enum nm_status status = im_run_exec(run, err);
    if (status != NM_OK)
        return status;
    const struct nm_reply *fields = nm_pipe_reply(&run->pipe, 0), *thumbs = nm_reply_at(fields, 3);
    *out = (struct known){.stored_ms = nm_reply_int(nm_reply_at(fields, 0), -1),
                          .deleting = nm_reply_at(fields, 1)->type != NM_REPLY_NIL,
                          .has_type = nm_reply_at(fields, 2)->len > 0};
    (void)im_thumbs_of(thumbs, out->thumb, &out->n_thumbs);
    return NM_OK;
}

/* Names of objects stand behind those of thumbnails. */
static enum nm_status find_object(struct im_run *run, const char *sha, bool *there, struct nm_error *err)
{
    char name[IM_FILES][IM_NAME_BYTES];
    struct im_stat stat;
    size_t n = 0;
    enum nm_status status = im_run_names(run, sha, name, &n, err);
    *there = false;
    for (size_t i = 0; i < n && status == NM_OK && !*there; i++) {
        if (name[i][0] != IM_OBJECTS)
            continue;
        if (im_store_stat(run->collect->store, name[i], &stat, err) != IM_NONE)
            return NM_RETRY;
        *there = stat.exists;
    }
    return status;
}

/* gc may remove it just now, and a worker may put it again: only what was the same object before and after counts. */
static enum nm_status look_for(struct part *part, const char *sha, struct nm_error *err)
{
    struct known before, after;
    bool there = false;
    enum nm_status status = ask_known(part->run, sha, &before, err);
    if (status != NM_OK || before.stored_ms < 0 || before.deleting || !before.has_type)
        return status;
    status = find_object(part->run, sha, &there, err);
    if (status != NM_OK || there)
        return status;
    status = ask_known(part->run, sha, &after, err);
    if (status != NM_OK || after.deleting || after.stored_ms != before.stored_ms)
        return status;
    return give_up(part, IM_DEED_MISSING, sha, sha, 0, err);
}

static enum nm_status look_for_all(struct part *part, struct nm_error *err)
{
    struct im_run *run = part->run;
    struct im_place place = {.skip = 0};
    enum nm_status status = NM_OK;
    while (status == NM_OK && !place.over && !im_run_stopped(run, "objects in Redis")) {
        status = im_rows_next(run, &place, err);
        for (size_t i = 0; status == NM_OK && i < run->n_rows; i++) {
            run->out->objects++;
            run->out->object_bytes += run->row[i].all_bytes;
            if (run->row[i].stored_ms >= 0 && is_inside(part, run->row[i].sha))
                status = look_for(part, run->row[i].sha, err);
        }
    }
    return status;
}

/* ---- what lies in the store ---- */

enum found { FOUND_GOOD, FOUND_BAD, FOUND_NOTHING };

static enum nm_status hash(struct part *part, const char *name, const uint8_t want[IM_SHA256_BYTES], enum found *out,
                           int64_t *bytes, struct nm_error *err)
{
    struct im_run *run = part->run;
    struct im_content content;
    struct im_stat stat = {0};
    int fd = -1;
    if (im_store_open(run->collect->store, name, &fd, &stat, err) != IM_NONE)
        return NM_RETRY;
    *bytes = stat.bytes;
    *out = fd < 0 ? FOUND_NOTHING : FOUND_BAD;
    if (fd < 0)
        return NM_OK;
    bool large = stat.bytes > IM_OBJECT_BYTES;
    enum im_reason reason = large ? IM_NONE : im_content_of(fd, &content, err);
    (void)close(fd);
    if (reason != IM_NONE)
        return NM_RETRY;
    run->out->hashed++;
    run->out->hashed_bytes += stat.bytes;
    if (!large && memcmp(content.sha256, want, IM_SHA256_BYTES) == 0)
        *out = FOUND_GOOD;
    return NM_OK;
}

/* The first that is wrong is enough: the object is fetched again, and its thumbnails are made anew. */
static enum nm_status hash_thumbs(struct part *part, const char *sha, const struct im_name *object,
                                  const struct known *known, struct nm_error *err)
{
    enum nm_status status = NM_OK;
    enum found found = FOUND_GOOD;
    for (size_t i = 0; i < known->n_thumbs && status == NM_OK && found == FOUND_GOOD; i++) {
        struct im_name parts = *object;
        uint8_t want[IM_SHA256_BYTES];
        char name[IM_NAME_BYTES];
        int64_t bytes = 0;
        parts.edge = known->thumb[i].edge;
        parts.type = known->thumb[i].webp ? IM_WEBP : IM_JPEG;
        im_name_write(&parts, name);
        nm_hex_read(known->thumb[i].sha256, sizeof want, want);
        status = hash(part, name, want, &found, &bytes, err);
        if (status == NM_OK && found == FOUND_BAD)
            status = put_aside(part, name, bytes, err);
        if (status == NM_OK && found != FOUND_GOOD)
            status = give_up(part, found == FOUND_BAD ? IM_DEED_DAMAGED : IM_DEED_MISSING, sha, name, bytes, err);
    }
    return status;
}

static enum nm_status hash_object(struct part *part, const struct im_entry *entry, const struct im_name *name,
                                  struct nm_error *err)
{
    struct known known;
    char sha[IM_SHA_BYTES];
    enum found found = FOUND_GOOD;
    int64_t bytes = 0;
    im_entry_sha(name, sha);
    enum nm_status status = ask_known(part->run, sha, &known, err);
    if (status != NM_OK || known.deleting)
        return status;
    status = hash(part, entry->name, name->sha256, &found, &bytes, err);
    if (status == NM_OK && found == FOUND_BAD)
        status = put_aside(part, entry->name, bytes, err);
    if (status == NM_OK && found == FOUND_BAD)
        status = give_up(part, IM_DEED_DAMAGED, sha, entry->name, bytes, err);
    if (status != NM_OK || found != FOUND_GOOD || known.stored_ms < 0)
        return status;
    return hash_thumbs(part, sha, name, &known, err);
}

/* Objects of the page that belong to the part; part->over behind the last. */
static enum nm_status hash_page(struct part *part, const struct im_page *page, struct nm_error *err)
{
    enum nm_status status = NM_OK;
    char sha[IM_SHA_BYTES] = "";
    struct nm_error why;
    part->run->out->foreign += (int64_t)page->n_foreign;
    for (size_t i = 0; i < page->n && status == NM_OK && !part->over; i++) {
        struct im_name name;
        if (!im_name_read(page->entry[i].name, strlen(page->entry[i].name), &name))
            continue;
        im_entry_sha(&name, sha);
        part->over = !is_inside(part, sha) || (part->wrapped && position(sha) >= part->start);
        if (part->over)
            break;
        part->run->out->files++;
        status = hash_object(part, &page->entry[i], &name, &why);
        if (status == NM_RETRY && nm_redis_alive(part->run->redis))
            status = im_run_failed(part->run, &why, err); /* the store */
        else if (status != NM_OK)
            return nm_fail(err, status, "%s", why.msg);
    }
    return status == NM_OK && sha[0] && !part->over ? write_cursor(part, sha, err) : status;
}

static enum nm_status hash_all(struct part *part, const char *from, struct nm_error *err)
{
    struct im_run *run = part->run;
    struct im_page page = {.entry = run->entry, .max = PAGE};
    enum nm_status status = NM_OK;
    (void)snprintf(page.cursor, sizeof page.cursor, "o/%.2s/%.2s/%s", from, from + 2, from);
    while (status == NM_OK && !part->over && !im_run_stopped(run, "files in the store")) {
        if (im_store_list(run->collect->store, IM_OBJECTS, &page, err) != IM_NONE)
            return NM_RETRY;
        status = hash_page(part, &page, err);
        if (page.more || part->over)
            continue;
        part->over = part->wrapped;
        part->wrapped = true;
        page.cursor[0] = '\0';
    }
    if (status == NM_OK && !run->out->stopped)
        status = write_end(part, err);
    return status;
}

static enum nm_status scrub(struct part *part, struct nm_error *err)
{
    char from[IM_SHA_BYTES];
    enum nm_status status = read_cursor(part, from, err);
    if (status == NM_OK)
        status = look_for_all(part, err);
    if (status == NM_OK && !part->run->out->stopped)
        status = hash_all(part, from, err);
    for (size_t i = 0; status == NM_OK && i < part->n_again; i++)
        status = look_for(part, part->again[i], err);
    return status;
}

enum nm_status im_scrub(const struct im_collect *collect, double percent, struct im_collected *out,
                        struct nm_error *err)
{
    struct im_run run;
    struct part *part = calloc(1, sizeof *part);
    if (!part)
        return nm_fail(err, NM_FATAL, "out of memory");
    enum nm_status status = im_run_open(&run, collect, out, err);
    part->run = &run;
    part->all = percent >= 100;
    part->span = part->all ? 0 : (uint64_t)(percent / 100 * 18446744073709551616.0);
    if (status == NM_OK)
        status = scrub(part, err);
    im_run_clear(&run);
    free(part);
    return status;
}
