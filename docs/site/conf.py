"""Sphinx: the documents of the repository as a searchable site. ``make docs`` builds it; a broken link fails."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from sidecar.version import VERSION  # noqa: E402 - the path is set first

project = "Zimwatch"
author = "the authors of Zimwatch"
release = version = VERSION
extensions = ["myst_parser", "sphinx_llms_txt"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/*.md", "docs/**/*.md", "docker/*.md", "docker/**/*.md"]
exclude_patterns = ["docs/ports/*/**"]
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
suppress_warnings = ["misc.highlighting_failure"]  # Pygments knows no HAProxy
html_theme = "furo"
html_title = "Zimwatch"
llms_txt_exclude = ["docs/decisions/*"]
html_show_copyright = False
