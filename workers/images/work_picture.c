/* work_picture.c - from a body to an object in the store: the decoder's job, then the store's.
 *
 * A body in memory goes to the decoder and comes back as memory (decoder_files.c); the one file is that of the store. A
 * larger one is a file, and the decoder writes into files that it may still hold when its answer was taken: so what is
 * kept is copied from them by the store's thread. Either way it is hashed from our copy and put under that hash:
 * thumbnails first, the object last. */
#include "work_internal.h"

#include "images_facet.h"
#include "output.h"

#include "newsmill/digest.h"
#include "newsmill/fault.h"
#include "newsmill/log.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- files ---- */

static void close_output(struct im_output *output)
{
    im_temp_close(&output->made);
    im_temp_close(&output->kept);
}

void im_picture_waits(struct im_task *task)
{
    if (task->is_made)
        task->work->n_made--;
    task->is_made = false;
}

static void close_outputs(struct im_task *task)
{
    close_output(&task->copy);
    for (size_t i = 0; i < IM_THUMBS; i++)
        close_output(&task->thumb[i]);
    free(task->decoded.made);
    task->decoded.made = NULL;
    im_picture_waits(task);
}

void im_picture_clear(struct im_task *task)
{
    if (task->input_fd >= 0)
        (void)close(task->input_fd);
    task->input_fd = -1;
    im_temp_close(&task->spool);
    close_outputs(task);
}

/* ---- the decoder ---- */

/* Whether what is made of it fits into memory: noise at the best quality takes less than four bytes a pixel. */
static bool stays_small(const struct im_task *task)
{
    const struct im_settings *settings = task->work->config.settings;
    const struct im_facts *facts = &task->facts;
    int64_t most = (int64_t)facts->end + IM_STRIP_MORE;
    for (int i = 0; i < settings->n_thumbs; i++) {
        int32_t width, height;
        if (im_thumb_size(facts->width, facts->height, settings->thumb[i].edge, &width, &height))
            most += (int64_t)width * height * 4;
    }
    return most <= IM_MADE_BYTES;
}

enum im_reason im_picture_input(struct im_task *task)
{
    struct im_temps *temps = task->work->config.store->temps;
    char path[40];
    int fd = task->fetched.fd;
    if (task->fetched.data && stays_small(task))
        return IM_NONE;
    if (task->fetched.data) {
        int64_t written = 0;
        enum im_reason reason = im_temp_new(temps, &task->spool, NULL);
        if (reason == IM_NONE)
            reason = im_output(task->spool.fd, task->fetched.data, (size_t)task->fetched.bytes, &written);
        if (reason != IM_NONE)
            return reason;
        fd = task->spool.fd;
    }
    /* By its own description: a decoder that was taken over could write through ours. */
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    task->input_fd = open(path, O_RDONLY | O_CLOEXEC);
    return task->input_fd < 0 ? IM_store_io : IM_NONE;
}

static enum im_reason make_outputs(struct im_task *task, struct nm_error *err)
{
    const struct im_work *work = task->work;
    if (task->input_fd < 0)
        return IM_NONE;
    enum im_reason reason = im_temp_new(work->config.store->temps, &task->copy.made, err);
    for (int i = 0; reason == IM_NONE && i < work->config.settings->n_thumbs; i++)
        reason = im_temp_new(work->config.store->temps, &task->thumb[i].made, err);
    return reason;
}

void im_store_failed(struct im_task *task, enum im_reason reason, const char *why)
{
    struct im_work *work = task->work;
    if (nm_boottime_ms() >= work->paused_until_ms) {
        int64_t longer_ms = work->pause_ms ? work->pause_ms * 2 : IM_STORE_PAUSE_MS;
        work->pause_ms = longer_ms < IM_STORE_PAUSE_MAX ? longer_ms : IM_STORE_PAUSE_MAX;
        work->paused_until_ms = nm_boottime_ms() + work->pause_ms;
        nm_series_set(work->counts.paused, 1);
    }
    nm_log_again(NM_WARN, "image.store", "%s: %s; no image is fetched for %lld ms", im_reason_name(reason), why,
                 (long long)work->pause_ms);
    im_task_failed(task, reason);
}

