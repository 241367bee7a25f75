/* side_by_side.h - a page on which people judge pairs of pictures or videos, not knowing which is
 * whose
 *
 *   DIR/index.html           the page: works without a network, keeps votes in the browser
 *   DIR/clips/TOKEN.png ...  copies under neutral names, TOKEN of 16 hexadecimal digits; PNG files
 *                            hold pixels only: nothing else of the original files
 *   DIR/sbs.json             the key: which token is whose
 *
 *   {"format": "sigmascope-sbs", "version": 1, "tool": "...", "command": "...", "created": "...",
 *    "page": "PAGE", "seed": 0, "a": "01-step-00250", "b": "02-step-06000",
 *    "aspects": ["beauty", ...],
 *    "pairs": [{"id": "PAIR", "name": "0003", "text": "class 3", "a": "TOKEN", "b": "TOKEN"}, ...]}
 *
 * Tokens follow from the seed and from what is in the files, and the page's name from all tokens.
 * Give judges the page and the clips; sbs.json stays with who asks them. Files of other kinds than
 * PNG are copied byte for byte, and what is written in them can tell whose they are.
 */
#ifndef SS_ANALYZE_SIDE_BY_SIDE_H
#define SS_ANALYZE_SIDE_BY_SIDE_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define SS_SBS_KEY "sbs.json"

typedef struct {
    const char *a, *b;   /* folders (clips.h); b NULL: the two models of a */
    int frames;          /* of each picture, as ss_clips_open takes it */
    double fps;          /* at which frames are shown */
    int pairs;           /* at most so many, drawn by the seed; 0: all */
    const char *aspects; /* names with commas between; NULL: all */
    uint64_t seed;
    const char *output; /* DIR */
    bool replace;       /* replaces an existing DIR with an sbs.json in it */
    const char *command;
} ss_sbs_options;

ss_sbs_options ss_sbs_defaults(void);

typedef struct {
    int pairs;            /* on the page */
    int alone_a, alone_b; /* clips without a partner of the same name */
} ss_sbs_summary;

/* Pairs the clips of both folders by name (the only clips of both, whatever they are called), and
 * writes DIR, which appears whole or not at all. */
ss_code ss_sbs_write(const ss_sbs_options *opt, ss_sbs_summary *sum, ss_err *e);

#endif
