/* report.c - see report.h. Pure. */
#include "newsmill/report.h"

bool nm_report_ready(const struct nm_report *report)
{
    return report->joined && report->redis_ok && report->kafka_ok;
}

int64_t nm_report_lag(const struct nm_report *report)
{
    int64_t sum = 0;
    for (size_t i = 0; i < report->n_partitions; i++) {
        const struct nm_partition_report *partition = &report->partition[i];
        if (partition->next >= 0 && partition->end > partition->next)
            sum += partition->end - partition->next;
    }
    return sum;
}
