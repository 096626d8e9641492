/* load_world.c - what a reader makes of some bytes, see load_world.h. */
#include "load_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

static enum nm_status take(void *self, const char *text, size_t len, struct nm_place place, struct nm_error *err)
{
    struct load_world *world = self;
    (void)place;
    (void)err;
    nm_buf_add(&world->events, text, len);
    nm_buf_addc(&world->events, '\n');
    return NM_OK;
}

static void refuse(void *self, struct nm_place place, const char *why)
{
    struct load_world *world = self;
    nm_buf_addf(&world->said, "%llu:%llu %s\n", place.line, place.item, why);
}

static void skip_parts(void *self, size_t n)
{
    struct load_world *world = self;
    world->n_skipped += n;
}

static void remark(void *self, struct nm_place place, const char *text)
{
    struct load_world *world = self;
    nm_buf_addf(&world->said, "%llu:%llu (note) %s\n", place.line, place.item, text);
}

struct nm_source *load_world_source(const void *data, size_t len, size_t block, int *fd)
{
    struct nm_source *source = NULL;
    FILE *file = tmpfile();

    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, len, file), len);
    assert_int_equal(fflush(file), 0);
    *fd = dup(fileno(file));
    assert_true(*fd >= 0);
    (void)fclose(file);
    assert_int_equal(lseek(*fd, 0, SEEK_SET), 0);
    assert_int_equal(nm_source_open(&(struct nm_source_options){.fd = *fd, .block_bytes = block}, &source, NULL),
                     NM_OK);
    return source;
}

void load_world_clear(struct load_world *world)
{
    nm_buf_clear(&world->events);
    nm_buf_clear(&world->said);
}

void load_world_read(struct load_world *world, load_reader *reader, const void *data, size_t len)
{
    struct nm_sink sink = {.take = take,
                           .refuse = refuse,
                           .skip = skip_parts,
                           .remark = remark,
                           .self = world,
                           .max_bytes = world->max_bytes ? world->max_bytes : 65536};
    int fd = -1;
    struct nm_source *source = load_world_source(data, len, world->block, &fd);

    nm_buf_reset(&world->events);
    nm_buf_reset(&world->said);
    world->n_skipped = 0;
    world->err = (struct nm_error){0};
    world->status = reader(source, &sink, &world->err);
    nm_source_close(source);
    (void)close(fd);
}

void load_world_gzip(const void *data, size_t len, struct nm_buf *out)
{
    unsigned char block[4096];
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)data, .avail_in = (uInt)len};
    int code = deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);

    while (code == Z_OK) {
        z.next_out = block;
        z.avail_out = sizeof block;
        code = deflate(&z, Z_FINISH);
        nm_buf_add(out, block, sizeof block - z.avail_out);
    }
    assert_int_equal(code, Z_STREAM_END);
    assert_int_equal(deflateEnd(&z), Z_OK);
}
