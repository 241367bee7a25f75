/* expression.c - see expression.h: from text to tree, by recursive descent */
#include "analyze/search/expression.h"

#include "base/mem.h"
#include "base/str.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const char *const names[] = {
#define X(name, text) text,
    SS_MEASURES(X)
#undef X
};

typedef struct {
    const char *text;
    size_t at;
    int depth;
    ss_expression *x;
    ss_err *e;
} parser;

static void skip_space(parser *p)
{
    while (p->text[p->at] == ' ' || p->text[p->at] == '\t')
        p->at++;
}

static ss_code expected(parser *p, size_t at, const char *what)
{
    char found[48], text[160];

    ss_printable(p->text + at, found, sizeof found);
    return ss_fail(p->e, SS_USAGE, "expression '%s', position %zu: expected %s, found %s%s%s",
                   ss_printable(p->text, text, sizeof text), at + 1, what, *found ? "'" : "",
                   *found ? found : "the end", *found ? "'" : "");
}

static size_t word_length(const char *s)
{
    size_t n = 0;

    while (isalnum((unsigned char)s[n]) || s[n] == '_')
        n++;
    return n;
}

/* Takes a word of the grammar when it is next. */
static bool take_word(parser *p, const char *word)
{
    const size_t n = strlen(word);

    skip_space(p);
    if (word_length(p->text + p->at) != n || strncmp(p->text + p->at, word, n) != 0)
        return false;
    p->at += n;
    return true;
}

static bool take_char(parser *p, char c)
{
    skip_space(p);
    if (p->text[p->at] != c)
        return false;
    p->at++;
    return true;
}

static size_t read_op(const char *s, ss_expression_op *op)
{
    const bool equal = (s[0] == '>' || s[0] == '<') && s[1] == '=';

    switch (s[0]) {
    case '>': *op = equal ? SS_OP_GE : SS_OP_GT; break;
    case '<': *op = equal ? SS_OP_LE : SS_OP_LT; break;
    case '=': *op = SS_OP_EQ; break;
    default: *op = SS_OP_NONE; return 0;
    }
    return equal ? 2 : 1;
}

static ss_code new_node(parser *p, int kind, int left, int right, int *node)
{
    ss_expression *x = p->x;

    if (x->n == SS_EXPRESSION_NODES)
        return ss_fail(p->e, SS_USAGE, "the expression has more than %d parts",
                       SS_EXPRESSION_NODES);
    *node = x->n++;
    x->nodes[*node] = (ss_expression_node){.kind = (unsigned)kind, .left = left, .right = right};
    return SS_OK;
}

/* Takes quotes off that are around all of a text. */
static void unquote(char *s)
{
    const size_t n = strlen(s);

    if (n > 1 && (*s == '\'' || *s == '"') && s[n - 1] == *s) {
        memmove(s, s + 1, n - 2);
        s[n - 2] = '\0';
    }
}

/* One argument up to a comma or parenthesis; *text is ss_free's. Quotes keep both, and are removed
 * where they are around all of it; braces of a glob may hold commas, and "(model)" parentheses. */
static ss_code read_argument(parser *p, char **text, size_t *from)
{
    int braces = 0, parentheses = 0;
    char quote = '\0';
    size_t n = 0;

    skip_space(p);
    const char *s = p->text + p->at;
    *from = p->at;
    for (; s[n] && (quote || ((s[n] != ')' || parentheses > 0) && (s[n] != ',' || braces > 0)));
         n++) {
        if (quote ? s[n] == quote : s[n] == '\'' || s[n] == '"')
            quote = quote ? '\0' : s[n];
        else if (!quote) {
            braces += (s[n] == '{') - (s[n] == '}');
            parentheses += (s[n] == '(') - (s[n] == ')');
        }
    }
    if (quote)
        return expected(p, p->at + n, "the closing quote");
    p->at += n;
    while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\t'))
        n--;
    if (!n)
        return expected(p, *from, "a glob, sigma>NUMBER or input=GLOB");
    *text = ss_strdup(s);
    if (!*text)
        return ss_no_memory(p->e, "an expression");
    (*text)[n] = '\0';
    unquote(*text);
    return SS_OK;
}

