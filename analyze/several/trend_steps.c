/* trend_steps.c - which training step a run is of; see trend.h
 *
 * A path is read from its end, folder by folder. Digits are plenty in names (hashes, versions,
 * sizes, days), and a wrong step puts checkpoints into a wrong order, so a number counts only if it
 * is certain to be a step.
 */
#include "analyze/several/trend.h"
#include "base/str.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DIGITS = 18 };

/* A part of a path. */
typedef struct {
    const char *s;
    size_t n;
} part;

static bool is_digit(char c)
{
    return isdigit((unsigned char)c);
}

static bool is_letter(char c)
{
    return isalpha((unsigned char)c);
}

static size_t digits_at(part p, size_t i)
{
    size_t n = 0;

    while (i + n < p.n && is_digit(p.s[i + n]))
        n++;
    return n;
}

static bool is(part p, const char *word)
{
    return p.n == strlen(word) && strncasecmp(p.s, word, p.n) == 0;
}

static bool is_any(part p, const char *const *words)
{
    for (; *words; words++) {
        if (is(p, *words))
            return true;
    }
    return false;
}

/* The number whose n digits are at i, with a "k" or "M" after them; false if it is no whole number
 * that stands alone. *end: where it ends. */
static bool read_number(part p, size_t i, size_t n, int64_t *value, size_t *end)
{
    char text[MAX_DIGITS + 1];
    int64_t scale = 1;

    *end = i + n;
    if (n == 0 || n > MAX_DIGITS)
        return false;
    if (*end < p.n && strchr("kKM", p.s[*end]))
        scale = p.s[(*end)++] == 'M' ? 1000000 : 1000;
    if (*end < p.n && isalnum((unsigned char)p.s[*end]))
        return false;
    if (*end + 1 < p.n && p.s[*end] == '.' && is_digit(p.s[*end + 1])) /* 1.5 */
        return false;
    if (i > 1 && p.s[i - 1] == '.' && is_digit(p.s[i - 2]))
        return false;
    memcpy(text, p.s + i, n);
    text[n] = '\0';
    return ss_parse_i64(text, value) && !__builtin_mul_overflow(*value, scale, value);
}

/* The last number after a word for steps. */
static bool behind_word(part p, int64_t *step)
{
    static const char *const words[] = {"step",       "steps",    "checkpoint", "checkpoints",
                                        "ckpt",       "iter",     "iters",      "iteration",
                                        "iterations", "snapshot", NULL};
    bool found = false;

    for (size_t i = 0; i < p.n;) {
        size_t n = 0, end;
        int64_t value;

        while (i + n < p.n && is_letter(p.s[i + n]))
            n++;
        const bool known = n && is_any((part){p.s + i, n}, words);
        i += n ? n : 1;
        if (!known)
            continue;
        const size_t at = i + (i < p.n && strchr("-_=", p.s[i]));
        if (read_number(p, at, digits_at(p, at), &value, &end)) {
            *step = value;
            found = true;
            i = end;
        }
    }
    return found;
}

/* Words that follow a step and say of which kind the weights are. */
static bool is_suffix(part p)
{
    static const char *const words[] = {"fp16",  "fp32", "bf16",   "fp8",  "ema",     "non",
                                        "half",  "full", "pruned", "unet", "weights", "model",
                                        "final", "last", "best",   "lora", NULL};

    return is_any(p, words);
}

/* Without ".safetensors" and "_fp16" at its end. */
static part without_suffixes(part p)
{
    static const char *const ends[] = {"safetensors", "st", "ckpt", "pt", "pth", "bin", "h5", NULL};

    for (bool more = true; more;) {
        size_t from = p.n;

        while (from > 0 && isalnum((unsigned char)p.s[from - 1]))
            from--;
        const part last = {p.s + from, p.n - from};
        more = from > 1 && last.n && strchr("-_.+", p.s[from - 1]) &&
               (is_suffix(last) || (p.s[from - 1] == '.' && is_any(last, ends)));
        if (more)
            p.n = from - 1;
    }
    return p;
}

