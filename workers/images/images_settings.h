/* images_settings.h - the options of images as its parts take them, and what is asked of them when the worker starts.
 *
 * Built once at start and const from then on. Strings of the options are borrowed, so the options have to outlive the
 * settings. Not thread-safe while it is built. */
#ifndef IMAGES_SETTINGS_H
#define IMAGES_SETTINGS_H

#include "decoder.h"
#include "fetch.h"
#include "images_options.h"
#include "state.h"
#include "store.h"

#define IM_USER_AGENT_BYTES 256
#define IM_MADE_AHEAD       64 /* pictures between the decoder and their end; then no other is decoded */

struct im_settings {
    struct im_fetch_limits fetch;
    struct im_limits check;
    struct im_policy policy; /* without own addresses: im_policy_add_own() when the worker listens */
    struct im_state_options state;
    struct im_decoder_settings decoder;
    struct im_thumb thumb[IM_THUMBS]; /* smallest first */
    int n_thumbs;
    enum im_copy copy;
    char user_agent[IM_USER_AGENT_BYTES]; /* "newsmill/<version> (+<contact>)" */
    const char **resolve;                 /* for im_fetch_config, up to a NULL; NULL: none. Owned                 */
    char *public_base;                    /* NULL: none; without a slash at its end. Owned                         */
    char *temp_path;                      /* of transfers; of a directory, its tmp: open the store first. Owned    */
    const char *ca_file;                  /* NULL: the system's                                                    */
    bool test;                            /* mode test                                                             */
    bool allow_downgrade, reject_mixed, strict_type, http2, try_https, refuse_bombs;
    int64_t bomb_ratio;
    bool is_s3;
    int64_t max_percent; /* of the volume; evict down to 15/16 of a cap: 75 % at the default of 80 % */
    int64_t max_bytes;   /* of all objects; 0: no such cap                                           */
};

/* NM_CONFIG: a sentence that names the option and says what to do. NM_FATAL: out of memory. *out is untouched then. */
NM_MUST_USE enum nm_status im_settings_read(const struct im_options *options, struct im_settings *out,
                                            struct nm_error *err);
void im_settings_clear(struct im_settings *settings); /* harmless on zeros and twice */

/* Opens the store of the options; close it with im_store_close(). Errors as store.h says. */
NM_MUST_USE enum nm_status im_settings_store(const struct im_options *options, struct im_store **out,
                                             struct nm_error *err);

/* Raises the soft limit of file descriptors to what the settings can use at most; it is never lowered. NM_CONFIG: the
 * hard limit is below that. */
NM_MUST_USE enum nm_status im_settings_files(const struct im_settings *settings, struct nm_error *err);

#endif
