/* output.h - writing a whole run of bytes to a file of a request, with write(2) only: the sandbox allows no more. */
#ifndef IMAGES_OUTPUT_H
#define IMAGES_OUTPUT_H

#include "newsmill/status.h"
#include "reason.h"

#include <stdint.h>

/* Appends to *bytes what was written, also where it failed half-way. store_full: the disk is; store_io: anything else.
 */
NM_MUST_USE enum im_reason im_output(int fd, const void *data, size_t len, int64_t *bytes);

#endif
