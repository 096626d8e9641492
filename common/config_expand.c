/* config_expand.c - ${VAR} in the values of an option file.
 *
 * Values are replaced after parsing, so a variable can never change the structure of the file, whatever it holds. What
 * it holds is not looked at again: there is no second round. A `$` that begins none of the forms is itself; `$$` is one
 * dollar where `${` is meant literally. All results together are bounded, because a file of short references to a long
 * variable would grow without end.
 *
 * A message names the variable, never what it holds: it may be a secret.
 * Threads: nothing is shared; the environment is only read. */
#include "config_internal.h"
#include "newsmill/text.h"

#include <string.h>

#define MAX_EXPANDED_BYTES (4 * 1024 * 1024)
#define LETTERS            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"

struct expander {
    char *const *env;
    struct nm_arena *arena;
    struct nm_report *report;
    struct nm_buf buf;
    size_t total;
};

/* What stands between the braces. */
struct reference {
    const char *name, *arg; /* arg: behind :- or :?, else NULL */
    size_t name_len, arg_len;
    char form; /* '-', '?' or 0 */
};

static const char *find_variable(char *const *env, const char *name, size_t len)
{
    for (; *env; env++)
        if (strncmp(*env, name, len) == 0 && (*env)[len] == '=')
            return *env + len + 1;
    return NULL;
}

/* `text` stands behind "${". Returns what stands behind "}", or NULL: not one of the forms. */
static const char *parse_reference(const char *text, struct reference *out)
{
    *out = (struct reference){.name = text};
    out->name_len = strspn(text, LETTERS);
    if (out->name_len > 0)
        out->name_len += strspn(text + out->name_len, LETTERS "0123456789");
    text += out->name_len;
    if (out->name_len == 0)
        return NULL;
    if (*text == '}')
        return text + 1;
    if (text[0] != ':' || (text[1] != '-' && text[1] != '?'))
        return NULL;
    out->form = text[1];
    out->arg = text + 2;
    out->arg_len = strcspn(out->arg, "}");
    if (out->arg[out->arg_len] != '}' || memchr(out->arg, '$', out->arg_len))
        return NULL;
    return out->arg + out->arg_len + 1;
}

/* Appends the value; false: reported. */
static bool add_reference(struct expander *x, const struct reference *ref, struct nm_place at)
{
    const char *value = find_variable(x->env, ref->name, ref->name_len);
    int name_len = ref->name_len < NM_NAME_BYTES ? (int)ref->name_len : NM_NAME_BYTES;
    bool missing = !value || (ref->form != 0 && *value == '\0');
    if (missing && ref->form == '-') {
        nm_buf_add(&x->buf, ref->arg, ref->arg_len);
        return true;
    }
    if (missing) {
        if (ref->form == '?' && ref->arg_len > 0)
            nm_report_add(x->report, at, "environment variable %.*s: %.*s", name_len, ref->name,
                          ref->arg_len < 500 ? (int)ref->arg_len : 500, ref->arg);
        else
            nm_report_add(x->report, at, "environment variable %.*s is not set", name_len, ref->name);
        return false;
    }
    size_t len = strlen(value);
    if (x->total + x->buf.len + len > MAX_EXPANDED_BYTES) {
        nm_report_add(x->report, at, "the values are longer than 4 MiB after variables are put in");
        return false;
    }
    nm_buf_adds(&x->buf, value);
    return true;
}

/* Builds the text in x->buf; false: reported. */
static bool build(struct expander *x, const char *text, struct nm_place at)
{
    nm_buf_reset(&x->buf);
    while (*text) {
        size_t plain = strcspn(text, "$");
        nm_buf_add(&x->buf, text, plain);
        text += plain;
        if (text[0] == '$' && text[1] == '{') {
            struct reference ref;
            const char *after = parse_reference(text + 2, &ref);
            if (!after) {
                nm_report_add(x->report, at,
                              "'%.40s' is none of ${VAR}, ${VAR:-default}, ${VAR:?message}; $$ is a dollar", text);
                return false;
            }
            if (!add_reference(x, &ref, at))
                return false;
            text = after;
        } else if (text[0] == '$') {
            nm_buf_addc(&x->buf, '$');
            text += text[1] == '$' ? 2 : 1;
        }
    }
    if (nm_text_is_utf8(nm_buf_str(&x->buf), x->buf.len))
        return true;
    nm_report_add(x->report, at, "the value is not UTF-8 after variables are put in");
    return false;
}

static void expand_text(struct expander *x, struct nm_node *node)
{
    if (!strchr(node->text, '$'))
        return;
    if (!build(x, node->text, node->at)) {
        node->kind = NM_NODE_BAD;
        return;
    }
    x->total += x->buf.len;
    const char *copy = nm_buf_ok(&x->buf) ? nm_arena_copy(x->arena, nm_buf_str(&x->buf), x->buf.len) : NULL;
    if (copy)
        node->text = copy;
    else
        x->report->oom = true;
}

/* The tree is at most NM_CONFIG_MAX_DEPTH deep. */
static void expand_node(struct expander *x, struct nm_node *node)
{
    if (node->kind == NM_NODE_TEXT)
        expand_text(x, node);
    for (struct nm_node *child = node->first; child && !x->report->oom; child = child->next)
        expand_node(x, child);
}

void nm_expand(struct nm_node *root, char *const *env, struct nm_arena *arena, struct nm_report *report)
{
    struct expander x = {.env = env, .arena = arena, .report = report};
    expand_node(&x, root);
    nm_buf_clear(&x.buf);
}
