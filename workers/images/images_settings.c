/* images_settings.c - from the options as written to what each part takes.
 *
 * What images_options_check() has said is not said again; but texts of addresses are read once more, by address.c,
 * which has the last word. The two marks name the rules: a picture that was refused by other rules is looked at again,
 * and a facet that would look otherwise is sent again. So they are made of the values of exactly the options that
 * refuse images, or that shape facets; instances with equal options agree on them. Threads: none. */
#include "images_settings.h"

#include "newsmill/buf.h"
#include "newsmill/digest.h"
#include "newsmill/url.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#ifndef NM_VERSION
#define NM_VERSION "0"
#endif

static bool is(const char *value, const char *word)
{
    return strcmp(value, word) == 0;
}

/* ---- numbers ---- */

static void read_fetch(const struct im_options *o, struct im_settings *out)
{
    const struct im_fetch_options *f = &o->fetch;
    out->fetch = (struct im_fetch_limits){.url_bytes = (size_t)f->url_bytes,
                                          .max_hops = (int)f->max_hops,
                                          .connect_ms = (int32_t)f->connect_ms,
                                          .first_byte_ms = (int32_t)f->first_byte_ms,
                                          .slow_bytes = (int32_t)f->slow_bytes,
                                          .slow_ms = (int32_t)f->slow_ms,
                                          .total_ms = (int32_t)f->total_ms,
                                          .header_bytes = (size_t)f->header_bytes,
                                          .body_bytes = f->body_bytes,
                                          .in_flight_items = (int)f->in_flight_items,
                                          .in_flight_bytes = f->in_flight_bytes,
                                          .temp_bytes = f->temp_bytes,
                                          .retry_after_min_ms = o->retry.after_min_ms,
                                          .retry_after_max_ms = o->retry.after_max_ms,
                                          .retry_after_default_ms = o->retry.after_default_ms};
    out->allow_downgrade = f->allow_downgrade;
    out->reject_mixed = is(f->mixed_answers, "reject");
    out->http2 = is(f->http_version, "2");
    out->try_https = f->try_https;
    out->ca_file = *f->ca_file ? f->ca_file : NULL;
}

static void read_check(const struct im_check_options *c, struct im_settings *out)
{
    out->check = (struct im_limits){.max_pixels = c->max_pixels,
                                    .max_gif_pixels = c->max_gif_pixels,
                                    .max_total_pixels = c->max_total_pixels,
                                    .min_bytes = c->min_bytes,
                                    .metadata_bytes = c->metadata_bytes,
                                    .max_edge = (int32_t)c->max_edge,
                                    .min_edge = (int32_t)c->min_edge,
                                    .max_frames = (int32_t)c->max_frames,
                                    .max_scans = (int32_t)c->max_scans};
    out->strict_type = c->strict_type;
    out->refuse_bombs = c->refuse_bombs;
    out->bomb_ratio = c->bomb_ratio;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void read_state(const struct im_options *o, struct im_state_options *out)
{
    im_state_defaults(out);
    out->lease_ms = o->lease_ms;
    out->max_users = o->max_users;
    out->tries = o->retry.tries;
    out->rounds = o->retry.rounds;
    out->retry_base_ms = o->retry.base_ms;
    out->after_min_ms = o->retry.after_min_ms;
    out->after_max_ms = o->retry.after_max_ms;
    out->after_default_ms = o->retry.after_default_ms;
    out->fresh_ms = o->fresh_ms;
    out->fresh_max_ms = o->fresh_ms;
    out->fresh_min_ms = least(out->fresh_min_ms, o->fresh_ms);
    out->per_host = o->fetch.per_host;
    out->per_address = o->fetch.per_address;
    out->host_rate = o->fetch.host_rate;
    out->host_burst = o->fetch.host_burst;
    out->slot_ms = o->fetch.total_ms + 5000;
    out->breaker_failures = o->breaker.failures;
    out->breaker_open_ms = o->breaker.open_ms;
    out->breaker_open_max_ms = most(out->breaker_open_max_ms, o->breaker.open_ms);
    out->idle_ms = o->gc.idle_ms;
    out->grace_ms = o->gc.grace_ms;
    out->min_age_ms = o->gc.min_age_ms;
}

static void read_decoder(const struct im_options *o, struct im_decoder_settings *out)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    int64_t processes = o->decoder.processes > 0 ? o->decoder.processes : cpus > 0 ? cpus : 1;
    *out = (struct im_decoder_settings){.processes = (int32_t)least(processes, IM_DECODERS_MAX),
                                        .cpu_ms = o->decoder.cpu_ms,
                                        .wall_ms = o->decoder.wall_ms,
                                        .memory_bytes = o->decoder.memory_bytes};
}

