/* metrics.h - counters, gauges and histograms of one process, and the page that Prometheus reads.
 *
 * A family is a const row (struct nm_metric_spec); a series is the family with one set of label values. One thread (the
 * worker's) finds, changes and removes series; nothing of that waits for a reader but the making and removing of a
 * series. Any thread renders at the same time. Metrics never stop a worker: what cannot be allocated is NULL, and a
 * NULL series takes everything and does nothing. */
#ifndef NEWSMILL_METRICS_H
#define NEWSMILL_METRICS_H

#include "newsmill/buf.h"
#include "newsmill/status.h"

#include <stddef.h>

#define NM_METRIC_LABELS  3    /* most labels of a family                                   */
#define NM_METRIC_BUCKETS 24   /* most buckets of a histogram, without +Inf                 */
#define NM_METRIC_SERIES  1000 /* most series of a family, without "other"                  */
#define NM_LABEL_BYTES    200  /* a label value is cut here (before it is escaped)          */

enum nm_metric_kind { NM_COUNTER, NM_GAUGE, NM_HISTOGRAM };

struct nm_metric_spec {
    enum nm_metric_kind kind;
    const char *name;                    /* without "newsmill_"; a counter's ends in "_total"; the family's identity */
    const char *help;                    /* one sentence */
    const char *label[NM_METRIC_LABELS]; /* names; NULL behind the last one */
    const double *bucket;                /* NM_HISTOGRAM: upper bounds, rising */
    size_t n_buckets;
};

struct nm_metrics;
struct nm_series;

/* worker: borrowed, the label of build_info. NM_FATAL: out of memory. */
NM_MUST_USE enum nm_status nm_metrics_new(const char *worker, struct nm_metrics **out, struct nm_error *err);
void nm_metrics_free(struct nm_metrics *metrics); /* with every series; nobody renders any more */
NM_DEFINE_CLEANUP(struct nm_metrics, nm_metrics_free)

/* The series of these label values, as many as spec->label has names (NULL where it has none); made at first use, with
 * the value 0. Bytes that are not UTF-8 become U+FFFD. Beyond NM_METRIC_SERIES series of a family every further one is
 * the same, whose label values are all "other". spec is borrowed for good. NULL: `metrics` is NULL, or out of memory.
 */
struct nm_series *nm_metric(struct nm_metrics *metrics, const struct nm_metric_spec *spec,
                            const char *const *label_values);
/* Takes the series from the page, such as a gauge of a partition that was given back; the pointer is dead then. The
 * series "other" stays, since others may use it. */
void nm_series_remove(struct nm_series *series);

/* Counters and gauges; a counter ignores what is negative or not a number. */
void nm_series_add(struct nm_series *series, double value);
/* Gauges only. */
void nm_series_set(struct nm_series *series, double value);
/* Histograms only; what is not a number is ignored. */
void nm_series_observe(struct nm_series *series, double value);

/* Appends the page in Prometheus' text format 0.0.4 (NM_METRICS_TYPE): every family in the order of its making,
 * newsmill_build_info{worker,version} and process_* of this process. Any thread. */
void nm_metrics_render(struct nm_metrics *metrics, struct nm_buf *out);
#define NM_METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

#endif
