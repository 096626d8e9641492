/* images_keep.c - the actions of `newsmill images` that change something: refetch, purge, gc, scrub.
 *
 * What they do is collect.c's of the images worker; here is how they are called and what is said of it: progress on
 * stderr, a line a deed where nothing is changed, and a summary on stdout. */
#include "images.h"

#include "message.h"

#include <inttypes.h>
#include <string.h>

enum { TELL_MS = 2000 };

/* ---- refetch ---- */

/* The hash of a URL, from what the operator wrote. */
static enum nm_status url_hash(const char *text, char out[IM_URL_HASH_BYTES], struct nm_error *err)
{
    struct im_url *url = NULL;
    if (nm_images_is_hash(text)) {
        memcpy(out, text, IM_URL_HASH_BYTES);
        return NM_OK;
    }
    url = malloc(sizeof *url);
    if (!url)
        return nm_fail(err, NM_FATAL, "out of memory");
    enum im_reason reason = im_url_read(text, strlen(text), NM_FETCH_MAX_BYTES, url);
    if (reason == IM_NONE)
        memcpy(out, url->hash, IM_URL_HASH_BYTES);
    free(url);
    if (reason != IM_NONE)
        return nm_fail(err, NM_CONFIG, "'%.100s' is neither a hash of 64 hex digits nor the URL of an image (%s)", text,
                       im_reason_name(reason));
    return NM_OK;
}

/* sha256: that of the entry, "" where it has none. */
static enum nm_status find_entry(struct nm_images *images, const char *hash, bool *known, char sha256[IM_SHA_BYTES],
                                 struct nm_error *err)
{
    nm_pipe_reset(&images->pipe);
    nm_images_ask_entry(images, hash);
    enum nm_status status = nm_images_exec(images, err);
    if (status != NM_OK)
        return status;
    const struct nm_reply *fields = nm_pipe_reply(&images->pipe, 0);
    json_t *entry = nm_images_entry_json(fields);
    const char *sha = json_string_value(json_object_get(entry, "sha256"));
    *known = nm_images_is_known(fields);
    (void)snprintf(sha256, IM_SHA_BYTES, "%s", sha && nm_images_is_hash(sha) ? sha : "");
    json_decref(entry);
    return NM_OK;
}

static enum nm_status unknown(struct nm_images *images, const char *what)
{
    (void)fprintf(stderr, "newsmill: %s\n", what);
    images->tool->exit_code = NM_EXIT_NOT_REACHED;
    return NM_OK;
}

