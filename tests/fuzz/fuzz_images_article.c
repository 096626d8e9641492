/* fuzz_images_article.c - any bytes as an article of images, as what Redis gives back of it, and as the facet of that.
 *
 * Held: what is read of an article is bounded, comes back from its text as it was, and gives a facet that is JSON and
 * says of every URL what the article said. Any other text is refused or means one thing only; any view gives a facet
 * that is JSON, or none.
 *
 *   cmake -DNM_FUZZ=ON -DNM_SANITIZE=address,undefined …; fuzz_images_article tests/fuzz/corpus/images_article */
#include "images/images_article.h"
#include "images/images_facet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

#define ID  "136ab291632faf53215323ed8744d7a4"
#define SHA "9f2c000000000000000000000000000000000000000000000000000000000001"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct nm_arena arena;
static struct nm_buf facet;

static void require(bool holds, const char *what)
{
    if (holds)
        return;
    (void)fprintf(stderr, "broken: %s\n", what);
    abort();
}

static void check_image(const struct im_article_image *image, const struct im_listed *listed)
{
    static struct im_url url;
    struct im_listed_text text;
    require(image->url_len >= 1 && image->url_len <= IM_URL_TEXT_BYTES, "the length of a URL");
    require(image->width >= 0 && image->width <= 65535 && image->height >= 0 && image->height <= 65535, "pixels");
    require((image->reason == IM_NONE) == (image->get != NULL), "a URL or a reason");
    require(listed->text_len <= IM_TEXT_MAX, "the length of a text");
    require((listed->hash != NULL) == (image->get != NULL), "a hash for what is fetched");
    require(im_listed_read(listed->text, listed->text_len, &text), "its own text");
    require(text.url_len == image->url_len && memcmp(text.url, image->url, text.url_len) == 0, "the same URL");
    require(text.reason == image->reason, "the same reason");
    if (image->get)
        require(im_listed_url(&text, image->get->hash, &url) && strcmp(url.text, image->get->text) == 0,
                "the same form");
}

/* The facet that a view gives: JSON with that many images, whose URLs are those of `event` where it is not NULL. */
static void check_facet(const struct im_view *view, const struct im_article_event *event)
{
    struct nm_error err = {0};
    enum nm_status status = im_facet_write(&facet, ID, view, "https://img.site.example", &err);
    if (status != NM_OK) {
        require(status == NM_FATAL && !event && strlen(err.msg) > 10, "a view is refused with a sentence");
        return;
    }
    yyjson_doc *json = yyjson_read(facet.data, facet.len, 0);
    yyjson_val *images = yyjson_obj_get(yyjson_obj_get(yyjson_doc_get_root(json), "data"), "images");
    require(json && yyjson_arr_size(images) == view->n_images, "a facet of as many images");
    for (size_t i = 0; event && i < event->n; i++) {
        yyjson_val *url = yyjson_obj_get(yyjson_arr_get(images, i), "url");
        require(yyjson_get_len(url) == event->image[i].url_len &&
                    memcmp(yyjson_get_str(url), event->image[i].url, event->image[i].url_len) == 0,
                "the URL of the article");
    }
    yyjson_doc_free(json);
}

static struct im_picture picture(const char *text, size_t len, const char *hash)
{
    return (struct im_picture){.text = text,
                               .text_len = len,
                               .hash = hash,
                               .state = IM_CACHED,
                               .sha256 = SHA,
                               .type = "image/png",
                               .thumbs = "",
                               .width = 1,
                               .height = 1,
                               .bytes = 1};
}

static void as_article(const uint8_t *data, size_t size, size_t url_bytes)
{
    static struct im_article_event event;
    struct nm_item item = {.value = (const char *)data, .value_len = size, .key = ID, .key_len = IM_ID};
    struct nm_error err = {0};
    struct im_view view = {.how = IM_HOW_article, .revision = 1, .content = "0"};
    enum nm_status status = im_article_read(&item, url_bytes, &arena, &event, &err);
    if (status != NM_OK) {
        require(status == NM_BAD_INPUT && err.code[0] && strlen(err.msg) > 10, "a refusal has a code and a sentence");
        return;
    }
    require(strcmp(event.id, ID) == 0 && event.revision >= 1 && event.revision < (int64_t)1 << 53, "id and revision");
    require(event.n <= IM_MAX_IMAGES && (event.n == 0 || !event.retracted), "so many images");
    for (size_t i = 0; i < event.n; i++) {
        const struct im_listed *listed = &event.listed[i];
        check_image(&event.image[i], listed);
        view.image[i] = picture(listed->text, listed->text_len, listed->hash ? listed->hash : "-");
        if (!listed->hash)
            view.image[i].state = IM_PENDING;
    }
    view.n_images = event.n;
    check_facet(&view, &event);
}

static void as_text(const char *text, size_t len)
{
    static struct im_url url;
    struct im_listed_text read;
    struct im_view view = {.how = IM_HOW_again, .revision = 1, .content = "0", .n_images = 1};
    if (im_listed_read(text, len, &read)) {
        require(read.url >= text && read.url + read.url_len <= text + len && read.url_len >= 1, "inside of the text");
        require((read.reason == IM_NONE) == (read.get != NULL), "a URL or a reason");
        require(!read.get || (read.get >= text && read.get + read.get_len == text + len), "its end is the end");
        (void)im_listed_url(&read, SHA, &url);
    }
    view.image[0] = picture(text, len, len & 1 ? "-" : SHA);
    view.image[0].state = len & 2 ? IM_CACHED : len & 4 ? IM_FAILED : IM_PENDING;
    view.image[0].reason = len & 8 ? IM_too_big : IM_NONE;
    check_facet(&view, NULL);
}

static void as_thumbs(const char *text)
{
    struct im_thumb_file file[IM_THUMBS];
    char again[IM_THUMBS_MAX];
    size_t n = 0;
    struct im_view view = {.how = IM_HOW_again, .revision = 1, .content = "0", .n_images = 1};
    if (im_thumbs_text_read(text, file, &n)) {
        require(n <= IM_THUMBS, "so many thumbnails");
        require(im_thumbs_text_write(file, n, again) == strlen(text) && strcmp(again, text) == 0, "the same again");
    }
    view.image[0] = picture("1 - 18 https://a.example/", 25, SHA);
    view.image[0].thumbs = text;
    check_facet(&view, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t limits[] = {4096, NM_FETCH_MAX_BYTES, 64, 1};
    if (size == 0)
        return 0;
    char *text = malloc(size);
    require(text != NULL, "memory");
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    as_article(data + 1, size - 1, limits[data[0] & 3]);
    as_text(text, size - 1);
    as_thumbs(text);
    free(text);
    return 0;
}
