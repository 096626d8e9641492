/* store.c - what holds for every kind of store: checks of arguments, dedup hits, quarantine; see store.h.
 *
 * A dedup hit is believed by its size, and by its hash once a day: a flipped byte in a picture that many articles use
 * is found although nobody writes it again, and hot pictures do not cost a read for each article. What is wrong is
 * put right on the spot, since the right bytes are at hand. */
#include "store_internal.h"

#include "newsmill/clock.h"

#include <assert.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHECKED = 32768, DAY_MS = 86400000, READ_BYTES = 65536 };

/* Which names were hashed when. A name has one place; while that is another's of the last day it is not hashed, so
 * there are at most CHECKED hashes a day, and never two of one name. */
struct im_checked {
    struct {
        uint64_t key; /* 0: free */
        int64_t at_ms;
    } slot[CHECKED];
};

struct im_checked *im_checked_new(void)
{
    return calloc(1, sizeof(struct im_checked));
}

/* ---- failures */

enum im_reason im_store_fail(struct nm_error *err, enum im_reason reason, const char *fmt, ...)
{
    char text[sizeof err->msg];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    (void)!nm_fail(err, NM_RETRY, "%s", text);
    return reason;
}

enum im_reason im_store_errno(struct nm_error *err, int code, const char *what, const char *name)
{
    bool full = code == ENOSPC || code == EDQUOT;
    return im_store_fail(err, full ? IM_store_full : IM_store_io, "the store cannot %s %s: %s%s", what, name,
                         strerror(code), full ? "; make room" : "");
}

/* ---- contents */

