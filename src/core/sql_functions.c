#include "core/sql_functions.h"

#include <assert.h>
#include <string.h>

#include "core/sql_archive.h"
#include "core/sql_backfill.h"
#include "core/sql_batch.h"
#include "core/sql_copy.h"
#include "core/sql_log.h"
#include "core/sql_purge.h"
#include "core/sql_relay.h"
#include "core/sql_restore.h"

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
    {FOR_BACKFILL, "move", "Changes the rows of a batch", sql_move_function},
    {FOR_BACKFILL, "isolate_key",
        "Changes rows one by one and sets aside what the server refuses, by key", isolate_key},
    {FOR_BACKFILL, "isolate_block",
        "Changes rows one by one and sets aside what the server refuses, by block", isolate_block},
    {FOR_BACKFILL, "verify", "Compares the rows of a batch", sql_verify_function},
    {FOR_BACKFILL, "isolate_verify",
        "Compares them one by one and sets aside what the server refuses",
        sql_isolate_verify_function},
    {FOR_BACKFILL, "repair", "Changes the rows of a batch by key, when differences are repaired",
        sql_repair_function},
    {FOR_BACKFILL, "retry", "Tries a row again that was set aside", sql_retry_function},
    {FOR_COPY, "move", "Copies the rows of a batch", sql_copy_function},
    {FOR_COPY, "verify", "Compares the rows of a batch with the target's", sql_compare_function},
    {FOR_PURGE, "move", "Deletes the rows of a batch", sql_delete_function},
    {FOR_ARCHIVE, "move", "Deletes the rows of a batch that was written to a file",
        sql_archive_function},
    {FOR_RELAY | FOR_RESTORE, "claim", "Takes the place of a batch that comes from elsewhere",
        sql_claim_function},
    {FOR_RELAY, "settle", "Writes its checkpoint", sql_settle_function},
    {FOR_RESTORE, "restored", "Writes the checkpoint of a frame of an archive",
        sql_restored_function},
    {FOR_BACKFILL | FOR_COPY | FOR_PURGE | FOR_ARCHIVE, "locate_key",
        "Finds a row that the server refuses, by key", locate_key},
    {FOR_BACKFILL | FOR_COPY, "locate_block", "Finds a row that the server refuses, by block",
        locate_block},
    {FOR_BACKFILL, "sync", "Keeps rows right that the application writes", sql_sync_function},
    {FOR_COPY, "capture", "Records the keys of rows that the application writes",
        sql_capture_function},
    {FOR_COPY, "drain", "Brings the target up to date with the rows of recorded keys",
        sql_drain_function},
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

static JobKinds
kind_of(const Plan *plan)
{
    if (plan->purge != NULL) {
        return plan->purge->archives ? FOR_ARCHIVE : FOR_PURGE;
    }
    if (plan->restore != NULL) {
        return FOR_RESTORE;
    }
    if (plan->copy == NULL) {
        return FOR_BACKFILL;
    }
    return plan->copy->remote ? FOR_RELAY : FOR_COPY;
}

bool
sql_functions_needed(const SqlFunction *function, const Plan *plan)
{
    if ((function->kinds & kind_of(plan)) == 0) {
        return false;
    }
    if (is(function, "verify") || is(function, "isolate_verify")) {
        return !plan->self_referring;
    }
    if (is(function, "isolate_block") || is(function, "locate_block") || is(function, "repair")) {
        return plan->path == PATH_BLOCK;
    }
    bool of_trigger = is(function, "sync") || is(function, "capture");
    return !of_trigger || plan->sync_trigger;
}
