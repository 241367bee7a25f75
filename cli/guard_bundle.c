/* guard_bundle.c - see guard_bundle.h */
#include "cli/guard_bundle.h"

#include "base/str.h"
#include "probe/guard_bundle.h"

#include <math.h>
#include <string.h>

enum { MAX_TEXT = 4096 };

/* The index of a value, "[2,0,5,7]". */
static void add_index(ss_str *s, const ss_guard_counts *c)
{
    for (int i = 0; i < c->rank; i++)
        ss_str_addf(s, "%s%lld", i ? "," : "[", (long long)c->first[i]);
    ss_str_add(s, c->rank ? "]" : "");
}

static void add_row(ss_table *t, const char *what, const char *dtype, const ss_guard_counts *c)
{
    ss_str index = {0};

    ss_table_row(t);
    ss_table_text(t, what);
    ss_table_text(t, dtype);
    ss_table_number(t, (double)c->values);
    ss_table_number(t, (double)c->nonfinite);
    ss_table_number(t, (double)c->largest);
    if (c->nonfinite)
        add_index(&index, c);
    if (c->nonfinite && index.s)
        ss_table_text(t, index.s);
    else
        ss_table_none(t);
    ss_str_release(&index);
}

/* Rows of what was recorded at the module, and of what it gives here. */
static ss_code fill(ss_table *t, const ss_guard_bundle *b, const ss_guard_played *p, bool *bad,
                    ss_err *e)
{
    static const char *const parts[] = {"input.", "weight.", "output.", "gradient.", "found"};
    ss_err failed = {0};
    ss_guard_counts c;

    for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) {
        for (size_t i = 0; i < ss_safetensors_count(b->tensors); i++) {
            const ss_stored_tensor *s = ss_safetensors_at(b->tensors, i);

            if (strncmp(s->name, parts[k], strlen(parts[k])) != 0 ||
                !ss_guard_counts_of(s, &c, &failed))
                continue;
            add_row(t, SS_SHOW(s->name), s->type, &c);
            *bad |= c.nonfinite > 0;
        }
    }
    if (failed.code != SS_OK) {
        *e = failed;
        return failed.code;
    }
    if (p->unknown)
        return SS_OK;
    add_row(t, "computed here", "fp32", &p->f32);
    if (strcmp(p->format, "fp32") != 0)
        add_row(t, "computed here", p->format, &p->half);
    *bad |= p->f32.nonfinite > 0 || p->half.nonfinite > 0;
    return SS_OK;
}

/* True where a tensor that the module takes is not finite. */
static bool takes_bad(const ss_guard_bundle *b)
{
    ss_guard_counts c;

    for (size_t i = 0; i < ss_safetensors_count(b->tensors); i++) {
        const ss_stored_tensor *s = ss_safetensors_at(b->tensors, i);

        if ((strncmp(s->name, "input.", 6) == 0 || strncmp(s->name, "weight.", 7) == 0) &&
            ss_guard_counts_of(s, &c, NULL) && c.nonfinite)
            return true;
    }
    return false;
}

/* The sentence on what the module gives here. */
static void say(ss_str *s, const ss_guard_bundle *b, const ss_guard_played *p)
{
    const char *phase = ss_guard_bundle_text(b, "phase");

    if (p->unknown) {
        ss_str_addf(s, "Not computed here: %s. python ", p->unknown);
        ss_str_add_word(s, b->dir);
        ss_str_add(s, "/replay.py plays it in PyTorch.");
        return;
    }
    if (p->f32.nonfinite && takes_bad(b))
        ss_str_add(s, "A matter of what it takes: its input or weights are not finite.");
    else if (p->f32.nonfinite) {
        ss_str_addf(s,
                    "A matter of weights and inputs: fp32 does not hold it either, %lld of %lld "
                    "values, the first at ",
                    (long long)p->f32.nonfinite, (long long)p->f32.values);
        add_index(s, &p->f32);
        ss_str_add(s, ".");
    } else if (p->half.nonfinite) {
        ss_str_addf(s,
                    "A matter of the format: fp32 holds it, up to %.4g; in %s %lld of %lld values "
                    "are not finite, the first at ",
                    (double)p->f32.largest, p->format, (long long)p->half.nonfinite,
                    (long long)p->half.values);
        add_index(s, &p->half);
        ss_str_add(s, ".");
    } else if (phase && strcmp(phase, "backward") == 0)
        ss_str_addf(s,
                    "Its forward pass is finite here, up to %.4g: the gradient is not. "
                    "replay.py in the bundle plays that in PyTorch.",
                    (double)p->f32.largest);
    else
        ss_str_addf(s, "It is finite here, up to %.4g, other than recorded.",
                    (double)p->f32.largest);
    if (isfinite(p->difference))
        ss_str_addf(s, " Finite values are within %.1e (relative L2) of those recorded.",
                    p->difference);
}

static ss_code show(cli_tables *out, const ss_guard_bundle *b, const ss_guard_played *p, bool *bad,
                    ss_err *e)
{
    const char *text = ss_guard_bundle_text(b, "text");
    char shown[MAX_TEXT];
    ss_str s = {0};
    ss_table t;
    ss_code rc = cli_say(out, "recorded", text ? ss_printable(text, shown, sizeof shown) : NULL, e);

    say(&s, b, p);
    if (rc == SS_OK)
        rc = s.failed ? ss_no_memory(e, "playing a bundle") : cli_say(out, "played", s.s, e);
    ss_str_release(&s);
    if (rc != SS_OK || (rc = ss_table_init(&t, "bundle", e)) != SS_OK)
        return rc;
    ss_table_column(&t, "tensor", SS_COL_TEXT, NULL);
    ss_table_column(&t, "format", SS_COL_TEXT, NULL);
    ss_table_column(&t, "values", SS_COL_NUMBER, "%.0f");
    ss_table_column(&t, "not finite", SS_COL_NUMBER, "%.0f");
    ss_table_column(&t, "largest finite", SS_COL_NUMBER, "%.4g");
    ss_table_column(&t, "first not finite", SS_COL_TEXT, NULL);
    if ((rc = fill(&t, b, p, bad, e)) != SS_OK) {
        ss_table_release(&t);
        return rc;
    }
    return cli_show(out, &t, e);
}

ss_code cli_guard_bundle(cli_tables *out, const char *dir, const char *device, int threads,
                         bool *bad, ss_err *e)
{
    ss_guard_bundle *b = NULL;
    ss_guard_played p = {0};
    ss_code rc = ss_guard_bundle_open(dir, &b, e);

    if (rc == SS_OK)
        rc = ss_guard_bundle_play(b, device, threads, &p, e);
    if (rc == SS_OK)
        rc = show(out, b, &p, bad, e);
    ss_guard_played_release(&p);
    ss_guard_bundle_close(b);
    return cli_show_end(out, rc, e);
}