static enum im_reason hash_file(EVP_MD_CTX *hash, int fd, struct im_content *out, struct nm_error *err)
{
    struct im_content content = {.fd = fd};
    static _Thread_local char block[READ_BYTES];
    for (;;) {
        ssize_t n = pread(fd, block, sizeof block, (off_t)content.bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return im_store_errno(err, errno, "read", "a file");
        if (n == 0)
            break;
        content.bytes += n;
        if (content.bytes > IM_OBJECT_BYTES)
            return im_store_fail(err, IM_store_io, "a file of the store is larger than %lld bytes",
                                 (long long)IM_OBJECT_BYTES);
        if (EVP_DigestUpdate(hash, block, (size_t)n) != 1)
            return im_store_fail(err, IM_store_io, "libcrypto cannot hash");
    }
    if (EVP_DigestFinal_ex(hash, content.sha256, NULL) != 1)
        return im_store_fail(err, IM_store_io, "libcrypto cannot hash");
    *out = content;
    return IM_NONE;
}

enum im_reason im_content_of(int fd, struct im_content *out, struct nm_error *err)
{
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    if (!hash || EVP_DigestInit_ex(hash, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(hash);
        return im_store_fail(err, IM_store_io, "libcrypto has no memory or no SHA-256");
    }
    enum im_reason reason = hash_file(hash, fd, out, err);
    EVP_MD_CTX_free(hash);
    return reason;
}

/* ---- names that exist */

/* True when it is time to hash `name` (an object's or a thumbnail's); notes that it is done now. */
static bool check_is_due(struct im_store *store, const struct im_name *name)
{
    uint64_t key;
    memcpy(&key, name->sha256, sizeof key); /* a hash is as good as random */
    key = (key ^ (uint64_t)name->edge * 0x9E3779B97F4A7C15U) | 1U;
    size_t at = (size_t)(key >> 32) % CHECKED;
    int64_t now_ms = nm_boottime_ms();
    bool fresh = store->checked->slot[at].key != 0 && now_ms - store->checked->slot[at].at_ms < DAY_MS;
    if (fresh)
        return false;
    store->checked->slot[at].key = key;
    store->checked->slot[at].at_ms = now_ms;
    return true;
}

/* *same: what lies under `name` is the content, as far as it is looked at. A name that is gone again is not the same.
 */
static enum im_reason compare(struct im_store *store, const char *name, const struct im_name *parts,
                              const struct im_content *content, bool *same, struct nm_error *err)
{
    struct im_stat stat;
    enum im_reason reason = store->ops->stat(store, name, &stat, err);
    if (reason != IM_NONE)
        return reason;
    *same = stat.exists && stat.bytes == content->bytes;
    if (!*same || !check_is_due(store, parts))
        return IM_NONE;
    int fd = -1;
    struct im_content there;
    reason = store->ops->open(store, name, &fd, &stat, err);
    if (reason != IM_NONE)
        return reason;
    *same = fd >= 0;
    if (fd < 0)
        return IM_NONE;
    reason = im_content_of(fd, &there, err);
    (void)close(fd);
    if (reason == IM_NONE)
        *same = memcmp(there.sha256, content->sha256, IM_SHA256_BYTES) == 0;
    return reason;
}

/* Copies what lies under `name` to quarantine. *there false: nothing does. */
static enum im_reason copy_to_quarantine(struct im_store *store, const char *name, const struct im_name *parts,
                                         bool *there, struct nm_error *err)
{
    int fd = -1;
    struct im_stat stat;
    enum im_reason reason = store->ops->open(store, name, &fd, &stat, err);
    if (reason != IM_NONE)
        return reason;
    *there = fd >= 0;
    if (fd < 0)
        return IM_NONE;
    struct im_name to = *parts;
    struct im_content content;
    char quarantined[IM_NAME_BYTES];
    bool stored;
    to.quarantined = true;
    im_name_write(&to, quarantined);
    reason = im_content_of(fd, &content, err);
    if (reason == IM_NONE)
        reason = store->ops->put_if_absent(store, quarantined, &content, false, &stored, err);
    (void)close(fd);
    return reason;
}

static struct im_name parts_of(const char *name)
{
    struct im_name parts = {0};
    bool good = im_name_read(name, strlen(name), &parts);
    assert(good);
    (void)good;
    return parts;
}

/* ---- the calls */

enum im_reason im_store_put(struct im_store *store, const char *name, const struct im_content *content, bool replace,
                            enum im_put *out, struct nm_error *err)
{
    struct im_name parts = parts_of(name);
    assert(!parts.quarantined && content->bytes >= 0 && content->bytes <= IM_OBJECT_BYTES);
    assert(parts.edge != 0 || memcmp(parts.sha256, content->sha256, IM_SHA256_BYTES) == 0);
    struct stat facts;
    if (fstat(content->fd, &facts) != 0)
        return im_store_errno(err, errno, "look at", "a temporary file");
    if (!S_ISREG(facts.st_mode) || facts.st_size != content->bytes)
        return im_store_fail(err, IM_store_io, "a temporary file changed after it was hashed");
    bool stored = false, same = false, there;
    enum im_reason reason = store->ops->put_if_absent(store, name, content, replace, &stored, err);
    if (reason == IM_NONE && stored)
        *out = replace ? IM_PUT_REPLACED : IM_PUT_STORED;
    if (reason != IM_NONE || stored)
        return reason;
    reason = compare(store, name, &parts, content, &same, err);
    if (reason == IM_NONE && same)
        *out = IM_PUT_EXISTED;
    if (reason != IM_NONE || same)
        return reason;
    if (parts.edge == 0)
        reason = copy_to_quarantine(store, name, &parts, &there, err);
    if (reason == IM_NONE)
        reason = store->ops->put_if_absent(store, name, content, true, &stored, err);
    if (reason == IM_NONE)
        *out = IM_PUT_REPLACED;
    return reason;
}

enum im_reason im_store_open(struct im_store *store, const char *name, int *fd, struct im_stat *out,
                             struct nm_error *err)
{
    (void)parts_of(name);
    return store->ops->open(store, name, fd, out, err);
}

enum im_reason im_store_stat(struct im_store *store, const char *name, struct im_stat *out, struct nm_error *err)
{
    (void)parts_of(name);
    return store->ops->stat(store, name, out, err);
}

enum im_reason im_store_remove(struct im_store *store, const char *name, struct nm_error *err)
{
    (void)parts_of(name);
    return store->ops->remove(store, name, err);
}

enum im_reason im_store_list(struct im_store *store, enum im_area area, struct im_page *page, struct nm_error *err)
{
    assert(area == IM_OBJECTS || area == IM_THUMBNAILS || area == IM_QUARANTINE);
    assert(page->max >= 1 && page->max <= IM_LIST_MAX && memchr(page->cursor, '\0', sizeof page->cursor));
    return store->ops->list(store, area, page, err);
}

enum im_reason im_store_quarantine(struct im_store *store, const char *name, bool *moved, struct nm_error *err)
{
    struct im_name parts = parts_of(name);
    assert(!parts.quarantined);
    bool there = false;
    enum im_reason reason = copy_to_quarantine(store, name, &parts, &there, err);
    if (reason == IM_NONE && there)
        reason = store->ops->remove(store, name, err);
    if (reason == IM_NONE)
        *moved = there;
    return reason;
}

enum im_reason im_store_space(struct im_store *store, struct im_space *out, struct nm_error *err)
{
    return store->ops->space(store, out, err);
}

void im_store_close(struct im_store *store)
{
    if (!store)
        return;
    im_temps_close(store->temps);
    free(store->checked);
    store->ops->close(store);
}
