#include "core/hotness.h"

/* A window must hold whole ranges with all their stripes, else it sees only the first, which is
 * never HOT. */
#define WINDOW_ROWS 400000
#define WINDOW_US   ((int64_t)4 * 1000000)

/* With 8 stripes that work the share is above 60 %. */
#define RATIO_MIN 0.25

#define RETRY_FIRST_US ((int64_t)60 * 1000000)
#define RETRY_MAX_US   ((int64_t)900 * 1000000)

void
hotness_init(Hotness *hotness, int stripes_wanted)
{
    *hotness = (Hotness){
        .stripes_wanted = stripes_wanted,
        .stripes = stripes_wanted,
        .ratio = -1,
        .ratio_total = -1,
        .updated = -1,
        .retry_wait_us = RETRY_FIRST_US,
    };
}

static void
begin_window(Hotness *hotness, int64_t updated, int64_t hot_updated, int64_t now_us)
{
    hotness->updated = updated;
    hotness->hot_updated = hot_updated;
    hotness->window_us = now_us;
}

/* Stripes do not help: one for a while, twice as long each time. */
static void
fall_back(Hotness *hotness, int64_t now_us)
{
    hotness->stripes = 1;
    hotness->retry_at_us = now_us + hotness->retry_wait_us;
    hotness->retry_wait_us *= 2;
    if (hotness->retry_wait_us > RETRY_MAX_US) {
        hotness->retry_wait_us = RETRY_MAX_US;
    }
}

bool
hotness_observe(Hotness *hotness, int64_t updated, int64_t hot_updated, int64_t now_us)
{
    /* Statistics that were reset go backwards. */
    if (hotness->updated < 0 || updated < hotness->updated || hot_updated < hotness->hot_updated) {
        begin_window(hotness, updated, hot_updated, now_us);
        hotness->first_updated = updated;
        hotness->first_hot_updated = hot_updated;
        return false;
    }
    if (updated > hotness->first_updated) {
        hotness->ratio_total = (double)(hot_updated - hotness->first_hot_updated) /
                               (double)(updated - hotness->first_updated);
    }
    int64_t rows = updated - hotness->updated;
    if (rows < WINDOW_ROWS || now_us - hotness->window_us < WINDOW_US) {
        return false;
    }
    hotness->ratio = (double)(hot_updated - hotness->hot_updated) / (double)rows;
    begin_window(hotness, updated, hot_updated, now_us);
    if (hotness->stripes > 1 && hotness->ratio < RATIO_MIN) {
        fall_back(hotness, now_us);
        return true;
    }
    if (hotness->stripes < hotness->stripes_wanted && now_us >= hotness->retry_at_us) {
        hotness->stripes = hotness->stripes_wanted;
        return true;
    }
    if (hotness->stripes > 1 && hotness->ratio > 2 * RATIO_MIN) {
        hotness->retry_wait_us = RETRY_FIRST_US;
    }
    return false;
}
