/* fuzz_datetime.c - dates in any spelling, and time zone files of any bytes.
 *
 * Held: what parses lies from 1970 to 9999 and survives being written and read again; a zone file is refused or gives
 * offsets below 26 hours for every moment. The first byte chooses: 0 a date, else a zone file. */
#include "datetime_internal.h"

#include <string.h>

static void require(bool held)
{
    if (!held)
        abort();
}

static void check_date(const char *text, size_t len)
{
    int64_t ms = 0, again = 0;
    char out[NM_TIME_TEXT_BYTES];
    double number;
    if (nm_time_parse(text, len, &ms, NULL) == NM_OK) {
        require(ms >= 0 && ms < INT64_C(253402300800000));
        nm_time_format(ms, out);
        require(strlen(out) == NM_TIME_TEXT_BYTES - 1);
        require(nm_time_parse(out, strlen(out), &again, NULL) == NM_OK && again == ms / 1000 * 1000);
    }
    if (len < sizeof number)
        return;
    memcpy(&number, text, sizeof number);
    if (nm_time_from_number(number, &ms, NULL) == NM_OK)
        require(ms >= 0 && ms < INT64_C(253402300800000));
}

static void check_zone(const uint8_t *data, size_t size)
{
    static const int64_t moments_s[] = {0, 1, -1, 951782400, 1933740131, 4102444800, 253402300799};
    struct nm_zone *zone = NULL;
    if (nm_zone_read(data, size, &zone, NULL) != NM_OK)
        return;
    for (size_t i = 0; i < sizeof moments_s / sizeof *moments_s; i++) {
        char date[11];
        int32_t offset = nm_zone_offset_s(zone, moments_s[i]);
        require(offset >= -26 * 3600 && offset <= 26 * 3600);
        nm_zone_date(zone, moments_s[i] * 1000, date);
        require(strlen(date) == 10);
    }
    nm_zone_close(zone);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] == 0)
        check_date((const char *)data + 1, size - 1);
    else
        check_zone(data + 1, size - 1);
    return 0;
}