/* "input=GLOB", also input='GLOB': the glob replaces *arg. "sigma>10". False: no condition. */
static ss_code read_condition(parser *p, ss_expression_node *m, char *arg, size_t from, bool *is)
{
    const size_t n = word_length(arg);
    ss_expression_condition c = {0};
    const char *rest = arg + n + strspn(arg + n, " \t");
    const size_t length = read_op(rest, &c.op);
    const bool sigma = n == 5 && strncmp(arg, "sigma", n) == 0;
    const bool input = n == 5 && strncmp(arg, "input", n) == 0;

    *is = length && (sigma || input);
    if (!*is)
        return SS_OK;
    rest += length;
    rest += strspn(rest, " \t");
    if (m->n_conditions == SS_EXPRESSION_CONDITIONS)
        return expected(p, from, "at most 8 conditions");
    if (sigma) {
        if (!ss_parse_double(rest, &c.sigma))
            return expected(p, from + (size_t)(rest - arg), "a number");
    } else {
        if (c.op != SS_OP_EQ || !*rest)
            return expected(p, from, "input=GLOB");
        if (!(c.input = ss_strdup(rest)))
            return ss_no_memory(p->e, "an expression");
        unquote(c.input);
        c.op = SS_OP_NONE;
    }
    m->conditions[m->n_conditions++] = c; /* now the node's, also when the glob is wrong */
    if (c.input && ss_glob_check(c.input, p->e) != SS_OK)
        return ss_fail_prefix(p->e, "expression, position %zu", from + 1);
    return SS_OK;
}

static bool takes_format(ss_expression_measure m)
{
    return m == SS_MEASURE_OVERFLOW || m == SS_MEASURE_HEADROOM || m == SS_MEASURE_FORECAST;
}

/* The n-th argument that is no condition. */
static ss_code read_selector(parser *p, ss_expression_node *m, int n, char **arg, size_t from)
{
    const int formats = takes_format(m->measure);

    if (n < formats) {
        if (ss_format_parse(*arg, &m->format, p->e) != SS_OK)
            return ss_fail_prefix(p->e, "expression, position %zu", from + 1);
        return SS_OK;
    }
    if (n > formats || m->measure == SS_MEASURE_LOSS)
        return expected(p, from, "sigma>NUMBER or input=GLOB");
    if (ss_glob_check(*arg, p->e) != SS_OK)
        return ss_fail_prefix(p->e, "expression, position %zu", from + 1);
    m->glob = *arg;
    *arg = NULL;
    return SS_OK;
}

static ss_code read_arguments(parser *p, ss_expression_node *m)
{
    const size_t begin = p->at;
    int n = 0;
    ss_code rc = SS_OK;

    if (!take_char(p, '('))
        return expected(p, p->at, "'('");
    for (bool first = true; rc == SS_OK && (!first || !take_char(p, ')')); first = false) {
        char *arg = NULL;
        bool condition = false;
        size_t from;

        skip_space(p);
        const bool quoted = p->text[p->at] == '\'' || p->text[p->at] == '"';

        rc = read_argument(p, &arg, &from);
        if (rc == SS_OK && !quoted)
            rc = read_condition(p, m, arg, from, &condition);
        if (rc == SS_OK && !condition)
            rc = read_selector(p, m, n++, &arg, from);
        ss_free(arg);
        if (rc == SS_OK && take_char(p, ')'))
            break;
        if (rc == SS_OK && !take_char(p, ','))
            rc = expected(p, p->at, "',' or ')'");
    }
    if (rc == SS_OK && takes_format(m->measure) && n == 0)
        rc = expected(p, p->at - 1, "a number format such as fp16");
    if (rc == SS_OK && m->measure == SS_MEASURE_FORECAST && m->n_conditions)
        rc = expected(p, begin, "no condition (a forecast is over all that the runs share)");
    return rc;
}

static ss_code read_comparison(parser *p, ss_expression_node *m)
{
    const bool alone = m->measure == SS_MEASURE_OVERFLOW || m->measure == SS_MEASURE_NONFINITE;
    char number[64];
    size_t n;

    skip_space(p);
    n = read_op(p->text + p->at, &m->op);
    if (!n && alone)
        return SS_OK;
    if (!n || m->op == SS_OP_EQ)
        return expected(p, p->at, "'>', '>=', '<' or '<=' and a number");
    if (m->measure == SS_MEASURE_OVERFLOW)
        return expected(p, p->at, "no comparison (overflow(FMT) is true or false)");
    p->at += n;
    skip_space(p);
    n = strcspn(p->text + p->at, " \t)");
    snprintf(number, sizeof number, "%.*s", (int)(n < sizeof number ? n : 0), p->text + p->at);
    if (!ss_parse_double(number, &m->limit))
        return expected(p, p->at, "a number");
    p->at += n;
    return SS_OK;
}

