#include "core/jobfile_tree.h"

#include <string.h>
#include <yaml.h>

#include "core/utf8.h"

#define EVENT_AUTO __attribute__((cleanup(yaml_event_delete))) yaml_event_t
#define SQL_HINT                                                                                   \
    "If this is SQL, write | after the colon and the SQL indented on the next line; else put the " \
    "value in quotes."

typedef struct Builder {
    yaml_parser_t yaml;
    const JobText *text;
    TextCursor cursor;
    Arena *arena;
    Err *err;
} Builder;

/* What libyaml says in few words where it can be said better. */
static bool
fail_known(Builder *b, Place place, size_t offset)
{
    const char *problem = b->yaml.problem;
    if (strstr(problem, "cannot start any token") == NULL || offset >= b->text->len) {
        return false;
    }
    char at = b->text->bytes[offset];
    if (at == '\t') {
        (void)jobtext_error(b->text, place, b->err, "a tab must not stand where YAML indents");
        (void)err_hint(b->err, "Indent with spaces.");
    } else {
        (void)jobtext_error(b->text, place, b->err, "a value must not begin with %c", at);
        (void)err_hint(b->err, SQL_HINT);
    }
    return true;
}

static bool
fail_yaml(Builder *b)
{
    const yaml_parser_t *yaml = &b->yaml;
    if (yaml->error == YAML_MEMORY_ERROR) {
        return err_set(b->err, ERR_FATAL, "out of memory");
    }
    const char *context = yaml->context == NULL ? "" : yaml->context;
    yaml_mark_t mark = yaml->problem_mark;
    if (strstr(context, "quoted scalar") != NULL || strstr(context, "simple key") != NULL) {
        mark = yaml->context_mark; /* the open quote or lone word, not where its end was missed */
    }
    jobtext_seek_char(b->text, &b->cursor, mark.index);
    if (yaml->error != YAML_READER_ERROR && fail_known(b, b->cursor.place, b->cursor.offset)) {
        return false;
    }
    (void)jobtext_error(b->text, b->cursor.place, b->err, "not valid YAML: %s%s%s", yaml->problem,
        context[0] == '\0' ? "" : " ", context);
    return err_hint(b->err, SQL_HINT);
}

static bool
next_event(Builder *b, yaml_event_t *event)
{
    if (yaml_parser_parse(&b->yaml, event) == 0) {
        return fail_yaml(b);
    }
    return true;
}

static bool
fail_at_event(Builder *b, const yaml_event_t *event, const char *message, const char *hint)
{
    jobtext_seek_char(b->text, &b->cursor, event->start_mark.index);
    (void)jobtext_error(b->text, b->cursor.place, b->err, "%s", message);
    return err_hint(b->err, "%s", hint);
}

static bool
check_properties(
    Builder *b, const yaml_event_t *event, const yaml_char_t *anchor, const yaml_char_t *tag)
{
    if (anchor != NULL) {
        return fail_at_event(b, event, "YAML anchors (&name) are not permitted in a job file",
            "A value that begins with & must stand in quotes.");
    }
    if (tag != NULL) {
        return fail_at_event(b, event, "YAML tags (!name) are not permitted in a job file",
            "A value that begins with ! must stand in quotes.");
    }
    return true;
}

static ScalarStyle
scalar_style(yaml_scalar_style_t style)
{
    switch (style) {
    case YAML_SINGLE_QUOTED_SCALAR_STYLE:
    case YAML_DOUBLE_QUOTED_SCALAR_STYLE:
        return SCALAR_QUOTED;
    case YAML_LITERAL_SCALAR_STYLE:
        return SCALAR_LITERAL;
    case YAML_FOLDED_SCALAR_STYLE:
        return SCALAR_FOLDED;
    case YAML_ANY_SCALAR_STYLE:
    case YAML_PLAIN_SCALAR_STYLE:
        break;
    }
    return SCALAR_PLAIN;
}

