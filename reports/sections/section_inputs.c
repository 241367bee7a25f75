/* section_inputs.c - what the network saw, its spectrum, and the activations that it caused */
#include "base/mem.h"
#include "reports/page/curves.h"
#include "reports/page/matrix.h"
#include "reports/sections/frames.h"
#include "reports/sections/sections.h"

#include <math.h>

enum { LEVELS = 8, TILE = 96, PANELS = 3 };

/* Inputs that figures show: the first ones of many. */
static int shown_inputs(const ss_run *r)
{
    return r->n_inputs < SS_SHOWN_INPUTS ? r->n_inputs : SS_SHOWN_INPUTS;
}

static double largest(const float *x, int64_t n)
{
    double m = 1;

    for (int64_t i = 0; i < n; i++)
        if (isfinite(x[i]))
            m = fmax(m, fabs(x[i]));
    return m;
}

/* Pictures of a run file, and what a figure says of them. */
typedef struct {
    const char *set, *name, *what;
} picture_set;

/* A row for each input, a column for each noise level; sample 0. */
static ss_code pictures(ss_page *page, const ss_analysis *x, const picture_set *from, ss_err *e)
{
    ss_run *r = x->run;
    const int n_inputs = shown_inputs(r);
    int levels[LEVELS], n_levels = ss_curves_levels(x, levels, LEVELS), h, w;
    int frames[SS_FRAMES_SHOWN];
    ss_run_shape shape;
    ss_sample_size size;
    ss_str caption = {0}, alt = {0};
    ss_matrix m = {.corner = "input, by sigma", .low = "negative", .high = "positive"};
    ss_tiles t = {0};
    float *v;
    ss_code rc;

    if (!ss_run_has_pictures(r, from->set, &shape) ||
        !ss_sample_size_of(shape.rank, shape.dim, &size))
        return SS_OK;
    ss_frames_tile(size, TILE, &h, &w);
    if (!(v = ss_alloc((size_t)shape.n, sizeof *v)))
        return ss_fail(e, SS_NOMEM, "%s: %s: out of memory", r->path, from->set);
    if ((rc = ss_tiles_new(&t, n_inputs, n_levels * ss_frames_shown(size, frames), h, w, e)) !=
        SS_OK)
        goto out;
    for (int i = 0; i < n_inputs; i++) {
        for (int k = 0; k < n_levels; k++) {
            if ((rc = ss_run_picture(r, from->set, i, x->order[levels[k]], 0, v, e)) != SS_OK)
                goto out;
            ss_frames_put(&t, i, k, v, size, largest(v, shape.n));
        }
    }
    for (int i = 0; i < n_inputs; i++)
        ss_matrix_label(&m.rows, "%s", r->inputs[i]);
    for (int k = 0; k < n_levels; k++)
        ss_matrix_label(&m.columns, "%.3g", r->sigmas[x->order[levels[k]]]);
    ss_str_addf(&caption, "%s, first sample.", from->what);
    ss_frames_say(&caption, size);
    ss_str_add(&caption, " Each picture is scaled by its own largest value, at least 1.");
    if (size.channels > 3)
        ss_str_add(&caption, " The first three channels as red, green and blue.");
    ss_str_addf(&alt, "%s: %d inputs at %d noise levels.", from->what, n_inputs, n_levels);
    if (caption.failed || alt.failed) {
        rc = ss_no_memory(e, r->path);
        goto out;
    }
    m.name = from->name;
    m.alt = alt.s;
    m.caption = caption.s;
    rc = ss_page_matrix(page, &t, &m, e);
out:
    ss_image_release(&t.sheet);
    ss_str_release(&m.rows);
    ss_str_release(&m.columns);
    ss_str_release(&caption);
    ss_str_release(&alt);
    ss_free(v);
    return rc;
}

/* The largest |x| of the whole network that one input causes at one noise level. */
static double caused(const ss_analysis *x, int input, int k)
{
    double peak = NAN;

    for (int i = 0; i < x->produced.n; i++)
        peak = fmax(peak, ss_site_peak(x->run, x->absmax, x->produced.site[i], input, x->order[k]));
    return peak;
}

/* Power below the largest by this factor is rounding error. */
static const double faint = 1e-10;

static double mean_power(const ss_analysis *x, const float *psd, int input, int k, int radius)
{
    const ss_run *r = x->run;
    double sum = 0;

    for (int s = 0; s < r->n_samples; s++)
        sum += psd[(((size_t)input * (size_t)r->n_sigmas + (size_t)x->order[k]) *
                        (size_t)r->n_samples +
                    (size_t)s) *
                       (size_t)r->n_radii +
                   (size_t)radius];
    return sum / r->n_samples;
}

