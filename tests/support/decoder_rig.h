/* decoder_rig.h - a pool of decoder processes under test: the test program itself, started again.
 *
 * A test that uses it begins its main() with dr_be_decoder(). */
#ifndef TEST_DECODER_RIG_H
#define TEST_DECODER_RIG_H

#include "images/decoder.h"

/* What a process started with "--hooked" does instead of its job: the quality of the job's first thumbnail. */
enum dr_deed {
    DR_SOCKET = 1, /* each of these calls something that the sandbox forbids */
    DR_OPEN,
    DR_FORK,
    DR_EXEC,
    DR_KILL_PARENT,
    DR_CODE_PAGE,
    DR_WRITE_LOG,
    DR_RAISE_LIMIT,
    DR_CRASH,
    DR_SPIN,        /* CPU without end                               */
    DR_HANG,        /* waits without CPU                             */
    DR_LEAVE,       /* exit code 0, no reply                         */
    DR_FORGE_MAGIC, /* each of these replies what cannot be          */
    DR_FORGE_JOB,
    DR_FORGE_REASON,
    DR_FORGE_SIZE,
    DR_FORGE_THUMB,
    DR_FORGE_BYTES,
    DR_FORGE_COPY, /* a public copy of which no byte was written */
    DR_FORGE_FILE, /* a thumbnail of the right size, of which no byte was written */
    DR_FORGE_SHORT,
    DR_FORGE_LONG,
    DR_FORGE_FILES,
    DR_REPLY_TWICE,
    DR_N_DEEDS
};

/* Never returns where the program was started as a decoder: "--decoder", "--hooked", "--lame" (ends before it is ready)
 * or "--rude" (says something else than ready). */
void dr_be_decoder(int argc, char **argv);

struct im_decoders *dr_open(const char *argument, int processes, int64_t cpu_ms, int64_t wall_ms);

int dr_file(const void *data, size_t len); /* holds that, open for reading only */
int dr_empty(void);                        /* writable */

/* Facts as the probe would have them. */
struct im_facts dr_facts(enum im_type type, int width, int height, int orientation, size_t len);
struct im_limits dr_limits(void);

/* A job for a file; thumbnails are added with an output each. Closing closes the files. */
struct im_decoder_job dr_job(enum im_type type, int width, int height, const struct nm_buf *file);
void dr_add_thumb(struct im_decoder_job *job, int edge, enum im_thumb_format format);
void dr_close_job(const struct im_decoder_job *job);

void dr_wait_idle(struct im_decoders *pool, int n);  /* ticks until n processes take a job */
struct im_decoded dr_wait(struct im_decoders *pool); /* ticks until a job is finished      */
struct im_decoded dr_run(struct im_decoders *pool, const struct im_decoder_job *job);

/* Whether this is a build with AddressSanitizer, which takes memory of its own. */
bool dr_sanitized(void);

/* kB that /proc says of the only process: "VmHWM:" of memory at most, "VmSize:" of address space now. */
long dr_memory_kb(const struct im_decoders *pool, const char *name);

#endif
