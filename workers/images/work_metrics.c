/* work_metrics.c - what the work tells about itself. */
#include "work_internal.h"

enum { N_COUNTS = 14 };

static const double decode_buckets[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};

static const struct nm_metric_spec fetches = {
    .kind = NM_COUNTER,
    .name = "images_fetches_total",
    .help = "Fetches that ended, by host (the last of a chain) and outcome: cached, unchanged, failed.",
    .label = {"host", "outcome"},
};
static const struct nm_metric_spec refusals = {
    .kind = NM_COUNTER,
    .name = "images_failures_total",
    .help = "Fetches that failed, and URLs of new versions of articles that are never asked for, by reason.",
    .label = {"reason"},
};
static const struct nm_metric_spec specs[N_COUNTS] = {
    {.kind = NM_GAUGE,
     .name = "images_in_flight_items",
     .help = "Transfers on their way, or with a body not yet done."},
    {.kind = NM_GAUGE, .name = "images_in_flight_bytes", .help = "Memory that transfers reserve."},
    {.kind = NM_GAUGE, .name = "images_tasks", .help = "URLs that this process works on, those in queues among them."},
    {.kind = NM_HISTOGRAM,
     .name = "images_decode_seconds",
     .help = "Time of a decoder's job.",
     .bucket = decode_buckets,
     .n_buckets = sizeof decode_buckets / sizeof *decode_buckets},
    {.kind = NM_COUNTER, .name = "images_decoder_kills_total", .help = "Decoder processes that were killed."},
    {.kind = NM_COUNTER, .name = "images_leases_lost_total", .help = "Fetches whose lease another instance had taken."},
    {.kind = NM_COUNTER, .name = "images_dedup_total", .help = "Pictures whose bytes were in the store already."},
    {.kind = NM_COUNTER, .name = "images_stored_total", .help = "Pictures that were put into the store."},
    {.kind = NM_COUNTER, .name = "images_received_bytes_total", .help = "Bytes of bodies that came from origins."},
    {.kind = NM_COUNTER,
     .name = "images_bomb_ratio_total",
     .help = "Pictures above check.bombRatio decoded bytes for each stored one."},
    {.kind = NM_COUNTER,
     .name = "images_mixed_answers_total",
     .help = "Names with refused addresses beside the one that was taken."},
    {.kind = NM_COUNTER,
     .name = "images_type_mismatch_total",
     .help = "Pictures of another type than their Content-Type said."},
    {.kind = NM_GAUGE, .name = "images_store_paused", .help = "1 while nothing is fetched because the store fails."},
    {.kind = NM_COUNTER, .name = "images_no_end_total", .help = "JPEGs that lacked only their end and were given one."},
};

void im_counts_open(struct im_work *work)
{
    struct im_counts *c = &work->counts;
    struct nm_series **const series[N_COUNTS] = {
        &c->in_flight, &c->in_flight_bytes, &c->queued, &c->decode_seconds, &c->kills,    &c->leases_lost, &c->dedup,
        &c->stored,    &c->bytes_in,        &c->bombs,  &c->mixed,          &c->mismatch, &c->paused,      &c->no_end};
    for (size_t i = 0; i < N_COUNTS; i++)
        *series[i] = nm_metric(work->config.metrics, &specs[i], NULL);
}

void im_count_outcome(struct im_work *work, const char *host, const char *outcome, const char *reason)
{
    const char *const labels[] = {host, outcome};
    nm_series_add(nm_metric(work->config.metrics, &fetches, labels), 1);
    if (*reason)
        nm_series_add(nm_metric(work->config.metrics, &refusals, &reason), 1);
}

void im_work_refused(struct im_work *work, enum im_reason reason)
{
    const char *const name = im_reason_name(reason);
    nm_series_add(nm_metric(work->config.metrics, &refusals, &name), 1);
}

void im_counts_tick(struct im_work *work)
{
    uint64_t kills = im_decoders_stats(work->decoders).kills;
    int in_flight = im_fetcher_in_flight(work->fetcher);
    nm_series_set(work->counts.in_flight, in_flight);
    nm_series_set(work->counts.in_flight_bytes, (double)in_flight * IM_FETCH_TRANSFER_BYTES);
    nm_series_set(work->counts.queued, (double)work->n_tasks);
    nm_series_add(work->counts.kills, (double)(kills - work->seen_kills));
    work->seen_kills = kills;
}
