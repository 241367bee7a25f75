/* weight_formats.h - the formats of weights that can be read, the preferred one first */
#ifndef SS_MODELS_WEIGHT_FORMATS_H
#define SS_MODELS_WEIGHT_FORMATS_H

#include "models/file/weight_format.h"

/* Format i; NULL past the end. */
const ss_weight_format *ss_weight_format_at(int i);

#endif
