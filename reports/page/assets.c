/* assets.c - the assembler includes the files, so that they stay files of their own language
 */
#include "reports/page/assets.h"

#define ASSET(symbol, file)                              \
    __asm__(".pushsection .rodata\n"                     \
            ".global " #symbol "\n"                      \
            ".type " #symbol ", @object\n" #symbol ":\n" \
            ".incbin \"" file "\"\n"                     \
            ".byte 0\n"                                  \
            ".size " #symbol ", . - " #symbol "\n"       \
            ".popsection\n")

ASSET(ss_asset_css, "reports/page/page.css");
ASSET(ss_asset_js, "reports/page/page.js");
