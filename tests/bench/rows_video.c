/* rows_video.c - forward passes of networks for videos: a fifth of the channels of AnimateDiff and
 * of ModelScope's, 16 frames
 */
#include "tests/bench/bench.h"

void bench_rows_video(bench *b)
{
    static const struct {
        const char *name, *folder;
    } cases[] = {
        {"UNetMotionModel", "tests/bench/configs/motion"},
        {"UNet3DConditionModel", "tests/bench/configs/unet3d"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bench_reference *reference = bench_reference_open(
            b, (const char *[]){"forward", cases[i].folder, "--batch", "1", NULL});
        bench_question theirs = {reference, "forward"};
        bench_row r = bench_row_of("ms", "%s, 16 frames", cases[i].name);
        bench_network n;

        bench_network_open(cases[i].folder, 1, b->threads, &n);
        bench_side sides[] = {{bench_network_run, &n, 0, 0}, {bench_ask, &theirs, 0, 0}};
        r.limit = 1e3 * bench_network_flops(&n) / b->peak;
        bench_alternate(sides, 2, 30);
        r.ours = 1e3 * sides[0].median;
        r.theirs = 1e3 * sides[1].median;
        bench_add_bar(&r, BENCH_RATIO, 0.7);
        bench_report(b, &r);
        bench_network_close(&n);
        bench_reference_close(reference);
    }
}
