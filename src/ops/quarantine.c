#include "ops/quarantine.h"

#include <stdio.h>
#include <string.h>

#include "core/sql_batch.h"
#include "pg/params.h"

#define ATTEMPTS        20
#define ATTEMPT_WAIT_US 50000
#define ANSWER_GRACE_US ((int64_t)20 * 1000000)

/* One call of the retry function: the parameters of a batch, of which it reads a few. */
static bool
call(const RowTrials *trials, const char *key, PgResult **result, Err *err)
{
    Params params = PARAMS_INIT;
    for (int i = 1; i <= BATCH_PARAMS; i++) {
        params_text(&params, NULL);
    }
    params.values[5] = key;
    params.values[8] = trials->job->signature;
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_batch_call(&sql, trials->plan, "retry", trials->job->id);

    int64_t timeout_us = trials->plan->spec->throttle.yield_after_us;
    char timeout[64];
    (void)snprintf(timeout, sizeof(timeout), "SET LOCAL statement_timeout = %lld",
        (long long)(timeout_us / 1000));
    const char *begin[] = {"BEGIN ISOLATION LEVEL READ COMMITTED", timeout};
    BatchCall batch = {
        .begin = begin,
        .begin_count = 2,
        .sql = strbuf_text(&sql),
        .count = params.count,
        .values = params.values,
        .timeout_us = timeout_us + ANSWER_GRACE_US,
    };
    return query_batch(trials->conn, &batch, result, err);
}

bool
quarantine_try(const RowTrials *trials, const char *key, RowTrial *outcome, Err *err)
{
    for (int i = 0; i < ATTEMPTS; i++) {
        PGRESULT_AUTO *result = NULL;
        if (call(trials, key, &result, err)) {
            bool refused = strcmp(result_text(result, 0, BATCH_OUTCOME), "refused") == 0;
            bool changed = result_int(result, 0, BATCH_ROWS) > 0;
            *outcome = refused ? TRIAL_REFUSED : changed ? TRIAL_CHANGED : TRIAL_NO_WORK;
            return true;
        }
        if (err->cls != ERR_RETRY && err->cls != ERR_TIMEOUT) {
            return err_wrap(err, "try a row again");
        }
        *err = ERR_INIT;
        (void)stop_sleep_us(trials->stop, ATTEMPT_WAIT_US);
    }
    *outcome = TRIAL_HELD;
    return true;
}
