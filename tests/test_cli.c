/* test_cli.c - the program as a user runs it: what it prints, and its exit status */
#include "tests/ss_command.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define QUICK " --quiet --threads 1 --class 3 --samples 2 --sigmas 0.5,80"

static void test_help_and_version(void **state)
{
    (void)state;
    expect("--version", 0, "sigmascope 0.");
    expect("--help", 0, "usage: sigmascope COMMAND");
    expect("", 2, "usage: sigmascope COMMAND");
    expect("frobnicate", 2, "sigmascope: no command 'frobnicate'");
    static const char *const commands[] = {"inspect", "probe",   "generate",
                                           "analyze", "compare", "attn"};
    for (size_t i = 0; i < N_OF(commands); i++) {
        char args[64];

        snprintf(args, sizeof args, "%s --help", commands[i]);
        expect(args, 0, "usage: sigmascope");
        snprintf(args, sizeof args, "%s --no-such", commands[i]);
        expect(args, 2, "unknown option '--no-such'");
    }
}

/* Messages of every kind of wrong usage; each ends with status 2. */
static void test_wrong_usage(void **state)
{
    (void)state;
    static const struct {
        const char *args, *text;
    } cases[] = {
        {"probe $M", "-o RUN.h5 is missing"},
        {"probe $M -o", "-o needs a value"},
        {"probe -o $D/x.h5", "expected MODEL -o RUN.h5"},
        {"probe $M extra -o $D/x.h5", "unexpected operand 'extra'"},
        {"probe $M -o $D/x.h5 --samples 0", "--samples takes a whole number from 1"},
        {"probe $M -o $D/x.h5 --sigmas 1,x", "--sigmas: 'x' is not a number"},
        {"probe $M -o $D/x.h5 --sigmas 1,1", "--sigmas: 1 is given twice"},
        {"probe $M -o $D/x.h5 --sigmas 1,-1", "--sigmas: -1 is not positive"},
        {"probe $M -o $D/x.h5 --sigmas 1:0.1:4", "needs 0 < LOW < HIGH"},
        {"probe $M -o $D/x.h5 --timesteps 1000",
         "timestep 1000 does not exist; there are 0 to 999"},
        {"probe $M -o $D/x.h5 --sigmas 1 --timesteps 1", "exclude each other"},
        {"probe $M -o $D/x.h5 --resume --force", "exclude each other"},
        {"probe $M -o $D/x.h5 --condition-sigma 0", "takes a positive number or 'none'"},
        {"probe $M -o $D/x.h5 --inputs frob", "'frob' is not a kind of input"},
        {"probe $M -o $D/x.h5 --inputs noise:white --inputs noise:white", "is given twice"},
        {"probe $M -o $D/x.h5 --inputs lowpass:0:noise:white", "lowpass"},
        {"probe $M -o $D/x.h5 --inputs images:$D", "no PNG file"},
        {"probe $M -o $D/x.h5 --samples 11 --inputs images:demo/fashion-mnist/images", "images"},
        {"probe $M -o $D/x.h5 --precision fp17", "'fp17' is not a number format"},
        {"probe $M -o $D/x.h5 --precision-map conv_in", "--precision-map takes GLOB=FMT"},
        {"probe $M -o $D/x.h5 --precision-map nowhere=fp16", "no module matches 'nowhere'"},
        {"probe $M -o $D/x.h5 --precision-scope all", "takes ops or blocks, not 'all'"},
        {"probe $M -o $D/x.h5 --intervene frob@x", "'frob@x' is not an intervention"},
        {"probe $M -o $D/x.h5 --intervene zero@nowhere", "no module matches 'nowhere'"},
        {"probe $M -o $D/x.h5 --modules nowhere", "--modules: no module matches 'nowhere'"},
        {"probe $M -o $D/x.h5 --dump '[a'", "--dump"},
        {"probe $M -o $D/x.h5 --dump-dtype f64", "takes f32 or f16, not 'f64'"},
        {"probe $M -o $D/x.h5 --class 11", "class 11 does not exist; there are 0 to 10"},
        {"probe $M -o $D/x.h5 --size 32", "--size takes HEIGHTxWIDTH, not '32'"},
        {"probe $M -o $D/x.h5 --device tpu", "no device 'tpu'"},
        {"probe $M -o $D/x.h5 --device tpu:0", "no device 'tpu:0' in this build; there is: cpu"},
        {"probe $M -o $D/x.h5 --arithmetic tf32",
         "--arithmetic takes auto, f32 or tensor, not 'tf32'"},
        {"probe $M -o $D/x.h5 --arithmetic tensor", "device cpu has no tensor cores"},
        {"generate $M -o $D/x.h5 --arithmetic tensor", "device cpu has no tensor cores"},
        {"generate $M -o $D/x.h5 --device tpu", "no device 'tpu'"},
        {"bisect $M --fail 'nonfinite()' --arithmetic tensor --cache $D/c",
         "device cpu has no tensor cores"},
        {"probe $M -o $D/x.h5 --prediction noise",
         "takes epsilon, v_prediction, sample or flow_prediction, not 'noise'"},
        {"generate $M", "-o DIR is missing"},
        {"generate -o $D/x.h5", "expected MODEL... -o DIR"},
        {"generate $M -o $D/x.h5 --sampler plms",
         "--sampler takes ddpm, ddim, euler or heun, not 'plms'"},
        {"generate $M -o $D/x.h5 --steps 0", "--steps takes a whole number from 1"},
        {"generate $M -o $D/x.h5 --steps 1001", "1001 sampling steps; the schedule has 1000"},
        {"generate $M -o $D/x.h5 --eta 1.5", "--eta takes a number from 0 to 1"},
        {"generate $M -o $D/x.h5 --eta 1", "--eta belongs to ddim, the sampler is ddpm"},
        {"generate $M -o $D/x.h5 --classes 1,x", "--classes takes 'all' or numbers"},
        {"generate $M -o $D/x.h5 --class 1 --classes 2", "exclude each other"},
        {"generate $M -o $D/x.h5 --negative-class 1", "has no effect without --guidance"},
        {"generate $M -o $D/x.h5 --guidance 2 --negative-class 11", "class 11 does not exist"},
        {"generate $M $M -o $D/x.h5 --probe $D/y.h5", "--probe watches one MODEL"},
        {"generate $M -o $D/x.h5 --intervene zero@nowhere", "no module matches 'nowhere'"},
        {"analyze", "expected RUN.h5"},
        {"analyze $D/x.h5 --format fp17", "'fp17' is not a number format"},
        {"spectrum", "expected IMAGE.png|RUN.h5..."},
        {"spectrum x.png --cutoff 0", "--cutoff takes a positive number of cycles"},
        {"spectrum x.png --lowpass x", "--lowpass takes a number, not 'x'"},
        {"spectrum x.png -o $D/x.h5", "give --lowpass or --highpass"},
        {"spectrum x.png y.png --lowpass 2 -o $D/x.h5", "-o takes one picture, not 2 files"},
        {"bisect $M", "--fail EXPR is missing (or --check COMMAND)"},
        {"bisect --fail 'nonfinite()'", "expected MODEL... --fail EXPR"},
        {"bisect $M --fail 'absmax(*) = 1'", "position 11: expected '>', '>=', '<' or '<='"},
        {"bisect $M --fail 'nonfinite()' --sigmas 1,x", "--sigmas: 'x' is not a number"},
        {"inspect $M --depth -1", "--depth takes a whole number from 0"},
    };

    for (size_t i = 0; i < N_OF(cases); i++) {
        expect(cases[i].args, 2, cases[i].text);
        assert_int_equal(access(in_tmp("x.h5"), F_OK), -1); /* and no file is left */
    }
}

