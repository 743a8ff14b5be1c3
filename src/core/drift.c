#include "core/drift.h"

#include <string.h>

#include "core/restore.h"

/* Fields of an item; of a trigger's the ones after its state say only that it was touched. */
enum { FIELD_KIND = 0, FIELD_NUMBER, FIELD_NAME, FIELD_4, FIELD_5, FIELD_6, FIELD_7 };

#define FIELD_MAX 256

static const struct {
    const char *name;
    DriftKind kind;
} KINDS[] = {
    {"table", DRIFT_TABLE},
    {"column", DRIFT_COLUMN},
    {"key", DRIFT_KEY},
    {"trigger", DRIFT_TRIGGER},
};

/* ---- items ---- */

static const char *
field_at(const char *item, int field)
{
    for (; field > 0; field--) {
        const char *tab = strchr(item, '\t');
        if (tab == NULL) {
            return "";
        }
        item = tab + 1;
    }
    return item;
}

static size_t
field_len(const char *at)
{
    return strcspn(at, "\t");
}

static bool
same_field(const char *a, const char *b, int field)
{
    const char *a_at = field_at(a, field);
    const char *b_at = field_at(b, field);
    size_t len = field_len(a_at);
    return len == field_len(b_at) && strncmp(a_at, b_at, len) == 0;
}

static void
put_field(StrBuf *out, const char *item, int field)
{
    const char *at = field_at(item, field);
    size_t len = field_len(at);
    strbuf_put(out, at, len > FIELD_MAX ? FIELD_MAX : len);
}

static DriftKind
kind_of(const char *item)
{
    for (size_t i = 0; i < sizeof(KINDS) / sizeof(KINDS[0]); i++) {
        if (strncmp(item, KINDS[i].name, field_len(item)) == 0) {
            return KINDS[i].kind;
        }
    }
    return DRIFT_TABLE;
}

/* The item of the same kind and number; NULL when there is none. */
static const char *
counterpart(const NameList *items, const char *item)
{
    for (int i = 0; i < items->count; i++) {
        if (same_field(items->names[i], item, FIELD_KIND) &&
            same_field(items->names[i], item, FIELD_NUMBER)) {
            return items->names[i];
        }
    }
    return NULL;
}

/* ---- words ---- */

/* "column amount"; the table goes without its name, of which it may have two now. */
static void
put_subject(StrBuf *out, const char *item)
{
    switch (kind_of(item)) {
    case DRIFT_TABLE:
        strbuf_puts(out, "the table");
        return;
    case DRIFT_KEY:
        strbuf_puts(out, "the unique index on the key");
        return;
    case DRIFT_COLUMN:
    case DRIFT_TRIGGER:
    case DRIFT_NONE:
        break;
    }
    put_field(out, item, FIELD_KIND);
    strbuf_putc(out, ' ');
    put_field(out, item, FIELD_NAME);
}

static void
put_table_change(StrBuf *out, const char *present, int field)
{
    switch (field) {
    case FIELD_4:
        strbuf_puts(out, " is of another kind now");
        break;
    case FIELD_5:
        strbuf_puts(
            out, *field_at(present, field) == 'u' ? " was set UNLOGGED" : " was set LOGGED");
        break;
    default:
        strbuf_puts(out, " has row security now that hides rows from the role of the job");
        break;
    }
}

static void
put_column_change(StrBuf *out, const char *recorded, const char *present, int field)
{
    switch (field) {
    case FIELD_4:
        strbuf_puts(out, " has type ");
        put_field(out, present, field);
        strbuf_puts(out, " now, it had ");
        put_field(out, recorded, field);
        break;
    case FIELD_5:
        strbuf_puts(out, " has another collation now");
        break;
    case FIELD_6:
        strbuf_puts(out, " is generated otherwise now");
        break;
    default:
        strbuf_puts(out, " of the key may be NULL now");
        break;
    }
}

static void
put_trigger_change(StrBuf *out, const char *present, int field)
{
    if (field == FIELD_4) {
        bool disabled = *field_at(present, field) == 'D';
        strbuf_puts(out, disabled ? " was disabled" : " fires at other times now (ENABLE ..)");
    } else if (field == FIELD_5) {
        strbuf_puts(out, " was changed, or disabled for a while");
    } else {
        strbuf_puts(out, " has another version of its function now");
    }
}

static void
put_change(StrBuf *out, const char *recorded, const char *present)
{
    int field = FIELD_NAME;
    while (field < FIELD_7 && same_field(recorded, present, field)) {
        field++;
    }
    put_subject(out, recorded);
    if (field == FIELD_NAME) {
        strbuf_puts(out, " was renamed to ");
        put_field(out, present, FIELD_NAME);
        return;
    }
    switch (kind_of(recorded)) {
    case DRIFT_TABLE:
        put_table_change(out, present, field);
        break;
    case DRIFT_COLUMN:
        put_column_change(out, recorded, present, field);
        break;
    case DRIFT_KEY:
    case DRIFT_TRIGGER:
    case DRIFT_NONE:
        put_trigger_change(out, present, field);
        break;
    }
}

/* ---- comparison ---- */

static DriftKind
describe_recorded(const char *recorded, const NameList *present, StrBuf *out)
{
    const char *now = counterpart(present, recorded);
    if (now != NULL && strcmp(now, recorded) == 0) {
        return DRIFT_NONE;
    }
    if (now == NULL) {
        put_subject(out, recorded);
        strbuf_puts(out, " was dropped");
    } else {
        put_change(out, recorded, now);
    }
    return kind_of(recorded);
}

