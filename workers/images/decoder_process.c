/* decoder_process.c - receive, map, decode, write thumbnails and public copy, answer.
 *
 * Nothing of one job is kept for the next. The image is mapped, not read: its bytes take no memory of their own, and
 * the worker has opened it read-only. */
#include "decoder_process.h"

#include "decoder_sandbox.h"
#include "output.h"
#include "raster.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static void close_all(const int *file, size_t n)
{
    for (size_t i = 0; i < n; i++)
        (void)close(file[i]);
}

/* A packet with its files. 0: the worker closed the socket; -1: the packet is cut, or the socket failed. */
static ssize_t receive(int socket_fd, void *packet, size_t size, int file[IM_DECODER_FILES], size_t *n_files)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * IM_DECODER_FILES)];
    } control;
    struct iovec part = {packet, size};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t n;
    do
        n = recvmsg(socket_fd, &message, 0);
    while (n < 0 && errno == EINTR);
    *n_files = 0;
    if (n <= 0)
        return n;
    for (struct cmsghdr *part_of = CMSG_FIRSTHDR(&message); part_of; part_of = CMSG_NXTHDR(&message, part_of)) {
        if (part_of->cmsg_level != SOL_SOCKET || part_of->cmsg_type != SCM_RIGHTS)
            continue;
        size_t bytes = part_of->cmsg_len - CMSG_LEN(0);
        *n_files = bytes / sizeof(int);
        memcpy(file, CMSG_DATA(part_of), bytes);
    }
    if (!(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
        return n;
    close_all(file, *n_files);
    *n_files = 0;
    return -1;
}

static bool send_packet(int socket_fd, const void *packet, size_t len)
{
    ssize_t n;
    do
        n = sendto(socket_fd, packet, len, MSG_NOSIGNAL, NULL, 0);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)len;
}

static enum im_reason make_thumbnails(const struct im_request *request, const uint8_t *data, const int *file,
                                      struct im_reply *reply)
{
    struct im_source source = {.data = data,
                               .len = (size_t)request->end,
                               .type = (enum im_type)request->type,
                               .raw_width = request->raw_width,
                               .raw_height = request->raw_height,
                               .max_scans = request->max_scans,
                               .max_pixels = request->max_pixels,
                               .no_end = request->no_end};
    struct im_thumbs set;
    im_thumbs_init(&set, request->thumb, request->n_thumbs, request->raw_width, request->raw_height,
                   request->orientation);
    enum im_reason reason = im_raster_read(&source, &set);
    for (int i = 0; reason == IM_NONE && i < request->n_thumbs; i++) {
        struct im_reply_thumb *thumb = &reply->thumb[i];
        reason = im_thumbs_write(&set, i, file[1 + i], &thumb->width, &thumb->height, &thumb->bytes);
    }
    im_thumbs_clear(&set);
    return reason;
}

/* The public copy, in memory first: it is seldom larger than the image, and a broken one leaves an empty file. */
static enum im_reason make_copy(const struct im_request *request, const uint8_t *data, int fd, int64_t *bytes)
{
    struct im_facts facts = {.type = (enum im_type)request->type, .orientation = request->orientation};
    struct nm_buf copy = {0};
    enum im_reason reason = im_strip(data, (size_t)request->end, &facts, request->copy == IM_COPY_CREDITED, &copy);
    if (reason == IM_type_not_allowed)
        reason = IM_decode_fail; /* the request has one of the four: the bytes are another */
    if (reason == IM_NONE)
        reason = im_output(fd, copy.data, copy.len, bytes);
    nm_buf_clear(&copy);
    return reason;
}

void im_decoder_serve(const struct im_request *request, const int *file, struct im_reply *reply)
{
    im_reply_write(request, IM_NONE, reply);
    off_t size = lseek(file[0], 0, SEEK_END);
    if (size < request->end) {
        im_reply_write(request, IM_truncated, reply);
        return;
    }
    void *data = mmap(NULL, (size_t)request->end, PROT_READ, MAP_PRIVATE, file[0], 0);
    if (data == MAP_FAILED) {
        im_reply_write(request, errno == ENOMEM ? IM_decode_killed : IM_store_io, reply);
        return;
    }
    enum im_reason reason = make_thumbnails(request, data, file, reply);
    if (reason == IM_NONE && request->copy != IM_COPY_NONE)
        reason = make_copy(request, data, file[1 + request->n_thumbs], &reply->copy_bytes);
    (void)munmap(data, (size_t)request->end);
    if (reason != IM_NONE) {
        im_reply_write(request, reason, reply);
        return;
    }
    reply->width = request->raw_width;
    reply->height = request->raw_height;
    reply->n_thumbs = request->n_thumbs;
}

static int serve_all(int socket_fd, im_decoder_hook *hook)
{
    for (;;) {
        char packet[sizeof(struct im_request)];
        int file[IM_DECODER_FILES] = {0};
        size_t n_files;
        struct im_request request;
        struct im_reply reply;
        ssize_t n = receive(socket_fd, packet, sizeof packet, file, &n_files);
        if (n == 0)
            return 0;
        bool good = n > 0 && im_request_read(packet, (size_t)n, n_files, &request);
        if (good && (!hook || hook(socket_fd, &request))) {
            im_decoder_serve(&request, file, &reply);
            good = send_packet(socket_fd, &reply, sizeof reply);
        }
        close_all(file, n_files);
        if (!good)
            return 1;
    }
}

int im_decoder_run(int socket_fd, im_decoder_hook *hook)
{
    char packet[sizeof(struct im_setup)];
    int file[IM_DECODER_FILES] = {0};
    size_t n_files;
    struct im_setup setup;
    struct nm_error err = {0};
    ssize_t n = receive(socket_fd, packet, sizeof packet, file, &n_files);
    close_all(file, n_files);
    if (n <= 0 || !im_setup_read(packet, (size_t)n, &setup))
        return n == 0 ? 0 : 1;
    if (im_sandbox_enter(socket_fd, setup.memory_bytes, &err) != NM_OK) {
        (void)fprintf(stderr, "newsmill decoder: %s\n", err.msg);
        return 2;
    }
    struct im_ready ready;
    im_ready_write(&ready);
    if (!send_packet(socket_fd, &ready, sizeof ready))
        return 1;
    return serve_all(socket_fd, hook);
}

int im_decoder_main(int socket_fd)
{
    return im_decoder_run(socket_fd, NULL);
}
