/* linkage.c - likeness of articles and stories, see linkage.h.
 *
 * Vectors are short, so terms are found by looking at all of them. What is computed here is close to what `related`
 * computed, not equal: its postings are bounded, weights are stored as floats, and a story has changed since. */
#include "linkage.h"

#include <math.h>
#include <string.h>

double nm_float_read(const unsigned char *bytes)
{
    uint32_t bits = 0;
    float value = 0;
    for (unsigned i = 0; i < 4; i++)
        bits |= (uint32_t)bytes[i] << (8 * i);
    memcpy(&value, &bits, sizeof value);
    return isfinite(value) ? (double)value : (double)NAN;
}

bool nm_vector_read(const void *bytes, size_t len, size_t most, struct nm_vector *out)
{
    const unsigned char *at = bytes;
    size_t n = len / NM_VECTOR_TERM_BYTES;

    if (len % NM_VECTOR_TERM_BYTES || n > most || n > NM_VECTOR_TERMS)
        return false;
    for (size_t i = 0; i < n; i++, at += NM_VECTOR_TERM_BYTES) {
        struct nm_weight *term = &out->term[i];
        memcpy(term->key, at, NM_TERM_KEY_BYTES);
        term->weight = nm_float_read(at + NM_TERM_KEY_BYTES);
        if (!(term->weight >= 0))
            return false;
    }
    out->n = n;
    return true;
}

double nm_vector_weight(const struct nm_vector *vector, const unsigned char key[NM_TERM_KEY_BYTES])
{
    for (size_t i = 0; i < vector->n; i++)
        if (memcmp(vector->term[i].key, key, NM_TERM_KEY_BYTES) == 0)
            return vector->term[i].weight;
    return 0;
}

double nm_vector_dot(const struct nm_vector *a, const struct nm_vector *b)
{
    double sum = 0;
    for (size_t i = 0; i < a->n; i++)
        sum += a->term[i].weight * nm_vector_weight(b, a->term[i].key);
    return sum;
}

double nm_vector_length(const struct nm_vector *vector)
{
    double sum = 0;
    for (size_t i = 0; i < vector->n; i++)
        sum += vector->term[i].weight * vector->term[i].weight;
    return sum > 0 ? sqrt(sum) : 1;
}

size_t nm_vector_shared(const struct nm_vector *vector, const struct nm_vector *other, struct nm_shared *out)
{
    size_t n = 0;
    for (size_t i = 0; i < vector->n && n < NM_ARTICLE_TERMS; i++) {
        const struct nm_weight *term = &vector->term[i];
        double weight = nm_vector_weight(other, term->key);
        if (!(weight > 0))
            continue;
        size_t at = n++;
        for (; at > 0 && out[at - 1].weight < term->weight; at--)
            out[at] = out[at - 1];
        memcpy(out[at].key, term->key, NM_TERM_KEY_BYTES);
        out[at].weight = term->weight;
        out[at].other = weight;
    }
    return n;
}

static double halved(int64_t age_s, double half_s)
{
    return half_s > 0 && age_s > 0 ? exp2(-(double)age_s / half_s) : 1;
}

double nm_similarity(const struct nm_linking *linking, const struct nm_linked *a, const struct nm_linked *b)
{
    const struct nm_linked *young = a->at_s >= b->at_s ? a : b, *old = young == a ? b : a;
    double dot = 0, shared = 0;

    for (size_t i = 0; i < young->vector->n; i++) {
        double weight = young->vector->term[i].weight;
        if (nm_vector_weight(old->vector, young->vector->term[i].key) > 0) {
            dot += weight * weight;
            shared += weight;
        }
    }
    double similarity = fmin(1, dot / (young->norm * old->norm));
    if (linking->gate > 0)
        similarity *= fmin(1, shared / linking->gate);
    return similarity * (linking->floor + (1 - linking->floor) * halved(young->at_s - old->at_s, linking->link_half_s));
}

struct nm_fit nm_story_fit(const struct nm_linking *linking, const struct nm_linked *article,
                           const struct nm_vector *centroid, int64_t last_s, double best)
{
    double fade = halved(article->at_s - last_s, linking->story_half_s);
    struct nm_fit fit = {.cosine = fade * nm_vector_dot(article->vector, centroid) /
                                   (article->norm * nm_vector_length(centroid))};
    fit.score = fade * linking->alpha * best + (1 - linking->alpha) * fit.cosine;
    return fit;
}
