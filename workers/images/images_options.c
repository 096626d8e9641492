/* images_options.c - the options of images, and what can be said of them without the worker; linked by every program.
 *
 * Defaults and hard maxima are those of the design's table of numbers; state.c, fetch.c, decoder.c and store_s3.c check
 * their own ranges again, which are no narrower. Addresses are looked at here with inet_pton(3) only; address.c has
 * the last word. */
#include "images_options.h"

#include <arpa/inet.h>
#include <string.h>

#define F(member)      NM_FIELD(struct im_options, member)
#define MINUTE         60000LL
#define HOUR           (60 * MINUTE)
#define DAY            (24 * HOUR)
#define MIB            1048576LL
#define PATH_MAX_BYTES 4095

/* ---- checks of one value ---- */

/* A decimal number without sign and leading zeros. */
static bool is_number(const char *text, long min, long max)
{
    size_t len = strlen(text);
    if (len == 0 || len > 6 || text[strspn(text, "0123456789")] || text[0] == '0')
        return false;
    long number = strtol(text, NULL, 10);
    return number >= min && number <= max;
}

static enum nm_status check_port(const char *value, struct nm_error *err)
{
    if (!is_number(value, 1, 65535))
        return nm_fail(err, NM_CONFIG, "has '%.60s', which is not a port: write a whole number from 1 to 65535", value);
    return NM_OK;
}

static enum nm_status check_edge(const char *value, struct nm_error *err)
{
    if (!is_number(value, 10, 4096))
        return nm_fail(err, NM_CONFIG, "has '%.60s', which is not a whole number of pixels from 10 to 4096", value);
    return NM_OK;
}

/* The first `len` bytes as an address of this family. */
static bool is_address(int family, const char *text, size_t len)
{
    char piece[INET6_ADDRSTRLEN];
    unsigned char bytes[16];
    if (len >= sizeof piece)
        return false;
    memcpy(piece, text, len);
    piece[len] = '\0';
    return inet_pton(family, piece, bytes) == 1;
}

static bool is_any_address(const char *text, size_t len)
{
    return is_address(AF_INET, text, len) || is_address(AF_INET6, text, len);
}

static enum nm_status check_network(const char *value, struct nm_error *err)
{
    size_t len = strcspn(value, "/");
    const char *bits = value + len;
    bool good = is_any_address(value, len);
    if (good && *bits)
        good = strcmp(bits, "/0") == 0 || is_number(bits + 1, 1, strchr(value, ':') ? 128 : 32);
    if (!good)
        return nm_fail(err, NM_CONFIG,
                       "has '%.60s', which is not a network: write it as 10.0.0.0/8 or 2001:db8::/32, or one address",
                       value);
    return NM_OK;
}

static enum nm_status check_nat64(const char *value, struct nm_error *err)
{
    size_t len = strcspn(value, "/");
    if (*value && !(is_address(AF_INET6, value, len) && strcmp(value + len, "/96") == 0))
        return nm_fail(err, NM_CONFIG, "is not a NAT64 prefix of 96 bits: write it as 64:ff9b::/96, or nothing");
    return NM_OK;
}

static enum nm_status check_endpoint(const char *value, struct nm_error *err)
{
    const char *colon = strrchr(value, ':');
    bool good = colon && is_number(colon + 1, 1, 65535);
    if (good && *value == '[')
        good = colon > value + 1 && colon[-1] == ']' && is_address(AF_INET6, value + 1, (size_t)(colon - value) - 2);
    else if (good)
        good = is_address(AF_INET, value, (size_t)(colon - value));
    if (!good)
        return nm_fail(
            err, NM_CONFIG,
            "has '%.60s', which is not an address with a port: write 127.0.0.1:18081 or [::1]:18082, no name", value);
    return NM_OK;
}

static enum nm_status check_address(const char *value, struct nm_error *err)
{
    if (!is_any_address(value, strlen(value)))
        return nm_fail(err, NM_CONFIG, "has '%.60s', which is not a numeric address such as 127.0.0.1 or ::1", value);
    return NM_OK;
}

