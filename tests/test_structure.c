/* test_structure.c - the list of what lets activations grow: true of each network
 *
 * What modules of diffusers read was tried out in PyTorch (tests/golden/make_structure.py): a
 * source was enlarged, and who got larger values reads it without a norm. The list has to name
 * those and no others.
 */
#include "analyze/one/structure.h"
#include "base/str.h"
#include "models/structure.h"
#include "tests/made_model.h"
#include "tests/run_made.h"
#include "tests/ss_command.h"

#define UNETS "tests/golden/unets"

/* ---- helpers ---- */

static ss_structure *list_of(const ss_model *m, const float *absmax)
{
    ss_structure *s;
    ss_err e = {0};

    if (ss_structure_new(m, absmax, &s, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return s;
}

/* The list of a network that was never trained. */
static ss_structure *list_of_config(const char *config, ss_model **m)
{
    json_t *j = json_loads(config, 0, NULL);
    ss_err e = {0};

    assert_non_null(j);
    if (ss_model_create(j, "made", &(ss_init){.seed = 1}, m, &e) != SS_OK)
        fail_msg("%s", e.msg);
    json_decref(j);
    return list_of(*m, NULL);
}

#define X(name, text) text,
static const char *const kind_names[] = {SS_STRUCTURE_KINDS(X)};
#undef X

/* The first row of a kind, at a place unless that is NULL; NULL: there is none. */
static const ss_structure_row *row_of(const ss_structure *s, ss_structure_kind kind,
                                      const char *place)
{
    for (int i = 0; i < s->n; i++) {
        if (strcmp(s->rows[i].kind, kind_names[kind]) == 0 &&
            (!place || strcmp(s->rows[i].place, place) == 0))
            return &s->rows[i];
    }
    return NULL;
}

static bool ends_in(const char *text, const char *end)
{
    const size_t n = strlen(text), k = strlen(end);

    return n >= k && strcmp(text + n - k, end) == 0;
}

/* ---- against PyTorch ---- */

/* A golden list, and the rows and modules of ours that claim the same. */
typedef struct {
    const char *golden;
    ss_structure_kind kinds[2];
    const char *ends[9];  /* only modules whose path ends so; none: all */
    const char * not [2]; /* and none in whose path this is */
} claim;

static const claim claims[] = {
    {"stream",
     {SS_STRUCTURE_ATTENTION, SS_STRUCTURE_CONVOLUTION},
     {"to_q", "to_k", "to_v", "to_out.0", "add_k_proj", "add_v_proj", ".conv", "conv_shortcut",
      "proj_out"},
     {0}},
    {"text", {SS_STRUCTURE_TEXT, SS_STRUCTURE_TEXT}, {0}, {0}},
    {"embedding",
     {SS_STRUCTURE_MODULATION, SS_STRUCTURE_EMBEDDING},
     {"time_emb_proj", "conv2"},
     {0}},
    {"picture", {SS_STRUCTURE_INPUT, SS_STRUCTURE_INPUT}, {0}, {0}},
    {"undivided", {SS_STRUCTURE_SUM, SS_STRUCTURE_SUM}, {0}, {"transformer_blocks.", "_sum"}},
};

static bool counts(const claim *c, const char *module)
{
    bool any = !c->ends[0];

    for (int i = 0; i < 9 && c->ends[i]; i++)
        any = any || ends_in(module, c->ends[i]);
    for (int i = 0; i < 2 && c->not [i]; i++)
        any = any && !strstr(module, c->not [i]);
    return any;
}

static bool is_of(const claim *c, const ss_structure_row *r)
{
    return strcmp(r->kind, kind_names[c->kinds[0]]) == 0 ||
           strcmp(r->kind, kind_names[c->kinds[1]]) == 0;
}

static bool ours_has(const ss_structure *s, const claim *c, const char *module)
{
    for (int i = 0; i < s->n; i++) {
        if (is_of(c, &s->rows[i]) && ss_structure_names(&s->rows[i], module))
            return true;
    }
    return false;
}

static bool golden_has(const json_t *list, const char *module)
{
    const json_t *item;
    size_t i;

    json_array_foreach(list, i, item)
    {
        if (strcmp(json_string_value(item), module) == 0)
            return true;
    }
    return false;
}

/* Modules that read the text when there is one, and the stream when there is none, which a list of
 * the network says both of: only what this run did can be compared. */
static bool depends(const char *module, bool told_text)
{
    return told_text && (ends_in(module, "add_k_proj") || ends_in(module, "add_v_proj") ||
                         ends_in(module, "to_out.0"));
}

static int compare_claim(const char *name, const ss_structure *s, const claim *c,
                         const json_t *golden)
{
    const json_t *list = json_object_get(golden, c->golden), *item;
    const bool told = json_is_true(json_object_get(golden, "told_text"));
    char module[600];
    int n = 0;
    size_t k;

    assert_true(json_is_array(list));
    if (strcmp(c->golden, "text") == 0 && !told)
        return 0;
    json_array_foreach(list, k, item)
    {
        if (!ours_has(s, c, json_string_value(item)))
            fail_msg("%s: PyTorch's %s has %s, the list has not", name, c->golden,
                     json_string_value(item));
        n++;
    }
    for (int i = 0; i < s->n; i++) {
        const char *at = is_of(c, &s->rows[i]) ? s->rows[i].modules : NULL;

        while (ss_structure_next(&at, module, sizeof module)) {
            if (counts(c, module) && !golden_has(list, module) &&
                !(strcmp(c->golden, "stream") == 0 && depends(module, told)))
                fail_msg("%s: '%s' names %s, PyTorch's %s does not", name, s->rows[i].kind, module,
                         c->golden);
        }
    }
    return n;
}

static void test_reads_what_pytorch_reads(void **state)
{
    (void)state;
    json_t *all = json_load_file("tests/golden/structure.json", 0, NULL), *golden;
    const char *name;
    int modules = 0, networks = 0;

    assert_non_null(all);
    json_object_foreach(all, name, golden)
    {
        char path[600], sums[80];
        ss_model *m;
        ss_err e = {0};

        snprintf(path, sizeof path, UNETS "/%s", name);
        if (ss_model_open(path, NULL, &m, &e) != SS_OK)
            fail_msg("%s", e.msg);
        ss_structure *s = list_of(m, NULL);

        for (size_t i = 0; i < sizeof claims / sizeof *claims; i++)
            modules += compare_claim(name, s, &claims[i], golden);
        snprintf(sums, sizeof sums, " %lld sums from conv_in to conv_norm_out",
                 (long long)json_integer_value(json_object_get(golden, "sums")));
        for (int i = 0; i < s->n; i++) {
            if (strstr(s->rows[i].reads, "conv_norm_out") && !strstr(s->rows[i].reads, sums))
                fail_msg("%s: '%s', PyTorch has%s", name, s->rows[i].reads, sums);
        }
        networks++;
        ss_structure_free(s);
        ss_model_close(m);
    }
    json_decref(all);
    print_message("%d modules of %d networks\n", modules, networks);
    assert_int_equal(networks, 51);
    assert_true(modules > 1000);
}

/* ---- what decides over a row ---- */

#define SMALL                                                                            \
    "\"_class_name\": \"UNet2DModel\", \"sample_size\": 8, \"in_channels\": 1,"          \
    "\"out_channels\": 1, \"block_out_channels\": [8, 16], \"layers_per_block\": 1,"     \
    "\"down_block_types\": [\"DownBlock2D\", \"AttnDownBlock2D\"],"                      \
    "\"up_block_types\": [\"AttnUpBlock2D\", \"UpBlock2D\"], \"attention_head_dim\": 8," \
    "\"norm_num_groups\": 4, \"resnet_time_scale_shift\": \"scale_shift\""

static void test_attention_without_norm(void **state)
{
    (void)state;
    ss_model *m;
    ss_structure *s = list_of_config("{" SMALL "}", &m);
    const ss_structure_row *r = row_of(s, SS_STRUCTURE_ATTENTION, NULL);

    assert_non_null(r);
    assert_string_equal(r->place, "middle");
    assert_string_equal(r->modules, "mid_block.attentions.0, mid_block.attentions.0.to_q, "
                                    "mid_block.attentions.0.to_k, mid_block.attentions.0.to_v, "
                                    "mid_block.attentions.0.to_out.0");
    assert_string_equal(r->key, "attn_norm_num_groups");
    assert_string_equal(r->value, "absent");
    assert_ptr_equal(r, s->rows); /* it is first */
    ss_structure_free(s);
    ss_model_close(m);

    s = list_of_config("{" SMALL ", \"attn_norm_num_groups\": 4}", &m);
    assert_null(row_of(s, SS_STRUCTURE_ATTENTION, NULL));
    ss_structure_free(s);
    ss_model_close(m);

    s = list_of_config("{" SMALL ", \"remedies\": {\"cosine_attention\": true}}", &m);
    r = row_of(s, SS_STRUCTURE_ATTENTION, NULL); /* v still reads the stream */
    assert_non_null(strstr(r->why, "cosine"));
    assert_null(row_of(s, SS_STRUCTURE_LOGITS, NULL));
    assert_null(row_of(s, SS_STRUCTURE_UPCAST, NULL));
    ss_structure_free(s);
    ss_model_close(m);
}

static void test_sums_and_factors(void **state)
{
    (void)state;
    ss_model *m;
    ss_structure *s = list_of_config("{" SMALL ", \"mid_block_scale_factor\": 1.4142}", &m);

    assert_null(row_of(s, SS_STRUCTURE_SUM, "middle"));
    const ss_structure_row *r = row_of(s, SS_STRUCTURE_SUM, "encoder");
    assert_string_equal(r->modules, "down_blocks.0.resnets.0, down_blocks.1.attentions.0, "
                                    "down_blocks.1.resnets.0");
    assert_string_equal(r->key, "remedies.residual_scale");
    ss_structure_free(s);
    ss_model_close(m);

    /* a sum that is divided by less than one is multiplied */
    s = list_of_config("{" SMALL ", \"mid_block_scale_factor\": 0.5}", &m);
    r = row_of(s, SS_STRUCTURE_SUM, "middle");
    assert_string_equal(r->key, "mid_block_scale_factor");
    assert_string_equal(r->value, "0.5");
    assert_non_null(strstr(r->modules, "mid_block.resnets.0.residual_sum"));
    ss_structure_free(s);
    ss_model_close(m);

    s = list_of_config("{" SMALL ", \"remedies\": {\"residual_scale\": 0.7071, \"skip_scale\": "
                       "\"learned\"}}",
                       &m);
    assert_null(row_of(s, SS_STRUCTURE_SUM, NULL));
    r = row_of(s, SS_STRUCTURE_FACTOR, "decoder");
    assert_string_equal(r->modules, "up_blocks.0.resnets.0, up_blocks.0.resnets.1, "
                                    "up_blocks.1.resnets.0, up_blocks.1.resnets.1");
    assert_string_equal(r->value, "\"learned\"");
    ss_structure_free(s);
    ss_model_close(m);

    s = list_of_config("{" SMALL ", \"remedies\": {\"clamp\": 20}}", &m);
    assert_null(row_of(s, SS_STRUCTURE_SUM, NULL)); /* what blocks put out is limited */
    ss_structure_free(s);
    ss_model_close(m);
}

static void test_magnitude_preserving(void **state)
{
    (void)state;
    ss_model *m;
    ss_err e = {0};

    assert_int_equal(ss_model_open("tests/golden/remedies/magnitude", NULL, &m, &e), SS_OK);
    ss_structure *s = list_of(m, NULL);
    for (int i = 0; i < s->n; i++)
        assert_string_equal(s->rows[i].kind, kind_names[SS_STRUCTURE_FACTOR]);
    assert_true(ss_structure_names(row_of(s, SS_STRUCTURE_FACTOR, "output"), "conv_out"));
    ss_structure_free(s);
    ss_model_close(m);
}

static void test_score_network(void **state)
{
    (void)state;
    ss_model *m;
    ss_err e = {0};

    assert_int_equal(ss_model_open(UNETS "/ncsnpp", NULL, &m, &e), SS_OK);
    ss_structure *s = list_of(m, NULL);
    assert_string_equal(row_of(s, SS_STRUCTURE_DIVISION, NULL)->modules, SS_ROOT);
    assert_string_equal(row_of(s, SS_STRUCTURE_INPUT, "encoder")->modules,
                        "down_blocks.0.skip_conv, down_blocks.1.skip_conv");
    const ss_structure_row *r = row_of(s, SS_STRUCTURE_SUM, NULL); /* the others are divided */
    assert_string_equal(r->place, "decoder");
    assert_string_equal(r->modules, "up_blocks.0.image_sum, up_blocks.1.image_sum");
    ss_structure_free(s);
    ss_model_close(m);
}

static void zero_ends(const char *name, float *values, size_t n)
{
    if (strcmp(name, "up_blocks.0.resnets.0.conv2.weight") == 0 ||
        strcmp(name, "up_blocks.0.resnets.0.conv1.weight") == 0 || /* no end of a branch */
        strcmp(name, "conv_out.weight") == 0)
        memset(values, 0, n * sizeof *values);
}

static void test_ends_that_are_zero(void **state)
{
    (void)state;
    char dir[600];

    snprintf(dir, sizeof dir, "%s/zero", tmp_dir);
    make_model(dir, "{" SMALL "}", zero_ends);
    expect("inspect --quiet --details $D/zero", 0,
           "end that is zero: weights that are all zero now; the branch adds nothing yet: what it "
           "will add is still to come\n");
    assert_non_null(strstr(output, "    decoder  up_blocks.0.resnets.0.conv2\n"));
    assert_non_null(strstr(output, "    output  conv_out\n"));
}

static void test_inspect(void **state)
{
    (void)state;
    expect("inspect --quiet --details " UNETS "/scale-shift", 0,
           "attention without norm: q, k and v of the stream, without a norm before; q and k grow "
           "with the stream, logits with its square\n"
           "  attn_norm_num_groups is absent; a number of groups puts a norm there\n"
           "    middle  mid_block.attentions.0, mid_block.attentions.0.to_q and 3 more\n");
    expect("inspect --quiet --json " UNETS "/scale-shift", 0, "\"structure\"");
    expect("inspect --quiet --details " UNETS "/scale-shift-attn-groups", 0,
           "convolution without norm: the stream");
    assert_null(strstr(output, "attention without norm"));
    assert_non_null(strstr(output, "\noptions\n"));
}

static void exceed_fp16(const char *name, float *values, size_t n)
{
    if (n && strcmp(name, "conv_in.weight") == 0)
        values[0] = -65510; /* rounds to the largest number */
    if (n && strcmp(name, "conv_out.weight") == 0)
        values[0] = -65530;
}

/* The first screen: whether the weights are sound, and the structure at a glance. */
static void test_inspect_first(void **state)
{
    (void)state;
    char dir[600];

    expect("inspect --quiet " UNETS "/scale-shift", 0, "attn_norm_num_groups\n");
    assert_true(strncmp(output, "weights: all finite, the largest |w| is ", 40) == 0);
    assert_null(strstr(output, "fp16"));
    assert_null(strstr(output, "\noptions\n"));
    snprintf(dir, sizeof dir, "%s/over", tmp_dir);
    make_model(dir, "{" SMALL "}", exceed_fp16);
    expect("inspect --quiet $D/over", 0,
           "1 of 142 tensors has a weight over fp16's largest number, 65504, that becomes inf in "
           "fp16; the first is conv_out.weight.\n\nmodel\n");
    assert_non_null(strstr(output, "the largest |w| is 6.553e+04, in conv_out.weight.\n"));
}

/* ---- in a run file ---- */

static const ss_structure_row lines[] = {
    {"convolution without norm", "decoder", "up_blocks.0.upsamplers.0.conv", "the stream",
     "it is large", "upsample_type", "\"conv\"", "\"resnet\" has a norm"},
    {"sum without scale", "decoder", "up_blocks.0.resnets.0, up_blocks.0.resnets.1", "x + branch",
     "it adds up", "", "", "no key changes it"},
};

static void absmax_of(const made_run *m, int module, int input, int sigma, int sample, ss_stats *s)
{
    (void)input;
    (void)sigma;
    (void)sample;
    s->absmax = s->rms = (float)(module + 1) * (m->factor > 0 ? (float)m->factor : 1);
}

static ss_run *made(const char *path, int n_lines, double factor)
{
    static const char *const modules[] = {"up_blocks.0.resnets.0.conv1", "up_blocks.0.resnets.0",
                                          "up_blocks.0.upsamplers.0.conv"};
    static const char *const inputs[] = {"noise:white"};
    static const double sigmas[] = {1, 80};
    const made_run m = {.modules = modules,
                        .n_modules = 3,
                        .inputs = inputs,
                        .n_inputs = 1,
                        .sigmas = sigmas,
                        .n_sigmas = 2,
                        .n_samples = 1,
                        .factor = factor,
                        .stats = absmax_of,
                        .structure = n_lines ? lines : NULL,
                        .n_structure = n_lines};
    ss_run *r;
    ss_err e = {0};

    make_run(path, &m);
    if (ss_run_open(path, &r, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return r;
}

static void test_run_file(void **state)
{
    (void)state;
    ss_run *r = made(in_tmp("lines.h5"), 2, 0);

    assert_int_equal(r->minor, SS_RUN_MINOR);
    assert_int_equal(r->n_structure, 2);
    for (int i = 0; i < 2; i++) {
#define X(name) assert_string_equal(r->structure[i].name, lines[i].name);
        SS_STRUCTURE_TEXTS(X)
#undef X
    }
    ss_run_close(r);
    r = made(in_tmp("none.h5"), 0, 0); /* as files of before are */
    assert_int_equal(r->n_structure, 0);
    assert_null(r->structure);
    assert_null(ss_structure_say(r, "up_blocks.0.resnets.0"));
    assert_int_equal(ss_structure_find(r, "up_blocks.0.resnets.0", NULL), -1);
    ss_run_close(r);
}

static void check_link(const ss_run *r, const char *module, int line, ss_structure_link link)
{
    ss_structure_link how;

    if (ss_structure_find(r, module, &how) != line || how != link)
        fail_msg("%s: line %d, link %d; want %d, %d", module, ss_structure_find(r, module, NULL),
                 how, line, link);
}

static void test_lookup(void **state)
{
    (void)state;
    ss_run *r = made(in_tmp("lines.h5"), 2, 0);
    char *text;

    check_link(r, "up_blocks.0.upsamplers.0.conv", 0, SS_LINK_NAMED);
    check_link(r, "up_blocks.0.upsamplers.0", 0, SS_LINK_CONTAINS);
    check_link(r, "up_blocks.0.resnets.1", 1, SS_LINK_NAMED);
    check_link(r, "up_blocks.0.resnets.1.conv1", 1, SS_LINK_INSIDE);
    check_link(r, "up_blocks.0.resnets.10", -1, SS_LINK_NONE); /* no part of a name */
    check_link(r, "up_blocks.0", -1, SS_LINK_NONE);
    check_link(r, "", -1, SS_LINK_NONE);

    text = ss_structure_say(r, "up_blocks.0.upsamplers.0.conv");
    assert_string_equal(text, "up_blocks.0.upsamplers.0.conv is on the line \"convolution without "
                              "norm\": the stream; it is large. upsample_type = \"conv\": "
                              "\"resnet\" has a norm.");
    ss_free(text);
    text = ss_structure_say(r, "conv_out");
    assert_string_equal(text, "conv_out is on no line of what lets activations grow.");
    ss_free(text);
    ss_run_close(r);
}

/* Analyses and the report name the line of what overflows, or else of the largest value. */
static void test_commands(void **state)
{
    (void)state;
    ss_run_close(made(in_tmp("small.h5"), 2, 0));
    ss_run_close(made(in_tmp("large.h5"), 2, 5e4)); /* the residual block is the first over 65504 */
    ss_run_close(made(in_tmp("none.h5"), 0, 5e4));
    expect("analyze $D/small.h5 --format fp16", 0,
           "\nup_blocks.0.upsamplers.0.conv is on the line \"convolution without norm\"");
    expect("analyze $D/large.h5 --format fp16", 0,
           "\nup_blocks.0.resnets.0 is on the line \"sum without scale\": x + branch; it adds up. "
           "No key changes it.\n");
    expect("analyze $D/none.h5 --format fp16", 0, "overflow fp16");
    assert_null(strstr(output, "the line"));
    expect("analyze --json $D/large.h5", 0, "\"part\": \"structure\"");
    assert_non_null(strstr(output, "\"title\": \"structure\""));
    expect("compare $D/small.h5 $D/none.h5", 0, "up_blocks.0.resnets.0");
    expect("report $D/large.h5 -o $D/report --format fp16 --quiet && "
           "grep -q 'href=\"#structure-2\"' $D/report/index.html && "
           "grep -q 'id=\"structure-2\"' $D/report/index.html",
           0, NULL);
    expect("report $D/none.h5 -o $D/report2 --quiet && ! grep structure- $D/report2/index.html", 0,
           NULL);
}

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

/* A training's run file has the structure of its beginning, also once it has more steps. */
static void test_training(void **state)
{
    (void)state;
    ss_run *r;
    ss_err e = {0};

    write_text(in_tmp("net.json"), "{" SMALL "}");
    write_text(in_tmp("train.json"),
               "{\"steps\": 2, \"batch\": 2, \"model\": \"net.json\", \"init\": {\"zero\": "
               "[\"*.conv2\"]}, \"data\": {\"kind\": \"shapes\"}, \"optimizer\": {\"lr\": 0.01}, "
               "\"statistics\": {\"every\": 1}, \"checkpoints\": {\"every\": 2}}");
    for (int i = 0; i < 2; i++) {
        expect(i ? "train $D/train.json -o $D/out --quiet --resume --steps 4"
                 : "train $D/train.json -o $D/out --quiet",
               0, NULL);
        assert_int_equal(ss_run_open_any(in_tmp("out/statistics.h5"), &r, &e), SS_OK);
        assert_int_equal(r->n_sigmas, i ? 4 : 2);
        check_link(r, "mid_block.attentions.0", 0, SS_LINK_NAMED);
        assert_string_equal(r->structure[r->n_structure - 1].kind, kind_names[SS_STRUCTURE_ZERO]);
        assert_string_equal(r->structure[r->n_structure - 1].modules,
                            "up_blocks.0.resnets.0.conv2, up_blocks.0.resnets.1.conv2, "
                            "up_blocks.1.resnets.0.conv2, up_blocks.1.resnets.1.conv2");
        ss_run_close(r);
    }
    expect("analyze $D/out/statistics.h5", 0, "the line \"");
}

/* Checks that the program writes the model's list. */
static void test_probed(void **state)
{
    (void)state;
    ss_model *m;
    ss_run *r;
    ss_err e = {0};

    expect("probe " UNETS "/scale-shift -o $D/probed.h5 --quiet --timesteps 500 --inputs "
           "noise:white --samples 1",
           0, NULL);
    assert_int_equal(ss_model_open(UNETS "/scale-shift", NULL, &m, &e), SS_OK);
    assert_int_equal(ss_run_open(in_tmp("probed.h5"), &r, &e), SS_OK);
    ss_structure *s = list_of(m, NULL);

    assert_int_equal(r->n_structure, s->n);
    for (int i = 0; i < s->n; i++) {
#define X(name) assert_string_equal(r->structure[i].name, s->rows[i].name);
        SS_STRUCTURE_TEXTS(X)
#undef X
    }
    /* the block's logits are on the line of its attention, which has no norm before it */
    check_link(r, "mid_block.attentions.0", 0, SS_LINK_NAMED);
    check_link(r, "mid_block.attentions.0.to_q", 0, SS_LINK_NAMED);
    ss_structure_free(s);
    ss_run_close(r);
    ss_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_what_pytorch_reads),
        cmocka_unit_test(test_attention_without_norm),
        cmocka_unit_test(test_sums_and_factors),
        cmocka_unit_test(test_magnitude_preserving),
        cmocka_unit_test(test_score_network),
        cmocka_unit_test(test_ends_that_are_zero),
        cmocka_unit_test(test_inspect),
        cmocka_unit_test(test_inspect_first),
        cmocka_unit_test(test_run_file),
        cmocka_unit_test(test_lookup),
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_training),
        cmocka_unit_test(test_probed),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
