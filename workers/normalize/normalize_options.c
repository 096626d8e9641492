/* normalize_options.c - what an operator can set for normalize, as a table.
 *
 * The table and the checks of its values, nothing else: every program links it, so that each checks the whole option
 * file. Whatever changes what an article says (defaults, registries, mapping, weights) is covered by `normalize.rules`:
 * raise it with such a change, so that a replay makes newer versions; normalize_fingerprint.c sees to it. The defaults
 * of quality.* are the reference profile. */
#include "normalize.h"

#include <string.h>

/* category, type and locale of an article: the same rule as for the members of a raw event. */
static enum nm_status check_word(const char *value, struct nm_error *err)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    if (!*value || value[strspn(value, allowed)])
        return nm_fail(err, NM_CONFIG, "is not a word: use letters, digits, \"_\" and \"-\" only");
    return NM_OK;
}

static bool is_alnum(char c, bool digits)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (digits && c >= '0' && c <= '9');
}

/* A subtag has 1 to 8 letters or digits; the first is a language (2 to 8 letters) or "x" or "i"; one of a single
 * character is followed by another one. */
bool nz_is_locale(const char *text, size_t n)
{
    if (n < 1 || n > 64)
        return false;
    size_t start = 0, last = 0;
    for (size_t i = 0; i <= n; i++) {
        if (i < n && is_alnum(text[i], start > 0))
            continue;
        last = i - start;
        bool private = start == 0 && last == 1 && strchr("xXiI", text[0]);
        bool separates = i == n || text[i] == '-' || text[i] == '_';
        if (!separates || last < 1 || last > 8 || (start == 0 && last < 2 && !private))
            return false;
        start = i + 1;
    }
    return last > 1;
}

static enum nm_status check_locale(const char *value, struct nm_error *err)
{
    if (!nz_is_locale(value, strlen(value)) || strchr(value, '_'))
        return nm_fail(err, NM_CONFIG, "is not a language tag such as en or pt-BR");
    return NM_OK;
}

bool nz_is_pointer(const char *text)
{
    size_t steps = 0, len = strlen(text);
    if (*text != '/' || len > 128)
        return false;
    for (; *text; text++) {
        steps += *text == '/';
        if (*text == '~' && text[1] != '0' && text[1] != '1')
            return false;
    }
    return steps <= NZ_MAX_STEPS;
}

static enum nm_status check_pointer(const char *value, struct nm_error *err)
{
    if (nz_is_pointer(value))
        return NM_OK;
    return nm_fail(
        err, NM_CONFIG,
        "has '%.60s', which is not a JSON pointer such as /a/b: it starts with \"/\", \"~\" is written ~0 and "
        "\"/\" in a name ~1, at most %d names and 128 bytes",
        value, NZ_MAX_STEPS);
}

static enum nm_status check_secured(const char *value, struct nm_error *err)
{
    static const char object[] = "/private";
    size_t len = strlen(object);
    if (nz_is_pointer(value) && strncmp(value, object, len) == 0 && (value[len] == '/' || value[len] == '\0'))
        return NM_OK;
    return nm_fail(err, NM_CONFIG, "has '%.60s', which is not a JSON pointer into /private, such as /private/editor",
                   value);
}

#define FIELDS                                                                                                         \
    "url|title|excerpt|content|publishedDateTime|modifiedDateTime|images|provider|ampUrl|locale|category|type|topics|" \
    "featuredContent|quality|private|retracted"

#define F(member) NM_FIELD(struct nz_options, member)