/* Bytes behind "http://" or "https://"; NULL: neither. */
static const char *after_scheme(const char *value)
{
    if (strncmp(value, "https://", 8) == 0)
        return value + 8;
    return strncmp(value, "http://", 7) == 0 ? value + 7 : NULL;
}

/* What can stand in a URL and in a comment of User-Agent. */
static bool is_plain(const char *value)
{
    for (; *value; value++)
        if (*value <= ' ' || *value > '~' || strchr("()\\\"<>", *value))
            return false;
    return true;
}

static enum nm_status check_contact(const char *value, struct nm_error *err)
{
    const char *rest = strncmp(value, "mailto:", 7) == 0 ? value + 7 : after_scheme(value);
    if (*value && (!rest || !*rest || !is_plain(value)))
        return nm_fail(err, NM_CONFIG,
                       "is not a URL that the owner of an image host can write to: use https://site.example/bot or "
                       "mailto:crawler@site.example");
    return NM_OK;
}

static enum nm_status check_base(const char *value, struct nm_error *err)
{
    const char *host = after_scheme(value);
    if (*value && (!host || !*host || *host == '/' || !is_plain(value) || strpbrk(value, "?#@")))
        return nm_fail(err, NM_CONFIG,
                       "is not where the stored images are served: write https://img.site.example, without a user, a "
                       "query and a fragment");
    return NM_OK;
}

/* ---- the table ---- */