/* Smallest first, as facets show them. */
static void read_thumbnails(const struct im_options *o, struct im_settings *out)
{
    const struct nm_strings *edges = &o->thumbnails.edges;
    for (size_t i = 0; i < edges->n && i < IM_THUMBS; i++) {
        struct im_thumb thumb = {.edge = (int32_t)strtol(edges->item[i], NULL, 10),
                                 .format = is(o->thumbnails.format, "webp") ? IM_THUMB_WEBP : IM_THUMB_JPEG,
                                 .quality = (int32_t)o->thumbnails.quality};
        int at = out->n_thumbs++;
        for (; at > 0 && out->thumb[at - 1].edge > thumb.edge; at--)
            out->thumb[at] = out->thumb[at - 1];
        out->thumb[at] = thumb;
    }
    out->copy = o->keep_copyright ? IM_COPY_CREDITED : IM_COPY_BARE;
}

/* ---- addresses ---- */

typedef enum nm_status add_rule(struct im_policy *policy, const char *text, struct nm_error *err);

static enum nm_status add_rules(const char *name, const struct nm_strings *texts, add_rule *add,
                                struct im_policy *policy, struct nm_error *err)
{
    struct nm_error why = {0};
    for (size_t i = 0; i < texts->n; i++)
        if (add(policy, texts->item[i], &why) != NM_OK)
            return nm_fail(err, NM_CONFIG, "images.%s %s", name, why.msg);
    return NM_OK;
}

static enum nm_status read_policy(const struct im_options *o, struct im_policy *out, struct nm_error *err)
{
    struct nm_error why = {0};
    if (im_policy_set_nat64(out, o->fetch.nat64_prefix, &why) != NM_OK)
        return nm_fail(err, NM_CONFIG, "images.fetch.nat64Prefix %s", why.msg);
    enum nm_status status = add_rules("fetch.ports", &o->fetch.ports, im_policy_add_port, out, err);
    if (status == NM_OK)
        status = add_rules("fetch.denyNetworks", &o->fetch.deny_networks, im_policy_add_deny, out, err);
    if (status == NM_OK && is(o->mode, "test"))
        status = add_rules("testAllow", &o->test_allow, im_policy_add_allow, out, err);
    return status;
}

/* "NAME:PORT:ADDRESS,[ADDRESS6]..." for libcurl; the name as URLs have it, in punycode. */
static enum nm_status write_resolve(const struct nm_list *list, const char **out, struct nm_error *err)
{
    char host[NM_HOST_BYTES];
    uint16_t port = 0;
    struct nm_buf buf = {0};
    const char *colon = strrchr(list->name, ':');
    if (!colon || im_port_parse(colon + 1, &port, NULL) != NM_OK ||
        nm_host_canonical(list->name, (size_t)(colon - list->name), host, NULL) != NM_OK)
        return nm_fail(err, NM_CONFIG,
                       "images.testResolve has '%.80s', which is not a name with a port; write img.test:18081",
                       list->name);
    nm_buf_addf(&buf, "%s:%u:", host, (unsigned)port);
    for (size_t i = 0; i < list->strings.n; i++) {
        bool six = strchr(list->strings.item[i], ':');
        nm_buf_addf(&buf, "%s%s%s%s", i ? "," : "", six ? "[" : "", list->strings.item[i], six ? "]" : "");
    }
    *out = nm_buf_take(&buf);
    return *out ? NM_OK : nm_fail(err, NM_FATAL, "out of memory for images.testResolve");
}

