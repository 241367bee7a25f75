/* tiny_video.h - a family of networks that take videos, which exists in tests alone
 *
 * It defines what models/families.c has, so a test that includes this header knows this family and
 * no other. The network is four linear layers over the channels of each pixel,
 *
 *   y = conv_out(up(silu(down(conv_in(x)))))     x [N][F][H][W][in] -> [N][F][H][W][out]
 *
 * named as the blocks of a UNet, so that every module's output is a video, and no frame depends on
 * another: a video of which all frames are the same has an answer of which all are.
 */
#ifndef SS_TESTS_TINY_VIDEO_H
#define SS_TESTS_TINY_VIDEO_H

#include "models/families.h"
#include "models/net/layers.h"
#include "tests/made_model.h"

enum { TINY_WIDTH = 8 };

typedef struct {
    int64_t in, out, frames, side;
    bool reference; /* the channels beside the picture are a given frame and a mask */
} tiny_config;

typedef struct {
    ss_module m;
    ss_linear_layer *in, *down, *up, *out;
} tiny_network;

static ss_code tiny_read(ss_json *j, void **config, ss_err *e)
{
    tiny_config *k = ss_calloc(1, sizeof *k);

    assert_non_null(k);
    k->in = ss_json_int(j, "in_channels", 1);
    k->out = ss_json_int(j, "out_channels", 1);
    k->frames = ss_json_int(j, "frames", 0);
    k->side = ss_json_int(j, "sample_size", 8);
    k->reference = ss_json_bool(j, "reference", false);
    *config = k;
    return ss_json_done(j, e);
}

static void tiny_info(const void *config, ss_network_info *info)
{
    static const ss_remedies none = {0};
    const tiny_config *k = config;

    *info = (ss_network_info){.in_channels = k->in,
                              .out_channels = k->out,
                              .sample_frames = k->frames,
                              .sample_h = k->side,
                              .sample_w = k->side,
                              .needs = {.concat_channels = k->in - k->out,
                                        .reference_channels = k->reference ? k->out : 0},
                              .remedies = &none};
}

static void *tiny_build(ss_net *n, const void *config)
{
    const tiny_config *k = config;
    tiny_network *t = ss_net_alloc(n, sizeof *t);

    assert_non_null(t);
    ss_net_module(n, &t->m, NULL, "TinyVideoModel", "%s", "");
    t->in = ss_linear_layer_new(n, &t->m, "conv_in", (int)k->in, TINY_WIDTH, true);
    t->down = ss_linear_layer_new(n, &t->m, "down_blocks.0", TINY_WIDTH, TINY_WIDTH, true);
    t->up = ss_linear_layer_new(n, &t->m, "up_blocks.0", TINY_WIDTH, TINY_WIDTH, true);
    t->out = ss_linear_layer_new(n, &t->m, "conv_out", TINY_WIDTH, (int)k->out, true);
    return t;
}

static ss_tensor *tiny_run(ss_ctx *c, const void *network, const ss_tensor *x,
                           const float *timesteps, const ss_condition *cond)
{
    const tiny_network *t = network;

    (void)timesteps, (void)cond;
    ss_enter(c, &t->m, x);
    ss_tensor *a = ss_linear_layer_run(c, t->in, x);
    ss_tensor *b = ss_linear_layer_run(c, t->down, a);
    ss_tensor *s = ss_activate(c, b, SS_ACT_SILU);
    ss_tensor *u = ss_linear_layer_run(c, t->up, s);
    ss_tensor *y = ss_linear_layer_run(c, t->out, u);

    ss_release(a);
    ss_release(b);
    ss_release(s);
    ss_release(u);
    return ss_leave(c, &t->m, y);
}

static void tiny_structure(const void *config, ss_structure_list *l)
{
    (void)config, (void)l;
}

static const ss_family tiny_family = {
    .class_name = "TinyVideoModel",
    .folder = "unet",
    .read = tiny_read,
    .info = tiny_info,
    .build = tiny_build,
    .run = tiny_run,
    .structure = tiny_structure,
};

const char *ss_family_class(ss_json *j)
{
    return ss_json_string(j, "_class_name", NULL);
}

const ss_family *ss_family_find(const char *class_name)
{
    return strcmp(class_name, tiny_family.class_name) == 0 ? &tiny_family : NULL;
}

const char *ss_family_folder(int i)
{
    return i == 0 ? tiny_family.folder : NULL;
}

ss_code ss_family_read(ss_json *j, const ss_family **family, void **config, ss_err *e)
{
    assert_string_equal(ss_json_string(j, "_class_name", NULL), tiny_family.class_name);
    *family = &tiny_family;
    return tiny_read(j, config, e);
}

/* Writes a model folder of such a network, with random weights. */
static inline void make_tiny(const char *dir, int frames, int side, int in, int out)
{
    char config[200];

    snprintf(config, sizeof config,
             "{\"_class_name\": \"TinyVideoModel\", \"frames\": %d, \"sample_size\": %d, "
             "\"in_channels\": %d, \"out_channels\": %d}",
             frames, side, in, out);
    make_model(dir, config, NULL);
}

#endif
