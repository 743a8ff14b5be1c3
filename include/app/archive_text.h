/*
 * archive_text.h - the files of an archive, and what is to be said of them, as text and objects.
 */
#ifndef APP_ARCHIVE_TEXT_H
#define APP_ARCHIVE_TEXT_H

#include <jansson.h>

#include "base/strbuf.h"
#include "ops/archive_walk.h"

/* Append one file, two lines: its name and state, and what it holds. */
void archive_put_file(StrBuf *out, const WalkedFile *file, int width);

/* {"type":"file",..} */
json_t *archive_file_json(const WalkedFile *file);

/* Append one frame, a line. */
void archive_put_frame(StrBuf *out, const WalkedFile *file, const WalkedFrame *frame);

/* {"type":"frame",..} */
json_t *archive_frame_json(const WalkedFile *file, const WalkedFrame *frame);

/* Append "damage: FILE at 123: ..". */
void archive_put_remark(StrBuf *out, const WalkRemark *remark, int width);

/* {"type":"damage" or "note",..} */
json_t *archive_remark_json(const WalkRemark *remark);

#endif