static void copy_model(const char *name)
{
    char command[512];

    snprintf(command, sizeof command, "cp -r %s %s/%s", MODEL, tmp_dir, name);
    assert_int_equal(system(command), 0);
}

/* Writes text into a file of a copied model. */
static void spoil(const char *file, const char *text)
{
    write_file(in_tmp(file), text, strlen(text));
}

static void test_bad_models(void **state)
{
    (void)state;
    expect("probe $D/none -o $D/x.h5", 1, "none: No such file or directory; expected a model");
    expect("generate $M $D/none -o $D/x.h5", 1,
           "none: No such file or directory; expected a model");
    mkdir(in_tmp("empty"), 0755);
    expect("probe $D/empty -o $D/x.h5", 1, "neither config.json nor unet/config.json is there");

    copy_model("truncated");
    assert_int_equal(truncate(in_tmp("truncated/unet/diffusion_pytorch_model.safetensors"), 5000),
                     0);
    expect("probe $D/truncated -o $D/x.h5", 1, "diffusion_pytorch_model.safetensors");

    copy_model("family");
    spoil("family/unet/config.json", "{\"_class_name\": \"MagicModel\"}");
    expect("inspect $D/family", 1, "MagicModel");

    copy_model("syntax");
    spoil("syntax/unet/config.json", "{\"_class_name\": ");
    expect("inspect $D/syntax", 1, "config.json");

    copy_model("option");
    spoil("option/unet/config.json",
          "{\"_class_name\": \"UNet2DConditionModel\", \"dual_cross_attention\": true}");
    expect("inspect $D/option", 1, "dual_cross_attention");

    copy_model("unknown");
    spoil("unknown/unet/config.json",
          "{\"_class_name\": \"UNet2DConditionModel\", \"warp_factor\": 9}");
    expect("inspect $D/unknown", 1, "warp_factor");

    copy_model("shape");
    assert_int_equal(system("sed -i 's/\"norm_num_groups\": 8/\"norm_num_groups\": 7/' "
                            "/tmp/sigmascope-test-*/shape/unet/config.json"),
                     0);
    expect("inspect $D/shape", 1, NULL);
    assert_int_equal(access(in_tmp("x.h5"), F_OK), -1);
}

