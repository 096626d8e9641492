/* normalize_providers.c - the registry of publishers, by domain.
 *
 * Entries are sorted by domain; a host is looked up as it is, then without its first label, and so on, so that the
 * longest listed domain wins ("aws.amazon.example" before "amazon.example"). Domains are canonical (lower case,
 * punycode), as hosts are. Image URLs are the operator's own and may be relative to the site: they are passed on as
 * they stand.
 * Everything lives in one arena and never changes after opening; lookups are thread-safe. */
#include "normalize_internal.h"

#include <string.h>

#define MAX_PROVIDERS       100000
#define MAX_PROVIDER_IMAGES 16
#define MAX_NAME_BYTES      256

struct nz_providers {
    struct nm_arena arena;
    struct nz_provider *item; /* sorted by domain */
    size_t n;
};
NM_DEFINE_CLEANUP(struct nz_providers, nz_providers_free)

/* An entry with its node, for the position in a message. */
struct entry {
    struct nz_provider provider;
    const struct nz_node *node;
};

void nz_providers_free(struct nz_providers *providers)
{
    if (!providers)
        return;
    nm_arena_clear(&providers->arena);
    free(providers);
}

static enum nm_status no_memory(const char *path, struct nm_error *err)
{
    return nm_fail(err, NM_FATAL, "out of memory for %s", path);
}

static enum nm_status read_image(const char *path, const struct nz_node *node, struct nm_arena *arena,
                                 struct nz_image *out, struct nm_error *err)
{
    static const char *const names[] = {"url", "width", "height", NULL};
    struct nz_image image = {0};
    const char *url = NULL;
    enum nm_status status = nz_registry_members(path, node, "an image", names, err);
    if (status == NM_OK)
        status = nz_registry_text(path, node, "url", NM_URL_MAX_BYTES, &url, err);
    if (status == NM_OK)
        status = nz_registry_int(path, node, "width", 1, 65535, &image.width, err);
    if (status == NM_OK)
        status = nz_registry_int(path, node, "height", 1, 65535, &image.height, err);
    if (status != NM_OK)
        return status;
    image.url.len = strlen(url);
    image.url.data = nm_arena_copy(arena, url, image.url.len);
    if (!image.url.data)
        return no_memory(path, err);
    *out = image;
    return NM_OK;
}

static enum nm_status read_images(const char *path, const struct nz_node *map, struct nm_arena *arena,
                                  struct nz_provider *out, struct nm_error *err)
{
    const struct nz_node *list = nz_registry_member(map, "images");
    if (!list)
        return NM_OK;
    if (list->kind != NZ_LIST)
        return nz_registry_fail(path, list, err, "\"images\" is a list of {url, width, height}");
    if (list->n > MAX_PROVIDER_IMAGES)
        return nz_registry_fail(path, list, err, "\"images\" has more than %d entries", MAX_PROVIDER_IMAGES);
    out->image = nm_arena_alloc(arena, (list->n + 1) * sizeof *out->image);
    if (!out->image)
        return no_memory(path, err);
    for (size_t i = 0; i < list->n; i++) {
        enum nm_status status = read_image(path, &list->child[i], arena, &out->image[i], err);
        if (status != NM_OK)
            return status;
    }
    out->n_images = list->n;
    return NM_OK;
}

