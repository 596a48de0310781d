"""Sphinx: the pages of this folder and the reference made of docstrings, by ``make docs``."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

project = "sqhw"
author = "the sqhw authors"
extensions = ["myst_parser", "sphinx.ext.apidoc", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
apidoc_modules = [
    {"path": f"../{name}", "destination": f"api/{name}", "exclude_patterns": ["**/*figures*"]}
    for name in ("sqhw", "sw_reference")
]
autodoc_default_options = {"members": True, "member-order": "bysource", "show-inheritance": True}
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_custom_sections = [("Members", "params_style")]
napoleon_use_ivar = True
suppress_warnings = ["ref.python"]  # several classes have a parameter of one name
# `make docs` does without these, and without Matplotlib (figures).
autodoc_mock_imports = ["compressed_tensors", "distributed", "torch", "transformers"]
default_role = "code"
myst_heading_anchors = 4
html_theme = "alabaster"
