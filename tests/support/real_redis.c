/* real_redis.c - see real_redis.h. The port is chosen by the kernel and given back before the server takes it, so the
 * start is tried again when somebody else was faster. Readiness is asked for, not slept for. */
#include "real_redis.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRIES        5
#define READY_MS     10000
#define MOST_OF_ARGS 40

struct real_redis {
    pid_t pid;
    int port, tls_port; /* tls_port 0: none */
    char folder[512];
};

static void die(const char *what)
{
    perror(what);
    abort();
}

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((unsigned short)port)};
}

static int free_port(void)
{
    struct sockaddr_in address = loopback(0);
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) ||
        getsockname(fd, (struct sockaddr *)&address, &len))
        die("a free port");
    (void)close(fd);
    return ntohs(address.sin_port);
}

/* In the child: becomes the server. */
static void become_server(const struct real_redis *redis, const char *const *extra, pid_t parent)
{
    char port[16], tls_port[16];
    (void)snprintf(port, sizeof port, "%d", redis->port);
    (void)snprintf(tls_port, sizeof tls_port, "%d", redis->tls_port);
    const char *args[MOST_OF_ARGS] = {"redis-server",
                                      "--bind",
                                      "127.0.0.1",
                                      "--port",
                                      port,
                                      "--dir",
                                      redis->folder,
                                      "--save",
                                      "",
                                      "--appendonly",
                                      "no",
                                      "--lazyfree-lazy-expire",
                                      "yes",
                                      "--enable-debug-command",
                                      "local"};
    size_t n = 0;
    while (args[n])
        n++;
    for (size_t i = 0; extra && extra[i] && n + 3 < MOST_OF_ARGS; i++)
        args[n++] = extra[i];
    if (redis->tls_port) {
        args[n++] = "--tls-port";
        args[n++] = tls_port;
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    int null = open("/dev/null", O_RDWR);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
        _exit(1);
    (void)execvp(args[0], (char *const *)(void *)args);
    perror("redis-server");
    _exit(127);
}

/* A PING was answered, by whatever error or +PONG: a server that asks for a password is ready too. */
static bool answers(int port)
{
    struct sockaddr_in address = loopback(port);
    char reply[16];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        die("a socket");
    bool ok = connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
              send(fd, "PING\r\n", 6, MSG_NOSIGNAL) == 6 && recv(fd, reply, sizeof reply, 0) > 1 &&
              (reply[0] == '+' || reply[0] == '-');
    (void)close(fd);
    return ok;
}

/* False when the server ended, for example because somebody took its port. */
static bool wait_ready(struct real_redis *redis)
{
    for (int waited_ms = 0; waited_ms < READY_MS; waited_ms += 10) {
        if (waitpid(redis->pid, NULL, WNOHANG) == redis->pid)
            return false;
        if (answers(redis->port))
            return true;
        (void)poll(NULL, 0, 10);
    }
    (void)kill(redis->pid, SIGKILL);
    (void)waitpid(redis->pid, NULL, 0);
    return false;
}

static bool wants_tls(const char *const *extra)
{
    for (; extra && *extra; extra++)
        if (strcmp(*extra, "--tls-cert-file") == 0)
            return true;
    return false;
}

struct real_redis *real_redis_start(const char *const *extra)
{
    struct real_redis *redis = calloc(1, sizeof *redis);
    if (!redis)
        die("memory");
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(redis->folder, sizeof redis->folder, "%.400s/newsmill-redis-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(redis->folder))
        die("a temporary folder");
    for (int i = 0; i < TRIES; i++) {
        pid_t parent = getpid();
        redis->port = free_port();
        redis->tls_port = wants_tls(extra) ? free_port() : 0;
        redis->pid = fork();
        if (redis->pid < 0)
            die("fork");
        if (redis->pid == 0)
            become_server(redis, extra, parent);
        if (wait_ready(redis))
            return redis;
    }
    (void)fprintf(stderr, "redis-server does not start; it is needed for this test\n");
    abort();
}

int real_redis_port(const struct real_redis *redis)
{
    return redis->port;
}

int real_redis_tls_port(const struct real_redis *redis)
{
    return redis->tls_port;
}

void real_redis_signal(const struct real_redis *redis, int number)
{
    (void)kill(redis->pid, number);
}

void real_redis_stop(struct real_redis *redis)
{
    (void)kill(redis->pid, SIGKILL);
    (void)waitpid(redis->pid, NULL, 0);
    (void)rmdir(redis->folder); /* nothing was saved, so it is empty */
    free(redis);
}
