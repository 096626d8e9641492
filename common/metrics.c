/* metrics.c - the registry, and the page in Prometheus' text format.
 *
 * Families and series are linked lists in the order of their making. Only the worker's thread changes the lists, so it
 * walks them without a lock; it takes the lock to link or unlink, since renderers walk them under it. Values are atomic
 * numbers with one writer: an addition is a load and a store, and a renderer sees the old or the new one. A histogram's
 * count on the page is the sum of the buckets as they were read, so it always agrees with them.
 *
 * A series is known by its labels as they stand on the page ('stream="raw",partition="0"'), escaped and cut once, at
 * its making. */
#include "newsmill/metrics.h"

#include "metrics_internal.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

#define OTHER "other"

struct nm_series {
    struct nm_series *next;
    struct nm_family *family;
    char *labels; /* 'a="x",b="y"'; "" without labels */
    bool other;   /* takes what is beyond the bound   */
    _Atomic double value;
    _Atomic double bucket[]; /* histograms: observations in each bucket alone; the last one is +Inf */
};

struct nm_family {
    struct nm_family *next;
    struct nm_metrics *metrics;
    const struct nm_metric_spec *spec;
    struct nm_series *first, *last;
    size_t n_series; /* without "other" */
};

struct nm_metrics {
    pthread_mutex_t lock; /* of the lists: taken to change them, and to read them on another thread */
    const char *worker;
    double start_s;
    struct nm_family *first, *last;
};

enum nm_status nm_metrics_new(const char *worker, struct nm_metrics **out, struct nm_error *err)
{
    struct nm_metrics *metrics = calloc(1, sizeof *metrics);
    if (!metrics || pthread_mutex_init(&metrics->lock, NULL) != 0) {
        free(metrics);
        return nm_fail(err, NM_FATAL, "out of memory for metrics");
    }
    metrics->worker = worker;
    metrics->start_s = nm_process_start_s();
    *out = metrics;
    return NM_OK;
}

static void free_series(struct nm_series *series)
{
    free(series->labels);
    free(series);
}

void nm_metrics_free(struct nm_metrics *metrics)
{
    if (!metrics)
        return;
    for (struct nm_family *family = metrics->first; family;) {
        struct nm_family *next_family = family->next;
        for (struct nm_series *series = family->first; series;) {
            struct nm_series *next = series->next;
            free_series(series);
            series = next;
        }
        free(family);
        family = next_family;
    }
    (void)pthread_mutex_destroy(&metrics->lock);
    free(metrics);
}

/* ---- labels ---- */

/* As the text format wants a label value, or with quote 0 a help text: \\ \n and \" escaped. */
static void add_escaped(const char *text, size_t len, bool quote, struct nm_buf *out)
{
    for (size_t i = 0; i < len;) {
        utf8proc_int32_t c;
        utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)text + i, (utf8proc_ssize_t)(len - i), &c);
        if (n <= 0)
            nm_buf_adds(out, "\xef\xbf\xbd");
        else if (c == '\n')
            nm_buf_adds(out, "\\n");
        else if (c == '\\' || (c == '"' && quote))
            nm_buf_addf(out, "\\%c", (char)c);
        else
            nm_buf_add(out, text + i, (size_t)n);
        i += n > 0 ? (size_t)n : 1;
    }
}

/* At most NM_LABEL_BYTES, cut before a character. */
static size_t label_len(const char *text)
{
    size_t len = strnlen(text, NM_LABEL_BYTES + 1);
    if (len <= NM_LABEL_BYTES)
        return len;
    len = NM_LABEL_BYTES;
    while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
        len--;
    return len;
}

static void add_label(const char *name, const char *value, struct nm_buf *out)
{
    nm_buf_addf(out, "%s%s=\"", out->len ? "," : "", name);
    add_escaped(value, label_len(value), true, out);
    nm_buf_addc(out, '"');
}

/* values NULL: all "other". */
static void add_labels(const struct nm_metric_spec *spec, const char *const *values, struct nm_buf *out)
{
    for (size_t i = 0; i < NM_METRIC_LABELS && spec->label[i]; i++)
        add_label(spec->label[i], values ? values[i] : OTHER, out);
}

