"""Contact sheets of the embedded world.

Run by ``python -m pamela.synthetic.contact_sheet OUT.png [styles|subjects|attributes|prompts]``:
every style, every photographic subject, every attribute from low to high, or pictures as the
embedded dataset has them; without a kind, a digest of all. ``OUT.jpg`` is written as JPEG.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from pamela.core.errors import PamelaError
from pamela.core.files import atomic_path
from pamela.synthetic import vocabulary as v
from pamela.synthetic.prompts import Spec, sample_spec, styles_of, write_prompt
from pamela.synthetic.rendering.canvas import Picture
from pamela.synthetic.rendering.render import draw, render

SIDE: Final = 128
MARGIN: Final = 3
LABEL: Final = 13
Cell = tuple[str, Picture]


def neutral(
    subject: str,
    style: str | None = None,
    lighting: str = "daylight",
    attributes: dict[str, float] | None = None,
) -> Spec:
    """Return the scene of `subject` with every attribute at 0 but the named ones."""
    groups = v.groups_of(subject)
    kind = v.PHOTO if style is None else v.ART
    group = groups.get(kind, next(iter(groups.values())))
    values = {name: (attributes or {}).get(name, 0.0) for name in v.attributes_of(group, style)}
    lit = lighting if v.has_lighting(group, style) else None
    return Spec(kind, group, subject, style, values, lit)


def styles_sheet() -> tuple[list[Cell], int]:
    """Return every style with five subjects each."""
    cells = []
    subjects = (
        "a city skyline",
        "roses in a vase",
        "a mountain lake",
        "a young woman",
        "a bowl of fruit",
    )
    for style in v.STYLES:
        names = v.GROUPS[v.ART][v.ABSTRACT] if style in styles_of(v.ABSTRACT) else subjects
        for i, name in enumerate(names):
            scene = neutral(name, style, attributes={"palette": 0.2, "clutter": -0.1})
            cells.append((f"{style}"[:21], draw(scene, f"{style}{i}", SIDE, v.GENERATORS[i % 2])))
    return cells, 10


def subjects_sheet() -> tuple[list[Cell], int]:
    """Return every subject as a photograph."""
    cells = []
    for i, name in enumerate(v.SUBJECTS):
        if v.ABSTRACT in v.groups_of(name).values():
            continue
        picture = draw(neutral(name, attributes={"clutter": -0.3}), name, SIDE, v.GENERATORS[i % 2])
        cells.append((name[:21], picture))
    return cells, 10


def attributes_sheet() -> tuple[list[Cell], int]:
    """Return every attribute at three values, and every lighting, for three pictures."""
    cells = []
    shown = (
        ("a classical temple", None),
        ("a bearded man", None),
        ("a bowl of fruit", "Impressionism"),
    )
    for name in v.ATTRIBUTES:
        for subject, style in shown:
            for value in (-0.9, 0.0, 0.9):
                style_ = "Realism" if style and name == "focus" else style
                scene = neutral(subject, style_, attributes={"clutter": -0.1, name: value})
                cells.append((f"{name} {value:+.1f}", draw(scene, subject, SIDE)))
    for lighting in v.LIGHTINGS:
        for subject, style in shown:
            cells.append((lighting, draw(neutral(subject, style, lighting), subject, SIDE)))
    return cells, 9


def prompts_sheet(count: int = 80, seed: int = 0) -> tuple[list[Cell], int]:
    """Return pictures of prompts drawn as for the embedded dataset."""
    rng = np.random.default_rng(seed)
    cells = []
    for i in range(count):
        prompt = write_prompt(sample_spec(rng), rng)
        cells.append((prompt[:21], render(prompt, i, SIDE)))
    return cells, 10


def digest() -> tuple[list[Cell], int]:
    """Return a digest: each style once, photographs, each attribute low and high, lightings."""
    styles, _ = styles_sheet()
    subjects, _ = subjects_sheet()
    attributes, _ = attributes_sheet()
    kept = [cell for i, cell in enumerate(styles) if i % 5 == (i // 5 * 3 + 1) % 5]
    kept += subjects[:: len(subjects) // 28][:28]
    ends = len(v.ATTRIBUTES) * 9
    kept += [cell for i, cell in enumerate(attributes[:ends]) if i % 9 in (3, 5)]
    kept += [cell for i, cell in enumerate(attributes[ends:]) if i % 3 == 1]
    return kept, 9


SHEETS: Final = {
    "styles": styles_sheet,
    "subjects": subjects_sheet,
    "attributes": attributes_sheet,
    "prompts": prompts_sheet,
    "digest": digest,
}


def contact_sheet(cells: Sequence[Cell], columns: int) -> Picture:
    """Return the pictures in rows of `columns`, each above its label."""
    rows = -(-len(cells) // columns)
    height, width = SIDE + LABEL + MARGIN, SIDE + MARGIN
    sheet = np.full((rows * height + MARGIN, columns * width + MARGIN, 3), 255, np.uint8)
    for i, (label, picture) in enumerate(cells):
        y, x = MARGIN + i // columns * height, MARGIN + i % columns * width
        sheet[y : y + SIDE, x : x + SIDE] = picture
        origin = (x + 1, y + SIDE + 10)
        cv2.putText(
            sheet, label, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.33, (40, 40, 40), 1, cv2.LINE_AA
        )
    return sheet


def write_sheet(path: Path, kind: str = "digest") -> None:
    """Write one of `SHEETS` to `path`, a PNG or JPEG file."""
    if kind not in SHEETS:
        raise PamelaError(f"no sheet called {kind!r}: choose one of {', '.join(SHEETS)}")
    picture = contact_sheet(*SHEETS[kind]())
    with atomic_path(path) as aside:
        jpeg = path.suffix.lower() in (".jpg", ".jpeg")
        options = [cv2.IMWRITE_JPEG_QUALITY, 72] if jpeg else []
        ok, data = cv2.imencode(path.suffix, picture[..., ::-1], options)
        if not ok:
            raise PamelaError(f"{path}: cannot write a picture of this kind; use .png or .jpg")
        aside.write_bytes(data.tobytes())


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(
            "usage: python -m pamela.synthetic.contact_sheet OUT.png [" + "|".join(SHEETS) + "]"
        )
    try:
        write_sheet(Path(sys.argv[1]), *sys.argv[2:])
    except PamelaError as error:
        sys.exit(f"error: {error}")
