/*
 * sql_purge.c - the batch of a purge: the frame of every batch, and a DELETE in it.
 */
#include "core/sql_purge.h"

#include "core/sql_batch.h"
#include "core/sql_frame.h"
#include "core/sql_parts.h"

/* The rows of the batch: slice and the job's predicate. */
static void
put_batch_rows(StrBuf *out, const Plan *plan)
{
    sql_put_slice(out, plan, SLICE_KEY);
    sql_put_where(out, plan);
}

static void
put_delete(StrBuf *out, const Plan *plan)
{
    strbuf_puts(out, "    DELETE FROM ");
    sql_put_only_table(out, plan);
    strbuf_puts(out, "\n     WHERE ");
}

static void
put_delete_plain(StrBuf *out, const Plan *plan)
{
    put_delete(out, plan);
    put_batch_rows(out, plan);
    strbuf_puts(out, ";\n    GET DIAGNOSTICS pghaul_rows = ROW_COUNT;\n");
}

void
sql_delete_function(StrBuf *out, const Plan *plan, int64_t job)
{
    STRBUF_AUTO body = STRBUF_INIT;
    sql_put_frame_declare(&body, plan, SLICE_KEY);
    strbuf_puts(&body, "BEGIN\n");
    sql_put_frame_claim(&body, job);
    sql_put_frame_pin(&body, job);
    sql_put_table_lock(&body, plan);
    sql_put_frame_slice(&body, plan, SLICE_KEY, "$7");
    strbuf_puts(&body, "    -- 3 the rows\n");
    put_delete_plain(&body, plan);
    sql_put_frame_guards(&body, plan, job, SLICE_KEY);
    sql_put_frame_checkpoint(&body, plan, job, SLICE_KEY);
    strbuf_puts(&body, "    RETURN NEXT;\nEND\n");
    sql_put_batch_function(out, plan, "move", job, SLICE_KEY, strbuf_text(&body));
}
