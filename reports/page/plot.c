/* plot.c - see plot.h */
#include "reports/page/plot.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static const char *program = "gnuplot";

typedef struct {
    const char *suffix, *ground, *text, *grid;
    const char *line[10]; /* line types 1 to 10 */
} theme;

/* Okabe & Ito's colours; on dark ground blue, black and vermillion are lighter, for contrast. */
static const theme themes[] = {
    {"",
     "#ffffff",
     "#1f2328",
     "#d0d7de",
     {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8f98", "#000000",
      "#c4c9d0", "#b00020"}},
    {"-dark",
     "#161b22",
     "#e6edf3",
     "#30363d",
     {"#4aa8e0", "#f0843c", "#2cc79b", "#e29cc4", "#e6b440", "#8fd0f5", "#9aa2ad", "#ffffff",
      "#4a525c", "#ff7b86"}},
};
enum { N_THEMES = sizeof themes / sizeof *themes };

/* viridis (S. van der Walt, N. Smith; CC0) at nine points; between them the error is below 2 of
 * 255. */
static const char palette[] =
    "set palette defined (0 '#440154', 1 '#472d7b', 2 '#3b528b', 3 '#2c728e', 4 '#21918c', "
    "5 '#28ae80', 6 '#5ec962', 7 '#addc30', 8 '#fde725')\n";

void ss_plot_program(const char *name)
{
    program = name;
}

void ss_plot_add(ss_plot *p, const char *text)
{
    ss_str_add(&p->script, text);
}

void ss_plot_addf(ss_plot *p, const char *fmt, ...)
{
    char text[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    ss_str_add(&p->script, text);
}

void ss_plot_label(ss_plot *p, const char *text)
{
    /* In single quotes gnuplot interprets nothing; a doubled quote is one quote. */
    ss_str_add(&p->script, "'");
    for (const char *c = text; *c; c++) {
        if (*c == '\'' || *c == '`')
            ss_str_add(&p->script, "''");
        else if ((unsigned char)*c < 0x20 || *c == 0x7f)
            ss_str_add(&p->script, " ");
        else
            ss_str_addn(&p->script, c, 1);
    }
    ss_str_add(&p->script, "'");
}

void ss_plot_number(ss_plot *p, double v)
{
    if (isfinite(v))
        ss_plot_addf(p, "%.9g", v);
    else
        ss_plot_add(p, "NaN");
}

void ss_plot_item(ss_plot *p, const char *fmt, ...)
{
    char text[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    ss_str_add(&p->script, p->n_items++ ? ", " : "plot ");
    ss_str_add(&p->script, text);
}

void ss_plot_items_end(ss_plot *p)
{
    if (p->n_items == 0)
        ss_str_add(&p->script,
                   "set yrange [0.1:1]\n"
                   "set label 9 'nothing here is a finite number' at graph 0.5,0.5 center "
                   "textcolor rgb ink\n"
                   "plot NaN notitle\nunset label 9\nset yrange [*:*]");
    ss_str_add(&p->script, "\n");
    p->n_items = 0;
}

bool ss_plot_any(const double *v, int n, bool log)
{
    bool any = false;

    for (int i = 0; i < n; i++)
        any |= isfinite(v[i]) && (v[i] > 0 || !log);
    return any;
}

static void add_theme(ss_str *s, const theme *t, const char *name, int width, int height)
{
    ss_str_addf(s,
                "reset\nset terminal pngcairo size %d,%d background rgb '%s' "
                "font 'DejaVu Sans,10' fontscale 1.8 linewidth 2 noenhanced\n",
                2 * width, 2 * height, t->ground);
    ss_str_addf(s, "set output '%s%s.png'\n", name, t->suffix);
    for (int i = 0; i < 10; i++)
        ss_str_addf(s, "set linetype %d lc rgb '%s' lw %s pt 7 ps 0.8%s\n", i + 1, t->line[i],
                    i == 8 ? "0.7" : "1.6", i == 9 ? " dt (6,4)" : "");
    ss_str_add(s, palette);
    ss_str_addf(s, "ink = '%s'\nground = '%s'\n", t->text, t->ground);
    ss_str_addf(s,
                "set border 3 lc rgb '%s' lw 0.7\nset tics nomirror textcolor rgb '%s'\n"
                "set grid lc rgb '%s' lw 0.5\nset key textcolor rgb '%s' samplen 2\n"
                "set title textcolor rgb '%s'\nset xlabel textcolor rgb '%s'\n"
                "set ylabel textcolor rgb '%s'\nset cblabel textcolor rgb '%s'\n"
                "set datafile missing 'NaN'\n",
                t->text, t->text, t->grid, t->text, t->text, t->text, t->text, t->text);
}

/* Starts gnuplot in the folder (NULL: here), reading from *in and talking into err. */
static ss_code start(const char *option, const char *folder, FILE *err, pid_t *pid, int *in,
                     ss_err *e)
{
    posix_spawn_file_actions_t actions;
    char *argv[] = {(char *)program, (char *)option, NULL};
    int ends[2], rc;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return ss_fail(e, SS_IO, "%s: no pipe: %s", program, strerror(errno));
    posix_spawn_file_actions_init(&actions);
    if (folder)
        posix_spawn_file_actions_addchdir_np(&actions, folder);
    posix_spawn_file_actions_adddup2(&actions, ends[0], 0);
    posix_spawn_file_actions_adddup2(&actions, fileno(err), 1);
    posix_spawn_file_actions_adddup2(&actions, fileno(err), 2);
    rc = posix_spawnp(pid, program, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[0]);
    if (rc != 0) {
        close(ends[1]);
        return ss_fail(e, SS_UNSUPPORTED, "%s: %s; figures need it: install gnuplot-nox", program,
                       strerror(rc));
    }
    *in = ends[1];
    return SS_OK;
}

/* Writes the script; a program that does not read to the end is found out by its status. */
static void feed(int fd, const char *text, size_t n)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;

    sigaction(SIGPIPE, &ignore, &before);
    while (n > 0) {
        ssize_t k = write(fd, text, n);

        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            break;
        text += k;
        n -= (size_t)k;
    }
    close(fd);
    sigaction(SIGPIPE, &before, NULL);
}

/* The first line that says something, and that is more than a warning, if there is one. */
static void first_complaint(FILE *err, char *out, size_t n)
{
    char line[256];
    bool warned = false;

    snprintf(out, n, "no complaint");
    rewind(err);
    while (fgets(line, sizeof line, err)) {
        const char *text = line + strspn(line, " \t^\n");

        line[strcspn(line, "\n")] = '\0';
        if (!*text || (strstr(text, "warning") && warned))
            continue;
        ss_printable(text, out, n);
        if (!strstr(text, "warning"))
            return;
        warned = true;
    }
}

static ss_code run(const ss_str *script, const char *folder, const char *name, ss_err *e)
{
    FILE *err = tmpfile();
    char complaint[200];
    pid_t pid;
    int in, status;
    ss_code rc;

    if (!err)
        return ss_fail(e, SS_IO, "%s: no temporary file: %s", program, strerror(errno));
    /* -d: without the user's own settings */
    if ((rc = start("-d", folder, err, &pid, &in, e)) != SS_OK)
        goto out;
    feed(in, script->s, script->len);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        first_complaint(err, complaint, sizeof complaint);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
            rc = ss_fail(e, SS_UNSUPPORTED,
                         "%s cannot be run; figures need it: install gnuplot-nox", program);
        else
            rc = ss_fail(e, SS_IO, "figure %s: %s failed: %s", name, program, complaint);
    }
out:
    fclose(err);
    return rc;
}

