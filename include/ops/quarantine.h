/*
 * quarantine.h - try rows again that are set aside.
 *
 * Safe beside a run at work: the row leaves quarantine in the transaction that changes it, no pass
 * visits it while it is there, and a pass that comes by later finds that it needs no work.
 */
#ifndef OPS_QUARANTINE_H
#define OPS_QUARANTINE_H

#include "base/err.h"
#include "base/stop.h"
#include "core/plan.h"
#include "pg/conn.h"
#include "store/job.h"

typedef enum RowTrial {
    TRIAL_CHANGED = 0, /* done, and not set aside any more */
    TRIAL_NO_WORK,     /* right by now, or gone; not set aside any more */
    TRIAL_REFUSED,     /* as before */
    TRIAL_HELD,        /* somebody held it, or did not wait for us, all the time */
} RowTrial;

typedef struct RowTrials {
    PgConn *conn; /* of role CONN_WORKER */
    const Plan *plan;
    const JobRow *job;
    StopToken *stop;
} RowTrials;

/* Try the row with this key (text[] as text) in a transaction of its own. */
bool quarantine_try(const RowTrials *trials, const char *key, RowTrial *outcome, Err *err)
    __attribute__((warn_unused_result));

#endif
