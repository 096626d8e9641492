/* fuzz_feed.c - any bytes as an RSS or Atom feed.
 *
 * The first byte chooses the size of the pieces in which it is read, the second how large an item may be. Held: every
 * item is an object; where nothing is refused, the pieces make no difference (where something is, libxml2 may notice a
 * mistake one item earlier or later). */
#include "support/fuzz_load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t block = data[0], max_bytes = ((size_t)data[1] + 1) * 16;
    data += 2;
    size -= 2;
    struct outcome whole = fuzz_read(nm_read_feed, JSON_OBJECT, data, size, 0, max_bytes);
    struct outcome pieces = fuzz_read(nm_read_feed, JSON_OBJECT, data, size, block, max_bytes);
    if (whole.status == NM_OK && whole.n_refusals == 0 && pieces.n_refusals == 0)
        fuzz_same(&whole, &pieces);
    fuzz_clear(&whole);
    fuzz_clear(&pieces);
    return 0;
}
