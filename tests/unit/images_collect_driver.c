/* images_collect_driver.c - a worker of images without network and decoder, step by step: a test says what it does to
 * the state and to the store.
 *
 *   images_collect_driver OPTION-FILE        options as for newsmill-images; Redis and the store are those of the file
 *
 * Obeys a line of standard input at a time and answers each with a line of JSON. An object is BYTES bytes that depend
 * on SEED only, a PNG by its name; a thumbnail of edge E has 100 bytes that depend on SEED + E.
 *
 *   article ID REVISION [URL...]         {"how"}
 *   retract ID REVISION                  {"how"}
 *   lease URL TOKEN                      {"how"}
 *   put SEED BYTES REPLACE [EDGE...]     thumbnails, then the object; REPLACE 0 or 1             {"put", "sha256",
 * "name"} result URL TOKEN SEED BYTES SINCE EXISTED [EDGE...]   cached; SINCE: what `deleting` said    {"how", "value",
 * "since"} failed URL TOKEN REASON STATUS       {"how"} keep URL SEED BYTES [EDGE...]        lease, put and result in
 * one                            {"how", "sha256", "name"} object SHA256                        a use {"how"}
 *
 * Exit code 1: Redis or the store failed, 2: a line or the options are wrong; why is on standard error. */
#define _GNU_SOURCE /* getline */
#include "images/image_url.h"
#include "images/images_facet.h"
#include "images/images_settings.h"
#include "images/state_object.h"
#include "newsmill/config.h"
#include "newsmill/digest.h"
#include "store_checks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS = 32 };

struct driver {
    struct nm_settings settings;
    struct im_options options;
    struct im_settings image;
    struct im_state state;
    struct im_store *store;
    struct nm_redis *redis;
    struct nm_pipe pipe;
    struct im_url url[IM_MAX_IMAGES];
    char *word[WORDS];
    size_t n;
};

static _Noreturn void stop(int code, const char *why)
{
    (void)fprintf(stderr, "images_collect_driver: %s\n", why);
    exit(code);
}

static struct im_url *url_of(struct driver *driver, const char *text, size_t i)
{
    if (im_url_read(text, strlen(text), NM_FETCH_MAX_BYTES, &driver->url[i]) != IM_NONE)
        stop(2, text);
    return &driver->url[i];
}

static const struct nm_reply *ask(struct driver *driver)
{
    struct nm_error err = {0};
    if (nm_redis_exec(driver->redis, &driver->pipe, &err) != NM_OK)
        stop(1, err.msg);
    return nm_pipe_reply(&driver->pipe, 0);
}

static const char *how_of(enum im_how how)
{
    static const char *const words[] = {"",
#define X(name) #name,
                                        IM_HOWS(X)
#undef X
    };
    return words[how];
}

static struct im_answer answer(struct driver *driver)
{
    struct im_answer out;
    if (!im_answer_read(ask(driver), &out))
        stop(1, "no answer");
    return out;
}

static void say_view(struct driver *driver)
{
    static struct im_view view;
    if (!im_view_read(ask(driver), &view))
        stop(1, "no view");
    printf("{\"how\": \"%s\"}\n", how_of(view.how));
}

static void article(struct driver *driver)
{
    struct im_listed listed[IM_MAX_IMAGES];
    static char text[IM_MAX_IMAGES][NM_FETCH_MAX_BYTES + 40];
    size_t n = driver->n - 3;
    if (n > IM_MAX_IMAGES)
        stop(2, "too many URLs");
    for (size_t i = 0; i < n; i++) {
        struct im_url *url = url_of(driver, driver->word[3 + i], i);
        int len = snprintf(text[i], sizeof text[i], "1 - %zu %s", strlen(url->text), url->text);
        listed[i] = (struct im_listed){url->hash, text[i], (size_t)len};
    }
    (void)im_article(&driver->state, &driver->pipe, driver->word[1], strtoll(driver->word[2], NULL, 10), listed, n);
    say_view(driver);
}

static void retract(struct driver *driver)
{
    (void)im_retract(&driver->state, &driver->pipe, driver->word[1], strtoll(driver->word[2], NULL, 10));
    say_view(driver);
}

static struct im_answer lease(struct driver *driver, const char *url, const char *token)
{
    nm_pipe_reset(&driver->pipe);
    (void)im_lease(&driver->state, &driver->pipe, url_of(driver, url, 0)->hash, token);
    return answer(driver);
}

