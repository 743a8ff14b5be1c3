#include "core/sql_restore.h"

#include <string.h>

#include "core/restore.h"
#include "core/sql_frame.h"
#include "core/sql_parts.h"

void
sql_restored_function(StrBuf *out, const Plan *plan, int64_t job)
{
    STRBUF_AUTO body = STRBUF_INIT;
    strbuf_puts(&body, "#variable_conflict use_column\n"
                       "BEGIN\n"
                       "    -- the claim has locked the range's row and compared it\n"
                       "    pghaul_outcome := 'done';\n"
                       "    pghaul_rows := $7;\n"
                       "    pghaul_left := 0;\n"
                       "    pghaul_aside := 0;\n");
    sql_put_frame_guards(&body, plan, job, SLICE_KEY);
    strbuf_puts(&body, "    -- 5 the checkpoint, in the same transaction\n"
                       "    UPDATE pghaul.ranges AS r\n"
                       "       SET rows = r.rows + pghaul_rows, batches = r.batches + 1,\n"
                       "           state = 'done', lease = NULL\n");
    strbuf_printf(&body,
        "     WHERE r.job = %lld AND r.pass = $4 AND r.no = $1 AND r.est_rows = pghaul_rows;\n"
        "    IF NOT FOUND THEN\n"
        "        RAISE EXCEPTION USING ERRCODE = 'PH004',\n"
        "            MESSAGE = 'a frame of the archive has other rows than when the job began';\n"
        "    END IF;\n"
        "    RETURN NEXT;\nEND\n",
        (long long)job);
    sql_put_batch_function(out, plan, "restored", job, SLICE_KEY, strbuf_text(&body));
}

/* "UTF8", "EUC_JIS_2004": letters, digits and a few marks. */
static bool
is_encoding(const char *name)
{
    static const char ALLOWED[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    size_t len = strlen(name);
    return len > 0 && len < 32 && strspn(name, ALLOWED) == len;
}

bool
sql_restore_copy(StrBuf *out, const Plan *plan, const ArchiveOrigin *origin)
{
    bool ok = is_encoding(origin->encoding) && origin->column_count > 0;
    strbuf_puts(out, "COPY ");
    sql_put_table(out, plan);
    strbuf_puts(out, " (");
    for (int i = 0; ok && i < origin->column_count; i++) {
        const ColumnFacts *named = NULL;
        const ColumnFacts *column = restore_column(plan->facts, &origin->columns[i], &named);
        ok = column != NULL;
        if (ok) {
            strbuf_puts(out, i == 0 ? "" : ", ");
            sql_put_ident(out, column->name);
        }
    }
    strbuf_puts(out, ") FROM STDIN (FORMAT text, ENCODING ");
    sql_put_literal(out, ok ? origin->encoding : "");
    strbuf_putc(out, ')');
    return ok;
}