const struct nm_option normalize_options[] = {
    {"defaults.category", NM_OPT_STR, F(category), "news", 1, 64, NULL, check_word,
     "Category of an article whose event names none."},
    {"defaults.type", NM_OPT_STR, F(type), "article", 1, 64, NULL, check_word,
     "Type of an article whose event names none."},
    {"defaults.locale", NM_OPT_STR, F(locale), "en", 1, 64, NULL, check_locale,
     "Language (BCP 47) of an article whose event names none."},
    {"defaults.timeZone", NM_OPT_STR, F(time_zone), "UTC", 1, 64, NULL, NULL,
     "Time zone of the date in an article's path, by its tz database name."},
    {"providers.file", NM_OPT_PATH, F(providers_file), "", 0, 0, NULL, NULL,
     "Registry of publishers: a YAML or JSON list of {domain, name, weight, images}; empty: none."},
    {"topics.file", NM_OPT_PATH, F(topics_file), "", 0, 0, NULL, NULL,
     "Registry of topics: a YAML or JSON list of {id, name, parent, keywords}; empty: none."},
    {"topics.searchIn", NM_OPT_LIST, F(search_in), "title,excerpt", 0, 3, "title|excerpt|content", NULL,
     "Parts of an article in which the keywords of topics are looked for."},
    {"topics.match", NM_OPT_STR, F(match), "word", 0, 0, "word|prefix", NULL,
     "Whether a keyword must be whole words or may be the start of longer ones."},
    {"topics.always", NM_OPT_LIST, F(always), "", 0, NZ_MAX_TOPICS, NULL, NULL,
     "Ids of topics that every article gets."},
    {"normalize.rules", NM_OPT_INT, F(rules), "1", 1, 2147483647, NULL, NULL,
     "Number of these rules; raise it when topics, providers, mapping, weights or defaults change, so that a replay "
     "makes "
     "newer versions; other rules under the same number are refused at start."},
    {"normalize.trustQuality", NM_OPT_BOOL, F(trust_quality), "true", 0, 0, NULL, NULL,
     "Whether a quality in the event replaces the computed one."},
    {"normalize.maxBytes", NM_OPT_INT, F(max_bytes), "1048576", 1024, 1048576, NULL, NULL,
     "Largest raw event in bytes; a larger one is a dead letter."},
    {"normalize.maxDepth", NM_OPT_INT, F(max_depth), "32", 1, 128, NULL, NULL,
     "Deepest nesting of objects and arrays in a raw event; a deeper one is a dead letter."},
    {"normalize.excerptChars", NM_OPT_INT, F(excerpt_chars), "400", 1, 10000, NULL, NULL,
     "Length in characters at which an excerpt is cut at a word."},
    {"normalize.maxFutureMs", NM_OPT_INT, F(max_future_ms), "86400000", 0, 31536000000, NULL, NULL,
     "How far in the future a date may be; an event with a later one is a dead letter."},
    {"normalize.maxImages", NM_OPT_INT, F(max_images), "16", 0, 16, NULL, NULL,
     "Images kept of one article; the first ones win."},
    {"normalize.mapping", NM_OPT_LISTS, F(mapping), "", 1, 16, FIELDS, check_pointer,
     "JSON pointers into the raw event for each field, tried in order, before the built-in ones."},
    {"normalize.builtInMapping", NM_OPT_BOOL, F(built_in_mapping), "true", 0, 0, NULL, NULL,
     "Whether the built-in pointers (schema.org, JSON Feed, RSS, Atom, our own shape) are tried after those of "
     "normalize.mapping."},
    {"secured.fields", NM_OPT_LIST, F(secured_fields), "", 0, 64, NULL, check_secured,
     "JSON pointers to the members of an event's private object that are passed on, encrypted; the rest is dropped."},
    {"secured.key", NM_OPT_INT, F(secured_key), "1", 1, 4294967295, NULL, NULL,
     "Number of the key in secured.keys that new articles are sealed with."},
    {"secured.keys", NM_OPT_MAPS, F(secured_keys), "", 1, 4294967295, "file|env", NULL,
     "Keys by number, each a file or the name of an environment variable that holds 32 bytes as base64 or hex; old "
     "ones "
     "stay listed, to read."},
    {"quality.profile", NM_OPT_STR, F(profile), "reference", 0, 0, "reference", NULL,
     "Formula of the quality; its weights are the other quality options."},
    {"quality.topicPoints", NM_OPT_INT, F(q_topic), "2", -1000, 1000, NULL, NULL,
     "Points for each topic of the article."},
    {"quality.keywordPoints", NM_OPT_INT, F(q_keyword), "15", -1000, 1000, NULL, NULL,
     "Points for each keyword of these topics that the title holds."},
    {"quality.imagePoints", NM_OPT_INT, F(q_image), "20", -1000, 1000, NULL, NULL,
     "Points for having at least one image."},
    {"quality.ampPoints", NM_OPT_INT, F(q_amp), "20", -1000, 1000, NULL, NULL, "Points for having an AMP page."},
    {"quality.featuredPoints", NM_OPT_INT, F(q_featured), "50", -1000, 1000, NULL, NULL,
     "Points for having featured content."},
    {"quality.titleFreeChars", NM_OPT_INT, F(q_title_free), "70", 0, 1024, NULL, NULL,
     "Length in characters up to which a title costs nothing."},
    {"quality.titleStepChars", NM_OPT_INT, F(q_title_step), "2", 1, 1024, NULL, NULL,
     "Every so many characters above quality.titleFreeChars cost one point."},
    {0},
};
