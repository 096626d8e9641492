/* text_utf8.c - UTF-8 by the byte: well-formed or not, how many code points.
 *
 * Apart from text.c because URLs need it too. News is mostly ASCII, so the check first looks at eight bytes at a time
 * and takes the slow road only where one has its top bit set. Well-formed is Unicode's table 3-7: no overlong forms,
 * no surrogates, nothing above U+10FFFF. Pure functions; thread-safe. */
#include "newsmill/text.h"

#include <stdint.h>
#include <string.h>

/* Bytes of the well-formed sequence at `p`, of which `left` > 0 bytes are there; 0: not well-formed. */
static size_t sequence(const unsigned char *p, size_t left)
{
    unsigned char lead = p[0];
    if (lead < 0x80)
        return 1;
    size_t want = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || left < want)
        return 0;
    unsigned char low = 0x80, high = 0xbf; /* range of the second byte */
    if (lead == 0xe0)
        low = 0xa0;
    else if (lead == 0xed)
        high = 0x9f;
    else if (lead == 0xf0)
        low = 0x90;
    else if (lead == 0xf4)
        high = 0x8f;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < want; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return want;
}

bool nm_text_is_utf8(const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t i = 0;
    while (i < len) {
        uint64_t eight;
        while (len - i >= sizeof eight) {
            memcpy(&eight, p + i, sizeof eight);
            if (eight & UINT64_C(0x8080808080808080))
                break;
            i += sizeof eight;
        }
        if (i == len)
            break;
        size_t n = sequence(p + i, len - i);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

size_t nm_text_length(const char *text, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++)
        n += ((unsigned char)text[i] & 0xc0) != 0x80;
    return n;
}
