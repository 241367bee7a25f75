/* single_clip.c - configuration of a CLIP text encoder from its tensors
 *
 * Published folders of Stable Diffusion say eos_token_id 2, which transformers reads as "the
 * highest token": the vocabulary's last one ends a text.
 */
#include "models/file/single_infer.h"

#include <inttypes.h>

enum { HEAD = 64, OPENAI_WIDTH = 768 };

static void set_heads(ss_inference *x, int64_t width)
{
    if (width % HEAD)
        ss_infer_fail(x, SS_UNSUPPORTED,
                      "how many heads the text encoder has cannot be inferred: it is %" PRId64
                      " wide, which is no multiple of %d; name a config.json by --config",
                      width, HEAD);
    ss_infer_set(x, "num_attention_heads", json_integer(width / HEAD),
                 "convention of CLIP: heads of %d channels", HEAD);
}

static void set_act(ss_inference *x, int64_t width, bool open_clip)
{
    const bool quick = !open_clip && width <= OPENAI_WIDTH;

    ss_infer_set(x, "hidden_act", json_string(quick ? "quick_gelu" : "gelu"),
                 open_clip ? "convention of OpenCLIP, whose names the file has"
                 : quick   ? "convention of OpenAI's CLIP, which is at most 768 wide"
                           : "convention of OpenCLIP, whose text encoders are over 768 wide");
}

void ss_infer_clip(ss_inference *x, bool open_clip)
{
    static const char embeddings[] = "text_model.embeddings.";
    static const ss_infer_common common[] = {{"layer_norm_eps", "1e-05"},  {"bos_token_id", "0"},
                                             {"eos_token_id", "2"},        {"pad_token_id", "1"},
                                             {"attention_dropout", "0.0"}, {0}};
    const ss_stored_tensor *tokens = ss_infer_find(x, "%stoken_embedding.weight", embeddings);
    const ss_stored_tensor *places = ss_infer_find(x, "%sposition_embedding.weight", embeddings);
    const ss_stored_tensor *inner = ss_infer_find(x, "text_model.encoder.layers.0.mlp.fc1.weight");
    const ss_stored_tensor *projection = ss_infer_find(x, "text_projection.weight");
    const int layers = ss_infer_count(x, "text_model.encoder.layers.", ".layer_norm1.weight");
    const int64_t width = ss_infer_dim(x, tokens, "token_embedding.weight", 1);
    char text[128];

    ss_infer_set(x, "architectures",
                 json_pack("[s]", projection ? "CLIPTextModelWithProjection" : "CLIPTextModel"),
                 "text_projection.weight is %sthere", projection ? "" : "not ");
    ss_infer_set(x, "model_type", json_string("clip_text_model"), "layers of CLIP");
    ss_infer_evidence(tokens, text, sizeof text);
    ss_infer_set(x, "vocab_size",
                 json_integer(ss_infer_dim(x, tokens, "token_embedding.weight", 0)), "%s", text);
    ss_infer_set(x, "hidden_size", json_integer(width), "%s", text);
    ss_infer_set(x, "max_position_embeddings",
                 json_integer(ss_infer_dim(x, places, "position_embedding.weight", 0)), "%s",
                 ss_infer_evidence(places, text, sizeof text));
    ss_infer_set(x, "num_hidden_layers", json_integer(layers),
                 "number of text_model.encoder.layers");
    ss_infer_set(x, "intermediate_size", json_integer(ss_infer_dim(x, inner, "mlp.fc1.weight", 0)),
                 "%s", ss_infer_evidence(inner, text, sizeof text));
    if (projection)
        ss_infer_set(x, "projection_dim",
                     json_integer(ss_infer_dim(x, projection, "text_projection.weight", 0)), "%s",
                     ss_infer_evidence(projection, text, sizeof text));
    else
        ss_infer_set(x, "projection_dim", json_integer(width), "the width; it has no projection");
    set_heads(x, width);
    set_act(x, width, open_clip);
    ss_infer_set_common(x, common, "all text encoders of Stable Diffusion have it");
}