const struct nm_option images_options[] = {
    {"images.mode", NM_OPT_STR, F(mode), "normal", 0, 0, "normal|test", NULL,
     "`test` allows images.testAllow and images.testResolve and asks for no contact; not for use on the Internet."},
    {"images.contact", NM_OPT_STR, F(contact), "", 0, 200, NULL, check_contact,
     "URL in the User-Agent by which owners of image hosts reach you; required in mode normal."},
    {"images.publicBase", NM_OPT_STR, F(public_base), "", 0, 500, NULL, check_base,
     "Where the stored images are served, such as https://img.site.example; empty: facets have no cachedUrl and no "
     "thumbnails."},
    {"images.keepCopyright", NM_OPT_BOOL, F(keep_copyright), "true", 0, 0, NULL, NULL,
     "Whether artist, copyright and credit stay in stored images; places, serial numbers and previews never do."},
    {"images.tempPath", NM_OPT_PATH, F(temp_path), "", 0, PATH_MAX_BYTES, NULL, NULL,
     "Folder on local disk for transfers, of this user alone; empty: tmp in images.store.path; S3 needs one."},
    {"images.freshMs", NM_OPT_INT, F(fresh_ms), "2592000000", 1000, 90 * DAY, NULL, NULL,
     "How long a stored image is taken as the one of its URL, at most; then its host is asked whether it changed."},
    {"images.leaseMs", NM_OPT_INT, F(lease_ms), "15000", 100, 10 * MINUTE, NULL, NULL,
     "How long an instance may fetch a URL without a sign of life before another one does."},
    {"images.maxUsers", NM_OPT_INT, F(max_users), "1000", 1, 2000, NULL, NULL,
     "Articles that are noted of one URL; later ones look by themselves."},
    {"images.testAllow", NM_OPT_LIST, F(test_allow), "", 0, 16, NULL, check_endpoint,
     "Addresses with a port, such as 127.0.0.1:18081, that may be fetched from although they are not public; mode test "
     "only."},
    {"images.testResolve", NM_OPT_LISTS, F(test_resolve), "", 1, 16, NULL, check_address,
     "Addresses that a name and port, such as img.test:18081, is taken to have; mode test only."},

    {"images.fetch.ports", NM_OPT_LIST, F(fetch.ports), "80,443", 1, 64, NULL, check_port,
     "Ports that may be connected to."},
    {"images.fetch.denyNetworks", NM_OPT_LIST, F(fetch.deny_networks), "", 0, 256, NULL, check_network,
     "Networks that are never connected to, beside those that are not public."},
    {"images.fetch.nat64Prefix", NM_OPT_STR, F(fetch.nat64_prefix), "", 0, 49, NULL, check_nat64,
     "Prefix of 96 bits in which this network's DNS64 shows IPv4 addresses, such as 64:ff9b::/96; empty: none."},
    {"images.fetch.mixedAnswers", NM_OPT_STR, F(fetch.mixed_answers), "skip", 0, 0, "skip|reject", NULL,
     "Whether the refused addresses of a name are passed over, or refuse the name."},
    {"images.fetch.urlBytes", NM_OPT_INT, F(fetch.url_bytes), "4096", 64, 8192, NULL, NULL,
     "Longest URL of an image, and of a redirect."},
    {"images.fetch.maxHops", NM_OPT_INT, F(fetch.max_hops), "5", 0, 10, NULL, NULL, "Redirects that are followed."},
    {"images.fetch.allowDowngrade", NM_OPT_BOOL, F(fetch.allow_downgrade), "false", 0, 0, NULL, NULL,
     "Whether a redirect may lead from https to http."},
    {"images.fetch.tryHttps", NM_OPT_BOOL, F(fetch.try_https), "true", 0, 0, NULL, NULL,
     "Whether an http URL is first tried over https, and over http only where that cannot be connected to."},
    {"images.fetch.httpVersion", NM_OPT_STR, F(fetch.http_version), "1.1", 0, 0, "1.1|2", NULL,
     "HTTP version; 2 is used where TLS agrees on it, else 1.1."},
    {"images.fetch.caFile", NM_OPT_PATH, F(fetch.ca_file), "", 0, PATH_MAX_BYTES, NULL, NULL,
     "PEM file of the authorities that certify image hosts; empty: those of the system."},
    {"images.fetch.connectMs", NM_OPT_INT, F(fetch.connect_ms), "5000", 50, 15000, NULL, NULL,
     "Time for name, connection and TLS of each hop."},
    {"images.fetch.firstByteMs", NM_OPT_INT, F(fetch.first_byte_ms), "10000", 50, 30000, NULL, NULL,
     "Time from a request to the first byte of its answer."},
    {"images.fetch.slowBytes", NM_OPT_INT, F(fetch.slow_bytes), "1024", 0, 10 * MIB, NULL, NULL,
     "Bytes a second below which a body is too slow, over images.fetch.slowMs; 0: none is."},
    {"images.fetch.slowMs", NM_OPT_INT, F(fetch.slow_ms), "10000", 100, 120000, NULL, NULL,
     "How long a body may be slower than images.fetch.slowBytes."},
    {"images.fetch.totalMs", NM_OPT_INT, F(fetch.total_ms), "30000", 100, 120000, NULL, NULL,
     "Time for a whole fetch, all hops together."},
    {"images.fetch.headerBytes", NM_OPT_INT, F(fetch.header_bytes), "65536", 1024, 262144, NULL, NULL,
     "Largest headers of one answer."},
    {"images.fetch.bodyBytes", NM_OPT_INT, F(fetch.body_bytes), "10485760", 1024, 64 * MIB, NULL, NULL,
     "Largest file of an image."},
    {"images.fetch.inFlightItems", NM_OPT_INT, F(fetch.in_flight_items), "256", 1, 4096, NULL, NULL,
     "Transfers at once; each takes two file descriptors."},
    {"images.fetch.inFlightBytes", NM_OPT_INT, F(fetch.in_flight_bytes), "100663296", 98304, 1024 * MIB, NULL, NULL,
     "Memory of all transfers, of which each one reserves 96 KiB."},
    {"images.fetch.tempBytes", NM_OPT_INT, F(fetch.temp_bytes), "4294967296", 1024, 1099511627776, NULL, NULL,
     "Disk for the files of all transfers, of which each one reserves its length, or images.fetch.bodyBytes."},
    {"images.fetch.perHost", NM_OPT_INT, F(fetch.per_host), "4", 1, 16, NULL, NULL,
     "Transfers at once from one host, of all instances together."},
    {"images.fetch.perAddress", NM_OPT_INT, F(fetch.per_address), "8", 1, 32, NULL, NULL,
     "Transfers at once from one address, of all instances together."},
    {"images.fetch.hostRate", NM_OPT_INT, F(fetch.host_rate), "10", 1, 1000, NULL, NULL,
     "Requests a second to one host, of all instances together."},
    {"images.fetch.hostBurst", NM_OPT_INT, F(fetch.host_burst), "20", 1, 1000, NULL, NULL,
     "Requests that may come at once before images.fetch.hostRate holds."},

    {"images.check.minBytes", NM_OPT_INT, F(check.min_bytes), "64", 0, MIB, NULL, NULL,
     "Smallest file of an image; what is smaller counts visitors and shows nothing."},
    {"images.check.minEdgePixels", NM_OPT_INT, F(check.min_edge), "2", 1, 1000, NULL, NULL,
     "Least width and height of an image, in pixels."},
    {"images.check.maxPixels", NM_OPT_INT, F(check.max_pixels), "50000000", 1, 100000000, NULL, NULL,
     "Most pixels of an image, width times height."},
    {"images.check.maxEdgePixels", NM_OPT_INT, F(check.max_edge), "16384", 1, 32767, NULL, NULL,
     "Greatest width and height of an image, in pixels."},
    {"images.check.maxGifPixels", NM_OPT_INT, F(check.max_gif_pixels), "16777216", 1, 50000000, NULL, NULL,
     "Most pixels of a GIF's screen, width times height."},
    {"images.check.maxFrames", NM_OPT_INT, F(check.max_frames), "256", 1, 4096, NULL, NULL,
     "Most frames of an animation."},
    {"images.check.maxTotalPixels", NM_OPT_INT, F(check.max_total_pixels), "100000000", 1, 10000000000, NULL, NULL,
     "Most pixels of all frames of an animation together."},
    {"images.check.maxScans", NM_OPT_INT, F(check.max_scans), "100", 1, 500, NULL, NULL, "Most scans of a JPEG."},
    {"images.check.metadataBytes", NM_OPT_INT, F(check.metadata_bytes), "1048576", 0, 64 * MIB, NULL, NULL,
     "Metadata of an image that is looked at for its orientation."},
    {"images.check.bombRatio", NM_OPT_INT, F(check.bomb_ratio), "1000", 1, 1000000, NULL, NULL,
     "Decoded bytes for each byte of the file, above 4 megapixels, from which an image is counted as a bomb."},
    {"images.check.refuseBombs", NM_OPT_BOOL, F(check.refuse_bombs), "false", 0, 0, NULL, NULL,
     "Whether such an image is refused; honest flat pictures are among them."},
    {"images.check.strictType", NM_OPT_BOOL, F(check.strict_type), "true", 0, 0, NULL, NULL,
     "Whether an image that its server declares as HTML is refused."},

    {"images.store.kind", NM_OPT_STR, F(store.kind), "directory", 0, 0, "directory|s3", NULL,
     "Where images are kept: in a directory, or in an S3-compatible store."},
    {"images.store.path", NM_OPT_PATH, F(store.path), "", 0, PATH_MAX_BYTES, NULL, NULL,
     "Directory of the images, of this user alone; required where images.store.kind is directory."},
    {"images.store.maxPercent", NM_OPT_INT, F(store.max_percent), "80", 1, 100, NULL, NULL,
     "Share of the volume, and of its inodes, at which the oldest images leave the directory."},
    {"images.store.maxBytes", NM_OPT_INT, F(store.max_bytes), "0", 0, 1125899906842624, NULL, NULL,
     "Size of all images at which the oldest leave the store; 0: only images.store.maxPercent holds."},
    {"images.store.s3.endpoint", NM_OPT_STR, F(store.s3.endpoint), "", 0, 400, NULL, NULL,
     "S3: https://host or https://host:port; http:// for networks of one's own."},
    {"images.store.s3.region", NM_OPT_STR, F(store.s3.region), "us-east-1", 1, 32, NULL, NULL,
     "S3: region that requests are signed for."},
    {"images.store.s3.bucket", NM_OPT_STR, F(store.s3.bucket), "", 0, 63, NULL, NULL, "S3: bucket, which must exist."},
    {"images.store.s3.prefix", NM_OPT_STR, F(store.s3.prefix), "", 0, 128, NULL, NULL,
     "S3: what stands in front of all names in the bucket."},
    {"images.store.s3.accessKeyFile", NM_OPT_PATH, F(store.s3.access_key_file), "", 0, PATH_MAX_BYTES, NULL, NULL,
     "S3: file with the access key, one line, mode 0600 or 0400."},
    {"images.store.s3.secretKeyFile", NM_OPT_PATH, F(store.s3.secret_key_file), "", 0, PATH_MAX_BYTES, NULL, NULL,
     "S3: file with the secret key, one line, mode 0600 or 0400."},
    {"images.store.s3.timeoutMs", NM_OPT_INT, F(store.s3.timeout_ms), "30000", 100, 600000, NULL, NULL,
     "S3: time for one request."},

    {"images.decoder.processes", NM_OPT_INT, F(decoder.processes), "0", 0, 64, NULL, NULL,
     "Processes that decode images; 0: as many as there are CPUs."},
    {"images.decoder.cpuMs", NM_OPT_INT, F(decoder.cpu_ms), "5000", 100, 30000, NULL, NULL,
     "CPU time for one image; then its process is killed and the image has failed."},
    {"images.decoder.wallMs", NM_OPT_INT, F(decoder.wall_ms), "10000", 100, 30000, NULL, NULL,
     "Time for one image; then its process is killed and the image has failed."},
    {"images.decoder.memoryBytes", NM_OPT_INT, F(decoder.memory_bytes), "1073741824", 268435456, 4294967296, NULL, NULL,
     "Address space of a decoder process."},
    {"images.thumbnails.edgePixels", NM_OPT_LIST, F(thumbnails.edges), "320,1200", 0, 8, NULL, check_edge,
     "Longer edges of the thumbnails, in pixels; images cached before a change keep theirs."},
    {"images.thumbnails.format", NM_OPT_STR, F(thumbnails.format), "jpeg", 0, 0, "jpeg|webp", NULL,
     "Format of thumbnails."},
    {"images.thumbnails.quality", NM_OPT_INT, F(thumbnails.quality), "80", 1, 100, NULL, NULL,
     "Quality of thumbnails, as their encoders count it."},

    {"images.retry.tries", NM_OPT_INT, F(retry.tries), "3", 1, 6, NULL, NULL,
     "Tries in a round, where a failure may pass."},
    {"images.retry.baseMs", NM_OPT_INT, F(retry.base_ms), "1000", 1, MINUTE, NULL, NULL,
     "Longest wait before the second try; it grows fourfold with each further one."},
    {"images.retry.rounds", NM_OPT_INT, F(retry.rounds), "12", 1, 1000, NULL, NULL,
     "Rounds until a URL is given up, until a newer article shows it."},
    {"images.retry.afterMinMs", NM_OPT_INT, F(retry.after_min_ms), "1000", 1, DAY, NULL, NULL,
     "Least wait that a host can ask for by Retry-After."},
    {"images.retry.afterMaxMs", NM_OPT_INT, F(retry.after_max_ms), "3600000", 1, DAY, NULL, NULL,
     "Longest wait that a host can ask for by Retry-After."},
    {"images.retry.afterDefaultMs", NM_OPT_INT, F(retry.after_default_ms), "60000", 1, DAY, NULL, NULL,
     "Wait where a host asks for one without saying how long."},
    {"images.breaker.failures", NM_OPT_INT, F(breaker.failures), "10", 1, 1000, NULL, NULL,
     "Failures in a row after which a host is left alone."},
    {"images.breaker.openMs", NM_OPT_INT, F(breaker.open_ms), "60000", 1, DAY, NULL, NULL,
     "How long at first; it doubles up to 15 minutes."},
    {"images.gc.idleMs", NM_OPT_INT, F(gc.idle_ms), "2592000000", 1, 400 * DAY, NULL, NULL,
     "Time without any use after which an image that no article shows leaves the store."},
    {"images.gc.graceMs", NM_OPT_INT, F(gc.grace_ms), "3600000", 1, 30 * DAY, NULL, NULL,
     "Time between the mark and the removal, in which a use keeps it; at least a minute in mode normal."},
    {"images.gc.minAgeMs", NM_OPT_INT, F(gc.min_age_ms), "3600000", 1, 30 * DAY, NULL, NULL,
     "Age below which no image leaves the store; at least an hour in mode normal."},
    {.name = NULL},
};