static enum nm_status submit(struct im_work *work, struct im_task *task, struct nm_error *err)
{
    const struct im_settings *settings = work->config.settings;
    struct nm_error why = {0};
    enum im_reason reason = make_outputs(task, &why);
    if (reason != IM_NONE) {
        im_store_failed(task, reason, why.msg);
        return NM_OK;
    }
    struct im_decoder_job job = {.facts = task->facts,
                                 .limits = settings->check,
                                 .input = task->input_fd < 0 ? task->fetched.data : NULL,
                                 .input_fd = task->input_fd,
                                 .n_thumbs = settings->n_thumbs,
                                 .copy = settings->copy,
                                 .copy_fd = task->copy.made.fd,
                                 .owner = task};
    for (int i = 0; i < settings->n_thumbs; i++) {
        job.thumb[i] = settings->thumb[i];
        job.output_fd[i] = task->thumb[i].made.fd;
    }
    enum nm_status status = im_decoders_submit(work->decoders, &job, nm_boottime_ms(), &why);
    if (status == NM_OK) {
        task->stage = IM_STAGE_DECODING;
        task->is_made = true;
        work->n_made++;
        return NM_OK;
    }
    if (status == NM_BAD_INPUT) { /* what the probe let pass and no decoder takes */
        nm_log(NM_WARN, "image.decoder", "%s", why.msg);
        im_task_failed(task, IM_decode_fail);
        return NM_OK;
    }
    if (status != NM_RETRY)
        return nm_fail(err, status, "%s", why.msg);
    close_outputs(task);
    im_queue_add_first(&work->decode, task);
    return NM_OK;
}

static enum nm_status feed_decoders(struct im_work *work, struct nm_error *err)
{
    enum nm_status status = NM_OK;
    for (int n = im_decoders_idle(work->decoders);
         status == NM_OK && n > 0 && work->decode.n && work->n_made < IM_MADE_AHEAD; n--) {
        struct im_task *task = im_queue_take(&work->decode);
        if (task->lost)
            im_task_end(task, -1);
        else
            status = submit(work, task, err);
        if (work->decode.n == IM_DECODE_AHEAD - 1)
            work->hosts_due_ms = 0; /* more may be fetched again */
    }
    return status;
}

static void decoded(struct im_work *work, struct im_task *task)
{
    const struct im_decoded *result = &task->decoded;
    nm_series_observe(work->counts.decode_seconds, (double)result->wall_ms / 1000);
    if (task->lost) {
        im_task_end(task, -1);
        return;
    }
    bool killed = result->reason == IM_decode_killed && strcmp(result->cause, "killed") == 0;
    if (killed && !task->decoded_once) { /* from outside: no fault of the picture */
        task->decoded_once = true;
        close_outputs(task);
        task->stage = IM_STAGE_DECODE;
        im_queue_add(&work->decode, task);
        return;
    }
    if (result->reason == IM_store_full || result->reason == IM_store_io) {
        im_store_failed(task, result->reason, "the decoder could not write its files");
        return;
    }
    if (result->reason != IM_NONE) {
        im_task_failed(task, result->reason);
        return;
    }
    NM_FAULT(NM_POINT_MADE);
    im_task_release(task);
    task->stage = IM_STAGE_STORE;
    im_queue_add(&work->store, task);
}

/* ---- the store: in its thread ---- */

static enum im_reason copy_failed(enum im_reason reason, const char *why, struct nm_error *err)
{
    enum nm_status status = nm_fail(err, NM_RETRY, "copying what a decoder wrote: %s", why);
    return status == NM_RETRY ? reason : IM_store_io;
}

/* What the decoder wrote into a file of ours. */
static enum im_reason copy_file(struct im_output *output, struct nm_error *err)
{
    char bytes[65536];
    int64_t at = 0, written = 0;
    for (;;) {
        ssize_t n = pread(output->made.fd, bytes, sizeof bytes, at);
        if (n == 0)
            return im_content_of(output->kept.fd, &output->content, err);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || at + n > IM_OBJECT_BYTES)
            return copy_failed(IM_store_io, n < 0 ? strerror(errno) : "larger than an object may be", err);
        at += n;
        enum im_reason reason = im_output(output->kept.fd, bytes, (size_t)n, &written);
        if (reason != IM_NONE)
            return copy_failed(reason, "writing it failed", err);
    }
}