/* True when the picture is there to its end: gnuplot does not notice a full disk. */
static bool is_whole(const char *path)
{
    static const unsigned char end[] = {'I', 'E', 'N', 'D', 0xae, 0x42, 0x60, 0x82};
    unsigned char tail[sizeof end];
    FILE *f = fopen(path, "rbe");
    bool whole = f && fseek(f, -(long)sizeof tail, SEEK_END) == 0 &&
                 fread(tail, 1, sizeof tail, f) == sizeof tail &&
                 memcmp(tail, end, sizeof end) == 0;

    if (f)
        fclose(f);
    return whole;
}

ss_code ss_plot_draw(ss_plot *p, const char *folder, const char *name, int width, int height,
                     ss_err *e)
{
    ss_str all = {0};
    char path[4096];
    ss_code rc = SS_OK;

    ss_str_add(&all, "set encoding utf8\n");
    for (int i = 0; i < N_THEMES; i++) {
        add_theme(&all, &themes[i], name, width, height);
        ss_str_add(&all, p->script.s ? p->script.s : "");
        ss_str_add(&all, "\nunset output\n");
    }
    if (all.failed || p->script.failed)
        rc = ss_fail(e, SS_NOMEM, "figure %s: out of memory", name);
    else
        rc = run(&all, folder, name, e);
    for (int i = 0; i < N_THEMES; i++) {
        snprintf(path, sizeof path, "%s/%s%s.png", folder, name, themes[i].suffix);
        if (rc == SS_OK && !is_whole(path))
            rc = ss_fail(e, SS_IO, "figure %s: %s left no whole picture; is the disk full?", name,
                         program);
    }
    for (int i = 0; i < N_THEMES && rc != SS_OK; i++) {
        snprintf(path, sizeof path, "%s/%s%s.png", folder, name, themes[i].suffix);
        unlink(path);
    }
    ss_str_release(&all);
    ss_str_release(&p->script);
    return rc;
}

char *ss_plot_version(char *out, size_t n)
{
    FILE *err = tmpfile();
    ss_err e;
    pid_t pid;
    int in, status;

    *out = '\0';
    if (!err)
        return out;
    if (start("--version", NULL, err, &pid, &in, &e) == SS_OK) {
        close(in);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
            first_complaint(err, out, n);
    }
    fclose(err);
    return out;
}