/* ---- what one value does not show ---- */

static enum nm_status check_mode(const struct im_options *options, struct nm_error *err)
{
    if (strcmp(options->mode, "test") == 0)
        return NM_OK;
    if (options->test_allow.n > 0 || options->test_resolve.n > 0)
        return nm_fail(
            err, NM_CONFIG,
            "images.%s opens the way to addresses that are not public and is for tests only; take it out, or "
            "set images.mode: test",
            options->test_allow.n > 0 ? "testAllow" : "testResolve");
    if (options->gc.grace_ms < MINUTE)
        return nm_fail(
            err, NM_CONFIG,
            "images.gc.graceMs is %lld, below a minute, in which an image may be put; set it to 60000 or more",
            options->gc.grace_ms);
    if (options->gc.min_age_ms < HOUR)
        return nm_fail(err, NM_CONFIG,
                       "images.gc.minAgeMs is %lld, below an hour, in which an image may get its first article; set it "
                       "to 3600000 or more",
                       options->gc.min_age_ms);
    return NM_OK;
}

static enum nm_status check_limits(const struct im_options *options, struct nm_error *err)
{
    if (options->fetch.temp_bytes < options->fetch.body_bytes)
        return nm_fail(err, NM_CONFIG,
                       "images.fetch.tempBytes (%lld) is less than one image may take, images.fetch.bodyBytes (%lld); "
                       "raise it",
                       options->fetch.temp_bytes, options->fetch.body_bytes);
    if (options->retry.after_min_ms > options->retry.after_max_ms ||
        options->retry.after_default_ms < options->retry.after_min_ms ||
        options->retry.after_default_ms > options->retry.after_max_ms)
        return nm_fail(err, NM_CONFIG,
                       "images.retry.afterDefaultMs (%lld) is not between afterMinMs (%lld) and afterMaxMs (%lld)",
                       options->retry.after_default_ms, options->retry.after_min_ms, options->retry.after_max_ms);
    if (options->check.min_edge > options->check.max_edge)
        return nm_fail(err, NM_CONFIG,
                       "images.check.minEdgePixels (%lld) is above images.check.maxEdgePixels (%lld); no image fits",
                       options->check.min_edge, options->check.max_edge);
    if (options->check.min_bytes > options->fetch.body_bytes)
        return nm_fail(err, NM_CONFIG,
                       "images.check.minBytes (%lld) is above images.fetch.bodyBytes (%lld); no image fits",
                       options->check.min_bytes, options->fetch.body_bytes);
    return NM_OK;
}

