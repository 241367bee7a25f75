/* cli.h - what the subcommands share: option tables, common options, exit statuses
 *
 * Each subcommand is one file with one table of its options. Parsing, --help, the man
 * page and shell completion all read that table, and tests run the examples.
 *
 *   static const cli_option options[] = {
 *       CLI_GROUP("Output"),
 *       {OPT_TOP, "top", "N", "how many rows (default 20)"},
 *       {0},
 *   };
 *   static const cli_example examples[] = {
 *       {"sigmascope analyze run.h5 --top 5", "the five worst modules."},
 *       {0},
 *   };
 *   const cli_command cmd_analyze = {"analyze", "RUN.h5", "tables of ...", about, options,
 *                                    CLI_TABLES, run, examples};
 *
 *   static int run(const cli_command *cmd, int argc, char **argv)
 *   {
 *       cli_parser p;
 *       int id;
 *       for (cli_begin(&p, cmd, argc, argv); (id = cli_next(&p)) != CLI_END;) {
 *           switch (id) {
 *           case OPT_TOP: cli_int(&p, 1, 10000, &top); break;
 *           }
 *       }
 *       if (cli_stop(&p, 1, 1))            // usage errors and --help; 1 to 1 operands
 *           return p.status;
 *       ...                                // p.operands[0], p.common.json
 *       return CLI_OK;
 *   }
 */
#ifndef SS_CLI_H
#define SS_CLI_H

#include "base/err.h"
#include "base/log.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Exit statuses. */
enum { CLI_OK = 0, CLI_FAIL = 1, CLI_USAGE = 2, CLI_FINDING = 3 };

typedef struct {
    int id;           /* > 0, the command's own */
    const char *name; /* without the dashes */
    const char *arg;  /* what --help calls its value (completion.c: what that makes shells
                         offer, as with "f32|f16", "RUN.h5", "DIR"), or NULL: it takes none */
    const char *help;
} cli_option;

/* A row of a table that begins a group, under whose title --help and the manual page list the
 * options after it. A title that comes again goes on with its group. Options before any such row
 * are "Options". */
enum { CLI_GROUP_ROW = -1 };
#define CLI_GROUP(title)                 \
    {                                    \
        CLI_GROUP_ROW, title, NULL, NULL \
    }

/* A command line to copy, and a sentence after it. */
typedef struct {
    const char *line, *text;
} cli_example;

/* Ids of the common options, above the commands' own. */
enum {
    CLI_OPT_COMMON = 1000,
    CLI_OPT_HELP,
    CLI_OPT_VERSION,
    CLI_OPT_QUIET,
    CLI_OPT_VERBOSE,
    CLI_OPT_JSON,
    CLI_OPT_CSV,
    CLI_OPT_TABLE,
    CLI_OPT_WIDE,
    CLI_OPT_SEED,
    CLI_OPT_THREADS,
    CLI_OPT_DEVICE,
    CLI_OPT_ARITHMETIC,
    CLI_OPT_PROGRESS
};

/* Which of the common options a command has, beside --help, --version, --quiet, --verbose; and what
 * its operands are. */
enum {
    CLI_JSON = 1,        /* --json */
    CLI_TABLES = 1 | 32, /* that, --csv, --table TITLE, --wide: see cli/tables.h */
    CLI_SEED = 2,        /* --seed N */
    CLI_COMPUTE = 4,     /* --threads N, --device D */
    CLI_PROGRESS = 8,    /* --progress auto|always|never */
    CLI_ARITHMETIC = 16, /* --arithmetic auto|f32|tensor */

    CLI_TAKES_CHECKPOINT = 1 << 12, /* operands are checkpoints: see cli_offer */
    CLI_TAKES_RUNS = 1 << 13,       /* or run files */
};

typedef struct cli_command {
    const char *name;
    const char *operands;      /* "MODEL -o RUN.h5" */
    const char *summary;       /* one line, for the list of commands */
    const char *about;         /* paragraphs under the usage line, or NULL */
    const cli_option *options; /* ends with {0} */
    int common;
    int (*run)(const struct cli_command *cmd, int argc, char **argv);
    const cli_example *examples; /* ends with {0} */
} cli_command;

/* The names of a list of X(NAME, "name") as the argument of an option: "ddpm|ddim". */
#define CLI_CHOICE(name, text) "|" text
#define CLI_CHOICES(LIST) (&(LIST(CLI_CHOICE))[1])

/* Help texts of options that several commands have. */
#define CLI_CONFIG_HELP                                                          \
    "config.json, or a folder with it, of weights that have none: a training's " \
    "model.safetensors, "                                                        \
    "a file of weights"
#define CLI_SCHEDULER_HELP "scheduler_config.json, or a folder with it (default: the model's own)"
#define CLI_KEY_HELP                                                                            \
    "keys that lead to the model in a pickle or DCP folder, as state_dict.model (default: the " \
    "usual ones)"
