"""Equations without a network: MathJax from npm beside the pages, and every formula checked as the pages are built."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util import logging

_LOGGER = logging.getLogger(__name__)
_LIBRARIES = Path(__file__).resolve().parents[1] / "libraries"
_MATHJAX = _LIBRARIES / "node_modules/mathjax"
_FONT = _LIBRARIES / "node_modules/@mathjax/mathjax-newcm-font"
# What is read aloud of a formula is made by a worker, which browsers refuse to a page that is a file.
CONFIG = {
    "loader": {"paths": {"mathjax-newcm": "[mathjax]/../mathjax-newcm-font"}},
    "svg": {"linebreaks": {"inline": False}},
    "options": {"enableSpeech": False, "enableBraille": False, "menuOptions": {"settings": {"enrich": False}}},
}
_API = "reference/api/"  # whose signatures have patterns that end with "$"
_CODE = (nodes.literal, nodes.literal_block, nodes.raw, nodes.comment, nodes.math, nodes.math_block)
PATH = "mathjax/tex-svg.js"


def _copy(app: Sphinx, failure: Exception | None) -> None:
    """Put MathJax and the rare characters of its font beside the pages."""
    if failure or app.builder.format != "html":
        return
    static = Path(app.outdir) / "_static"
    (static / "mathjax").mkdir(parents=True, exist_ok=True)
    shutil.copy(_MATHJAX / "tex-svg.js", static / PATH)
    shutil.copy(_MATHJAX / "LICENSE", static / "mathjax/LICENSE")
    shutil.copytree(_MATHJAX / "input/tex/extensions", static / "mathjax/input/tex/extensions", dirs_exist_ok=True)
    shutil.copytree(_FONT / "svg/dynamic", static / "mathjax-newcm-font/svg/dynamic", dirs_exist_ok=True)


def _check(_: Sphinx, env: Any) -> None:
    """Warn of each formula that MathJax cannot read, and of each that was taken for text."""
    found = []
    for name in sorted(env.found_docs):
        for node in env.get_doctree(name).findall():
            if isinstance(node, nodes.math | nodes.math_block):
                found.append((node.astext(), name, node.line))
            elif _is_text(node) and "$" in node and not name.startswith(_API):
                said = "a formula is not closed here; does a line of it begin as an item of a list does, with + or -?"
                _LOGGER.warning("%s %r", said, str(node)[:80], location=(name, node.parent.line))
    done = subprocess.run(
        ["node", str(_LIBRARIES / "check.mjs")],
        input=json.dumps([_as_shown(tex) for tex, _, _ in found]),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ExtensionError(f"docs/libraries/check.mjs failed: {done.stderr.strip()}")
    for (tex, name, line), said in zip(found, json.loads(done.stdout), strict=True):
        if said:
            _LOGGER.warning("MathJax cannot read the formula %r: %s", tex, said, location=(name, line))


def _is_text(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Text) and not isinstance(node.parent, _CODE)


def _as_shown(tex: str) -> str:
    """Return a formula as Sphinx passes it on: parts with line breaks are aligned."""
    return rf"\begin{{split}}{tex}\end{{split}}" if r"\\" in tex else tex


def setup(app: Sphinx) -> dict[str, Any]:
    """Add it to Sphinx."""
    if not _MATHJAX.is_dir():
        raise ExtensionError("docs/libraries/node_modules has no MathJax: 'make docs' fetches it")
    app.connect("env-updated", _check)
    app.connect("build-finished", _copy)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
