/* test_data_out.c - what commands print with --json, --csv, --table and --wide */
#include "base/child.h"
#include "tests/ss_command.h"
#include "tests/ss_test.h"

#include <jansson.h>

#define RUN "tests/golden/outsider.h5"
#define OTHER "tests/golden/transformer.h5"

/* Runs a command with --json and holds what it prints against the schema. */
static json_t *valid(const char *arguments, int status)
{
    char line[1000], said[2000];
    ss_child child;
    ss_err e = {0};

    snprintf(line, sizeof line, "%s --json --quiet", arguments);
    expect(line, status, "\"schema\": \"sigmascope-tables/1.0\"");
    FILE *f = fopen(in_tmp("out.json"), "w");

    assert_non_null(f);
    assert_true(fputs(output, f) >= 0 && fclose(f) == 0);
    const char *const validate[] = {"docs/schema/tables.schema.json", in_tmp("out.json"), NULL};

    assert_int_equal(ss_child_start(&child, "tests/validate", validate, NULL, &e), SS_OK);
    const int rc = ss_child_end(&child, said, sizeof said);
    if (rc != 0 && rc != 77)
        fail_msg("%s: %s", arguments, said);
    json_t *j = json_load_file(in_tmp("out.json"), 0, NULL);

    assert_non_null(j);
    return j;
}

static void test_json_fits_the_schema(void **state)
{
    (void)state;
    static const struct {
        const char *arguments;
        int status;
    } cases[] = {
        {"analyze " RUN, 0},
        {"analyze " RUN " --table headroom", 0},
        {"analyze " OTHER " --format fp8-e4m3", 0},
        {"analyze " RUN " --keep-fp32 fp16", 0},
        {"analyze " RUN " " RUN " --steps 100,200", 0},
        {"compare " RUN " " RUN, 0},
        {"inspect $M", 0},
        {"convert $M $D/copy.safetensors --force", 0},
        {"spectrum demo/fashion-mnist/images/0-t-shirt.png", 0},
    };

    for (size_t i = 0; i < N_OF(cases); i++)
        json_decref(valid(cases[i].arguments, cases[i].status));
}

static void test_rows_name_modules(void **state)
{
    (void)state;
    json_t *j = valid("analyze " OTHER, 0);
    const json_t *row = json_array_get(json_object_get(json_object_get(j, "growth"), "rows"), 0);
    const json_t *also = json_object_get(row, "also");

    assert_string_equal(json_string_value(json_object_get(row, "module")),
                        "transformer_blocks.1.ff.net.2");
    assert_string_equal(json_string_value(json_object_get(row, "port")), "output");
    assert_int_equal(json_array_size(also), 1);
    assert_string_equal(json_string_value(json_array_get(also, 0)), "transformer_blocks.1.ff");
    json_decref(j);

    /* the container is a name for the row, too */
    expect("analyze " OTHER " --modules transformer_blocks.1.ff --table growth", 0,
           "transformer_blocks.1.ff = .net.2");
}

static void test_one_table(void **state)
{
    (void)state;
    expect("analyze " OTHER " --table growth", 0, "growth\n");
    assert_null(strstr(output, "headroom"));
    expect("analyze " OTHER " --table grwth", 2, "those there are: ");
    assert_non_null(strstr(output, "'growth', 'headroom'"));
    json_t *j = valid("analyze " OTHER " --table growth", 0);

    assert_int_equal(json_object_size(j), 2);
    json_decref(j);
}

static void test_csv(void **state)
{
    (void)state;
    expect("analyze " OTHER " --csv", 0, "\n\n# growth\nmodule,also,port,low,mid,high,");
    assert_non_null(
        strstr(output, "\ntransformer_blocks.1.ff.net.2,transformer_blocks.1.ff,output,"));
    expect("analyze " OTHER " --csv --table growth", 0, NULL);
    assert_int_equal(strncmp(output, "module,also,port,low,", 21), 0);
    int lines = 0;

    for (const char *p = output; *p; p++)
        lines += *p == '\n';
    assert_int_equal(lines, 1 + 68); /* all rows, and no empty line */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_fits_the_schema),
        cmocka_unit_test(test_rows_name_modules),
        cmocka_unit_test(test_one_table),
        cmocka_unit_test(test_csv),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