/* The largest power of any input; 0 where there are no spectra. */
static double most_power(const ss_analysis *x, const float *psd, int k)
{
    double top = 0;

    for (int i = 0; psd && i < shown_inputs(x->run); i++)
        for (int q = 0; q < x->run->n_radii; q++)
            top = fmax(top, mean_power(x, psd, i, k, q));
    return top;
}

static void spectra_data(ss_plot *p, const ss_analysis *x, const float *psd, double top, int k)
{
    const ss_run *r = x->run;

    ss_plot_add(p, "$psd << EOD\n");
    for (int i = 0; i < shown_inputs(r); i++) {
        for (int q = 0; q < r->n_radii; q++) {
            const double power = mean_power(x, psd, i, k, q);

            ss_plot_number(p, r->radii[q]);
            ss_plot_add(p, " ");
            ss_plot_number(p, power > faint * top ? power : NAN);
            ss_plot_add(p, "\n");
        }
        ss_plot_add(p, "\n\n");
    }
    ss_plot_add(p, "EOD\n");
}

static void titled_curves(ss_plot *p, const ss_analysis *x, const char *block)
{
    char data[32];

    for (int i = 0; i < shown_inputs(x->run); i++) {
        snprintf(data, sizeof data, "%s index %d", block, i);
        ss_plot_series(p, i + 1, SS_PLOT_BOTH, x->run->inputs[i], data, 1, 2);
    }
    ss_plot_items_end(p);
}

/* Left the spectra at the highest noise level, right what each input causes at each. */
static ss_code curves(ss_page *page, const ss_analysis *x, ss_err *e)
{
    ss_run *r = x->run;
    const int n_inputs = shown_inputs(r);
    const float *psd;
    ss_plot p = {0};
    char alt[300], caption[400];
    double low = INFINITY, high = 0;
    bool any = false;
    ss_code rc = ss_run_psd(r, &psd, e);

    if (rc != SS_OK)
        return rc;
    const double top = most_power(x, psd, x->n - 1);
    if (top > 0)
        spectra_data(&p, x, psd, top, x->n - 1);
    ss_plot_add(&p, "$caused << EOD\n");
    for (int i = 0; i < n_inputs; i++) {
        for (int k = 0; k < x->n; k++) {
            const double v = caused(x, i, k);

            ss_curves_sigma(&p, x, k);
            ss_plot_add(&p, " ");
            ss_plot_number(&p, v);
            ss_plot_add(&p, "\n");
            any |= v > 0 && isfinite(v);
            if (k == x->n - 1) {
                low = fmin(low, v);
                high = fmax(high, v);
            }
        }
        ss_plot_add(&p, "\n\n");
    }
    if (!any && !(top > 0)) {
        ss_plot_release(&p);
        ss_page_nothing(page, "no input gave a largest |x| that is more than 0.");
        return SS_OK;
    }
    ss_plot_add(&p, "EOD\n");
    ss_plot_settings(&p);
    ss_plot_add(&p, "set logscale y\n");
    if (top > 0) {
        snprintf(caption, sizeof caption, "power spectrum of the input at sigma %.3g",
                 r->sigmas[x->order[x->n - 1]]);
        ss_plot_panel(&p, caption, "cycles per picture", "power");
        ss_plot_addf(&p,
                     "set logscale x\nset format y '%%.0e'\nset xrange [*:%g]\n"
                     "set xlabel 'cycles per picture'\n",
                     r->radii[r->n_radii - 1]);
        titled_curves(&p, x, "$psd");
    }
    ss_plot_panel(&p, "largest |x| in the network", "sigma", "largest |x|");
    ss_plot_add(&p, "unset logscale x\nset format y '%g'\n");
    ss_curves_sigma_axis(&p, x);
    if (any)
        titled_curves(&p, x, "$caused");
    else
        ss_plot_items_end(&p);
    snprintf(alt, sizeof alt,
             "%sLargest activation that each of %d inputs causes, against sigma: from %.3g to %.3g "
             "at the highest.",
             top > 0 ? "Radial power spectra of the inputs. " : "", n_inputs, low, high);
    snprintf(caption, sizeof caption, "%s each input causes, over all modules and samples.%s%s",
             top > 0 ? "First the ring-averaged power of what the network saw, mean over samples; "
                       "then what"
                     : "What",
             n_inputs > 1 ? " Inputs that lie on one curve make no difference." : "",
             n_inputs < r->n_inputs ? " The first eight inputs are shown." : "");
    return ss_page_figure(page, &p, "inputs-spectra", SS_PANEL_WIDTH, 320, alt, caption, e);
}

