"""How `make docs` builds the documentation: Sphinx, MyST and Furo, readable from a folder without a network."""

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs/_extensions")]

import equations  # noqa: E402

with (ROOT / "pyproject.toml").open("rb") as file:
    _PROJECT = tomllib.load(file)["project"]

project = _PROJECT["name"]
release = version = _PROJECT["version"]
language = "en"
smartquotes = False  # commands are to be copied
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "equations",
    "library",
]
exclude_patterns = ["_extensions", "libraries"]
suppress_warnings = ["config.cache"]
nitpicky = True
# There is no network to look others up in: only what is ours must resolve.
nitpick_ignore_regex = [
    ("py:.*", r"(?!latentbench\.).*"),
    ("py:class", r"latentbench\.[\w.]+\.([A-Z]|Nats|_\w+)"),  # names of types alone, which have no page
]

myst_enable_extensions = ["amsmath", "attrs_block", "attrs_inline", "colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 3
myst_dmath_double_inline = True

default_role = "literal"  # a name between single backquotes in a docstring is code
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_typehints = "signature"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
python_use_unqualified_type_names = True
add_module_names = False

mathjax_path = equations.PATH
mathjax4_config = equations.CONFIG

html_theme = "furo"
html_title = "latentbench"
html_static_path = ["_static"]
html_css_files = ["latentbench.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
pygments_style = "friendly"
