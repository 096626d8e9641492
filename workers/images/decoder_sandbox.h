/* decoder_sandbox.h - what a decoder process gives up before it sees the first image.
 *
 * Limits: address space, size of a written file, files open at once, no core file. Then no_new_privs, and a seccomp
 * list of the few calls that decoding needs; any other one kills the process. No open(2) is among them, so nothing of
 * the file system can be reached but what was passed in; no socket(2), so no network; no fork, exec or signal. CPU time
 * is limited from outside (decoder.h): the process itself cannot raise it. Under AddressSanitizer, which reserves
 * terabytes, the address space is not limited, and its own calls are allowed. */
#ifndef IMAGES_DECODER_SANDBOX_H
#define IMAGES_DECODER_SANDBOX_H

#include "newsmill/status.h"

#include <stdint.h>

/* For the calling process, for good. socket_fd: the only socket that may be used. memory_bytes: RLIMIT_AS.
 * NM_CONFIG: the kernel refuses; the message says what, and the process is to exit without decoding anything. */
NM_MUST_USE enum nm_status im_sandbox_enter(int socket_fd, int64_t memory_bytes, struct nm_error *err);

#endif
