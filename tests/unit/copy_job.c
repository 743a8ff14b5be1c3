#include "unit/copy_job.h"

#include <string.h>

static ColumnFacts
column(int attnum, const char *name, const char *type)
{
    bool is_text = strcmp(type, "text") == 0;
    return (ColumnFacts){.attnum = attnum,
        .name = name,
        .type_mod = -1,
        .type = type,
        .base_type = type,
        .base_type_name = type,
        .base_type_mod = -1,
        .collation = is_text ? "en_US.UTF-8" : "",
        .collation_deterministic = true,
        .correlation = 1.0,
        .may_update = true,
        .may_insert = true,
        .may_select = true};
}

static IndexFacts
unique_index(const char *name, int *attnums, int count)
{
    return (IndexFacts){.name = name,
        .unique = true,
        .valid = true,
        .ready = true,
        .immediate = true,
        .default_order = true,
        .attnums = attnums,
        .attnum_count = count};
}

static Facts
facts_of(const char *table, ColumnFacts *columns, IndexFacts *index)
{
    return (Facts){
        .server = {.version_num = 150020,
            .system_id = "1",
            .timeline = 1,
            .started = "2024-01-01 00:00:00+00",
            .database = "shop",
            .role = "mover",
            .role_reads_stats = true,
            .encoding = "UTF8",
            .connections_free = 50,
            .may_create_schema = true,
            .may_create_temporary = true},
        .table = {.oid = 16400,
            .schema = "public",
            .name = table,
            .relkind = 'r',
            .persistence = 'p',
            .access_method = "heap",
            .owner = "mover",
            .owned_by_us = true,
            .owner_is_trusted = true,
            .rows = 1000,
            .blocks = 20,
            .may_select = true,
            .may_select_system = true,
            .may_update = true,
            .may_insert = true,
            .may_delete = true,
            .may_trigger = true,
            .may_vacuum = true,
            .may_use_schema = true},
        .columns = columns,
        .column_count = 4,
        .indexes = index,
        .index_count = 1,
    };
}

static void
set_source(CopyJob *job)
{
    job->columns[0] = column(1, "id", "int8");
    job->columns[0].not_null = true;
    job->columns[0].indexed = true;
    job->columns[0].in_unique = true;
    job->columns[1] = column(2, "amount_text", "text");
    job->columns[2] = column(3, "note", "text");
    job->columns[3] = column(4, "created_at", "timestamptz");
    job->id_attnum[0] = 1;
    job->indexes[0] = unique_index("orders_pkey", job->id_attnum, 1);
    job->indexes[0].primary = true;
    job->facts = facts_of("orders", job->columns, job->indexes);
    job->facts.into = &job->into;
}

static void
set_target(CopyJob *job)
{
    job->into_columns[0] = job->columns[0];
    job->into_columns[1] = column(2, "amount", "numeric(10,2)");
    job->into_columns[1].base_type = "numeric";
    job->into_columns[1].base_type_name = "numeric";
    job->into_columns[1].type_mod = (10 << 16) + 2 + 4;
    job->into_columns[1].base_type_mod = job->into_columns[1].type_mod;
    job->into_columns[2] = job->columns[2];
    job->into_columns[3] = column(4, "made_at", "timestamptz");
    job->into_attnums[0] = 1;
    job->into_indexes[0] = unique_index("orders_v2_pkey", job->into_attnums, 1);
    job->into_indexes[0].primary = true;
    job->into = facts_of("orders_v2", job->into_columns, job->into_indexes);
    job->into.table.oid = 16500;
    job->into.table.rows = 0;
    job->into.table.blocks = 0;
    job->into.table.partition_attnums = job->partition_attnums;
}

static void
set_expressions(CopyJob *job)
{
    job->amount_sources[0] = 2;
    job->made_at_sources[0] = 4;
    job->set[0] = (ExprFacts){.result_type = "numeric",
        .immutable = true,
        .sources = job->amount_sources,
        .source_count = 1};
    job->set[1] = (ExprFacts){.result_type = "timestamptz",
        .immutable = true,
        .column = 4,
        .sources = job->made_at_sources,
        .source_count = 1};
    for (int i = 0; i < 4; i++) {
        job->as_is[i] = (ExprFacts){.result_type = job->columns[i].type, .immutable = true};
    }
    job->where = (ExprFacts){.result_type = "boolean", .immutable = true};
    job->exprs = (ExprReport){.set = job->set, .as_is = job->as_is};
}

void
copy_job_init(CopyJob *job)
{
    memset(job, 0, sizeof(*job));
    job->arena = ARENA_INIT;
    job->map[0] = (Assignment){.column = "amount",
        .place = {.line = 5, .column = 3},
        .expr = {.text = "amount_text::numeric", .place = {.line = 5, .column = 11}}};
    job->map[1] = (Assignment){.column = "made_at",
        .place = {.line = 6, .column = 3},
        .expr = {.text = "created_at", .place = {.line = 6, .column = 12}}};
    job->spec = (JobSpec){.file = "c.yaml",
        .job = "c",
        .kind = KIND_COPY,
        .table = "orders",
        .table_place = {.line = 2, .column = 7},
        .into = "orders_v2",
        .into_place = {.line = 3, .column = 7},
        .set = job->map,
        .set_count = 2,
        .key = {.names = job->names},
        .verify = true};
    set_source(job);
    set_target(job);
    set_expressions(job);
}

void
copy_job_make_remote(CopyJob *job)
{
    job->spec.from = "service=old";
    job->into.server.system_id = "2";
    job->into.server.started = "2024-02-02 00:00:00+00";
}

const Plan *
copy_job_plan(CopyJob *job)
{
    plan_build(&job->spec, &job->facts, &job->exprs, &job->indexes[0], &job->arena, &job->plan);
    return &job->plan;
}

void
copy_job_free(CopyJob *job)
{
    arena_reset(&job->arena);
}