/* What it made in memory. */
static enum im_reason copy_memory(struct im_output *output, const uint8_t *data, int64_t bytes, struct nm_error *err)
{
    struct im_content content = {.fd = output->kept.fd};
    enum im_reason reason = im_output(content.fd, data, (size_t)bytes, &content.bytes);
    if (reason != IM_NONE)
        return copy_failed(reason, "writing it failed", err);
    if (!SHA256(data, (size_t)bytes, content.sha256))
        return copy_failed(IM_store_io, "libcrypto cannot hash", err);
    output->content = content;
    return IM_NONE;
}

/* A file of our own for one output: that at *at in memory, which goes on behind it, or of the decoder's file. */
static enum im_reason keep(struct im_task *task, struct im_output *output, const uint8_t **at, int64_t bytes,
                           struct im_store *store)
{
    im_temp_close(&output->kept);
    enum im_reason reason = im_temp_new(store->temps, &output->kept, &task->why);
    if (reason != IM_NONE)
        return reason;
    if (!*at)
        return copy_file(output, &task->why);
    const uint8_t *data = *at;
    *at += bytes;
    return copy_memory(output, data, bytes, &task->why);
}

/* at: of the thumbnails in memory. */
static enum im_reason put_thumbs(struct im_task *task, struct im_store *store, struct im_name *name, const uint8_t *at)
{
    const struct im_settings *settings = task->work->config.settings;
    struct im_thumb_file file[IM_THUMBS];
    char path[IM_NAME_BYTES];
    size_t n = 0;
    for (int i = 0; i < settings->n_thumbs; i++) {
        const struct im_reply_thumb *made = &task->decoded.thumb[i];
        if (made->width == 0)
            continue;
        enum im_reason reason = keep(task, &task->thumb[i], &at, made->bytes, store);
        if (reason != IM_NONE)
            return reason;
        name->edge = settings->thumb[i].edge;
        name->type = settings->thumb[i].format == IM_THUMB_WEBP ? IM_WEBP : IM_JPEG;
        im_name_write(name, path);
        enum im_put put;
        reason = im_store_put(store, path, &task->thumb[i].content, task->replace, &put, &task->why);
        if (reason != IM_NONE)
            return reason;
        task->existed = task->existed || put == IM_PUT_EXISTED;
        file[n] = (struct im_thumb_file){
            .edge = name->edge, .width = made->width, .height = made->height, .webp = name->type == IM_WEBP};
        nm_hex_write(task->thumb[i].content.sha256, IM_SHA256_BYTES, file[n++].sha256);
    }
    (void)im_thumbs_text_write(file, n, task->thumbs);
    return IM_NONE;
}

static void run_put(struct im_job *job, struct im_store *store)
{
    struct im_task *task = (struct im_task *)((char *)job - offsetof(struct im_task, job));
    char path[IM_NAME_BYTES];
    const uint8_t *at = task->decoded.made;
    task->stored = keep(task, &task->copy, &at, task->decoded.copy_bytes, store);
    if (task->stored != IM_NONE)
        return;
    struct im_name name = {.type = task->facts.type};
    memcpy(name.sha256, task->copy.content.sha256, sizeof name.sha256);
    nm_hex_write(name.sha256, sizeof name.sha256, task->sha256);
    task->existed = false;
    task->stored = put_thumbs(task, store, &name, at);
    if (task->stored != IM_NONE)
        return;
    name.edge = 0;
    name.type = task->facts.type;
    im_name_write(&name, path);
    task->stored = im_store_put(store, path, &task->copy.content, task->replace, &task->put, &task->why);
    task->existed = task->existed || (task->stored == IM_NONE && task->put == IM_PUT_EXISTED);
}

static void run_look(struct im_job *job, struct im_store *store)
{
    struct im_look *look = (struct im_look *)((char *)job - offsetof(struct im_look, job));
    struct im_stat stat;
    struct nm_error err = {0};
    look->exists = im_store_stat(store, look->name, &stat, &err) != IM_NONE || stat.exists; /* in doubt it is there */
}

