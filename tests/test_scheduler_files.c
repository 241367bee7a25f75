/* test_scheduler_files.c - pipelines as people have them: with all kinds of scheduler files, with
 * none, behind links; through the program
 */
#include "models/file/safetensors_write.h"
#include "runfile/run_reader.h"
#include "tests/ss_command.h"

#include <sys/stat.h>

#define TEXT " --prompt-embeds $D/text.safetensors#e"
#define SD "\"beta_start\": 0.00085, \"beta_end\": 0.012, \"beta_schedule\": \"scaled_linear\""

static void write_tensor(const char *name, const char *tensor, int64_t a, int64_t b, int64_t c,
                         int64_t d)
{
    static float values[4096];
    const ss_st_item item = {
        .name = tensor, .dtype = SS_F32, .rank = d ? 4 : 3, .dim = {a, b, c, d}, .values = values};

    for (int i = 0; i < 4096; i++)
        values[i] = sinf((float)(i * i));
    assert_int_equal(ss_safetensors_write(in_tmp(name), &item, 1, NULL, 0, NULL), SS_OK);
}

/* pipe/unet: latents of four channels and a text; pixels/unet: pictures. */
static int set_up(void **state)
{
    char command[512];

    if (make_tmp(state) != 0)
        return -1;
    snprintf(command, sizeof command,
             "cd %s && mkdir -p pipe/scheduler pixels/scheduler checkpoint-500 && "
             "cp -r $OLDPWD/tests/golden/unets/sd15 pipe/unet && "
             "cp -r pipe/unet checkpoint-500/unet && "
             "cp -r $OLDPWD/tests/golden/unets/plain pixels/unet",
             tmp_dir);
    if (system(command) != 0)
        return -1;
    write_tensor("text.safetensors", "e", 1, 5, 12, 0);
    write_tensor("in.safetensors", "x", 1, 3, 8, 8);
    return 0;
}

static void scheduler(const char *pipeline, const char *json)
{
    char name[128];

    snprintf(name, sizeof name, "%s/scheduler/scheduler_config.json", pipeline);
    write_file(in_tmp(name), json, strlen(json));
}

