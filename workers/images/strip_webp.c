/* strip_webp.c - a WebP of the chunks that make the picture or its animation.
 *
 * Container: RFC 9649, section 2. The simple form is one chunk VP8 or VP8L and can carry nothing else. The extended
 * form begins with VP8X; its chunks are collected first and written in the order of the RFC, the flags of VP8X telling
 * what is really there. Inside ANMF the same chunks stay as outside. */
#include "strip_internal.h"

#include <string.h>

enum { RIFF_BYTES = 12, CHUNK_BYTES = 8, VP8X_BYTES = 10, ANIM_BYTES = 6, ANMF_BYTES = 16 };
enum { HAS_ICC = 0x20, HAS_ALPHA = 0x10, HAS_EXIF = 0x08, IS_ANIMATION = 0x02 }; /* first byte of VP8X */

struct chunk {
    const char *type; /* four bytes of the input */
    struct im_span body;
};

/* A still picture: its bitstream, and for lossy VP8 an alpha plane in front of it. */
struct picture {
    struct chunk alpha, image;
};

struct webp {
    struct im_strip *job;
    struct im_span vp8x, icc, anim;
    struct picture still;
    bool has_exif, framed;
    struct im_exif exif;
};

static bool is(const struct chunk *chunk, const char *type)
{
    return memcmp(chunk->type, type, 4) == 0;
}

/* The next chunk and the byte that pads it, which may lack at the end; false at the end. *broken: it is not whole. */
static bool take_chunk(struct im_span *rest, struct chunk *chunk, bool *broken)
{
    struct im_span head, pad;
    if (!im_take(rest, CHUNK_BYTES, &head))
        return false;
    chunk->type = (const char *)head.data;
    *broken = !im_take(rest, im_le32(head.data + 4), &chunk->body);
    return !*broken && im_take(rest, rest->len ? chunk->body.len & 1 : 0, &pad);
}

static size_t chunk_bytes(size_t body)
{
    return CHUNK_BYTES + body + (body & 1);
}

static void add_head(struct nm_buf *out, const char *type, size_t body)
{
    nm_buf_add(out, type, 4);
    im_add_le32(out, (uint32_t)body);
}

static void add_chunk(struct nm_buf *out, const char *type, struct im_span body)
{
    add_head(out, type, body.len);
    im_add_span(out, body);
    if (body.len & 1)
        nm_buf_addc(out, 0);
}

/* ---- a picture, by itself or inside a frame ---- */

/* False for a second picture. Chunks that belong to none are passed over. */
static bool take_picture(struct picture *picture, const struct chunk *chunk)
{
    bool image = is(chunk, "VP8 ") || is(chunk, "VP8L");
    if (image && picture->image.type)
        return false;
    if (image)
        picture->image = *chunk;
    else if (is(chunk, "ALPH") && !picture->image.type)
        picture->alpha = *chunk;
    return true;
}

static bool has_alpha(const struct picture *picture)
{
    return picture->alpha.type && is(&picture->image, "VP8 "); /* VP8L has its own */
}

static size_t picture_bytes(const struct picture *picture)
{
    return chunk_bytes(picture->image.body.len) + (has_alpha(picture) ? chunk_bytes(picture->alpha.body.len) : 0);
}

static void add_picture(struct nm_buf *out, const struct picture *picture)
{
    if (has_alpha(picture))
        add_chunk(out, "ALPH", picture->alpha.body);
    add_chunk(out, picture->image.type, picture->image.body);
}

static bool copy_frame(struct webp *webp, struct im_span body)
{
    struct im_span head;
    struct picture picture = {0};
    struct chunk chunk;
    bool broken = false;
    if (!im_take(&body, ANMF_BYTES, &head))
        return false;
    while (take_chunk(&body, &chunk, &broken))
        if (!take_picture(&picture, &chunk))
            return false;
    if (broken || !picture.image.type)
        return false;
    add_head(webp->job->out, "ANMF", ANMF_BYTES + picture_bytes(&picture));
    im_add_span(webp->job->out, head);
    add_picture(webp->job->out, &picture);
    webp->framed = true;
    return true;
}

/* ---- the extended form ---- */

static bool is_animation(const struct webp *webp)
{
    return webp->vp8x.data[0] & IS_ANIMATION;
}

