/* fuzz_store.c - any bytes as the name of an object, as an S3 server's list of keys and as its error.
 *
 * What is taken as a name is written again to the same bytes. What is taken as a list has names of ours only, in order
 * behind the cursor, and a cursor behind the old one wherever more follows; what is refused leaves the page alone.
 *
 *   cmake -DNM_FUZZ=ON -DNM_SANITIZE=address,undefined …; fuzz_store tests/fuzz/corpus/store */
#include "images/store_s3.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds, const char *what)
{
    if (holds)
        return;
    (void)fprintf(stderr, "broken: %s\n", what);
    abort();
}

static void as_name(const char *text, size_t len)
{
    struct im_name name;
    char again[IM_NAME_BYTES];
    if (!im_name_read(text, len, &name))
        return;
    im_name_write(&name, again);
    require(strlen(again) == len && memcmp(again, text, len) == 0, "a name is written as it was read");
    require(im_type_name(name.type)[0] != '\0', "a media type");
}

static void as_list(const char *xml, size_t len)
{
    static struct im_entry entry[8];
    static const char start[] = "o/1";
    struct im_page page = {.entry = entry, .max = 8};
    struct nm_error err = {0};
    memcpy(page.cursor, start, sizeof start);
    enum nm_status status = im_s3_list_read(xml, len, "p/", &page, &err);
    if (status != NM_OK) {
        require(status == NM_BAD_INPUT && err.code[0] && strlen(err.msg) > 10, "a code and a sentence");
        require(page.n == 0 && strcmp(page.cursor, start) == 0, "the page is untouched");
        return;
    }
    require(page.n <= page.max, "no more than there is room for");
    require(!page.more || strcmp(page.cursor, start) > 0, "the cursor moves");
    for (size_t i = 0; i < page.n; i++) {
        struct im_name name;
        require(im_name_read(entry[i].name, strlen(entry[i].name), &name), "a name of ours");
        require(strcmp(entry[i].name, i ? entry[i - 1].name : start) > 0, "in order");
        require(strcmp(entry[i].name, page.cursor) <= 0, "the cursor is behind all");
        require(entry[i].bytes >= 0 && entry[i].changed_s >= 0, "numbers");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    char code[IM_S3_CODE_BYTES];
    as_name(text, size);
    as_list(text, size);
    im_s3_error_code(text, size, code);
    require(strlen(code) < sizeof code, "a code that ends");
    return 0;
}
