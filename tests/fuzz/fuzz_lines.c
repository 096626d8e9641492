/* fuzz_lines.c - any bytes as a file of lines, packed or not.
 *
 * The first byte chooses the size of the pieces in which the file is read, the second how long a line may be. Held: the
 * pieces make no difference; what is packed by this test, in two members, gives the same lines as unpacked; the format
 * is told without taking anything. */
#include "newsmill/format.h"
#include "support/fuzz_load.h"

#include <string.h>
#include <zlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void pack(const uint8_t *data, size_t len, struct nm_buf *out)
{
    unsigned char block[4096];
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)data, .avail_in = (uInt)len};
    int code = deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);

    while (code == Z_OK) {
        z.next_out = block;
        z.avail_out = sizeof block;
        code = deflate(&z, Z_FINISH);
        nm_buf_add(out, block, sizeof block - z.avail_out);
    }
    fuzz_require(code == Z_STREAM_END);
    (void)deflateEnd(&z);
}

/* As a reader: it looks, then reads the lines. */
static enum nm_status detect_and_read(struct nm_source *source, const struct nm_sink *sink, struct nm_error *err)
{
    enum nm_format format = NM_N_FORMATS;
    enum nm_status status = nm_format_detect(source, &format, err);

    fuzz_require(status != NM_OK || format < NM_N_FORMATS);
    return status == NM_OK ? nm_read_lines(source, sink, err) : status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t block = data[0], max_bytes = (size_t)data[1] + 1;
    data += 2;
    size -= 2;
    struct outcome whole = fuzz_read(nm_read_lines, ANY_LINE, data, size, 0, max_bytes);
    struct outcome pieces = fuzz_read(nm_read_lines, ANY_LINE, data, size, block, max_bytes);
    struct outcome looked = fuzz_read(detect_and_read, ANY_LINE, data, size, block, max_bytes);
    if (whole.status == NM_OK)
        fuzz_same(&whole, &pieces);
    if (looked.status == NM_OK)
        fuzz_same(&whole, &looked);
    bool packed = size >= 2 && data[0] == 0x1F && data[1] == 0x8B;
    if (!packed) {
        struct nm_buf twice = {0};
        pack(data, size / 2, &twice);
        pack(data + size / 2, size - size / 2, &twice);
        struct outcome unpacked = fuzz_read(nm_read_lines, ANY_LINE, twice.data, twice.len, block, max_bytes);
        fuzz_same(&whole, &unpacked);
        fuzz_clear(&unpacked);
        nm_buf_clear(&twice);
    }
    fuzz_clear(&whole);
    fuzz_clear(&pieces);
    fuzz_clear(&looked);
    return 0;
}
