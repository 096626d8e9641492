/* config_problems.c - the problems of an option file, collected so that all of them are shown at once.
 *
 * A message may quote what stands in a hostile file, so what could steer a terminal is replaced before it is kept.
 * Their number is bounded. When memory is gone the report remembers that: no caller has to look at every call.
 *
 * Threads: nothing is shared. */
#include "config_internal.h"

#include <stdarg.h>
#include <string.h>
#include <utf8proc.h>

#define MESSAGE_BYTES 1024

/* Replaces in place, so the result is never longer. */
static void make_harmless(char *text)
{
    utf8proc_uint8_t *p = (utf8proc_uint8_t *)text;
    size_t left = strlen(text);
    while (left > 0) {
        utf8proc_int32_t c;
        utf8proc_ssize_t n = utf8proc_iterate(p, (utf8proc_ssize_t)left, &c);
        size_t len = n > 0 ? (size_t)n : 1;
        utf8proc_category_t category = n > 0 ? utf8proc_category(c) : UTF8PROC_CATEGORY_CC;
        bool bad = category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF ||
                   category == UTF8PROC_CATEGORY_ZL || category == UTF8PROC_CATEGORY_ZP;
        if (bad)
            memset(p, '?', len);
        p += len;
        left -= len;
    }
}

static void append(struct nm_report *report, struct nm_place place, const char *msg)
{
    struct nm_problems *problems = report->problems;
    const char *file = place.file ? place.file : report->path;
    struct nm_problem problem = {.file = strdup(file), .line = place.line, .column = place.column, .msg = strdup(msg)};
    struct nm_problem *grown = NULL;
    if (problem.file && problem.msg)
        grown = realloc(problems->item, (problems->n + 1) * sizeof *grown);
    if (!grown) {
        report->oom = true;
        free(problem.file);
        free(problem.msg);
        return;
    }
    make_harmless(problem.file);
    problems->item = grown;
    problems->item[problems->n++] = problem;
}

void nm_report_add(struct nm_report *report, struct nm_place place, const char *fmt, ...)
{
    report->n++;
    if (report->n > NM_CONFIG_MAX_PROBLEMS + 1)
        return;
    if (report->n > NM_CONFIG_MAX_PROBLEMS) {
        append(report, (struct nm_place){0}, "there are more problems; they are not shown");
        return;
    }
    char msg[MESSAGE_BYTES];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(msg, sizeof msg, fmt, args);
    va_end(args);
    if (n < 0)
        msg[0] = '\0';
    make_harmless(msg);
    append(report, place, msg);
}

enum nm_status nm_report_status(const struct nm_report *report, struct nm_error *err)
{
    if (report->oom)
        return nm_fail(err, NM_FATAL, "out of memory while reading the options of %s", report->path);
    if (report->n == 1)
        return nm_fail(err, NM_CONFIG, "the options of %s have a problem", report->path);
    if (report->n > 0)
        return nm_fail(err, NM_CONFIG, "the options of %s have %zu problems", report->path, report->n);
    return NM_OK;
}

/* The file's by their place, then the others as they came. */
static int compare(const struct nm_problem *a, const struct nm_problem *b, const char *path)
{
    bool a_outside = strcmp(a->file, path) != 0, b_outside = strcmp(b->file, path) != 0;
    if (a_outside != b_outside)
        return a_outside ? 1 : -1;
    return a->line != b->line ? a->line - b->line : a->column - b->column;
}

void nm_report_sort(const struct nm_report *report, size_t first)
{
    struct nm_problems *problems = report->problems;
    size_t last = report->n > NM_CONFIG_MAX_PROBLEMS ? problems->n - 1 : problems->n; /* the sentence stays the last */
    for (size_t i = first + 1; i < last; i++) { /* few, and a stable order: by insertion */
        struct nm_problem problem = problems->item[i];
        size_t at = i;
        for (; at > first && compare(&problems->item[at - 1], &problem, report->path) > 0; at--)
            problems->item[at] = problems->item[at - 1];
        problems->item[at] = problem;
    }
}

void nm_problems_clear(struct nm_problems *problems)
{
    for (size_t i = 0; i < problems->n; i++) {
        free(problems->item[i].file);
        free(problems->item[i].msg);
    }
    free(problems->item);
    *problems = (struct nm_problems){0};
}

void nm_problems_print(const struct nm_problems *problems, FILE *out)
{
    for (size_t i = 0; i < problems->n; i++) {
        const struct nm_problem *problem = &problems->item[i];
        if (problem->line > 0)
            (void)fprintf(out, "%s:%d:%d: error: %s\n", problem->file, problem->line, problem->column, problem->msg);
        else
            (void)fprintf(out, "%s: error: %s\n", problem->file, problem->msg);
    }
}
