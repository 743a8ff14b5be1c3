/*
 * sqlmask.c - the tokens of a statement, those that are values as question marks.
 *
 * When in doubt it masks more: a name that is taken for a value is a nuisance, a value that is
 * taken for a name is a leak.
 */
#include "core/sqlmask.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "core/sqlscan.h"
#include "core/utf8.h"

typedef struct Mask {
    StrBuf *out;
    size_t begin; /* of our text in *out */
    bool blank;   /* a blank is due before the next word */
} Mask;

/* ---- output ---- */

static void
put_blank_due(Mask *mask)
{
    if (mask->blank && mask->out->len > mask->begin) {
        strbuf_putc(mask->out, ' ');
    }
    mask->blank = false;
}

static void
put_text(Mask *mask, const char *text)
{
    put_blank_due(mask);
    strbuf_puts(mask->out, text);
}

/* As it stands, but for what a terminal would obey. */
static void
put_verbatim(Mask *mask, const char *text, size_t len)
{
    while (len > 0) {
        uint32_t code = 0;
        size_t bytes = utf8_decode(text, len, &code);
        if (bytes == 0) {
            put_text(mask, "?");
            bytes = 1;
        } else if (utf8_is_control(code)) {
            mask->blank = true;
        } else {
            put_blank_due(mask);
            strbuf_put(mask->out, text, bytes);
        }
        text += bytes;
        len -= bytes;
    }
}

/* Where masking goes on. */
static const char *
mask_token(Mask *mask, const SqlToken *token)
{
    const char *end = token->text + token->len;
    switch (token->kind) {
    case SQL_TOKEN_BLANK:
        mask->blank = true;
        break;
    case SQL_TOKEN_STRING:
        put_text(mask, token->doubtful ? "? ..." : "?");
        return token->doubtful ? end + strlen(end) : end;
    case SQL_TOKEN_NUMBER:
        put_text(mask, "?");
        break;
    case SQL_TOKEN_PARAMETER:
    case SQL_TOKEN_QUOTED:
    case SQL_TOKEN_WORD:
    case SQL_TOKEN_OTHER:
    case SQL_TOKEN_END:
        put_verbatim(mask, token->text, token->len);
        break;
    }
    return end;
}

void
sql_mask(StrBuf *out, const char *sql)
{
    Mask mask = {.out = out, .begin = out->len};
    while (*sql != '\0') {
        SqlToken token = sql_scan(sql);
        sql = mask_token(&mask, &token);
    }
}
