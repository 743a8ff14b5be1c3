/*
 * aftercare_text.h - what a purge leaves behind, recorded and in words.
 */
#ifndef APP_AFTERCARE_TEXT_H
#define APP_AFTERCARE_TEXT_H

#include "app/drive.h"
#include "base/strbuf.h"

/*
 * Estimate and record it at the end of a run of a purge, before the run is marked as ended.  No
 * other failure than that of the session is one: it is logged.
 *
 * Errors:  ERR_RECONNECT.
 */
bool aftercare_of_run(Drive *drive, int exit_code, Err *err) __attribute__((warn_unused_result));

/* Lines of the summary, and fields of the result; nothing for any other job. */
void aftercare_put(StrBuf *out, const Drive *drive);

#endif
