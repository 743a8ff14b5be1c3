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
    {"40001", ERR_RETRY},
    {"40P01", ERR_RETRY},
    {"40003", ERR_RECONNECT},
    {"55P03", ERR_RETRY},
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
    {"25006", ERR_RESOURCE},
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
