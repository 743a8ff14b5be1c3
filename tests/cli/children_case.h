/*
 * children_case.h - a table whose old rows are to go, others that refer to it, and an application.
 */
#ifndef CLI_CHILDREN_CASE_H
#define CLI_CHILDREN_CASE_H

#include "cli/cli.h"
#include "harness/proc.h"
#include "harness/session.h"

/* Half of 200 rows are old. */
#define PARENT                                                                                     \
    "CREATE TABLE t (id int PRIMARY KEY, old bool NOT NULL);"                                      \
    "INSERT INTO t SELECT i, i % 2 = 0 FROM generate_series(1, 200) AS i;"
#define PURGE  "purge: t\nwhere: old\n"
#define DELETE PURGE "children: delete\n"

/* Three rows for each. */
#define CHILD(action)                                                                              \
    "CREATE TABLE c (id int PRIMARY KEY, t int REFERENCES t " action ");"                          \
    "CREATE INDEX ON c (t); INSERT INTO c SELECT i, 1 + i % 200 FROM generate_series(1, 600) i;"

/* So that something can happen while it goes on. */
#define SLOW                                                                                       \
    "CREATE FUNCTION slow(b bool) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS"                      \
    "  'BEGIN PERFORM pg_sleep(0.002); RETURN b; END';"

/* What must be true: no old row, all others, and children of those only. */
#define T_WRONG "SELECT (SELECT count(*) FROM t WHERE old) + 100 - (SELECT count(*) FROM t)"
#define C_WRONG " + 300 - (SELECT count(*) FROM c)"

#define GRANDCHILD                                                                                 \
    "CREATE TABLE g (c int REFERENCES c);"                                                         \
    "CREATE INDEX ON g (c); INSERT INTO g SELECT 1 + i % 600 FROM generate_series(1, 1200) i;"
#define G_WRONG " + 600 - (SELECT count(*) FROM g)"

/* Schemas public and pghaul are made anew. */
void children_start_over(const CliBase *base, const char *setup);

/* The lines after `job:`; batches of a few rows. */
void children_write_job(const CliBase *base, const char *job);

Proc *children_start_run(const CliBase *base);

/*
 * An application that adds, moves and takes away children, and changes its mind about parents.  In
 * the transaction of each change it writes down what must be true then: of a child, whose it is
 * (NULL: it is gone), of a parent, whether it may go.
 */
#define APPLICATION                                                                                \
    "CREATE TABLE stop ();"                                                                        \
    "CREATE TABLE said_c (c int PRIMARY KEY, t int); INSERT INTO said_c SELECT id, t FROM c;"      \
    "CREATE TABLE said_t (t int PRIMARY KEY, old bool); INSERT INTO said_t SELECT id, old FROM t;" \
    "CREATE SEQUENCE of_c START 1000;"                                                             \
    "CREATE FUNCTION act(what int, who int, other int) RETURNS void LANGUAGE plpgsql AS $$"        \
    "DECLARE new int; BEGIN "                                                                      \
    "IF what < 4 THEN"                                                                             \
    "  INSERT INTO c VALUES (nextval('of_c'), who) RETURNING id INTO new;"                         \
    "  INSERT INTO said_c VALUES (new, who);"                                                      \
    "  IF what = 0 THEN INSERT INTO g VALUES (new); END IF;"                                       \
    "ELSIF what < 6 THEN"                                                                          \
    "  UPDATE c SET t = who WHERE id = other RETURNING id INTO new;"                               \
    "  UPDATE said_c SET t = who WHERE c = new;"                                                   \
    "ELSIF what < 7 THEN"                                                                          \
    "  DELETE FROM c WHERE id = other AND NOT EXISTS (SELECT FROM g WHERE g.c = c.id)"             \
    "    RETURNING id INTO new;"                                                                   \
    "  UPDATE said_c SET t = NULL WHERE c = new;"                                                  \
    "ELSE"                                                                                         \
    "  UPDATE t SET old = what > 8 WHERE id = who RETURNING id INTO new;"                          \
    "  UPDATE said_t SET old = what > 8 WHERE t = new;"                                            \
    "END IF; PERFORM pg_sleep(0.002 * random());"                                                  \
    "EXCEPTION WHEN foreign_key_violation THEN NULL; END $$;"                                      \
    "CREATE PROCEDURE work(seed float8) LANGUAGE plpgsql AS $$BEGIN PERFORM setseed(seed);"        \
    "WHILE NOT EXISTS (SELECT FROM stop) LOOP"                                                     \
    "  PERFORM act((random() * 10)::int, 1 + (random() * ((SELECT count(*) FROM said_t) - "        \
    "1))::int,"                                                                                    \
    "    1 + (random() * 1999)::int);"                                                             \
    "  COMMIT; END LOOP; END $$;"

/* Rows of which something else is true than what was said last.  A child may be gone with its
 * parent only, and a parent only when it was old. */
#define BROKEN                                                                                     \
    "SELECT (SELECT count(*) FROM said_c s LEFT JOIN c ON c.id = s.c"                              \
    "         WHERE CASE WHEN c.id IS NULL THEN EXISTS (SELECT FROM t WHERE t.id = s.t)"           \
    "                    ELSE c.t IS DISTINCT FROM s.t END)"                                       \
    "     + (SELECT count(*) FROM said_t s LEFT JOIN t ON t.id = s.t"                              \
    "         WHERE CASE WHEN t.id IS NULL THEN NOT s.old ELSE t.old <> s.old END)"

#define CHILDREN_CLIENTS 2

/* Start the clients, and end them. */
void children_start_clients(const CliBase *base, Session *clients[CHILDREN_CLIENTS]);
void children_stop_clients(const CliBase *base, Session *clients[CHILDREN_CLIENTS]);

/* Run and kill, so often, between `least_us` and `most_us` after its start; what ends by itself
 * gets new work. */
void children_kill_runs(const CliBase *base, int kills, int64_t least_us, int64_t most_us);

#endif
