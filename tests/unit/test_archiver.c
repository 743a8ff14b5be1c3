/*
 * test_archiver.c - the lines that a COPY of rows with their versions has.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "engine/archiver.h"

static bool
add(ArchiveRowsRead *rows, const char *line)
{
    return archive_rows_add(rows, line, strlen(line));
}

Test(archiver, cuts_the_version_off_each_row)
{
    ArchiveRowsRead rows = {.count = 0};
    archive_rows_clear(&rows);
    cr_expect(add(&rows, "(0,1)\t739\t1\ta\\tb\n"));
    cr_expect(add(&rows, "(4294967295,65535)\t739\t\\N\t(0,2)\n"));
    cr_expect(add(&rows, "(258,3)\t4294967295\n"), "no column is archived");
    cr_expect(eq(str, rows.text.text, "1\ta\\tb\n\\N\t(0,2)\n\n"));
    cr_expect(eq(i64, 3, rows.count));
    cr_expect(eq(int, 2, rows.xid_count), "equal ones that follow each other count once");
    const char tids[] = "\0\0\0\6\0\0\0\0\0\1"
                        "\0\0\0\6\xff\xff\xff\xff\xff\xff"
                        "\0\0\0\6\0\0\1\2\0\3";
    const char xids[] = "\0\0\0\4\0\0\2\xe3\0\0\0\4\xff\xff\xff\xff";
    cr_assert(eq(sz, sizeof(tids) - 1, rows.tids.len));
    cr_assert(eq(sz, sizeof(xids) - 1, rows.xids.len));
    cr_expect(eq(int, 0, memcmp(tids, rows.tids.text, rows.tids.len)));
    cr_expect(eq(int, 0, memcmp(xids, rows.xids.text, rows.xids.len)));
    archive_rows_clear(&rows);
    cr_expect(eq(i64, 0, rows.count));
    archive_rows_free(&rows);
}

Test(archiver, knows_a_line_that_has_no_version)
{
    static const char *const LINES[] = {"", "\n", "(0,1)\n", "(0,1)\t\n", "(0,1)\t7",
        "(0,1) 7\t1\n", "0,1\t7\t1\n", "(0,65536)\t7\t1\n", "(4294967296,1)\t7\t1\n",
        "(0,1)\t99999999999\t1\n", "(,1)\t7\t1\n", "(0,1)\t7x\n", "(-1,1)\t7\t1\n"};
    for (size_t i = 0; i < sizeof(LINES) / sizeof(LINES[0]); i++) {
        ArchiveRowsRead rows = {.count = 0};
        archive_rows_clear(&rows);
        cr_expect(not(add(&rows, LINES[i])), "line %zu", i);
        cr_expect(rows.malformed);
        cr_expect(eq(i64, 0, rows.count));
        archive_rows_free(&rows);
    }
}
