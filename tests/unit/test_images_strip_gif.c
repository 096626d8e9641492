/* test_images_strip_gif.c - the public copy of a GIF: frames and their control, the loop count, comments, broken
 * blocks. */
#include "strip_case.h"

static struct nm_buf in, want, copy;

#define CONTROL(n) "\x21\xF9\4\4" n "\0\1\0"
#define LOOP(n)    "\x21\xFF\x0BNETSCAPE2.0\3\1" n "\0\0"

static void reset(void)
{
    nm_buf_reset(&in);
    nm_buf_reset(&want);
    case_gif_start(&in);
    case_gif_start(&want);
}

static void gives_want(void)
{
    ADD(&in, "\x3B");
    ADD(&want, "\x3B");
    case_gives(&in, IM_GIF, &want);
}

static void gif__frames_controls_and_loop_stay_as_they_are(void **state)
{
    static const char *const versions[] = {"GIF87a", "GIF89a"};
    (void)state;
    for (size_t i = 0; i < COUNT(versions); i++) {
        reset();
        memcpy(in.data, versions[i], 6);
        ADD(&in, LOOP("\5"));
        ADD(&in, CONTROL("\x0A"));
        case_gif_frame(&in);
        ADD(&in, CONTROL("\x0B"));
        case_gif_frame(&in);
        ADD(&in, "\x2C\0\0\0\0\1\0\1\0\0\2\1\x44\0\x3B"); /* without a colour table, and the end */
        case_gives(&in, IM_GIF, &in);
    }
}

static void gif__code_sizes(void **state)
{
    (void)state;
    for (int bits = 1; bits <= 8; bits++) {
        reset();
        ADD(&in, "\x2C\0\0\0\0\2\0\2\0\0");
        nm_buf_addc(&in, (char)bits);
        ADD(&in, "\2\x44\x01\0\x3B");
        case_gives(&in, IM_GIF, &in);
    }
}

static void gif__without_a_colour_table_of_the_screen(void **state)
{
    (void)state;
    reset();
    nm_buf_reset(&in);
    ADD(&in, "GIF89a\2\0\2\0\x07\0\0"); /* a size without the flag */
    case_gif_frame(&in);
    ADD(&in, "\x3B");
    case_gives(&in, IM_GIF, &in);
}

static void gif__other_extensions_go(void **state)
{
    (void)state;
    reset();
    ADD(&in, "\x21\xFE\x1F*/alert('PRIVATE');/*PRIVATE....\0");
    ADD(&in, "\x21\xFF\x0BXMP DataXMP\7PRIVATE\0");
    ADD(&in, "\x21\xFF\x0BICCRGBG1012\7PRIVATE\0");
    ADD(&in, "\x21\xFF\x0BNETSCAPE2.1\3\1\0\0\0");
    ADD(&in, "\x21\xFF\7PRIVATE\7PRIVATE\0");
    ADD(&in, "\x21\x42\7PRIVATE\0");
    ADD(&in, "\x21\xF9\0");
    ADD(&in, "\x21\xF9\3\4\0\0\0");
    case_gif_frame(&in);
    ADD(&in, "\x21\xFE\7PRIVATE\7PRIVATE\0");
    case_gif_frame(&want);
    gives_want();
}

static void gif__nothing_hides_behind_loop_and_control(void **state)
{
    (void)state;
    reset();
    ADD(&in, "\x21\xFF\x0B"
             "ANIMEXTS1.0\7PRIVATE\3\2PR\3\1\7\0\7PRIVATE\0");
    ADD(&in, LOOP("\1")); /* the first one counts */
    ADD(&in, "\x21\xF9\4\4\x0A\0\1\7PRIVATE\0");
    case_gif_frame(&in);
    ADD(&want, LOOP("\7"));
    ADD(&want, CONTROL("\x0A"));
    case_gif_frame(&want);
    gives_want();
}

/* A control holds for what follows it: not for the frame behind a text, and the last of two counts. */
static void gif__a_control_goes_with_its_text(void **state)
{
    (void)state;
    reset();
    ADD(&in, CONTROL("\x0A") "\x21\x01\x0C............\7PRIVATE\0");
    case_gif_frame(&in);
    ADD(&in, CONTROL("\x0B") CONTROL("\x0C") "\x21\xFE\7PRIVATE\0");
    case_gif_frame(&in);
    case_gif_frame(&in);
    ADD(&in, CONTROL("\x0D"));
    case_gif_frame(&want);
    ADD(&want, CONTROL("\x0C"));
    case_gif_frame(&want);
    case_gif_frame(&want);
    gives_want();
}

