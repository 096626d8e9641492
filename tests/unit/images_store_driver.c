/* images_store_driver.c - a store by hand: the table of store_checks.c on it, or single calls for a test.
 *
 *   images_store_driver ENDPOINT REGION BUCKET PREFIX ACCESS-FILE SECRET-FILE TEMP-FOLDER TIMEOUT-MS check|talk
 *   images_store_driver FOLDER check|talk
 *
 * check: runs the table on the store, which must be empty; cmocka's output, exit code 1 when a check failed.
 * talk: obeys a line of standard input at a time and answers each with a line of JSON:
 *
 *   put SEED BYTES        puts an object of that many bytes that depend on the seed only    {"put", "name"}
 *   damage SEED BYTES     the same with a wrong hash of the body                            {"stored", "name"}
 *   stat NAME             {"exists", "bytes"}
 *   remove NAME           {}
 *   list AREA MAX         all pages                                                        {"names"}
 *
 * A call that fails answers {"reason", "msg"}. Exit code 2: the store cannot be opened, with the status and why on
 * standard error; 3: a line is wrong. */
#define _GNU_SOURCE /* getline */
#include "store_checks.h"

#include "newsmill/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct im_store *store;

static int give_store(void **state)
{
    *state = store;
    return 0;
}

static void answer_failure(enum im_reason reason, const struct nm_error *err)
{
    printf("{\"reason\": \"%s\", \"msg\": \"", im_reason_name(reason));
    for (const char *c = err->msg; *c; c++)
        printf(*c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
    printf("\"}\n");
}

static void put(unsigned seed, size_t len, bool damaged)
{
    static const char *const words[] = {"stored", "existed", "replaced"};
    struct piece piece;
    struct nm_error err = {0};
    enum im_put how = IM_PUT_STORED;
    bool stored = false;
    char name[IM_NAME_BYTES];
    piece_make(store, seed, len, &piece);
    piece_name(&piece, IM_PNG, 0, name);
    piece.content.sha256[0] ^= damaged ? 1 : 0;
    enum im_reason reason = damaged ? store->ops->put_if_absent(store, name, &piece.content, false, &stored, &err)
                                    : im_store_put(store, name, &piece.content, false, &how, &err);
    if (reason != IM_NONE)
        answer_failure(reason, &err);
    else if (damaged)
        printf("{\"stored\": %s, \"name\": \"%s\"}\n", stored ? "true" : "false", name);
    else
        printf("{\"put\": \"%s\", \"name\": \"%s\"}\n", words[how], name);
    piece_clear(&piece);
}

static void look(const char *name)
{
    struct nm_error err = {0};
    struct im_stat stat = {0};
    enum im_reason reason = im_store_stat(store, name, &stat, &err);
    if (reason != IM_NONE)
        answer_failure(reason, &err);
    else
        printf("{\"exists\": %s, \"bytes\": %lld}\n", stat.exists ? "true" : "false", (long long)stat.bytes);
}

static void take_out(const char *name)
{
    struct nm_error err = {0};
    enum im_reason reason = im_store_remove(store, name, &err);
    if (reason != IM_NONE)
        answer_failure(reason, &err);
    else
        printf("{}\n");
}

static void list(enum im_area area, size_t max)
{
    struct im_entry entry[IM_LIST_MAX];
    struct im_page page = {.entry = entry, .max = max, .more = true};
    struct nm_buf names = {0};
    struct nm_error err = {0};
    enum im_reason reason = IM_NONE;
    while (page.more && reason == IM_NONE) {
        reason = im_store_list(store, area, &page, &err);
        for (size_t i = 0; i < page.n && reason == IM_NONE; i++)
            nm_buf_addf(&names, "%s\"%s\"", names.len ? ", " : "", entry[i].name);
    }
    if (reason != IM_NONE)
        answer_failure(reason, &err);
    else
        printf("{\"names\": [%s]}\n", nm_buf_str(&names));
    nm_buf_clear(&names);
}

static bool obey(char *line)
{
    char name[IM_NAME_BYTES], area;
    unsigned seed;
    size_t n;
    struct im_name parts;
    if (sscanf(line, "put %u %zu", &seed, &n) == 2)
        put(seed, n, false);
    else if (sscanf(line, "damage %u %zu", &seed, &n) == 2)
        put(seed, n, true);
    else if (sscanf(line, "list %c %zu", &area, &n) == 2 && strchr("otq", area) && n >= 1 && n <= IM_LIST_MAX)
        list((enum im_area)area, n);
    else if (sscanf(line, "stat %95s", name) == 1 && im_name_read(name, strlen(name), &parts))
        look(name);
    else if (sscanf(line, "remove %95s", name) == 1 && im_name_read(name, strlen(name), &parts))
        take_out(name);
    else
        return false;
    return fflush(stdout) == 0;
}

static int talk(void)
{
    char *line = NULL;
    size_t room = 0;
    int code = 0;
    while (code == 0 && getline(&line, &room, stdin) > 0)
        if (!obey(line)) {
            (void)fprintf(stderr, "not understood: %s", line);
            code = 3;
        }
    free(line);
    return code;
}

static enum nm_status open_store(int argc, char **argv, struct nm_error *err)
{
    if (argc == 3)
        return im_store_directory_open(argv[1], &store, err);
    struct im_s3_options options = {.endpoint = argv[1],
                                    .region = argv[2],
                                    .bucket = argv[3],
                                    .prefix = argv[4],
                                    .access_key_file = argv[5],
                                    .secret_key_file = argv[6],
                                    .temp_path = argv[7],
                                    .timeout_ms = (int)strtol(argv[8], NULL, 10)};
    return im_store_s3_open(&options, &store, err);
}

int main(int argc, char **argv)
{
    struct nm_error err = {0};
    int code;
    if (argc != 10 && argc != 3) {
        (void)fprintf(stderr, "usage: see the beginning of images_store_driver.c\n");
        return 3;
    }
    enum nm_status status = open_store(argc, argv, &err);
    if (status != NM_OK) {
        const char *word = status == NM_CONFIG ? "config" : status == NM_RETRY ? "retry" : "fatal";
        (void)fprintf(stderr, "%s: %s\n", word, err.msg);
        return 2;
    }
    if (strcmp(argv[argc - 1], "check") == 0)
        code = _cmocka_run_group_tests("store_checks", store_checks, n_store_checks, give_store, NULL) ? 1 : 0;
    else
        code = talk();
    im_store_close(store);
    return code;
}
