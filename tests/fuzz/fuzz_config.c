/* fuzz_config.c - config.json, scheduler_config.json, and the configuration of training
 *
 * A network is built as far as its parameters are asked for, which are all missing but one, so
 * that no size in a configuration costs memory.
 */
#include "base/mem.h"
#include "models/file/safetensors_write.h"
#include "models/model.h"
#include "models/sampling/noising.h"
#include "models/sampling/sampler.h"
#include "models/sampling/sampler_config.h"
#include "models/sampling/schedule_config.h"
#include "tests/fuzz/fuzz.h"
#include "train/config.h"

#include <stdlib.h>
#include <string.h>

void fuzz_config(const uint8_t *data, size_t size)
{
    static const float x[1];
    static const ss_st_item item = {
        .name = "conv_in.bias", .dtype = SS_F32, .rank = 1, .dim = {1}, .values = x};
    static bool made;
    ss_model *m = NULL;
    ss_err e = {0};

    fuzz_folder("model");
    if (!made && ss_safetensors_write(fuzz_path("model/diffusion_pytorch_model.safetensors"), &item,
                                      1, NULL, 0, NULL) != SS_OK)
        abort();
    made = true;
    fuzz_file("model/config.json", data, size);
    fuzz_check(ss_model_open(fuzz_path("model"), NULL, &m, &e), &e);
    ss_model_close(m);
}

static void sample(const ss_sampler_options *opt, const ss_schedule *schedule, int steps)
{
    ss_sampler *s = NULL;
    ss_err e = {0};
    ss_code rc = ss_sampler_new(opt, schedule, steps, &s, &e);
    float x[4] = {1, -1, 0.5f, 0}, in[4], z[4] = {0}, memory[8] = {0}, x0[4];

    fuzz_check(rc, &e);
    if (rc != SS_OK)
        return;
    ss_sampler_start(s);
    for (int i = 0; i < ss_sampler_count(s); i++) {
        ss_sampler_input(s, i, x, 4, in);
        ss_sampler_step(s, i, in, ss_sampler_wants_variance(s) ? z : NULL, z, 4, x, memory, x0);
    }
    ss_sampler_free(s);
}

/* Whatever the file is of, its formulas take every level that it says there is. */
static void noise(const char *path)
{
    const ss_noising_options o = {.file = path};
    const double timesteps[] = {0.5, 1, -2, 999, 1000, 1e300};
    ss_noising *k = NULL;
    ss_err e = {0}, why = {0};
    ss_code rc = ss_noising_open(&o, &k, &e);

    fuzz_check(rc, &e);
    if (rc != SS_OK)
        return;
    fuzz_check(ss_noising_check(k, &why), &why);
    for (size_t i = 0; i < sizeof timesteps / sizeof *timesteps; i++) {
        float x[2] = {1, -1}, y[2] = {0.5f, 2}, out[2];
        double sigma;

        if (ss_noising_sigma(k, timesteps[i], &sigma, &e) != SS_OK)
            continue;
        const ss_noise_level l = ss_noising_level(k, sigma);
        ss_noising_told(k, sigma);
        ss_noising_told_exactly(k, sigma);
        ss_noising_target(k, l, x, y, 2, out);
        ss_noising_denoised(k, l, x, y, 2, out);
    }
    ss_noising_free(k);
}

void fuzz_scheduler(const uint8_t *data, size_t size)
{
    const char *path = fuzz_file("scheduler_config.json", data, size);
    ss_schedule *schedule = NULL;
    ss_err e = {0};
    ss_code rc = ss_schedule_load(path, &schedule, &e);

    fuzz_check(rc, &e);
    if (rc == SS_OK) {
        ss_schedule_nearest(schedule, 0.5);
        ss_schedule_sigma(schedule, ss_schedule_steps(schedule) - 1);
    }
    noise(path);
    for (int k = -1; k < SS_N_SAMPLERS; k++) {
        const ss_sampler_kind kind = (ss_sampler_kind)k;
        ss_sampler_options opt;

        rc = ss_sampler_options_load(path, k < 0 ? NULL : &kind, &opt, &e);
        fuzz_check(rc, &e);
        if (rc == SS_OK && schedule) {
            sample(&opt, schedule, 1);
            sample(&opt, schedule, 10);
        }
        rc = ss_sampler_options_load_score(path, k < 0 ? NULL : &kind, &opt, &e);
        fuzz_check(rc, &e);
        if (rc == SS_OK)
            sample(&opt, NULL, 10);
    }
    ss_schedule_free(schedule);
}

/* The file is read, written down in full as a run keeps it, and read again: both must mean the
 * same. */
void fuzz_train(const uint8_t *data, size_t size)
{
    static const char unet[] =
        "{\"_class_name\": \"UNet2DModel\", \"sample_size\": 8, \"in_channels\": 1,"
        " \"out_channels\": 1, \"layers_per_block\": 1, \"block_out_channels\": [4, 4],"
        " \"down_block_types\": [\"DownBlock2D\", \"DownBlock2D\"],"
        " \"up_block_types\": [\"UpBlock2D\", \"UpBlock2D\"], \"norm_num_groups\": 2}";
    const char *set = "optimizer.lr=1e-3";
    ss_train_config *t = NULL, *again = NULL;
    ss_err e = {0};

    fuzz_file("unet.json", unet, sizeof unet - 1);
    const char *path = fuzz_file("train.json", data, size);
    fuzz_check(ss_train_config_read(path, &set, 1, &t, &e), &e);
    if (t) {
        ss_train_config_free(t);
        t = NULL;
    }
    ss_code rc = ss_train_config_read(path, NULL, 0, &t, &e);

    fuzz_check(rc, &e);
    if (rc == SS_OK) {
        char *text = json_dumps(t->effective, 0), where[256];

        if (!text)
            abort();
        path = fuzz_file("effective.json", text, strlen(text));
        free(text);
        if (ss_train_config_read(path, NULL, 0, &again, &e) != SS_OK ||
            ss_train_config_differs(t->effective, again->effective, where, sizeof where))
            abort();
        ss_train_config_free(again);
    }
    ss_train_config_free(t);
}
