/* config_value.c - from a node to a value of C, with every check that the row of the table asks for.
 *
 * The same function checks a whole file (without a ctx) and fills a ctx, so what passed the first cannot fail in the
 * second. Numbers are decimal and nothing else: YAML's octal, hexadecimal and 1_000 would surprise someone. Booleans
 * are true and false: YAML 1.1's yes, no, on and off are refused, not guessed.
 *
 * What a secret holds never gets into a message. Threads: nothing is shared. */
#include "config_internal.h"
#include "newsmill/text.h"

#include <errno.h>
#include <string.h>

/* One value on its way; the parameters of every check below. */
struct value {
    const struct nm_option *option;
    const struct nm_node *node;
    struct nm_report *report;
};

static const char *expected_text(enum nm_opt_type type)
{
    switch (type) {
    case NM_OPT_INT:
        return "a whole number";
    case NM_OPT_REAL:
        return "a number";
    case NM_OPT_BOOL:
        return "true or false";
    case NM_OPT_LIST:
        return "a list such as [a, b]";
    case NM_OPT_MAP:
        return "a mapping of names to values";
    case NM_OPT_LISTS:
        return "a mapping of names to lists";
    case NM_OPT_MAPS:
        return "a mapping of names to mappings";
    case NM_OPT_STR:
    case NM_OPT_SECRET:
    case NM_OPT_PATH:
    case NM_OPT_DEFAULT:
        break;
    }
    return "text";
}

/* For a value or an entry of a list. False: reported. */
static bool is_text(const struct value *v)
{
    const struct nm_node *node = v->node;
    bool entry = v->option->type == NM_OPT_LIST;
    const char *what = entry ? "an entry of " : "", *expected = entry ? "text" : expected_text(v->option->type);
    bool may_be_empty = strcmp(expected, "text") == 0 && !entry;
    if (node->kind == NM_NODE_TEXT)
        return true;
    if (node->kind == NM_NODE_NULL)
        nm_report_add(v->report, node->at, "%s%s has no value; expected %s%s", what, v->option->name, expected,
                      may_be_empty ? ", \"\" where it is empty" : "");
    else if (node->kind != NM_NODE_BAD)
        nm_report_add(v->report, node->at, "%s%s is %s; expected %s", what, v->option->name, nm_node_kind_text(node),
                      expected);
    return false;
}

static bool has_control(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    return false;
}

bool nm_is_one_of(const char *values, const char *text)
{
    size_t len = strlen(text);
    for (const char *p = values;; p++) {
        size_t n = strcspn(p, "|");
        if (n == len && memcmp(p, text, n) == 0)
            return true;
        p += n;
        if (*p == '\0')
            return false;
    }
}

static void report_words(const struct value *v, const char *text)
{
    char words[256] = "";
    size_t n = 0;
    for (const char *p = v->option->values; *p && n < sizeof words - 3; p++) {
        words[n++] = *p == '|' ? ',' : *p;
        if (*p == '|')
            words[n++] = ' ';
    }
    words[n] = '\0';
    nm_report_add(v->report, v->node->at, "%s is '%.60s', not one of %s", v->option->name, text, words);
}

/* The row's own check. */
static bool passes_check(const struct value *v, const char *text)
{
    struct nm_error err = {0};
    enum nm_status status = v->option->check ? v->option->check(text, &err) : NM_OK;
    if (status == NM_FATAL)
        v->report->oom = true;
    else if (status != NM_OK)
        nm_report_add(v->report, v->node->at, "%s %s", v->option->name, err.msg);
    return status == NM_OK;
}

/* Checks of one text, by itself or in a list. */
static bool check_text(const struct value *v, const char *text)
{
    if (v->node->outside && !nm_text_is_utf8(text, strlen(text))) {
        nm_report_add(v->report, v->node->at, "%s is not UTF-8", v->option->name);
        return false;
    }
    if (has_control(text)) {
        nm_report_add(v->report, v->node->at, "%s has a control character such as a line break", v->option->name);
        return false;
    }
    if (v->option->values && !nm_is_one_of(v->option->values, text)) {
        report_words(v, text);
        return false;
    }
    return passes_check(v, text);
}

