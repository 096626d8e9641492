/* strip.h - the public copy of an image: the same picture, without what its file tells beside it.
 *
 * Nothing is encoded again: the parts that make the picture are copied byte for byte, everything else is left out. An
 * element that is not known is left out, so that what a camera maker invents tomorrow does not get through.
 *
 *   JPEG  kept: tables, frame, scans, ICC, Adobe's colour transform, JFIF without its thumbnail. An EOI is added where
 *         it lacks. Left out: every other APPn, comments, bytes between segments, everything behind EOI.
 *   PNG   kept: IHDR PLTE IDAT IEND, colour chunks, iCCP (checked, its name replaced), pHYs, the frames of an APNG.
 *   GIF   kept: screen, colour tables, frames with their graphic control, the loop count. An ICC extension is left out:
 *         browsers show GIF as sRGB.
 *   WebP  kept: VP8X with its flags set anew, ICCP, ANIM, ANMF (filtered inside), ALPH, VP8, VP8L.
 *
 * EXIF and IPTC are never copied: a new block holds the orientation and, with keep_copyright, artist and copyright
 * (EXIF), by-lines, credit and copyright notice (IPTC), Author, Copyright and Credit (tEXt, iTXt). XMP never stays.
 * Texts are one line: control characters are spaces, at most IM_STRIP_TEXT bytes, no change of character set.
 * Broken metadata is left out, it is never an error.
 *
 * Pure: the same bytes, facts and keep_copyright give the same bytes, and the copy of a copy is that copy. Time is
 * linear in len; of one iCCP at most 4 MiB are inflated. Memory: `out` and scratch of at most len + 64 KiB each.
 * Thread-safe.
 *
 * Not checked here: whether the picture is complete and decodes (im_probe_file() and the decoder say so), and what is
 * hidden in compressed data behind its own end. */
#ifndef IMAGES_STRIP_H
#define IMAGES_STRIP_H

#include "probe.h"

#include "newsmill/buf.h"
#include "newsmill/status.h"

#define IM_STRIP_TEXT 1024  /* bytes of one kept text; IPTC names 128 for its longest, EXIF no limit */
#define IM_STRIP_MORE 65536 /* bytes that a copy may have more than its original: new blocks of metadata */

/* Appends the public copy of the image in [data, data + len), whose bytes are borrowed. From `facts` two members are
 * used: `type`, and `orientation` where it is 1 to 8, so that the copy is shown with the width and height that the
 * facts tell; where it is 0 the copy has the orientation of its EXIF block. A copy as simple WebP (without VP8X) and as
 * GIF has none. IM_NONE; or, with `out` as long as before: IM_type_not_allowed: the type is none of the four.
 * IM_decode_fail: no image of this type, or no whole structure of one; take it as broken. IM_decode_killed: out of
 * memory; another try may succeed. */
NM_MUST_USE enum im_reason im_strip(const uint8_t *data, size_t len, const struct im_facts *facts, bool keep_copyright,
                                    struct nm_buf *out);

#endif