/* ---- objects ---- */

struct object {
    unsigned seed;
    size_t bytes;
    char **edge;
    size_t n_edges;
    char sha256[IM_SHA_BYTES], name[IM_NAME_BYTES], thumbs[IM_THUMBS_MAX];
};

static enum im_put put_one(struct driver *driver, struct piece *piece, const char *name, bool replace)
{
    struct nm_error err = {0};
    enum im_put how = IM_PUT_STORED;
    if (im_store_put(driver->store, name, &piece->content, replace, &how, &err) != IM_NONE)
        stop(1, err.msg);
    return how;
}

/* Fills in names and texts; puts where `put`. */
static enum im_put make(struct driver *driver, struct object *object, bool put, bool replace)
{
    struct im_thumb_file file[IM_THUMBS];
    struct piece piece;
    enum im_put how = IM_PUT_STORED;
    piece_make(driver->store, object->seed, object->bytes, &piece);
    piece_name(&piece, IM_PNG, 0, object->name);
    nm_hex_write(piece.content.sha256, IM_SHA256_BYTES, object->sha256);
    for (size_t i = 0; i < object->n_edges && i < IM_THUMBS; i++) {
        struct im_name name = {.type = IM_JPEG, .edge = (int32_t)strtol(object->edge[i], NULL, 10)};
        struct piece small;
        char text[IM_NAME_BYTES];
        piece_make(driver->store, object->seed + (unsigned)name.edge, 100, &small);
        memcpy(name.sha256, piece.content.sha256, IM_SHA256_BYTES);
        im_name_write(&name, text);
        file[i] = (struct im_thumb_file){.edge = name.edge, .width = name.edge, .height = 10};
        nm_hex_write(small.content.sha256, IM_SHA256_BYTES, file[i].sha256);
        if (put)
            (void)put_one(driver, &small, text, replace);
        piece_clear(&small);
    }
    (void)im_thumbs_text_write(file, object->n_edges, object->thumbs);
    if (put)
        how = put_one(driver, &piece, object->name, replace);
    piece_clear(&piece);
    return how;
}

static struct object object_of(struct driver *driver, size_t at, size_t edges_at)
{
    return (struct object){.seed = (unsigned)strtoul(driver->word[at], NULL, 10),
                           .bytes = strtoul(driver->word[at + 1], NULL, 10),
                           .edge = driver->word + edges_at,
                           .n_edges = driver->n - edges_at};
}

static void put(struct driver *driver)
{
    static const char *const words[] = {"stored", "existed", "replaced"};
    struct object object = object_of(driver, 1, 4);
    enum im_put how = make(driver, &object, true, driver->word[3][0] == '1');
    printf("{\"put\": \"%s\", \"sha256\": \"%s\", \"name\": \"%s\"}\n", words[how], object.sha256, object.name);
}

static struct im_answer write_result(struct driver *driver, const char *url, const char *token,
                                     const struct object *object, int64_t since_ms, bool existed)
{
    struct im_result result = {.outcome = IM_RESULT_CACHED,
                               .sha256 = object->sha256,
                               .type = im_type_name(IM_PNG),
                               .thumbs = object->thumbs,
                               .width = 64,
                               .height = 48,
                               .bytes = (int64_t)object->bytes,
                               .raw_width = 64,
                               .raw_height = 48,
                               .orientation = 1,
                               .etag = "",
                               .last_modified = "",
                               .fresh_ms = -1,
                               .put_again_ms = since_ms,
                               .existed = existed};
    nm_pipe_reset(&driver->pipe);
    (void)im_result(&driver->state, &driver->pipe, url_of(driver, url, 0)->hash, token, 0, &result);
    return answer(driver);
}

static void result(struct driver *driver)
{
    struct object object = object_of(driver, 3, 7);
    (void)make(driver, &object, false, false);
    struct im_answer out = write_result(driver, driver->word[1], driver->word[2], &object,
                                        strtoll(driver->word[5], NULL, 10), driver->word[6][0] == '1');
    printf("{\"how\": \"%s\", \"value\": %" PRId64 ", \"since\": %" PRId64 "}\n", how_of(out.how), out.value,
           out.since_ms);
}

