#include "core/sql_functions.h"

#include <assert.h>
#include <string.h>

#include "core/sql_backfill.h"
#include "core/sql_batch.h"

static void
isolate_key(StrBuf *out, const Plan *plan, int64_t job)
{
    sql_isolate_function(out, plan, job, SLICE_KEY);
}

static void
isolate_block(StrBuf *out, const Plan *plan, int64_t job)
{
    sql_isolate_function(out, plan, job, SLICE_BLOCK);
}

static void
locate_key(StrBuf *out, const Plan *plan, int64_t job)
{
    sql_locate_function(out, plan, job, SLICE_KEY);
}

static void
locate_block(StrBuf *out, const Plan *plan, int64_t job)
{
    sql_locate_function(out, plan, job, SLICE_BLOCK);
}

static const SqlFunction FUNCTIONS[] = {
    {"move", "Changes the rows of a batch", sql_move_function},
    {"isolate_key", "Changes rows one by one and sets aside what the server refuses, by key",
        isolate_key},
    {"isolate_block", "Changes rows one by one and sets aside what the server refuses, by block",
        isolate_block},
    {"verify", "Compares the rows of a batch", sql_verify_function},
    {"isolate_verify", "Compares them one by one and sets aside what the server refuses",
        sql_isolate_verify_function},
    {"repair", "Changes the rows of a batch by key, when differences are repaired",
        sql_repair_function},
    {"retry", "Tries a row again that was set aside", sql_retry_function},
    {"locate_key", "Finds a row that the server refuses, by key", locate_key},
    {"locate_block", "Finds a row that the server refuses, by block", locate_block},
    {"sync", "Keeps rows right that the application writes", sql_sync_function},
};
#define FUNCTION_COUNT (sizeof(FUNCTIONS) / sizeof(FUNCTIONS[0]))

size_t
sql_functions_count(void)
{
    return FUNCTION_COUNT;
}

const SqlFunction *
sql_functions_at(size_t index)
{
    assert(index < FUNCTION_COUNT);
    return &FUNCTIONS[index];
}

static bool
is(const SqlFunction *function, const char *what)
{
    return strcmp(function->what, what) == 0;
}

bool
sql_functions_needed(const SqlFunction *function, const Plan *plan)
{
    if (is(function, "verify") || is(function, "isolate_verify")) {
        return !plan->self_referring;
    }
    if (is(function, "isolate_block") || is(function, "locate_block") || is(function, "repair")) {
        return plan->path == PATH_BLOCK;
    }
    return !is(function, "sync") || plan->sync_trigger;
}
