/* numbers.h - numbers in the bytes of an image. The caller has checked that they are there. Pure. */
#ifndef IMAGES_NUMBERS_H
#define IMAGES_NUMBERS_H

#include <stdint.h>

static inline uint32_t im_be16(const uint8_t *p)
{
    return (uint32_t)p[0] << 8 | p[1];
}
static inline uint32_t im_be32(const uint8_t *p)
{
    return im_be16(p) << 16 | im_be16(p + 2);
}
static inline uint32_t im_le16(const uint8_t *p)
{
    return (uint32_t)p[1] << 8 | p[0];
}
static inline uint32_t im_le24(const uint8_t *p)
{
    return (uint32_t)p[2] << 16 | im_le16(p);
}
static inline uint32_t im_le32(const uint8_t *p)
{
    return im_le16(p + 2) << 16 | im_le16(p);
}

#endif
