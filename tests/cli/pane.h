/*
 * pane.h - a program in a real terminal: one pane of a private tmux.
 *
 * Its server is a child of ours, on a socket in a folder of its own, and reads no one's settings.
 */
#ifndef CLI_PANE_H
#define CLI_PANE_H

typedef struct Pane Pane;

/* Open a pane of 24 lines; programs run in the folder. */
Pane *pane_open(int columns, const char *folder);
void pane_close(Pane *pane);

/* Run a program to its end in the empty pane, NULL-ended; returns its exit code. */
int pane_run(Pane *pane, const char *const *argv);

/* What the terminal shows, with what was scrolled away, without colours; a line that did not fit is
 * one line.  Returns owned. */
char *pane_text(Pane *pane);

#endif