/* Sets the first weight of a copy to NaN: the run works, and every table says so. */
static void test_nan_weights(void **state)
{
    (void)state;
    unsigned char raw[8];

    copy_model("nan");
    FILE *f = fopen(in_tmp("nan/unet/diffusion_pytorch_model.safetensors"), "r+b");
    assert_non_null(f);
    assert_int_equal(fread(raw, 1, 8, f), 8);
    long header = 0;
    for (int i = 7; i >= 0; i--)
        header = header << 8 | raw[i];
    fseek(f, 8 + header, SEEK_SET);
    fwrite((unsigned char[]){0, 0x7e}, 1, 2, f); /* F16 NaN */
    fclose(f);

    expect("probe $D/nan -o $D/nan.h5" QUICK, 0, "1 weights are inf or NaN, the first in ");
    expect("analyze $D/nan.h5", 3, "1 weight is inf or NaN, in 1 of 248 parameters");
    expect("inspect $D/nan", 3, "1 weight is inf or NaN, in 1 of 248 tensors");
}

static void test_unreadable_png(void **state)
{
    (void)state;
    mkdir(in_tmp("pictures"), 0755);
    spoil("pictures/a.png", "\x89PNG\r\n\x1a\n and then nothing");
    expect("probe $M -o $D/x.h5 --samples 1 --inputs images:$D/pictures", 1, "a.png");
}

static void test_targets(void **state)
{
    (void)state;
    expect("probe $M -o $D/none/x.h5" QUICK, 1, "No such file or directory");
    expect("probe $M -o $D/there.h5" QUICK, 0, "there.h5");
    expect("probe $M -o $D/there.h5" QUICK, 1, "exists already; --force replaces it");
    expect("probe $M -o $D/there.h5 --resume" QUICK, 0, NULL);
    expect("probe $M -o $D/there.h5 --resume --seed 1" QUICK, 2, "seed");
    expect("probe $M -o $D/there.h5 --force" QUICK, 0, NULL);
    expect("analyze $D/there.h5 > /dev/full", 1, "writing the output");
    expect("analyze $M/unet/config.json", 1, "config.json");
}

static void test_full_disk(void **state)
{
    (void)state;
    const char *dir = in_tmp("small");

    mkdir(dir, 0755);
    if (mount("tmpfs", dir, "tmpfs", 0, "size=2m") != 0)
        skip_because("cannot mount a small file system: %s", strerror(errno));
    int status = run("probe $M -o $D/small/x.h5 --dump '*'" QUICK);
    umount(in_tmp("small"));
    assert_int_equal(status, 1);
    assert_non_null(strstr(output, "No space left on device"));
}

static void same_data(const char *a, const char *b)
{
    char command[300];

    snprintf(command, sizeof command, "tests/same-data %s %s", a, b);
    assert_int_equal(system(command), 0);
}

