/*
 * steer.h - what people want of the run, read from the database: pause, stop, settings.
 *
 * Threads: the monitor's; what it finds goes to the others through Engine under its lock.
 */
#ifndef ENGINE_STEER_H
#define ENGINE_STEER_H

#include "engine/engine_state.h"

typedef struct Steer {
    Engine *engine;
    bool known;      /* it was read at least once */
    StrBuf paused;   /* why the job is paused; "" when it is not */
    StrBuf settings; /* rows of pghaul.setting as last applied, as text to compare with */
    JobSpec spec;    /* the job file's with them in it */
} Steer;

void steer_init(Steer *steer, Engine *engine);
void steer_destroy(Steer *steer);

/* Read, and pass on what is new: settings in force, the request to stop. */
bool steer_read(Steer *steer, PgConn *conn, Err *err) __attribute__((warn_unused_result));

/* End the run when schedule.window has closed. */
bool steer_watch_window(Engine *engine, PgConn *conn, Err *err) __attribute__((warn_unused_result));

#endif
