/*
 * eta.h - how fast a pass goes, how much of it is done, and how long it will still take.
 *
 * Fed with totals (rows or blocks done so far) at any interval.  The rate forgets with a time
 * constant of 30 s; pauses count, since they will come again.
 */
#ifndef CORE_ETA_H
#define CORE_ETA_H

#include <stdbool.h>
#include <stdint.h>

#define ETA_UNKNOWN ((int64_t)-1)

typedef struct Eta {
    int64_t observed_us; /* time of the last observation */
    int64_t done;        /* units at that time */
    int64_t total;       /* estimated units of the pass; 0 = not known */
    double recent_units; /* done lately, older ones weighing less */
    double recent_s;     /* the time they took, weighed alike */
    bool complete;
} Eta;

/* `done` is where the run found the pass: work of earlier runs says nothing about our rate. */
void eta_init(Eta *eta, int64_t done, int64_t now_us);

/*
 * Units:   done and total in the same unit; total is an estimate and may change or be wrong.
 * A `done` that went back belongs to another pass and starts the measurement again.
 */
void eta_observe(Eta *eta, int64_t done, int64_t total, int64_t now_us);

/* The pass is done, whatever the estimate said. */
void eta_complete(Eta *eta);

/* Units per second of late; 0 before the second observation. */
double eta_rate(const Eta *eta);

/* 0..1; stays below 1 until eta_complete(). */
double eta_share(const Eta *eta);

/* Seconds to go, or ETA_UNKNOWN: no rate yet, no total, or more done than was estimated. */
int64_t eta_seconds(const Eta *eta);

#endif
