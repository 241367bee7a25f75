/* test_hostile.c - names that others chose: in run files, folders, captions and configurations
 *
 * Every one of them tries something: markup, the shell, gnuplot, a path out of the folder, the
 * terminal, bytes that are no text, or sheer length. What is asked: nothing reaches a shell,
 * nothing is written but what was asked for, the page has no markup but ours, and the terminal gets
 * none of their control characters. The run files are as a hook of other people could write them:
 * the labels that our writer would have escaped are put there through HDF5's own functions.
 */
#include "base/file.h"
#include "base/mem.h"
#include "tests/run_made.h"
#include "tests/ss_command.h"

#include <hdf5.h>
#include <hdf5_hl.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/stat.h>

enum { LONG = 1 << 18, N_NAMES = 10 };

static char *names[N_NAMES]; /* of modules, inputs, layers and parameters */
static char owned[128];      /* the file that they try to make */

static char *text_of(const char *fmt)
{
    char *text = NULL;

    assert_true(asprintf(&text, fmt, owned, owned) >= 0);
    return text;
}

static int make_names(void **state)
{
    if (make_tmp(state) != 0)
        return -1;
    snprintf(owned, sizeof owned, "%s/owned", tmp_dir);
    names[0] = strdup("up_blocks.0.<script>alert(1)</script></script><!--");
    names[1] = strdup("up_blocks.1.x\" onload=\"alert(1)\" '><img src=x onerror=alert(1)>");
    names[2] = text_of("`touch %s`$(touch %s);&|");
    names[3] = text_of("x'; system 'touch %s' #");
    names[4] = text_of("x'\n!touch %s\nset output '%s'\nEOD\nplot @x\n");
    names[5] = text_of("../../../../../../..%s");
    names[6] = strdup("down_blocks.0.\x1b]0;owned\x07\x1b[2J\r\x7f\xc2\x9b\xe2\x80\xae");
    names[7] = strdup("mid_block.\xff\xfe%s%n%999999d\\");
    names[8] = malloc(LONG + 1);
    memset(names[8], 'w', LONG);
    names[8][LONG] = '\0';
    names[9] = strdup("");
    return 0;
}

static int drop_names(void **state)
{
    for (int i = 0; i < N_NAMES; i++)
        free(names[i]);
    return remove_tmp(state);
}

/* ---- the run file ---- */

static void replace_labels(hid_t file, const char *axis, int n)
{
    const hsize_t dim = (hsize_t)n;
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate_simple(1, &dim, NULL);

    H5Tset_size(type, H5T_VARIABLE);
    H5Tset_cset(type, H5T_CSET_UTF8);
    assert_true(H5Ldelete(file, axis, H5P_DEFAULT) >= 0);
    hid_t set = H5Dcreate2(file, axis, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(set >= 0);
    assert_true(H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, names) >= 0);
    H5Dclose(set);
    H5Sclose(space);
    H5Tclose(type);
}

static void made_stats(const made_run *m, int module, int input, int sigma, int sample, ss_stats *s)
{
    s->absmax = (float)(m->factor * (1 + module) * (1 + sigma) * (1 + 0.1 * sample + input));
    s->rms = s->absmax / 3;
    s->max = s->absmax;
}

static ss_attention_stats made_attention(const made_run *m, int layer, int head, int input,
                                         int sigma, int sample)
{
    (void)m, (void)head, (void)input, (void)sample;
    return (ss_attention_stats){
        .entropy = 0.05f, .entropy_min = 0.01f, .max_logit = (float)(10 * layer + sigma)};
}

static double made_loss(const made_run *m, int input, int sigma, int sample)
{
    return m->factor * (1 + input + sigma + sample);
}

