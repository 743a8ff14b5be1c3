#include "core/walkterm.h"

#include <string.h>

#include "core/sqlscan.h"

#define OPERATOR_CHARACTERS "<>=!~+-*/%^&|@#?"
#define OPERATOR_SIZE       4
#define NAME_SIZE           256

/* Part of the condition. */
typedef struct Span {
    const char *from;
    const char *to;
} Span;

static SqlToken
next_in(const Span *span, const char *at)
{
    SqlToken token = sql_scan_next(at);
    if (token.kind != SQL_TOKEN_END && token.text >= span->to) {
        return (SqlToken){.kind = SQL_TOKEN_END, .text = span->to};
    }
    return token;
}

static const char *
end_of(const SqlToken *token)
{
    return token->text + token->len;
}

static bool
is_char(const SqlToken *token, const char *characters)
{
    return token->kind == SQL_TOKEN_OTHER && strchr(characters, *token->text) != NULL;
}

static int
depth_change(const SqlToken *token)
{
    return is_char(token, "([") ? 1 : is_char(token, ")]") ? -1 : 0;
}

/* The span without blanks around it and parentheses around all of it. */
static Span
strip(Span span)
{
    for (;;) {
        SqlToken first = next_in(&span, span.from);
        int depth = 0;
        SqlToken token = first;
        const char *closed = NULL; /* behind the parenthesis that ends the first one */
        const char *last = span.from;
        for (; token.kind != SQL_TOKEN_END; token = next_in(&span, end_of(&token))) {
            depth += depth_change(&token);
            last = end_of(&token);
            if (depth == 0 && closed == NULL) {
                closed = last;
            }
        }
        if (first.kind == SQL_TOKEN_END || !is_char(&first, "(") || closed != last) {
            return (Span){first.text, last};
        }
        span = (Span){end_of(&first), last - 1};
    }
}

/* ---- columns ---- */

/* The name as the catalog has it; "" when it is too long to be one. */
static void
name_of(const SqlToken *token, char name[NAME_SIZE])
{
    size_t len = 0;
    bool quoted = token->kind == SQL_TOKEN_QUOTED;
    const char *from = token->text + (quoted ? 1 : 0);
    const char *to = end_of(token) - (quoted ? 1 : 0);
    for (; from < to && len < NAME_SIZE - 1; from++) {
        name[len++] = *from;
        from += quoted && *from == '"' ? 1 : 0;
    }
    name[from < to ? 0 : len] = '\0';
}

static const ColumnFacts *
column_named(const Facts *facts, const SqlToken *token)
{
    char name[NAME_SIZE];
    if (token->kind != SQL_TOKEN_WORD && token->kind != SQL_TOKEN_QUOTED) {
        return NULL;
    }
    name_of(token, name);
    return facts_column(facts, name);
}

/* column or table.column */
static const ColumnFacts *
as_column(const Facts *facts, Span span)
{
    span = strip(span);
    SqlToken name = next_in(&span, span.from);
    SqlToken point = next_in(&span, end_of(&name));
    if (is_char(&point, ".")) {
        char table[NAME_SIZE];
        name_of(&name, table);
        if (strcmp(table, facts->table.name) != 0) {
            return NULL;
        }
        name = next_in(&span, end_of(&point));
        point = next_in(&span, end_of(&name));
    }
    return point.kind == SQL_TOKEN_END ? column_named(facts, &name) : NULL;
}

/* The part before a cast of the whole operand: (code)::text is code. */
static Span
before_cast(Span span)
{
    int depth = 0;
    for (SqlToken token = next_in(&span, span.from); token.kind != SQL_TOKEN_END;
         token = next_in(&span, end_of(&token))) {
        depth += depth_change(&token);
        if (depth == 0 && is_char(&token, ":")) {
            return (Span){span.from, token.text};
        }
    }
    return span;
}

/* Names of functions may be those of columns; that only makes it say no once too often. */
static bool
is_plain(const Facts *facts, Span span)
{
    for (SqlToken token = next_in(&span, span.from); token.kind != SQL_TOKEN_END;
         token = next_in(&span, end_of(&token))) {
        if (column_named(facts, &token) != NULL || token.kind == SQL_TOKEN_PARAMETER ||
            sql_token_is(&token, "SubPlan") || sql_token_is(&token, "InitPlan") ||
            sql_token_is(&token, "COLLATE")) {
            return false;
        }
    }
    return true;
}

/* ---- terms ---- */

typedef struct Comparison {
    Span left;
    Span right;
    char name[OPERATOR_SIZE];
} Comparison;

/* Cut the span at its only operator. */
static bool
cut_at_operator(Span span, Comparison *cut)
{
    int depth = 0;
    size_t len = 0;
    for (SqlToken token = next_in(&span, span.from); token.kind != SQL_TOKEN_END;
         token = next_in(&span, end_of(&token))) {
        depth += depth_change(&token);
        if (depth > 0 || !is_char(&token, OPERATOR_CHARACTERS)) {
            continue;
        }
        bool adjoins = len > 0 && token.text == cut->right.from;
        if (len + 1 == OPERATOR_SIZE || (len > 0 && !adjoins)) {
            return false;
        }
        cut->left = len == 0 ? (Span){span.from, token.text} : cut->left;
        cut->right = (Span){end_of(&token), span.to};
        cut->name[len++] = *token.text;
        cut->name[len] = '\0';
    }
    return len > 0;
}

