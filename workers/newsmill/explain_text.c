/* explain_text.c - the document of explain_doc.c as text for people. Pure.
 *
 * One section a question: what is it, why this quality, is it published, why this heat, which story, why these links.
 * Text from events is cleaned on its way, here and nowhere else. */
#include "explain.h"
#include "plain.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LABEL = 11, MOST_TERMS = 8, LINE = 200 };

static const char *text(const json_t *object, const char *name)
{
    const char *value = json_string_value(json_object_get(object, name));
    return value ? value : "";
}

static long long number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static double real(const json_t *object, const char *name)
{
    return json_number_value(json_object_get(object, name));
}

static bool has(const json_t *object, const char *name)
{
    return json_object_get(object, name) != NULL;
}

static void plain(const char *value, struct nm_buf *out)
{
    (void)nm_plain_line(value, strlen(value), LINE, out);
}

static void row(struct nm_buf *out, const char *label, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void row(struct nm_buf *out, const char *label, const char *fmt, ...)
{
    char line[1024];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    nm_buf_addf(out, "  %-*s", LABEL, label);
    plain(line, out);
    nm_buf_addc(out, '\n');
}

static const char *title_of(const json_t *object)
{
    return *text(object, "title") ? text(object, "title") : "(its title is not known)";
}

static void add_part(const json_t *part, struct nm_buf *out)
{
    nm_buf_addf(out, "    %+6lld  ", number(part, "points"));
    plain(text(part, "rule"), out);
    nm_buf_addc(out, '\n');
}

static void add_parts(const json_t *parts, struct nm_buf *out)
{
    size_t i = 0;
    const json_t *part = NULL;

    json_array_foreach((json_t *)parts, i, part) add_part(part, out);
}

static void add_article(const json_t *document, struct nm_buf *out)
{
    const json_t *article = json_object_get(document, "article");

    plain(title_of(article), out);
    nm_buf_addc(out, '\n');
    row(out, "id", "%s", text(document, "id"));
    row(out, "url", "%s", text(article, "webUrl"));
    row(out, "provider", "%s", text(json_object_get(article, "provider"), "name"));
    row(out, "dated", "%s", text(article, "publishedDateTime"));
    if (has(article, "rules"))
        row(out, "revision", "%lld (%s), by rules %lld of normalize", number(article, "revision"),
            text(article, "revisionTime"), number(article, "rules"));
    else
        row(out, "revision", "%lld (%s)", number(article, "revision"), text(article, "revisionTime"));
    row(out, "quality", "%lld", number(article, "quality"));
    if (has(article, "qualityParts"))
        add_parts(json_object_get(article, "qualityParts"), out);
    else
        row(out, "", "its parts are not known: the message has left the stream");
}

static void add_published(const json_t *document, struct nm_buf *out)
{
    const json_t *published = json_object_get(document, "published");
    const char *reason = text(published, "reason");
    long long quality = number(published, "quality"), least = number(published, "minQuality");

    if (!published)
        return;
    if (strcmp(reason, "lead") == 0)
        row(out, "published", "yes: it leads, and quality %lld is not below publish.minQuality %lld", quality, least);
    else if (strcmp(reason, "below_min_quality") == 0)
        row(out, "published", "no: quality %lld is below publish.minQuality %lld", quality, least);
    else if (strcmp(reason, "member") == 0)
        row(out, "published", "no: it is a member of a story, only the lead is published");
    else if (strcmp(reason, "waits") == 0)
        row(out, "published", "not yet: its first record waits for the facets of publish.expect");
    else if (strcmp(reason, "retracted") == 0)
        row(out, "published", "no: it is retracted");
    else
        row(out, "published", "no: publish has no record of it (yet)");
}

static void add_heat(const json_t *document, struct nm_buf *out)
{
    const json_t *heat = json_object_get(document, "heat"), *facet = json_object_get(heat, "facet");
    const char *reason = text(heat, "reason");

    if (strcmp(reason, "member") == 0)
        row(out, "heat", "-1, because it is a member of a story");
    else if (strcmp(reason, "no_facet_yet") == 0)
        row(out, "heat", "%lld, its quality: there is no heat facet yet", number(heat, "heat"));
    else if (strcmp(reason, "facet") == 0)
        row(out, "heat", "%lld", number(heat, "heat"));
    else
        row(out, "heat", "%s", facet ? "publish has no record of it (yet)" : "no heat facet yet");
    if (!facet)
        return;
    if (has(facet, "next"))
        row(out, "", "facet: %lld as of %s, next at %s", number(facet, "heat"), text(facet, "asOf"),
            text(facet, "next"));
    else
        row(out, "", "facet: %lld as of %s", number(facet, "heat"), text(facet, "asOf"));
    add_parts(json_object_get(facet, "parts"), out);
    if (has(heat, "faded"))
        add_part(json_object_get(heat, "faded"), out);
}

/* ---- story and links ---- */

static void add_why_lead(const json_t *story, struct nm_buf *out)
{
    const json_t *next = json_object_get(story, "next");
    const char *why = text(story, "why");

    if (strcmp(why, "only_one") == 0)
        row(out, "lead", "this article: it is alone");
    else if (strcmp(why, "quality") == 0)
        row(out, "lead", "this article: quality %lld, the next one has %lld", number(story, "quality"),
            number(next, "quality"));
    else if (strcmp(why, "older") == 0)
        row(out, "lead", "this article: the next one has the same quality, %lld, and is younger",
            number(story, "quality"));
    else
        row(out, "lead", "this article: quality %lld; the next one is equal in quality and time, its id is smaller",
            number(story, "quality"));
    if (next)
        row(out, "next", "%s  %s", text(next, "id"), title_of(next));
}

static void add_why_member(const json_t *story, struct nm_buf *out)
{
    const json_t *lead = json_object_get(story, "lead");
    const char *why = text(story, "why");

    row(out, "lead", "%s  %s", text(lead, "id"), title_of(lead));
    if (strcmp(why, "quality") == 0)
        row(out, "member", "because quality %lld is below %lld of the lead", number(story, "quality"),
            number(lead, "quality"));
    else if (strcmp(why, "older") == 0)
        row(out, "member", "because the lead has the same quality, %lld, and is older", number(story, "quality"));
    else if (strcmp(why, "greater_id") == 0)
        row(out, "member", "because the lead is equal in quality and time, and its id is greater");
    else
        row(out, "member", "the story is changing: look again");
}

static void add_story(const json_t *document, struct nm_buf *out)
{
    const json_t *story = json_object_get(document, "story");

    nm_buf_addc(out, '\n');
    if (!story) {
        nm_buf_adds(out, "story: related has not placed it (yet)\n");
        return;
    }
    nm_buf_addf(out, "story %s, %lld article%s", text(story, "id"), number(story, "size"),
                number(story, "size") == 1 ? "" : "s");
    if (has(story, "place"))
        nm_buf_addf(out, ", this one is number %lld", number(story, "place"));
    nm_buf_adds(out, json_is_true(json_object_get(story, "moving")) ? " (a merged story is still moving in)\n" : "\n");
    if (strcmp(text(story, "role"), "lead") == 0)
        add_why_lead(story, out);
    else
        add_why_member(story, out);
}

static void add_terms(const json_t *terms, struct nm_buf *out)
{
    size_t i = 0, n = json_array_size(terms);
    const json_t *term = NULL;

    nm_buf_adds(out, "          shared: ");
    json_array_foreach((json_t *)terms, i, term)
    {
        if (i == MOST_TERMS)
            break;
        nm_buf_adds(out, i ? ", " : "");
        plain(has(term, "term") ? text(term, "term") : "?", out);
        nm_buf_addf(out, " %.2f", real(term, "weight"));
    }
    if (n > MOST_TERMS)
        nm_buf_addf(out, " and %zu more", n - MOST_TERMS);
    nm_buf_adds(out, n ? "\n" : "nothing any more\n");
}

/* "  0.6412  Title" and below it who that is. */
static void add_other(const json_t *other, double score, const char *rest, struct nm_buf *out)
{
    nm_buf_addf(out, "  %.4f  ", score);
    plain(title_of(other), out);
    nm_buf_addf(out, "\n          %s, ", text(other, "id"));
    plain(has(other, "provider") ? text(other, "provider") : "provider not known", out);
    if (has(other, "quality"))
        nm_buf_addf(out, ", quality %lld", number(other, "quality"));
    nm_buf_addf(out, ", %s\n", rest);
}

static void add_links(const json_t *document, struct nm_buf *out)
{
    const json_t *links = json_object_get(document, "links"), *other = NULL;
    const json_t *at = json_object_get(document, "thresholds");
    size_t i = 0;

    nm_buf_addf(out, "\nlinks, as they were when it was placed (from related.link %.2f on; related.gate %.2f)\n",
                real(at, "link"), real(at, "gate"));
    json_array_foreach((json_t *)links, i, other)
    {
        add_other(other, real(other, "score"),
                  has(other, "gone")                                  ? "gone since"
                  : json_is_true(json_object_get(other, "sameStory")) ? "same story"
                                                                      : "another story",
                  out);
        if (!has(other, "gone"))
            add_terms(json_object_get(other, "terms"), out);
    }
    if (json_array_size(links) == 0)
        nm_buf_adds(out, "  none\n");
}

static void add_reasons(const json_t *near, const json_t *at, struct nm_buf *out)
{
    const json_t *story = json_object_get(near, "story"), *reason = NULL;
    size_t i = 0;

    json_array_foreach(json_object_get(near, "reasons"), i, reason)
    {
        const char *word = json_string_value(reason);
        nm_buf_adds(out, "          ");
        if (strcmp(word, "below_link") == 0)
            nm_buf_addf(out, "no link: %.4f is below related.link %.2f\n", real(near, "similarity"), real(at, "link"));
        else if (strcmp(word, "below_join") == 0)
            nm_buf_addf(out,
                        "not joined: its story (%lld) fits with %.4f, below related.join %.2f; cosine %.4f, below "
                        "related.merge %.2f\n",
                        number(story, "size"), real(story, "score"), real(at, "join"), real(story, "cosine"),
                        real(at, "merge"));
        else if (strcmp(word, "outside_window") == 0)
            nm_buf_adds(out, "further apart than related.windowMs\n");
        else
            nm_buf_addf(out,
                        "would be joined today (%.4f): it or its story came later, or another story fitted better\n",
                        real(story, "score"));
    }
}

static void add_near(const json_t *document, struct nm_buf *out)
{
    const json_t *list = json_object_get(document, "near"), *near = NULL;
    size_t i = 0;

    if (json_array_size(list) == 0)
        return;
    nm_buf_adds(out, "\nclose but not taken (computed from what is stored today)\n");
    json_array_foreach((json_t *)list, i, near)
    {
        add_other(near, real(near, "similarity"), "another story", out);
        add_terms(json_object_get(near, "terms"), out);
        add_reasons(near, json_object_get(document, "thresholds"), out);
    }
}

/* ---- the rest ---- */

static void add_made(const json_t *document, struct nm_buf *out)
{
    const json_t *made = json_object_get(document, "made"), *one = NULL;
    size_t i = 0;

    if (json_array_size(made) == 0)
        return;
    nm_buf_adds(out, "\nmade by\n");
    json_array_foreach((json_t *)made, i, one)
    {
        const char *late = has(one, "takenRevision") && number(one, "takenRevision") != number(one, "revision")
                               ? "; publish has not taken it yet"
                               : "";
        row(out, text(one, "what"), "%s, %s, revision %lld, %s%s%s", text(one, "worker"), text(one, "schema"),
            number(one, "revision"), text(one, "time"), has(one, "retracted") ? ", retracted" : "", late);
    }
}

static void add_letters(const json_t *document, struct nm_buf *out)
{
    const json_t *letters = json_object_get(document, "deadLetters"), *letter = NULL;
    size_t i = 0;

    if (json_array_size(letters) == 0)
        return;
    nm_buf_adds(out, "\ndead letters, newest last (newsmill dead show has the bytes)\n");
    json_array_foreach((json_t *)letters, i, letter)
        row(out, text(letter, "position"), "%s of %s: %s", text(letter, "code"), text(letter, "worker"),
            text(letter, "message"));
}

static void add_notes(const json_t *document, struct nm_buf *out)
{
    size_t i = 0;
    const json_t *note = NULL;

    json_array_foreach(json_object_get(document, "notes"), i, note)
    {
        nm_buf_adds(out, i ? "  " : "\nnote\n  ");
        plain(json_string_value(note), out);
        nm_buf_addc(out, '\n');
    }
}

void nm_explain_text(const json_t *document, struct nm_buf *out)
{
    const char *state = text(document, "state");
    const json_t *retracted = json_object_get(document, "retracted");

    if (strcmp(state, "known") == 0) {
        add_article(document, out);
        add_published(document, out);
        add_heat(document, out);
        add_story(document, out);
        add_links(document, out);
        add_near(document, out);
    } else if (retracted) {
        nm_buf_addf(out, "%s is retracted since revision %lld (%s)\n", text(document, "id"),
                    number(retracted, "revision"), text(retracted, "time"));
    } else {
        nm_buf_addf(out, "%s%sno article of it is known%s\n", text(document, "id"), has(document, "id") ? ": " : "",
                    strcmp(state, "dead") == 0 ? ", what was loaded is a dead letter" : "");
    }
    add_made(document, out);
    add_letters(document, out);
    add_notes(document, out);
}