static enum nm_status say(struct nm_error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static enum nm_status say(struct nm_error *err, const char *fmt, ...)
{
    char text[400];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return nm_tool_write(text, n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1, err);
}

enum nm_status nm_images_refetch(struct nm_images *images, struct nm_error *err)
{
    char hash[IM_URL_HASH_BYTES], sha256[IM_SHA_BYTES];
    struct im_answer answer;
    bool known = false;
    enum nm_status status = url_hash(images->args->operand[0], hash, err);
    if (status == NM_OK)
        status = nm_images_open(images, NM_IMAGES_SCRIPTS, err);
    if (status == NM_OK)
        status = find_entry(images, hash, &known, sha256, err);
    if (status != NM_OK)
        return status;
    if (!known)
        return unknown(images,
                       "no such URL is known; `newsmill images ls` lists them, and show takes an object's hash");
    nm_pipe_reset(&images->pipe);
    (void)im_reset(&images->state, &images->pipe, hash, NULL);
    status = nm_images_exec(images, err);
    if (status != NM_OK)
        return status;
    if (!im_answer_read(nm_pipe_reply(&images->pipe, 0), &answer))
        return nm_fail(err, NM_FATAL, "a script of images gave a reply that this version does not know");
    if (images->json)
        return say(err, "{\"hash\":\"%s\",\"articles\":%" PRId64 "}\n", hash, answer.value);
    if (answer.value == 0)
        return say(err, "%s is pending; no article shows it now, so nobody fetches it until one does\n", hash);
    return say(err, "%s is pending and will be fetched; %" PRId64 " article%s look%s at it now\n", hash, answer.value,
               answer.value == 1 ? "" : "s", answer.value == 1 ? "s" : "");
}

/* ---- what a run says ---- */

struct report {
    struct nm_images *images;
    int64_t told_ms;
    struct im_collected counts;
    struct nm_error failed;
};

static void size_text(int64_t bytes, char out[24])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    double value = (double)bytes;
    size_t unit = 0;
    for (; value >= 1000 && unit + 1 < sizeof units / sizeof *units; unit++)
        value /= 1000;
    (void)snprintf(out, 24, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

static void tell(void *ctx, const char *what, const struct im_collected *so_far)
{
    struct report *report = ctx;
    char hashed[24];
    if (nm_boottime_ms() - report->told_ms < TELL_MS)
        return;
    report->told_ms = nm_boottime_ms();
    size_text(so_far->hashed_bytes, hashed);
    (void)fprintf(stderr,
                  "newsmill: %s: %" PRId64 " objects in Redis, %" PRId64 " files and %" PRId64
                  " thumbnails in the store, %s hashed, %" PRId64 " removed\n",
                  what, so_far->objects, so_far->files, so_far->thumbs, hashed, so_far->n[IM_DEED_REMOVE]);
}

/* What is done or would be, and why. */
static void told_deed(void *ctx, enum im_deed deed, const char *name, int64_t bytes, int64_t since_ms)
{
    static const char *const why[IM_N_DEEDS] = {
        [IM_DEED_ADOPT] = "Redis does not know it; stored",
        [IM_DEED_ORPHAN] = "thumbnail that no object has; stored",
        [IM_DEED_MARK] = "no article shows it; last used",
        [IM_DEED_UNUSED] = "the store is full, no article shows it; last used",
        [IM_DEED_EVICT] = "the store is full, in use; last used",
        [IM_DEED_REMOVE] = "marked",
        [IM_DEED_DAMAGED] = "its bytes are not what the name says",
        [IM_DEED_MISSING] = "it is not in the store",
    };
    struct report *report = ctx;
    char time[21] = "";
    bool found = deed == IM_DEED_DAMAGED || deed == IM_DEED_MISSING;
    if (since_ms > 0)
        nm_time_text(since_ms, time);
    if (nm_flag_given(report->images->args, "--dry-run") && !report->images->json)
        (void)say(NULL, "%-7s %s  %" PRId64 " bytes  %s%s%s\n", im_deed_word(deed), name, bytes, why[deed],
                  time[0] ? " " : "", time);
    else if (found)
        (void)fprintf(stderr, "newsmill: %s: %s: %s\n", im_deed_word(deed), name, why[deed]);
}

static bool is_stopped(void *ctx)
{
    (void)ctx;
    return nm_tool_stopped();
}

static enum nm_status again(void *ctx, struct nm_redis **out, struct nm_error *err)
{
    struct report *report = ctx;
    (void)fprintf(stderr, "newsmill: %s; trying again for a minute\n", err->msg);
    enum nm_status status = nm_images_again(report->images, err);
    *out = report->images->redis;
    return status;
}

static void set_up(struct nm_images *images, struct report *report, struct im_collect *out)
{
    *report = (struct report){.images = images, .told_ms = nm_boottime_ms()};
    *out = (struct im_collect){.state = &images->state,
                               .redis = images->redis,
                               .store = images->store,
                               .max_percent = images->image.max_percent,
                               .max_bytes = images->image.max_bytes,
                               .n_thumbs = images->image.n_thumbs,
                               .dry_run = nm_flag_given(images->args, "--dry-run"),
                               .ctx = report,
                               .tell = tell,
                               .deed = told_deed,
                               .stopped = is_stopped,
                               .again = again};
    memcpy(out->thumb, images->image.thumb, sizeof out->thumb);
}

static json_t *deeds_json(const struct im_collected *counts)
{
    json_t *out = json_object();
    for (int i = 0; i < IM_N_DEEDS; i++)
        (void)json_object_set_new(
            out, im_deed_word((enum im_deed)i),
            json_pack("{s:I, s:I}", "n", (json_int_t)counts->n[i], "bytes", (json_int_t)counts->bytes[i]));
    return out;
}

static json_t *counts_json(const struct nm_images *images, const struct im_collected *counts)
{
    const struct {
        const char *name;
        int64_t value;
    } rows[] = {
        {"objects", counts->objects},
        {"objectBytes", counts->object_bytes},
        {"files", counts->files},
        {"thumbnails", counts->thumbs},
        {"foreign", counts->foreign},
        {"hashed", counts->hashed},
        {"hashedBytes", counts->hashed_bytes},
        {"members", counts->members},
        {"waiting", counts->waiting},
        {"waitingBytes", counts->waiting_bytes},
        {"held", counts->held},
        {"lost", counts->lost},
        {"failed", counts->failed},
        {"shortBytes", counts->short_bytes},
        {"shortFiles", counts->short_files},
    };
    json_t *out = deeds_json(counts);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        (void)json_object_set_new(out, rows[i].name, json_integer(rows[i].value));
    (void)json_object_set_new(out, "dryRun", json_boolean(nm_flag_given(images->args, "--dry-run")));
    (void)json_object_set_new(out, "stopped", json_boolean(counts->stopped));
    return out;
}

struct line {
    const char *what;
    int64_t n, bytes; /* bytes -1: not said */
    bool always;
};

static enum nm_status print_lines(const struct line *line, size_t n, struct nm_error *err)
{
    enum nm_status status = NM_OK;
    for (size_t i = 0; i < n && status == NM_OK; i++) {
        char size[24];
        if (line[i].n == 0 && !line[i].always)
            continue;
        size_text(line[i].bytes, size);
        status = line[i].bytes < 0 ? say(err, "%-42s %10" PRId64 "\n", line[i].what, line[i].n)
                                   : say(err, "%-42s %10" PRId64 "  %s\n", line[i].what, line[i].n, size);
    }
    return status;
}

/* A failure is told after what was done until then. */
static enum nm_status finish(struct nm_images *images, const struct im_collected *counts, const struct line *line,
                             size_t n, enum nm_status ran, struct nm_error *err)
{
    enum nm_status status = NM_OK;
    if (images->json)
        status = nm_images_print(images, counts_json(images, counts), ran == NM_OK ? err : NULL);
    else
        status = print_lines(line, n, ran == NM_OK ? err : NULL);
    if (ran != NM_OK)
        return ran == NM_RETRY ? NM_FATAL : ran;
    if (counts->stopped) {
        (void)fprintf(stderr, "newsmill: stopped before the end; the next run goes on\n");
        images->tool->exit_code = NM_EXIT_FATAL;
    }
    if (counts->failed) {
        (void)fprintf(stderr, "newsmill: the store failed at %" PRId64 " files; the next run tries them again\n",
                      counts->failed);
        images->tool->exit_code = NM_EXIT_FATAL;
    }
    return status;
}

/* ---- gc, scrub, purge ---- */

static enum nm_status begin(struct nm_images *images, struct report *report, struct im_collect *collect,
                            struct nm_error *err)
{
    enum nm_status status = nm_images_open(images, NM_IMAGES_SCRIPTS | NM_IMAGES_STORE, err);
    if (status == NM_OK)
        set_up(images, report, collect);
    return status;
}

enum nm_status nm_images_gc(struct nm_images *images, struct nm_error *err)
{
    struct report report;
    struct im_collect collect;
    enum nm_status status = begin(images, &report, &collect, err);
    if (status != NM_OK)
        return status;
    struct im_collected *c = &report.counts;
    status = im_gc(&collect, c, err);
    const bool dry = collect.dry_run;
    const struct line lines[] = {
        {"objects in Redis", c->objects, c->object_bytes, true},
        {"files in the store", c->files, -1, true},
        {"thumbnails in the store", c->thumbs, -1, true},
        {"no files of ours", c->foreign, -1, false},
        {dry ? "would adopt, unknown to Redis" : "adopted, unknown to Redis", c->n[IM_DEED_ADOPT],
         c->bytes[IM_DEED_ADOPT], false},
        {dry ? "orphan thumbnails would go" : "orphan thumbnails go", c->n[IM_DEED_ORPHAN], c->bytes[IM_DEED_ORPHAN],
         false},
        {dry ? "articles would leave URLs" : "articles that left URLs", c->members, -1, false},
        {dry ? "would mark, long unused" : "marked, long unused", c->n[IM_DEED_MARK], c->bytes[IM_DEED_MARK], true},
        {dry ? "would evict, unused" : "evicted, unused", c->n[IM_DEED_UNUSED], c->bytes[IM_DEED_UNUSED], false},
        {dry ? "would evict, in use" : "evicted, in use", c->n[IM_DEED_EVICT], c->bytes[IM_DEED_EVICT], false},
        {"marked, waiting for the grace", c->waiting, c->waiting_bytes, false},
        {dry ? "would remove" : "removed", c->n[IM_DEED_REMOVE], c->bytes[IM_DEED_REMOVE], true},
        {"being removed by another gc", c->held, -1, false},
        {"put again meanwhile, fetched again", c->lost, -1, false},
    };
    status = finish(images, c, lines, sizeof lines / sizeof *lines, status, err);
    if (status == NM_OK && (c->short_bytes || c->short_files)) {
        char size[24];
        size_text(c->short_bytes, size);
        (void)fprintf(stderr,
                      "newsmill: the store is above its cap by %s and %" PRId64
                      " files that may not go: too young, being fetched, or shown by more articles than are noted\n",
                      size, c->short_files);
        images->tool->exit_code = NM_EXIT_NOT_REACHED;
    }
    return status;
}

enum nm_status nm_images_scrub(struct nm_images *images, struct nm_error *err)
{
    struct report report;
    struct im_collect collect;
    enum nm_status status = begin(images, &report, &collect, err);
    if (status != NM_OK)
        return status;
    struct im_collected *c = &report.counts;
    status = im_scrub(&collect, (double)nm_flag_number(images->args, "--percent"), c, err);
    const struct line lines[] = {
        {"objects in Redis", c->objects, c->object_bytes, true},
        {"objects looked at", c->files, -1, true},
        {"files hashed", c->hashed, c->hashed_bytes, true},
        {"damaged", c->n[IM_DEED_DAMAGED], c->bytes[IM_DEED_DAMAGED], true},
        {"missing", c->n[IM_DEED_MISSING], -1, true},
        {"no files of ours", c->foreign, -1, false},
    };
    return finish(images, c, lines, sizeof lines / sizeof *lines, status, err);
}

/* The object of a URL, or one given by its own hash. */
static enum nm_status find_object(struct nm_images *images, char sha256[IM_SHA_BYTES], bool *known,
                                  struct nm_error *err)
{
    char hash[IM_URL_HASH_BYTES];
    enum nm_status status = url_hash(images->args->operand[0], hash, err);
    if (status == NM_OK)
        status = nm_images_open(images, NM_IMAGES_SCRIPTS | NM_IMAGES_STORE, err);
    if (status == NM_OK)
        status = find_entry(images, hash, known, sha256, err);
    if (status == NM_OK && !*known) {
        memcpy(sha256, hash, IM_SHA_BYTES);
        *known = nm_images_is_hash(images->args->operand[0]);
    }
    return status;
}

enum nm_status nm_images_purge(struct nm_images *images, struct nm_error *err)
{
    struct report report;
    struct im_collect collect;
    char sha256[IM_SHA_BYTES];
    bool known = false;
    enum im_purged how = IM_PURGED_NONE;
    enum nm_status status = find_object(images, sha256, &known, err);
    if (status != NM_OK)
        return status;
    if (!known || !sha256[0])
        return unknown(images, known ? "this URL has no object" : "no such URL is known");
    set_up(images, &report, &collect);
    collect.deed = NULL;
    status = im_purge_object(&collect, sha256, &how, &report.counts, err);
    if (status != NM_OK)
        return status == NM_RETRY ? NM_FATAL : status;
    if (how == IM_PURGED_NONE)
        return unknown(images, "no such object is known");
    if (how == IM_PURGED_ELSEWHERE)
        return unknown(images, "somebody removes it just now; if it is still there in a minute, try again");
    if (images->json)
        return say(err, "{\"sha256\":\"%s\",\"bytes\":%" PRId64 ",\"dryRun\":%s}\n", sha256,
                   report.counts.bytes[IM_DEED_REMOVE], collect.dry_run ? "true" : "false");
    return say(err, "%s %s: its URLs %s `evicted`, its files %s gone; `newsmill images refetch` brings a URL back\n",
               collect.dry_run ? "would purge" : "purged", sha256, collect.dry_run ? "would be" : "are",
               collect.dry_run ? "would be" : "are");
}
