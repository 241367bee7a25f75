/* doctor_steps.c - see doctor_steps.h */
#include "cli/doctor_steps.h"

#include "base/file.h"
#include "base/follow.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/outdir.h"
#include "base/version.h"
#include "cli/cli.h"
#include "probe/interrupt.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

/* ---- the folder ---- */

static ss_code open_log(cli_doctor_steps *s, ss_err *e)
{
    char *path = ss_path_join(s->folder, "log.txt");

    if (!path)
        return ss_no_memory(e, "doctor");
    s->log = fopen(path, "ae");
    const ss_code rc = s->log ? SS_OK : ss_fail(e, SS_IO, "%s: %s", path, strerror(errno));
    ss_free(path);
    return rc;
}

static ss_code read_before(cli_doctor_steps *s, const char *path, ss_err *e)
{
    ss_json j = {0};
    const ss_code rc = ss_json_load(&j, path, e);

    if (rc == SS_OK)
        s->before = json_incref(json_object_get(j.root, "steps"));
    ss_json_release(&j);
    return rc;
}

ss_code cli_doctor_begin(cli_doctor_steps *s, bool force, bool resume, ss_err *e)
{
    char *mark = ss_path_join(s->folder, CLI_DOCTOR_FILE);
    ss_code rc = mark ? SS_OK : ss_no_memory(e, "doctor");
    const bool ours = mark && ss_file_exists(mark);

    if (rc == SS_OK && ours && force)
        rc = ss_outdir_remove(s->folder, CLI_DOCTOR_FILE, e);
    else if (rc == SS_OK && ours && resume)
        rc = read_before(s, mark, e);
    else if (rc == SS_OK && ours)
        rc = ss_fail(e, SS_IO, "%s exists; --resume goes on with it, --force replaces it",
                     s->folder);
    if (rc == SS_OK && !(ours && resume)) {
        ss_outdir o; /* refuses what is not an empty folder */

        rc = ss_outdir_open(&o, s->folder, CLI_DOCTOR_FILE, false, e);
        if (rc == SS_OK)
            rc = ss_outdir_commit(&o, e);
    }
    if (rc == SS_OK)
        rc = open_log(s, e);
    if (rc == SS_OK) {
        json_t *object = json_object();

        rc = cli_doctor_save(s, object, e); /* from now on the folder is known */
        json_decref(object);
    }
    ss_free(mark);
    s->started = ss_now();
    s->slowness = 1;
    ss_progress_begin(&s->progress, "doctor", s->n_expected);
    return rc;
}

static json_t *words_json(const cli_words *w)
{
    json_t *list = json_array();

    json_array_append_new(list, json_string("sigmascope"));
    for (int i = 0; i < w->n; i++) { /* a path may be no UTF-8, and JSON is */
        json_t *word = json_string(w->list[i]);

        json_array_append_new(list, word ? word : json_string(SS_SHOW(w->list[i])));
    }
    return list;
}

json_t *cli_doctor_steps_json(const cli_doctor_steps *s)
{
    json_t *list = json_array();

    for (int i = 0; i < s->n; i++) {
        const cli_doctor_step *k = &s->steps[i];
        json_t *step = json_object();

        json_object_set_new(step, "command", words_json(&k->words));
        json_object_set_new(step, "status", json_integer(k->status));
        json_object_set_new(step, "seconds", json_real(k->seconds));
        json_object_set_new(step, "output", json_string(k->output));
        json_object_set_new(step, "result", json_string(k->result));
        if (*k->summary)
            json_object_set_new(step, "summary", json_string(k->summary));
        json_array_append_new(list, step);
    }
    return list;
}

static ss_code write_commands(const cli_doctor_steps *s, ss_err *e)
{
    char *path = ss_path_join(s->folder, "commands.sh");
    ss_outfile f = {0};
    ss_str text = {0};
    ss_code rc = path ? ss_outfile_open(&f, path, e) : ss_no_memory(e, "doctor");

    ss_str_add(&text, "#!/bin/sh\n# What `sigmascope doctor` ran. Each command can be repeated by "
                      "itself.\n");
    for (int i = 0; i < s->n; i++) {
        cli_words_say(&s->steps[i].words, &text);
        ss_str_add(&text, "\n");
    }
    if (rc == SS_OK && text.failed)
        rc = ss_no_memory(e, "doctor");
    if (rc == SS_OK) {
        fputs(text.s, f.f);
        rc = ss_outfile_commit(&f, e);
    } else {
        ss_outfile_discard(&f);
    }
    ss_str_release(&text);
    ss_free(path);
    return rc;
}

