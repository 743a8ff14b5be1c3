/*
 * plan_walk.h - how a purge finds its rows, in words and as JSON.
 */
#ifndef APP_PLAN_WALK_H
#define APP_PLAN_WALK_H

#include <jansson.h>

#include "base/strbuf.h"
#include "core/plan.h"

/* What tells rows apart, and by what they are found. */
void plan_walk_put(StrBuf *out, const Plan *plan, int width);

/* The same as members "key" and "walk" of the plan's object. */
void plan_walk_json(json_t *object, const Plan *plan);

#endif
