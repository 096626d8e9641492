/* dump_terms.c - prints the terms of articles and what they weigh, for comparisons with another implementation.
 *
 *   dump_terms [TITLE_TERMS EXCERPT_TERMS] < articles      40 and 24
 *
 * One JSON object {title, excerpt?, locale?, state?} a line; for each a line of [text, excerpt, sighting, weak], where
 * sighting is 0 unknown, 1 lower case, 2 capital. state: {"options": [priorStories, rarityExponent, nameSpan,
 * excerptWeight], "stories": n, "counts": {term: [stories with it, of those in capitals, not]}}; with it each term has
 * a fifth member, its weight. Exit code 1 when a line is not such an object, 2 for a usage error. */
#define _GNU_SOURCE /* getline */
#include "related/related.h"

#include <stdio.h>
#include <string.h>
#include <yyjson.h>

static void weigh(yyjson_val *state, const struct nm_term *terms, size_t n, double *weight)
{
    yyjson_val *options = yyjson_obj_get(state, "options"), *counts = yyjson_obj_get(state, "counts");
    struct rl_options o = {.prior_stories = yyjson_get_num(yyjson_arr_get(options, 0)),
                           .rarity_exponent = yyjson_get_num(yyjson_arr_get(options, 1)),
                           .name_span = yyjson_get_num(yyjson_arr_get(options, 2)),
                           .excerpt_weight = yyjson_get_num(yyjson_arr_get(options, 3))};
    struct rl_counts count[RL_TERMS] = {0};
    for (size_t i = 0; i < n; i++) {
        yyjson_val *known = yyjson_obj_getn(counts, terms[i].text, terms[i].len);
        count[i] = (struct rl_counts){.df = yyjson_get_sint(yyjson_arr_get(known, 0)),
                                      .capital = yyjson_get_sint(yyjson_arr_get(known, 1)),
                                      .lower = yyjson_get_sint(yyjson_arr_get(known, 2))};
    }
    (void)rl_weigh(&o, terms, count, n, yyjson_get_sint(yyjson_obj_get(state, "stories")), weight);
}

static bool print_terms(const struct nm_term *terms, size_t n, yyjson_val *state)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *all = yyjson_mut_arr(doc);
    double weight[RL_TERMS];
    if (state)
        weigh(state, terms, n, weight);
    yyjson_mut_doc_set_root(doc, all);
    for (size_t i = 0; i < n; i++) {
        yyjson_mut_val *term = yyjson_mut_arr_add_arr(doc, all);
        yyjson_mut_arr_add_strn(doc, term, terms[i].text, terms[i].len);
        yyjson_mut_arr_add_bool(doc, term, terms[i].excerpt);
        yyjson_mut_arr_add_int(doc, term, terms[i].sighting);
        yyjson_mut_arr_add_bool(doc, term, terms[i].weak);
        if (state)
            yyjson_mut_arr_add_real(doc, term, weight[i]);
    }
    char *line = yyjson_mut_write(doc, 0, NULL); /* NULL: a term is not UTF-8 */
    bool done = line && puts(line) >= 0;
    free(line);
    yyjson_mut_doc_free(doc);
    return done;
}

static bool dump(struct nm_terms *text, struct nm_arena *arena, const char *line, size_t len)
{
    yyjson_doc *doc = yyjson_read(line, len, 0);
    yyjson_val *root = yyjson_doc_get_root(doc), *title = yyjson_obj_get(root, "title"),
               *excerpt = yyjson_obj_get(root, "excerpt");
    struct nm_terms_source source = {.title = yyjson_get_str(title),
                                     .title_len = yyjson_get_len(title),
                                     .excerpt = yyjson_get_str(excerpt),
                                     .excerpt_len = yyjson_get_len(excerpt),
                                     .locale = yyjson_get_str(yyjson_obj_get(root, "locale"))};
    struct nm_term *terms;
    size_t n;
    nm_arena_reset(arena);
    bool done = yyjson_is_str(title) && nm_terms_analyse(text, &source, arena, &terms, &n, NULL) == NM_OK &&
                print_terms(terms, n, yyjson_obj_get(root, "state"));
    yyjson_doc_free(doc);
    return done;
}

int main(int argc, char **argv)
{
    NM_AUTO(nm_terms_free) struct nm_terms *text = NULL;
    NM_AUTO(free) char *line = NULL;
    struct nm_arena arena = {0};
    size_t cap = 0, n_title = 40, n_excerpt = 24;
    bool done = true;
    if (argc == 3) {
        n_title = strtoul(argv[1], NULL, 10);
        n_excerpt = strtoul(argv[2], NULL, 10);
    }
    if ((argc != 1 && argc != 3) || n_title > NM_TERMS_MAX || n_excerpt > NM_TERMS_MAX) {
        (void)fprintf(stderr, "usage: dump_terms [TITLE_TERMS EXCERPT_TERMS]; at most %d\n", NM_TERMS_MAX);
        return 2;
    }
    if (nm_terms_new(n_title, n_excerpt, &text, NULL) != NM_OK)
        return 1;
    for (ssize_t len; done && (len = getline(&line, &cap, stdin)) > 0;)
        done = dump(text, &arena, line, (size_t)len);
    nm_arena_clear(&arena);
    return done ? 0 : 1;
}
