/* publish_story.c - see publish_story.h. Plain and slow on purpose: the record is printed member by member from what
 * was delivered, without bytes that were kept from anywhere. */
#include "publish_story.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { URLS = 4, MOST_LISTED = 6 };

struct article {
    bool retracted, excerpt, secured;
    int title, quality, day, n_images, image[3];
    bool sized; /* its images have width and height */
};
struct images {
    bool gone;
    int state[URLS]; /* 0: not known, 1: pending, 2: cached, 3: failed, 4: cached with thumbnails */
};
struct related {
    bool gone;
    int story, lead, size, n_listed, listed[MOST_LISTED]; /* -1: an id that nobody has */
};

uint64_t story_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state >> 11;
}

unsigned story_pick(uint64_t *state, unsigned n)
{
    return (unsigned)(story_random(state) % n);
}

void story_init(struct story *story, uint64_t seed)
{
    *story = (struct story){.seed = seed};
    uint64_t random = seed * 0x9E3779B97F4A7C15u | 1;
    for (int i = 0; i < STORY_IDS; i++) {
        uint64_t high = story_random(&random), low = story_random(&random);
        (void)snprintf(story->id[i], sizeof story->id[i], "%016" PRIx64 "%016" PRIx64, high, low);
    }
}

int story_index(const struct story *story, const char *id)
{
    for (int i = 0; i < STORY_IDS; i++)
        if (memcmp(story->id[i], id, 32) == 0)
            return i;
    return -1;
}

static const char *name_of(const struct story *story, int id)
{
    return id < 0 ? "00000000000000000000000000000abc" : story->id[id];
}

/* ---- what a version says ---- */

static uint64_t choices(const struct story *story, int id, enum story_kind kind, int version)
{
    uint64_t random = story->seed ^ ((uint64_t)id * 64 + (uint64_t)kind * 16 + (uint64_t)version) * 0xD1B54A32D192ED03u;
    random |= 1;
    for (int i = 0; i < 4; i++)
        (void)story_random(&random);
    return random;
}

static struct article article_of(const struct story *story, int id, int version)
{
    uint64_t random = choices(story, id, STORY_ARTICLE, version);
    struct article a = {.retracted = story_pick(&random, 6) == 0};
    a.title = (int)story_pick(&random, 3);
    a.quality = 48 + (int)story_pick(&random, 5);
    a.day = 1 + (int)story_pick(&random, 2);
    a.excerpt = story_pick(&random, 2);
    a.secured = story_pick(&random, 4) == 0;
    a.sized = story_pick(&random, 2);
    a.n_images = (int)story_pick(&random, 4);
    for (int i = 0; i < a.n_images; i++)
        a.image[i] = (int)(story_pick(&random, 2) + (unsigned)i);
    return a;
}

static struct images images_of(const struct story *story, int id, int version)
{
    uint64_t random = choices(story, id, STORY_IMAGES, version);
    struct images m = {.gone = story_pick(&random, 8) == 0};
    for (int i = 0; i < URLS; i++)
        m.state[i] = (int)story_pick(&random, 5);
    return m;
}

static struct related related_of(const struct story *story, int id, int version)
{
    uint64_t random = choices(story, id, STORY_RELATED, version);
    struct related r = {.gone = story_pick(&random, 8) == 0};
    r.story = (int)story_pick(&random, STORY_IDS);
    r.lead = story_pick(&random, 3) ? id : (int)story_pick(&random, STORY_IDS);
    r.size = 1 + (int)story_pick(&random, 5);
    r.n_listed = r.lead == id ? (int)story_pick(&random, MOST_LISTED + 1) : 0;
    for (int i = 0; i < r.n_listed; i++)
        r.listed[i] = (int)story_pick(&random, STORY_IDS + 1) - 1; /* itself and twice the same, too */
    return r;
}

/* -2: gone */
static int heat_of(const struct story *story, int id, int version)
{
    uint64_t random = choices(story, id, STORY_HEAT, version);
    return story_pick(&random, 8) ? (int)story_pick(&random, 4) * 7 - 1 : -2;
}

/* ---- text ---- */

struct text {
    char *s;
    size_t len;
};

static void __attribute__((format(printf, 2, 3))) add(struct text *text, const char *form, ...)
{
    va_list args;
    va_start(args, form);
    int len = vsnprintf(text->s + text->len, STORY_TEXT - text->len, form, args);
    va_end(args);
    text->len += (size_t)len;
    if (text->len >= STORY_TEXT)
        abort();
}

#define WEB      "https://www.ostmark-post.example/%d"
#define PROVIDER "{\"name\":\"Ostmark \\\"Post\\\"\",\"domain\":\"ostmark-post.example\""
#define FRONT    "\"path\":\"_news/2031-04-%02d-%d.md\",\"category\":\"news\",\"type\":\"article\",\"locale\":\"en\","

