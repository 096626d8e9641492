/* normalize_registry_yaml.c - a registry file in YAML, by libyaml's document loader.
 *
 * libyaml lets duplicate names pass (checked here) and resolves aliases to the node that they name, even to one that
 * holds them: the copy into our tree is bounded in nodes and nesting by nz_reader_children(). A number or null is what
 * is written plain; quoted text is always text. Tags are ignored.
 * Threads: none shared. */
#include "normalize_internal.h"

#include <string.h>
#include <yaml.h>

static bool is_null(const yaml_node_t *in)
{
    const char *text = (const char *)in->data.scalar.value;
    return in->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (!*text || strcmp(text, "~") == 0 || strcmp(text, "null") == 0);
}

static enum nm_status yaml_scalar(struct nz_reader *reader, const yaml_node_t *in, struct nz_node *out)
{
    if (is_null(in))
        return NM_OK;
    if (memchr(in->data.scalar.value, 0, in->data.scalar.length))
        return nz_registry_fail(reader->path, out, reader->err, "holds a NUL character");
    out->kind = NZ_TEXT;
    out->plain = in->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    out->text = nm_arena_copy(reader->arena, in->data.scalar.value, in->data.scalar.length);
    return out->text ? NM_OK : nz_reader_oom(reader);
}

static enum nm_status yaml_node(struct nz_reader *reader, yaml_document_t *document, int index, int level,
                                struct nz_node *out);

static enum nm_status yaml_map(struct nz_reader *reader, yaml_document_t *document, const yaml_node_t *in, int level,
                               struct nz_node *out)
{
    const yaml_node_pair_t *pair = in->data.mapping.pairs.start;
    enum nm_status status = nz_reader_children(reader, out, NZ_MAP, (size_t)(in->data.mapping.pairs.top - pair), level);
    for (size_t i = 0; status == NM_OK && i < out->n; i++, pair++) {
        struct nz_node key = {0};
        status = yaml_node(reader, document, pair->key, level + 1, &key);
        if (status == NM_OK && key.kind != NZ_TEXT)
            return nz_registry_fail(reader->path, &key, reader->err, "the name of a member is a word");
        if (status == NM_OK)
            status = yaml_node(reader, document, pair->value, level + 1, &out->child[i]);
        out->child[i].name = key.text;
        out->child[i].line = key.line;
        out->child[i].column = key.column;
    }
    return status == NM_OK ? nz_reader_duplicates(reader, out) : status;
}

static enum nm_status yaml_list(struct nz_reader *reader, yaml_document_t *document, const yaml_node_t *in, int level,
                                struct nz_node *out)
{
    const yaml_node_item_t *item = in->data.sequence.items.start;
    enum nm_status status =
        nz_reader_children(reader, out, NZ_LIST, (size_t)(in->data.sequence.items.top - item), level);
    for (size_t i = 0; status == NM_OK && i < out->n; i++, item++)
        status = yaml_node(reader, document, *item, level + 1, &out->child[i]);
    return status;
}

/* Recursion ends at MAX_LEVELS, also in a file whose alias contains itself. */
static enum nm_status yaml_node(struct nz_reader *reader, yaml_document_t *document, int index, int level,
                                struct nz_node *out)
{
    const yaml_node_t *in = yaml_document_get_node(document, index);
    if (!in)
        return nm_fail(reader->err, NM_CONFIG, "%s: holds no list", reader->path);
    out->line = (int)in->start_mark.line + 1;
    out->column = (int)in->start_mark.column + 1;
    switch (in->type) {
    case YAML_SCALAR_NODE:
        return yaml_scalar(reader, in, out);
    case YAML_MAPPING_NODE:
        return yaml_map(reader, document, in, level, out);
    case YAML_SEQUENCE_NODE:
        return yaml_list(reader, document, in, level, out);
    default:
        return NM_OK;
    }
}

static enum nm_status yaml_problem(const struct nz_reader *reader, const yaml_parser_t *parser)
{
    if (parser->error == YAML_MEMORY_ERROR)
        return nz_reader_oom(reader);
    if (parser->error == YAML_READER_ERROR)
        return nm_fail(reader->err, NM_CONFIG, "%s: not UTF-8 text at byte %zu: %s", reader->path,
                       parser->problem_offset, parser->problem ? parser->problem : "unreadable");
    return nm_fail(reader->err, NM_CONFIG, "%s:%zu:%zu: %s", reader->path, parser->problem_mark.line + 1,
                   parser->problem_mark.column + 1, parser->problem ? parser->problem : "not YAML");
}

/* One document, and nothing after it. */
static enum nm_status yaml_load(struct nz_reader *reader, yaml_parser_t *parser, struct nz_node *out)
{
    yaml_document_t document;
    if (!yaml_parser_load(parser, &document))
        return yaml_problem(reader, parser);
    enum nm_status status = NM_OK;
    if (!yaml_document_get_root_node(&document))
        status = nm_fail(reader->err, NM_CONFIG, "%s:1:1: the file is empty; write [] for a list without entries",
                         reader->path);
    else
        status = yaml_node(reader, &document, 1, 0, out);
    yaml_document_delete(&document);
    if (status != NM_OK)
        return status;
    if (!yaml_parser_load(parser, &document))
        return yaml_problem(reader, parser);
    const yaml_node_t *second = yaml_document_get_root_node(&document);
    if (second)
        status = nm_fail(reader->err, NM_CONFIG, "%s:%zu:1: a second document; write one list", reader->path,
                         second->start_mark.line + 1);
    yaml_document_delete(&document);
    return status;
}

enum nm_status nz_read_yaml(struct nz_reader *reader, struct nz_node *out)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return nz_reader_oom(reader);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)reader->text, reader->len);
    enum nm_status status = yaml_load(reader, &parser, out);
    yaml_parser_delete(&parser);
    return status;
}
