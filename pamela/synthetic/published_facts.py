"""Published facts of the PAMELA release that the embedded world is calibrated to.

Source: the release's annotation files, training part (arXiv 2604.07427; dataset card of
`bethgelab/PAMELA`): number of ratings and mean rating. ``landscape`` and ``portrait`` occur in both
types but are published together; how they divide follows by arithmetic from the type totals (Art:
17,698 ratings, mean 2.99; Photorealism: 32,524, mean 3.26), assuming that the Art groups other than
flower painting are equally large, as the three published ones are. Cells with a named source of
their own are published; the four divided ones are marked.
"""

from __future__ import annotations

from typing import Final

from pamela.synthetic.vocabulary import ART, PHOTO

# (type, group): (ratings in train, mean)
GROUP_FACTS: Final[dict[tuple[str, str], tuple[int, float]]] = {
    (ART, "abstract"): (3289, 2.07),
    (ART, "cityscape"): (3291, 3.26),
    (ART, "flower painting"): (1661, 3.37),
    (ART, "landscape"): (3137, 3.36),  # divided
    (ART, "portrait"): (3137, 3.15),  # divided
    (ART, "still life"): (3183, 2.94),
    (PHOTO, "animal"): (158, 3.83),
    (PHOTO, "architecture"): (4460, 3.28),
    (PHOTO, "automotive"): (2385, 3.11),
    (PHOTO, "cinematic"): (3831, 3.15),
    (PHOTO, "fashion"): (2028, 3.23),
    (PHOTO, "food"): (3288, 3.34),
    (PHOTO, "landscape"): (4433, 3.68),  # divided
    (PHOTO, "lifestyle"): (1690, 3.22),
    (PHOTO, "portrait"): (1687, 3.32),  # divided
    (PHOTO, "product"): (3931, 2.77),
    (PHOTO, "scene"): (371, 3.48),
    (PHOTO, "special"): (1151, 3.09),
    (PHOTO, "sports"): (1175, 3.31),
    (PHOTO, "street"): (690, 3.17),
    (PHOTO, "travel"): (1246, 3.52),
}

# style: (ratings in train, mean). The four abstract styles together have the count and the mean of
# the group `abstract`: they are that group's, the others are everybody else's.
STYLE_FACTS: Final[dict[str, tuple[int, float]]] = {
    "Abstract_Expressionism": (608, 2.37),
    "Action_painting": (849, 2.18),
    "Analytical_Cubism": (587, 2.79),
    "Art_Nouveau_Modern": (700, 3.19),
    "Baroque": (671, 3.39),
    "Color_Field_Painting": (905, 1.96),
    "Contemporary_Realism": (705, 3.18),
    "Cubism": (638, 2.70),
    "Early_Renaissance": (826, 3.15),
    "Expressionism": (529, 2.83),
    "Fauvism": (611, 3.00),
    "High_Renaissance": (602, 3.32),
    "Impressionism": (610, 3.44),
    "Mannerism_Late_Renaissance": (699, 3.38),
    "Minimalism": (873, 1.89),
    "Naive_Art_Primitivism": (629, 3.03),
    "New_Realism": (592, 3.52),
    "Northern_Renaissance": (637, 3.26),
    "Pointillism": (722, 3.29),
    "Pop_Art": (655, 2.63),
    "Post_Impressionism": (567, 3.29),
    "Realism": (863, 3.59),
    "Rococo": (745, 3.57),
    "Romanticism": (523, 3.66),
    "Symbolism": (523, 3.21),
    "Synthetic_Cubism": (829, 2.79),
}
OVERALL_MEAN: Final = 3.16
TYPE_MEANS: Final = {ART: 2.99, PHOTO: 3.26}
NATIONALITIES: Final = 23

# Counted by a public project on the release's training part (156 people). Eligible for a category:
# who has at least `ELIGIBLE_FROM` ratings in it; admirers: who of them rates it at least `ADMIRED`
# on average, and at least `ADMIRED_ABOVE_OWN` above their own overall mean.
ELIGIBLE_FROM: Final = 3
ADMIRED: Final = 4.0
ADMIRED_ABOVE_OWN: Final = 0.2
RATERS: Final = {ART: 97, PHOTO: 95}  # eligible for a type: so 36 rated both
RATERS_OF_BOTH: Final = 36
GROUP_ADMIRERS: Final[dict[str, tuple[int, int]]] = {  # (eligible, admirers)
    "abstract": (81, 1),
    "animal": (25, 11),
    "architecture": (90, 4),
    "automotive": (86, 4),
    "cinematic": (92, 1),
    "cityscape": (74, 5),
    "fashion": (82, 2),
    "flower painting": (65, 8),
    "food": (86, 8),
    "landscape": (145, 26),
    "lifestyle": (81, 2),
    "portrait": (146, 14),
    "product": (84, 1),
    "scene": (63, 8),
    "special": (81, 5),
    "sports": (81, 3),
    "still life": (72, 2),
    "street": (76, 4),
    "travel": (81, 10),
}
STYLE_ELIGIBLE: Final = (62, 67)  # for each style
STYLES_ELIGIBLE: Final = 1690  # for all of them
STYLE_ADMIRERS: Final[dict[str, int]] = {
    "Abstract_Expressionism": 1,
    "Action_painting": 2,
    "Analytical_Cubism": 1,
    "Art_Nouveau_Modern": 3,
    "Baroque": 7,
    "Color_Field_Painting": 0,
    "Contemporary_Realism": 5,
    "Cubism": 3,
    "Early_Renaissance": 5,
    "Expressionism": 2,
    "Fauvism": 6,
    "High_Renaissance": 11,
    "Impressionism": 14,
    "Mannerism_Late_Renaissance": 11,
    "Minimalism": 0,
    "Naive_Art_Primitivism": 5,
    "New_Realism": 12,
    "Northern_Renaissance": 6,
    "Pointillism": 9,
    "Pop_Art": 2,
    "Post_Impressionism": 9,
    "Realism": 18,
    "Rococo": 20,
    "Romanticism": 19,
    "Symbolism": 3,
    "Synthetic_Cubism": 4,
}
# Not of the release: reliability, and what demographics explain, as PARA, EVA, LAPIS report them.
SINGLE_RATING_ICC: Final = (0.19, 0.47)
DEMOGRAPHICS_SHARE: Final = (0.01, 0.04)