static void gif__nothing_behind_the_trailer_stays(void **state)
{
    static const char *const tails[] = {"PK\3\4 an archive", "<script>alert(1)</script>", "\x3B\x3B", "GIF89a"};
    (void)state;
    for (size_t i = 0; i < COUNT(tails); i++) {
        reset();
        case_gif_frame(&in);
        ADD(&in, "\x3B");
        nm_buf_add(&want, in.data + want.len, in.len - want.len);
        nm_buf_adds(&in, tails[i]);
        case_gives(&in, IM_GIF, &want);
    }
}

#define START "GIF89a\2\0\2\0\x80\0\0\0\0\0\xFF\xFF\xFF"
#define FRAME "\x2C\0\0\0\0\2\0\2\0\0\2\2\x44\x01\0"

static void gif__a_broken_structure_is_refused(void **state)
{
    static const struct {
        const char *what, *bytes;
        size_t len;
    } cases[] = {
#define CASE(what, bytes) {what, bytes, sizeof(bytes) - 1}
        CASE("nothing", ""),
        CASE("another version", "GIF88a\2\0\2\0\0\0\0" FRAME "\x3B"),
        CASE("half a screen", "GIF89a\2\0\2\0\0"),
        CASE("half a colour table", "GIF89a\2\0\2\0\x87\0\0" FRAME "\x3B"),
        CASE("no end", START FRAME),
        CASE("no frame", START "\x3B"),
        CASE("no frame but a comment", START "\x21\xFE\1x\0\x3B"),
        CASE("a byte between blocks", START "\0" FRAME "\x3B"),
        CASE("half a descriptor", START "\x2C\0\0\0\0\2\0\2"),
        CASE("half a colour table of a frame", START "\x2C\0\0\0\0\2\0\2\0\x87\2\2\x44\x01\0\x3B"),
        CASE("code size 0", START "\x2C\0\0\0\0\2\0\2\0\0\0\2\x44\x01\0\x3B"),
        CASE("code size 9", START "\x2C\0\0\0\0\2\0\2\0\0\x09\2\x44\x01\0\x3B"),
        CASE("code size 13", START "\x2C\0\0\0\0\2\0\2\0\0\x0D\2\x44\x01\0\x3B"),
        CASE("code size 0 and the end", START FRAME "\x2C\0\0\0\0\2\0\2\0\0\0\x3B"),
        CASE("a block beyond the end, then the end", START FRAME "\x2C\0\0\0\0\2\0\2\0\0\2\xFF\x3B"),
        CASE("an extension beyond the end, then the end", START FRAME "\x21\xFE\xFF\x3B"),
        CASE("data without an end", START "\x2C\0\0\0\0\2\0\2\0\0\2\2\x44\x01\1\x3B"),
        CASE("a block beyond the end", START "\x2C\0\0\0\0\2\0\2\0\0\2\xFF\x44\x01\0\x3B"),
        CASE("an extension without an end", START FRAME "\x21\xFE\1x\1\x3B"),
        CASE("a loop without an end", START FRAME "\x21\xFF\x0BNETSCAPE2.0\3\1\0\0\5\x3B"),
        CASE("an extension without a label", START FRAME "\x21"),
        CASE("an extension without a block", START FRAME "\x21\xFE"),
#undef CASE
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        nm_buf_reset(&in);
        nm_buf_add(&in, cases[i].bytes, cases[i].len);
        case_broken(&in, IM_GIF, cases[i].what);
    }
    nm_buf_reset(&in);
    ADD(&in, START FRAME "\x3B");
    assert_int_equal(case_strip(&in, IM_GIF, 0, true, &copy), IM_NONE);
}

static int free_all(void **state)
{
    (void)state;
    nm_buf_clear(&in);
    nm_buf_clear(&want);
    nm_buf_clear(&copy);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gif__frames_controls_and_loop_stay_as_they_are),
        cmocka_unit_test(gif__code_sizes),
        cmocka_unit_test(gif__without_a_colour_table_of_the_screen),
        cmocka_unit_test(gif__other_extensions_go),
        cmocka_unit_test(gif__nothing_hides_behind_loop_and_control),
        cmocka_unit_test(gif__a_control_goes_with_its_text),
        cmocka_unit_test(gif__nothing_behind_the_trailer_stays),
        cmocka_unit_test(gif__a_broken_structure_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, free_all);
}
