/* cmd_images.c - `newsmill images`: what the images worker has cached, and what an operator can do about it.
 *
 * Options are read as newsmill-images reads them, workers.images included: the scripts have them in their text, and the
 * store must be the same. */
#include "images.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

static enum nm_status read_options(struct nm_images *images, bool all, struct nm_error *err)
{
    struct nm_problems problems = {0};
    const struct nm_args *args = images->args;
    enum nm_status status = nm_tool_configure(images->tool, args, err);
    if (status == NM_OK)
        status = nm_config_load(args->config_path, "images", &args->sets, &images->config, &problems, err);
    if (status == NM_OK)
        status = nm_config_apply(images->config, nm_common_options, &images->settings, &problems, err);
    if (status == NM_OK)
        status = nm_settings_finish(&images->settings, err);
    if (status == NM_OK)
        status = nm_config_apply(images->config, images_options, &images->options, &problems, err);
    if (problems.n) {
        nm_problems_print(&problems, stderr);
        err->msg[0] = '\0'; /* they are the message */
    }
    nm_problems_clear(&problems);
    if (status == NM_OK && all)
        status = im_settings_read(&images->options, &images->image, err);
    return status;
}

static enum nm_status open_redis(struct nm_images *images, bool scripts, struct nm_error *err)
{
    (void)snprintf(images->state.prefix, sizeof images->state.prefix, "%s:", images->settings.ns);
    enum nm_status status = nm_redis_open(&images->settings, &images->redis, NULL, err);
    if (status == NM_OK && scripts)
        status = im_state_open(&images->state, &images->image.state, &images->settings, err);
    if (status == NM_OK && scripts)
        status = nm_redis_load(images->redis, im_scripts, IM_N_SCRIPTS, err);
    return status == NM_RETRY ? NM_FATAL : status;
}

enum nm_status nm_images_again(struct nm_images *images, struct nm_error *err)
{
    enum { TRY_MS = 60000, PAUSE_MS = 200 };
    int64_t until_ms = nm_boottime_ms() + TRY_MS;
    enum nm_status status = NM_RETRY;
    nm_redis_close(images->redis);
    images->redis = NULL;
    while (status == NM_RETRY && nm_boottime_ms() < until_ms && !nm_tool_stopped()) {
        (void)poll(NULL, 0, PAUSE_MS);
        status = nm_redis_open(&images->settings, &images->redis, NULL, err);
        if (status == NM_OK)
            status = nm_redis_load(images->redis, im_scripts, IM_N_SCRIPTS, err);
        if (status != NM_OK) {
            nm_redis_close(images->redis);
            images->redis = NULL;
        }
    }
    return status;
}

/* A path that was mistyped must not become a store. */
static enum nm_status open_store(struct nm_images *images, struct nm_error *err)
{
    struct stat facts;
    if (!images->image.is_s3 && stat(images->options.store.path, &facts) != 0)
        return nm_fail(err, NM_CONFIG, "images.store.path: %.200s: %s; the images worker makes it",
                       images->options.store.path, strerror(errno));
    enum nm_status status = im_settings_store(&images->options, &images->store, err);
    return status == NM_RETRY ? NM_FATAL : status;
}

enum nm_status nm_images_open(struct nm_images *images, int what, struct nm_error *err)
{
    enum nm_status status = read_options(images, what != NM_IMAGES_REDIS, err);
    if (status == NM_OK && (what & NM_IMAGES_STORE))
        status = open_store(images, err);
    return status == NM_OK ? open_redis(images, what & NM_IMAGES_SCRIPTS, err) : status;
}

void nm_images_close(struct nm_images *images)
{
    nm_pipe_clear(&images->pipe);
    nm_redis_close(images->redis);
    im_store_close(images->store);
    im_state_close();
    im_settings_clear(&images->image);
    nm_options_clear(images_options, &images->options);
    nm_settings_clear(&images->settings);
    nm_config_free(images->config);
}

enum nm_status nm_images_exec(struct nm_images *images, struct nm_error *err)
{
    enum nm_status status = nm_redis_exec(images->redis, &images->pipe, err);
    return status == NM_RETRY ? NM_FATAL : status;
}

void nm_images_key(const struct nm_images *images, const char *kind, const char *name, char out[256])
{
    (void)snprintf(out, 256, "%s:img:%s{%s}", images->settings.ns ? images->settings.ns : "", kind, name);
}

void nm_images_add(struct nm_images *images, const char *const *words)
{
    size_t n = 0;
    while (words[n])
        n++;
    (void)nm_pipe_command(&images->pipe, n);
    for (size_t i = 0; i < n; i++)
        nm_pipe_str(&images->pipe, words[i]);
}