static enum nm_status read_resolve(const struct im_options *o, struct im_settings *out, struct nm_error *err)
{
    enum nm_status status = NM_OK;
    if (o->test_resolve.n == 0 || !is(o->mode, "test"))
        return NM_OK;
    out->resolve = calloc(o->test_resolve.n + 1, sizeof *out->resolve);
    if (!out->resolve)
        return nm_fail(err, NM_FATAL, "out of memory for images.testResolve");
    for (size_t i = 0; i < o->test_resolve.n && status == NM_OK; i++)
        status = write_resolve(&o->test_resolve.item[i], &out->resolve[i], err);
    return status;
}

/* ---- marks ---- */

static void add_list(struct nm_buf *buf, const char *name, const struct nm_strings *list)
{
    nm_buf_addf(buf, "\n%s", name);
    for (size_t i = 0; i < list->n; i++)
        nm_buf_addf(buf, " %s", list->item[i]);
}

static enum nm_status make_mark(struct nm_buf *buf, char out[IM_MARK_BYTES], struct nm_error *err)
{
    char digest[NM_DIGEST_BYTES];
    bool good = nm_buf_ok(buf);
    if (good) {
        nm_digest(nm_buf_str(buf), buf->len, digest);
        (void)snprintf(out, IM_MARK_BYTES, "%.16s", digest);
    }
    nm_buf_clear(buf);
    return good ? NM_OK : nm_fail(err, NM_FATAL, "out of memory for the options of images");
}

/* Every option by which an image is refused for ever or for a day; not those that only decide how long one waits. */
static enum nm_status mark_policy(const struct im_options *o, char out[IM_MARK_BYTES], struct nm_error *err)
{
    const struct im_fetch_options *f = &o->fetch;
    const struct im_check_options *c = &o->check;
    struct nm_buf buf = {0};
    nm_buf_addf(&buf, "policy 1\nfetch %lld %lld %lld %lld %d %s %s", f->url_bytes, f->max_hops, f->header_bytes,
                f->body_bytes, f->allow_downgrade, f->mixed_answers, f->nat64_prefix);
    nm_buf_addf(&buf, "\ncheck %lld %lld %lld %lld %lld %lld %lld %lld %lld %d", c->min_bytes, c->min_edge,
                c->max_pixels, c->max_edge, c->max_gif_pixels, c->max_frames, c->max_total_pixels, c->max_scans,
                c->refuse_bombs ? c->bomb_ratio : 0, c->strict_type);
    add_list(&buf, "ports", &f->ports);
    add_list(&buf, "deny", &f->deny_networks);
    add_list(&buf, "allow", &o->test_allow);
    return make_mark(&buf, out, err);
}

static enum nm_status mark_facet(const char *public_base, char out[IM_MARK_BYTES], struct nm_error *err)
{
    struct nm_buf buf = {0};
    nm_buf_addf(&buf, "facet 1\n%s", public_base ? public_base : "");
    return make_mark(&buf, out, err);
}

/* ---- texts ---- */

static enum nm_status read_texts(const struct im_options *o, struct im_settings *out, struct nm_error *err)
{
    struct nm_buf buf = {0};
    size_t len = strlen(o->public_base);
    while (len > 0 && o->public_base[len - 1] == '/')
        len--;
    if (len > 0) {
        nm_buf_add(&buf, o->public_base, len);
        out->public_base = nm_buf_take(&buf);
    }
    if (*o->temp_path)
        nm_buf_adds(&buf, o->temp_path);
    else
        nm_buf_addf(&buf, "%s/tmp", o->store.path);
    out->temp_path = nm_buf_take(&buf);
    if ((len > 0 && !out->public_base) || !out->temp_path)
        return nm_fail(err, NM_FATAL, "out of memory for the options of images");
    int n = *o->contact ? snprintf(out->user_agent, IM_USER_AGENT_BYTES, "newsmill/%s (+%s)", NM_VERSION, o->contact)
                        : snprintf(out->user_agent, IM_USER_AGENT_BYTES, "newsmill/%s (test)", NM_VERSION);
    if (n < 0 || n >= IM_USER_AGENT_BYTES)
        return nm_fail(err, NM_CONFIG, "images.contact is too long for a User-Agent; use a shorter URL");
    return NM_OK;
}

