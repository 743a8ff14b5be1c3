#include "app/plan_walk.h"

#include "app/json.h"
#include "app/plan_parts.h"

static void
put_names(StrBuf *out, const KeyColumn *columns, int count)
{
    for (int i = 0; i < count; i++) {
        strbuf_printf(out, "%s%s", i == 0 ? "" : ", ", columns[i].name);
    }
}

void
plan_walk_put(StrBuf *out, const Plan *plan, int width)
{
    const PurgePlan *purge = plan->purge;
    STRBUF_AUTO line = STRBUF_INIT;
    put_names(&line, plan->identity, plan->identity_count);
    strbuf_printf(&line, " (index %s)", plan->key_index);
    plan_put_fact(out, "key", strbuf_text(&line), width);

    strbuf_clear(&line);
    strbuf_puts(&line, "by ");
    put_names(&line, plan->key, plan->key_count);
    if (purge->walk_index != NULL) {
        strbuf_printf(&line, " (index %s)", purge->walk_index);
    }
    strbuf_printf(&line, ": %s", purge->walk_reason);
    if (purge->walk_hint != NULL) {
        strbuf_printf(&line, ". %s", purge->walk_hint);
    }
    plan_put_fact(out, "walk", strbuf_text(&line), width);
    if (purge->least_reason != NULL) {
        plan_put_fact(out, "remembers", purge->least_reason, width);
    }
}

static json_t *
names_json(const KeyColumn *columns, int count)
{
    json_t *list = json_array();
    for (int i = 0; i < count; i++) {
        json_append(list, json_text(columns[i].name));
    }
    return list;
}

void
plan_walk_json(json_t *object, const Plan *plan)
{
    const PurgePlan *purge = plan->purge;
    json_t *walk = json_object();
    json_put(walk, "served", json_boolean(purge->served));
    json_put(walk, "index", json_text(purge->walk_index));
    json_put(walk, "columns", names_json(plan->key, plan->key_count));
    json_put(walk, "reason", json_text(purge->walk_reason));
    json_put(walk, "hint", json_text(purge->walk_hint));
    json_put(walk, "remembers", json_text(purge->least == NULL ? NULL : purge->least->name));
    json_put(walk, "remembers_reason", json_text(purge->least_reason));
    json_put(object, "walk", walk);
    json_put(object, "key", names_json(plan->identity, plan->identity_count));
}
