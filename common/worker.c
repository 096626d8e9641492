/* worker.c - what workers and the runtime compute alike: the partition of a key, the key of a set.
 *
 * The partition is that of Java's producers and of librdkafka's partitioner "murmur2": murmur2 of the key's bytes, sign
 * bit dropped, modulo the number of partitions. murmur2 as in Apache Kafka,
 * org.apache.kafka.common.utils.Utils.murmur2(): Austin Appleby's MurmurHash2 (public domain), 32 bits, little-endian,
 * seed 0x9747b28c. Pure; thread-safe. */
#include "newsmill/worker.h"

#include <assert.h>
#include <stdio.h>

static uint32_t murmur2(const unsigned char *data, size_t len)
{
    const uint32_t m = 0x5bd1e995;
    uint32_t hash = 0x9747b28c ^ (uint32_t)len;
    for (; len >= 4; data += 4, len -= 4) {
        uint32_t k = data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
        k *= m;
        k ^= k >> 24;
        k *= m;
        hash *= m;
        hash ^= k;
    }
    if (len == 3)
        hash ^= (uint32_t)data[2] << 16;
    if (len >= 2)
        hash ^= (uint32_t)data[1] << 8;
    if (len >= 1) {
        hash ^= data[0];
        hash *= m;
    }
    hash ^= hash >> 13;
    hash *= m;
    hash ^= hash >> 15;
    return hash;
}

int32_t nm_partition_of(const char *key, size_t len, int32_t n_partitions)
{
    assert(n_partitions > 0);
    return (int32_t)((murmur2((const unsigned char *)key, len) & 0x7fffffff) % (uint32_t)n_partitions);
}

void nm_set_key(const struct nm_settings *settings, const struct nm_set *set, int32_t partition, char *out, size_t size)
{
    (void)snprintf(out, size, "%s:%s:%d", settings->ns, set->name, partition);
}
