/* test_video_latents.c - videos of latent denoisers through the VAE of their pipeline, and a VAE
 * that decodes videos under probe
 *
 * The pipelines are put together of golden networks: $D/pictures has an autoencoder of pictures,
 * $D/videos one whose decoder sees frames together.
 */
#include "base/mem.h"
#include "probe/latents.h"
#include "tests/ss_command.h"

enum { FRAMES = 3, SIDE = 4, LATENT = SIDE * SIDE * 4, PICTURE = 4 * SIDE * SIDE * 3 };

static int set_up(void **state)
{
    /* as AnimateDiffPipeline is written, its motion adapter beside the UNet that has it already */
    static const char index[] = "{\"_class_name\": \"AnimateDiffPipeline\", \"unet\": "
                                "[\"diffusers\", \"UNetMotionModel\"], "
                                "\"vae\": [\"diffusers\", \"AutoencoderKL\"], "
                                "\"motion_adapter\": [\"diffusers\", \"MotionAdapter\"]}";
    static const char *const parts[][2] = {{"pictures", "sd"}, {"videos", "svd-levels"}};

    if (make_tmp(state) != 0)
        return -1;
    for (size_t i = 0; i < N_OF(parts); i++) {
        char command[1200];

        snprintf(command, sizeof command,
                 "mkdir %s && cp -r tests/golden/unets/motion %s/unet && "
                 "cp -r tests/golden/vaes/%s %s/vae && cp -r tests/golden/adapters/adapter "
                 "%s/motion_adapter && echo '%s' >%s/model_index.json",
                 in_tmp(parts[i][0]), in_tmp(parts[i][0]), parts[i][1], in_tmp(parts[i][0]),
                 in_tmp(parts[i][0]), index, in_tmp(parts[i][0]));
        FILE *p = popen(command, "r");
        if (!p || pclose(p) != 0)
            return -1;
    }
    return 0;
}

/* Opens the VAE of a pipeline for latents of so many frames; 0: pictures. */
static ss_latents *open_latents(const char *pipeline, int frames)
{
    const ss_sample_size size = {frames, SIDE, SIDE, 4};
    ss_latents *l = NULL;
    ss_model *m;
    ss_err e = {0};

    if (ss_model_open(in_tmp(pipeline), NULL, &m, &e) != SS_OK ||
        ss_latents_open(m, NULL, size, &(ss_ctx_options){.threads = 1}, &l, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_model_close(m);
    assert_non_null(l);
    assert_int_equal(ss_latents_picture(l).frames, frames);
    return l;
}

/* Decodes a video, and its frames as pictures: how far they are from each other. */
static double apart(const char *pipeline)
{
    static float z[FRAMES * LATENT], video[FRAMES * PICTURE], alone[FRAMES * PICTURE];
    ss_latents *l = open_latents(pipeline, FRAMES), *k = open_latents(pipeline, 0);

    for (int i = 0; i < FRAMES * LATENT; i++)
        z[i] = sinf((float)i * 0.7f);
    assert_int_equal(ss_latents_decode(l, z, video, NULL), SS_OK);
    for (int f = 0; f < FRAMES; f++)
        assert_int_equal(ss_latents_decode(k, z + f * LATENT, alone + f * PICTURE, NULL), SS_OK);
    ss_latents_close(l);
    ss_latents_close(k);
    return relative_l2(video, alone, FRAMES * PICTURE);
}

static void test_frames_alone_and_together(void **state)
{
    (void)state;
    assert_true(apart("pictures") == 0);
    assert_true(apart("videos") > 1e-3);
}

static void test_encodes_frame_by_frame(void **state)
{
    static float x[FRAMES * PICTURE], video[FRAMES * LATENT], alone[LATENT];
    ss_latents *l = open_latents("videos", FRAMES), *k = open_latents("videos", 0);

    (void)state;
    for (int i = 0; i < FRAMES * PICTURE; i++)
        x[i] = cosf((float)i * 0.3f);
    assert_int_equal(ss_latents_encode(l, x, video, NULL), SS_OK);
    assert_int_equal(ss_latents_encode(k, x + 2 * PICTURE, alone, NULL), SS_OK);
    assert_memory_equal(video + 2 * LATENT, alone, sizeof alone);
    ss_latents_close(l);
    ss_latents_close(k);
}

#define TEXT "--prompt-embeds tests/golden/unets/motion/golden.safetensors#encoder_hidden_states "

static void test_generate(void **state)
{
    (void)state;
    expect("generate $D/pictures $D/videos -o $D/out --frames 3 --steps 2 --samples 1 " TEXT, 0,
           "decoded by the VAE");
    /* a strip of three frames, and a folder of them */
    expect("spectrum $D/out/01-pictures/0000.png --json", 0, NULL);
    expect("video $D/out/01-pictures/0000 $D/out/02-videos/0000", 0, NULL);
}

static void test_inputs_of_frames(void **state)
{
    (void)state;
    expect("generate $D/pictures -o $D/first --frames 3 --steps 2 --samples 1 " TEXT, 0, NULL);
    expect("probe $D/videos -o $D/coded.h5 --frames 3 --sigmas 1 --samples 1 "
           "--inputs images:$D/first/01-pictures " TEXT,
           0, NULL);
}

static void test_probe_of_a_decoder(void **state)
{
    (void)state;
    expect("probe tests/golden/vaes/svd-levels -o $D/vae.h5 --frames 3 --size 8x8 --sigmas 0.1 "
           "--inputs noise:white",
           0, NULL);
    expect("analyze $D/vae.h5", 0, "temporal_res_block");
    expect("probe tests/golden/vaes/sd -o $D/no.h5 --frames 3 --size 8x8", 2, "not videos");
    /* the latents of a denoiser's run */
    expect("probe $D/videos -o $D/run.h5 --frames 3 --sigmas 1 --samples 1 " TEXT, 0, NULL);
    expect("probe $D/videos --components vae -o $D/vae2.h5 --frames 3 --size 16x16 --sigmas 0.1 "
           "--inputs latents:$D/run.h5",
           0, NULL);
    expect("probe $D/videos --components vae -o $D/no.h5 --frames 2 --size 16x16 "
           "--inputs latents:$D/run.h5",
           1, "[2,8,8,4]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_alone_and_together),
        cmocka_unit_test(test_encodes_frame_by_frame),
        cmocka_unit_test(test_generate),
        cmocka_unit_test(test_inputs_of_frames),
        cmocka_unit_test(test_probe_of_a_decoder),
    };

    return cmocka_run_group_tests(tests, set_up, remove_tmp);
}