/* Low-frequency share against the largest |x|, a point for each input and sample, at the lowest,
 * the middle and the highest noise level. */
static ss_code scatter(ss_page *page, const ss_analysis *x, ss_err *e)
{
    const ss_run *r = x->run;
    const int n_inputs = shown_inputs(r);
    int levels[PANELS], n_levels = ss_curves_levels(x, levels, PANELS), drawn[PANELS] = {0},
                        all = 0;
    ss_plot p = {0};
    char alt[200], text[64];

    for (int k = 0; k < n_levels; k++) {
        ss_plot_addf(&p, "$s%d << EOD\n", k);
        for (int i = 0; i < n_inputs; i++) {
            for (int j = 0; j < r->n_samples; j++) {
                const size_t at = ss_spectra_at(r, i, x->order[levels[k]], j);
                const double peak = x->spectra.peaks[at * (SS_N_STAGES + 1) + SS_N_STAGES];

                ss_plot_number(&p, x->spectra.low[at]);
                ss_plot_add(&p, " ");
                ss_plot_number(&p, peak);
                ss_plot_add(&p, "\n");
                drawn[k] += isfinite(x->spectra.low[at]) && isfinite(peak) && peak > 0;
            }
            ss_plot_add(&p, "\n\n");
        }
        ss_plot_add(&p, "EOD\n");
    }
    ss_plot_settings(&p);
    ss_plot_addf(&p,
                 "set logscale y\nset format xy '%%g'\n"
                 "set xlabel 'share of power at %g cycles or less'\nset xrange [-0.05:1.05]\n",
                 x->spectra.cutoff);
    for (int k = 0; k < n_levels; k++) {
        snprintf(text, sizeof text, "sigma %.3g: largest |x|", r->sigmas[x->order[levels[k]]]);
        ss_plot_panel(&p, text, "low-frequency share", "largest |x|");
        for (int i = 0; i < n_inputs && drawn[k]; i++) {
            snprintf(text, sizeof text, "$s%d index %d", k, i);
            ss_plot_series(&p, i + 1, SS_PLOT_POINTS, r->inputs[i], text, 1, 2);
        }
        ss_plot_items_end(&p);
        all += drawn[k];
    }
    if (!all) {
        ss_page_nothing(page,
                        "no input has both a spectrum and a largest |x| that is more than 0.");
        ss_plot_release(&p);
        return SS_OK;
    }
    snprintf(alt, sizeof alt,
             "Largest activation against the low-frequency share of the input, a point for each of "
             "%d inputs and %d samples, at %d noise levels.",
             n_inputs, r->n_samples, n_levels);
    return ss_page_figure(page, &p, "inputs-scatter", SS_PANEL_WIDTH, 300, alt,
                          "At one noise level by itself, so that sigma cannot make a correlation: "
                          "do inputs with less low frequencies give larger activations?",
                          e);
}

ss_code ss_section_inputs(ss_page *page, const ss_analysis *x, ss_err *e)
{
    ss_table t;
    ss_code rc;

    static const picture_set inputs = {"/inputs/x", "inputs", "What the network saw"};
    static const picture_set latents = {"/inputs/x", "inputs", "Latents that the decoder saw"};
    static const picture_set decoded = {"/outputs/denoised", "decoded",
                                        "Pictures that the decoder made of them"};

    if (x->n == 0 || !x->absmax || ss_run_is_text(x->run))
        return SS_OK;
    ss_page_section(page, "inputs", "Inputs, their spectra, and what they cause");
    rc = pictures(page, x, ss_run_is_vae(x->run) ? &latents : &inputs, e);
    if (rc == SS_OK && ss_run_is_vae(x->run))
        rc = pictures(page, x, &decoded, e);
    if (rc == SS_OK && x->n > 1)
        rc = curves(page, x, e);
    if (rc == SS_OK && x->has_spectra)
        rc = scatter(page, x, e);
    if (rc == SS_OK && x->has_spectra &&
        (rc = ss_spectra_finding_table(x->run, &x->spectra, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    if (rc == SS_OK && x->has_spectra &&
        (rc = ss_spectra_table(x->run, &x->spectra, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    return rc;
}