/* 40 or 64 hexadecimal digits, as the folders of a download are called. */
static bool is_hash(part p)
{
    size_t n = 0;

    while (n < p.n && isxdigit((unsigned char)p.s[n]))
        n++;
    return n == p.n && (n == 40 || n == 64);
}

static bool is_day(int64_t v)
{
    const int64_t year = v / 10000, month = v / 100 % 100, day = v % 100;

    return year >= 1990 && year < 2100 && month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

/* The number at the end, or all of the part. */
static bool at_end(part p, int64_t *step)
{
    size_t from, end;
    int64_t value;

    if (is_hash(p))
        return false;
    p = without_suffixes(p);
    from = p.n;
    while (from > 0 && is_digit(p.s[from - 1]))
        from--;
    const size_t padded = from < p.n && p.s[from] == '0' ? p.n - from : 0;
    if (from > 0 && !strchr("-_=.", p.s[from - 1]) && padded < 6)
        return false; /* unet2, but model050000 */
    if (from > 1 && is_digit(p.s[from - 2]) && padded < 4)
        return false; /* v1-5, but ema_0.9999_050000 */
    if (!read_number(p, from, p.n - from, &value, &end) || is_day(value))
        return false;
    *step = value;
    return true;
}

/* Names of parts that every checkpoint has. */
static bool is_usual(part p)
{
    static const char *const words[] = {"unet",     "unet_ema",    "ema", "denoiser",
                                        "model",    ".",           "..",  "weights",
                                        "pipeline", "transformer", "",    NULL};
    static const char file[] = "diffusion_pytorch_model";

    return is_any(p, words) || (p.n >= sizeof file - 1 && is((part){p.s, sizeof file - 1}, file));
}

bool ss_trend_step(const char *path, int64_t *step)
{
    size_t end = strlen(path);
    bool innermost = true;

    for (;;) {
        size_t from = end;

        while (from > 0 && path[from - 1] != '/')
            from--;
        const part p = {path + from, end - from};
        if (behind_word(p, step))
            return true;
        if (innermost && !is_usual(p)) {
            if (at_end(p, step))
                return true;
            innermost = false;
        }
        if (from == 0)
            return false;
        end = from - 1;
    }
}

ss_code ss_trend_parse_steps(const char *list, const char *what, int64_t *steps, int n, ss_err *e)
{
    int found = 0;

    for (const char *p = list;;) {
        const size_t len = strcspn(p, ",");
        char text[24];

        snprintf(text, sizeof text, "%.*s", len < sizeof text ? (int)len : 0, p);
        if (found == n || !ss_parse_i64(text, &steps[found]))
            return ss_fail(e, SS_USAGE,
                           "--steps takes a whole number for each of the %d %s, "
                           "separated by commas, not '%s'",
                           n, what, list);
        found++;
        p += len;
        if (!*p)
            break;
        p++;
    }
    return found == n ? SS_OK
                      : ss_fail(e, SS_USAGE, "--steps has %d numbers for %d %s", found, n, what);
}

static ss_code find_steps(ss_run *const *runs, int64_t *steps, int n, ss_err *e)
{
    for (int i = 0; i < n; i++) {
        if (!ss_trend_step(runs[i]->model_path, &steps[i]))
            return ss_fail(e, SS_USAGE,
                           "%s: the model's path '%.300s' has no certain training step, as "
                           "step-250 has; give the step of each run with --steps",
                           runs[i]->path, runs[i]->model_path);
    }
    return SS_OK;
}

ss_code ss_trend_steps(ss_run *const *runs, int n, const char *list, int64_t *steps, ss_err *e)
{
    return list ? ss_trend_parse_steps(list, "runs", steps, n, e) : find_steps(runs, steps, n, e);
}