static void add_head(struct text *text, const struct article *a)
{
    add(text, "\"title\":\"Tram & ferry %d\\n\xc3\xa9\"", a->title);
    if (a->excerpt)
        add(text, ",\"excerpt\":\"From June. %d\"", a->title);
    add(text, ",\"publishedDateTime\":\"2031-04-%02dT05:30:00Z\"", a->day);
}

/* Members of a record up to its images, the same in the article. */
static void add_front(struct text *text, const struct article *a, int id)
{
    add(text, FRONT, a->day, a->title);
    add_head(text, a);
    add(text, ",\"originalUrl\":\"" WEB "?utm_source=x\",\"webUrl\":\"" WEB "\"", id, id);
    add(text, ",\"provider\":" PROVIDER ",\"images\":[{\"url\":\"l\"}]},\"topics\":[\"Ferries\"],\"quality\":%d",
        a->quality);
}

static void add_article(struct text *text, const struct story *story, int id, int version)
{
    struct article a = article_of(story, id, version);
    add(text, "{\"id\":\"%s\",\"revision\":%d,\"sourceTime\":1933740131000,", story->id[id], 1000 + version);
    if (a.retracted) {
        add(text, "\"retracted\":true}");
        return;
    }
    add_front(text, &a, id);
    add(text, ",\"qualityParts\":[{\"rule\":\"event\",\"points\":%d}]", a.quality);
    if (a.n_images || a.title == 0) /* an empty list and none are the same */
        add(text, ",\"images\":[");
    for (int i = 0; i < a.n_images; i++) {
        add(text, "%s{\"url\":\"u%d\"", i ? "," : "", a.image[i]);
        if (a.sized)
            add(text, ",\"width\":%d,\"height\":%d", 100 + i, 200 + i);
        add(text, "}");
    }
    if (a.n_images || a.title == 0)
        add(text, "]");
    if (a.secured)
        add(text, ",\"secured\":\"c;%d\"", version);
    add(text, ",\"rules\":1}");
}

static const char *const thumbnails =
    ",\"cachedUrl\":\"c\",\"thumbnails\":[{\"url\":\"t\",\"width\":32,\"height\":17}]";
static const char *const failure = ",\"reason\":\"blocked_addr\",\"nextTry\":\"2031-04-13T05:30:00Z\"";

static void add_facet_images(struct text *text, const struct images *m)
{
    static const char *const states[] = {"", "pending", "cached", "failed", "cached"};
    bool first = true;
    add(text, "{\"images\":[");
    for (int i = 0; i < URLS; i++) {
        bool cached = m->state[i] == 2 || m->state[i] == 4;
        if (m->state[i] == 0)
            continue;
        add(text, "%s{\"url\":\"u%d\",\"state\":\"%s\",\"isCached\":%s", first ? "" : ",", i, states[m->state[i]],
            cached ? "true" : "false");
        if (cached)
            add(text, ",\"width\":%d,\"height\":%d,\"type\":\"image/png\",\"bytes\":7", 640 + i, 480 + i);
        add(text, "%s%s}", m->state[i] == 4 ? thumbnails : "", m->state[i] == 3 ? failure : "");
        first = false;
    }
    add(text, "]}");
}

static void add_facet_related(struct text *text, const struct story *story, const struct related *r)
{
    add(text, "{\"story\":{\"id\":\"%s\",\"lead\":\"%s\",\"size\":%d},\"related\":[", name_of(story, r->story),
        name_of(story, r->lead), r->size);
    for (int i = 0; i < r->n_listed; i++)
        add(text, "%s{\"id\":\"%s\",\"score\":0.5}", i ? "," : "", name_of(story, r->listed[i]));
    add(text, "],\"links\":[{\"id\":\"%s\",\"score\":0.25}]}", name_of(story, -1));
}

void story_message(const struct story *story, int id, enum story_kind kind, int version, char out[STORY_TEXT])
{
    static const char *const names[] = {"", "images", "related", "heat"};
    struct text text = {.s = out};
    if (kind == STORY_ARTICLE) {
        add_article(&text, story, id, version);
        return;
    }
    struct images images = images_of(story, id, version);
    struct related related = related_of(story, id, version);
    int heat = heat_of(story, id, version);
    add(&text, "{\"id\":\"%s\",\"facet\":\"%s\",\"revision\":%d,\"data\":", story->id[id], names[kind], 1000 + version);
    if ((kind == STORY_IMAGES && images.gone) || (kind == STORY_RELATED && related.gone) ||
        (kind == STORY_HEAT && heat == -2))
        add(&text, "null");
    else if (kind == STORY_IMAGES)
        add_facet_images(&text, &images);
    else if (kind == STORY_RELATED)
        add_facet_related(&text, story, &related);
    else
        add(&text, "{\"heat\":%d,\"asOf\":\"2031-04-12T06:02:24Z\",\"parts\":[]}", heat);
    add(&text, "}");
}

