"""The words of the embedded world: types, groups, subjects, styles, lightings and attributes.

Groups and styles are the release's (their published counts and means stand in `release_facts`);
subjects, lightings and attributes are our own. Every phrase belongs to exactly one value, so that
a prompt can be read back (`pamela.synthetic.prompts`).
"""

from __future__ import annotations

from typing import Final

PHOTO: Final = "Photorealism"
ART: Final = "Art"

# --- subjects ---------------------------------------------------------------------------------
_LANDSCAPES: Final = (
    "a mountain lake",
    "a forest path",
    "rolling hills",
    "a desert with dunes",
    "a rocky coast",
    "a winding river valley",
)
_PORTRAITS: Final = ("a young woman", "an old man", "a bearded man", "a girl in a hat", "a boy")

GROUPS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    ART: {
        "abstract": (
            "overlapping circles",
            "horizontal bands",
            "floating squares",
            "sweeping arcs",
            "crossing diagonals",
        ),
        "cityscape": (
            "a city skyline",
            "an old town street",
            "a canal with houses",
            "a city square",
        ),
        "flower painting": ("roses in a vase", "sunflowers in a jug", "tulips", "a wild bouquet"),
        "landscape": _LANDSCAPES,
        "portrait": _PORTRAITS,
        "still life": (
            "a bowl of fruit",
            "bottles and a jug",
            "a candle and books",
            "a violin",
            "a loaf of bread and a glass of wine",
        ),
    },
    PHOTO: {
        "animal": ("a cat", "a dog", "a bird on a branch", "a horse"),
        "architecture": (
            "a classical temple",
            "a glass tower",
            "a stone bridge",
            "a domed church",
            "a modern house",
        ),
        "automotive": ("a sports car", "a vintage car", "a pickup truck", "a motorcycle"),
        "cinematic": (
            "a lone figure in a corridor",
            "a detective under a street lamp",
            "a couple under an umbrella",
            "a rider on a dune",
        ),
        "fashion": ("a model in a long gown", "a model in a coat", "a model in a suit"),
        "food": ("a bowl of soup", "a slice of cake", "a burger", "a pizza", "an ice cream"),
        "landscape": _LANDSCAPES,
        "lifestyle": (
            "a cup of coffee by a window",
            "a person reading in an armchair",
            "a picnic in a park",
        ),
        "portrait": _PORTRAITS,
        "product": ("a wristwatch", "a perfume bottle", "a desk lamp", "a sneaker", "a camera"),
        "scene": ("a campfire", "a harbour with boats"),
        "special": ("fireworks", "soap bubbles", "a ringed planet"),
        "sports": ("a soccer ball", "a runner", "a tennis player", "a basketball hoop"),
        "street": ("a market stall", "a cyclist", "a zebra crossing"),
        "travel": ("a hot air balloon", "a palm beach", "a pagoda", "a sailing boat"),
    },
}
SUBJECTS: Final = tuple(
    dict.fromkeys(name for groups in GROUPS.values() for names in groups.values() for name in names)
)


def groups_of(subject: str) -> dict[str, str]:
    """Return {type: group} of `subject`; empty where nobody knows it.

    Examples
    --------
    >>> groups_of("a pizza")
    {'Photorealism': 'food'}
    """
    return {
        kind: group
        for kind, groups in GROUPS.items()
        for group, names in groups.items()
        if subject in names
    }


# --- styles of Art --------------------------------------------------------------------------------
# The release's name -> how a prompt says it.
STYLES: Final[dict[str, str]] = {
    "Abstract_Expressionism": "abstract expressionist",
    "Action_painting": "action painting",
    "Analytical_Cubism": "analytical cubist",
    "Art_Nouveau_Modern": "art nouveau",
    "Baroque": "baroque",
    "Color_Field_Painting": "color field",
    "Contemporary_Realism": "contemporary realist",
    "Cubism": "cubist",
    "Early_Renaissance": "early renaissance",
    "Expressionism": "expressionist",
    "Fauvism": "fauvist",
    "High_Renaissance": "high renaissance",
    "Impressionism": "impressionist",
    "Mannerism_Late_Renaissance": "mannerist",
    "Minimalism": "minimalist",
    "Naive_Art_Primitivism": "naive art",
    "New_Realism": "new realist",
    "Northern_Renaissance": "northern renaissance",
    "Pointillism": "pointillist",
    "Pop_Art": "pop art",
    "Post_Impressionism": "post-impressionist",
    "Realism": "realist",
    "Rococo": "rococo",
    "Romanticism": "romanticist",
    "Symbolism": "symbolist",
    "Synthetic_Cubism": "synthetic cubist",
}
ABSTRACT_STYLES: Final = (
    "Abstract_Expressionism",
    "Action_painting",
    "Color_Field_Painting",
    "Minimalism",
)

# --- lighting (categorical) -----------------------------------------------------------------------
LIGHTINGS: Final[dict[str, tuple[str, ...]]] = {
    "daylight": ("in clear daylight", "in plain daylight"),
    "soft": ("in soft light", "under an overcast sky"),
    "golden hour": ("at golden hour", "in low evening sun"),
    "backlit": ("backlit", "against the light"),
    "spotlight": ("in dramatic spotlight", "lit by a single lamp"),
    "neon": ("at night in neon light", "under neon lights"),
}