/* What an option file may leave out as long as no images worker runs. */
static enum nm_status check_start(const struct im_options *o, struct nm_error *err)
{
    if (!*o->contact && !is(o->mode, "test"))
        return nm_fail(
            err, NM_CONFIG,
            "images.contact is missing: owners of image hosts must be able to reach you; set it to a URL such "
            "as https://site.example/bot");
    if (is(o->store.kind, "directory") && !*o->store.path)
        return nm_fail(err, NM_CONFIG,
                       "images.store.path is missing: set it to the directory of the images, such as "
                       "/var/lib/newsmill/images, or set images.store.kind: s3");
    return images_options_check(o, err);
}

enum nm_status im_settings_read(const struct im_options *options, struct im_settings *out, struct nm_error *err)
{
    struct im_settings mine = {.test = is(options->mode, "test"),
                               .is_s3 = is(options->store.kind, "s3"),
                               .max_percent = options->store.max_percent,
                               .max_bytes = options->store.max_bytes};
    enum nm_status status = check_start(options, err);
    if (status != NM_OK)
        return status;
    read_fetch(options, &mine);
    read_check(&options->check, &mine);
    read_state(options, &mine.state);
    read_decoder(options, &mine.decoder);
    read_thumbnails(options, &mine);
    status = read_policy(options, &mine.policy, err);
    if (status == NM_OK)
        status = read_resolve(options, &mine, err);
    if (status == NM_OK)
        status = read_texts(options, &mine, err);
    if (status == NM_OK)
        status = mark_policy(options, mine.state.policy, err);
    if (status == NM_OK)
        status = mark_facet(mine.public_base, mine.state.facet, err);
    if (status == NM_OK)
        *out = mine;
    else
        im_settings_clear(&mine);
    return status;
}

void im_settings_clear(struct im_settings *settings)
{
    for (size_t i = 0; settings->resolve && settings->resolve[i]; i++)
        free((char *)(uintptr_t)settings->resolve[i]);
    free((void *)settings->resolve);
    free(settings->public_base);
    free(settings->temp_path);
    settings->resolve = NULL;
    settings->public_base = settings->temp_path = NULL;
}

enum nm_status im_settings_store(const struct im_options *options, struct im_store **out, struct nm_error *err)
{
    struct im_s3_options s3 = {.endpoint = options->store.s3.endpoint,
                               .region = options->store.s3.region,
                               .bucket = options->store.s3.bucket,
                               .prefix = options->store.s3.prefix,
                               .access_key_file = options->store.s3.access_key_file,
                               .secret_key_file = options->store.s3.secret_key_file,
                               .temp_path = options->temp_path,
                               .timeout_ms = (int)options->store.s3.timeout_ms};
    if (is(options->store.kind, "s3"))
        return im_store_s3_open(&s3, out, err);
    return im_store_directory_open(options->store.path, out, err);
}

/* File descriptors for everything but transfers: Kafka, Redis, the store, bodies that wait for a decoder; each
 * decoder's socket, image and outputs; what the decoder wrote and our copy of it, of each picture that is made. */
static rlim_t files_beside(const struct im_settings *settings)
{
    enum { OWN = 320 };
    rlim_t outputs = 1 + (rlim_t)settings->n_thumbs;
    return OWN + (rlim_t)settings->decoder.processes * (3 + outputs) + 2 * IM_MADE_AHEAD * outputs;
}

enum nm_status im_settings_files(const struct im_settings *settings, struct nm_error *err)
{
    struct rlimit limit;
    rlim_t transfers = (rlim_t)settings->fetch.in_flight_items, beside = files_beside(settings);
    rlim_t need = 2 * transfers + beside;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return nm_fail(err, NM_FATAL, "cannot ask for the limit of open files: %s", strerror(errno));
    if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= need)
        return NM_OK;
    if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < need)
        return nm_fail(
            err, NM_CONFIG,
            "images.fetch.inFlightItems: %llu needs %llu open files, but this process may have %llu at most; "
            "raise the hard limit (ulimit -Hn, LimitNOFILE=) or set it to %llu or less",
            (unsigned long long)transfers, (unsigned long long)need, (unsigned long long)limit.rlim_max,
            limit.rlim_max > beside ? (unsigned long long)(limit.rlim_max - beside) / 2 : 0);
    limit.rlim_cur = need;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        return nm_fail(err, NM_CONFIG, "the limit of open files cannot be raised to %llu: %s", (unsigned long long)need,
                       strerror(errno));
    return NM_OK;
}