static JobNode *
node_new(Builder *b, const yaml_event_t *event, NodeKind kind)
{
    JobNode *node = arena_alloc(b->arena, sizeof(*node));
    jobtext_seek_char(b->text, &b->cursor, event->start_mark.index);
    node->kind = kind;
    node->place = b->cursor.place;
    node->start = b->cursor.offset;
    return node;
}

static bool
read_scalar(Builder *b, const yaml_event_t *event, JobNode **out)
{
    const char *value = (const char *)event->data.scalar.value;
    if (!check_properties(b, event, event->data.scalar.anchor, event->data.scalar.tag)) {
        return false;
    }
    if (strlen(value) != event->data.scalar.length) {
        return fail_at_event(
            b, event, "a value must not contain a NUL character", "Remove the escape \\0.");
    }
    JobNode *node = node_new(b, event, NODE_SCALAR);
    node->style = scalar_style(event->data.scalar.style);
    node->text = arena_strndup(b->arena, value, event->data.scalar.length);
    jobtext_seek_char(b->text, &b->cursor, event->end_mark.index);
    node->end = b->cursor.offset;
    *out = node;
    return true;
}

static bool
check_room(Builder *b, const yaml_event_t *event, const JobNode *parent)
{
    if (parent->count >= JOBTREE_MAX_ENTRIES) {
        return fail_at_event(b, event, "more than 1600 entries in one place",
            "A table cannot have more columns than that.");
    }
    return true;
}

static bool
check_depth(Builder *b, const yaml_event_t *event, int depth)
{
    if (depth > JOBTREE_MAX_DEPTH) {
        return fail_at_event(
            b, event, "nested deeper than 8 levels", "No key of a job file needs more than two.");
    }
    return true;
}

static bool read_node(Builder *b, const yaml_event_t *event, int depth, JobNode **out);

static bool
read_list(Builder *b, const yaml_event_t *start, int depth, JobNode **out)
{
    JobNode *list = node_new(b, start, NODE_LIST);
    JobNode **tail = &list->first;
    *out = list;
    if (!check_depth(b, start, depth) ||
        !check_properties(
            b, start, start->data.sequence_start.anchor, start->data.sequence_start.tag)) {
        return false;
    }
    for (;;) {
        EVENT_AUTO event = {.type = YAML_NO_EVENT};
        if (!next_event(b, &event)) {
            return false;
        }
        if (event.type == YAML_SEQUENCE_END_EVENT) {
            return true;
        }
        if (!check_room(b, &event, list) || !read_node(b, &event, depth + 1, tail)) {
            return false;
        }
        tail = &(*tail)->next;
        list->count++;
    }
}

static bool
check_key(Builder *b, const JobNode *map, const JobNode *key)
{
    if (key->text[0] == '\0') {
        return jobtext_error(b->text, key->place, b->err, "a key must not be empty");
    }
    const JobNode *twin = jobtree_member(map, key->text);
    if (twin != NULL) {
        char shown[80];
        utf8_shorten(shown, sizeof(shown), key->text);
        return jobtext_error(b->text, key->place, b->err,
            "key \"%s\" stands here twice, first on line %d", shown, twin->key->place.line);
    }
    return true;
}

/* A key and its value; *member is NULL at the end of the mapping. */
static bool
read_member(Builder *b, const JobNode *map, int depth, JobNode **member)
{
    EVENT_AUTO key_event = {.type = YAML_NO_EVENT};
    EVENT_AUTO value_event = {.type = YAML_NO_EVENT};
    if (!next_event(b, &key_event)) {
        return false;
    }
    if (key_event.type == YAML_MAPPING_END_EVENT) {
        return true;
    }
    if (key_event.type == YAML_SEQUENCE_START_EVENT || key_event.type == YAML_MAPPING_START_EVENT) {
        return fail_at_event(
            b, &key_event, "a key must be a name, not a list or a mapping", SQL_HINT);
    }
    JobNode *key = NULL;
    if (!check_room(b, &key_event, map) || !read_node(b, &key_event, depth, &key) ||
        !check_key(b, map, key) || !next_event(b, &value_event) ||
        !read_node(b, &value_event, depth + 1, member)) {
        return false;
    }
    (*member)->key = key;
    return true;
}