/* SIGINT in the middle: status 130, a file that opens; --resume gives an undisturbed run's data. */
static void test_interrupt_and_resume(void **state)
{
    (void)state;
#define LONG " --quiet --threads 1 --class 3 --samples 8 --sigmas 0.02:80:64 --inputs noise:pink"
    expect("probe $M -o $D/cut.h5" LONG " && mv $D/cut.h5 $D/whole.h5", 0, NULL); /* one command */
    int status = run("probe $M -o $D/cut.h5" LONG " & p=$!; for i in $(seq 500); do "
                     "[ -s $D/cut.h5 ] && break; sleep 0.02; done; sleep 0.1; kill -INT $p; "
                     "wait $p");
    if (status == 0)
        skip_because("the run ended before it could be interrupted");
    assert_int_equal(status, 128 + SIGINT);
    assert_non_null(strstr(output, "--resume goes on"));
    expect("probe $M -o $D/cut.h5 --resume" LONG, 0, NULL);
    same_data(in_tmp("whole.h5"), in_tmp("cut.h5"));
}

static void test_json(void **state)
{
    (void)state;
    static const char *const commands[] = {
        "inspect $M --json",
        "inspect $M demo/fashion-mnist/step-06000 --json",
        "analyze $D/there.h5 --json",
        "attn $D/there.h5 --json",
        "analyze $D/there.h5 --keep-fp32 e4m3-ieee --json",
    };

    for (size_t i = 0; i < N_OF(commands); i++) {
        json_error_t e;

        expect(commands[i], 0, NULL);
        json_t *j = json_loads(output, 0, &e);
        if (!j)
            fail_msg("%s: %s at line %d", commands[i], e.text, e.line);
        assert_true(json_object_size(j) > 0);
        json_decref(j);
    }
}

/* Watching a part only, dumping, channels, emulation, interventions: the run file has them. */
static void test_options_of_probe(void **state)
{
    (void)state;
    expect("probe $M -o $D/o.h5 --modules 'up_blocks.*' --dump conv_out --dump-dtype f16 "
           "--channels --precision e4m3-ieee --precision-scope blocks --precision-map 'mid*=fp16' "
           "--intervene clamp:20@up_blocks.0 --condition-sigma none "
           "--inputs constant:0.5 --inputs highpass:3:grating:4,30 --inputs checker:4 " QUICK,
           0, "o.h5");
    expect("analyze $D/o.h5 --format e4m3-ieee --by-input", 0, "checker:4");
    assert_non_null(strstr(output, "e4m3-ieee (blocks), mid*=fp16"));
    expect("analyze $D/o.h5 --modules 'down*'", 2, "down*");
}

/* Samples of two models, with every option; the run file of one of them can be analysed. */
static void test_generate(void **state)
{
    (void)state;
#define FEW " --quiet --threads 1 --steps 3 --samples 2 --class 3"
    expect("generate $M demo/fashion-mnist/step-06000 -o $D/g --sampler euler" FEW, 0,
           "02-step-06000        2           0");
    assert_non_null(strstr(output, "euler, 3 steps, guidance 1, seed 0"));
    assert_int_equal(count_files(in_tmp("g")), 4);
    expect("generate $M -o $D/g" FEW, 1, "exists; --force replaces it");
    expect("generate $M -o $D/g --force --json" FEW, 0, "\"not finite\": 0");
    assert_int_equal(count_files(in_tmp("g")), 3);
    expect("generate $M -o $D/w --sampler ddim --eta 0.5 --guidance 3 --negative-class 7 --batch 1 "
           "--size 16x24 --precision fp16 --precision-map 'mid*=bf16' --precision-scope blocks "
           "--intervene scale:0.9@mid_block --seed 5 --probe $D/w.h5" FEW,
           0, "w/sheet.png");
    expect("analyze $D/w.h5", 0, "conditional, unconditional");
    expect("generate $M -o $D/none/g" FEW, 1, "No such file or directory");
    expect("generate $M -o $D/broken --precision e3m3" FEW, 1,
           "all 2 samples have values that are");
    assert_int_equal(count_files(in_tmp("broken")), 3); /* the pictures show it */
}

static void test_generate_interrupted(void **state)
{
    (void)state;
    const int before = count_files(tmp_dir);
    int status = run("generate $M -o $D/cut-short --quiet --threads 1 --steps 1000 --class 3 & "
                     "sleep 0.5; kill -INT $!; wait $!");

    if (status == 0)
        skip_because("the run ended before it could be interrupted");
    assert_int_equal(status, 128 + SIGINT);
    assert_non_null(strstr(output, "sigmascope generate: interrupted"));
    assert_int_equal(count_files(tmp_dir), before);
}

