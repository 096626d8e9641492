/* plain_jpeg.c - what a thumbnail costs a program without further ado: libjpeg from end to end, and a simple average of
 * whole pixels between.
 *
 *   plain_jpeg EDGE FILE...          JPEG files; the longer edge of the thumbnails, in pixels
 *
 * Prints the CPU time of a file in microseconds, reading it included. Exit code 1: a file could not be read. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <jpeglib.h>

enum { QUALITY = 80 };

struct picture {
    size_t width, height;
    uint8_t *rgb;
};

static int64_t cpu_us(void)
{
    struct rusage used;
    (void)getrusage(RUSAGE_SELF, &used);
    return (int64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 + used.ru_utime.tv_usec +
           used.ru_stime.tv_usec;
}

static bool read_file(const char *path, unsigned char **data, unsigned long *len)
{
    FILE *file = fopen(path, "rb");
    long size = -1;
    if (file && fseek(file, 0, SEEK_END) == 0)
        size = ftell(file);
    unsigned char *bytes = size > 0 ? malloc((size_t)size) : NULL;
    bool done = bytes && fseek(file, 0, SEEK_SET) == 0 && fread(bytes, 1, (size_t)size, file) == (size_t)size;
    if (file)
        (void)fclose(file);
    if (!done)
        free(bytes);
    *data = done ? bytes : NULL;
    *len = done ? (unsigned long)size : 0;
    return done;
}

/* Errors of the library end the program: the files are our own. */
static struct picture decode(const unsigned char *data, unsigned long len)
{
    struct jpeg_decompress_struct info;
    struct jpeg_error_mgr errors;
    info.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&info);
    jpeg_mem_src(&info, data, len);
    (void)jpeg_read_header(&info, TRUE);
    info.out_color_space = JCS_RGB;
    (void)jpeg_start_decompress(&info);
    struct picture picture = {info.output_width, info.output_height, NULL};
    picture.rgb = malloc(picture.width * picture.height * 3);
    while (picture.rgb && info.output_scanline < info.output_height) {
        JSAMPROW row = picture.rgb + (size_t)info.output_scanline * picture.width * 3;
        (void)jpeg_read_scanlines(&info, &row, 1);
    }
    if (picture.rgb)
        (void)jpeg_finish_decompress(&info);
    jpeg_destroy_decompress(&info);
    return picture;
}

static void average(const struct picture *from, struct picture *to, size_t x, size_t y)
{
    size_t x0 = x * from->width / to->width, x1 = (x + 1) * from->width / to->width;
    size_t y0 = y * from->height / to->height, y1 = (y + 1) * from->height / to->height, sum[3] = {0};
    for (size_t j = y0; j < y1; j++)
        for (size_t i = x0; i < x1; i++)
            for (size_t c = 0; c < 3; c++)
                sum[c] += from->rgb[(j * from->width + i) * 3 + c];
    for (size_t c = 0; c < 3; c++)
        to->rgb[(y * to->width + x) * 3 + c] = (uint8_t)(sum[c] / ((y1 - y0) * (x1 - x0)));
}

static struct picture shrink(const struct picture *from, size_t edge)
{
    size_t longer = from->width > from->height ? from->width : from->height;
    struct picture to = {from->width * edge / longer, from->height * edge / longer, NULL};
    to.rgb = malloc(to.width * to.height * 3);
    for (size_t y = 0; to.rgb && y < to.height; y++)
        for (size_t x = 0; x < to.width; x++)
            average(from, &to, x, y);
    return to;
}

static void encode(const struct picture *picture)
{
    struct jpeg_compress_struct info;
    struct jpeg_error_mgr errors;
    unsigned char *data = NULL;
    unsigned long len = 0;
    info.err = jpeg_std_error(&errors);
    jpeg_create_compress(&info);
    jpeg_mem_dest(&info, &data, &len);
    info.image_width = (JDIMENSION)picture->width;
    info.image_height = (JDIMENSION)picture->height;
    info.input_components = 3;
    info.in_color_space = JCS_RGB;
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, QUALITY, TRUE);
    jpeg_start_compress(&info, TRUE);
    while (info.next_scanline < info.image_height) {
        JSAMPROW row = picture->rgb + (size_t)info.next_scanline * picture->width * 3;
        (void)jpeg_write_scanlines(&info, &row, 1);
    }
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    free(data);
}

static bool make(const char *path, size_t edge)
{
    unsigned char *data;
    unsigned long len;
    if (!read_file(path, &data, &len))
        return false;
    struct picture picture = decode(data, len), small = {0, 0, NULL};
    if (picture.rgb && picture.width >= edge && picture.height > 0)
        small = shrink(&picture, edge);
    if (small.rgb)
        encode(&small);
    bool done = small.rgb != NULL;
    free(small.rgb);
    free(picture.rgb);
    free(data);
    return done;
}

int main(int argc, char **argv)
{
    long edge = argc > 2 ? strtol(argv[1], NULL, 10) : 0;
    if (edge < 1 || edge > 65535) {
        (void)fprintf(stderr, "usage: plain_jpeg EDGE FILE...\n");
        return 2;
    }
    int64_t start = cpu_us();
    for (int i = 2; i < argc; i++)
        if (!make(argv[i], (size_t)edge)) {
            (void)fprintf(stderr, "plain_jpeg: %s cannot be used\n", argv[i]);
            return 1;
        }
    (void)printf("%lld\n", (long long)((cpu_us() - start) / (argc - 2)));
    return 0;
}
