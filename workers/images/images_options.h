/* images_options.h - what an operator can set for images, as the table fills it; images_settings.h makes of it what the
 * parts need.
 *
 * The table is linked by every program, without the rest of the worker: here and in images_options.c stands nothing
 * that needs another file of it. What is wrong in any option file images_options_check() says; what the worker itself
 * cannot start without (images.contact, images.store.path) is asked by im_settings_read() only, so that an option file
 * without any images: stays good for all others. */
#ifndef IMAGES_OPTIONS_H
#define IMAGES_OPTIONS_H

#include "newsmill/option.h"

struct im_fetch_options {
    struct nm_strings ports;         /* decimal                                        */
    struct nm_strings deny_networks; /* as im_network_parse() takes them               */
    char *nat64_prefix, *mixed_answers, *http_version, *ca_file;
    long long url_bytes, max_hops, connect_ms, first_byte_ms, slow_bytes, slow_ms, total_ms;
    long long header_bytes, body_bytes, in_flight_items, in_flight_bytes, temp_bytes;
    long long per_host, per_address, host_rate, host_burst;
    bool allow_downgrade, try_https;
};

struct im_check_options {
    long long min_bytes, min_edge, max_pixels, max_edge, max_gif_pixels, max_frames, max_total_pixels, max_scans;
    long long metadata_bytes, bomb_ratio;
    bool refuse_bombs, strict_type;
};

struct im_store_options {
    char *kind, *path;
    long long max_percent, max_bytes; /* max_bytes 0: no such cap */
    struct {
        char *endpoint, *region, *bucket, *prefix, *access_key_file, *secret_key_file;
        long long timeout_ms;
    } s3;
};

struct im_options { /* all strings and lists are owned by nm_options_clear() */
    char *mode, *contact, *public_base, *temp_path;
    struct nm_strings test_allow; /* as im_endpoint_parse() takes them   */
    struct nm_lists test_resolve; /* "name:port" -> numeric addresses    */
    bool keep_copyright;
    long long max_users, lease_ms, fresh_ms;
    struct im_fetch_options fetch;
    struct im_check_options check;
    struct im_store_options store;
    struct {
        long long processes, cpu_ms, wall_ms, memory_bytes; /* processes 0: as many as there are CPUs */
    } decoder;
    struct {
        struct nm_strings edges; /* decimal */
        char *format;
        long long quality;
    } thumbnails;
    struct {
        long long tries, base_ms, rounds, after_min_ms, after_max_ms, after_default_ms;
    } retry;
    struct {
        long long failures, open_ms;
    } breaker;
    struct {
        long long idle_ms, grace_ms, min_age_ms;
    } gc;
};

extern const struct nm_option images_options[];
/* ctx: struct im_options, or what begins with one. */
NM_MUST_USE enum nm_status images_options_check(const void *ctx, struct nm_error *err);

#endif