static bool check_length(const struct value *v)
{
    const struct nm_option *option = v->option;
    size_t len = strlen(v->node->text);
    if (option->max <= 0 || (len >= (size_t)option->min && len <= (size_t)option->max))
        return true;
    if (len == 0)
        nm_report_add(v->report, v->node->at, "%s is empty", option->name);
    else
        nm_report_add(v->report, v->node->at, "%s has %zu bytes, not %lld to %lld", option->name, len, option->min,
                      option->max);
    return false;
}

static bool store_text(const struct value *v, const char *folder, char **field)
{
    if (!is_text(v) || !check_length(v) || !check_text(v, v->node->text))
        return false;
    if (!field)
        return true;
    const char *text = v->node->text;
    struct nm_buf buf = {0};
    if (v->option->type == NM_OPT_PATH && *text != '\0' && *text != '/')
        nm_buf_adds(&buf, folder);
    nm_buf_adds(&buf, text);
    *field = nm_buf_take(&buf);
    v->report->oom |= !*field;
    return *field != NULL;
}

/* "-"? and digits, no zero in front: what YAML calls octal is not taken for decimal. */
static bool is_decimal(const char *text)
{
    const char *digits = text + (*text == '-');
    if (digits[0] == '0')
        return digits == text && digits[1] == '\0';
    return *digits != '\0' && digits[strspn(digits, "0123456789")] == '\0';
}

static bool store_int(const struct value *v, long long *field)
{
    if (!is_text(v))
        return false;
    const struct nm_option *option = v->option;
    const char *text = v->node->text;
    if (!is_decimal(text)) {
        nm_report_add(v->report, v->node->at, "%s is '%.60s', not a whole number", option->name, text);
        return false;
    }
    errno = 0;
    long long number = strtoll(text, NULL, 10);
    if (errno != 0 || number < option->min || number > option->max) {
        const char *unit = nm_option_unit(option->name);
        nm_report_add(v->report, v->node->at, "%s is %.60s, not within %lld..%lld%s%s", option->name, text, option->min,
                      option->max, *unit ? " " : "", unit);
        return false;
    }
    if (!passes_check(v, text))
        return false;
    if (field)
        *field = number;
    return true;
}

/* "-"?, digits, and maybe a point with digits behind it: no exponent, no inf, no locale. */
static bool is_real(const char *text)
{
    const char *whole = text + (*text == '-');
    size_t n = strspn(whole, "0123456789");
    const char *rest = whole + n;
    if (n == 0 || n > 18)
        return false;
    if (*rest == '.' && rest[1])
        rest += 1 + strspn(rest + 1, "0123456789");
    return *rest == '\0';
}

static bool store_real(const struct value *v, double *field)
{
    if (!is_text(v))
        return false;
    const struct nm_option *option = v->option;
    const char *text = v->node->text;
    if (!is_real(text)) {
        nm_report_add(v->report, v->node->at, "%s is '%.60s', not a number such as 0.25", option->name, text);
        return false;
    }
    double number = strtod(text, NULL);
    if (number < (double)option->min || number > (double)option->max) {
        nm_report_add(v->report, v->node->at, "%s is %.60s, not within %lld..%lld", option->name, text, option->min,
                      option->max);
        return false;
    }
    if (!passes_check(v, text))
        return false;
    if (field)
        *field = number;
    return true;
}

static bool store_bool(const struct value *v, bool *field)
{
    if (!is_text(v))
        return false;
    bool yes = strcmp(v->node->text, "true") == 0;
    if (!yes && strcmp(v->node->text, "false") != 0) {
        nm_report_add(v->report, v->node->at, "%s is '%.60s'; expected true or false", v->option->name, v->node->text);
        return false;
    }
    if (field)
        *field = yes;
    return true;
}

/* Checks an entry and appends a copy. */
static bool add_entry(const struct value *v, const char *text, size_t len, struct nm_strings *list)
{
    char *copy = strndup(text, len);
    char **grown = copy ? realloc(list->item, (list->n + 1) * sizeof *grown) : NULL;
    if (!grown) {
        free(copy);
        v->report->oom = true;
        return false;
    }
    list->item = grown;
    list->item[list->n++] = copy;
    if (len == 0) {
        nm_report_add(v->report, v->node->at, "%s has an empty entry", v->option->name);
        return false;
    }
    return check_text(v, copy);
}

