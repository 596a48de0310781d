"""Sphinx: the pages of this folder and the reference made of docstrings, by ``make docs``."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

project = "sqhw"
author = "the sqhw authors"
extensions = ["myst_parser", "sphinx.ext.apidoc", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
# Pages are read in the order of their names: a class's own page must come before those of its other names.
apidoc_modules = [
    {"path": f"../{name}", "destination": f"api/{folder}", "exclude_patterns": ["**/*figures*"]}
    for folder, name in (("golden", "sw_reference"), ("sqhw", "sqhw"))
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
