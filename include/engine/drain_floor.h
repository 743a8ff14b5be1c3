/*
 * drain_floor.h - below which id the change log has nothing any more, and never will.
 */
#ifndef ENGINE_DRAIN_FLOOR_H
#define ENGINE_DRAIN_FLOOR_H

#include <stdint.h>

#include "base/err.h"
#include "core/plan.h"
#include "pg/conn.h"

typedef struct DrainFloor {
    int64_t id;        /* no entry has this id or a lesser one, now or later */
    int64_t candidate; /* may become that; 0 = none */
    char xid[24];      /* when all older transactions have ended; "" = not asked yet */
    int64_t stepped_us;
} DrainFloor;

/*
 * A step towards a higher floor, every few seconds; else it does nothing.
 *
 * Shape:   `last_id` is the greatest id that was seen; of the plan only the name of its log is
 *          looked at.
 */
bool drain_floor_raise(DrainFloor *floor, PgConn *log, const Plan *plan, int64_t job,
    int64_t last_id, Err *err) __attribute__((warn_unused_result));

#endif
