/* admin_pages.c - what the pages of the admin endpoint say about a report. Pure; jansson, since people read /status and
 * it is asked for rarely. */
#include "admin_internal.h"

#include <jansson.h>
#include <microhttpd.h>

unsigned nm_page_livez(const struct nm_admin_view *view, struct nm_buf *out)
{
    if (!view->report || !view->report->not_live) {
        nm_buf_adds(out, "live\n");
        return MHD_HTTP_OK;
    }
    nm_buf_addf(out, "not live: %s\n", view->report->not_live);
    return MHD_HTTP_SERVICE_UNAVAILABLE;
}

unsigned nm_page_readyz(const struct nm_admin_view *view, struct nm_buf *out)
{
    const struct nm_report *report = view->report;
    if (report && nm_report_ready(report)) {
        nm_buf_adds(out, "ready\n");
        return MHD_HTTP_OK;
    }
    if (!report)
        nm_buf_adds(out, "not ready: starting\n");
    if (report && !report->kafka_ok)
        nm_buf_adds(out, "not ready: Kafka does not answer\n");
    if (report && !report->redis_ok)
        nm_buf_addf(out, "not ready: Redis%s%s does not answer\n", report->redis_address ? " at " : "",
                    report->redis_address ? report->redis_address : "");
    if (report && !report->joined)
        nm_buf_adds(out, "not ready: the consumer group has not given an assignment yet\n");
    if (report && report->retrying)
        nm_buf_addf(out, "retrying: %s\n", report->retrying);
    return MHD_HTTP_SERVICE_UNAVAILABLE;
}

/* Numbers below 0 are unknown. */
static json_t *known(int64_t number)
{
    return number < 0 ? json_null() : json_integer(number);
}

/* Untrusted bytes never get here, but a sentence may quote some: what is no UTF-8 is left out whole. */
static json_t *text_or_null(const char *text)
{
    json_t *string = text ? json_string(text) : NULL;
    return string ? string : json_null();
}

static json_t *assignment(const struct nm_report *report)
{
    json_t *list = json_array();
    for (size_t i = 0; report && list && i < report->n_partitions; i++) {
        const struct nm_partition_report *part = &report->partition[i];
        json_t *row = json_pack("{s:o, s:i, s:o, s:o, s:o, s:I, s:b, s:o}", "stream", text_or_null(part->stream),
                                "partition", (int)part->partition, "next", known(part->next), "committed",
                                known(part->committed), "end", known(part->end), "inFlight",
                                (json_int_t)part->in_flight, "paused", (int)part->paused, "lagMs", known(part->lag_ms));
        if (json_array_append_new(list, row) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

unsigned nm_page_status(const struct nm_admin_view *view, struct nm_buf *out)
{
    static const struct nm_report nothing = {0};
    const struct nm_report *report = view->report ? view->report : &nothing;
    json_t *root =
        json_pack("{s:s, s:s, s:s, s:I, s:b, s:o, s:{s:o, s:b, s:I}, s:{s:b}, s:o, s:o}", "worker", view->worker,
                  "version", NM_VERSION, "namespace", view->ns, "uptimeMs", (json_int_t)view->uptime_ms, "ready",
                  (int)nm_report_ready(report), "assignment", assignment(report), "redis", "address",
                  text_or_null(report->redis_address), "ok", (int)report->redis_ok, "connects",
                  (json_int_t)report->redis_connects, "kafka", "ok", (int)report->kafka_ok, "retrying",
                  text_or_null(report->retrying), "notLive", text_or_null(report->not_live));
    char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
    json_decref(root);
    if (text)
        nm_buf_addf(out, "%s\n", text);
    else
        out->oom = true;
    free(text);
    return MHD_HTTP_OK;
}
