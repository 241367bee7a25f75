/* stages.h - encoder, middle and decoder of a UNet against each other
 *
 * By the first part of a module's path: decoder up_blocks, conv_norm_out, conv_out, output_blocks,
 * out, decoder; middle mid_block, middle_block, middle; encoder down_blocks, conv_in,
 * input_blocks, encoder, and the embeddings (time_proj, time_embedding, time_embed,
 * time_text_embed, add_embedding, class_embedding, label_emb, encoder_hid_proj). Other modules, and
 * the whole model, are in no stage. Sites of produced ports count.
 *
 *   absmax  the largest of the stage's sites at a noise level
 *   rms     the median over the stage's sites of their RMS at a noise level
 *   ratio   decoder over encoder
 *
 * A network that is no UNet may have no module in any stage: then all of its modules take the
 * place of the stages.
 */
#ifndef SS_ANALYZE_STAGES_H
#define SS_ANALYZE_STAGES_H

#include "analyze/one/sites.h"
#include "base/table.h"

#define SS_STAGES(X) X(ENCODER, "encoder") X(MIDDLE, "middle") X(DECODER, "decoder")
#define X(name, text) SS_STAGE_##name,
typedef enum { SS_STAGES(X) SS_N_STAGES, SS_STAGE_NONE = SS_N_STAGES } ss_stage;
#undef X

ss_stage ss_stage_of(const char *module_path);
const char *ss_stage_name(ss_stage s);

/* The largest |x| of one sample in each stage, and, last, of all sites whatever their stage; NaN
 * where there is none. absmax: of ss_run_stat. */
void ss_stage_peaks(const ss_run *r, const ss_sites *sites, const float *absmax, int input,
                    int sigma, int sample, double peaks[SS_N_STAGES + 1]);

typedef struct {
    int sigma;
    double absmax[SS_N_STAGES + 1], rms[SS_N_STAGES + 1]; /* NaN where a stage has no site; the
                                                            last: over all sites */
    double absmax_ratio, rms_ratio;
} ss_stage_row;

typedef struct {
    ss_stage_row *rows; /* lowest sigma first, finished levels only */
    int n;
    int n_sites[SS_N_STAGES + 1]; /* the last: in no stage */
} ss_stages;

/* input: one, or SS_ALL. */
ss_code ss_stages_find(ss_run *r, const ss_sites *sites, int input, ss_stages *s, ss_err *e);
void ss_stages_release(ss_stages *s);
/* True when any module is in a stage. */
bool ss_stages_named(const ss_stages *s);
/* One row a noise level. A run without stages has all modules in one. */
ss_code ss_stages_table(const ss_run *r, const ss_stages *s, ss_table *t, ss_err *e);

#endif
