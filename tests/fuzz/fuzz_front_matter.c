/* fuzz_front_matter.c - any bytes as front matter, and any record there and back.
 *
 * The first byte chooses the size of the pieces in which it is read. Held: an event is an object; the pieces make no
 * difference; a record (bytes that are a JSON object) that is written as front matter is read back without a complaint,
 * with the same title. */
#include "newsmill/front_matter.h"
#include "support/fuzz_load.h"

#include <string.h>

#define MAX_BYTES ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void there_and_back(const uint8_t *data, size_t size)
{
    struct nm_buf text = {0};

    if (nm_front_matter((const char *)data, size, &text, NULL) != NM_OK)
        return;
    yyjson_doc *record = yyjson_read((const char *)data, size, 0);
    struct outcome back = fuzz_read(nm_read_front_matter, JSON_OBJECT, text.data, text.len, 0, MAX_BYTES);
    yyjson_val *root = yyjson_doc_get_root(record), *title = yyjson_obj_get(root, "title");
    if (back.n_refusals == 0 && back.n_events == 1) {
        yyjson_doc *event = yyjson_read(back.events.data, back.events.len, 0);
        yyjson_val *again = yyjson_obj_get(yyjson_doc_get_root(event), "title");
        if (yyjson_is_str(title) && yyjson_get_len(title) > 0)
            fuzz_require(yyjson_equals(title, again));
        yyjson_doc_free(event);
    } else { /* a number that no article has, or a record in which nothing is known */
        fuzz_require(strstr(nm_buf_str(&back.refusals), "whole number") ||
                     strstr(nm_buf_str(&back.refusals), "nothing between"));
    }
    fuzz_clear(&back);
    yyjson_doc_free(record);
    nm_buf_clear(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    size_t block = data[0];
    data++;
    size--;
    if (size >= 2 && data[0] == 0x1F && data[1] == 0x8B)
        return 0; /* fuzz_lines */
    there_and_back(data, size);
    struct outcome whole = fuzz_read(nm_read_front_matter, JSON_OBJECT, data, size, 0, MAX_BYTES);
    struct outcome pieces = fuzz_read(nm_read_front_matter, JSON_OBJECT, data, size, block, MAX_BYTES);
    fuzz_same(&whole, &pieces);
    fuzz_clear(&whole);
    fuzz_clear(&pieces);
    return 0;
}
