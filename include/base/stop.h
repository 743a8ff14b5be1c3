/*
 * stop.h - the stop token: how the threads of a run are asked to end, and a sleep that hears it.
 *
 * The level only rises.  DRAIN finishes the batch in flight, CANCEL gives it up.
 */
#ifndef BASE_STOP_H
#define BASE_STOP_H

#include <pthread.h>
#include <stdint.h>

typedef enum StopLevel {
    STOP_NONE = 0,
    STOP_DRAIN,  /* finish the batch in flight, then end */
    STOP_CANCEL, /* give up the batch in flight */
} StopLevel;

typedef struct StopToken {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* on CLOCK_MONOTONIC */
    StopLevel level;        /* under lock */
} StopToken;

void stop_init(StopToken *token);
void stop_destroy(StopToken *token);

/* Raise the level and wake every sleeper; a lower level than the present one is ignored. */
void stop_request(StopToken *token, StopLevel level);

StopLevel stop_level(StopToken *token);

/* Sleep `timeout_us`, or less when the level rises above STOP_NONE; returns the level. */
StopLevel stop_sleep_us(StopToken *token, int64_t timeout_us);

#endif
