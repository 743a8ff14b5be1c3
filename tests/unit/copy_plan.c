#include "unit/copy_plan.h"

#include <string.h>

static ColumnFacts
column(int attnum, const char *name, const char *base, const char *type, int type_mod)
{
    return (ColumnFacts){
        .attnum = attnum,
        .name = name,
        .type_oid = base[0] == 'i' ? (uint32_t)base[3] : (uint32_t)base[0],
        .type_mod = type_mod,
        .type = type,
        .base_type = type,
        .base_type_name = base,
    };
}

static void
init_facts(CopyPlanJob *job)
{
    job->source_columns[0] = column(1, "id", "int4", "integer", -1);
    job->source_columns[1] = column(2, "region", "text", "text", -1);
    job->source_columns[2] = column(3, "note", "varchar", "character varying(10)", 14);
    job->source_columns[3] = column(4, "amount", "numeric", "numeric", -1);
    job->source = (Facts){
        .into = &job->target,
        .table = {.oid = 1001, .schema = "shop", .name = "orders"},
        .columns = job->source_columns,
        .column_count = 4,
    };
    job->target_columns[0] = column(1, "id", "int8", "bigint", -1);
    job->target_columns[1] = column(2, "place", "text", "text", -1);
    job->target_columns[2] = column(3, "note", "varchar", "character varying(20)", 24);
    job->target_columns[3] = column(4, "cents", "int8", "bigint", -1);
    job->target_columns[4] = column(5, "created", "date", "date", -1);
    job->target = (Facts){
        .table = {.oid = 1002, .schema = "shop", .name = "archive"},
        .columns = job->target_columns,
        .column_count = 5,
    };
}

void
copy_plan_init(CopyPlanJob *job)
{
    memset(job, 0, sizeof(*job));
    init_facts(job);
    job->map[0] = (Assignment){.column = "place", .expr = {.text = "region"}};
    job->map[1] = (Assignment){.column = "cents", .expr = {.text = "amount * 100"}};
    job->spec = (JobSpec){.job = "j", .kind = KIND_COPY, .set = job->map, .set_count = 2};
    job->arbiter_attnums[0] = 1;
    job->arbiter = (IndexFacts){.attnums = job->arbiter_attnums, .attnum_count = 1};
    job->mapped[0] =
        (MapColumn){.target = &job->target_columns[0], .source = &job->source_columns[0]};
    job->mapped[1] =
        (MapColumn){.target = &job->target_columns[1], .source = &job->source_columns[1]};
    job->mapped[2] =
        (MapColumn){.target = &job->target_columns[2], .source = &job->source_columns[2]};
    job->mapped[3] = (MapColumn){
        .target = &job->target_columns[3], .expr = &job->map[1].expr, .facts = &job->exprs[1]};
    job->copy = (CopyPlan){
        .into = &job->target,
        .map = job->mapped,
        .map_count = 4,
        .key = {&job->target_columns[0]},
        .arbiter = &job->arbiter,
    };
    job->plan = (Plan){
        .spec = &job->spec,
        .copy = &job->copy,
        .facts = &job->source,
        .exprs = job->exprs,
        .key = {{.name = "id", .type = "integer", .type_name = "int4"}},
        .key_count = 1,
        .path = PATH_KEY,
        .stripes = 1,
        .fingerprint = "0123456789abcdef",
    };
}

void
copy_plan_add_key(CopyPlanJob *job)
{
    job->plan.key[1] = (KeyColumn){.name = "region", .type = "text", .type_name = "text"};
    job->plan.key_count = 2;
    job->copy.key[1] = &job->target_columns[1];
    job->arbiter_attnums[1] = 2;
    job->arbiter.attnum_count = 2;
}
