/*
 * manual.h - man page and bash completion, made from the tables of verbs, options, job keys and
 * exit codes.
 *
 * Pure.
 */
#ifndef APP_MANUAL_H
#define APP_MANUAL_H

#include "base/strbuf.h"

/* Append pghaul(1) in the man(7) macros of roff. */
void manual_put_page(StrBuf *out);

/*
 * Append the bash script that completes verbs, their options and arguments.
 *
 * Shape:   what a verb's arguments may be is read from Verb.arguments: JOB is a job file, KEY a
 *          key of one, KIND a kind of job, VERB a verb; words in small letters are offered as
 *          they are.
 */
void manual_put_completion(StrBuf *out);

#endif
