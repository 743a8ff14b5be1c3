#include "core/eta.h"

#include <math.h>

#define WINDOW_S 30.0

/* The largest share of a pass that is not complete; prints as 99.9 %. */
#define SHARE_BEFORE_COMPLETE 0.9999

/* An estimate beyond this says only that nothing moves: 100 years. */
#define SECONDS_MAX (100.0 * 365.0 * 86400.0)

void
eta_init(Eta *eta, int64_t done, int64_t now_us)
{
    *eta = (Eta){.observed_us = now_us, .done = done};
}

void
eta_observe(Eta *eta, int64_t done, int64_t total, int64_t now_us)
{
    if (done < eta->done) {
        eta_init(eta, done, now_us);
    }
    eta->total = total;
    if (now_us <= eta->observed_us) {
        return; /* what was done meanwhile counts in the next interval */
    }
    double elapsed_s = (double)(now_us - eta->observed_us) / 1e6;
    double keep = exp(-elapsed_s / WINDOW_S);
    eta->recent_units = eta->recent_units * keep + (double)(done - eta->done);
    eta->recent_s = eta->recent_s * keep + elapsed_s;
    eta->done = done;
    eta->observed_us = now_us;
}

void
eta_complete(Eta *eta)
{
    eta->complete = true;
}

double
eta_rate(const Eta *eta)
{
    return eta->recent_s > 0.0 ? eta->recent_units / eta->recent_s : 0.0;
}

double
eta_share(const Eta *eta)
{
    if (eta->complete) {
        return 1.0;
    }
    if (eta->total <= 0) {
        return 0.0;
    }
    double share = (double)eta->done / (double)eta->total;
    return share < SHARE_BEFORE_COMPLETE ? share : SHARE_BEFORE_COMPLETE;
}

int64_t
eta_seconds(const Eta *eta)
{
    if (eta->complete) {
        return 0;
    }
    double rate = eta_rate(eta);
    if (eta->total <= eta->done || rate <= 0.0) {
        return ETA_UNKNOWN;
    }
    double seconds = (double)(eta->total - eta->done) / rate;
    return seconds > SECONDS_MAX ? ETA_UNKNOWN : (int64_t)ceil(seconds);
}
