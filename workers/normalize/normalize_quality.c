/* normalize_quality.c - how good an article looks on its own, and why.
 *
 * The sum of a few rules, each with a weight of its own in the options; every rule that gave points is kept as a part,
 * so that `newsmill explain` can show the sum. A quality in the event replaces the formula on purpose.
 * Invariant: the parts add up to the quality, also when it was brought into its range (the part "clamp").
 * Threads: pure functions. */
#include "normalize_internal.h"

#include "newsmill/text.h"

#define MAX_QUALITY 1000

static void add_part(struct nz_article *article, const char *rule, long long points)
{
    if (points == 0)
        return;
    article->part[article->n_parts++] = (struct nz_part){rule, points};
    article->quality += points;
}

/* A point for every full step above the length that is free. */
static long long title_cost(const struct nz_options *options, struct nz_str title)
{
    long long above = (long long)nm_text_length(title.data, title.len) - options->q_title_free;
    return above > 0 ? above / options->q_title_step : 0;
}

void nz_quality(const struct nz_options *options, const struct nz_raw *raw, long long keyword_hits,
                struct nz_article *article)
{
    if (raw->has_quality && options->trust_quality) {
        article->quality = raw->quality;
        article->part[article->n_parts++] = (struct nz_part){"event", raw->quality};
        return;
    }
    add_part(article, "topics", options->q_topic * (long long)article->n_topics);
    add_part(article, "keywords", options->q_keyword * keyword_hits);
    add_part(article, "image", article->n_images > 0 ? options->q_image : 0);
    add_part(article, "amp", article->amp_url.data ? options->q_amp : 0);
    add_part(article, "provider", article->provider ? article->provider->weight : 0);
    add_part(article, "featured", raw->featured ? options->q_featured : 0);
    add_part(article, "title", -title_cost(options, article->title));
    if (article->quality > MAX_QUALITY)
        add_part(article, "clamp", MAX_QUALITY - article->quality);
    else if (article->quality < -MAX_QUALITY)
        add_part(article, "clamp", -MAX_QUALITY - article->quality);
}
