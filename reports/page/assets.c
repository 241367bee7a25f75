/* assets.c - see assets.h */
#include "reports/page/assets.h"

#include "base/asset.h"

SS_ASSET(ss_asset_css, "reports/page/page.css");
SS_ASSET(ss_asset_blocks_css, "reports/page/blocks.css");
SS_ASSET(ss_asset_js, "reports/page/page.js");
SS_ASSET(ss_asset_figure_css, "reports/page/figure.css");
SS_ASSET(ss_asset_figure_js, "reports/page/figure.js");