void story_deliver(struct story *story, int id, enum story_kind kind, int version)
{
    if (version > story->latest[id][kind])
        story->latest[id][kind] = version;
}

/* ---- what must come of it ---- */

static void add_images(struct text *text, const struct story *story, int id, const struct article *a)
{
    struct images m = {.gone = true};
    if (story->latest[id][STORY_IMAGES])
        m = images_of(story, id, story->latest[id][STORY_IMAGES]);
    for (int i = 0; i < a->n_images; i++) {
        int state = m.gone ? 0 : m.state[a->image[i]];
        bool cached = state == 2 || state == 4;
        add(text, "%s{\"url\":\"u%d\"", i ? "," : ",\"images\":[", a->image[i]);
        if (cached)
            add(text, ",\"width\":%d,\"height\":%d", 640 + a->image[i], 480 + a->image[i]);
        else if (a->sized)
            add(text, ",\"width\":%d,\"height\":%d", 100 + i, 200 + i);
        add(text, ",\"isCached\":%s%s%s}", cached ? "true" : "false", state == 4 ? thumbnails : "",
            state == 3 ? failure : "");
    }
    if (a->n_images)
        add(text, "]");
}

static bool shown(const struct story *story, int id)
{
    return id >= 0 && story->latest[id][STORY_ARTICLE] &&
           !article_of(story, id, story->latest[id][STORY_ARTICLE]).retracted;
}

/* True when `a` stands before `b`: quality, then age, then the greater id. */
static bool before(const struct story *story, int a, int b)
{
    struct article left = article_of(story, a, story->latest[a][STORY_ARTICLE]);
    struct article right = article_of(story, b, story->latest[b][STORY_ARTICLE]);
    if (left.quality != right.quality)
        return left.quality > right.quality;
    if (left.day != right.day)
        return left.day < right.day;
    return strcmp(story->id[a], story->id[b]) > 0;
}

static void add_member(struct text *text, const struct story *story, int id)
{
    struct article a = article_of(story, id, story->latest[id][STORY_ARTICLE]);
    add(text, "{");
    add_head(text, &a);
    add(text, ",\"webUrl\":\"" WEB "\",\"type\":\"article\",\"provider\":" PROVIDER "},\"quality\":%d", id, a.quality);
    add_images(text, story, id, &a);
    add(text, "}");
}

static void add_related(struct text *text, const struct story *story, int id, const struct related *r)
{
    int taken[STORY_MAX_RELATED], n_taken = 0, member[STORY_MAX_RELATED], n = 0;
    for (int i = 0; i < r->n_listed && n_taken < STORY_MAX_RELATED; i++) {
        bool again = r->listed[i] == id;
        for (int k = 0; k < n_taken; k++)
            again = again || taken[k] == r->listed[i];
        if (!again)
            taken[n_taken++] = r->listed[i];
    }
    for (int i = 0; i < n_taken; i++) {
        if (!shown(story, taken[i]))
            continue;
        int at = n++;
        for (; at > 0 && before(story, taken[i], member[at - 1]); at--)
            member[at] = member[at - 1];
        member[at] = taken[i];
    }
    for (int i = 0; i < n; i++) {
        add(text, i ? "," : ",\"related\":[");
        add_member(text, story, member[i]);
    }
    if (n)
        add(text, "]");
}

bool story_expected(const struct story *story, int id, char out[STORY_TEXT])
{
    struct text text = {.s = out};
    out[0] = '\0';
    if (!story->latest[id][STORY_ARTICLE])
        return false;
    struct article a = article_of(story, id, story->latest[id][STORY_ARTICLE]);
    if (a.retracted)
        return true;
    struct related r = {.gone = true};
    if (story->latest[id][STORY_RELATED])
        r = related_of(story, id, story->latest[id][STORY_RELATED]);
    bool lead = r.gone || r.lead == id;
    int heat = story->latest[id][STORY_HEAT] ? heat_of(story, id, story->latest[id][STORY_HEAT]) : -2;
    add_front(&text, &a, id);
    add_images(&text, story, id, &a);
    if (a.secured)
        add(&text, ",\"secured\":\"c;%d\"", story->latest[id][STORY_ARTICLE]);
    add(&text, ",\"published\":%s", lead && a.quality >= STORY_MIN_QUALITY ? "true" : "false");
    add(&text, ",\"heat\":%d", !lead ? -1 : heat == -2 ? a.quality : heat);
    if (!r.gone)
        add(&text, ",\"story\":{\"id\":\"%s\",\"lead\":\"%s\",\"size\":%d}", name_of(story, r.story),
            name_of(story, r.lead), r.size);
    if (!r.gone && r.lead == id)
        add_related(&text, story, id, &r);
    add(&text, "}");
    return true;
}
