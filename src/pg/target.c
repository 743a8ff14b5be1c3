/*
 * target.c - is a connection string of the command line or of a job file fit to be seen?
 *
 * Every user of the host can read the command line, a job file is stored in the database, and
 * libpq's messages about a string that it cannot read quote pieces of it, also of a password.  So
 * what libpq says is never passed on, and a string whose password could end up as name of a host or
 * database is refused.
 */
#include <libpq-fe.h>
#include <string.h>

#include "pg/conn.h"

#define SECRET_HINT                                                                                \
    "A password must not stand on the command line, which every user of the host can read, nor "   \
    "in "                                                                                          \
    " a job file, which the database keeps: use PGPASSFILE, a service file or PGPASSWORD."

static bool
starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* What libpq takes for the name of a database, but who wrote it did not: Postgresql://.., u:p@h. */
static bool
is_misspelt_uri(const char *text)
{
    const char *colon = strchr(text, ':');
    return strchr(text, '=') == NULL && colon != NULL &&
           (starts_with(colon, "://") || strchr(colon, '@') != NULL);
}

/* An @ behind the one that ends the user's part: the tail of a password that is not
 * percent-encoded, which libpq takes for the host, the port or the database. */
static bool
has_stray_at(const char *authority)
{
    const char *at = authority + strcspn(authority, "@/?");
    return strchr(*at == '@' ? at + 1 : at, '@') != NULL;
}

/* libpq marks what a program should hide while it is typed. */
static bool
has_secret(const PQconninfoOption *options)
{
    for (; options->keyword != NULL; options++) {
        if (options->dispchar[0] == '*' && options->val != NULL && options->val[0] != '\0') {
            return true;
        }
    }
    return false;
}

bool
conn_check_target(const ConnTarget *target, const char *where, Err *err)
{
    const char *text = target->dbname == NULL ? "" : target->dbname;
    bool is_uri = starts_with(text, "postgresql://") || starts_with(text, "postgres://");
    if (!is_uri && is_misspelt_uri(text)) {
        (void)err_set(err, ERR_USER, "the URI of %s does not begin with postgresql://", where);
        return err_hint(err, SECRET_HINT);
    }
    if (is_uri && has_stray_at(strstr(text, "://") + 3)) {
        (void)err_set(err, ERR_USER, "the URI of %s has an @ that is not written as %%40", where);
        return err_hint(err, SECRET_HINT);
    }
    if (!is_uri && strchr(text, '=') == NULL) {
        return true;
    }
    char *message = NULL;
    PQconninfoOption *options = PQconninfoParse(text, &message);
    PQfreemem(message);
    if (options == NULL) {
        (void)err_set(
            err, ERR_USER, "%s is neither a name nor a valid URI or key=value string", where);
        return err_hint(err, "See \"Connection Strings\" in the manual of libpq. " SECRET_HINT);
    }
    bool is_public = !has_secret(options);
    PQconninfoFree(options);
    if (!is_public) {
        (void)err_set(err, ERR_USER, "%s contains a password", where);
        return err_hint(err, SECRET_HINT);
    }
    return true;
}
