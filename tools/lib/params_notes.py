"""What each param does, in a sentence: the comment beside it in params.yaml.

A comment appears where a param first does; params of the same name in sections of the same kind share it. Params that
params.yaml leaves out are explained here.
"""

import re
from functools import cache
from pathlib import Path

_LINE = re.compile(r"(?P<indent> *)(?P<name>\w+):(?P<value>[^#]*)(?:#\s*(?P<note>.*))?")
# By the end of the key.
_ELSEWHERE = {
    "rows.pca": "the rows that the stage `pca` makes",
    "rows.isomap": "the rows that the stage `isomap` makes",
    "rows.reductions": "the rows that the stage `reduce` makes: other methods without an autoencoder",
    "rows.ae": "the rows that the stage `ae` makes: autoencoders",
    "rows.vae": "the rows that the stage `vae` makes: variational autoencoders",
    "rows.diffusion": "the rows that the stage `diffusion` makes",
    "options": "arguments of the architecture besides the shape of images and the number of latents",
    "coder.latent_dim": "how many latents the model's own autoencoder has",
    "latent_dim": "the size of this row's latent space, instead of the `latent_dim` at the top level",
    "autoguidance.scale": "how far samples keep away from what the guide would draw: 1 is no guidance",
    "autoguidance.share": "how long the guide trains, as a share of the model's own training",
    "guidance.scale": "how strongly samples follow the class: 1 as the network learned it, above 1 exaggerates it",
    "guidance.dropped_share": "the share of train images whose class is hidden, so that the network also learns "
    "without classes",
}


@cache
def _notes(path: Path) -> dict[str, str]:
    """Return the comment of each key of a params file, dotted."""
    notes: dict[str, str] = {}
    stack: list[tuple[int, str]] = []
    above: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.lstrip().startswith("#"):
            above.append(line.lstrip("# ").strip())
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            above = []
            continue
        stack = [(depth, name) for depth, name in stack if depth < len(match["indent"])]
        stack.append((len(match["indent"]), match["name"]))
        note = match["note"] or " ".join(above)
        above = []
        if note:
            notes[".".join(name for _, name in stack)] = note
    return notes


def of_section(path: Path, key: str) -> str | None:
    """Return the comment on a whole section, as a sentence; None if there is none."""
    return _sentence(_notes(path).get(key))


def of_param(path: Path, key: str, place: str) -> str | None:
    """Return what a param does, as a sentence; None if no comment says so.

    Args:
        path: of params.yaml.
        key: of the param, dotted.
        place: its key within its section; a param without a comment takes that of the same place in the first section.
    """
    notes = _notes(path)
    found = notes.get(key)
    for end in ("", *(place.split(".", n)[-1] for n in range(place.count(".") + 1))):
        if found is None and end:
            alike = (note for name, note in notes.items() if name != end and name.endswith(f".{end}"))
            here = (note for name, note in _ELSEWHERE.items() if f".{key}".endswith(f".{name}"))
            found = next(here, None) or next(alike, None)
    return _sentence(found)


def _sentence(note: str | None) -> str | None:
    return f"{note[0].upper()}{note[1:].removesuffix('.')}." if note else None
