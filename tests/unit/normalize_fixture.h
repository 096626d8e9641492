/* normalize_fixture.h - options, registries and events for the tests of normalize's pure logic. All of it is invented.
 *
 * Only what several tests need; included once by each. */
#ifndef NORMALIZE_FIXTURE_H
#define NORMALIZE_FIXTURE_H

#include "normalize/normalize_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* The defaults of normalize_options[]. */
static inline struct nz_options fixture_options(void)
{
    static char news[] = "news", article[] = "article", en[] = "en", utc[] = "UTC", none[] = "", word[] = "word";
    static char title[] = "title", excerpt[] = "excerpt", reference[] = "reference";
    static char *both[] = {title, excerpt};
    return (struct nz_options){.category = news,
                               .type = article,
                               .locale = en,
                               .time_zone = utc,
                               .providers_file = none,
                               .topics_file = none,
                               .search_in = {both, 2},
                               .match = word,
                               .rules = 1,
                               .max_bytes = 1048576,
                               .max_depth = 32,
                               .excerpt_chars = 400,
                               .max_future_ms = 86400000,
                               .max_images = 16,
                               .trust_quality = true,
                               .built_in_mapping = true,
                               .secured_key = 1,
                               .profile = reference,
                               .q_topic = 2,
                               .q_keyword = 15,
                               .q_image = 20,
                               .q_amp = 20,
                               .q_featured = 50,
                               .q_title_free = 70,
                               .q_title_step = 2};
}

/* A file of its own with this content; the caller unlinks and frees it. */
static inline char *fixture_file(const char *suffix, const char *content)
{
    const char *folder = getenv("TMPDIR");
    char path[512];
    (void)snprintf(path, sizeof path, "%s/nm_test_XXXXXX%s", folder ? folder : "/tmp", suffix);
    int file = mkstemps(path, (int)strlen(suffix));
    assert_true(file >= 0);
    assert_int_equal(write(file, content, strlen(content)), (ssize_t)strlen(content));
    (void)close(file);
    return strdup(path);
}

static inline void fixture_unlink(char *path)
{
    (void)unlink(path);
    free(path);
}

static inline bool same(struct nz_str text, const char *want)
{
    return want ? text.data && text.len == strlen(want) && memcmp(text.data, want, text.len) == 0 : !text.data;
}

static inline void check_text(struct nz_str text, const char *want)
{
    if (!same(text, want))
        fail_msg("'%.*s' is not '%s'", (int)text.len, text.data ? text.data : "", want ? want : "(absent)");
}

#endif
