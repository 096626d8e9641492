/* state_read.c - the replies of the scripts, checked. What Redis holds may be of another version of this program: a
 * word that is not known is not guessed. */
#include "state.h"

#include <string.h>

static enum im_how how_of(const struct nm_reply *reply)
{
    static const char *const words[] = {"",
#define X(name) #name,
                                        IM_HOWS(X)
#undef X
    };
    if (reply->type != NM_REPLY_STR)
        return IM_HOW_NONE;
    for (size_t i = 1; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i], reply->str) == 0)
            return (enum im_how)i;
    return IM_HOW_NONE;
}

bool im_is_hash(const char *text, size_t len)
{
    return len == IM_SHA_BYTES - 1 && strspn(text, "0123456789abcdef") >= len;
}

bool im_answer_read(const struct nm_reply *reply, struct im_answer *out)
{
    enum im_how how = how_of(nm_reply_at(reply, 0));
    if (how == IM_HOW_NONE || nm_reply_at(reply, 1)->type != NM_REPLY_INT)
        return false;
    *out = (struct im_answer){.how = how,
                              .value = nm_reply_int(nm_reply_at(reply, 1), 0),
                              .since_ms = nm_reply_int(nm_reply_at(reply, 2), 0)};
    return true;
}

static bool read_image(const struct nm_reply *reply, struct im_picture *out)
{
    enum { FIELDS = 18 };
    const struct nm_reply *f = reply->element;
    if (reply->type != NM_REPLY_ARRAY || reply->len != FIELDS)
        return false;
    for (size_t i = 0; i < FIELDS; i++)
        if (f[i].type != (i == 2 || i == 3 ? NM_REPLY_INT : NM_REPLY_STR))
            return false;
    const char *state = f[4].str;
    *out = (struct im_picture){
        .text = f[0].str,
        .text_len = f[0].len,
        .hash = f[1].str,
        .needs_work = nm_reply_int(&f[2], 0) == 1,
        .lease_left_ms = nm_reply_int(&f[3], 0),
        .state = strcmp(state, "cached") == 0   ? IM_CACHED
                 : strcmp(state, "failed") == 0 ? IM_FAILED
                                                : IM_PENDING,
        .sha256 = f[5].str,
        .type = f[6].str,
        .width = nm_reply_int(&f[7], 0),
        .height = nm_reply_int(&f[8], 0),
        .bytes = nm_reply_int(&f[9], 0),
        .reason = im_reason_find(f[10].str, f[10].len),
        .next_try_ms = nm_reply_int(&f[11], 0),
        .expires_ms = nm_reply_int(&f[12], 0),
        .tries = nm_reply_int(&f[13], 0),
        .rounds = nm_reply_int(&f[14], 0),
        .etag = f[15].str,
        .last_modified = f[16].str,
        .thumbs = f[17].str,
    };
    return true;
}

bool im_view_read(const struct nm_reply *reply, struct im_view *out)
{
    struct im_view view = {.how = how_of(nm_reply_at(reply, 0)), .content = ""};
    const struct nm_reply *images = nm_reply_at(reply, 5);
    switch (view.how) {
    case IM_HOW_stale:
    case IM_HOW_moved:
    case IM_HOW_gone:
        *out = view;
        return true;
    case IM_HOW_article:
    case IM_HOW_again:
    case IM_HOW_retracted:
    case IM_HOW_claimed:
        break;
    default:
        return false;
    }
    if (images->type != NM_REPLY_ARRAY || images->len > IM_MAX_IMAGES || nm_reply_at(reply, 2)->type != NM_REPLY_STR)
        return false;
    view.revision = nm_reply_int(nm_reply_at(reply, 1), 0);
    view.content = nm_reply_at(reply, 2)->str;
    view.reported = strcmp(nm_reply_at(reply, 3)->str, "sent") == 0;
    view.on_its_way = strcmp(nm_reply_at(reply, 3)->str, "made") == 0;
    view.score = nm_reply_int(nm_reply_at(reply, 4), -1);
    view.n_images = images->len;
    for (size_t i = 0; i < view.n_images; i++) {
        if (!read_image(&images->element[i], &view.image[i]))
            return false;
        view.n_work += view.image[i].needs_work;
    }
    if (view.revision <= 0)
        return false;
    *out = view;
    return true;
}
