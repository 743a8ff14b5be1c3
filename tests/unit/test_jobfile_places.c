/*
 * Positions in SQL, as the server reports them, must lead back to the character in the file.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "core/jobfile.h"

#define HEAD "job: j\nbackfill: t\n"

static Arena arena;
static JobSpec spec;

static void
teardown(void)
{
    arena_reset(&arena);
}

TestSuite(jobfile_places, .fini = teardown);

static const RawSql *
parse(const char *source)
{
    Err err = ERR_INIT;
    bool ok = jobfile_parse("f.yaml", source, strlen(source), &arena, &spec, &err);
    cr_assert(ok, "%s", err.message);
    return spec.where.text != NULL ? &spec.where : &spec.set[0].expr;
}

static void
expect_error(const RawSql *sql, int offset, const char *message, const char *excerpt)
{
    Err err = ERR_INIT;
    cr_expect(not(jobfile_sql_error(&spec, sql, offset, "oops", &err)));
    cr_expect(eq(int, (int)err.cls, ERR_USER));
    cr_expect_str_eq(err.message, message);
    cr_expect_str_eq(err.excerpt, excerpt);
}

static void
expect_raw(const RawSql *sql, bool exact, int line, int column, int indent)
{
    cr_expect(eq(int, sql->exact, exact));
    cr_expect(eq(int, sql->place.line, line));
    cr_expect(eq(int, sql->place.column, column));
    cr_expect(eq(int, sql->indent, indent));
}

Test(jobfile_places, a_plain_value_on_one_line_is_exact)
{
    const RawSql *sql = parse(HEAD "set:\n  amount:   amount_text::nummeric\n");
    expect_raw(sql, true, 4, 13, 0);
    expect_error(sql, 13, "f.yaml:4:26: oops",
        "  amount:   amount_text::nummeric\n                         ^");
    expect_error(sql, 0, "f.yaml:4:13: oops", "  amount:   amount_text::nummeric\n            ^");
}

Test(jobfile_places, an_offset_behind_the_end_points_behind_the_last_character)
{
    const RawSql *sql = parse(HEAD "set:\n  a: b +\n");
    expect_error(sql, 3, "f.yaml:4:9: oops", "  a: b +\n        ^");
    expect_error(sql, 4000, "f.yaml:4:9: oops", "  a: b +\n        ^");
}

Test(jobfile_places, no_offset_points_to_the_value)
{
    const RawSql *sql = parse(HEAD "set:\n  a: b + c\n");
    expect_error(sql, -1, "f.yaml:4:6: oops", "  a: b + c\n     ^");
}

Test(jobfile_places, offsets_count_characters_not_bytes)
{
    const RawSql *sql = parse(HEAD "set:\n  größe: \u6f22é || x\n");
    expect_raw(sql, true, 4, 10, 0);
    expect_error(sql, 6, "f.yaml:4:16: oops", "  größe: \u6f22é || x\n                ^");
}

Test(jobfile_places, a_block_scalar_is_exact_on_each_of_its_lines)
{
    const RawSql *sql = parse(HEAD "set:\n  a: |\n    case when x\n      then y\n    end\n");
    cr_expect_str_eq(sql->text, "case when x\n  then y\nend");
    expect_raw(sql, true, 5, 5, 4);
    expect_error(sql, 10, "f.yaml:5:15: oops", "    case when x\n              ^");
    expect_error(sql, 19, "f.yaml:6:12: oops", "      then y\n           ^");
    expect_error(sql, 21, "f.yaml:7:5: oops", "    end\n    ^");
    expect_error(sql, 99, "f.yaml:7:8: oops", "    end\n       ^");
}

Test(jobfile_places, a_block_scalar_with_blank_lines_is_exact)
{
    const RawSql *sql = parse(HEAD "set:\n  a: |  # note\n\n  \n    x\n\n    y\n");
    cr_expect_str_eq(sql->text, "x\n\ny");
    expect_raw(sql, true, 7, 5, 4);
    expect_error(sql, 3, "f.yaml:9:5: oops", "    y\n    ^");
}

Test(jobfile_places, a_block_scalar_with_explicit_indentation_is_exact)
{
    const RawSql *sql = parse(HEAD "set:\n  a: |2\n      x\n    y\n");
    cr_expect_str_eq(sql->text, "  x\ny");
    expect_raw(sql, true, 5, 5, 4);
    expect_error(sql, 2, "f.yaml:5:7: oops", "      x\n      ^");
    expect_error(sql, 4, "f.yaml:6:5: oops", "    y\n    ^");
}

Test(jobfile_places, a_block_scalar_with_tabs_and_multibyte_characters_is_exact)
{
    const RawSql *sql = parse(HEAD "set: {a: b}\nwhere: |\n  é\t=\t'\u6f22'\n  or x\n");
    expect_raw(sql, true, 5, 3, 2);
    expect_error(sql, 4, "f.yaml:5:7: oops", "  é\t=\t'\u6f22'\n   \t \t^");
    expect_error(sql, 11, "f.yaml:6:6: oops", "  or x\n     ^");
}

Test(jobfile_places, a_block_scalar_in_a_windows_file_is_exact)
{
    const RawSql *sql =
        parse("\xEF\xBB\xBFjob: j\r\nbackfill: t\r\nset:\r\n  a: |\r\n    x +\r\n    y\r\n");
    expect_raw(sql, true, 5, 5, 4);
    expect_error(sql, 4, "f.yaml:6:5: oops", "    y\n    ^");
}

Test(jobfile_places, a_block_scalar_at_the_end_without_a_line_end_is_exact)
{
    const RawSql *sql = parse(HEAD "set:\n  a: |-\n    x");
    expect_raw(sql, true, 5, 5, 4);
    expect_error(sql, 0, "f.yaml:5:5: oops", "    x\n    ^");
}

Test(jobfile_places, a_quoted_value_is_described_not_counted)
{
    const RawSql *sql = parse(HEAD "set:\n  a: 'b || ''x'' || nope'\n");
    cr_expect_str_eq(sql->text, "b || 'x' || nope");
    expect_raw(sql, false, 4, 6, 0);
    expect_error(sql, 12, "f.yaml:4:6: oops (near \"nope\")", "  a: 'b || ''x'' || nope'\n     ^");
    expect_error(
        sql, 16, "f.yaml:4:6: oops (at the end of the SQL)", "  a: 'b || ''x'' || nope'\n     ^");
    expect_error(sql, -1, "f.yaml:4:6: oops", "  a: 'b || ''x'' || nope'\n     ^");
}

Test(jobfile_places, a_plain_value_on_several_lines_is_described_not_counted)
{
    const RawSql *sql = parse(HEAD "set:\n  a: b +\n     nope\n");
    cr_expect_str_eq(sql->text, "b + nope");
    expect_raw(sql, false, 4, 6, 0);
    expect_error(sql, 4, "f.yaml:4:6: oops (near \"nope\")", "  a: b +\n     ^");
}

Test(jobfile_places, a_folded_value_is_described_not_counted)
{
    const RawSql *sql = parse(HEAD "set:\n  a: >\n    b +\n    c\n\n    d\n");
    cr_expect_str_eq(sql->text, "b + c\nd");
    expect_raw(sql, false, 4, 6, 0);
    expect_error(sql, 4, "f.yaml:4:6: oops (near \"c d\")", "  a: >\n     ^");
}

Test(jobfile_places, a_long_piece_of_sql_is_cut)
{
    const RawSql *sql = parse(HEAD "set:\n  a: \"0123456789012345678901234567890123456789\"\n");
    expect_error(sql, 1, "f.yaml:4:6: oops (near \"12345678901234567890123456789012\")",
        "  a: \"0123456789012345678901234567890123456789\"\n     ^");
}

Test(jobfile_places, an_exotic_line_break_of_yaml_makes_a_block_scalar_inexact)
{
    const RawSql *sql = parse(HEAD "set:\n  a: |\n    x +\xc2\x85    nope\n");
    cr_expect_str_eq(sql->text, "x +\nnope");
    cr_expect(not(sql->exact));
    expect_error(sql, 4, "f.yaml:4:6: oops (near \"nope\")", "  a: |\n     ^");
}

Test(jobfile_places, columns_table_and_key_have_their_places)
{
    (void)parse("job: j\nbackfill:  t\nkey:   [a]\nset:\n   x: y\n   é: z\n");
    cr_expect(eq(int, spec.table_place.line, 2));
    cr_expect(eq(int, spec.table_place.column, 12));
    cr_expect(eq(int, spec.key_place.line, 3));
    cr_expect(eq(int, spec.key_place.column, 8));
    cr_expect(eq(int, spec.set[1].place.line, 6));
    cr_expect(eq(int, spec.set[1].place.column, 4));
    cr_expect(eq(int, spec.set[1].expr.place.column, 7));
}