static bool
comparison_of(const char *name, bool turned, WalkOperator *comparison)
{
    static const struct {
        const char *name;
        const char *turned;
        WalkOperator comparison;
    } OPERATORS[] = {
        {"<", ">", WALK_LESS},
        {"<=", ">=", WALK_LESS_EQUAL},
        {"=", "=", WALK_EQUAL},
        {">", "<", WALK_ANY},
        {">=", "<=", WALK_ANY},
    };
    for (size_t i = 0; i < sizeof(OPERATORS) / sizeof(OPERATORS[0]); i++) {
        if (strcmp(name, turned ? OPERATORS[i].turned : OPERATORS[i].name) == 0) {
            *comparison = OPERATORS[i].comparison;
            return true;
        }
    }
    return false;
}

/* The first column of ROW(a, b): the comparison of rows is never true when that is NULL. */
static Span
first_of_row(Span span, bool *is_row)
{
    SqlToken row = next_in(&span, span.from);
    SqlToken open = next_in(&span, end_of(&row));
    *is_row = sql_token_is(&row, "ROW") && is_char(&open, "(");
    SqlToken name = next_in(&span, end_of(&open));
    return *is_row ? (Span){name.text, end_of(&name)} : span;
}

static bool
parse_side(const Facts *facts, const Comparison *cut, bool turned, WalkTerm *term)
{
    bool is_row = false;
    Span side = strip(first_of_row(turned ? cut->right : cut->left, &is_row));
    Span other = strip(turned ? cut->left : cut->right);
    const ColumnFacts *bare = as_column(facts, side);
    *term = (WalkTerm){
        .column = bare != NULL ? bare : as_column(facts, before_cast(side)),
        .bare = bare != NULL && !is_row,
        .plain = is_plain(facts, other),
    };
    SqlToken first = next_in(&other, other.from);
    bool of_list = sql_token_is(&first, "ANY") || sql_token_is(&first, "ALL");
    if (term->column == NULL || sql_token_is(&first, "ALL") ||
        !comparison_of(cut->name, turned, &term->comparison)) {
        return false; /* an empty list is less than ALL of it, NULL or not */
    }
    term->comparison = of_list || is_row ? WALK_ANY : term->comparison;
    return true;
}

/* OR, NOT, CASE and the like: what stands in their parts holds for some rows only. */
static bool
has_words(Span span)
{
    static const char *const WORDS[] = {"OR", "NOT", "CASE", "IS"};
    int depth = 0;
    for (SqlToken token = next_in(&span, span.from); token.kind != SQL_TOKEN_END;
         token = next_in(&span, end_of(&token))) {
        depth += depth_change(&token);
        for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]) && depth == 0; i++) {
            if (sql_token_is(&token, WORDS[i])) {
                return true;
            }
        }
    }
    return false;
}

/* column IS NOT NULL */
static bool
parse_not_null(const Facts *facts, Span span, WalkTerm *term)
{
    static const char *const WORDS[] = {"IS", "NOT", "NULL"};
    SqlToken token = next_in(&span, span.from);
    while (token.kind != SQL_TOKEN_END && !sql_token_is(&token, WORDS[0])) {
        token = next_in(&span, end_of(&token));
    }
    *term = (WalkTerm){
        .column = as_column(facts, (Span){span.from, token.text}), .comparison = WALK_ANY};
    for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++) {
        if (!sql_token_is(&token, WORDS[i])) {
            return false;
        }
        token = next_in(&span, end_of(&token));
    }
    return token.kind == SQL_TOKEN_END && term->column != NULL;
}

static bool
parse_term(const Facts *facts, Span span, WalkTerm *term)
{
    Comparison cut;
    if (has_words(span)) {
        return parse_not_null(facts, span, term);
    }
    return cut_at_operator(span, &cut) &&
           (parse_side(facts, &cut, false, term) || parse_side(facts, &cut, true, term));
}

/* The span up to the next AND on the outermost level. */
static Span
next_part(Span span)
{
    int depth = 0;
    for (SqlToken token = next_in(&span, span.from); token.kind != SQL_TOKEN_END;
         token = next_in(&span, end_of(&token))) {
        depth += depth_change(&token);
        if (depth == 0 && sql_token_is(&token, "AND")) {
            return (Span){span.from, token.text};
        }
    }
    return span;
}

int
walkterm_parse(
    const Facts *facts, const char *condition, WalkTerm terms[WALK_TERMS_MAX], bool *whole)
{
    int count = 0;
    int parts = 0;
    Span rest = strip((Span){condition, condition + strlen(condition)});
    while (rest.from < rest.to && count < WALK_TERMS_MAX) {
        Span part = next_part(rest);
        Span inner = strip(part);
        parts++;
        if (parse_term(facts, inner, &terms[count])) {
            count++;
        }
        rest.from = part.to < rest.to ? part.to + strlen("AND") : rest.to;
    }
    if (whole != NULL) {
        *whole = parts == 1 && count == 1;
    }
    return count;
}
