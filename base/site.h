/* site.h - where a network is looked at: the ports of modules, and values inside of them */
#ifndef SS_BASE_SITE_H
#define SS_BASE_SITE_H

/* Where a module is looked at. residual: the stream after this module's output was added
 * to it (attention and feed-forward branches of a transformer block); skip: the encoder
 * feature map that a decoder block concatenates to its input. */
#define SS_PORTS(X) X(INPUT, "input") X(OUTPUT, "output") X(RESIDUAL, "residual") X(SKIP, "skip")
#define X(name, text) SS_PORT_##name,
typedef enum { SS_PORTS(X) SS_N_PORTS } ss_port;
#undef X
const char *ss_port_name(ss_port p);

/* Values inside of a module that a half-precision run in PyTorch stores and no module returns. Each
 * is in the model's list, with a name below the module that makes it ("....attn1.logits") and the
 * kind's name in place of a class; it is seen at the output port and can be neither changed nor
 * kept in another format than its module.
 *   sum            of two values: conv1(h) + temb, x + h before it is divided, of embeddings
 *   mixed sum      with a value of the sample's type, which is fp32 under autocast
 *   product        q.k where the code always stores it (AttentionPooling)
 *   modulated      norm(h) (1 + scale), and that + shift: as wide as the norm's output
 *   logits         scale q.k + mask;  unscaled logits: q.k. Largest |x|: of each query's largest
 *   upcast logits  of a layer that computes them in fp32 whatever the code (upcast_attention)
 *   probabilities  softmax of the logits */
#define SS_INNERS(X)          \
    X(NONE, "")               \
    X(SUM, "sum")             \
    X(MIXED, "mixed sum")     \
    X(PRODUCT, "product")     \
    X(MODULATED, "modulated") \
    X(LOGITS, "logits")       \
    X(UNSCALED, "unscaled logits") X(UPCAST, "upcast logits") X(PROBABILITIES, "probabilities")
#define X(name, text) SS_INNER_##name,
typedef enum { SS_INNERS(X) SS_N_INNERS } ss_inner;
#undef X
const char *ss_inner_name(ss_inner k);

#endif
