/* probe_jpeg_scan.c - whether a JPEG without EOI lacks only that.
 *
 * Its last scan is read symbol by symbol, to see whether the data reach to the last block; no coefficient is computed.
 * One kind of scan cannot be read by itself: a refinement of AC coefficients holds a bit for each coefficient that is
 * known not to be 0. So the earlier AC scans of that component are read beside it, block by block, each by its own
 * cursor, and tell which those are: 64 bits of state instead of a bit for every coefficient of the image.
 *
 * Tables are used as the file has them, by counting the codes of each length (T.81, annex C and F.2.2.3). The time is
 * linear in the bytes of those scans and in the blocks of the image, which its pixels bound. */
#include "probe_internal.h"

struct bits {
    const uint8_t *at, *end; /* behind what was read ahead, up to a marker or the end */
    uint64_t hold;           /* its last n bits are unread; n < 64 between calls      */
    int n;
};

struct cursor {
    const struct im_jpeg_scan *scan;
    struct bits bits;
    uint32_t to_restart;  /* MCUs until the next restart marker */
    uint32_t end_of_band; /* blocks that have nothing more to come */
};

static void cursor_init(struct cursor *c, const struct im_jpeg_scan *scan, const uint8_t *end)
{
    *c = (struct cursor){.scan = scan, .bits = {.at = scan->data, .end = end}, .to_restart = scan->restart};
}

/* Reads ahead, to 57 bits and more where there are as many. */
static void fill(struct bits *b)
{
    while (b->n <= 56 && b->at < b->end) {
        bool stuffed = *b->at == 0xFF;
        if (stuffed && (b->end - b->at < 2 || b->at[1] != 0))
            return;
        b->hold = b->hold << 8 | *b->at;
        b->at += stuffed ? 2 : 1;
        b->n += 8;
    }
}

/* Takes n bits, 0 to 16; -1 where the data end, by a marker or by the file. */
static int take(struct bits *b, int n)
{
    if (b->n < n)
        fill(b);
    if (b->n < n)
        return -1;
    b->n -= n;
    return (int)(b->hold >> b->n & ((1u << n) - 1));
}

/* Takes a symbol; -1 where the data end, where no code fits, and without a table. */
static int symbol(struct bits *b, const struct im_jpeg_table *table)
{
    if (!table->counts)
        return -1;
    if (b->n < 16)
        fill(b);
    int ahead = (int)((b->n >= 16 ? b->hold >> (b->n - 16) : b->hold << (16 - b->n)) & 0xFFFF);
    int first = 0, index = 0;
    for (int len = 1; len <= 16 && len <= b->n; len++) {
        int code = ahead >> (16 - len), count = table->counts[len - 1];
        if (code - first < count) {
            b->n -= len;
            return table->symbols[index + code - first];
        }
        index += count;
        first = (first + count) << 1;
    }
    return -1;
}

/* Where the data that were not taken begin: the whole bytes that were read ahead are given back. */
static const uint8_t *behind_taken(const struct bits *b)
{
    const uint8_t *at = b->at;
    for (int bytes = b->n / 8; bytes > 0; bytes--)
        at -= at[-1] == 0 && at[-2] == 0xFF ? 2 : 1; /* the scan's header stands before its data */
    return at;
}

/* A coefficient's own bits behind its symbol. */
static bool skip_value(struct bits *b, int size)
{
    return size <= 15 && take(b, size) >= 0;
}

/* Before each MCU: at the end of an interval the rest of the byte goes, and a restart marker has to follow. Reading
 * ahead has stopped at it. */
static bool restart(struct cursor *c)
{
    struct bits *b = &c->bits;
    if (c->scan->restart == 0)
        return true;
    if (c->to_restart == 0) {
        while (b->end - b->at >= 2 && b->at[0] == 0xFF && b->at[1] == 0xFF)
            b->at++;
        if (b->end - b->at < 2 || b->at[0] != 0xFF || (b->at[1] & 0xF8) != 0xD0)
            return false;
        b->at += 2;
        b->n = 0;
        c->end_of_band = 0;
        c->to_restart = c->scan->restart;
    }
    c->to_restart--;
    return true;
}

static bool sequential_block(struct bits *b, const struct im_jpeg_table *dc, const struct im_jpeg_table *ac)
{
    int s = symbol(b, dc);
    if (s < 0 || !skip_value(b, s))
        return false;
    for (int k = 1; k < 64; k++) {
        s = symbol(b, ac);
        if (s < 0 || !skip_value(b, s & 15))
            return false;
        if (s == 0)
            break;
        k += s >> 4; /* 0xF0, sixteen zeros, is fifteen and the step of the loop */
    }
    return true;
}

static bool dc_block(struct bits *b, const struct im_jpeg_scan *scan, int i)
{
    if (scan->ah > 0)
        return take(b, 1) >= 0;
    int s = symbol(b, &scan->dc[i]);
    return s >= 0 && skip_value(b, s);
}

/* An end of band for 2^run blocks and as many more as the next bits say, this one among them. */
static bool begin_end_of_band(struct cursor *c, int run)
{
    int more = take(&c->bits, run);
    c->end_of_band = (1u << run) + (uint32_t)(more < 0 ? 0 : more);
    return more >= 0;
}

static bool ac_first_block(struct cursor *c, uint64_t *nonzero)
{
    const struct im_jpeg_scan *scan = c->scan;
    for (int k = scan->ss; c->end_of_band == 0 && k <= scan->se; k++) {
        int s = symbol(&c->bits, &scan->ac[0]), run = s >> 4, size = s & 15;
        if (s < 0)
            return false;
        if (size == 0 && run < 15) {
            if (!begin_end_of_band(c, run))
                return false;
            break;
        }
        if (!skip_value(&c->bits, size))
            return false;
        k += run;
        if (size > 0 && k <= 63)
            *nonzero |= (uint64_t)1 << k;
    }
    if (c->end_of_band > 0)
        c->end_of_band--;
    return true;
}

