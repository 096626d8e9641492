/* explain_links.c - who an article is linked with, and who was close to it but is in another story.
 *
 * The second is computed anew from what is stored today: whoever shares most weight with it by the postings of its
 * terms is looked at first, MOST_LOOKED at most. */
#include "explain.h"

#include <string.h>

enum { MOST_LOOKED = 256, CHUNK = 32 };

static enum nm_status read_ties(struct nm_state *state, struct nm_explain *explain, struct nm_error *err)
{
    struct nm_stored_link *link = calloc(NM_LINKS, sizeof *link);
    struct nm_known *known = calloc(NM_LINKS, sizeof *known);
    explain->tie = calloc(NM_LINKS, sizeof *explain->tie);
    size_t n = 0;
    enum nm_status status = link && known && explain->tie ? nm_state_links(state, explain->id, link, &n, err)
                                                          : nm_fail(err, NM_FATAL, "out of memory");

    for (size_t i = 0; status == NM_OK && i < n; i++)
        (void)snprintf(known[i].id, sizeof known[i].id, "%s", link[i].id);
    if (status == NM_OK)
        status = nm_state_articles(state, known, n, err);
    for (size_t i = 0; known && i < n; i++) { /* what was read is owned, also after a failure */
        explain->tie[i].score = link[i].score;
        explain->tie[i].known = known[i];
        explain->n_ties++;
    }
    free(link);
    free(known);
    for (size_t i = 0; status == NM_OK && i < n; i++) {
        struct nm_story story = {0};
        if (!explain->tie[i].known.linked)
            continue;
        status = nm_state_story(state, explain->tie[i].known.story_name, &story, err);
        explain->tie[i].same_story = story.there && memcmp(story.name, explain->story.name, NM_RAW_ID) == 0;
    }
    return status;
}

static bool is_tied(const struct nm_explain *explain, const char *id)
{
    for (size_t i = 0; i < explain->n_ties; i++)
        if (strcmp(explain->tie[i].known.id, id) == 0)
            return true;
    return false;
}

/* Fills the rest of a near one whose article and story are there. */
static void measure(const struct nm_explain *explain, struct nm_near *near)
{
    const struct nm_known *self = &explain->self;
    struct nm_linked mine = {&self->vector, self->norm, self->at_s};
    struct nm_linked other = {&near->known.vector, near->known.norm, near->known.at_s};

    near->apart_s = self->at_s > near->known.at_s ? self->at_s - near->known.at_s : near->known.at_s - self->at_s;
    near->similarity = nm_similarity(&explain->linking, &mine, &other);
    near->fit = nm_story_fit(&explain->linking, &mine, &near->story.centroid, near->story.last_s, near->similarity);
}

/* Takes one of the neighbours, if it is an article of another story; its `known` is owned by the list then. */
static enum nm_status consider(struct nm_state *state, struct nm_explain *explain, struct nm_known *known,
                               double shared, struct nm_error *err)
{
    struct nm_near *near = &explain->near[explain->n_near];
    struct nm_story story = {0};

    if (!known->linked || is_tied(explain, known->id) ||
        memcmp(known->story_name, explain->self.story_name, NM_RAW_ID) == 0)
        return NM_OK;
    enum nm_status status = nm_state_story(state, known->story_name, &story, err);
    if (status != NM_OK || !story.there || memcmp(story.name, explain->story.name, NM_RAW_ID) == 0)
        return status;
    *near = (struct nm_near){.known = *known, .shared = shared, .story = story};
    *known = (struct nm_known){0};
    measure(explain, near);
    explain->n_near++;
    return NM_OK;
}

static enum nm_status read_near(struct nm_state *state, struct nm_explain *explain, struct nm_error *err)
{
    struct nm_neighbour *row = NULL;
    struct nm_known *known = calloc(CHUNK, sizeof *known);
    size_t n = 0;
    enum nm_status status = known ? nm_state_neighbours(state, &explain->self, &explain->linking, &row, &n, err)
                                  : nm_fail(err, NM_FATAL, "out of memory");

    n = n < MOST_LOOKED ? n : MOST_LOOKED;
    for (size_t from = 0; status == NM_OK && from < n && explain->n_near < NM_NEAR; from += CHUNK) {
        size_t count = n - from < CHUNK ? n - from : CHUNK;
        for (size_t i = 0; i < count; i++)
            nm_hex_write(row[from + i].id, NM_RAW_ID, known[i].id);
        status = nm_state_articles(state, known, count, err);
        for (size_t i = 0; i < count; i++) {
            if (status == NM_OK && explain->n_near < NM_NEAR)
                status = consider(state, explain, &known[i], row[from + i].shared, err);
            nm_known_clear(&known[i]);
        }
    }
    free(known);
    free(row);
    return status;
}

enum nm_status nm_explain_links(struct nm_state *state, struct nm_explain *explain, struct nm_error *err)
{
    enum nm_status status = read_ties(state, explain, err);
    return status == NM_OK ? read_near(state, explain, err) : status;
}
