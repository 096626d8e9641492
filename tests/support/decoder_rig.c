/* decoder_rig.c - see decoder_rig.h. */
#define _GNU_SOURCE /* memfd_create() */
#include "decoder_rig.h"

#include "images/decoder_process.h"
#include "newsmill/clock.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATIENCE_MS = 90000 }; /* far above any real wait: a test that reaches it has failed */

/* ---- the misbehaving process ---- */

/* Straight to the kernel: what the C library makes of a call is not the question. */
static void forbidden(enum dr_deed deed)
{
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    switch (deed) {
    case DR_SOCKET:
        (void)syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
        break;
    case DR_OPEN:
        (void)syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
        break;
    case DR_FORK:
        (void)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
        break;
    case DR_EXEC:
        (void)syscall(SYS_execve, "/bin/true", NULL, NULL);
        break;
    case DR_KILL_PARENT:
        (void)syscall(SYS_kill, 1, 0);
        break;
    case DR_CODE_PAGE:
        (void)syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        break;
    case DR_WRITE_LOG:
        (void)syscall(SYS_write, STDOUT_FILENO, "x", 1);
        break;
    default:
        (void)syscall(SYS_prlimit64, 0, RLIMIT_CPU, &limit, NULL);
        break;
    }
}

static void forge(int socket_fd, const struct im_request *request, enum dr_deed deed)
{
    char packet[sizeof(struct im_reply) + 1] = {0};
    size_t len = sizeof(struct im_reply);
    struct im_reply reply;
    im_reply_write(request, IM_NONE, &reply);
    reply.width = request->raw_width;
    reply.height = request->raw_height;
    reply.n_thumbs = request->n_thumbs;
    /* Honest but for one thing: no thumbnail is smaller than the picture of these tests, so none is made. */
    reply.magic ^= deed == DR_FORGE_MAGIC;
    reply.job += deed == DR_FORGE_JOB;
    reply.width += deed == DR_FORGE_SIZE;
    reply.thumb[0].width += deed == DR_FORGE_THUMB;
    reply.thumb[0].bytes += deed == DR_FORGE_BYTES;
    reply.copy_bytes += deed == DR_FORGE_COPY;
    if (deed == DR_FORGE_FILE)
        reply.thumb[0] = (struct im_reply_thumb){request->thumb[0].edge, request->thumb[0].edge, 500};
    if (deed == DR_FORGE_REASON)
        reply.reason = IM_N_REASONS + 7;
    len -= deed == DR_FORGE_SHORT;
    len += deed == DR_FORGE_LONG;
    memcpy(packet, &reply, sizeof reply);
    (void)send(socket_fd, packet, len, MSG_NOSIGNAL);
    if (deed == DR_REPLY_TWICE)
        (void)send(socket_fd, packet, len, MSG_NOSIGNAL);
}

/* sendmsg() is forbidden in the sandbox, so files cannot even be sent; as any other forbidden call it must kill. */
static void send_files(int socket_fd)
{
    struct msghdr message = {0};
    (void)sendmsg(socket_fd, &message, MSG_NOSIGNAL);
}

static bool misbehave(int socket_fd, const struct im_request *request)
{
    char nothing;
    enum dr_deed deed = (enum dr_deed)request->thumb[0].quality;
    if (request->n_thumbs == 0 || deed >= DR_N_DEEDS)
        return true;
    switch (deed) {
    case DR_CRASH:
        *(volatile int *)(uintptr_t)request->copy = 1;
        break;
    case DR_SPIN:
        for (volatile unsigned turns = 0;; turns = turns + 1)
            continue;
    case DR_HANG: {
        struct iovec part = {&nothing, 1};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
        (void)recvmsg(socket_fd, &message, 0);
        break;
    }
    case DR_LEAVE:
        _exit(0);
    case DR_FORGE_FILES:
        send_files(socket_fd);
        break;
    default:
        if (deed < DR_CRASH)
            forbidden(deed);
        forge(socket_fd, request, deed);
        break;
    }
    return false;
}

void dr_be_decoder(int argc, char **argv)
{
    if (argc != 2)
        return;
    if (strcmp(argv[1], "--decoder") == 0)
        _exit(im_decoder_main(IM_DECODER_FD));
    if (strcmp(argv[1], "--hooked") == 0)
        _exit(im_decoder_run(IM_DECODER_FD, misbehave));
    if (strcmp(argv[1], "--rude") == 0)
        _exit(send(IM_DECODER_FD, "hello", 5, 0) < 0);
    if (strcmp(argv[1], "--lame") == 0)
        _exit(2);
}