/* The corrections of one coefficient each. */
static bool skip_corrections(struct bits *b, int n)
{
    for (; n > 16; n -= 16)
        if (take(b, 16) < 0)
            return false;
    return take(b, n) >= 0;
}

/* Passes over `zeros` coefficients that are 0 and the corrections of all others, up to the next that is 0, on which *k
 * stays, or behind the band. */
static bool pass(struct cursor *c, uint64_t nonzero, int zeros, int *k)
{
    int corrections = 0;
    for (; *k <= c->scan->se; ++*k) {
        if (nonzero >> *k & 1)
            corrections++;
        else if (zeros-- == 0)
            break;
    }
    return skip_corrections(&c->bits, corrections);
}

/* Passes over the rest of the band; without a look at each coefficient, for such blocks cost an attacker no byte. */
static bool pass_rest(struct cursor *c, uint64_t nonzero, int k)
{
    if (k > c->scan->se)
        return true;
    uint64_t band = UINT64_MAX >> (63 - c->scan->se) & UINT64_MAX << k;
    return skip_corrections(&c->bits, __builtin_popcountll(nonzero & band));
}

static bool ac_refine_block(struct cursor *c, uint64_t *nonzero)
{
    const struct im_jpeg_scan *scan = c->scan;
    int k = scan->ss;
    for (; c->end_of_band == 0 && k <= scan->se; k++) {
        int s = symbol(&c->bits, &scan->ac[0]), run = s >> 4, size = s & 15;
        if (s < 0)
            return false;
        if (size == 0 && run < 15) {
            if (!begin_end_of_band(c, run))
                return false;
            break;
        }
        if ((size > 0 && take(&c->bits, 1) < 0) || !pass(c, *nonzero, run, &k))
            return false;
        if (size > 0 && k <= 63)
            *nonzero |= (uint64_t)1 << k;
    }
    if (c->end_of_band > 0) {
        c->end_of_band--;
        return pass_rest(c, *nonzero, k);
    }
    return true;
}

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* Blocks of a scan of one component (T.81, A.2.3): those that the picture needs, without padding to whole MCUs. */
static int64_t own_blocks(const struct im_jpeg *jpeg, int component)
{
    int64_t width = ceil_div((int64_t)jpeg->width * jpeg->component[component].h, jpeg->h_max);
    int64_t height = ceil_div((int64_t)jpeg->height * jpeg->component[component].v, jpeg->v_max);
    return ceil_div(width, 8) * ceil_div(height, 8);
}

static bool mcu_is_there(const struct im_jpeg *jpeg, struct cursor *c)
{
    const struct im_jpeg_scan *scan = c->scan;
    for (int i = 0; i < scan->n_components; i++) {
        int n = jpeg->component[scan->component[i]].h * jpeg->component[scan->component[i]].v;
        for (n = scan->n_components == 1 ? 1 : n; n > 0; n--)
            if (!(jpeg->progressive ? dc_block(&c->bits, scan, i)
                                    : sequential_block(&c->bits, &scan->dc[i], &scan->ac[i])))
                return false;
    }
    return true;
}

/* A scan that needs no other to be read: sequential, or of DC coefficients. */
static bool mcus_are_there(const struct im_jpeg *jpeg, const struct im_jpeg_scan *scan, const uint8_t *end,
                           const uint8_t **behind)
{
    struct cursor c;
    int64_t n = own_blocks(jpeg, scan->component[0]);
    if (scan->n_components > 1)
        n = ceil_div(jpeg->width, 8 * jpeg->h_max) * ceil_div(jpeg->height, 8 * jpeg->v_max);
    cursor_init(&c, scan, end);
    for (; n > 0; n--)
        if (!restart(&c) || !mcu_is_there(jpeg, &c))
            return false;
    *behind = behind_taken(&c.bits);
    return true;
}

/* A scan of AC coefficients, and with it all earlier ones of its component. */
static bool bands_are_there(const struct im_jpeg *jpeg, const struct im_jpeg_scan *last, const uint8_t *end,
                            const uint8_t **behind)
{
    struct cursor c[IM_JPEG_KEPT_SCANS];
    int n_cursors = 0;
    for (const struct im_jpeg_scan *scan = jpeg->scans; scan <= last; scan++)
        if (scan == last || (last->ah > 0 && scan->ss > 0 && scan->component[0] == last->component[0]))
            cursor_init(&c[n_cursors++], scan, end);
    for (int64_t n = own_blocks(jpeg, last->component[0]); n > 0; n--) {
        uint64_t nonzero = 0;
        for (int i = 0; i < n_cursors; i++)
            if (!restart(&c[i]) ||
                !(c[i].scan->ah > 0 ? ac_refine_block(&c[i], &nonzero) : ac_first_block(&c[i], &nonzero)))
                return false;
    }
    *behind = behind_taken(&c[n_cursors - 1].bits);
    return true;
}

bool im_jpeg_complete(const struct im_jpeg *jpeg, const uint8_t *end, const uint8_t **behind)
{
    if (jpeg->n_scans < 1 || jpeg->n_scans > IM_JPEG_KEPT_SCANS)
        return false;
    for (int i = 0; i < jpeg->n_components; i++)
        for (int k = 0; k < 64; k++)
            if (jpeg->missing[i][k] != 0)
                return false;
    const struct im_jpeg_scan *last = &jpeg->scans[jpeg->n_scans - 1];
    if (last->ss > 0)
        return bands_are_there(jpeg, last, end, behind);
    return mcus_are_there(jpeg, last, end, behind);
}
