/* assets.h - the pages' styles and scripts,
 * which are built into the program */
#ifndef SS_REPORTS_ASSETS_H
#define SS_REPORTS_ASSETS_H

extern const char ss_asset_css[], ss_asset_blocks_css[], ss_asset_js[]; /* end in NUL */
extern const char ss_asset_figure_css[], ss_asset_figure_js[];

#endif
