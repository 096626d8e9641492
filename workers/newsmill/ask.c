/* ask.c - questions to Kafka that are asked again until a deadline, see ask.h.
 *
 * librdkafka's calls repeat a request when a connection fails, but give "not leader" and the like back at once. */
#include "ask.h"

#include "tool.h"

#include <poll.h>

#define PAUSE_MS 50
#define TRY_MS   2000

int nm_ask_time_left(int64_t deadline_ms)
{
    int64_t left = deadline_ms - nm_boottime_ms();
    return left > 1 ? (int)left : 1;
}

/* Of one try: why Kafka does not answer is known long before the deadline, and looked at between two. */
static int try_time(int64_t deadline_ms)
{
    int left = nm_ask_time_left(deadline_ms);
    return left < TRY_MS ? left : TRY_MS;
}

/* Pauses before another try; false: it is over. */
static bool again(enum nm_status status, int64_t deadline_ms)
{
    if (status != NM_RETRY || nm_tool_stopped() || nm_boottime_ms() + PAUSE_MS >= deadline_ms)
        return false;
    (void)poll(NULL, 0, PAUSE_MS);
    return true;
}

enum nm_status nm_ask_partitions(rd_kafka_t *rk, const char *topic, int64_t deadline_ms, int32_t *out,
                                 struct nm_error *err)
{
    enum nm_status status = NM_OK;
    do {
        status = nm_kafka_partitions(rk, topic, try_time(deadline_ms), out, err);
    } while (again(status, deadline_ms));
    return status;
}

enum nm_status nm_ask_ends(rd_kafka_t *rk, const char *topic, int32_t partition, int64_t deadline_ms, int64_t *oldest,
                           int64_t *end, struct nm_error *err)
{
    enum nm_status status = NM_OK;
    do {
        status = nm_kafka_ends(rk, topic, partition, try_time(deadline_ms), oldest, end, err);
    } while (again(status, deadline_ms));
    return status;
}

/* A large cluster may take its time to answer: only the first try is short. */
enum nm_status nm_ask_topics(rd_kafka_t *rk, int64_t deadline_ms, const struct rd_kafka_metadata **out,
                             struct nm_error *err)
{
    int wait_ms = try_time(deadline_ms);
    enum nm_status status = NM_OK;
    do {
        rd_kafka_resp_err_t code = rd_kafka_metadata(rk, 1, NULL, out, wait_ms);
        status = NM_OK;
        if (code)
            status = nm_fail(err, nm_kafka_is_config_error(code) ? NM_CONFIG : NM_RETRY, "asking for the topics: %s",
                             rd_kafka_err2str(code));
        if (status == NM_RETRY)
            status = nm_kafka_judge(status, err);
        wait_ms = nm_ask_time_left(deadline_ms);
    } while (again(status, deadline_ms));
    return status;
}
