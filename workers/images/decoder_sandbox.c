/* decoder_sandbox.c - resource limits and the list of allowed system calls. */
#include "decoder_sandbox.h"

#include "decoder_protocol.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <seccomp.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define OPEN_FILES (IM_DECODER_FD + 1 + 2 * IM_DECODER_FILES) /* one request's files, and room to receive the next */

static enum nm_status limit(__rlimit_resource_t what, rlim_t value, const char *name, struct nm_error *err)
{
    struct rlimit pair = {value, value};
    if (setrlimit(what, &pair) != 0)
        return nm_fail(err, NM_CONFIG, "the decoder cannot set %s to %llu: %s", name, (unsigned long long)value,
                       strerror(errno));
    return NM_OK;
}

static enum nm_status set_limits(int64_t memory_bytes, struct nm_error *err)
{
    enum nm_status status = limit(RLIMIT_CORE, 0, "RLIMIT_CORE", err);
    if (status == NM_OK)
        status = limit(RLIMIT_FSIZE, IM_DECODER_OUT_BYTES, "RLIMIT_FSIZE", err);
    if (status == NM_OK)
        status = limit(RLIMIT_NOFILE, OPEN_FILES, "RLIMIT_NOFILE", err);
    if (status == NM_OK && !SANITIZED)
        status = limit(RLIMIT_AS, (rlim_t)memory_bytes, "RLIMIT_AS", err);
    return status;
}

/* Allows a call where its argument number `arg` compares so with `value`. */
static int allow_if(scmp_filter_ctx filter, int call, unsigned arg, enum scmp_compare how, scmp_datum_t value)
{
    struct scmp_arg_cmp rule = {.arg = arg, .op = how, .datum_a = value};
    return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 1, &rule);
}

static int allow_all(scmp_filter_ctx filter, const int *calls, size_t n)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
    return rc;
}

/* Memory, without code: with the mask PROT_EXEC the protection must be 0. sysinfo() is how qsort() of the C library
 * learns how much memory it may borrow, getrandom() where malloc() takes a secret of its own from. */
static int allow_memory(scmp_filter_ctx filter)
{
    static const int calls[] = {SCMP_SYS(brk),     SCMP_SYS(munmap),  SCMP_SYS(mremap),
                                SCMP_SYS(madvise), SCMP_SYS(sysinfo), SCMP_SYS(getrandom)};
    int rc = allow_if(filter, SCMP_SYS(mmap), 2, SCMP_CMP_MASKED_EQ, PROT_EXEC);
    if (rc == 0)
        rc = allow_if(filter, SCMP_SYS(mprotect), 2, SCMP_CMP_MASKED_EQ, PROT_EXEC);
    return rc == 0 ? allow_all(filter, calls, sizeof calls / sizeof *calls) : rc;
}

/* The socket, the files that came over it, and the end. Not standard error, which is the worker's log. */
static int allow_files(scmp_filter_ctx filter, int socket_fd)
{
    static const int calls[] = {SCMP_SYS(lseek), SCMP_SYS(close), SCMP_SYS(exit_group), SCMP_SYS(exit)};
    int rc = allow_if(filter, SCMP_SYS(recvmsg), 0, SCMP_CMP_EQ, (scmp_datum_t)socket_fd);
    if (rc == 0)
        rc = allow_if(filter, SCMP_SYS(sendto), 0, SCMP_CMP_EQ, (scmp_datum_t)socket_fd);
    if (rc == 0)
        rc = allow_if(filter, SCMP_SYS(write), 0, SCMP_CMP_GT, SANITIZED ? STDOUT_FILENO : IM_DECODER_FD);
    return rc == 0 ? allow_all(filter, calls, sizeof calls / sizeof *calls) : rc;
}

/* What the run-time of a sanitizer calls to work and to report. */
static int allow_sanitizer(scmp_filter_ctx filter)
{
    static const int calls[] = {SCMP_SYS(futex),       SCMP_SYS(getpid),         SCMP_SYS(gettid),
                                SCMP_SYS(sigaltstack), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction),
                                SCMP_SYS(sched_yield), SCMP_SYS(clock_gettime),  SCMP_SYS(rt_sigreturn),
                                SCMP_SYS(getrlimit),   SCMP_SYS(getrusage)};
    return allow_all(filter, calls, sizeof calls / sizeof *calls);
}

static enum nm_status filter_calls(int socket_fd, struct nm_error *err)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (!filter)
        return nm_fail(err, NM_CONFIG, "the decoder cannot build its seccomp filter: out of memory");
    int rc = allow_memory(filter);
    if (rc == 0)
        rc = allow_files(filter, socket_fd);
    if (rc == 0 && SANITIZED)
        rc = allow_sanitizer(filter);
    if (rc == 0)
        rc = seccomp_load(filter);
    seccomp_release(filter);
    if (rc != 0)
        return nm_fail(err, NM_CONFIG,
                       "the decoder cannot load its seccomp filter (%s): the kernel needs "
                       "CONFIG_SECCOMP_FILTER, and a container must allow seccomp(2)",
                       strerror(-rc));
    return NM_OK;
}

enum nm_status im_sandbox_enter(int socket_fd, int64_t memory_bytes, struct nm_error *err)
{
    /* A file that grows too large is a failed write, not a death. */
    if (signal(SIGXFSZ, SIG_IGN) == SIG_ERR || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return nm_fail(err, NM_CONFIG, "the decoder cannot ignore signals: %s", strerror(errno));
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return nm_fail(err, NM_CONFIG, "the decoder cannot give up its privileges: %s", strerror(errno));
    enum nm_status status = set_limits(memory_bytes, err);
    return status == NM_OK ? filter_calls(socket_fd, err) : status;
}
