/* fault.c - see fault.h. Reads its environment once, at the first use; the choice is a xorshift of the seed and the
 * pid, so that instances that are started alike do not die alike. Single-threaded like the runtime. */
#include "newsmill/fault.h"

#ifdef NM_CHAOS
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const point_names[NM_N_POINTS] = {
    [NM_POINT_POLLED] = "polled",
    [NM_POINT_REDIS_SENT] = "redis_sent",
    [NM_POINT_REDIS_DONE] = "redis_done",
    [NM_POINT_PRODUCED] = "produced",
    [NM_POINT_REPORTED] = "reported",
    [NM_POINT_MARKED] = "marked",
    [NM_POINT_WM_WRITTEN] = "wm_written",
    [NM_POINT_COMMITTED] = "committed",
    [NM_POINT_ASSIGNED] = "assigned",
    [NM_POINT_REVOKED] = "revoked",
    [NM_POINT_MADE] = "made",
    [NM_POINT_KEPT] = "kept",
    [NM_POINT_KNOWN] = "known",
};
static unsigned long one_in[NM_N_POINTS]; /* 0: never */
static unsigned long stops_left;
static int fault_signal = SIGKILL;
static bool asleep; /* until the event of NM_FAULT_AFTER is begun */
static uint64_t state;
static enum nm_control control;

static void refuse(const char *what, const char *text)
{
    (void)fprintf(stderr, "chaos build: cannot read %s '%s'\n", what, text);
    _exit(2);
}

static void read_points(const char *text)
{
    while (*text) {
        size_t len = strcspn(text, ":");
        int point = 0;
        while (point < NM_N_POINTS && (strlen(point_names[point]) != len || memcmp(point_names[point], text, len) != 0))
            point++;
        if (point == NM_N_POINTS || strncmp(text + len, ":1/", 3) != 0)
            refuse("NM_FAULT", text);
        char *end;
        one_in[point] = strtoul(text + len + 3, &end, 10);
        text = *end == ',' ? end + 1 : end;
    }
}

static void setup(void)
{
    static const char *const controls[] = {"",
                                           "commit_before_report",
                                           "stored_offsets",
                                           "setnx_skip",
                                           "committed_only",
                                           "retry_batch",
                                           "lead_by_anyone",
                                           "late_sender"};
    const char *points = getenv("NM_FAULT"), *seed = getenv("NM_FAULT_SEED"), *word = getenv("NM_CONTROL");
    const char *stops = getenv("NM_FAULT_STOPS");
    asleep = getenv("NM_FAULT_AFTER") != NULL;
    state = (seed ? strtoull(seed, NULL, 10) : 1) * 0x9E3779B97F4A7C15u + (uint64_t)getpid() * 0xD1B54A32D192ED03u;
    state |= 1;
    if (points)
        read_points(points);
    if (stops) {
        fault_signal = SIGSTOP;
        stops_left = strtoul(stops, NULL, 10);
    }
    if (!word)
        return;
    size_t i = 0;
    while (i < sizeof controls / sizeof *controls && strcmp(word, controls[i]) != 0)
        i++;
    if (i == sizeof controls / sizeof *controls)
        refuse("NM_CONTROL", word);
    control = (enum nm_control)i;
}

void nm_fault_at(enum nm_point point)
{
    if (!state)
        setup();
    if (!one_in[point] || asleep || (fault_signal == SIGSTOP && !stops_left))
        return;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    if ((state >> 11) % one_in[point] != 0)
        return;
    if (fault_signal == SIGSTOP)
        stops_left--;
    (void)raise(fault_signal);
}

static bool holds(const void *value, size_t len, const char *text)
{
    const char *at = value;
    size_t text_len = text ? strlen(text) : 0;
    for (size_t i = 0; text_len && at && i + text_len <= len; i++)
        if (memcmp(at + i, text, text_len) == 0)
            return true;
    return false;
}

void nm_fault_begun(const void *value, size_t len)
{
    if (!state)
        setup();
    if (holds(value, len, getenv("NM_POISON")))
        abort();
    asleep = asleep && !holds(value, len, getenv("NM_FAULT_AFTER"));
}

bool nm_control_is(enum nm_control which)
{
    if (!state)
        setup();
    return control == which;
}

bool nm_control_once(enum nm_control which)
{
    static bool done;
    if (done || !nm_control_is(which))
        return false;
    done = true;
    return true;
}
#else
typedef int nm_fault_is_empty_here;
#endif
