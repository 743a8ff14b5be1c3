/*
 * json.h - the objects that --json prints; names carry their units.
 */
#ifndef APP_JSON_H
#define APP_JSON_H

#include <jansson.h>

#include "base/err.h"
#include "core/findings.h"
#include "engine/progress.h"

/* A string; bytes that are no UTF-8 become '?'; null for NULL. */
json_t *json_text(const char *text);

/* A number; null when it is below 0 (not known) or not finite. */
json_t *json_known(double value);
json_t *json_count(int64_t value);

/* Add a field; takes `value`. */
void json_put(json_t *object, const char *name, json_t *value);

/* Add an item; takes `value`. */
void json_append(json_t *list, json_t *value);

/* {"class":..,"message":..,"hint":..} */
json_t *json_error(const Err *err);

/* An array of {"severity","code","text","hint","allow"}. */
json_t *json_findings(const Findings *findings);

/* {"type":"progress","job":..}; all numbers of *progress. */
json_t *json_progress(const char *job, const Progress *progress);

/* Print as one line on stdout and give it up. */
void json_print(json_t *object);

#endif
