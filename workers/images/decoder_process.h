/* decoder_process.h - the decoder process: the program that an image may break.
 *
 * Started by the worker (decoder.h) as its own program again, with its socket as file descriptor IM_DECODER_FD and no
 * other file; closes its sandbox (decoder_sandbox.h), then takes one request after the other until the worker closes
 * the socket. Decodes the first frame in full, writes the thumbnails, answers. One thread. */
#ifndef IMAGES_DECODER_PROCESS_H
#define IMAGES_DECODER_PROCESS_H

#include "decoder_protocol.h"

/* The whole process. Returns its exit code: 0 the worker closed the socket; 1 it sent what is no request, or is gone; 2
 * no sandbox (said on standard error). Leave with _exit(): handlers of exit() may do what the sandbox forbids. */
int im_decoder_main(int socket_fd);

/* Called with each request in the closed sandbox, before it is served; false: no answer is given to it. For tests,
 * which make a decoder misbehave; the worker passes none. */
typedef bool im_decoder_hook(int socket_fd, const struct im_request *request);
int im_decoder_run(int socket_fd, im_decoder_hook *hook);

/* One request in this process, with open files as in a request; fills *reply. For measuring. */
void im_decoder_serve(const struct im_request *request, const int *file, struct im_reply *reply);

#endif