/* ---- the store: the worker's side ---- */

static void feed_store(struct im_work *work)
{
    for (size_t n = work->store.n; n > 0; n--) {
        struct im_task *task = im_queue_take(&work->store);
        if (task->lost) {
            im_task_end(task, -1);
            continue;
        }
        task->job.run = run_put;
        if (!im_store_submit(work->store_thread, &task->job)) {
            im_queue_add_first(&work->store, task);
            return;
        }
        task->stage = IM_STAGE_STORING;
    }
}

static void stored(struct im_work *work, struct im_task *task)
{
    if (task->lost || !task->job.ran) {
        im_task_end(task, -1);
        return;
    }
    if (task->stored != IM_NONE) {
        im_store_failed(task, task->stored, task->why.msg);
        return;
    }
    NM_FAULT(NM_POINT_KEPT);
    if (work->pause_ms)
        nm_log(NM_INFO, "image.store", "the store works again");
    work->pause_ms = work->paused_until_ms = 0;
    nm_series_set(work->counts.paused, 0);
    nm_series_add(task->put == IM_PUT_EXISTED ? work->counts.dedup : work->counts.stored, 1);
    const struct im_fetched *fetched = &task->fetched;
    task->result = (struct im_result){.outcome = IM_RESULT_CACHED,
                                      .sha256 = task->sha256,
                                      .type = im_type_name(task->facts.type),
                                      .thumbs = task->thumbs,
                                      .width = task->facts.width,
                                      .height = task->facts.height,
                                      .bytes = task->copy.content.bytes,
                                      .raw_width = task->facts.raw_width,
                                      .raw_height = task->facts.raw_height,
                                      .orientation = task->facts.orientation,
                                      .etag = fetched->etag,
                                      .last_modified = fetched->last_modified,
                                      .fresh_ms = im_fresh_ms(fetched),
                                      .put_again_ms = task->replace ? task->result.put_again_ms : 0,
                                      .existed = task->existed,
                                      .status = fetched->status};
    im_task_result(task);
}

static void looked(struct im_work *work, struct im_look *look)
{
    look->state = look->job.ran && !look->exists ? IM_LOOK_MISSING : IM_LOOK_FREE;
    if (look->state == IM_LOOK_FREE)
        return;
    nm_log(NM_WARN, "image.missing", "the object %s is gone from the store; its URL is fetched again", look->sha256);
    work->n_looks++;
}

void im_work_look(struct im_work *work, const char *hash, const char *sha256, const char *type)
{
    struct im_look *look = NULL;
    for (size_t i = 0; !look && i < IM_MAX_LOOKS; i++)
        look = work->look[i].state == IM_LOOK_FREE ? &work->look[i] : NULL;
    struct im_name name = {.type = im_type_stored(type)};
    if (!look || name.type == IM_UNKNOWN || !im_is_hash(sha256, strlen(sha256)) || !im_is_hash(hash, strlen(hash)))
        return; /* the next use looks */
    nm_hex_read(sha256, IM_SHA256_BYTES, name.sha256);
    im_name_write(&name, look->name);
    memcpy(look->hash, hash, sizeof look->hash);
    memcpy(look->sha256, sha256, sizeof look->sha256);
    look->job.run = run_look;
    look->state = im_store_submit(work->store_thread, &look->job) ? IM_LOOK_OUT : IM_LOOK_FREE;
}

enum nm_status im_picture_move(struct im_work *work, struct nm_error *err)
{
    struct im_decoded result;
    struct im_job *job;
    im_decoders_tick(work->decoders, nm_boottime_ms());
    while (im_decoders_take(work->decoders, &result)) {
        struct im_task *task = result.owner;
        task->decoded = result;
        decoded(work, task);
    }
    while ((job = im_store_thread_next(work->store_thread))) {
        if (job->run == run_look)
            looked(work, (struct im_look *)((char *)job - offsetof(struct im_look, job)));
        else
            stored(work, (struct im_task *)((char *)job - offsetof(struct im_task, job)));
    }
    feed_store(work);
    enum nm_status status = feed_decoders(work, err);
    return status == NM_OK ? im_decoders_check(work->decoders, err) : status;
}
