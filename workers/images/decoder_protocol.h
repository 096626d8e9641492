/* decoder_protocol.h - what the worker and a decoder process say to each other: fixed-size packets over SOCK_SEQPACKET.
 *
 *   worker  -> decoder   setup, once; then a request with its files, one at a time
 *   decoder -> worker    ready, once the sandbox is closed; then one reply a request
 *
 * Both ends are the same program on the same machine, so numbers are in its own byte order. A decoder may have been
 * taken over by an image: what comes from it is checked like any foreign input, down to the sizes that it must have
 * computed. Files of a request, by SCM_RIGHTS: the image, opened read-only, then one empty file a thumbnail, then one
 * for the public copy where it is wanted. Pure functions, thread-safe. */
#ifndef IMAGES_DECODER_PROTOCOL_H
#define IMAGES_DECODER_PROTOCOL_H

#include "probe.h"
#include "strip.h"
#include "thumbnails.h"

#define IM_DECODER_FD        3               /* the decoder's end of its socket                   */
#define IM_DECODER_FILES     (2 + IM_THUMBS) /* of one request, at most                           */
#define IM_DECODER_IN_BYTES  67108864        /* of an image file: the maximum of fetch.bodyBytes */
#define IM_DECODER_OUT_BYTES (IM_DECODER_IN_BYTES + IM_STRIP_MORE) /* of a written file, RLIMIT_FSIZE */
#define IM_MEMORY_MIN        268435456 /* bytes of address space: the worst honest picture takes as much */
#define IM_MEMORY_MAX        4294967296

enum im_copy { IM_COPY_NONE = 0, IM_COPY_BARE, IM_COPY_CREDITED }; /* credited: with artist, copyright, credit */

struct im_setup {
    uint32_t magic, zero;
    int64_t memory_bytes; /* RLIMIT_AS */
};

struct im_ready {
    uint32_t magic, zero;
};

struct im_request {
    uint32_t magic, job;                    /* the reply carries the same number    */
    int32_t type, raw_width, raw_height;    /* of struct im_facts                   */
    int32_t orientation, no_end, max_scans; /* no_end: 0 or 1                       */
    int64_t end, max_pixels;                /* bytes of the image; a GIF's frame    */
    int32_t n_thumbs, copy;                 /* copy: enum im_copy                   */
    struct im_thumb thumb[IM_THUMBS];       /* those behind n_thumbs are zero       */
};

struct im_reply_thumb {
    int32_t width, height; /* upright; 0: not smaller than the picture, none made */
    int64_t bytes;
};

struct im_reply {
    uint32_t magic, job;
    int32_t reason;        /* enum im_reason                                  */
    int32_t width, height; /* of the decoded canvas as stored; 0 on a failure */
    int32_t n_thumbs;
    int64_t copy_bytes;                     /* 0: none was wanted */
    struct im_reply_thumb thumb[IM_THUMBS]; /* all 0 on a failure */
};

/* The packet of a job, whose number is 0 until the caller sets it; false: a value is out of range, which the probe and
 * the options rule out. *out is untouched then. */
NM_MUST_USE bool im_request_write(const struct im_facts *facts, const struct im_limits *limits,
                                  const struct im_thumb *thumb, int n_thumbs, enum im_copy copy,
                                  struct im_request *out);

size_t im_request_files(const struct im_request *request); /* that go with it */

/* Checks a received packet; false: refuse, *out is untouched. n_files: that came with it. */
NM_MUST_USE bool im_request_read(const void *packet, size_t len, size_t n_files, struct im_request *out);
NM_MUST_USE bool im_setup_read(const void *packet, size_t len, struct im_setup *out);
NM_MUST_USE bool im_ready_read(const void *packet, size_t len);

/* Checks a received reply against its request: the number, a reason that a decoder can have, sizes that follow from the
 * request. How many bytes really lie in the files is the caller's to compare. */
NM_MUST_USE bool im_reply_read(const void *packet, size_t len, const struct im_request *request, struct im_reply *out);

void im_setup_write(int64_t memory_bytes, struct im_setup *out);
void im_ready_write(struct im_ready *out);
void im_reply_write(const struct im_request *request, enum im_reason reason, struct im_reply *out); /* no sizes yet */

#endif
