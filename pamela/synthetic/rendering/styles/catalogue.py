"""The looks of the 26 styles and of photographs: how a drawing is painted."""

from __future__ import annotations

from typing import Final

from pamela.synthetic.rendering.canvas import Picture
from pamela.synthetic.rendering.styles import cubist as cubists
from pamela.synthetic.rendering.styles import modern as moderns
from pamela.synthetic.rendering.styles import old_masters as masters
from pamela.synthetic.rendering.styles.base import Drawn, Look, Rng


def _photograph(d: Drawn, rng: Rng) -> Picture:
    return d.image


LOOKS: Final[dict[str, Look]] = {
    "Abstract_Expressionism": Look(cubists.abstract_expressionism, contrast=1.15),
    "Action_painting": Look(cubists.action_painting, shaded=False, key=0.06, contrast=1.15),
    "Analytical_Cubism": Look(cubists.analytical_cubism, key=-0.04),
    "Art_Nouveau_Modern": Look(moderns.art_nouveau, shaded=False, vivid=0.75, key=0.07),
    "Baroque": Look(masters.baroque, key=-0.16, contrast=1.2),
    "Color_Field_Painting": Look(cubists.color_field, shaded=False, vivid=1.2, contrast=0.75),
    "Contemporary_Realism": Look(masters.contemporary_realism, key=0.03, contrast=1.1),
    "Cubism": Look(cubists.cubism, vivid=0.8),
    "Early_Renaissance": Look(masters.early_renaissance, vivid=0.9, key=0.0),
    "Expressionism": Look(moderns.expressionism, vivid=1.2, key=-0.06, contrast=1.15),
    "Fauvism": Look(moderns.fauvism, shaded=False, vivid=1.4, key=0.03),
    "High_Renaissance": Look(masters.high_renaissance, vivid=0.8, key=-0.09, contrast=0.9),
    "Impressionism": Look(moderns.impressionism, key=0.07, contrast=0.85),
    "Mannerism_Late_Renaissance": Look(masters.mannerism, vivid=0.9, key=-0.02),
    "Minimalism": Look(cubists.minimalism, shaded=False, key=0.14, contrast=0.7),
    "Naive_Art_Primitivism": Look(moderns.naive_art, shaded=False, vivid=1.25, key=0.05),
    "New_Realism": Look(masters.new_realism, shaded=False, vivid=0.85),
    "Northern_Renaissance": Look(masters.northern_renaissance, vivid=1.05, key=-0.1, contrast=1.1),
    "Pointillism": Look(moderns.pointillism, vivid=1.2, key=0.08, contrast=0.8),
    "Pop_Art": Look(moderns.pop_art, shaded=False, vivid=1.4, key=0.02, contrast=1.25),
    "Post_Impressionism": Look(moderns.post_impressionism, vivid=1.3),
    "Realism": Look(masters.realism, vivid=0.85, key=-0.03),
    "Rococo": Look(masters.rococo, vivid=0.75, key=0.13, contrast=0.75),
    "Romanticism": Look(masters.romanticism, vivid=0.9, key=-0.06),
    "Symbolism": Look(moderns.symbolism, key=-0.05),
    "Synthetic_Cubism": Look(
        cubists.synthetic_cubism, shaded=False, vivid=1.0, key=0.04, contrast=1.1
    ),
}


PHOTOGRAPH: Final = Look(_photograph, vivid=0.9)


def look_of(style: str | None) -> Look:
    """Return the look of `style`; None is a photograph."""
    return PHOTOGRAPH if style is None else LOOKS[style]