# --- attributes -------------------------------------------------------------------------------
# Level -> phrases. The level is what a prompt asks for on [-1, 1]; an unmentioned attribute is
# drawn from the seed.
STRONG: Final = 0.9
MILD: Final = 0.5
WORDS: Final[dict[str, dict[float, tuple[str, ...]]]] = {
    "warmth": {
        -STRONG: ("in icy cold tones", "in very cold colors"),
        -MILD: ("in cool tones", "with a cool cast"),
        MILD: ("in warm tones", "with a warm cast"),
        STRONG: ("in fiery warm tones", "in very warm colors"),
    },
    "saturation": {
        -STRONG: ("almost monochrome grey", "drained of color"),
        -MILD: ("muted colors", "desaturated"),
        MILD: ("rich colors", "saturated"),
        STRONG: ("intensely vivid colors", "highly saturated"),
    },
    "key": {
        -STRONG: ("very dark", "in a very low key"),
        -MILD: ("dark", "in a low key"),
        MILD: ("bright", "in a high key"),
        STRONG: ("very bright", "in a very high key"),
    },
    "contrast": {
        -STRONG: ("with very low contrast", "hazy and flat"),
        -MILD: ("with low contrast", "with gentle tones"),
        MILD: ("with high contrast", "with deep shadows"),
        STRONG: ("with very high contrast", "with harsh contrast"),
    },
    "palette": {
        -STRONG: ("in a single hue", "in one color only"),
        -MILD: ("in a limited palette", "in few colors"),
        MILD: ("in a varied palette", "in many colors"),
        STRONG: ("in a rainbow of colors", "in every color"),
    },
    "angle": {
        -STRONG: ("from a very low angle", "seen from far below"),
        -MILD: ("from a low angle", "seen from below"),
        MILD: ("from a high angle", "seen from above"),
        STRONG: ("from a very high angle", "from a bird's-eye view"),
    },
    "distance": {
        -STRONG: ("in an extreme close-up", "filling the whole frame"),
        -MILD: ("in a close-up", "seen up close"),
        MILD: ("in a wide shot", "seen from a distance"),
        STRONG: ("in a very wide shot", "tiny in the distance"),
    },
    "symmetry": {
        -STRONG: ("far off-center", "pushed to the edge of the frame"),
        -MILD: ("off-center", "composed by the rule of thirds"),
        MILD: ("centered", "in a balanced composition"),
        STRONG: ("perfectly symmetrical", "in strict symmetry"),
    },
    "clutter": {
        -STRONG: ("completely bare surroundings", "nothing else in the frame"),
        -MILD: ("uncluttered", "with simple surroundings"),
        MILD: ("cluttered", "with busy surroundings"),
        STRONG: ("very cluttered", "crowded with objects"),
    },
    "focus": {
        -STRONG: ("everything in sharp focus", "with endless depth of field"),
        -MILD: ("with deep depth of field", "with a sharp background"),
        MILD: ("with shallow depth of field", "with a soft background"),
        STRONG: ("with very shallow depth of field", "with a strongly blurred background"),
    },
    "grain": {
        -STRONG: ("perfectly smooth", "without any grain"),
        -MILD: ("smooth", "with little grain"),
        MILD: ("grainy", "with a grainy texture"),
        STRONG: ("very grainy", "with a coarse grainy texture"),
    },
}
ATTRIBUTES: Final = tuple(WORDS)

# Attributes without a visible effect are not drawn and not claimed there.
_FLAT_STYLES: Final = (
    "Analytical_Cubism",
    "Art_Nouveau_Modern",
    "Cubism",
    "Early_Renaissance",
    "Expressionism",
    "Fauvism",
    "Impressionism",
    "Mannerism_Late_Renaissance",
    "Naive_Art_Primitivism",
    "Northern_Renaissance",
    "Pointillism",
    "Pop_Art",
    "Post_Impressionism",
    "Rococo",
    "Symbolism",
    "Synthetic_Cubism",
)
_TEXTURED_STYLES: Final = ("Pointillism", "Pop_Art", "Action_painting")
_ONE_HUE_STYLES: Final = ("Analytical_Cubism",)
ABSTRACT: Final = "abstract"
# Where everything is far away (or nothing is), there is no background to blur.
_WITHOUT_DEPTH: Final = ("landscape", "cityscape", "special", "scene")


def shows(attribute: str, group: str, style: str | None) -> bool:
    """Tell whether `attribute` has a visible effect on a picture of `group` in `style`."""
    abstract = group == ABSTRACT or style in ABSTRACT_STYLES
    if attribute in ("angle", "distance"):
        return not abstract
    if attribute == "focus":
        return not abstract and style not in _FLAT_STYLES and group not in _WITHOUT_DEPTH
    if attribute == "grain":
        return style not in _TEXTURED_STYLES
    if attribute == "palette":
        return style not in _ONE_HUE_STYLES
    return True


def attributes_of(group: str, style: str | None) -> tuple[str, ...]:
    """Return the attributes that a picture of `group` in `style` shows."""
    return tuple(name for name in ATTRIBUTES if shows(name, group, style))


def has_lighting(group: str, style: str | None) -> bool:
    """Tell whether a lighting can be seen: not in abstract pictures."""
    return group != ABSTRACT and style not in ABSTRACT_STYLES


# The two sources of pictures, each with a slight signature of its own.
GENERATORS: Final = ("atelier-2", "lumen-1")
