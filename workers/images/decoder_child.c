/* decoder_child.c - start, limit, feed, kill and collect one decoder process.
 *
 * posix_spawn() because the worker has threads: between fork and exec nothing of them may run. The process gets an
 * empty environment, its socket as IM_DECODER_FD and standard error; every other file is closed before exec, also those
 * that a library forgot to mark. A process group of its own keeps the terminal's Ctrl-C from it: the worker decides. */
#define _GNU_SOURCE /* prlimit(), posix_spawn_file_actions_addclosefrom_np() */
#include "decoder_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    START_MS = 10000, /* from exec to `ready`: dynamic linking on a busy machine */
    COLLECT_MS = 1,   /* between two looks at a process that was killed          */
};

static int add_actions(posix_spawn_file_actions_t *actions, int socket_fd)
{
    int rc = posix_spawn_file_actions_adddup2(actions, socket_fd, IM_DECODER_FD);
    if (rc == 0)
        rc = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (rc == 0)
        rc = posix_spawn_file_actions_addopen(actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (rc == 0)
        rc = posix_spawn_file_actions_addclosefrom_np(actions, IM_DECODER_FD + 1);
    return rc;
}

static int add_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    int rc = posix_spawnattr_setsigmask(attributes, &none);
    if (rc == 0)
        rc = posix_spawnattr_setsigdefault(attributes, &all);
    if (rc == 0)
        rc = posix_spawnattr_setpgroup(attributes, 0);
    if (rc == 0)
        rc = posix_spawnattr_setflags(attributes,
                                      POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    return rc;
}

/* An errno, 0: started. */
static int spawn(const struct im_decoder_settings *settings, int socket_fd, pid_t *pid)
{
    char name[] = "newsmill-decoder", option[64];
    char *argv[] = {name, option, NULL}, *environment[] = {NULL};
    const char *argument = settings->argument ? settings->argument : "--decoder";
    if (strlen(argument) >= sizeof option)
        return EINVAL;
    memcpy(option, argument, strlen(argument) + 1);
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int rc = posix_spawn_file_actions_init(&actions);
    if (rc != 0)
        return rc;
    rc = posix_spawnattr_init(&attributes);
    if (rc == 0) {
        rc = add_actions(&actions, socket_fd);
        if (rc == 0)
            rc = add_attributes(&attributes);
        if (rc == 0)
            rc = posix_spawn(pid, settings->program ? settings->program : "/proc/self/exe", &actions, &attributes, argv,
                             environment);
        (void)posix_spawnattr_destroy(&attributes);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return rc;
}

enum nm_status im_child_start(struct im_child *child, const struct im_decoder_settings *settings, int64_t now_ms,
                              struct nm_error *err)
{
    int pair[2];
    pid_t pid = -1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return nm_fail(err, NM_RETRY, "no socket for a decoder process: %s", strerror(errno));
    int rc = spawn(settings, pair[1], &pid);
    (void)close(pair[1]);
    if (rc != 0) {
        (void)close(pair[0]);
        return nm_fail(err, NM_CONFIG, "the decoder process %s cannot be started: %s",
                       settings->program ? settings->program : "/proc/self/exe", strerror(rc));
    }
    *child = (struct im_child){.state = IM_CHILD_STARTING,
                               .pid = pid,
                               .fd = pair[0],
                               .due_ms = now_ms + START_MS,
                               .has_result = child->has_result,
                               .result = child->result};
    struct im_setup setup;
    im_setup_write(settings->memory_bytes, &setup);
    if (send(child->fd, &setup, sizeof setup, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)sizeof setup)
        im_child_kill(child, NULL, now_ms);
    return NM_OK;
}

void im_child_kill(struct im_child *child, const char *cause, int64_t now_ms)
{
    /* The process id is ours until waitpid() has returned it, so this cannot hit a stranger. */
    (void)kill(child->pid, SIGKILL);
    if (child->fd >= 0)
        (void)close(child->fd);
    child->fd = -1;
    im_standing_close(&child->standing);
    child->cause = cause;
    child->state = IM_CHILD_DYING;
    child->due_ms = now_ms;
}

static const char *death(int status)
{
    if (!WIFSIGNALED(status))
        return "exit";
    switch (WTERMSIG(status)) {
    case SIGXCPU:
        return "cpu limit";
    case SIGSYS:
        return "seccomp";
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
    case SIGABRT:
        return "crash";
    case SIGKILL:
        return "killed";
    default:
        return "signal";
    }
}

bool im_child_collect(struct im_child *child, const char **cause)
{
    int status = 0;
    pid_t pid;
    do
        pid = waitpid(child->pid, &status, WNOHANG);
    while (pid < 0 && errno == EINTR);
    if (pid == 0) {
        child->due_ms += COLLECT_MS;
        return false;
    }
    /* ECHILD: somebody ignores SIGCHLD, so the kernel has collected it; nobody knows why it died. */
    *cause = child->cause ? child->cause : pid < 0 ? "unknown" : death(status);
    child->state = IM_CHILD_NONE;
    child->pid = -1;
    return true;
}

int64_t im_child_cpu_us(const struct im_child *child)
{
    clockid_t clock;
    struct timespec used;
    if (clock_getcpuclockid(child->pid, &clock) != 0 || clock_gettime(clock, &used) != 0)
        return -1;
    return (int64_t)used.tv_sec * 1000000 + used.tv_nsec / 1000;
}

/* The kernel counts RLIMIT_CPU in whole seconds since the start of the process, and kills at its next tick beyond. */
static bool limit_cpu(struct im_child *child, int64_t used_us, int64_t cpu_ms)
{
    struct rlimit limit;
    int64_t limit_s = (used_us / 1000 + cpu_ms + 999) / 1000;
    if (used_us >= 0 && limit_s == child->limit_s)
        return true;
    if (used_us < 0 || prlimit(child->pid, RLIMIT_CPU, NULL, &limit) != 0)
        return false;
    limit.rlim_cur = (rlim_t)limit_s;
    if (limit.rlim_max != RLIM_INFINITY && limit.rlim_cur > limit.rlim_max)
        limit.rlim_cur = limit.rlim_max;
    if (prlimit(child->pid, RLIMIT_CPU, &limit, NULL) != 0)
        return false;
    child->limit_s = limit_s;
    return true;
}

bool im_child_send(struct im_child *child, const struct im_request *request, const struct im_decoder_job *job,
                   int64_t cpu_ms)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * IM_DECODER_FILES)];
    } control = {.bytes = {0}};
    int file[IM_DECODER_FILES];
    size_t n_files = im_request_files(request);
    file[0] = job->input_fd;
    memcpy(file + 1, job->output_fd, (size_t)job->n_thumbs * sizeof *file);
    if (request->copy != IM_COPY_NONE)
        file[1 + job->n_thumbs] = job->copy_fd;
    struct im_request packet = *request;
    struct iovec part = {&packet, sizeof packet};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = CMSG_SPACE(n_files * sizeof *file)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(n_files * sizeof *file);
    memcpy(CMSG_DATA(header), file, n_files * sizeof *file);
    if (child->cpu_us == 0)
        child->cpu_us = im_child_cpu_us(child);
    if (!limit_cpu(child, child->cpu_us, cpu_ms))
        return false;
    return sendmsg(child->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)sizeof packet;
}

int im_child_receive(const struct im_child *child, void *packet, size_t size)
{
    struct iovec part = {packet, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1}; /* no room for files: the kernel drops them */
    ssize_t n;
    do
        n = recvmsg(child->fd, &message, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 0;
    if (n <= 0 || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
        return -1;
    return (int)n;
}