ss_code cli_doctor_save(const cli_doctor_steps *s, json_t *object, ss_err *e)
{
    char *path = ss_path_join(s->folder, CLI_DOCTOR_FILE);
    ss_code rc = path ? write_commands(s, e) : ss_no_memory(e, "doctor");

    if (rc == SS_OK) {
        json_object_set_new(object, "format", json_string("sigmascope-doctor"));
        json_object_set_new(object, "version", json_string(SS_VERSION));
        json_object_set_new(object, "steps", cli_doctor_steps_json(s));
        rc = ss_json_write(path, object, JSON_INDENT(1), e);
    }
    ss_free(path);
    return rc;
}

/* ---- running ---- */

/* Reads "probe 3/8, 0.2/s, 20 s left  sigma 0.5", a child's progress line. */
static bool take_progress(cli_doctor_steps *s, const char *line)
{
    char what[32];
    long long done, total;
    int end = 0;

    if (sscanf(line, "%31[a-z ] %lld/%lld%n", what, &done, &total, &end) != 3 || total < 1 ||
        done < 0 || done > total || (line[end] != ',' && strncmp(line + end, " in ", 4) != 0))
        return false;
    if (s->fraction < (double)done / (double)total) {
        s->fraction = (double)done / (double)total;
        s->fraction_at = ss_now();
    }
    snprintf(s->detail, sizeof s->detail, "%s%lld/%lld", what, done, total);
    return true;
}

/* Keeps the note that says what a probe did, and shows the others, once. */
static void take_note(cli_doctor_step *step, const char *note)
{
    if (strstr(note, " noise levels (") || strstr(note, " modules, "))
        snprintf(step->summary, sizeof step->summary, "%.511s", note);
    else
        ss_note_once("%s", note);
}

typedef struct {
    cli_doctor_steps *s;
    cli_doctor_step *step;
    double start;
} listening;

static void show_progress(const listening *l)
{
    cli_doctor_steps *s = l->s;
    const double spent = ss_now() - l->start;
    double now = fmax(s->estimate * s->slowness - spent, 1);
    char detail[224];

    if (s->fraction > 0.04) /* what was left at the last line, less what has passed since */
        now = fmax((s->fraction_at - l->start) / s->fraction * (1 - s->fraction) -
                       (ss_now() - s->fraction_at),
                   0);
    snprintf(detail, sizeof detail, "%s  %s", l->step->words.list[0], s->detail);
    ss_progress_left(&s->progress, s->n - 1, now + s->seconds_left * s->slowness, detail);
}

static bool hear(void *self, const char *line)
{
    const listening *l = self;
    char prefix[64];

    snprintf(prefix, sizeof prefix, "sigmascope %.40s: ", l->step->words.list[0]);
    if (line && !take_progress(l->s, line)) {
        fprintf(l->s->log, "%s\n", line);
        if (strncmp(line, "note: ", 6) == 0)
            take_note(l->step, line + 6);
        else if (strncmp(line, "warning: ", 9) == 0)
            ss_warn("%s", line + 9);
        else if (strncmp(line, prefix, strlen(prefix)) == 0)
            snprintf(l->step->problem, sizeof l->step->problem, "%.511s", line + strlen(prefix));
    }
    show_progress(l);
    return !ss_interrupted();
}

/* Finds the same command, done, in the folder of an earlier doctor. */
static bool find_before(const cli_doctor_steps *s, cli_doctor_step *step)
{
    json_t *words = words_json(&step->words), *one;
    bool found = false;
    size_t i;

    json_array_foreach(s->before, i, one)
    {
        const json_int_t status = json_integer_value(json_object_get(one, "status"));
        const char *result = json_string_value(json_object_get(one, "result"));
        const char *summary = json_string_value(json_object_get(one, "summary"));
        const char *output = json_string_value(json_object_get(one, "output"));

        if (found || !json_equal(words, json_object_get(one, "command")) ||
            (status != 0 && status != 3) || !output || strcmp(output, step->output) != 0 ||
            !ss_file_exists(output))
            continue;
        found = step->kept = true;
        step->status = (int)status;
        step->seconds = json_number_value(json_object_get(one, "seconds"));
        snprintf(step->result, sizeof step->result, "%.511s", result ? result : "");
        snprintf(step->summary, sizeof step->summary, "%.511s", summary ? summary : "");
    }
    json_decref(words);
    return found;
}

