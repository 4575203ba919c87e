"""What the embedded encoder is trained to name: attributes and classes, in a fixed order.

Part of its image features are its answers: one column per attribute (-1 to 1 before scaling) and
one logit per class of `KINDS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from pamela.core.arrays import Ints
from pamela.synthetic import vocabulary as v
from pamela.synthetic.prompts import article_of

NO_LIGHTING: Final = "none"
TYPE_GROUPS: Final = tuple(
    f"{kind}/{group}" for kind, groups in v.GROUPS.items() for group in groups
)
STYLES: Final = (*v.STYLES, v.PHOTO)  # a photograph's style is its type
LIGHTINGS: Final = (*v.LIGHTINGS, NO_LIGHTING)
KINDS: Final[dict[str, tuple[str, ...]]] = {
    "type_group": TYPE_GROUPS,
    "style": STYLES,
    "lighting": LIGHTINGS,
    "subject": v.SUBJECTS,
}
# The subject decides no taste: it is asked of the features in training only.
ANSWERED: Final = ("type_group", "style", "lighting")
ANSWERS: Final = len(v.ATTRIBUTES) + sum(len(KINDS[kind]) for kind in ANSWERED)


def codes(kind: str, labels: npt.NDArray[np.str_]) -> Ints:
    """Return the place of each label among `KINDS[kind]`."""
    place = {name: i for i, name in enumerate(KINDS[kind])}
    return np.array([place[name] for name in labels.tolist()], np.int64)


def answer_slices() -> dict[str, slice]:
    """Return where among the answers each kind's logits stand; attributes come first."""
    out, start = {}, len(v.ATTRIBUTES)
    for kind in ANSWERED:
        out[kind] = slice(start, start + len(KINDS[kind]))
        start += len(KINDS[kind])
    return out


def looks(phrases: Sequence[str]) -> str:
    """Return a sentence of phrases alone; the first adjective stands before the noun."""
    adjective = next((p for p in phrases if " " not in p.removeprefix("very ")), None)
    rest = [p for p in phrases if p != adjective]
    noun = "a picture" if adjective is None else f"{article_of(adjective)} {adjective} picture"
    return ", ".join([noun, *rest])