static enum nm_status check_thumbnails(const struct im_options *options, struct nm_error *err)
{
    const struct nm_strings *edges = &options->thumbnails.edges;
    for (size_t i = 0; i < edges->n; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(edges->item[i], edges->item[k]) == 0)
                return nm_fail(err, NM_CONFIG, "images.thumbnails.edgePixels has %.10s twice; leave one out",
                               edges->item[i]);
    return NM_OK;
}

static enum nm_status check_store(const struct im_options *options, struct nm_error *err)
{
    const struct {
        const char *name, *value;
    } needed[] = {
        {"store.s3.endpoint", options->store.s3.endpoint},
        {"store.s3.bucket", options->store.s3.bucket},
        {"store.s3.accessKeyFile", options->store.s3.access_key_file},
        {"store.s3.secretKeyFile", options->store.s3.secret_key_file},
        {"tempPath", options->temp_path},
    };
    if (strcmp(options->store.kind, "s3") != 0)
        return NM_OK;
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (*needed[i].value == '\0')
            return nm_fail(err, NM_CONFIG, "images.%s is missing, which images.store.kind: s3 needs", needed[i].name);
    return NM_OK;
}

enum nm_status images_options_check(const void *ctx, struct nm_error *err)
{
    const struct im_options *options = ctx;
    enum nm_status status = check_mode(options, err);
    if (status == NM_OK)
        status = check_limits(options, err);
    if (status == NM_OK)
        status = check_thumbnails(options, err);
    return status == NM_OK ? check_store(options, err) : status;
}