static enum nm_status read_entry(const char *path, const struct nz_node *node, struct nm_arena *arena,
                                 struct nz_provider *out, struct nm_error *err)
{
    static const char *const names[] = {"domain", "name", "weight", "images", NULL};
    struct nz_provider provider = {0};
    const char *domain = NULL, *name = NULL;
    char host[NM_HOST_BYTES];
    enum nm_status status = nz_registry_members(path, node, "a provider", names, err);
    if (status == NM_OK)
        status = nz_registry_text(path, node, "domain", NM_HOST_BYTES, &domain, err);
    if (status == NM_OK && nm_host_canonical(domain, strlen(domain), host, NULL) != NM_OK)
        status = nz_registry_fail(path, nz_registry_member(node, "domain"), err,
                                  "\"%.60s\" is not a domain: write it without scheme, port and path", domain);
    if (status == NM_OK)
        status = nz_registry_text(path, node, "name", MAX_NAME_BYTES, &name, err);
    if (status == NM_OK)
        status = nz_registry_int(path, node, "weight", -1000, 1000, &provider.weight, err);
    if (status == NM_OK)
        status = read_images(path, node, arena, &provider, err);
    if (status != NM_OK)
        return status;
    provider.domain = nm_arena_copy(arena, host, strlen(host));
    provider.name = nm_arena_copy(arena, name, strlen(name));
    if (!provider.domain || !provider.name)
        return no_memory(path, err);
    *out = provider;
    return NM_OK;
}

static int by_domain(const void *a, const void *b)
{
    const struct entry *left = a, *right = b;
    return strcmp(left->provider.domain, right->provider.domain);
}

static enum nm_status check_duplicates(const char *path, const struct entry *entry, size_t n, struct nm_error *err)
{
    for (size_t i = 1; i < n; i++) {
        const struct entry *a = &entry[i - 1], *b = &entry[i];
        if (strcmp(a->provider.domain, b->provider.domain) != 0)
            continue;
        const struct nz_node *later = a->node > b->node ? a->node : b->node; /* one array, in the order of the file */
        return nz_registry_fail(path, later, err, "domain \"%.100s\" stands twice", a->provider.domain);
    }
    return NM_OK;
}

static enum nm_status fill(const char *path, const struct nz_node *list, struct nm_arena *scratch,
                           struct nz_providers *out, struct nm_error *err)
{
    struct entry *entry = nm_arena_alloc(scratch, (list->n + 1) * sizeof *entry);
    out->item = nm_arena_alloc(&out->arena, (list->n + 1) * sizeof *out->item);
    if (!entry || !out->item)
        return no_memory(path, err);
    for (size_t i = 0; i < list->n; i++) {
        entry[i].node = &list->child[i];
        enum nm_status status = read_entry(path, entry[i].node, &out->arena, &entry[i].provider, err);
        if (status != NM_OK)
            return status;
    }
    qsort(entry, list->n, sizeof *entry, by_domain);
    for (size_t i = 0; i < list->n; i++)
        out->item[i] = entry[i].provider;
    out->n = list->n;
    return check_duplicates(path, entry, list->n, err);
}

enum nm_status nz_providers_open(const char *path, struct nz_providers **out, struct nm_error *err)
{
    NM_AUTO(nz_providers_free) struct nz_providers *providers = calloc(1, sizeof *providers);
    if (!providers)
        return no_memory(path, err);
    if (*path) {
        struct nm_arena scratch = {0};
        struct nz_node *list = NULL;
        enum nm_status status = nz_registry_read(path, MAX_PROVIDERS, &scratch, &list, err);
        if (status == NM_OK)
            status = fill(path, list, &scratch, providers, err);
        nm_arena_clear(&scratch);
        if (status != NM_OK)
            return status;
    }
    *out = providers;
    providers = NULL;
    return NM_OK;
}

const struct nz_provider *nz_providers_list(const struct nz_providers *providers, size_t *n)
{
    *n = providers->n;
    return providers->item;
}

static int compare_domain(const void *key, const void *item)
{
    return strcmp(key, ((const struct nz_provider *)item)->domain);
}

const struct nz_provider *nz_providers_find(const struct nz_providers *providers, const char *host)
{
    if (providers->n == 0)
        return NULL;
    for (const char *suffix = host; suffix;) {
        const struct nz_provider *found =
            bsearch(suffix, providers->item, providers->n, sizeof *providers->item, compare_domain);
        if (found)
            return found;
        const char *dot = strchr(suffix, '.');
        suffix = dot ? dot + 1 : NULL;
    }
    return NULL;
}
