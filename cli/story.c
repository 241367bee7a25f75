/* story.c - see story.h */
#include "cli/story.h"

#include "analyze/training/story_judge.h"
#include "base/mem.h"

#include <string.h>

/* Prints each line of the text, indented. */
static void print_lines(const char *text)
{
    while (*text) {
        const int n = (int)strcspn(text, "\n");

        printf("     %.*s\n", n, text);
        text += n + (text[n] == '\n');
    }
}

/* Prints each finding as a paragraph: its numbers are sentences, too long for a table. */
static void print_findings(const ss_story *s, const ss_story_judgement *j)
{
    const ss_finding_range asked = ss_story_findings(s);

    for (int f = asked.from; f < asked.to; f++) {
        printf("\n%d. %s\n", f - asked.from + 1, ss_finding_text(f));
        for (int g = 0; g < s->n; g++) {
            const char *title = ss_story_regime_title(s->regime[g].name);
            const ss_story_answer *a = &j->answer[g][f];

            printf("   %s%s%s\n", title, *title ? ": " : "", ss_story_verdict_text(a->verdict));
            if (a->verdict != SS_STORY_UNASKED)
                print_lines(a->numbers);
        }
    }
}

ss_code cli_story_show(const char *folder, cli_tables *out, ss_err *e)
{
    ss_story s;
    ss_story_judgement j = {0};
    ss_table t;
    ss_code rc = ss_story_read(folder, &s, e);

    if (rc == SS_OK && (rc = ss_story_judge(&s, &j, e)) == SS_OK && !out->data)
        print_findings(&s, &j);
    else if (rc == SS_OK && (rc = ss_story_findings_table(&s, &j, &t, e)) == SS_OK)
        rc = cli_show(out, &t, e);
    if (rc == SS_OK && !out->data)
        printf("\n");
    for (int g = 0; g < s.n && rc == SS_OK; g++) {
        if ((rc = ss_story_runs_table(&s.regime[g], &t, e)) == SS_OK)
            rc = cli_show(out, &t, e);
    }
    ss_story_judgement_release(&j);
    ss_story_release(&s);
    return rc;
}
