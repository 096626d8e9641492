/* fuzz_config.c - any bytes as an option file, in both formats.
 *
 * The first byte chooses the format and how many of the other inputs there are; the rest is the file. What loads is
 * applied and printed, too, so every path that an accepted file can take is walked. */
#include "config_internal.h"
#include "newsmill/settings.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(struct nm_config *config, struct nm_problems *problems, FILE *sink)
{
    struct nm_settings settings = {0};
    if (nm_config_apply(config, nm_common_options, &settings, problems, NULL) != NM_OK)
        abort(); /* what loads is checked, and no common option is required */
    nm_config_print(config, false, sink);
    nm_config_print(config, true, sink);
    (void)!nm_settings_finish(&settings, NULL);
    nm_settings_clear(&settings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char *env[] = {"HOST=h", "EMPTY=", "NEWSMILL_RUNTIME_BATCH_MS=5", NULL};
    static FILE *sink;
    if (!sink)
        sink = fopen("/dev/null", "w");
    if (size == 0 || !sink)
        return 0;
    NM_AUTO(free) char *text = malloc(size); /* of the exact size: a byte too far is seen */
    if (!text)
        return 0;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    char *set[] = {text};
    struct nm_strings sets = {set, (data[0] & 2) ? 1 : 0}; /* the text as a --set, too */
    struct nm_config_input input = {.path = (data[0] & 1) ? "f.json" : "f.yaml",
                                    .data = text,
                                    .len = size - 1,
                                    .program = "newsmill",
                                    .sets = &sets,
                                    .tables = nm_option_tables,
                                    .env = env};
    NM_AUTO(nm_config_free) struct nm_config *config = NULL;
    struct nm_problems problems = {0};
    enum nm_status status = nm_config_load_input(&input, &config, &problems, NULL);
    if ((status == NM_OK) != (problems.n == 0) || (status == NM_OK) != (config != NULL))
        abort();
    if (config)
        use(config, &problems, sink);
    nm_problems_print(&problems, sink);
    nm_problems_clear(&problems);
    return 0;
}