/* Pictures and runs; what is neither is said to be neither. */
static void test_spectrum(void **state)
{
    (void)state;
#define PICTURES "demo/fashion-mnist/images"
    expect("spectrum " PICTURES "/0-t-shirt.png --lowpass 3 -o $D/low.png", 0,
           "low-frequency share");
    expect("spectrum $D/low.png", 0, "0 to 255; low is 2 cycles per picture and less");
    expect("spectrum " PICTURES "/0-t-shirt.png " PICTURES "/8-bag.png --json", 0,
           "8-bag.png\": {");
    expect("spectrum $M/unet/config.json", 1, "no PNG picture, and no run file: ");
    expect("spectrum $D/none.png", 1, "none.png: No such file or directory");
    expect("spectrum " PICTURES "/8-bag.png --lowpass 3 -o $D/none/x.png", 1, "No such file");

    expect("probe $M -o $D/s1.h5 --condition-sigma 1 --inputs noise:pink --inputs noise:white"
           " --channels --dump 'up_blocks.?'" QUICK,
           0, NULL);
    expect(
        "probe $M -o $D/s80.h5 --condition-sigma 80 --inputs noise:pink --inputs noise:white" QUICK,
        0, NULL);
    expect("spectrum $D/s1.h5", 0,
           "Inputs with less low frequencies give the larger activations at");
    expect("spectrum $D/s1.h5 --lowpass 2", 2, "is a run; its inputs are filtered when it is made");
    expect("spectrum $D/s80.h5 $D/s1.h5", 0, "input sigma  told 1  told 80");
    expect("spectrum $D/s80.h5 $D/s1.h5 --json", 0, "\"what does it\"");
    expect("analyze $D/s1.h5", 0, "blobs by sigma");
    expect("analyze $D/s1.h5", 0, "outlier channels");
}

/* The bundled pair; the second time everything is there already. */
static void test_bisect(void **state)
{
    (void)state;
#define PAIR "bisect demo/fashion-mnist/step-06000 demo/fashion-mnist/step-00250 --cache $D/kept "
#define BAD "--fail 'absmax(up_blocks.*) > 240'"
    expect(PAIR BAD QUICK, 3, "2 of 2 checkpoints tried (2 probed, 0 kept runs)");
    assert_non_null(strstr(output, "module      up_blocks.0.upsamplers.0.conv\n"));
    assert_non_null(strstr(output, "checkpoint  demo/fashion-mnist/step-06000\n"));
    assert_non_null(strstr(output, "sigma       80\n"));
    expect(PAIR BAD QUICK " --exhaustive --json", 3, "(0 probed, 2 kept runs)");
    expect(PAIR "--fail 'absmax(*) > 1e6'" QUICK, 0, "no bad one; 2 of 2 checkpoints tried (0");
    expect(PAIR BAD QUICK " --seed 1", 3, "(2 probed, 0 kept runs)"); /* another plan */
    expect(PAIR "--check 'case $1 in *6000) exit 4; esac; test -s $2'" QUICK, 3,
           "first bad: demo/fashion-mnist/step-06000; last good before it: demo/");
    expect(PAIR "--check 'exit 125'" QUICK, 1, "skipped every checkpoint");
    expect(PAIR "--check 'exit 127'" QUICK, 1, "exit status 127; 0 is good");
    expect(PAIR "--check 'kill -9 $$'" QUICK, 1, "ended by signal 9");
    expect(PAIR "--fail 'loss() > 1'" QUICK, 2, "--inputs images:, idx: or tensor: give it");
    expect("bisect $M --minimal-fp32 e3m4 --fail 'overflow(e4m3-ieee)' --json --cache $D/kept" QUICK
           " --sigmas 80",
           0, "\"keep_fp32\": [");
    expect(PAIR BAD QUICK " --save-bundle $D/bundle", 3,
           "/bundle/replay.sh demo/fashion-mnist/step-06000\n");
    assert_int_equal(count_files(in_tmp("bundle")), 7);
    expect(PAIR BAD QUICK " --save-bundle $D/bundle", 1, "exists");
    expect(PAIR "--check true --save-bundle $D/b" QUICK, 2, "--save-bundle needs --fail");
    expect("bisect $M --minimal-fp32 fp17 --fail 'nonfinite()'" QUICK, 2,
           "--minimal-fp32: 'fp17' is not a number format");
    expect("bisect $M --minimal-fp32 fp16 --precision fp16 --fail 'nonfinite()'" QUICK, 2,
           "needs runs in fp32");
    expect("bisect $M $M " BAD QUICK, 2, "is there twice");
    expect("bisect $M $D/none --cache $D/kept " BAD QUICK, 1,
           "none: No such file or directory; expected a model folder");
    expect("bisect $M --cache $D/none/kept " BAD QUICK, 1, "No such file or directory");
}

