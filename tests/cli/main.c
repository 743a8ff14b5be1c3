/*
 * main.c - of the suite of the real binary: one shared cluster around all tests.
 */
#include <criterion/criterion.h>

#include "harness/pgcluster.h"

int
main(int argc, char *argv[])
{
    struct criterion_test_set *tests = criterion_initialize();
    int exit_code = 0;
    if (criterion_handle_args(argc, argv, true) != 0) {
        PgCluster *cluster = cluster_start_shared();
        exit_code = criterion_run_all_tests(tests) != 0 ? 0 : 1;
        cluster_stop_shared(cluster);
    }
    criterion_finalize(tests);
    return exit_code;
}
