/*
 * cli.h - one call of the pghaul binary, or one on a table of its own.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "harness/pgcluster.h"
#include "harness/proc.h"

typedef struct CliResult {
    int code;
    char *out;
    char *err;
} CliResult;

/* Run it to its end; arguments up to NULL. */
CliResult cli_run(const char *const *args);
#define CLI(...) cli_run((const char *const[]){__VA_ARGS__, NULL})

void cli_free(CliResult *result);

/* True when `text` holds `part`. */
bool cli_has(const char *text, const char *part);

/* A database of the shared cluster with table orders (id, amount_text, amount) and a job file. */
typedef struct CliBase {
    PgCluster *cluster;
    const char *dbname;
    const char *uri;
    PGconn *conn;
    char *folder;
    char job_file[128];
} CliBase;

/* `rows` rows whose amount is NULL, and the job file of a backfill of it. */
CliBase cli_base_new(int rows);
void cli_base_free(CliBase *base);

/* Replace the job file. */
void cli_base_write_job(const CliBase *base, const char *text);

#endif
