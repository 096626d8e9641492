/* metrics_process.c - what the operating system says about this process, under the names that every Prometheus client
 * uses: memory, CPU, start, file descriptors. Linux' /proc; what cannot be read is left out, never guessed. Nothing is
 * shared between threads. */
#include "metrics_internal.h"
#include "newsmill/clock.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Fields of /proc/self/stat behind the name of the program, which may hold spaces and brackets: the first is state,
 * "field 3" of proc(5). */
enum { STAT_STATE = 3, STAT_START = 22, STAT_PAGES = 24 };

struct stat_fields {
    unsigned long long start_ticks, pages;
};

static bool read_stat(struct stat_fields *out)
{
    char text[2048];
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    (void)close(fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    const char *at = strrchr(text, ')');
    if (!at)
        return false;
    at++;
    for (int field = STAT_STATE; field <= STAT_PAGES; field++) {
        at += strspn(at, " ");
        if (*at == '\0')
            return false;
        if (field == STAT_START)
            out->start_ticks = strtoull(at, NULL, 10);
        if (field == STAT_PAGES)
            out->pages = strtoull(at, NULL, 10);
        at += strcspn(at, " ");
    }
    return true;
}

/* Ticks are counted from boot, as nm_boottime_ms() is. */
double nm_process_start_s(void)
{
    struct stat_fields stat;
    long hertz = sysconf(_SC_CLK_TCK);
    if (hertz <= 0 || !read_stat(&stat))
        return 0;
    double boot_s = (double)(nm_wall_clock.now_ms(nm_wall_clock.self) - nm_boottime_ms()) / 1000;
    return boot_s + (double)stat.start_ticks / (double)hertz;
}

/* -1: not known. */
static long count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    long n = 0;
    if (!dir)
        return -1;
    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) // NOLINT(concurrency-mt-unsafe)
        n += entry->d_name[0] != '.';
    (void)closedir(dir);
    return n - 1; /* without the one that reads */
}

static void gauge(const char *name, const char *help, const char *type, double value, struct nm_buf *out)
{
    nm_metrics_head(name, help, type, out);
    nm_buf_addf(out, "%s ", name);
    nm_metrics_number(value, out);
    nm_buf_addc(out, '\n');
}

void nm_process_render(double start_s, struct nm_buf *out)
{
    struct stat_fields stat;
    struct rusage use;
    struct rlimit limit;
    long page = sysconf(_SC_PAGESIZE), n_fds = count_fds();
    if (page > 0 && read_stat(&stat))
        gauge("process_resident_memory_bytes", "Resident memory size in bytes.", "gauge",
              (double)stat.pages * (double)page, out);
    if (getrusage(RUSAGE_SELF, &use) == 0)
        gauge("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", "counter",
              (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
                  (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6,
              out);
    if (start_s > 0)
        gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", "gauge", start_s,
              out);
    if (n_fds >= 0)
        gauge("process_open_fds", "Number of open file descriptors.", "gauge", (double)n_fds, out);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        gauge("process_max_fds", "Maximum number of open file descriptors.", "gauge", (double)limit.rlim_cur, out);
}