/* ---- the worker's side ---- */

struct im_decoders *dr_open(const char *argument, int processes, int64_t cpu_ms, int64_t wall_ms)
{
    struct im_decoder_settings settings = {
        .argument = argument, .processes = processes, .cpu_ms = cpu_ms, .wall_ms = wall_ms, .memory_bytes = 1 << 30};
    struct im_decoders *pool = NULL;
    struct nm_error err = {0};
    if (im_decoders_open(&settings, nm_boottime_ms(), &pool, &err) != NM_OK)
        fail_msg("%s", err.msg);
    return pool;
}

int dr_empty(void)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

int dr_file(const void *data, size_t len)
{
    char path[64];
    int fd = dr_empty();
    assert_int_equal(write(fd, data, len), len);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int again = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(again >= 0);
    (void)close(fd);
    return again;
}

struct im_facts dr_facts(enum im_type type, int width, int height, int orientation, size_t len)
{
    bool swap = orientation >= 5;
    return (struct im_facts){.type = type,
                             .width = swap ? height : width,
                             .height = swap ? width : height,
                             .raw_width = width,
                             .raw_height = height,
                             .orientation = orientation,
                             .frames = 1,
                             .end = len};
}

struct im_limits dr_limits(void)
{
    return (struct im_limits){.max_pixels = 50000000,
                              .max_gif_pixels = 16777216,
                              .max_total_pixels = 100000000,
                              .max_edge = 16384,
                              .max_frames = 256,
                              .max_scans = 100};
}

struct im_decoder_job dr_job(enum im_type type, int width, int height, const struct nm_buf *file)
{
    return (struct im_decoder_job){.facts = dr_facts(type, width, height, 1, file->len),
                                   .limits = dr_limits(),
                                   .input_fd = dr_file(file->data, file->len)};
}

void dr_add_thumb(struct im_decoder_job *job, int edge, enum im_thumb_format format)
{
    job->thumb[job->n_thumbs] = (struct im_thumb){.edge = edge, .format = (int32_t)format, .quality = 95};
    job->output_fd[job->n_thumbs++] = dr_empty();
}

void dr_close_job(const struct im_decoder_job *job)
{
    (void)close(job->input_fd);
    for (int i = 0; i < job->n_thumbs; i++)
        (void)close(job->output_fd[i]);
}

static void turn(struct im_decoders *pool, int64_t end_ms)
{
    struct pollfd fds[IM_DECODERS_MAX];
    size_t n = im_decoders_fds(pool, fds, IM_DECODERS_MAX);
    int64_t now_ms = nm_boottime_ms(), due_ms = im_decoders_due_ms(pool);
    assert_true(now_ms < end_ms);
    if (due_ms > end_ms)
        due_ms = end_ms;
    (void)poll(fds, n, due_ms > now_ms ? (int)(due_ms - now_ms) : 0);
    im_decoders_tick(pool, nm_boottime_ms());
}

void dr_wait_idle(struct im_decoders *pool, int n)
{
    int64_t end_ms = nm_boottime_ms() + PATIENCE_MS;
    while (im_decoders_idle(pool) < n)
        turn(pool, end_ms);
}

struct im_decoded dr_wait(struct im_decoders *pool)
{
    struct im_decoded decoded;
    int64_t end_ms = nm_boottime_ms() + PATIENCE_MS;
    while (!im_decoders_take(pool, &decoded))
        turn(pool, end_ms);
    return decoded;
}

struct im_decoded dr_run(struct im_decoders *pool, const struct im_decoder_job *job)
{
    struct nm_error err = {0};
    enum nm_status status;
    do {
        dr_wait_idle(pool, 1);
        status = im_decoders_submit(pool, job, nm_boottime_ms(), &err);
    } while (status == NM_RETRY);
    if (status != NM_OK)
        fail_msg("%s", err.msg);
    return dr_wait(pool);
}

bool dr_sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return true;
#elif defined(__has_feature)
    return __has_feature(address_sanitizer);
#else
    return false;
#endif
}

long dr_memory_kb(const struct im_decoders *pool, const char *name)
{
    char line[200];
    pid_t pid;
    long kb = -1;
    assert_int_equal(im_decoders_pids(pool, &pid, 1), 1);
    (void)snprintf(line, sizeof line, "/proc/%d/status", (int)pid);
    FILE *file = fopen(line, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file))
        if (strncmp(line, name, strlen(name)) == 0)
            kb = strtol(line + strlen(name), NULL, 10);
    (void)fclose(file);
    assert_true(kb > 0);
    return kb;
}
