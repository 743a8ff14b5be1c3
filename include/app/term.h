/*
 * term.h - what kind of thing a standard stream is: a terminal, how wide, in which characters.
 */
#ifndef APP_TERM_H
#define APP_TERM_H

#include <stdbool.h>

#define TERM_WIDTH_DEFAULT 100

typedef struct Terminal {
    int fd;
    bool is_tty; /* and can move its cursor: TERM is set and not "dumb" */
    bool utf8;   /* the locale's characters */
    bool color;
} Terminal;

/* Look at the stream; colour is off when `no_color` or NO_COLOR asks for it. */
Terminal term_of(int fd, bool no_color);

/* Columns now, at least 1; TERM_WIDTH_DEFAULT when it is no terminal. */
int term_width(const Terminal *term);

/* Columns for running text: at most TERM_WIDTH_DEFAULT, however wide the terminal is. */
int term_text_width(const Terminal *term);

/* Lines now, 0 when it is no terminal or does not say. */
int term_height(const Terminal *term);

#endif
