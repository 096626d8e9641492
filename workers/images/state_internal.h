/* state_internal.h - what the files behind state.h share: the scripts by name, and how they are called. */
#ifndef IMAGES_STATE_INTERNAL_H
#define IMAGES_STATE_INTERNAL_H

#include "state.h"

/* The file of each, without .lua. */
/* clang-format off */
#define IM_SCRIPTS(X) \
    X(article) X(retract) X(claim) X(back) X(facet_sent) X(lease) X(extend) X(result) X(slot) X(slot_end) \
    X(object) X(reset) X(lost) X(evict) X(member) X(mark) X(deleting) X(deleted)
/* clang-format on */
enum im_script {
#define X(word) IM_SCRIPT_##word,
    IM_SCRIPTS(X)
#undef X
        IM_SCRIPT_COUNT
};

/* Key and time; n more arguments follow. */
size_t im_call(const struct im_state *state, struct nm_pipe *pipe, enum im_script script, size_t n);
/* The same with arguments that are all texts, ended by NULL. */
size_t im_call_texts(const struct im_state *state, struct nm_pipe *pipe, enum im_script script,
                     const char *const *words);
#define IM_TEXTS(...) ((const char *const[]){__VA_ARGS__, NULL})

#endif
