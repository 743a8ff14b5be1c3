#include "app/exits.h"

#include <assert.h>

static const ExitCode EXIT_CODES[] = {
    {0, "done"},
    {1, "failed; the message says why"},
    {2, "usage, job file, unknown job, error in an expression"},
    {3, "no connection"},
    {4, "refused by a fact about the server, or the plan was not accepted"},
    {5, "done, but rows are set aside (pghaul quarantine)"},
    {6, "verify found differences"},
    {7, "stopped cleanly with work left"},
    {8, "held by another"},
    {9, "a hard limit was hit"},
    {130, "second signal"},
};
#define EXIT_CODE_COUNT (sizeof(EXIT_CODES) / sizeof(EXIT_CODES[0]))

size_t
exit_code_count(void)
{
    return EXIT_CODE_COUNT;
}

const ExitCode *
exit_code_at(size_t index)
{
    assert(index < EXIT_CODE_COUNT);
    return &EXIT_CODES[index];
}