/* A run whose largest values, times the factor, exceed fp16. */
static const char *hostile_run(const char *name, double factor)
{
    static const char *const plain[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
    static const double sigmas[] = {0.1, 1, 10, 80};
    static const char *const attributes[] = {"model_path", "family",    "tool",
                                             "command",    "condition", "prediction_type",
                                             "device",     "created",   "plan"};
    const char *path = in_tmp(name);
    ss_run_layer layers[N_NAMES];
    ss_run_parameter parameters[N_NAMES];

    for (int i = 0; i < N_NAMES; i++) {
        layers[i] = (ss_run_layer){plain[i], 2, 16};
        parameters[i] = (ss_run_parameter){plain[i], 2, 1, 0};
    }
    const made_run m = {.model_path = "m",
                        .sha256 = "00",
                        .modules = plain,
                        .n_modules = N_NAMES,
                        .inputs = plain,
                        .n_inputs = N_NAMES,
                        .sigmas = sigmas,
                        .n_sigmas = N_OF(sigmas),
                        .n_samples = 2,
                        .factor = factor,
                        .stats = made_stats,
                        .layers = layers,
                        .n_layers = N_NAMES,
                        .attention = made_attention,
                        .loss = made_loss,
                        .parameters = parameters,
                        .n_parameters = N_NAMES};

    make_run(path, &m);
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    assert_true(file >= 0);
    replace_labels(file, "/axes/module", N_NAMES);
    replace_labels(file, "/axes/input", N_NAMES);
    replace_labels(file, "/axes/layer", N_NAMES);
    replace_labels(file, "/axes/parameter", N_NAMES);
    for (size_t i = 0; i < N_OF(attributes); i++) {
        if (H5Aexists(file, attributes[i]) > 0)
            H5Adelete(file, attributes[i]);
        assert_true(H5LTset_attribute_string(file, "/", attributes[i], names[i % 8]) >= 0);
    }
    assert_true(H5Fclose(file) >= 0);
    return path;
}

/* ---- what is asked of everything ---- */

static void assert_not_owned(const char *what)
{
    if (access(owned, F_OK) == 0)
        fail_msg("%s: a name was run as a command, or written to", what);
}

/* Runs it; whatever it prints must not drive the terminal. */
static void harmless(const char *args, int status, const char *text)
{
    expect(args, status, text);
    assert_not_owned(args);
    for (const char *p = output; *p; p++) {
        const unsigned char c = (unsigned char)*p;

        if ((c < 0x20 && c != '\n') || c == 0x7f || (c == 0xc2 && (unsigned char)p[1] < 0xa0))
            fail_msg("%s: prints the control character \\x%02x", args, c);
    }
}

static bool is_one_of(const char *word, size_t n, const char *const *list, size_t n_list)
{
    for (size_t i = 0; i < n_list; i++) {
        if (strlen(list[i]) == n && strncmp(word, list[i], n) == 0)
            return true;
    }
    return false;
}

/* The tag at p, which begins with '<', has attributes of ours alone; its end. */
static const char *check_tag(const char *p)
{
    static const char *const known[] = {"html",
                                        "class",
                                        "id",
                                        "src",
                                        "srcset",
                                        "media",
                                        "alt",
                                        "width",
                                        "height",
                                        "href",
                                        "rel",
                                        "name",
                                        "content",
                                        "lang",
                                        "charset",
                                        "loading",
                                        "type",
                                        "min",
                                        "max",
                                        "value",
                                        "style",
                                        "data-v",
                                        "title",
                                        "scope",
                                        "aria-label",
                                        "colspan",
                                        "rowspan",
                                        "open",
                                        "step",
                                        "role",
                                        "tabindex",
                                        "aria-hidden",
                                        "aria-pressed",
                                        "cx",
                                        "cy",
                                        "d",
                                        "data-line",
                                        "fill",
                                        "fill-opacity",
                                        "font-size",
                                        "points",
                                        "preserveAspectRatio",
                                        "r",
                                        "stroke-dasharray",
                                        "stroke-width",
                                        "text-anchor",
                                        "transform",
                                        "viewBox",
                                        "x",
                                        "y"};
    const char *tag = p;

    p += 1 + strcspn(p + 1, " >\n");
    while (*(p += strspn(p, " /\n")) && *p != '>') {
        const size_t n = strcspn(p, "= />\n");

        if (!is_one_of(p, n, known, N_OF(known)))
            fail_msg("the page has an attribute that is not ours: %.80s", tag);
        p += n;
        if (*p == '=') {
            if (p[1] != '"')
                fail_msg("the page has an attribute without quotes: %.80s", tag);
            p += 2;
            p += strcspn(p, "\"") + 1;
        }
    }
    return p;
}

/* No element, and no attribute, but those that we write; scripts are ours from end to end. */
static void check_markup(const char *folder)
{
    static const char *const known[] = {
        "!DOCTYPE", "html",  "head",    "meta",       "link",    "title",  "style", "body",
        "header",   "h1",    "h2",      "h3",         "p",       "span",   "div",   "ul",
        "li",       "table", "thead",   "tbody",      "tr",      "th",     "td",    "caption",
        "figure",   "img",   "source",  "figcaption", "picture", "button", "input", "output",
        "script",   "pre",   "code",    "details",    "summary", "b",      "em",    "strong",
        "a",        "ol",    "section", "main",       "footer",  "nav",    "dl",    "dt",
        "dd",       "br",    "small",   "i",          "svg",     "path",   "text",  "circle",
        "polygon",  "image", "wbr"};
    char path[600], *page;
    ss_err e = {0};
    int n = 0;

    snprintf(path, sizeof path, "%s/index.html", folder);
    if (ss_file_read(path, 256 << 20, &page, NULL, &e) != SS_OK)
        fail_msg("%s", e.msg);
    for (const char *p = page; (p = strchr(p, '<')); n++) {
        const char *name = p + 1 + (p[1] == '/');
        const size_t len = strcspn(name, " />\n");
        const bool script = strncmp(p, "<script", 7) == 0, style = strncmp(p, "<style", 6) == 0;

        if (!is_one_of(name, len, known, N_OF(known)))
            fail_msg("the page has an element that is not ours: %.80s", p);
        p = check_tag(p);
        if (script || style) {
            const char *end = strstr(p, script ? "</script" : "</style");

            assert_non_null(end);
            for (; p < end; p++)
                assert_false(strncmp(p, "alert(", 6) == 0);
        }
    }
    assert_true(n > 100);
    assert_null(strstr(page, "<script>alert"));
    assert_non_null(strstr(page, "&lt;script&gt;alert(1)"));
    ss_free(page);
}

/* ---- run files ---- */

static void test_analyze(void **state)
{
    (void)state;
    static const char *const commands[] = {"analyze $D/a.h5", "analyze $D/a.h5 --format fp16",
                                           "attn $D/a.h5", "compare $D/a.h5 $D/b.h5",
                                           "inspect $D/a.h5"};
    json_t *j;

    hostile_run("a.h5", 1000);
    hostile_run("b.h5", 3000);
    harmless(commands[0], 0, "\\x1b]0;owned");
    harmless(commands[2], 0, NULL);
    harmless(commands[3], 0, NULL);
    harmless("analyze $D/a.h5 $D/b.h5 --steps 1,2", 0, NULL);
    for (int i = 0; i < 4; i += 2) {
        char command[256];

        snprintf(command, sizeof command, "%s --json > $D/out.json", commands[i]);
        expect(command, 0, NULL);
        assert_non_null(j = json_load_file(in_tmp("out.json"), 0, NULL));
        json_decref(j);
    }
}

/* Pastes what is printed to be pasted. */
static void test_keep(void **state)
{
    (void)state;
    char *paste = NULL;
    int literals = 0;
    FILE *f;

    harmless("analyze $D/a.h5 --keep-fp32 fp16", 0, "keep_fp32 = [");
    for (char *line = strstr(output, "    \""); line && strncmp(line, "    \"", 5) == 0;
         line = strchr(line, '\n') + 1, literals++) {
        const char *p = line + 5;

        for (; *p != '"' && *p != '\n'; p++)
            p += *p == '\\'; /* and what it escapes */
        if (strncmp(p, "\",\n", 3) != 0)
            fail_msg("no Python literal: %.200s", line);
    }
    assert_int_equal(literals, 9); /* the first stays below 65504 */
    const char *from = strstr(output, "\n--precision ");
    assert_non_null(from);
    assert_true(asprintf(&paste, "printf '%%s\\n' %s", from + 1) > 0);
    write_file(in_tmp("paste.sh"), paste, strlen(paste));
    free(paste);
    assert_true(asprintf(&paste, "sh %s/paste.sh 2>&1", tmp_dir) > 0);
    assert_non_null(f = popen(paste, "r"));
    while (fgets(output, sizeof output, f))
        assert_null(strstr(output, "not found"));
    assert_int_equal(pclose(f), 0);
    free(paste);
    assert_not_owned("the pasted arguments");
}

static void test_report(void **state)
{
    (void)state;
    const int before = count_files(tmp_dir);

    harmless("report $D/a.h5 -o $D/report", 0, "index.html");
    check_markup(in_tmp("report"));
    harmless("report $D/a.h5 $D/b.h5 -o $D/report2", 0, "index.html");
    check_markup(in_tmp("report2"));
    assert_int_equal(count_files(tmp_dir), before + 2);
}

/* ---- folders of models ---- */

static void test_generate(void **state)
{
    (void)state;
    static const char *const links[] = {"a<script>alert(1)<", "b'\"`touch x`$(touch x); touch x #",
                                        "c\x1b[2J\n"};
    char path[600], model[400], here[300];
    struct dirent *entry;
    int n = 0;

    mkdir(in_tmp("models"), 0777);
    mkdir(in_tmp("bytes"), 0777);
    assert_non_null(getcwd(here, sizeof here));
    snprintf(model, sizeof model, "%s/%s", here, MODEL);
    for (size_t i = 0; i < N_OF(links); i++) {
        snprintf(path, sizeof path, "%s/models/%s", tmp_dir, links[i]);
        assert_int_equal(symlink(model, path), 0);
    }
    snprintf(path, sizeof path, "%s/bytes/\xff\xfe", tmp_dir);
    assert_int_equal(symlink(model, path), 0);
    harmless("generate $D/models/* -o $D/samples --class 1 --steps 1 --samples 1 --quiet", 0,
             "samples/sheet.png");
    DIR *d = opendir(in_tmp("samples"));
    assert_non_null(d);
    for (; (entry = readdir(d)); n++) {
        if (entry->d_name[strspn(entry->d_name, "abcdefghijklmnopqrstuvwxyz"
                                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")])
            fail_msg("a folder is called %s", entry->d_name);
    }
    closedir(d);
    assert_int_equal(n, 2 + 3 + 2); /* . and .., models, sheet.png, generate.json */
    harmless("generate $D/bytes/* -o $D/samples2 --class 1 --steps 1 --samples 1 --quiet", 1,
             "cannot be written as JSON");
    assert_int_equal(access(in_tmp("samples2"), F_OK), -1);
    harmless("generate $D/$(printf %0100000d 0) -o $D/samples2", 1, "0000");
    assert_true(strlen(output) < 2000);
    harmless("probe $D/models/c* -o $D/probed.h5 --class 1 --sigmas 1,10 --quiet", 0, "probed.h5");
    harmless("analyze $D/probed.h5", 0, NULL);
    harmless("probe $D/models/c* -o $D/no.h5 --inputs \"$(printf 'x\\033[2J\\n%0100000d' 0)\"", 2,
             "...");
    assert_int_equal(access("x", F_OK), -1);
}

/* ---- training ---- */

static const char config[] =
    "{\"steps\": 4, \"batch\": 2,"
    " \"model\": {\"_class_name\": \"UNet2DModel\", \"sample_size\": 8, \"in_channels\": 1,"
    "  \"out_channels\": 1, \"layers_per_block\": 1, \"block_out_channels\": [8, 16],"
    "  \"down_block_types\": [\"DownBlock2D\", \"AttnDownBlock2D\"],"
    "  \"up_block_types\": [\"AttnUpBlock2D\", \"UpBlock2D\"], \"attention_head_dim\": 8,"
    "  \"norm_num_groups\": 4, \"num_class_embeds\": 4},"
    " \"data\": {\"kind\": \"folder\", \"path\": \"pictures\"},"
    " \"statistics\": {\"every\": 2}, \"checkpoints\": {\"every\": 4}}";

static void write_captions(const char *file, const char *text)
{
    json_t *j = json_pack("{s:s, s:s}", "file", file, "text", text);

    assert_non_null(j);
    assert_int_equal(json_dump_file(j, in_tmp("pictures/captions.jsonl"), JSON_COMPACT), 0);
    json_decref(j);
}

#define TRAIN "train $D/train.json --quiet --threads 1 "

static void test_captions(void **state)
{
    (void)state;
    const char *const bad[] = {"../a.png", "/etc/passwd", "x/../../a.png", ""};
    char *name = malloc(LONG + 1);

    mkdir(in_tmp("pictures"), 0777);
    write_file(in_tmp("train.json"), config, sizeof config - 1);
    expect("--version && cp demo/fashion-mnist/images/$(ls demo/fashion-mnist/images | grep png | "
           "head -n 1) $D/pictures/a.png",
           0, NULL);
    for (size_t i = 0; i < N_OF(bad); i++) {
        write_captions(bad[i], "text");
        harmless(TRAIN "-o $D/out", 1, "expected the name of a PNG file in the folder");
    }
    write_captions("\x1b[2J\x07.png", "text");
    harmless(TRAIN "-o $D/out", 1, "?[2J?.png");
    memset(name, 'n', LONG);
    name[LONG] = '\0';
    write_captions(name, "text");
    harmless(TRAIN "-o $D/out", 1, "nnnn");
    assert_true(strlen(output) < 2000);
    free(name);
    assert_int_equal(access(in_tmp("out"), F_OK), -1);
    for (int i = 0; i < N_NAMES; i++) { /* captions are texts, and nothing else */
        if (i == 7)
            continue; /* JSON is UTF-8 */
        write_captions("a.png", names[i]);
        harmless("train $D/train.json --threads 1 --steps 1 --set statistics.every=0 -o $D/out && "
                 "rm -r $D/out",
                 0, NULL);
    }
}

/* Checks that the commands suggested for the next step are safe to paste. */
static void test_output(void **state)
{
    (void)state;
    char lines[4096] = "sigmascope() { test $# -gt 1; }\n", command[256];

    write_captions("a.png", "text");
    harmless(TRAIN "-o \"$D/out;false;'\\$(id)\"", 0, "sigmascope analyze '");
    for (const char *p = output; (p = strstr(p, "\nsigmascope ")); p++) {
        const size_t n = strlen(lines);

        snprintf(lines + n, sizeof lines - n, "%.*s || exit 1\n", (int)strcspn(p + 1, "\n"), p + 1);
    }
    write_file(in_tmp("next.sh"), lines, strlen(lines));
    snprintf(command, sizeof command, "sh %s/next.sh", tmp_dir);
    assert_int_equal(system(command), 0);
    assert_not_owned("the pasted lines");
    harmless(TRAIN "-o $D/$(printf %0100000d 0)", 1, "0000");
    assert_true(strlen(output) < 2000);
    harmless(TRAIN "-o $D/out --set \"$(printf 'a\\033[2J=1')\"", 2, "\\x1b[2J");
}

/* A story is a folder of other people's trainings. */
static void test_story(void **state)
{
    (void)state;
    static const char event[] = "{\"step\":2,\"event\":\"overflow\",\"module\":"
                                "\"up<script>alert(1)</script>\\u001b[2J\",\"sigma\":50}\n";

    mkdir(in_tmp("story"), 0777);
    harmless(TRAIN "-o \"$D/story/baseline-<script>alert(1)<\" && "
                   "cp -r \"$D/story/baseline-<script>alert(1)<\" $D/story/baseline-1",
             0, NULL);
    write_file(in_tmp("story/baseline-1/events.jsonl"), event, sizeof event - 1);
    harmless("report $D/a.h5 --story $D/story -o $D/told", 0, "index.html");
    check_markup(in_tmp("told"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_analyze),  cmocka_unit_test(test_keep),
        cmocka_unit_test(test_report),   cmocka_unit_test(test_generate),
        cmocka_unit_test(test_captions), cmocka_unit_test(test_output),
        cmocka_unit_test(test_story),
    };
    return cmocka_run_group_tests(tests, make_names, drop_names);
}