static bool
read_map(Builder *b, const yaml_event_t *start, int depth, JobNode **out)
{
    JobNode *map = node_new(b, start, NODE_MAP);
    JobNode **tail = &map->first;
    *out = map;
    if (!check_depth(b, start, depth) ||
        !check_properties(
            b, start, start->data.mapping_start.anchor, start->data.mapping_start.tag)) {
        return false;
    }
    for (;;) {
        JobNode *member = NULL;
        if (!read_member(b, map, depth, &member)) {
            return false;
        }
        if (member == NULL) {
            return true;
        }
        *tail = member;
        tail = &member->next;
        map->count++;
    }
}

/* Recursion is bounded by JOBTREE_MAX_DEPTH. */
static bool
read_node(Builder *b, const yaml_event_t *event, int depth, JobNode **out)
{
    if (event->type == YAML_SCALAR_EVENT) {
        return read_scalar(b, event, out);
    }
    if (event->type == YAML_SEQUENCE_START_EVENT) {
        return read_list(b, event, depth, out);
    }
    if (event->type == YAML_MAPPING_START_EVENT) {
        return read_map(b, event, depth, out);
    }
    return fail_at_event(b, event, "YAML aliases (*name) are not permitted in a job file",
        "A value that begins with * must stand in quotes.");
}

/* Stream start and document start; *is_empty when the file holds nothing but comments. */
static bool
read_head(Builder *b, bool *is_empty)
{
    for (int i = 0; i < 2; i++) {
        EVENT_AUTO event = {.type = YAML_NO_EVENT};
        if (!next_event(b, &event)) {
            return false;
        }
        *is_empty = event.type == YAML_STREAM_END_EVENT;
        if (event.type == YAML_DOCUMENT_START_EVENT &&
            event.data.document_start.tag_directives.start !=
                event.data.document_start.tag_directives.end) {
            return fail_at_event(
                b, &event, "YAML tags are not permitted in a job file", "Remove the %TAG line.");
        }
    }
    return true;
}

static bool
read_tail(Builder *b)
{
    EVENT_AUTO document_end = {.type = YAML_NO_EVENT};
    EVENT_AUTO stream_end = {.type = YAML_NO_EVENT};
    if (!next_event(b, &document_end) || !next_event(b, &stream_end)) {
        return false;
    }
    if (stream_end.type != YAML_STREAM_END_EVENT) {
        return fail_at_event(b, &stream_end, "a second YAML document begins here",
            "One file holds one job; put the other one in a file of its own.");
    }
    return true;
}

static bool
read_document(Builder *b, JobNode **root)
{
    bool is_empty = false;
    if (!read_head(b, &is_empty)) {
        return false;
    }
    EVENT_AUTO event = {.type = YAML_NO_EVENT};
    if (is_empty || !next_event(b, &event)) {
        return is_empty ? jobtext_error(b->text, (Place){1, 1}, b->err, "the job file is empty")
                        : false;
    }
    return read_node(b, &event, 1, root) && read_tail(b);
}

bool
jobtree_parse(const JobText *text, Arena *arena, JobNode **root, Err *err)
{
    Builder b = {.text = text, .cursor = TEXT_CURSOR_INIT, .arena = arena, .err = err};
    if (yaml_parser_initialize(&b.yaml) == 0) {
        return err_set(err, ERR_FATAL, "out of memory");
    }
    yaml_parser_set_encoding(&b.yaml, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&b.yaml, (const unsigned char *)text->bytes, text->len);
    bool ok = read_document(&b, root);
    yaml_parser_delete(&b.yaml);
    return ok;
}

const JobNode *
jobtree_member(const JobNode *map, const char *key)
{
    for (const JobNode *member = map->first; member != NULL; member = member->next) {
        if (strcmp(member->key->text, key) == 0) {
            return member;
        }
    }
    return NULL;
}
