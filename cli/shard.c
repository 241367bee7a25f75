/* shard.c - see shard.h
 *
 * Which variable decides: those of the launcher that is nearest to the process. A world of one
 * process says nothing where another variable says more, as mpirun in an array's task, which may
 * well be alone. SLURM_PROCID comes last and never contradicts, because whatever a batch script
 * starts inherits that of the script.
 */
#include "cli/shard.h"

#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

/* Variables of one launcher. */
typedef struct {
    const char *rank, *size;
    bool inherited; /* by processes that another launcher starts */
} launcher;

static const launcher launchers[] = {
    {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", false},
    {"PMI_RANK", "PMI_SIZE", false},
    {"RANK", "WORLD_SIZE", false},
    {"SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", false},
    {"SLURM_PROCID", "SLURM_NTASKS", true},
};
enum { N_LAUNCHERS = sizeof launchers / sizeof *launchers };

static ss_code read_number(const char *name, int64_t *value, ss_err *e)
{
    const char *text = getenv(name);

    if (!ss_parse_i64(text, value) || *value < 0 || *value > INT32_MAX)
        return ss_fail(e, SS_USAGE, "--shard env: %s is '%s', no whole number", name,
                       SS_SHOW(text));
    return SS_OK;
}

/* Reads a variable that may be missing; *value is then as it was. */
static ss_code read_optional(const char *name, int64_t *value, ss_err *e)
{
    return getenv(name) ? read_number(name, value, e) : SS_OK;
}

/* Turns the number of an array's task into its place: arrays may begin anywhere and have steps. */
static ss_code find_place(int64_t *id, int64_t count, ss_err *e)
{
    int64_t min = 0, step = 1, last = -1;
    ss_code rc = read_optional("SLURM_ARRAY_TASK_MIN", &min, e);

    if (rc == SS_OK)
        rc = read_optional("SLURM_ARRAY_TASK_STEP", &step, e);
    if (rc == SS_OK)
        rc = read_optional("SLURM_ARRAY_TASK_MAX", &last, e);
    if (rc != SS_OK)
        return rc;
    if (step < 1 || *id < min || (*id - min) % step || (*id - min) / step >= count ||
        (last >= 0 && min + (count - 1) * step != last))
        return ss_fail(e, SS_USAGE,
                       "--shard env: the array's %lld tasks are a list, not one from %lld in steps "
                       "of %lld, so SLURM_ARRAY_TASK_ID=%lld is no part; give --shard K/N",
                       (long long)count, (long long)min, (long long)step, (long long)*id);
    *id = (*id - min) / step;
    return SS_OK;
}

/* Reads what a launcher says; count 0: it is not there, or says half of it. */
static ss_code read_launcher(const launcher *l, ss_shard *s, ss_err *e)
{
    int64_t rank, size;
    ss_code rc;

    *s = (ss_shard){0};
    if (!getenv(l->rank) || !getenv(l->size))
        return SS_OK;
    rc = read_number(l->rank, &rank, e);
    if (rc == SS_OK)
        rc = read_number(l->size, &size, e);
    if (rc == SS_OK && strcmp(l->rank, "SLURM_ARRAY_TASK_ID") == 0)
        rc = find_place(&rank, size, e);
    if (rc == SS_OK && (rank >= size || size > SS_MAX_SHARDS))
        rc = ss_fail(e, SS_USAGE, "--shard env: %s is %lld and %s is %lld", l->rank,
                     (long long)rank, l->size, (long long)size);
    if (rc == SS_OK)
        *s = (ss_shard){(int)rank, (int)size};
    return rc;
}

static ss_code say_nothing_found(ss_err *e)
{
    for (int i = 0; i < N_LAUNCHERS; i++) {
        const launcher *l = &launchers[i];
        const bool rank = getenv(l->rank), size = getenv(l->size);

        if (rank != size)
            return ss_fail(e, SS_USAGE, "--shard env: %s is set, but %s is not; give --shard K/N",
                           rank ? l->rank : l->size, rank ? l->size : l->rank);
    }
    return ss_fail(e, SS_USAGE,
                   "--shard env: none of OMPI_COMM_WORLD_RANK, PMI_RANK, RANK, "
                   "SLURM_ARRAY_TASK_ID and SLURM_PROCID is set; give --shard K/N");
}

static ss_code read_environment(ss_shard *s, const char **by, ss_err *e)
{
    const launcher *found = NULL;

    for (int i = 0; i < N_LAUNCHERS; i++) {
        const launcher *l = &launchers[i];
        ss_shard other;
        const ss_code rc = read_launcher(l, &other, e);

        if (rc != SS_OK)
            return rc;
        if (!other.count || (found && (l->inherited || other.count == 1)))
            continue;
        if (found && s->count > 1 && (other.index != s->index || other.count != s->count))
            return ss_fail(e, SS_USAGE,
                           "--shard env: %s says part %d of %d, %s says part %d of %d; give "
                           "--shard K/N",
                           found->rank, s->index, s->count, l->rank, other.index, other.count);
        if (!found || s->count == 1) {
            found = l;
            *s = other;
        }
    }
    if (!found)
        return say_nothing_found(e);
    *by = found->rank;
    return SS_OK;
}

ss_code cli_shard_read(const char *value, ss_shard *s, const char **by, ss_err *e)
{
    *by = NULL;
    if (strcmp(value, "env") == 0)
        return read_environment(s, by, e);
    if (ss_shard_parse(value, s))
        return SS_OK;
    return ss_fail(e, SS_USAGE, "--shard takes K/N, part K from 0 to N - 1 of N, or env; not '%s'",
                   SS_SHOW(value));
}

ss_code cli_shard_whole(const char *output, ss_shard s, char **whole, ss_err *e)
{
    ss_shard named;
    ss_code rc = ss_shard_parse_path(output, whole, &named, e);

    if (rc == SS_OK && *whole && (named.index != s.index || named.count != s.count))
        rc = ss_fail(e, SS_USAGE,
                     "-o %s is the file of part %d of %d, but --shard asks for part %d of %d; "
                     "with -o RUN.h5 each part gets its own name",
                     SS_SHOW(output), named.index, named.count, s.index, s.count);
    if (rc == SS_OK && !*whole && !(*whole = ss_strdup(output)))
        rc = ss_no_memory(e, "a name");
    if (rc != SS_OK) {
        ss_free(*whole);
        *whole = NULL;
    }
    return rc;
}

/* True if an option's value is this word or the end of it, as in "--shard=3/7". */
static bool holds(const char *word, const char *value)
{
    return value >= word && value <= word + strlen(word);
}

char *cli_shard_command(int argc, char **argv, const char *shard, const char *output,
                        const char *whole)
{
    char **words = ss_calloc((size_t)argc + 1, sizeof *words), *line = NULL, *joined = NULL;
    int left = 0;

    for (int i = 0; words && i < argc; i++) {
        if (holds(argv[i], shard)) {
            left -= argv[i] == shard; /* the option is the word before */
            continue;
        }
        if (holds(argv[i], output)) {
            joined = ss_textf("%.*s%s", (int)(output - argv[i]), argv[i], whole);
            if (!joined)
                break;
        }
        words[left++] = holds(argv[i], output) ? joined : argv[i];
    }
    if (words && joined)
        line = cli_command_line(left, words);
    ss_free(joined);
    ss_free(words);
    return line;
}