/* Runs a shell command with $S for the program, $M and $D; what it printed is in output. */
static int shell(const char *command)
{
    const char *program = getenv("SIGMASCOPE");
    char line[2048];

    snprintf(line, sizeof line, "exec 2>&1; S=%s; M=%s; D=%s; %s",
             program ? program : "build/sigmascope", MODEL, tmp_dir, command);
    FILE *p = popen(line, "r");
    assert_non_null(p);
    output[fread(output, 1, sizeof output - 1, p)] = '\0';
    const int status = pclose(p);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Whoever reads the output may stop: no word about it, and the status of a tool that ended so. */
static void test_unread_output(void **state)
{
    (void)state;
    static const char *const commands[] = {"inspect $M --depth 0 --top 0",
                                           "inspect $M --depth 0 --top 0 --json", "probe --help",
                                           "--man"};

    for (size_t i = 0; i < N_OF(commands); i++) {
        char line[256];

        /* `true` is gone before the program begins to print */
        snprintf(line, sizeof line,
                 "( sleep 0.2; $S %s; echo $? >$D/status ) | true; cat $D/status", commands[i]);
        assert_int_equal(shell(line), 0);
        if (strcmp(output, "141\n") != 0) /* 128 + SIGPIPE */
            fail_msg("%s: %s", commands[i], output);
    }
}

/* A limit on the size of files is a write error like any other. */
static void test_file_size_limit(void **state)
{
    (void)state;
    assert_int_equal(shell("ulimit -f 4; $S probe $M -o $D/limited.h5 --quiet --samples 1"), 1);
    assert_non_null(strstr(output, "File too large"));
    assert_int_equal(shell("test ! -e $D/limited.h5"), 0);
    assert_int_equal(
        shell("ulimit -f 1; $S generate $M -o $D/limited --quiet --samples 9 --steps 1"), 1);
    assert_non_null(strstr(output, "File too large"));
    assert_int_equal(shell("test ! -e $D/limited"), 0);
    assert_int_equal(shell("ulimit -f 4; $S inspect $M --depth 0 --top 0 > $D/limited.txt"), 1);
    assert_non_null(strstr(output, "writing the output: File too large"));
}

/* Every option of the command with the most of them is known by its name, with its value, whatever
 * its number is among them. */
static void test_long_options(void **state)
{
    static char help[sizeof output];
    char args[128], name[64];
    int n = 0;

    (void)state;
    expect("generate --help", 0, "--output");
    memcpy(help, output, sizeof help);
    for (const char *at = help; (at = strstr(at, "\n  --")); n++) {
        at += strlen("\n  --");
        assert_int_equal(sscanf(at, "%63[a-z-]", name), 1);
        snprintf(args, sizeof args, "generate --%s x --help", name);
        run(args);
        if (strstr(output, "needs a value") || strstr(output, "unknown option"))
            fail_msg("%s: %s", args, output);
    }
    assert_true(n > 40);
    expect("generate --output", 2, "--output needs a value");
    expect("generate --no-such", 2, "unknown option '--no-such'");
    expect("generate -o", 2, "-o needs a value");
    expect("generate -z", 2, "unknown option '-z'\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unread_output),
        cmocka_unit_test(test_file_size_limit),
        cmocka_unit_test(test_help_and_version),
        cmocka_unit_test(test_wrong_usage),
        cmocka_unit_test(test_bad_models),
        cmocka_unit_test(test_nan_weights),
        cmocka_unit_test(test_unreadable_png),
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_interrupt_and_resume),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_options_of_probe),
        cmocka_unit_test(test_generate),
        cmocka_unit_test(test_generate_interrupted),
        cmocka_unit_test(test_spectrum),
        cmocka_unit_test(test_bisect),
        cmocka_unit_test(test_long_options),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
