/*
 * sqlmask.h - a statement without its values: what may be shown of another session's query.
 */
#ifndef CORE_SQLMASK_H
#define CORE_SQLMASK_H

#include "base/strbuf.h"

/*
 * Append `sql` as one line in which string constants, dollar quotes and numbers are ?, comments
 * are left out, and blanks and control characters are single blanks.
 *
 * Shape:   names stay, also in double quotes, and so do parameters ($1).  The text may be cut off
 *          anywhere: a constant that does not end is masked as a whole.  Where standard_conforming_
 *          strings of the other session decides where a constant ends, the rest becomes "? ...".
 */
void sql_mask(StrBuf *out, const char *sql);

#endif
