/* samples.h - pictures that `sigmascope generate` made, side by side
 *
 * Reads FOLDER/generate.json:
 *
 *   {"format": "sigmascope-generate", "version": 1, "sampler": "ddim", "steps": 50,
 *    "guidance": 1.0, "seed": 0, "precision": "fp32", "command": "...", "samples": 8,
 *    "conditions": ["class 0", ...],
 *    "models": [{"name": "step-06000", "pictures": ["01-step-06000/0000.png", ...],
 *                "nonfinite": [0, ...], "absmax": [1.1, ...]}, ...],
 *    "frames": 16}                       only of videos: frames in a picture, from left to right
 *
 * and shows a row a model, a column a sample.
 */
#ifndef SS_REPORTS_SAMPLES_H
#define SS_REPORTS_SAMPLES_H

#include "reports/page/page.h"

/* A folder without generate.json is SS_IO, one that says something else SS_FORMAT. #samples */
ss_code ss_section_samples(ss_page *p, const char *folder, ss_err *e);

#endif
