#include "common_options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool
list_has(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = list; *at != '\0';) {
        size_t item_len = strcspn(at, ",");
        if (item_len == len && strncmp(at, word, len) == 0) {
            return true;
        }
        at += item_len + (at[item_len] == ',' ? 1 : 0);
    }
    return false;
}

bool
list_is_known(const char *list, const char *known)
{
    char word[32];
    for (const char *at = list; *at != '\0';) {
        size_t len = strcspn(at, ",");
        (void)snprintf(word, sizeof(word), "%.*s", (int)len, at);
        if (!list_has(known, word)) {
            (void)fprintf(stderr, "bench: \"%s\" is none of %s\n", word, known);
            return false;
        }
        at += len + (at[len] == ',' ? 1 : 0);
    }
    return true;
}

bool
parse_count(const char *text, int64_t *count)
{
    char *end = NULL;
    errno = 0;
    *count = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *count > 0;
}

const char *
option_value(const char *arg, const char *name)
{
    size_t len = strlen(name);
    return strncmp(arg, name, len) == 0 && arg[len] == '=' ? arg + len + 1 : NULL;
}
