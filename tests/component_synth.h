/* component_synth.h - small run files of a pipeline's components, every largest value as given
 *
 * Each of the three components has four modules: the whole model, a block, a layer inside of it,
 * and a last layer; in forward order they are layer, block, last layer, model. A text encoder has
 * one sigma, 0, its samples are the tokens of "a cat", and its block belongs to a whole prompt.
 */
#ifndef SS_TESTS_COMPONENT_SYNTH_H
#define SS_TESTS_COMPONENT_SYNTH_H

#include "runfile/run_file.h"
#include "tests/ss_test.h"

enum { CS_TEXT, CS_UNET, CS_VAE, CS_COMPONENTS };
enum { CS_MODULES = 4, CS_INPUTS = 2, CS_MAX_SIGMAS = 3, CS_MAX_SAMPLES = 4 };
enum { CS_MODEL, CS_BLOCK, CS_LAYER, CS_LAST };

static const int cs_forward[CS_MODULES] = {CS_LAYER, CS_BLOCK, CS_LAST, CS_MODEL};

/* One run. A value is the largest |x| of a cell: NaN where the module did not run, inf where
 * nothing is finite, and negative where other values are inf or NaN. */
typedef struct {
    int component;
    int n_sigmas, n_samples;
    int n_done; /* noise levels that are written; less than n_sigmas: unfinished */
    float value[CS_MODULES][CS_INPUTS][CS_MAX_SIGMAS][CS_MAX_SAMPLES];
    float weight;           /* largest |x| of the layer's weight; 0: none */
    uint64_t weight_broken; /* how many of its values are inf or NaN */
    const char *precision;  /* NULL: fp32 */
} cs_run;

static const char *const cs_names[] = {"text_encoder", "unet", "vae"};
static const char *const cs_roles[] = {SS_RUN_TEXT, NULL, SS_RUN_VAE};
static const double cs_sigmas[] = {0.5, 10, 80};

static const ss_run_module cs_modules[CS_COMPONENTS][CS_MODULES] = {
    {{"", "T5EncoderModel", false},
     {"encoder.block.0", "T5Block", true},
     {"encoder.block.0.layer.1.DenseReluDense.wo", "Linear", false},
     {"encoder.final_layer_norm", "T5LayerNorm", false}},
    {{"", "UNet2DConditionModel", false},
     {"down_blocks.0", "DownBlock2D", true},
     {"down_blocks.0.resnets.0", "ResnetBlock2D", false},
     {"conv_out", "Conv2d", false}},
    {{"", "AutoencoderKL", false},
     {"decoder.up_blocks.0", "UpDecoderBlock2D", true},
     {"decoder.up_blocks.0.resnets.0", "ResnetBlock2D", false},
     {"decoder.conv_out", "Conv2d", false}},
};

/* A run in which every value that is seen is x. */
static inline cs_run cs_all(int component, float x)
{
    cs_run r = {.component = component,
                .n_sigmas = component == CS_TEXT ? 1 : CS_MAX_SIGMAS,
                .n_samples = component == CS_TEXT ? CS_MAX_SAMPLES : 2};

    r.n_done = r.n_sigmas;
    for (int m = 0; m < CS_MODULES; m++)
        for (int i = 0; i < CS_INPUTS; i++)
            for (int s = 0; s < r.n_sigmas; s++)
                for (int n = 0; n < r.n_samples; n++)
                    r.value[m][i][s][n] = component == CS_TEXT && m == CS_BLOCK && n > 0 ? NAN : x;
    return r;
}

static inline ss_stats cs_stats(float v)
{
    ss_stats s = {.count = 10, .absmax = isinf(v) ? NAN : fabsf(v)};

    s.min = -s.absmax;
    s.max = s.absmax;
    s.mean = 0;
    s.std = s.rms = s.absmax / 2;
    s.l2 = s.absmax * 2;
    s.nonfinite = isinf(v) ? 10 : v < 0 ? 1 : 0;
    s.exponent[255] = (uint32_t)s.nonfinite;
    if (!isnan(s.absmax))
        s.exponent[s.absmax > 0 ? 127 + ilogbf(s.absmax) : 0] = (uint32_t)(10 - s.nonfinite);
    return s;
}

static inline void cs_fill(const cs_run *r, int s, ss_run_column *col)
{
    for (int m = 0; m < CS_MODULES; m++)
        for (int i = 0; i < CS_INPUTS; i++)
            for (int n = 0; n < r->n_samples; n++) {
                const ss_stats st = cs_stats(r->value[m][i][s][n]);

                if (!isnan(r->value[m][i][s][n]))
                    ss_run_put_stats(col, m, SS_PORT_OUTPUT, i, n, &st);
            }
}

/* Writes the run to path. */
static inline void cs_write(const cs_run *r, const char *path)
{
    static const char *const inputs[CS_COMPONENTS][CS_INPUTS] = {
        {"a cat", "a dog"}, {"noise:white", "images:x"}, {"images:x", "latents:unet.h5"}};
    static const char *const tokens[] = {"a", "cat", "</s>", "", "a", "dog", "</s>", ""};
    static const double zero = 0;
    const ss_run_parameter weight = {"down_blocks.0.resnets.0.weight", r->weight, r->weight / 2,
                                     r->weight_broken};
    char model[64];
    ss_run_writer *w;
    ss_run_column *col;
    ss_err e = {0};

    snprintf(model, sizeof model, "pipeline/%s", cs_names[r->component]);
    const ss_run_spec spec = {
        .tool = "sigmascope test",
        .model_path = model,
        .family = cs_modules[r->component][0].kind,
        .precision = r->precision ? r->precision : "fp32",
        .component = cs_names[r->component],
        .role = cs_roles[r->component],
        .modules = cs_modules[r->component],
        .n_modules = CS_MODULES,
        .inputs = inputs[r->component],
        .n_inputs = CS_INPUTS,
        .pictures = r->component == CS_TEXT ? tokens : NULL,
        .sigmas = r->component == CS_TEXT ? &zero : cs_sigmas,
        .n_sigmas = r->n_sigmas,
        .n_samples = r->n_samples,
        .parameters = &weight,
        .n_parameters = r->weight > 0 || r->weight_broken,
        .histogram = true,
    };

    if (ss_run_create(path, &spec, true, &w, &e) != SS_OK)
        fail_msg("%s", e.msg);
    for (int s = 0; s < r->n_done; s++) {
        assert_int_equal(ss_run_column_new(w, s, &col, &e), SS_OK);
        cs_fill(r, s, col);
        assert_int_equal(ss_run_submit(w, col, &e), SS_OK);
    }
    if (r->n_done == r->n_sigmas)
        assert_int_equal(ss_run_finish(w, &e), SS_OK);
    else
        ss_run_abandon(w);
}

#endif