/* ---- the command ---- */

static const struct action {
    const char *name;
    enum nm_status (*run)(struct nm_images *images, struct nm_error *err);
    bool operand;
    const char *flags; /* that it takes, beside --json */
} actions[] = {
    {"ls", nm_images_ls, false, "--state|--reason|--host|--limit"},
    {"show", nm_images_show, true, ""},
    {"refetch", nm_images_refetch, true, ""},
    {"purge", nm_images_purge, true, "--dry-run"},
    {"gc", nm_images_gc, false, "--dry-run"},
    {"scrub", nm_images_scrub, false, "--dry-run|--percent"},
};

static const struct nm_flag flags[] = {
    {"--state", NM_FLAG_WORD, "pending|cached|failed", NULL, 0, 0, "ls: only those in this state"},
    {"--reason", NM_FLAG_TEXT, "REASON", NULL, 0, 0, "ls: only those that failed for this reason, such as bad_status"},
    {"--host", NM_FLAG_TEXT, "HOST", NULL, 0, 0, "ls: only those of this host"},
    {"--limit", NM_FLAG_INT, "N", "50", 1, 1000000, "ls: only so many"},
    {"--percent", NM_FLAG_INT, "P", "1", 1, 100, "scrub: how much of the store"},
    {"--dry-run", NM_FLAG_SWITCH, NULL, NULL, 0, 0, "purge, gc, scrub: says what would be done and changes nothing"},
    {"--json", NM_FLAG_SWITCH, NULL, NULL, 0, 0, "JSON; ls: one object a line"},
    {0},
};

static enum nm_status check_args(const struct action *action, const struct nm_args *args, struct nm_error *err)
{
    if (action->operand && args->n_operands != 1)
        return nm_fail(err, NM_CONFIG, "images %s needs a URL or a hash", action->name);
    if (!action->operand && args->n_operands != 0)
        return nm_fail(err, NM_CONFIG, "images %s takes no argument", action->name);
    for (size_t i = 0; flags[i].name; i++)
        if (nm_flag_given(args, flags[i].name) && strcmp(flags[i].name, "--json") != 0 &&
            !nm_is_word(flags[i].name, action->flags))
            return nm_fail(err, NM_CONFIG, "images %s takes no %s", action->name, flags[i].name);
    return NM_OK;
}

static enum nm_status images_command(struct nm_tool *tool, const struct nm_args *args, struct nm_error *err)
{
    struct nm_images *images = calloc(1, sizeof *images);
    const struct action *action = actions;
    if (!images)
        return nm_fail(err, NM_FATAL, "out of memory");
    while (strcmp(action->name, args->action) != 0)
        action++;
    images->tool = tool;
    images->args = args;
    images->state.now_ms = -1;
    images->json = nm_flag_given(args, "--json");
    enum nm_status status = check_args(action, args, err);
    if (status == NM_OK)
        status = action->run(images, err);
    nm_images_close(images);
    free(images);
    return status;
}

const struct nm_command nm_images_command = {
    .name = "images",
    .summary = "shows the cached images, fetches or removes one, keeps the store small and sound",
    .actions = "ls|show|refetch|purge|gc|scrub",
    .operands = "[URL|HASH|SHA256|ID]",
    .max_operands = 1,
    .needs_config = true,
    .flags = flags,
    .details =
        "ls lists the URLs that Redis knows, in no order. show prints everything about a URL (or its hash), an object\n"
        "(its SHA-256), or the images of an article (its id or URL).\n"
        "refetch forgets why a URL failed, or that it is fresh; policy holds. purge removes the object of a URL, or "
        "one\n"
        "given by its SHA-256, at once; its URLs are `evicted`, and their articles say so.\n"
        "gc marks what nobody has used for images.gc.idleMs, removes what was marked images.gc.graceMs ago, adopts\n"
        "files that Redis does not know, and evicts when the store is above its cap. Run it once an hour.\n"
        "scrub reads the next part of the store back; what is damaged or missing is fetched again. Run it once a day.\n"
        "gc and scrub may run beside workers and beside each other, and may be killed. Exit code 3: nothing is known\n"
        "of what was asked for, or the store stays above its cap.",
    .example = "  newsmill images ls -c newsmill.yaml --state failed --host cdn.harbour-gazette.example\n"
               "  newsmill images show -c newsmill.yaml https://cdn.harbour-gazette.example/ferry.jpg\n"
               "  newsmill images gc -c newsmill.yaml --dry-run",
    .run = images_command,
};
