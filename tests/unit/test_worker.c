/* test_worker.c - the partition of a key against librdkafka's own partitioner and Java's vectors; keys of sets. */
#include "newsmill/worker.h"

#include <librdkafka/rdkafka.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void partition__every_length_as_librdkafka(void **state)
{
    (void)state;
    char key[80];
    uint32_t random = 12345;
    for (size_t len = 0; len < sizeof key; len++)
        for (int n = 1; n <= 97; n += 8) {
            for (size_t i = 0; i < len; i++) {
                random = random * 1664525 + 1013904223;
                key[i] = (char)(random >> 24);
            }
            assert_int_equal(nm_partition_of(key, len, n),
                             rd_kafka_msg_partitioner_murmur2(NULL, key, len, n, NULL, NULL));
        }
}

/* Utils.murmur2() of Apache Kafka's own test, sign bit dropped: here modulo 2^31 - 1 partitions. */
static void partition__vectors_of_java(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        int32_t hash;
    } cases[] = {{"21", -973932308},
                 {"foobar", -790332482},
                 {"a-little-bit-long-string", -985981536},
                 {"a-little-bit-longer-string", -1486304829},
                 {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
                 {"abc", 479470107}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(nm_partition_of(cases[i].key, strlen(cases[i].key), INT32_MAX),
                         ((uint32_t)cases[i].hash & 0x7fffffff) % INT32_MAX);
}

static void set_key__namespace_name_partition(void **state)
{
    (void)state;
    char ns[] = "news", key[40];
    struct nm_settings settings = {.ns = ns};
    static const struct nm_set due = {.name = "due:publish", .timed = true};
    nm_set_key(&settings, &due, 7, key, sizeof key);
    assert_string_equal(key, "news:due:publish:7");
    nm_set_key(&settings, &due, 7, key, 9);
    assert_string_equal(key, "news:due");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(partition__every_length_as_librdkafka),
        cmocka_unit_test(partition__vectors_of_java),
        cmocka_unit_test(set_key__namespace_name_partition),
    };
    return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}
