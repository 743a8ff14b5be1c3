/*
 * carry_text.h - what a cutover carries over and what it cannot, in words and as an object.
 */
#ifndef APP_CARRY_TEXT_H
#define APP_CARRY_TEXT_H

#include <jansson.h>

#include "base/strbuf.h"
#include "ops/carry.h"

void carry_put_report(StrBuf *out, const Carry *carry, int width);

/* {"carried":[..],"lost":[..],"obstacle":..} */
json_t *carry_json(const Carry *carry);

#endif
