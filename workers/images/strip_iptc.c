/* strip_iptc.c - who made a photograph and who owns it, from the IPTC record of a JPEG.
 *
 * The record lies in resource 0x0404 of Photoshop's resource blocks, in APP13. Layout: Adobe Photoshop File Formats
 * ("Image Resource Blocks"); data sets: IPTC-NAA IIM 4.2, chapters 1, 5 and 6. Each segment is read by itself: a
 * resource that goes on in the next segment counts as broken. Everything else in these blocks (thumbnails, paths, XMP,
 * captions, places) is left out by never being looked at. */
#include "strip_internal.h"

#include <string.h>

enum { RESOURCE_IPTC = 0x0404 };
enum { SET_CHARACTERS = 0x015A, SET_BYLINE = 0x0250, SET_CREDIT = 0x026E, SET_COPYRIGHT = 0x0274 }; /* record, number */

static const char utf8_escape[3] = {0x1B, '%', 'G'}; /* ISO 2022: UTF-8 from here on */

static void take_set(uint32_t set, struct im_span value, struct im_iptc *iptc)
{
    switch (set) {
    case SET_CHARACTERS:
        iptc->utf8 = iptc->utf8 || (value.len == sizeof utf8_escape && im_starts(value, utf8_escape, value.len));
        break;
    case SET_BYLINE:
        if (iptc->n_bylines < IM_BYLINES) {
            struct im_text *byline = &iptc->byline[iptc->n_bylines];
            im_text_take(byline, value);
            iptc->n_bylines += byline->len > 0;
        }
        break;
    case SET_CREDIT:
        im_text_take(&iptc->credit, value);
        break;
    case SET_COPYRIGHT:
        im_text_take(&iptc->copyright, value);
        break;
    default:
        break;
    }
}

/* Data sets: 0x1C, record, number, length, value. A length above 32,767 announces a longer one; no text needs that. */
static void read_sets(struct im_span rest, struct im_iptc *iptc)
{
    struct im_span head, value;
    while (im_take(&rest, 5, &head) && head.data[0] == 0x1C && im_take(&rest, im_be16(head.data + 3), &value))
        take_set(im_be16(head.data + 1), value, iptc);
}

/* A resource: "8BIM", id, name (a length and bytes, together even), size, data (padded to even). */
static bool read_resource(struct im_span *rest, struct im_iptc *iptc)
{
    struct im_span head, name, size, data, pad;
    if (!im_take(rest, 7, &head) || !im_starts(head, "8BIM", 4) || !im_take(rest, head.data[6] | 1U, &name) ||
        !im_take(rest, 4, &size) || !im_take(rest, im_be32(size.data), &data))
        return false;
    if (im_be16(head.data + 4) == RESOURCE_IPTC)
        read_sets(data, iptc);
    return im_take(rest, data.len & 1, &pad);
}

void im_iptc_read(struct im_span payload, struct im_iptc *iptc)
{
    struct im_span prefix;
    if (!im_starts(payload, IM_IPTC_PREFIX, sizeof IM_IPTC_PREFIX) ||
        !im_take(&payload, sizeof IM_IPTC_PREFIX, &prefix))
        return;
    while (read_resource(&payload, iptc)) {
    }
}

static void add_set(struct nm_buf *out, uint32_t set, const void *value, size_t len)
{
    if (len == 0)
        return;
    nm_buf_addc(out, 0x1C);
    im_add_be16(out, set);
    im_add_be16(out, (uint32_t)len);
    nm_buf_add(out, value, len);
}

static size_t set_bytes(size_t len)
{
    return len ? 5 + len : 0;
}

void im_iptc_write(struct im_strip *job, const struct im_iptc *iptc)
{
    struct nm_buf *out = &job->scratch;
    size_t size = set_bytes(iptc->credit.len) + set_bytes(iptc->copyright.len);

    nm_buf_reset(out);
    for (size_t i = 0; i < iptc->n_bylines; i++)
        size += set_bytes(iptc->byline[i].len);
    if (size == 0 || !job->keep_copyright)
        return;
    if (iptc->utf8)
        size += set_bytes(sizeof utf8_escape);
    nm_buf_add(out, IM_IPTC_PREFIX, sizeof IM_IPTC_PREFIX);
    nm_buf_adds(out, "8BIM");
    im_add_be16(out, RESOURCE_IPTC);
    im_add_be16(out, 0); /* no name */
    im_add_be32(out, (uint32_t)size);
    if (iptc->utf8)
        add_set(out, SET_CHARACTERS, utf8_escape, sizeof utf8_escape);
    for (size_t i = 0; i < iptc->n_bylines; i++)
        add_set(out, SET_BYLINE, iptc->byline[i].data, iptc->byline[i].len);
    add_set(out, SET_CREDIT, iptc->credit.data, iptc->credit.len);
    add_set(out, SET_COPYRIGHT, iptc->copyright.data, iptc->copyright.len);
    if (size & 1)
        nm_buf_addc(out, 0);
}
