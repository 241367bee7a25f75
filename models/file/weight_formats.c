/* weight_formats.c - see weight_formats.h */
#include "models/file/weight_formats.h"

#include "models/file/dcp.h"
#include "models/file/pickle_weights.h"
#include "models/file/safetensors.h"

static const ss_weight_format *const formats[] = {&ss_safetensors_format, &ss_dcp_format,
                                                  &ss_pickle_format, &ss_dcp_shards_format};

const ss_weight_format *ss_weight_format_at(int i)
{
    return i < (int)(sizeof formats / sizeof *formats) ? formats[i] : NULL;
}