static void print_command(const cli_doctor_steps *s, const cli_doctor_step *step)
{
    ss_str text = {0};

    if (s->quiet_stdout)
        return;
    cli_words_say(&step->words, &text);
    const size_t room = 4 * text.len + 1;
    char *shown = text.failed ? NULL : ss_alloc(room, 1);
    if (shown)
        printf("\n$ %s\n", ss_printable(text.s, shown, room));
    fflush(stdout);
    ss_free(shown);
    ss_str_release(&text);
}

/* Runs the words with --progress always, if their command has that option: it says how far it is.
 */
static ss_code start(cli_doctor_steps *s, cli_doctor_step *step, ss_err *e)
{
    const char **argv = ss_calloc((size_t)step->words.n + 4, sizeof *argv);
    listening l = {s, step, ss_now()};
    int n = 0;

    if (!argv)
        return ss_no_memory(e, "doctor");
    argv[n++] = "sigmascope";
    argv[n++] = step->words.list[0];
    if (cli_has_option(step->words.list[0], "progress"))
        argv[n++] = "--progress=always";
    for (int i = 1; i < step->words.n; i++)
        argv[n++] = step->words.list[i];
    const ss_code rc = ss_follow("/proc/self/exe", argv, step->output, hear, &l, &step->status, e);
    ss_free(argv);
    step->seconds = ss_now() - l.start;
    return rc;
}

ss_code cli_doctor_run(cli_doctor_steps *s, cli_words *w, const char *ending, double seconds,
                       cli_doctor_step **step, ss_err *e)
{
    cli_doctor_step *grown = ss_grow(s->steps, &s->cap, (size_t)s->n + 1, sizeof *grown);
    ss_str output = {0};
    ss_code rc = SS_OK;

    if (grown)
        s->steps = grown;
    if (!grown || w->failed || !w->n) {
        cli_words_release(w);
        return ss_no_memory(e, "doctor");
    }
    cli_doctor_step *k = &s->steps[s->n];
    *k = (cli_doctor_step){.words = *w};
    *w = (cli_words){0};
    s->n++;
    ss_str_addf(&output, "%s/%02d-%s.%s", s->folder, s->n, k->words.list[0], ending);
    k->output = ss_str_detach(&output);
    if (!k->output)
        return ss_no_memory(e, "doctor");
    s->n_expected = s->n > s->n_expected ? s->n : s->n_expected;
    s->progress.total = s->n_expected;
    s->seconds_left = fmax(s->seconds_left - seconds, 0);
    s->estimate = seconds;
    s->fraction = 0;
    *s->detail = '\0';
    print_command(s, k);
    if (!find_before(s, k)) {
        rc = start(s, k, e);
        if (rc == SS_OK && ss_interrupted())
            rc = ss_fail(e, SS_INTERRUPTED, "interrupted; --resume goes on in %s", s->folder);
        if (rc == SS_OK && seconds > 2) /* a longer step shows how fast this machine is now */
            s->slowness = fmin(fmax(k->seconds / seconds, 0.2), 20);
    }
    *step = k;
    return rc;
}

void cli_doctor_result(cli_doctor_steps *s, cli_doctor_step *step, const char *fmt, ...)
{
    char shown[4 * sizeof step->result];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(step->result, sizeof step->result, fmt, ap);
    va_end(ap);
    if (s->quiet_stdout)
        return;
    ss_progress_hide();
    printf("  %s  [%s%.1f s]\n", ss_printable(step->result, shown, sizeof shown),
           step->kept ? "kept, took " : "", step->seconds);
    fflush(stdout);
}

void cli_doctor_end(cli_doctor_steps *s)
{
    if (s->started > 0) {
        s->progress.done = s->n;
        ss_progress_end(&s->progress);
    }
    for (int i = 0; i < s->n; i++) {
        cli_words_release(&s->steps[i].words);
        ss_free(s->steps[i].output);
    }
    ss_free(s->steps);
    json_decref(s->before);
    if (s->log)
        fclose(s->log);
    *s = (cli_doctor_steps){0};
}