/* ---- families and series ---- */

static struct nm_family *find_family(struct nm_metrics *metrics, const struct nm_metric_spec *spec)
{
    struct nm_family *family = metrics->first;
    while (family && family->spec != spec && strcmp(family->spec->name, spec->name) != 0)
        family = family->next;
    assert(!family || family->spec->kind == spec->kind);
    return family;
}

static struct nm_family *make_family(struct nm_metrics *metrics, const struct nm_metric_spec *spec)
{
    struct nm_family *family = calloc(1, sizeof *family);
    if (!family)
        return NULL;
    assert(spec->n_buckets <= NM_METRIC_BUCKETS);
    family->metrics = metrics;
    family->spec = spec;
    (void)pthread_mutex_lock(&metrics->lock);
    if (metrics->last)
        metrics->last->next = family;
    else
        metrics->first = family;
    metrics->last = family;
    (void)pthread_mutex_unlock(&metrics->lock);
    return family;
}

static struct nm_series *find_series(const struct nm_family *family, const char *labels)
{
    struct nm_series *series = family->first;
    while (series && strcmp(series->labels, labels) != 0)
        series = series->next;
    return series;
}

/* Takes `labels`, also when there is no memory. */
static struct nm_series *make_series(struct nm_family *family, char *labels, bool other)
{
    size_t n = family->spec->kind == NM_HISTOGRAM ? family->spec->n_buckets + 1 : 0;
    struct nm_series *series = labels ? calloc(1, sizeof *series + n * sizeof series->bucket[0]) : NULL;
    if (!series) {
        free(labels);
        return NULL;
    }
    series->family = family;
    series->labels = labels;
    series->other = other;
    (void)pthread_mutex_lock(&family->metrics->lock);
    if (family->last)
        family->last->next = series;
    else
        family->first = series;
    family->last = series;
    family->n_series += !other;
    (void)pthread_mutex_unlock(&family->metrics->lock);
    return series;
}

static struct nm_series *other_series(struct nm_family *family, struct nm_buf *labels)
{
    nm_buf_reset(labels);
    add_labels(family->spec, NULL, labels);
    struct nm_series *found = nm_buf_ok(labels) ? find_series(family, nm_buf_str(labels)) : NULL;
    if (!found)
        return make_series(family, nm_buf_take(labels), true);
    found->other = true; /* also where somebody's labels were "other" by themselves */
    return found;
}

struct nm_series *nm_metric(struct nm_metrics *metrics, const struct nm_metric_spec *spec,
                            const char *const *label_values)
{
    if (!metrics)
        return NULL;
    struct nm_family *family = find_family(metrics, spec);
    if (!family)
        family = make_family(metrics, spec);
    if (!family)
        return NULL;
    struct nm_buf labels = {0};
    assert(!spec->label[0] || label_values);
    if (spec->label[0])
        add_labels(spec, label_values, &labels);
    struct nm_series *series = nm_buf_ok(&labels) ? find_series(family, nm_buf_str(&labels)) : NULL;
    if (!series && nm_buf_ok(&labels)) {
        if (family->n_series < NM_METRIC_SERIES)
            series = make_series(family, nm_buf_take(&labels), false);
        else
            series = other_series(family, &labels);
    }
    nm_buf_clear(&labels);
    return series;
}

void nm_series_remove(struct nm_series *series)
{
    if (!series || series->other)
        return;
    struct nm_family *family = series->family;
    struct nm_series *before = NULL;
    for (struct nm_series *at = family->first; at != series; at = at->next)
        before = at;
    (void)pthread_mutex_lock(&family->metrics->lock);
    if (before)
        before->next = series->next;
    else
        family->first = series->next;
    if (family->last == series)
        family->last = before;
    family->n_series--;
    (void)pthread_mutex_unlock(&family->metrics->lock);
    free_series(series);
}

/* ---- values ---- */

/* One writer: nothing is lost between the load and the store. */
static void increase(_Atomic double *number, double by)
{
    double now = atomic_load_explicit(number, memory_order_relaxed);
    atomic_store_explicit(number, now + by, memory_order_relaxed);
}