#define CLI_FRAMES_HELP "frames of a video (default: the model's number)"
#define CLI_EXTEND_HELP                                                                           \
    "linear, ntk or yarn: positions of frames beyond the trained number; linear:8 where that is " \
    "not the model's own"
#define CLI_VARIANT_HELP                                                                          \
    "which weights: NAME of diffusion_pytorch_model.NAME.safetensors, fp16 or non_ema (default: " \
    "the "                                                                                        \
    "plain ones, or the only ones)"

#define CLI_GUIDANCE_HELP                                                                        \
    "tell a network that was distilled for guidance (LCM) its scale W, as diffusers' pipelines " \
    "do "                                                                                        \
    "(default: nothing)"
#define CLI_EMA_HELP                                                                             \
    "the average of the weights, where a training left one beside them (unet_ema/, ema_model., " \
    "model_ema.)"
#define CLI_LORA_HELP                                                                     \
    "merge a LoRA (LoHa, LoKr, DoRA) of sd-scripts, PEFT or diffusers, times SCALE (1); " \
    "repeatable"
#define CLI_ADAPTER_HELP                                                                        \
    "motion modules of AnimateDiff for a UNet2DConditionModel: a MotionAdapter's folder, or a " \
    "file of weights"
#define CLI_GROUPNORM_HELP                                                                    \
    "how the group norms of motion modules see a video's frames: all together, as diffusers " \
    "(the default), or one by one, as AnimateDiff's own code"
#define CLI_IGNORE_HELP                                                                         \
    "tensors of the checkpoint that the configuration does not ask for and that may be there, " \
    "repeatable"
#define CLI_COMPONENTS_HELP                                                                  \
    "networks of a pipeline, by role (text,denoiser,vae), folder (text_encoder_2) or 'all' " \
    "(default: "                                                                             \
    "the denoiser); several are written to RUN.COMPONENT.h5"
#define CLI_PROMPT_HELP \
    "a text, repeatable: encoded by the pipeline's text encoders; samples take turns"
#define CLI_OR_STAND_IN "FILE#NAME|zeros|random"
#define CLI_PROMPT_EMBEDS_HELP                                                                 \
    "text states [N,tokens,width] from a safetensors file; zeros or random: a stand-in of 77 " \
    "tokens, zeros or normal numbers, for a network whose text encoder is not at hand"
#define CLI_TEXT_EMBEDS_HELP                                                                      \
    "pooled text [N,width] (SDXL), or a stand-in (default: where --prompt-embeds is a stand-in, " \
    "the same)"
#define CLI_CLASS_EMBEDS_HELP \
    "vectors [N,width] in the place of a class (unCLIP, GeoWizard), or a stand-in"
#define CLI_TOKENIZER_HELP                                                                       \
    "folder of the tokenizer, or of a pipeline, whose text encoders also serve a model without " \
    "(default: the model's own)"
#define CLI_CONCAT_HELP                                                                    \
    "channels [N,C,H,W] that follow those of the noised picture (the mask and picture of " \
    "inpainting, "                                                                         \
    "the "                                                                                 \
    "picture of super-resolution); 'noise' or 'zeros': normal numbers or zeros in them"

/* The commands of one job, in the order in which a newcomer needs them. */
typedef struct {
    const char *title;
    const cli_command *commands[10]; /* ends with NULL */
} cli_job;

/* All commands by job; ends with {0}. main.c */
extern const cli_job cli_jobs[];

/* The i-th command, in the order of cli_jobs; NULL after the last. */
const cli_command *cli_command_at(int i);

typedef struct {
    bool json, csv, wide;
    const char *table;  /* the title of the one to print; NULL: all */
    ss_log_level level; /* --quiet, --verbose; the last one counts */
    uint64_t seed;
    int threads; /* 0: all */
    const char *device;
    const char *arithmetic; /* a name that there is; NULL: not given */
    ss_progress_mode progress;
} cli_common;

enum { CLI_END = -1 };

typedef struct {
    const cli_command *cmd;
    int argc;
    char **argv;
    const char *arg;    /* the value of the option that cli_next returned */
    const char *option; /* its name */
    cli_common common;
    char **operands;
    int n_operands;
    bool stop; /* parsing is over: --help was printed or something was wrong */
    int status;
    void *table; /* getopt's, owned */
} cli_parser;

void cli_begin(cli_parser *p, const cli_command *cmd, int argc, char **argv);

/* The id of the next option of the command's table, or CLI_END. Common options are taken
 * care of. */
int cli_next(cli_parser *p);

/* Ends parsing; true when the command should return p->status at once. Checks the number
 * of operands (max < 0: any) and sets up logging as --quiet and --progress say. */
bool cli_stop(cli_parser *p, int min_operands, int max_operands);

