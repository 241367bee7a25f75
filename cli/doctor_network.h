/* doctor_network.h - `sigmascope doctor`: what a network is, and what it is fed
 *
 *   cli_doctor_network n;
 *   cli_doctor_look(&opt, "unet/", NULL, &n);          // reads headers, infers shapes
 *   if (!*n.why)
 *       cli_doctor_choose(&n, &opt, 30e12, &grid);     // at most so many operations
 *
 * The grid depends on the network's operations and on the options, not on the machine's speed, so
 * that a command gives the same run everywhere.
 */
#ifndef SS_CLI_DOCTOR_NETWORK_H
#define SS_CLI_DOCTOR_NETWORK_H

#include "probe/probe.h"

typedef struct {
    char component[64]; /* its folder in the pipeline; "" for MODEL's own network */
    char why[512];      /* why it cannot be opened; "": it can */
    char family[64];
    ss_role role;
    int64_t parameters;
    uint64_t bytes; /* of its weights */
    double flops;   /* of one sample's forward pass: of a VAE encoding and decoding */
    int modules;
    ss_condition_needs needs;
    bool has_size;     /* its configuration says its sample_size */
    int height, width; /* of the input; of a VAE the picture */
    double low, high;  /* noise levels of its schedule; 0: it has none */
} cli_doctor_network;

/* Opens the network of MODEL, or a component of it (NULL: the denoiser), and counts its operations.
 * What fails is n->why. Prints nothing. */
void cli_doctor_look(const ss_probe_options *opt, const char *model, const char *component,
                     cli_doctor_network *n);

enum { CLI_DOCTOR_INPUTS = 6, CLI_DOCTOR_PROMPTS = 2 };

/* The grid to probe where the options leave it open. */
typedef struct {
    char sigmas[80]; /* "": the option is given, or the network has no noise levels */
    const char *inputs[CLI_DOCTOR_INPUTS];
    int n_inputs; /* chosen; 0: given, or it takes none */
    int samples;  /* 0: given, or the default */
    char size[32];
    double forwards, flops; /* samples that go through the network, and their operations */
} cli_doctor_grid;

/* Chooses a grid of at most `budget` operations, or else the smallest. */
void cli_doctor_choose(const cli_doctor_network *n, const ss_probe_options *opt, double budget,
                       cli_doctor_grid *g);

/* Prompts for a network with text encoders, where none are given. */
extern const char *const cli_doctor_prompts[CLI_DOCTOR_PROMPTS];

/* An option that stands in for a condition that is not given. */
typedef struct {
    const char *option, *value; /* "--class", "0" */
    const char *text;           /* what it means, for people: "class 0" */
} cli_doctor_stand_in;

/* Lists what the network is told where the options leave it open. prompted: it is told prompts;
 * texts: it is meant to be told texts, as its pipeline has encoders. Returns the number. */
enum { CLI_DOCTOR_STAND_INS = 4 };
int cli_doctor_conditions(const cli_doctor_network *n, const ss_probe_options *opt, bool prompted,
                          bool texts, cli_doctor_stand_in list[CLI_DOCTOR_STAND_INS]);

#endif
