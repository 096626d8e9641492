/* fuzz_json.c - any bytes as a JSON text of events.
 *
 * The first byte chooses the size of the pieces in which it is read, the second how long an event may be. Held: the
 * pieces make no difference; a valid array without a container in it gives each of its elements, and no complaint. */
#include "support/fuzz_load.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool holds(const uint8_t *data, size_t size, const char *word)
{
    size_t len = strlen(word);
    for (size_t i = 0; i + len <= size; i++)
        if (memcmp(data + i, word, len) == 0)
            return true;
    return false;
}

/* Elements of a text that is one array and nothing else; -1: it is none, or holds what may be a container. */
static long plain_elements(const uint8_t *data, size_t size)
{
    yyjson_doc *doc = yyjson_read((const char *)data, size, YYJSON_READ_BIGNUM_AS_RAW);
    yyjson_val *root = yyjson_doc_get_root(doc);
    long n = yyjson_is_arr(root) ? (long)yyjson_arr_size(root) : -1;

    yyjson_doc_free(doc);
    /* an escape may hide a name */
    return n < 0 || holds(data, size, "\\u") || holds(data, size, "@graph") || holds(data, size, "jsonfeed") ? -1 : n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t block = data[0], max_bytes = ((size_t)data[1] + 1) * 16;
    data += 2;
    size -= 2;
    if (size >= 2 && data[0] == 0x1F && data[1] == 0x8B)
        return 0; /* fuzz_lines */
    struct outcome whole = fuzz_read(nm_read_json, ANY_JSON, data, size, 0, max_bytes);
    struct outcome pieces = fuzz_read(nm_read_json, ANY_JSON, data, size, block, max_bytes);
    fuzz_same(&whole, &pieces);
    long n = size <= max_bytes ? plain_elements(data, size) : -1;
    fuzz_require(n < 0 || (whole.n_events == (size_t)n && whole.n_refusals == 0));
    fuzz_clear(&whole);
    fuzz_clear(&pieces);
    return 0;
}