static void take_exif(struct webp *webp, struct im_span body)
{
    struct im_span prefix;
    if (im_starts(body, "Exif\0", 6) && !im_take(&body, 6, &prefix)) /* as in a JPEG; some writers leave it there */
        return;
    webp->has_exif = im_exif_read(body, &webp->exif);
}

/* False for a picture in the wrong place. */
static bool collect(struct webp *webp, const struct chunk *chunk)
{
    if (is(chunk, "ICCP") && !webp->icc.len)
        webp->icc = (struct im_span){chunk->body.data, im_icc_size(chunk->body)};
    else if (is(chunk, "EXIF") && !webp->has_exif)
        take_exif(webp, chunk->body);
    else if (is(chunk, "ANIM") && chunk->body.len >= ANIM_BYTES && !webp->anim.data)
        webp->anim = (struct im_span){chunk->body.data, ANIM_BYTES};
    else
        return take_picture(&webp->still, chunk);
    return true;
}

static bool copy_frames(struct webp *webp, struct im_span rest)
{
    struct chunk chunk;
    bool broken = false;
    while (take_chunk(&rest, &chunk, &broken))
        if (is(&chunk, "ANMF") && !copy_frame(webp, chunk.body))
            return false;
    return webp->framed;
}

static void add_vp8x(struct webp *webp)
{
    uint8_t body[VP8X_BYTES];
    memcpy(body, webp->vp8x.data, sizeof body);
    body[0] &= HAS_ALPHA | IS_ANIMATION;
    if (webp->icc.len)
        body[0] |= HAS_ICC;
    if (webp->job->scratch.len)
        body[0] |= HAS_EXIF;
    memset(body + 1, 0, 3); /* reserved */
    add_chunk(webp->job->out, "VP8X", (struct im_span){body, sizeof body});
}

static bool copy_extended(struct webp *webp, struct im_span rest)
{
    struct nm_buf *out = webp->job->out, *block = &webp->job->scratch;
    struct im_span frames = rest;
    struct chunk chunk;
    bool broken = false;
    if (webp->vp8x.len < VP8X_BYTES)
        return false;
    while (take_chunk(&rest, &chunk, &broken))
        if (!collect(webp, &chunk))
            return false;
    bool animation = is_animation(webp);
    if (broken || (animation && !webp->anim.data) || animation == (webp->still.image.type != NULL))
        return false; /* an animation has frames and nothing else, a still picture its image */
    im_exif_write(webp->job, &webp->exif);
    add_vp8x(webp);
    if (webp->icc.len)
        add_chunk(out, "ICCP", webp->icc);
    if (animation) {
        add_chunk(out, "ANIM", webp->anim);
        if (!copy_frames(webp, frames))
            return false;
    } else {
        add_picture(out, &webp->still);
    }
    if (block->len)
        add_chunk(out, "EXIF", (struct im_span){(const uint8_t *)block->data, block->len});
    return true;
}

static bool copy_riff(struct webp *webp, struct im_span rest)
{
    struct chunk first;
    bool broken = false;
    if (!take_chunk(&rest, &first, &broken))
        return false;
    if (is(&first, "VP8X")) {
        webp->vp8x = first.body;
        return copy_extended(webp, rest);
    }
    if (!is(&first, "VP8 ") && !is(&first, "VP8L"))
        return false;
    add_chunk(webp->job->out, first.type, first.body);
    return true;
}

enum im_reason im_strip_webp(struct im_strip *job)
{
    struct webp webp = {.job = job};
    struct nm_buf *out = job->out;
    struct im_span head, rest = job->in, riff;
    size_t before = out->len;
    if (!im_take(&rest, RIFF_BYTES, &head) || memcmp(head.data, "RIFF", 4) != 0 ||
        memcmp(head.data + 8, "WEBP", 4) != 0 || im_le32(head.data + 4) < 4 ||
        !im_take(&rest, im_le32(head.data + 4) - 4, &riff))
        return IM_decode_fail;
    im_add_span(out, head);
    if (!copy_riff(&webp, riff))
        return IM_decode_fail;
    if (!nm_buf_ok(out))
        return IM_decode_killed;
    size_t size = out->len - before - CHUNK_BYTES;
    if (size > UINT32_MAX - 1)
        return IM_decode_fail;
    const uint8_t le[4] = {(uint8_t)size, (uint8_t)(size >> 8), (uint8_t)(size >> 16), (uint8_t)(size >> 24)};
    memcpy(out->data + before + 4, le, sizeof le);
    return IM_NONE;
}
