/* fake_redis.c - see fake_redis.h. Blocking and simple: one thread, one connection at a time, one command after the
 * other, and each reply is written whole before the next command is read - as Redis does while its output buffer is
 * full, which is what a client must not dead-lock on. */
#include "fake_redis.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST_WORDS 8
#define WORD_BYTES 128

struct fake_redis {
    int listener, port;
    pthread_t thread;
    const struct fake_rule *rules;
    atomic_int connection; /* -1: none */
    atomic_size_t n_commands, n_connections, longest_word;
    /* of the thread */
    char buffer[65536];
    size_t at, len;
};

static const struct fake_rule healthy[] = {
    {"CONFIG GET maxmemory-policy", "*2\r\n$16\r\nmaxmemory-policy\r\n$10\r\nnoeviction\r\n", FAKE_GO_ON},
    {"CONFIG GET lazyfree-lazy-expire", "*2\r\n$20\r\nlazyfree-lazy-expire\r\n$3\r\nyes\r\n", FAKE_GO_ON},
    {"INFO memory", "$39\r\n# Memory\r\nmaxmemory_policy:noeviction\r\n\r\n", FAKE_GO_ON},
    {"INFO replication", "$28\r\n# Replication\r\nrole:master\r\n\r\n", FAKE_GO_ON},
    {"INFO cluster", "$30\r\n# Cluster\r\ncluster_enabled:0\r\n\r\n", FAKE_GO_ON},
    {"", "+OK\r\n", FAKE_GO_ON},
};

static void die(const char *what)
{
    perror(what);
    abort();
}

/* The next byte, or -1 at the end. */
static int next_byte(struct fake_redis *fake, int fd)
{
    if (fake->at == fake->len) {
        ssize_t n = recv(fd, fake->buffer, sizeof fake->buffer, 0);
        if (n <= 0)
            return -1;
        fake->at = 0;
        fake->len = (size_t)n;
    }
    return (unsigned char)fake->buffer[fake->at++];
}

/* "<mark><number>\r\n"; -1 at the end or for anything else. */
static long read_number(struct fake_redis *fake, int fd, char mark)
{
    long value = 0;
    if (next_byte(fake, fd) != mark)
        return -1;
    for (int c = next_byte(fake, fd); c != '\r'; c = next_byte(fake, fd)) {
        if (c < '0' || c > '9')
            return -1;
        value = value * 10 + (c - '0');
    }
    return next_byte(fake, fd) == '\n' ? value : -1;
}

/* The command's words, joined; long words are cut. False at the end of the connection. */
static bool read_command(struct fake_redis *fake, int fd, char out[MOST_WORDS * WORD_BYTES])
{
    size_t used = 0;
    long n = read_number(fake, fd, '*');
    for (long i = 0; i < n; i++) {
        long len = read_number(fake, fd, '$');
        if (len < 0)
            return false;
        if ((size_t)len > fake->longest_word)
            fake->longest_word = (size_t)len;
        if (i > 0 && i < MOST_WORDS)
            out[used++] = ' ';
        for (long k = 0; k < len + 2; k++) {
            int c = next_byte(fake, fd);
            if (c < 0)
                return false;
            if (k < len && k < WORD_BYTES - 1 && i < MOST_WORDS)
                out[used++] = (char)c;
        }
    }
    out[used] = '\0';
    return n >= 0;
}

static bool begins(const char *text, const char *words)
{
    size_t len = strlen(words);
    return strncmp(text, words, len) == 0 && (len == 0 || text[len] == '\0' || text[len] == ' ');
}

static const struct fake_rule *rule_of(const struct fake_redis *fake, const char *command)
{
    for (const struct fake_rule *rule = fake->rules; rule && rule->command; rule++)
        if (begins(command, rule->command))
            return rule;
    const struct fake_rule *rule = healthy;
    while (!begins(command, rule->command))
        rule++;
    return rule;
}

static bool send_all(int fd, const char *text)
{
    for (size_t left = strlen(text); left > 0;) {
        ssize_t n = send(fd, text, left, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        text += n;
        left -= (size_t)n;
    }
    return true;
}

static void serve(struct fake_redis *fake, int fd)
{
    char command[MOST_WORDS * WORD_BYTES];
    fake->at = fake->len = 0;
    while (read_command(fake, fd, command)) {
        fake->n_commands++;
        const struct fake_rule *rule = rule_of(fake, command);
        if (!send_all(fd, rule->reply) || rule->then == FAKE_CLOSE)
            return;
        while (rule->then == FAKE_HANG)
            if (next_byte(fake, fd) < 0)
                return;
    }
}

static void *thread_main(void *arg)
{
    struct fake_redis *fake = arg;
    for (;;) {
        int fd = accept(fake->listener, NULL, NULL);
        if (fd < 0)
            return NULL;
        fake->n_connections++;
        fake->connection = fd;
        serve(fake, fd);
        fake->connection = -1;
        (void)close(fd);
    }
}

static int listen_somewhere(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 16) ||
        getsockname(fd, (struct sockaddr *)&address, &len))
        die("a listening socket");
    *port = ntohs(address.sin_port);
    return fd;
}

struct fake_redis *fake_redis_start(const struct fake_rule *rules)
{
    struct fake_redis *fake = calloc(1, sizeof *fake);
    if (!fake)
        die("memory");
    fake->rules = rules;
    fake->connection = -1;
    fake->listener = listen_somewhere(&fake->port);
    if (pthread_create(&fake->thread, NULL, thread_main, fake))
        die("a thread");
    return fake;
}

int fake_redis_port(const struct fake_redis *fake)
{
    return fake->port;
}

size_t fake_redis_commands(struct fake_redis *fake)
{
    return fake->n_commands;
}

size_t fake_redis_connections(struct fake_redis *fake)
{
    return fake->n_connections;
}

size_t fake_redis_longest_word(struct fake_redis *fake)
{
    return fake->longest_word;
}

void fake_redis_stop(struct fake_redis *fake)
{
    (void)shutdown(fake->listener, SHUT_RDWR); /* accept() fails from now on */
    int fd = fake->connection;
    if (fd >= 0)
        (void)shutdown(fd, SHUT_RDWR);
    (void)pthread_join(fake->thread, NULL);
    (void)close(fake->listener);
    free(fake);
}

int fake_closed_port(void)
{
    int port;
    int fd = listen_somewhere(&port);
    (void)close(fd);
    return port;
}

struct nm_settings fake_settings(char url[200], const char *userinfo, int port, long long timeout_ms)
{
    static char none[] = "";
    struct nm_settings settings = {0};
    (void)snprintf(url, 200, "redis://%s127.0.0.1:%d/0", userinfo, port);
    settings.redis.url = url;
    settings.redis.username = none;
    settings.redis.password_file = none;
    settings.redis.ca_file = settings.redis.cert_file = settings.redis.key_file = none;
    settings.redis.connect_timeout_ms = 1000;
    settings.redis.command_timeout_ms = timeout_ms;
    return settings;
}