/* "a, b" */
static bool split_list(const struct value *v, struct nm_strings *list)
{
    const char *p = v->node->text;
    bool good = true;
    if (p[strspn(p, " ")] == '\0')
        return true;
    for (;; p++) {
        p += strspn(p, " ");
        size_t n = strcspn(p, ","), len = n;
        while (len > 0 && p[len - 1] == ' ')
            len--;
        good &= add_entry(v, p, len, list);
        p += n;
        if (*p == '\0')
            return good;
    }
}

static bool read_entries(const struct value *v, struct nm_strings *list)
{
    bool good = true;
    for (const struct nm_node *child = v->node->first; child && !v->report->oom; child = child->next) {
        struct value entry = {v->option, child, v->report};
        if (v->option->max > 0 && list->n > (size_t)v->option->max)
            break; /* too many already; the count is reported by the caller */
        good &= is_text(&entry) && add_entry(&entry, child->text, strlen(child->text), list);
    }
    return good;
}

static bool read_list(const struct value *v, struct nm_strings *list)
{
    const struct nm_option *option = v->option;
    bool good;
    if (v->node->outside) {
        good = split_list(v, list);
    } else if (v->node->kind == NM_NODE_LIST) {
        good = read_entries(v, list);
    } else {
        if (v->node->kind == NM_NODE_NULL)
            nm_report_add(v->report, v->node->at, "%s has no value; expected a list, [] where it is empty",
                          option->name);
        else if (v->node->kind != NM_NODE_BAD)
            nm_report_add(v->report, v->node->at, "%s is %s; expected a list such as [a, b]", option->name,
                          nm_node_kind_text(v->node));
        return false;
    }
    size_t n = v->node->outside ? list->n : v->node->n_children;
    if (option->max <= 0 || (n >= (size_t)option->min && n <= (size_t)option->max))
        return good;
    nm_report_add(v->report, v->node->at, "%s has %zu entries, not %lld to %lld", option->name, n, option->min,
                  option->max);
    return false;
}

static bool store_list(const struct value *v, struct nm_strings *field)
{
    struct nm_strings list = {0};
    struct nm_option row = *v->option;
    bool good = read_list(v, &list);
    if (good && field) {
        *field = list;
        return true;
    }
    row.offset = 0;
    nm_option_clear(&row, &list);
    return good;
}

bool nm_value_store(const struct nm_option *option, const struct nm_node *node, const char *folder, void *ctx,
                    struct nm_report *report)
{
    struct value v = {option, node, report};
    void *field = ctx ? (char *)ctx + option->offset : NULL;
    switch (option->type) {
    case NM_OPT_STR:
    case NM_OPT_SECRET:
    case NM_OPT_PATH:
        return store_text(&v, folder, field);
    case NM_OPT_INT:
        return store_int(&v, field);
    case NM_OPT_REAL:
        return store_real(&v, field);
    case NM_OPT_BOOL:
        return store_bool(&v, field);
    case NM_OPT_LIST:
        return store_list(&v, field);
    case NM_OPT_MAP:
    case NM_OPT_LISTS:
    case NM_OPT_MAPS:
    case NM_OPT_DEFAULT:
        break;
    }
    nm_report_add(report, node->at, "%s is %s; expected %s", option->name, nm_node_kind_text(node),
                  expected_text(option->type));
    return false;
}

bool nm_value_check_member(const struct nm_option *option, const char *member, const struct nm_node *node,
                           struct nm_report *report)
{
    struct value v = {option, node, report};
    if (*member == '\0') {
        nm_report_add(report, node->key_at, "%s has a member without a name", option->name);
        return false;
    }
    if (node->kind == NM_NODE_BAD)
        return false;
    if (node->kind != NM_NODE_TEXT) {
        nm_report_add(report, node->at, "%s.%.100s %s; expected a single value", option->name, member,
                      node->kind == NM_NODE_NULL ? "has no value" : "is not a text or number");
        return false;
    }
    if (node->outside && !nm_text_is_utf8(node->text, strlen(node->text))) {
        nm_report_add(report, node->at, "%s.%.100s is not UTF-8", option->name, member);
        return false;
    }
    return passes_check(&v, node->text);
}
