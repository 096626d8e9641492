/* strip_gif.c - a GIF of its screen, its frames and how they follow each other.
 *
 * Blocks: GIF89a, sections 17 to 27; the loop count is the application extension that Netscape defined. Comments, plain
 * texts and other extensions are left out. A graphic control belongs to the next frame or text: it waits for the frame,
 * and goes with a text. Extensions are written afresh, so that no sub-block hides behind the one that counts. */
#include "strip_internal.h"

enum { HEADER_BYTES = 6, SCREEN_BYTES = 7, DESCRIPTOR_BYTES = 9, MAX_CODE_BITS = 8 };
enum { EXTENSION = 0x21, IMAGE = 0x2C, TRAILER = 0x3B };
enum { PLAIN_TEXT = 0x01, CONTROL = 0xF9, APPLICATION = 0xFF };
enum { CONTROL_BYTES = 4, APPLICATION_BYTES = 11, LOOP_BYTES = 3 };

struct gif {
    struct nm_buf *out;
    struct im_span rest;    /* not read yet */
    struct im_span control; /* of the next frame; no data: none */
    bool looped, framed;
};

/* One sub-block; it is empty at the end of a chain. */
static bool take_block(struct im_span *rest, struct im_span *block)
{
    struct im_span size;
    return im_take(rest, 1, &size) && im_take(rest, size.data[0], block);
}

/* The rest of a chain; false where it has no end. */
static bool skip_blocks(struct im_span *rest)
{
    struct im_span block;
    do
        if (!take_block(rest, &block))
            return false;
    while (block.len);
    return true;
}

/* A colour table whose presence and size stand in `flags`. */
static bool take_table(struct im_span *rest, uint8_t flags, struct im_span *table)
{
    return im_take(rest, flags & 0x80 ? (size_t)3 << ((flags & 7) + 1) : 0, table);
}

/* Behind the name of Netscape's extension: sub-blocks, of which number 1 is the loop count. */
static bool copy_loop(struct gif *gif)
{
    struct im_span block;
    do {
        if (!take_block(&gif->rest, &block))
            return false;
        if (block.len != LOOP_BYTES || (block.data[0] & 7) != 1 || gif->looped)
            continue;
        gif->looped = true;
        nm_buf_add(gif->out, "\x21\xFF\x0BNETSCAPE2.0\x03\x01", 16);
        nm_buf_add(gif->out, block.data + 1, 2);
        nm_buf_addc(gif->out, 0);
    } while (block.len);
    return true;
}

static bool read_extension(struct gif *gif)
{
    struct im_span label, first;
    if (!im_take(&gif->rest, 1, &label) || !take_block(&gif->rest, &first))
        return false;
    if (first.len == 0)
        return true;
    if (label.data[0] == CONTROL && first.len == CONTROL_BYTES)
        gif->control = first;
    else if (label.data[0] == PLAIN_TEXT)
        gif->control = (struct im_span){0};
    else if (label.data[0] == APPLICATION && first.len == APPLICATION_BYTES &&
             (im_starts(first, "NETSCAPE2.0", APPLICATION_BYTES) || im_starts(first, "ANIMEXTS1.0", APPLICATION_BYTES)))
        return copy_loop(gif);
    return skip_blocks(&gif->rest);
}

static bool copy_frame(struct gif *gif)
{
    struct im_span descriptor, table, bits, start = gif->rest;
    if (!im_take(&gif->rest, DESCRIPTOR_BYTES, &descriptor) || !take_table(&gif->rest, descriptor.data[8], &table) ||
        !im_take(&gif->rest, 1, &bits) || bits.data[0] < 1 || bits.data[0] > MAX_CODE_BITS || !skip_blocks(&gif->rest))
        return false;
    if (gif->control.data) {
        nm_buf_add(gif->out, "\x21\xF9\x04", 3);
        im_add_span(gif->out, gif->control);
        nm_buf_addc(gif->out, 0);
    }
    gif->control = (struct im_span){0};
    gif->framed = true;
    nm_buf_addc(gif->out, IMAGE);
    im_add_span(gif->out, (struct im_span){start.data, start.len - gif->rest.len});
    return true;
}

enum im_reason im_strip_gif(struct im_strip *job)
{
    struct gif gif = {.out = job->out, .rest = job->in};
    struct im_span header, screen, table, kind = {0};
    if (!(im_starts(gif.rest, "GIF87a", HEADER_BYTES) || im_starts(gif.rest, "GIF89a", HEADER_BYTES)) ||
        !im_take(&gif.rest, HEADER_BYTES, &header) || !im_take(&gif.rest, SCREEN_BYTES, &screen) ||
        !take_table(&gif.rest, screen.data[4], &table))
        return IM_decode_fail;
    im_add_span(gif.out, header);
    im_add_span(gif.out, screen);
    im_add_span(gif.out, table);
    while (im_take(&gif.rest, 1, &kind) && kind.data[0] != TRAILER) {
        bool whole = kind.data[0] == EXTENSION ? read_extension(&gif) : kind.data[0] == IMAGE && copy_frame(&gif);
        if (!whole)
            return IM_decode_fail;
    }
    if (!kind.data || kind.data[0] != TRAILER || !gif.framed)
        return IM_decode_fail;
    nm_buf_addc(gif.out, TRAILER);
    return IM_NONE;
}
