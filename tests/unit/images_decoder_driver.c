/* images_decoder_driver.c - what a decoder process costs, beside the same libraries called directly.
 *
 *   images_decoder_driver [N]        N rounds, 200 by default
 *
 * One round: a JPEG of 1200 x 630 becomes one of 320 x 168. Prints the CPU time of a round in microseconds: `plain` is
 * libjpeg from end to end with a simple average of whole pixels between, as a program without further ado would do it;
 * `here` is the decoder's own code in this process; `process` is everything, the worker's side and the decoder's, its
 * start included. Exit code 1: a round failed. */
#include "decoder_files.h"
#include "decoder_rig.h"
#include "images/decoder_process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>
#include <jpeglib.h>

enum { WIDTH = 1200, HEIGHT = 630, SMALL_WIDTH = 320, SMALL_HEIGHT = 168 };

static int64_t cpu_us(void)
{
    struct rusage self, children;
    (void)getrusage(RUSAGE_SELF, &self);
    (void)getrusage(RUSAGE_CHILDREN, &children);
    return (int64_t)(self.ru_utime.tv_sec + self.ru_stime.tv_sec + children.ru_utime.tv_sec +
                     children.ru_stime.tv_sec) *
               1000000 +
           self.ru_utime.tv_usec + self.ru_stime.tv_usec + children.ru_utime.tv_usec + children.ru_stime.tv_usec;
}

static void shrink(const uint8_t *from, uint8_t *to)
{
    for (int y = 0; y < SMALL_HEIGHT; y++) {
        for (int x = 0; x < SMALL_WIDTH; x++) {
            int x0 = x * WIDTH / SMALL_WIDTH, x1 = (x + 1) * WIDTH / SMALL_WIDTH;
            int y0 = y * HEIGHT / SMALL_HEIGHT, y1 = (y + 1) * HEIGHT / SMALL_HEIGHT, sum[3] = {0};
            for (int j = y0; j < y1; j++)
                for (int i = x0; i < x1; i++)
                    for (int c = 0; c < 3; c++)
                        sum[c] += from[(j * WIDTH + i) * 3 + c];
            for (int c = 0; c < 3; c++)
                to[(y * SMALL_WIDTH + x) * 3 + c] = (uint8_t)(sum[c] / ((y1 - y0) * (x1 - x0)));
        }
    }
}

static void plain(const struct nm_buf *file)
{
    size_t icc_len;
    struct nm_buf out = {0};
    struct df_picture picture = df_read(file->data, file->len, &icc_len);
    struct df_picture small = {SMALL_WIDTH, SMALL_HEIGHT, 3, malloc((size_t)SMALL_WIDTH * SMALL_HEIGHT * 3)};
    shrink(picture.data, small.data);
    df_jpeg(&small, &(struct df_jpeg){.quality = 80}, &out);
    free(small.data);
    free(picture.data);
    nm_buf_clear(&out);
}

static struct im_decoder_job job_of(const struct nm_buf *file)
{
    struct im_decoder_job job = {.facts = dr_facts(IM_JPEG, WIDTH, HEIGHT, 1, file->len),
                                 .limits = dr_limits(),
                                 .input_fd = dr_file(file->data, file->len),
                                 .n_thumbs = 1,
                                 .thumb = {{SMALL_WIDTH, IM_THUMB_JPEG, 80}}};
    job.output_fd[0] = dr_empty();
    return job;
}

static bool here(const struct nm_buf *file)
{
    struct im_decoder_job job = job_of(file);
    struct im_request request;
    struct im_reply reply = {.reason = IM_decode_fail};
    const int fds[] = {job.input_fd, job.output_fd[0]};
    if (im_request_write(&job.facts, &job.limits, job.thumb, job.n_thumbs, IM_COPY_NONE, &request))
        im_decoder_serve(&request, fds, &reply);
    (void)close(fds[0]);
    (void)close(fds[1]);
    return reply.reason == IM_NONE;
}

static bool process(struct im_decoders *pool, const struct nm_buf *file)
{
    struct im_decoder_job job = job_of(file);
    struct im_decoded got = dr_run(pool, &job);
    (void)close(job.input_fd);
    (void)close(job.output_fd[0]);
    return got.reason == IM_NONE;
}

int main(int argc, char **argv)
{
    dr_be_decoder(argc, argv);
    int n = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 200;
    if (n < 1 || n > 1000000) {
        (void)fprintf(stderr, "images_decoder_driver: N is 1 to 1000000\n");
        return 1;
    }
    bool good = true;
    struct nm_buf file = {0};
    struct df_picture picture = df_draw(WIDTH, HEIGHT, 3);
    for (size_t i = 0; i < (size_t)WIDTH * HEIGHT * 3; i++) /* the grain of a photograph */
        picture.data[i] = (uint8_t)((picture.data[i] & 0xe0) | (i * 2654435761u >> 13 & 31));
    df_jpeg(&picture, &(struct df_jpeg){.quality = 85}, &file);
    int64_t start = cpu_us();
    for (int i = 0; i < n; i++)
        plain(&file);
    int64_t plain_us = (cpu_us() - start) / n;
    start = cpu_us();
    for (int i = 0; i < n; i++)
        good = here(&file) && good;
    int64_t here_us = (cpu_us() - start) / n;
    start = cpu_us();
    struct im_decoders *pool = dr_open(NULL, 1, 5000, 20000);
    for (int i = 0; i < n; i++)
        good = process(pool, &file) && good;
    im_decoders_close(pool); /* its CPU time counts as a child's from now on */
    int64_t process_us = (cpu_us() - start) / n;
    (void)printf("bytes=%zu plain_us=%lld here_us=%lld process_us=%lld\n", file.len, (long long)plain_us,
                 (long long)here_us, (long long)process_us);
    free(picture.data);
    nm_buf_clear(&file);
    return good ? 0 : 1;
}