static ss_code read_measure(parser *p, int *node)
{
#define X(name, text) text ", "
    static const char allowed[] = SS_MEASURES(X) "'not' or '('";
#undef X
    int which = 0;
    ss_code rc;

    skip_space(p);
    const size_t from = p->at;
    while (which < SS_N_MEASURES && !take_word(p, names[which]))
        which++;
    if (which == SS_N_MEASURES)
        return expected(p, from, allowed);
    rc = new_node(p, SS_NODE_MEASURE, -1, -1, node);
    if (rc != SS_OK)
        return rc;
    ss_expression_node *m = &p->x->nodes[*node];
    m->measure = (ss_expression_measure)which;
    m->from = (int)from;
    rc = read_arguments(p, m);
    if (rc == SS_OK)
        rc = read_comparison(p, m);
    m->to = (int)p->at;
    return rc;
}

static ss_code read_or(parser *p, int *node);

static ss_code read_factor(parser *p, int *node)
{
    ss_code rc;

    skip_space(p);
    if (p->depth == SS_EXPRESSION_DEPTH)
        return expected(p, p->at, "fewer levels of 'not' and parentheses");
    p->depth++;
    if (take_word(p, "not")) {
        int inner;

        rc = read_factor(p, &inner);
        if (rc == SS_OK)
            rc = new_node(p, SS_NODE_NOT, inner, -1, node);
    } else if (take_char(p, '(')) {
        rc = read_or(p, node);
        if (rc == SS_OK && !take_char(p, ')'))
            rc = expected(p, p->at, "'and', 'or' or ')'");
    } else {
        rc = read_measure(p, node);
    }
    p->depth--;
    return rc;
}

static ss_code read_and(parser *p, int *node)
{
    int right;
    ss_code rc = read_factor(p, node);

    while (rc == SS_OK && take_word(p, "and")) {
        rc = read_factor(p, &right);
        if (rc == SS_OK)
            rc = new_node(p, SS_NODE_AND, *node, right, node);
    }
    return rc;
}

static ss_code read_or(parser *p, int *node)
{
    int right;
    ss_code rc = read_and(p, node);

    while (rc == SS_OK && take_word(p, "or")) {
        rc = read_and(p, &right);
        if (rc == SS_OK)
            rc = new_node(p, SS_NODE_OR, *node, right, node);
    }
    return rc;
}

ss_code ss_expression_parse(const char *text, ss_expression *x, ss_err *e)
{
    parser p = {.text = text, .x = x, .e = e};
    ss_code rc = SS_OK;

    *x = (ss_expression){.text = ss_strdup(text),
                         .nodes = ss_alloc(SS_EXPRESSION_NODES, sizeof *x->nodes)};
    if (!x->text || !x->nodes)
        rc = ss_no_memory(e, "an expression");
    else if (!ss_utf8_valid(text, strlen(text)))
        rc = ss_fail(e, SS_USAGE, "the expression is not UTF-8");
    if (rc == SS_OK)
        rc = read_or(&p, &x->root);
    if (rc == SS_OK) {
        skip_space(&p);
        if (text[p.at])
            rc = expected(&p, p.at, "'and', 'or' or the end");
    }
    if (rc != SS_OK)
        ss_expression_release(x);
    return rc;
}

bool ss_expression_has(const ss_expression *x, ss_expression_measure m)
{
    for (int i = 0; i < x->n; i++) {
        if (x->nodes[i].kind == SS_NODE_MEASURE && x->nodes[i].measure == m)
            return true;
    }
    return false;
}

double ss_expression_limit(const ss_expression_node *m)
{
    return m->measure == SS_MEASURE_OVERFLOW ? m->format.max : m->op == SS_OP_NONE ? 0 : m->limit;
}

void ss_expression_release(ss_expression *x)
{
    for (int i = 0; i < x->n; i++) {
        ss_free(x->nodes[i].glob);
        for (int k = 0; k < x->nodes[i].n_conditions; k++)
            ss_free(x->nodes[i].conditions[k].input);
    }
    ss_free(x->nodes);
    ss_free(x->text);
    *x = (ss_expression){0};
}
