#include "pg/sqlstate.h"

#include <stddef.h>
#include <string.h>

typedef struct StateClass {
    const char *prefix; /* the first match wins */
    ErrClass cls;
} StateClass;

static const StateClass CLASSES[] = {
    {SQLSTATE_DRIFT_TABLE, ERR_DRIFT},
    {SQLSTATE_DRIFT_FILE, ERR_DRIFT},
    {SQLSTATE_LIMIT, ERR_LIMIT},
    {SQLSTATE_CHANGED, ERR_RETRY},
    {SQLSTATE_UNKNOWN, ERR_USER},
    {SQLSTATE_JOB_STATE, ERR_REFUSED},
    {"40001", ERR_RETRY},
    {"40P01", ERR_RETRY},
    {"40003", ERR_RECONNECT},
    {SQLSTATE_LOCKED, ERR_RETRY},
    {"55006", ERR_RETRY},
    {"72000", ERR_RETRY},
    {"57014", ERR_TIMEOUT},
    {"08", ERR_RECONNECT},
    {"57P0", ERR_RECONNECT},
    {"25P03", ERR_RECONNECT},
    {"25P04", ERR_RECONNECT},
    {"53300", ERR_SLOTS},
    {"53", ERR_RESOURCE},
    {"58030", ERR_RESOURCE},
    {SQLSTATE_READ_ONLY, ERR_RESOURCE},
    {"55000", ERR_RESOURCE},
    {"21000", ERR_POISON},
    {"22", ERR_POISON},
    {"23", ERR_POISON},
    {"54", ERR_POISON},
    {"P0001", ERR_POISON},
    {"XX001", ERR_CORRUPT},
    {"XX002", ERR_CORRUPT},
};

ErrClass
sqlstate_class(const char *sqlstate)
{
    if (sqlstate[0] == '\0') {
        return ERR_RECONNECT;
    }
    for (size_t i = 0; i < sizeof(CLASSES) / sizeof(CLASSES[0]); i++) {
        if (strncmp(sqlstate, CLASSES[i].prefix, strlen(CLASSES[i].prefix)) == 0) {
            return CLASSES[i].cls;
        }
    }
    return ERR_FATAL;
}

static bool
has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Our own functions name no value. */
static bool
is_ours(const ErrorOrigin *origin)
{
    return has_prefix(origin->sqlstate, "PH");
}

bool
sqlstate_is_raised(const ErrorOrigin *origin)
{
    /* of PL/pgSQL and PL/Python; errors of other languages have no condition that is trusted */
    static const char *const RAISERS[] = {"exec_stmt_raise", "PLy_output", "PLy_elog_impl"};
    for (size_t i = 0; i < sizeof(RAISERS) / sizeof(RAISERS[0]); i++) {
        if (strcmp(origin->function, RAISERS[i]) == 0) {
            return !is_ours(origin);
        }
    }
    return false;
}

bool
sqlstate_may_quote_row(const ErrorOrigin *origin)
{
    static const char *const TRUSTED[] = {
        "08", "25", "28", "3D", "40", "42", "53", "55", "57", "58"};
    if (is_ours(origin)) {
        return false;
    }
    if (sqlstate_is_raised(origin)) {
        return true;
    }
    /* A syntax error in a statement that a user's function put together from values. */
    if (has_prefix(origin->sqlstate, "42") && origin->inner_query[0] != '\0' &&
        !has_prefix(origin->context, "PL/pgSQL function pghaul.")) {
        return true;
    }
    for (size_t i = 0; i < sizeof(TRUSTED) / sizeof(TRUSTED[0]); i++) {
        if (has_prefix(origin->sqlstate, TRUSTED[i])) {
            return false;
        }
    }
    return true;
}
