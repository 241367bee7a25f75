/* shard.h - the option --shard, and what launchers of several processes say in the environment */
#ifndef SS_CLI_SHARD_H
#define SS_CLI_SHARD_H

#include "probe/shard.h"

#define CLI_SHARD_HELP                                                                            \
    "compute part K, from 0, of N, and write it to RUN.K-of-N.h5, for `sigmascope gather`; env: " \
    "as SLURM_ARRAY_TASK_ID, OMPI_COMM_WORLD_RANK, PMI_RANK, RANK or SLURM_PROCID say"

/* Reads the value of --shard: "3/7" or "env". *by: the variable that decided, or NULL. SS_USAGE if
 * the environment says nothing, or two of its variables contradict each other. */
ss_code cli_shard_read(const char *value, ss_shard *s, const char **by, ss_err *e);

/* Finds the whole run's file from what -o gives, which may be a part's; ss_free. SS_USAGE if it is
 * the name of another part. */
ss_code cli_shard_whole(const char *output, ss_shard s, char **whole, ss_err *e);

/* The command line as one process has it that computes all: without --shard, and with the whole
 * run's file. `shard` and `output` are the options' values, as getopt gave them: pointers into
 * argv's words. ss_free; NULL: no memory. */
char *cli_shard_command(int argc, char **argv, const char *shard, const char *output,
                        const char *whole);

#endif