DriftKind
drift_describe(const NameList *recorded, const NameList *present, StrBuf *out)
{
    /* The server lists the table first and triggers last, the most serious first. */
    for (int i = 0; i < recorded->count; i++) {
        DriftKind kind = describe_recorded(recorded->names[i], present, out);
        if (kind != DRIFT_NONE) {
            return kind;
        }
    }
    for (int i = 0; i < present->count; i++) {
        if (counterpart(recorded, present->names[i]) == NULL) {
            put_subject(out, present->names[i]);
            strbuf_puts(out, " was added");
            return kind_of(present->names[i]);
        }
    }
    return DRIFT_NONE;
}

/* ---- what to look at ---- */

static bool
mentions(const ExprFacts *expr, int attnum)
{
    for (int i = 0; expr != NULL && i < expr->source_count; i++) {
        if (expr->sources[i] == attnum) {
            return true;
        }
    }
    return false;
}

/* A copy sets no column of the table, but takes some as they are; who keeps the rows of a purge,
 * all of them. */
static bool
is_moved(const Plan *plan, const ColumnFacts *column)
{
    for (int i = 0; plan->copy != NULL && i < plan->copy->map_count; i++) {
        if (plan->copy->map[i].source == column) {
            return true;
        }
    }
    return plan->copy == NULL && (jobspec_sets(plan->spec, column->name) ||
                                     (plan_keeps_rows(plan) && !column->generated));
}

static bool
is_restored(const RestoreFacts *restore, const ColumnFacts *column)
{
    for (int i = 0; restore != NULL && i < restore->column_count; i++) {
        if (strcmp(restore->columns[i].name, column->name) == 0) {
            return true;
        }
    }
    return false;
}

static bool
uses_column(const Plan *plan, const ColumnFacts *column)
{
    for (int i = 0; i < plan->spec->set_count; i++) {
        if (mentions(&plan->exprs[i], column->attnum)) {
            return true;
        }
    }
    for (int i = 0; i < plan->key_count; i++) {
        if (strcmp(plan->key[i].name, column->name) == 0) {
            return true;
        }
    }
    return is_moved(plan, column) || mentions(plan->where, column->attnum) ||
           is_restored(plan->restore, column);
}

void
drift_put_used_columns(StrBuf *out, const Plan *plan)
{
    const char *separator = "{";
    for (int i = 0; i < plan->facts->column_count; i++) {
        if (uses_column(plan, &plan->facts->columns[i])) {
            strbuf_printf(out, "%s%d", separator, plan->facts->columns[i].attnum);
            separator = ",";
        }
    }
    strbuf_putc(out, '}');
}

static void
put_attnum(StrBuf *out, const Plan *plan, int index, const char *column)
{
    strbuf_printf(out, "%s%d", index == 0 ? "{" : ",", facts_column(plan->facts, column)->attnum);
}

void
drift_put_key_columns(StrBuf *out, const Plan *plan)
{
    bool apart = plan->identity_count > 0;
    for (int i = 0; i < (apart ? plan->identity_count : plan->key_count); i++) {
        put_attnum(out, plan, i, apart ? plan->identity[i].name : plan->key[i].name);
    }
    strbuf_puts(out, plan->key_count == 0 ? "{}" : "}");
}

void
drift_put_set_columns(StrBuf *out, const Plan *plan)
{
    if (plan->copy != NULL || plan->purge != NULL || plan->restore != NULL) {
        strbuf_puts(out, "{}");
        return;
    }
    for (int i = 0; i < plan->spec->set_count; i++) {
        put_attnum(out, plan, i, plan->spec->set[i].column);
    }
    strbuf_putc(out, '}');
}

static void
put_kept_columns(StrBuf *out, const Plan *plan)
{
    const char *separator = "{";
    for (int i = 0; i < plan->facts->column_count; i++) {
        const ColumnFacts *column = &plan->facts->columns[i];
        if (!column->generated) {
            const ColumnFacts *kept = facts_column(plan->purge->into, column->name);
            strbuf_printf(out, "%s%d", separator, kept->attnum);
            separator = ",";
        }
    }
    strbuf_putc(out, '}');
}

void
drift_put_into_columns(StrBuf *out, const Plan *plan)
{
    const CopyPlan *copy = plan->copy;
    if (copy == NULL) {
        put_kept_columns(out, plan);
        return;
    }
    strbuf_putc(out, '{');
    for (int i = 0; i < copy->map_count; i++) {
        strbuf_printf(out, "%s%d", i == 0 ? "" : ",", copy->map[i].target->attnum);
    }
    strbuf_putc(out, '}');
}

void
drift_put_into_key(StrBuf *out, const Plan *plan)
{
    if (plan->copy == NULL) {
        strbuf_puts(out, "{}"); /* rows of a purge are not looked for there */
        return;
    }
    const IndexFacts *arbiter = plan->copy->arbiter;
    strbuf_putc(out, '{');
    for (int i = 0; i < arbiter->attnum_count; i++) {
        strbuf_printf(out, "%s%d", i == 0 ? "" : ",", arbiter->attnums[i]);
    }
    strbuf_putc(out, '}');
}