static void keep(struct driver *driver)
{
    struct object object = object_of(driver, 2, 4);
    struct im_answer out = lease(driver, driver->word[1], "keep");
    bool existed = out.how == IM_HOW_taken && make(driver, &object, true, false) == IM_PUT_EXISTED;
    if (out.how == IM_HOW_taken)
        out = write_result(driver, driver->word[1], "keep", &object, 0, existed);
    if (out.how == IM_HOW_late) {
        (void)make(driver, &object, true, out.value == 1);
        out = write_result(driver, driver->word[1], "keep", &object, 0, false);
    }
    printf("{\"how\": \"%s\", \"sha256\": \"%s\", \"name\": \"%s\"}\n", how_of(out.how), object.sha256, object.name);
}

static void failed(struct driver *driver)
{
    struct im_result failure = {.outcome = IM_RESULT_FAILED,
                                .reason = im_reason_find(driver->word[3], strlen(driver->word[3])),
                                .status = (int)strtol(driver->word[4], NULL, 10)};
    (void)im_result(&driver->state, &driver->pipe, url_of(driver, driver->word[1], 0)->hash, driver->word[2], 0,
                    &failure);
    printf("{\"how\": \"%s\"}\n", how_of(answer(driver).how));
}

static void take_lease(struct driver *driver)
{
    printf("{\"how\": \"%s\"}\n", how_of(lease(driver, driver->word[1], driver->word[2]).how));
}

static void use_object(struct driver *driver)
{
    (void)im_object(&driver->state, &driver->pipe, driver->word[1]);
    printf("{\"how\": \"%s\"}\n", how_of(answer(driver).how));
}

/* ---- lines ---- */

static const struct line {
    const char *word;
    size_t least;
    void (*run)(struct driver *driver);
} lines[] = {{"article", 3, article}, {"retract", 3, retract}, {"lease", 3, take_lease}, {"put", 4, put},
             {"result", 7, result},   {"failed", 5, failed},   {"keep", 4, keep},        {"object", 2, use_object}};

static void obey(struct driver *driver, char *line)
{
    driver->n = 0;
    for (char *word = strtok_r(line, " \n", &line); word && driver->n < WORDS; word = strtok_r(NULL, " \n", &line))
        driver->word[driver->n++] = word;
    nm_pipe_reset(&driver->pipe);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (driver->n >= lines[i].least && strcmp(driver->word[0], lines[i].word) == 0) {
            lines[i].run(driver);
            (void)fflush(stdout);
            return;
        }
    stop(2, "a line is not understood");
}

static enum nm_status open_all(struct driver *driver, const char *path, struct nm_problems *problems,
                               struct nm_config **config, struct nm_error *err)
{
    struct nm_strings none = {0};
    enum nm_status status = nm_config_load(path, "images", &none, config, problems, err);
    if (status == NM_OK)
        status = nm_config_apply(*config, nm_common_options, &driver->settings, problems, err);
    if (status == NM_OK)
        status = nm_settings_finish(&driver->settings, err);
    if (status == NM_OK)
        status = nm_config_apply(*config, images_options, &driver->options, problems, err);
    if (status == NM_OK)
        status = im_settings_read(&driver->options, &driver->image, err);
    if (status == NM_OK)
        status = im_settings_store(&driver->options, &driver->store, err);
    if (status == NM_OK)
        status = im_state_open(&driver->state, &driver->image.state, &driver->settings, err);
    if (status == NM_OK)
        status = nm_redis_open(&driver->settings, &driver->redis, NULL, err);
    return status == NM_OK ? nm_redis_load(driver->redis, im_scripts, IM_N_SCRIPTS, err) : status;
}

static void close_all(struct driver *driver)
{
    nm_pipe_clear(&driver->pipe);
    nm_redis_close(driver->redis);
    im_state_close();
    im_store_close(driver->store);
    im_settings_clear(&driver->image);
    nm_options_clear(images_options, &driver->options);
    nm_settings_clear(&driver->settings);
}

int main(int argc, char **argv)
{
    static struct driver driver;
    NM_AUTO(nm_config_free) struct nm_config *config = NULL;
    struct nm_problems problems = {0};
    struct nm_error err = {0};
    char *line = NULL;
    size_t room = 0;
    if (argc != 2)
        stop(2, "usage: images_collect_driver OPTION-FILE");
    if (open_all(&driver, argv[1], &problems, &config, &err) != NM_OK) {
        nm_problems_print(&problems, stderr);
        stop(2, err.msg);
    }
    while (getline(&line, &room, stdin) > 0)
        obey(&driver, line);
    free(line);
    close_all(&driver);
    return 0;
}