/* The run $D/run.h5 was told these timesteps and says this of the schedule. */
static void expect_run(const double *told, int n, const char *schedule)
{
    ss_run *r;
    ss_err e = {0};

    if (ss_run_open(in_tmp("run.h5"), &r, &e) != SS_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(r->n_sigmas, n);
    assert_non_null(r->timesteps);
    for (int i = 0; i < n; i++) {
        if (!(fabs((double)r->timesteps[i] - told[i]) < 1e-6 + 1e-7 * fabs(told[i])))
            fail_msg("level %d is told %.9g, not %.9g", i, (double)r->timesteps[i], told[i]);
    }
    if (!strstr(r->schedule, schedule))
        fail_msg("the schedule is '%s', which lacks '%s'", r->schedule, schedule);
    ss_run_close(r);
}

#define PROBE "-o $D/run.h5 --force --samples 1 "
#define FOUR "--sigmas 0.1,1,10,14" TEXT

static const double sd_told[] = {10, 354, 934, 992}; /* diffusers' own, of these sigmas */

/* Keys that other samplers left behind are no reason to refuse a file. */
static void test_left_overs(void **state)
{
    (void)state;
    static const char *const files[] = {
        "{\"_class_name\": \"EulerDiscreteScheduler\", " SD ", \"skip_prk_steps\": true,"
        " \"set_alpha_to_one\": false, \"steps_offset\": 1, \"timestep_spacing\": \"leading\"}",
        "{\"_class_name\": \"DDIMScheduler\", " SD ", \"skip_prk_steps\": true, \"clip_sample\":"
        " false, \"prediction_type\": \"v_prediction\"}",
        "{\"_class_name\": \"DDPMScheduler\", " SD ", \"tensor_format\": \"pt\", \"clip_sample\":"
        " false}",
        "{\"_class_name\": \"HeunDiscreteScheduler\", " SD ", \"solver_order\": 2, \"mine\": 1}",
    };

    for (size_t i = 0; i < N_OF(files); i++) {
        scheduler("pipe", files[i]);
        expect("generate $D/pipe -o $D/out --force --samples 1 --steps 2" TEXT, 0,
               "without effect: ");
        expect("probe $D/pipe " PROBE FOUR, 0, NULL);
        assert_null(strstr(output, "without effect")); /* it has no sampler */
    }
}

/* No file: what is assumed is said, and every option wins over it. */
static void test_assumed(void **state)
{
    (void)state;
    static const double linear[] = {26, 258, 674, 721};

    expect("probe $D/checkpoint-500 " PROBE FOUR, 0,
           "note: schedule: assumed scaled_linear betas 0.00085 to 0.012, 1000 steps, predicts "
           "epsilon, as of Stable Diffusion, which the network looks like; give "
           "--scheduler");
    expect_run(sd_told, 4, "assumed scaled_linear betas");
    expect("analyze $D/run.h5", 0, "assumed scaled_linear betas 0.00085");
    expect("probe $D/checkpoint-500 --beta-schedule scaled_linear " PROBE FOUR, 0, "assumed");
    expect_run(sd_told, 4, "assumed scaled_linear betas 0.00085");
    expect("probe $D/checkpoint-500 --beta-schedule linear --beta-start 1e-4 --beta-end 0.02 "
           "--prediction epsilon " PROBE FOUR,
           0, NULL);
    assert_null(strstr(output, "assumed"));
    expect_run(linear, 4, "linear betas 0.0001 to 0.02");
    expect("probe $D/pixels/unet " PROBE "--sigmas 0.1,1,10,14", 0,
           "assumed linear betas 0.0001 to 0.02, 1000 steps");
    expect_run(linear, 4, "assumed linear betas");
    expect("report $D/run.h5 -o $D/report --force", 0, NULL);
    assert_int_equal(system("grep -q 'assumed linear betas' /tmp/sigmascope-test-*/report/*.html"),
                     0);
}

/* A file from elsewhere: named, in a named folder, in a named pipeline; beside a link. */
static void test_found(void **state)
{
    (void)state;
    static const char *const paths[] = {"pipe/scheduler/scheduler_config.json", "pipe/scheduler",
                                        "pipe"};
    char command[512];

    scheduler("pipe", "{\"_class_name\": \"PNDMScheduler\", " SD ", \"clip_sample\": false}");
    for (size_t i = 0; i < N_OF(paths); i++) {
        snprintf(command, sizeof command, "probe $D/checkpoint-500 --scheduler $D/%s " PROBE FOUR,
                 paths[i]);
        expect(command, 0, NULL);
        assert_null(strstr(output, "assumed"));
        expect_run(sd_told, 4, "PNDMScheduler: scaled_linear");
    }
    expect("probe $D/checkpoint-500 --scheduler $D/checkpoint-500 " PROBE FOUR, 1,
           "--scheduler: neither scheduler_config.json nor");
    expect("probe $D/checkpoint-500 --scheduler $D/none.json " PROBE FOUR, 1, "none.json");
    snprintf(command, sizeof command,
             "cd %s && mkdir linked && ln -s ../checkpoint-500/unet linked/unet && "
             "cp -r pipe/scheduler linked/scheduler",
             tmp_dir);
    assert_int_equal(system(command), 0);
    expect("probe $D/linked " PROBE FOUR, 0, NULL);
    expect_run(sd_told, 4, "PNDMScheduler: scaled_linear");
    expect("probe $D/linked/unet/ " PROBE FOUR, 0, NULL);
    expect_run(sd_told, 4, "PNDMScheduler: scaled_linear");
    /* options beside the file */
    expect("probe $D/pipe --prediction v_prediction " PROBE FOUR, 0, NULL);
    expect_run(sd_told, 4, "predicts v_prediction");
    expect("bisect $D/checkpoint-500 --scheduler $D/pipe --fail 'absmax(*) > 1e9' --samples 1 "
           "--cache $D/runs " FOUR,
           0, NULL);
    assert_null(strstr(output, "assumed"));
    expect("generate $D/checkpoint-500 --scheduler $D/pipe -o $D/out --force --samples 1 --steps "
           "2" TEXT,
           0, "PNDMScheduler is not built in, ddim samples in its place");
}

/* Weights without a config.json: a training's own folder, a file alone. */
static void test_named_config(void **state)
{
    (void)state;
    static const char *const configs[] = {"pipe/unet/config.json", "pipe/unet", "pipe"};
    static const char *const models[] = {"accelerate", "accelerate/model.safetensors", "kept"};
    char command[1024];

    snprintf(command, sizeof command,
             "cd %s && mkdir -p accelerate kept/unet && W=diffusion_pytorch_model.safetensors && "
             "cp pipe/unet/$W accelerate/model.safetensors && cp pipe/unet/$W kept/unet/$W",
             tmp_dir);
    assert_int_equal(system(command), 0);
    scheduler("pipe", "{\"_class_name\": \"PNDMScheduler\", " SD ", \"clip_sample\": false}");
    for (size_t m = 0; m < N_OF(models); m++) {
        for (size_t i = 0; i < N_OF(configs); i++) {
            snprintf(command, sizeof command, "probe $D/%s --config $D/%s " PROBE FOUR, models[m],
                     configs[i]);
            expect(command, 0, NULL);
            /* what is beside the config goes with it */
            expect_run(sd_told, 4, "PNDMScheduler: scaled_linear");
        }
        snprintf(command, sizeof command, "probe $D/%s " PROBE FOUR, models[m]);
        expect(command, 1, "--config FILE|FOLDER names one that is elsewhere");
        snprintf(command, sizeof command, "inspect $D/%s --config $D/pipe", models[m]);
        expect(command, 0, "UNet2DConditionModel");
    }
    expect("probe $D/pipe/unet/diffusion_pytorch_model.safetensors " PROBE FOUR, 0, NULL);
    expect_run(sd_told, 4, "PNDMScheduler: scaled_linear");
    expect("probe $D/accelerate --config $D/accelerate " PROBE FOUR, 1,
           "--config: neither config.json nor unet/config.json is in ");
    expect("probe $D/accelerate --config $D/pixels " PROBE FOUR, 1, "conv_in.weight");
    expect("probe $D/text.safetensors --config $D/pipe " PROBE FOUR, 1, "text.safetensors");
    expect("probe $D/none.safetensors --config $D/pipe " PROBE FOUR, 1, "or a file of weights");
    expect("inspect $D/accelerate $D/kept --config $D/pipe", 0, "0 of ");

    expect("probe $D/accelerate/model.safetensors --config $D/pipe " PROBE FOUR, 0, NULL);
    expect("probe $D/accelerate/model.safetensors --config $D/pipe/unet/config.json -o $D/run.h5 "
           "--resume --samples 1 " FOUR,
           0, "(4 were there)");
    expect("analyze $D/run.h5 --keep-fp32 fp16 --check", 0, NULL);
    expect("bisect $D/accelerate/model.safetensors --config $D/pipe --fail 'absmax(*) > 0' "
           "--samples 1 --cache $D/runs --save-bundle $D/bundle " FOUR,
           3, "replay.sh");
    snprintf(
        command, sizeof command,
        "cd / && SIGMASCOPE=${SIGMASCOPE:-$OLDPWD/build/sigmascope}; "
        "case $SIGMASCOPE in /*) ;; *) SIGMASCOPE=$OLDPWD/$SIGMASCOPE ;; esac; "
        "export SIGMASCOPE; sh %s/bundle/replay.sh %s/accelerate/model.safetensors >%s/log 2>&1 "
        "&& ! grep warning %s/log && test -e %s/bundle/config.json",
        tmp_dir, tmp_dir, tmp_dir, tmp_dir, tmp_dir);
    assert_int_equal(system(command), 0);
    expect("generate $D/accelerate --config $D/pipe -o $D/out --force --samples 1 --steps 2" TEXT,
           0, NULL);
}

static double largest(const char *args)
{
    char command[512];

    snprintf(command, sizeof command, "generate %s -o $D/out --force --samples 2 --steps 10 --json",
             args);
    expect(command, 0, "largest |x0|");
    const char *at = strstr(strstr(output, "\"rows\""), "largest |x0|");
    return atof(strchr(at, ':') + 1);
}

/* Latents have no range that they could be clipped to; pictures are clipped as their class does. */
static void test_clipping(void **state)
{
    (void)state;
    static const char *const latents[] = {
        "{\"_class_name\": \"PNDMScheduler\", " SD "}",
        "{\"_class_name\": \"UniPCMultistepScheduler\", " SD "}",
        "{\"_class_name\": \"DDIMScheduler\", " SD "}", /* clips by default */
        "{\"_class_name\": \"DDIMScheduler\", " SD ", \"clip_sample\": true}",
    };
    static const struct {
        const char *json;
        bool clipped;
    } pixels[] = {
        {"{\"_class_name\": \"DDPMScheduler\"}", true},
        {"{\"_class_name\": \"DDPMScheduler\", \"clip_sample\": false}", false},
        {"{\"_class_name\": \"DPMSolverMultistepScheduler\"}", false},
        {"{\"_class_name\": \"HeunDiscreteScheduler\"}", false},
        {"{\"_class_name\": \"DPMSolverMultistepScheduler\", \"clip_sample\": true}", true},
    };

    for (size_t i = 0; i < N_OF(latents); i++) {
        scheduler("pipe", latents[i]);
        const double x = largest("$D/pipe" TEXT);
        if (!(x > 1.5))
            fail_msg("%s: largest |x0| %g", latents[i], x);
        assert_int_equal(strstr(output, "latents are not clipped") != NULL, i == 3);
    }
    scheduler("pipe", "{\"clip_sample\": true, \"clip_sample_range\": 1.25}");
    assert_true(largest("$D/pipe" TEXT) <= 1.25); /* a range meant for latents */
    for (size_t i = 0; i < N_OF(pixels); i++) {
        scheduler("pixels", pixels[i].json);
        const double x = largest("$D/pixels");
        if ((x <= 1) != pixels[i].clipped)
            fail_msg("%s: largest |x0| %g", pixels[i].json, x);
    }
    /* three channels, and a VAE beside */
    assert_int_equal(mkdir(in_tmp("pixels/vqvae"), 0755), 0);
    scheduler("pixels", "{\"_class_name\": \"DDIMScheduler\"}");
    assert_true(largest("$D/pixels") > 1);
    assert_int_equal(rmdir(in_tmp("pixels/vqvae")), 0);
}

/* One verdict for probe, inspect and generate. */
static void test_one_reader(void **state)
{
    (void)state;
    static const double told[] = {log(0.1) / 4, 0, log(10) / 4};

    scheduler("pipe", "{\"_class_name\": \"EulerDiscreteScheduler\", " SD ", \"sigma_max\": 700.0,"
                      " \"prediction_type\": \"v_prediction\", \"timestep_type\": \"continuous\","
                      " \"use_karras_sigmas\": true, \"sigma_min\": 0.002}");
    expect("probe $D/pipe --sigmas 0.1,1,10 " PROBE TEXT, 0, NULL);
    expect_run(told, 3, "told ln(sigma) / 4, predicts v_prediction");
    expect("generate $D/pipe -o $D/out --force --samples 1 --steps 2" TEXT, 0, NULL);
    scheduler("pipe", "{\"_class_name\": \"DDPMScheduler\", \"predict_epsilon\": false}");
    expect("inspect $D/pipe", 0, "predicts sample");
    expect("probe $D/pipe " PROBE FOUR, 0, "sample");
    expect("generate $D/pipe -o $D/out --force --samples 1 --steps 2" TEXT, 0, NULL);

    /* an option of a sampler does not concern probes */
    scheduler("pixels", "{\"_class_name\": \"DDPMScheduler\", \"variance_type\": \"learned\"}");
    expect("probe $D/pixels " PROBE, 0, NULL);
    expect("generate $D/pixels -o $D/out --force --steps 2", 1, "\"variance_type\"");
    scheduler("pipe", "{\"predict_epsilon\": false, \"prediction_type\": \"epsilon\"}");
    expect("inspect $D/pipe", 0, "not known: ");
    expect("probe $D/pipe " PROBE FOUR, 1, "say which by --prediction");
    expect("generate $D/pipe -o $D/out --force --steps 2" TEXT, 1, "say which by --prediction");
    expect("probe $D/pipe --prediction sample " PROBE FOUR, 0, NULL);
}

static bool has_set(const char *name)
{
    ss_run *r;
    ss_run_shape s;

    assert_int_equal(ss_run_open(in_tmp("run.h5"), &r, NULL), SS_OK);
    const bool has = ss_run_has_pictures(r, name, &s);
    ss_run_close(r);
    return has;
}

#define RAW "--inputs raw:$D/in.safetensors#x --timesteps 1,500 "

/* A class that is not known blocks what needs the schedule, and nothing else. */
static void test_not_known(void **state)
{
    (void)state;
    static const double told[] = {1, 500}, one[] = {258};

    scheduler("pixels", "{\"_class_name\": \"WarpScheduler\", \"beta_start\": 0.5}");
    expect("inspect $D/pixels", 0, "not known: ");
    expect("probe $D/pixels " PROBE RAW, 0, "note: schedule: assumed linear betas");
    expect_run(told, 2, "WarpScheduler");
    assert_true(has_set("/inputs/x"));
    assert_false(has_set("/outputs/denoised"));
    expect("analyze $D/run.h5", 0, "assumed linear betas 0.0001");
    assert_non_null(strstr(output, "; give --scheduler"));
    expect("probe $D/pixels " PROBE "--sigmas 1", 1, "\"_class_name\" is \"WarpScheduler\"");
    expect("probe $D/pixels " PROBE "--timesteps 1", 1, "--timesteps with --inputs raw: alone");
    expect("probe $D/pixels " PROBE RAW "--condition-sigma 1", 1, "WarpScheduler");
    expect("generate $D/pixels -o $D/out --force --steps 2", 1, "WarpScheduler");
    expect("probe $D/pixels " PROBE "--sigmas 1 --beta-schedule linear", 0,
           "note: /tmp/sigmascope-test-");
    expect_run(one, 1, "assumed linear betas 0.0001");
    assert_true(has_set("/outputs/denoised"));
    expect("generate $D/pixels -o $D/out --force --samples 1 --steps 2 --beta-schedule linear", 0,
           NULL);
}

/* Consistency models and flow matching are probed; there is no sampler for them. */
static void test_other_kinds(void **state)
{
    (void)state;
    static const double cm[] = {250 * log(0.5), 250 * log(20)}, flow[] = {1000.0 / 3, 20000.0 / 21};
    static const double raw_cm[] = {-100, 0.5}, raw_flow[] = {1, 1000};
    const char *const picture = " --inputs constant:0.25 --inputs noise:pink";
    char command[512];

    scheduler("pixels", "{\"_class_name\": \"CMStochasticIterativeScheduler\"}");
    expect("inspect $D/pixels", 0, "consistency model");
    snprintf(command, sizeof command, "probe $D/pixels " PROBE "--sigmas 0.5,20%s", picture);
    expect(command, 0, NULL);
    expect_run(cm, 2, "consistency model, sigma 0.002 to 80");
    assert_true(has_set("/outputs/denoised"));
    expect("probe $D/pixels " PROBE "--timesteps -100,0.5 --inputs raw:$D/in.safetensors#x", 0,
           NULL);
    expect_run(raw_cm, 2, "consistency");
    expect("probe $D/pixels " PROBE "--sigmas 1,inf", 2, "cannot be at inf");
    expect("generate $D/pixels -o $D/out --force --steps 2", 1,
           "can be probed, but there is no sampler for it here");

    scheduler("pixels", "{\"_class_name\": \"FlowMatchEulerDiscreteScheduler\", \"shift\": 3.0}");
    expect("inspect $D/pixels", 0, "FlowMatchEulerDiscreteScheduler: flow match");
    snprintf(command, sizeof command, "probe $D/pixels " PROBE "--sigmas 0.5,20%s", picture);
    expect(command, 0, NULL);
    ss_run *r;
    assert_int_equal(ss_run_open(in_tmp("run.h5"), &r, NULL), SS_OK);
    assert_true(fabs((double)r->timesteps[0] - flow[0]) < 1e-4 &&
                fabs((double)r->timesteps[1] - flow[1]) < 1e-4);
    ss_run_close(r);
    expect("probe $D/pixels " PROBE "--timesteps 1,1000", 0, NULL);
    expect_run(raw_flow, 2, "flow matching");
    expect("probe $D/pixels " PROBE "--timesteps 0,1000", 2, "timestep 0 does not exist");
    expect("generate $D/pixels -o $D/out --force --steps 2", 1, "no sampler for it here");
}

/* Timesteps between steps, and rounded before the network is told. */
static void test_rounding(void **state)
{
    (void)state;
    static const double between[] = {1.5, 998.25}, nine[] = {999};

    scheduler("pixels", "{}");
    expect("probe $D/pixels " PROBE "--timesteps 1.5,998.25", 0, NULL);
    expect_run(between, 2, "DDPMScheduler");
    expect("probe $D/pixels -o $D/run.h5 --resume --samples 1 --timesteps 1.5,998.25", 0,
           "(2 were there)");
    expect("probe $D/pixels -o $D/run.h5 --resume --samples 1 --timesteps 1.5,998.25 "
           "--round-timestep bf16",
           2, "cannot be resumed");
    /* the same runs again from what they say of themselves */
    expect("analyze $D/run.h5 --keep-fp32 fp16 --check", 0, NULL);

    expect("probe $D/pixels " PROBE "--timesteps 999 --round-timestep bf16", 0, NULL);
    expect_run(nine, 1, "DDPMScheduler"); /* of the input; what is told is in the plan */
    ss_run *r;
    assert_int_equal(ss_run_open(in_tmp("run.h5"), &r, NULL), SS_OK);
    assert_non_null(strstr(r->plan, "timestep 999, told 1000"));
    assert_non_null(strstr(r->plan, "\"round_timestep\":\"bf16\""));
    ss_run_close(r);
    expect("probe $D/pixels --timesteps 999 -o $D/plain.h5 --samples 1", 0, NULL);
    expect("compare $D/plain.h5 $D/run.h5 --fail-over 1.0000001", 3, NULL);

    expect("probe $D/pixels " PROBE "--sigmas 1 --round-timestep none", 0, NULL);
    assert_int_equal(ss_run_open(in_tmp("run.h5"), &r, NULL), SS_OK);
    assert_true(r->timesteps[0] > 257 && r->timesteps[0] < 259 &&
                r->timesteps[0] != floorf(r->timesteps[0]));
    ss_run_close(r);
    expect("probe $D/pixels " PROBE "--round-timestep int4", 2, "--round-timestep");
    scheduler("pixels", "{\"clip_sample\": false}");
    assert_true(largest("$D/pixels") != largest("$D/pixels --round-timestep e5m1"));
    expect("generate $D/pixels -o $D/out --force --steps 2 --round-timestep none", 2, "for probes");
}

/* Pure noise: by sigma, or as the last step of zero terminal SNR. */
static void test_infinite_sigma(void **state)
{
    (void)state;
    scheduler("pixels", "{\"_class_name\": \"DDIMScheduler\", \"rescale_betas_zero_snr\": true}");
    expect("probe $D/pixels " PROBE "--timesteps 500,999", 0,
           "says nothing of the clean picture there: /outputs/denoised is NaN");
    expect("probe $D/pixels " PROBE "--sigmas 1,inf", 0, "/outputs/denoised is NaN");
    expect("probe $D/pixels " PROBE "--sigmas 1,inf --prediction v_prediction", 0, NULL);
    assert_null(strstr(output, "/outputs/denoised is NaN"));
    expect("probe $D/pixels " PROBE "--sigmas 1:inf:3", 2, "--sigmas");
    expect("probe $D/pixels " PROBE "--sigmas inf,inf", 2, "twice");
    expect("probe $D/pixels " PROBE "--sigmas nan", 2, "not a number");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_left_overs), cmocka_unit_test(test_assumed),
        cmocka_unit_test(test_found),      cmocka_unit_test(test_named_config),
        cmocka_unit_test(test_clipping),   cmocka_unit_test(test_one_reader),
        cmocka_unit_test(test_not_known),  cmocka_unit_test(test_other_kinds),
        cmocka_unit_test(test_rounding),   cmocka_unit_test(test_infinite_sigma),
    };
    return cmocka_run_group_tests(tests, set_up, remove_tmp);
}