/* A usage error: prints "sigmascope CMD: MESSAGE" and a pointer to --help; the parser then
 * stops with status 2. Returns CLI_USAGE. */
int cli_usage(cli_parser *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Prints an error as "sigmascope CMD: MESSAGE"; returns CLI_USAGE for SS_USAGE, else
 * 128 + the signal for SS_INTERRUPTED, else CLI_FAIL. */
int cli_fail(const cli_parser *p, const ss_err *e);

/* Read the value of the option at hand; a wrong one is a usage error. */
void cli_int(cli_parser *p, int64_t min, int64_t max, int64_t *value);
void cli_double(cli_parser *p, double *value);
/* Read a count from min to max; HEIGHTxWIDTH. */
void cli_count(cli_parser *p, int min, int max, int *value);
void cli_size(cli_parser *p, int *height, int *width);

/* Appends the option's value to a list that the caller frees with ss_free. */
void cli_append(cli_parser *p, const char ***list, int *n);
/* Appends the rule GLOB=FMT of --precision-map, or all those of the file if it is @FILE; the texts
 * are copies. */
void cli_append_maps(cli_parser *p, const char ***list, int *n);
void cli_free_maps(const char **list, int n);

/* Prints text and more, joined, as one word to paste into a shell: in quotes unless
 * that is plain, with what would drive the terminal as \xNN. A name in a file may be another's. */
void cli_print_word(const char *text, const char *more);

/* offer.c: after an error, prints the command lines that were possible where a folder of
 * checkpoints or run files was given to a command that takes what is in it. */
void cli_offer(const cli_parser *p);

/* Makes sure that everything printed on stdout arrived: returns status, or CLI_FAIL with a message
 * (a full disk). Where nobody reads any more, as in `| head`, the program ends silently
 * by SIGPIPE, as other tools do. Call it last in a command. */
int cli_flush(const cli_parser *p, int status);
/* Reports a failed write to stdout, by errno; who is "sigmascope CMD". Returns CLI_FAIL. */
int cli_unwritten(const char *who);

/* "sigmascope probe unet/ -o RUN.h5", for the record: ss_free. argv[0] is the command. */
char *cli_command_line(int argc, char **argv);

/* wrong.c: usage errors about the option at hand, with the names that may have been meant. The
 * first is about one that getopt does not know, or about a letter that the command has not ('?':
 * getopt complained). The second returns false, after the error, where
 * the option takes some words ("ops|blocks") and the value is none of them. */
void cli_refuse_option(cli_parser *p, int letter);
bool cli_is_choice(cli_parser *p, int id);

/* The options of a command as --help lists them: group by group, its own before the common ones. */
enum { CLI_MAX_OPTIONS = 128 };
typedef struct {
    int n;
    struct {
        const cli_option *option;
        const char *group;
    } at[CLI_MAX_OPTIONS];
} cli_option_list;
void cli_options(const cli_command *cmd, cli_option_list *l);

/* True if there is a command of that name and it has the option. */
bool cli_has_option(const char *command, const char *option);

/* The option's short letter, '\0' if it has none: -h, -o, -q, -v. */
char cli_short(const cli_option *o);

/* Prints the usage of a command on f. */
void cli_help(const cli_command *cmd, FILE *f);

/* Reports that there is no such command, and which was meant; who is "sigmascope". Returns
 * CLI_USAGE. */
int cli_no_command(const char *who, const char *name);

/* Prints the list of commands on f. */
void cli_overview(FILE *f);

/* Prints the manual page of the program, for man(1). manual.c */
void cli_manual(FILE *f);

/* Prints what a shell reads to complete command lines: bash, zsh or fish. Returns false, and
 * prints nothing, for another shell; in completion.c. */
bool cli_completion(const char *shell, FILE *f);

/* signals.c: SIGINT, SIGTERM and SIGHUP delete unfinished outputs and end the program, with status
 * 128 + signal. cli_stop calls it. */
void cli_handle_signals(const char *command);
/* For a command whose work asks ss_interrupted(): the first signal lets it end where it can be
 * ended cleanly, the second does as above. */
void cli_stop_on_signals(void);
/* Does not return where a signal is ending the program: what fails then fails because of that. */
void cli_wait_for_end(void);

extern const cli_command cmd_doctor;
extern const cli_command cmd_inspect, cmd_probe, cmd_analyze, cmd_report;
extern const cli_command cmd_attn;
extern const cli_command cmd_compare;
extern const cli_command cmd_convert;
extern const cli_command cmd_generate;
extern const cli_command cmd_spectrum;
extern const cli_command cmd_bisect;
extern const cli_command cmd_train;
extern const cli_command cmd_sbs;
extern const cli_command cmd_score;
extern const cli_command cmd_video;
extern const cli_command cmd_selftest;
extern const cli_command cmd_gather;
extern const cli_command cmd_watch;
extern const cli_command cmd_help;

#endif
