/* asset.h - files that are built into the program: the assembler includes them, so that they stay
 * files of their own language
 *
 *   SS_ASSET(ss_asset_css, "reports/page/page.css");   // outside of functions
 *   extern const char ss_asset_css[];                  // ends in NUL
 *
 * The Makefile names the file as what the object depends on.
 */
#ifndef SS_BASE_ASSET_H
#define SS_BASE_ASSET_H

#define SS_ASSET(symbol, file)                           \
    __asm__(".pushsection .rodata\n"                     \
            ".global " #symbol "\n"                      \
            ".type " #symbol ", @object\n" #symbol ":\n" \
            ".incbin \"" file "\"\n"                     \
            ".byte 0\n"                                  \
            ".size " #symbol ", . - " #symbol "\n"       \
            ".popsection\n")

#endif