void nm_series_add(struct nm_series *series, double value)
{
    if (!series)
        return;
    assert(series->family->spec->kind != NM_HISTOGRAM);
    if (series->family->spec->kind == NM_COUNTER && !(value >= 0))
        return;
    increase(&series->value, value);
}

void nm_series_set(struct nm_series *series, double value)
{
    if (!series)
        return;
    assert(series->family->spec->kind == NM_GAUGE);
    atomic_store_explicit(&series->value, value, memory_order_relaxed);
}

void nm_series_observe(struct nm_series *series, double value)
{
    if (!series || isnan(value))
        return;
    const struct nm_metric_spec *spec = series->family->spec;
    assert(spec->kind == NM_HISTOGRAM);
    size_t at = 0;
    while (at < spec->n_buckets && value > spec->bucket[at])
        at++;
    increase(&series->value, value);
    increase(&series->bucket[at], 1);
}

/* ---- the page ---- */

void nm_metrics_number(double value, struct nm_buf *out)
{
    char text[40];
    if (isnan(value) || isinf(value)) {
        nm_buf_adds(out, isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    nm_buf_adds(out, text);
}

void nm_metrics_head(const char *name, const char *help, const char *type, struct nm_buf *out)
{
    nm_buf_addf(out, "# HELP %s ", name);
    add_escaped(help, strlen(help), false, out);
    nm_buf_addf(out, "\n# TYPE %s %s\n", name, type);
}

static void add_sample(const struct nm_series *series, const char *suffix, const char *le, double value,
                       struct nm_buf *out)
{
    nm_buf_addf(out, "newsmill_%s%s", series->family->spec->name, suffix);
    if (*series->labels || le)
        nm_buf_addf(out, "{%s%s", series->labels, *series->labels && le ? "," : "");
    if (le)
        nm_buf_addf(out, "le=\"%s\"", le);
    nm_buf_adds(out, *series->labels || le ? "} " : " ");
    nm_metrics_number(value, out);
    nm_buf_addc(out, '\n');
}

static void add_histogram(const struct nm_series *series, struct nm_buf *out)
{
    const struct nm_metric_spec *spec = series->family->spec;
    double sum = atomic_load_explicit(&series->value, memory_order_relaxed), count = 0;
    for (size_t i = 0; i <= spec->n_buckets; i++) {
        struct nm_buf le = {0};
        nm_metrics_number(i < spec->n_buckets ? spec->bucket[i] : (double)INFINITY, &le);
        count += atomic_load_explicit(&series->bucket[i], memory_order_relaxed);
        add_sample(series, "_bucket", nm_buf_str(&le), count, out);
        nm_buf_clear(&le);
    }
    add_sample(series, "_sum", NULL, sum, out);
    add_sample(series, "_count", NULL, count, out);
}

static void add_family(const struct nm_family *family, struct nm_buf *out)
{
    static const char *const types[] = {[NM_COUNTER] = "counter", [NM_GAUGE] = "gauge", [NM_HISTOGRAM] = "histogram"};
    char name[128];
    if (!family->first)
        return;
    (void)snprintf(name, sizeof name, "newsmill_%s", family->spec->name);
    nm_metrics_head(name, family->spec->help, types[family->spec->kind], out);
    for (const struct nm_series *series = family->first; series; series = series->next) {
        if (family->spec->kind == NM_HISTOGRAM)
            add_histogram(series, out);
        else
            add_sample(series, "", NULL, atomic_load_explicit(&series->value, memory_order_relaxed), out);
    }
}

void nm_metrics_render(struct nm_metrics *metrics, struct nm_buf *out)
{
    struct nm_buf labels = {0};
    add_label("worker", metrics->worker, &labels);
    add_label("version", NM_VERSION, &labels);
    nm_metrics_head("newsmill_build_info", "Which program this is; always 1.", "gauge", out);
    nm_buf_addf(out, "newsmill_build_info{%s} 1\n", nm_buf_str(&labels));
    nm_buf_clear(&labels);
    (void)pthread_mutex_lock(&metrics->lock);
    for (const struct nm_family *family = metrics->first; family; family = family->next)
        add_family(family, out);
    (void)pthread_mutex_unlock(&metrics->lock);
    nm_process_render(metrics->start_s, out);
}
