"""Colours by role and from a scheme of hues, both after the palette attribute."""

from __future__ import annotations

import colorsys
from typing import Final

import numpy as np

Rgb = tuple[int, int, int]

# hue (turns), saturation, value of what things usually look like
NATURAL: Final[dict[str, tuple[float, float, float]]] = {
    "sky": (0.57, 0.50, 0.88),
    "sky low": (0.55, 0.22, 0.96),
    "cloud": (0.58, 0.04, 0.97),
    "sun": (0.14, 0.35, 1.00),
    "water": (0.55, 0.58, 0.66),
    "water light": (0.53, 0.35, 0.82),
    "grass": (0.27, 0.58, 0.55),
    "grass dark": (0.31, 0.60, 0.38),
    "leaf": (0.30, 0.62, 0.42),
    "trunk": (0.07, 0.50, 0.36),
    "rock": (0.08, 0.16, 0.52),
    "rock dark": (0.62, 0.20, 0.42),
    "snow": (0.58, 0.05, 0.97),
    "sand": (0.11, 0.42, 0.86),
    "sand dark": (0.08, 0.50, 0.66),
    "earth": (0.07, 0.48, 0.42),
    "stone": (0.10, 0.16, 0.76),
    "stone dark": (0.09, 0.20, 0.50),
    "brick": (0.03, 0.55, 0.58),
    "roof": (0.02, 0.60, 0.50),
    "glass": (0.55, 0.32, 0.72),
    "asphalt": (0.62, 0.08, 0.36),
    "pavement": (0.10, 0.06, 0.62),
    "wall": (0.10, 0.14, 0.80),
    "wood": (0.07, 0.52, 0.52),
    "wood dark": (0.06, 0.55, 0.34),
    "cloth": (0.10, 0.06, 0.92),
    "metal": (0.60, 0.08, 0.72),
    "metal dark": (0.62, 0.12, 0.34),
    "black": (0.65, 0.20, 0.13),
    "white": (0.12, 0.03, 0.96),
    "window": (0.14, 0.45, 0.95),
    "bread": (0.09, 0.55, 0.74),
    "cream": (0.12, 0.18, 0.95),
    "tomato": (0.01, 0.78, 0.78),
    "cheese": (0.13, 0.68, 0.95),
    "night": (0.64, 0.65, 0.22),
    "violet": (0.74, 0.70, 0.20),
    "nebula": (0.84, 0.55, 0.42),
    "lagoon": (0.48, 0.50, 0.88),
    "jungle": (0.40, 0.45, 0.42),
    "sunset": (0.06, 0.55, 1.00),
    "tile": (0.50, 0.12, 0.88),
    "fire": (0.09, 0.85, 1.00),
    "gold": (0.12, 0.62, 0.80),
    "red": (0.99, 0.75, 0.80),
}
SKINS: Final = ((0.07, 0.30, 0.93), (0.06, 0.42, 0.80), (0.06, 0.50, 0.62), (0.05, 0.55, 0.42))
HAIRS: Final = ((0.07, 0.60, 0.22), (0.10, 0.55, 0.62), (0.04, 0.70, 0.40), (0.60, 0.05, 0.75))
SKIN: Final = 60  # their numbers among the jitters
HAIR: Final = 61
OBJECTS: Final = 40  # the first jitters are those of things asked for by role
# Hue offsets of a scheme's free colours, from analogous to all around.
NARROW: Final = (0.0, 0.03, -0.03, 0.05, -0.05, 0.02, -0.02)
WIDE: Final = (0.0, 0.5, 0.33, 0.62, 0.15, 0.80, 0.42)
# The painter's wheel, and the hues of its places.
_WHEEL: Final = np.array([0.0, 0.22, 0.36, 0.52, 0.74, 0.88, 1.0])
_HUES: Final = np.array([0.0, 0.13, 0.25, 0.5, 0.62, 0.85, 1.0])


class Palette:
    """The colours of one picture.

    Parameters
    ----------
    variety : the palette attribute, -1 one hue .. 1 every hue.
    rng : picks the scheme's hue and the order of its free colours.
    vivid : factor on every saturation (a style's own).
    """

    def __init__(self, variety: float, rng: np.random.Generator, vivid: float = 1.0) -> None:
        self.variety = variety
        self.vivid = vivid
        self.hue = float(rng.random())
        self._spread = 0.5 + 0.5 * variety
        # Python's own floats: dozens of colours a picture are worked out one by one
        self._jitter: list[float] = rng.uniform(-1, 1, 64).tolist()
        self._value: list[float] = rng.uniform(0.55, 0.88, 64).tolist()
        self._asked = 0

    @property
    def scheme(self) -> Rgb:
        """The pure colour of the scheme's hue."""
        r, g, b = colorsys.hsv_to_rgb(self.hue, 1.0, 1.0)
        return round(r * 255), round(g * 255), round(b * 255)

    def __call__(self, role: str, light: float = 1.0) -> Rgb:
        """Return the colour of `role`, its brightness times `light`.

        Where the palette is varied, every call gets a hue of its own: no two trees alike.
        """
        hue, saturation, value = NATURAL[role]
        self._asked = (self._asked + 1) % OBJECTS
        return self.natural(hue, saturation, value * light, self._asked)

    def natural(self, hue: float, saturation: float, value: float, number: int = 0) -> Rgb:
        """Return a given colour, drawn towards the scheme's hue or jittered by the palette."""
        if self.variety < 0:
            pull = min(1.0, -1.05 * self.variety)
            away = (self.hue - hue + 0.5) % 1.0 - 0.5
            hue += pull * away
            saturation += pull * (0.45 - saturation) * 0.5
        else:
            share = 0.3 if number in (SKIN, HAIR) else 1.0
            strength = share * self.variety
            hue += 0.5 * strength * self._jitter[number % 64]
            tinge = 0.62 * strength * min(1.0, 0.35 + value)  # greys too, black hardly
            saturation = max(saturation, tinge)
        return self._rgb(hue, saturation, value)

    def free(self, number: int, light: float = 1.0, saturation: float = 0.66) -> Rgb:
        """Return the scheme's free colour `number`: clothes, cars, flowers, shapes."""
        narrow, wide = NARROW[number % 7], WIDE[number % 7]
        wheel = self.hue + narrow + (wide - narrow) * self._spread
        hue = _pigment((wheel + 0.02 * self._jitter[number % 64]) % 1.0)
        # Greens and violets look louder than reds at the same numbers: tame them.
        loud = 0.72 if 0.2 < hue < 0.5 or 0.7 < hue < 0.92 else 1.0
        value = self._value[(number * 7 + 3) % 64] * light * (0.86 if 0.2 < hue < 0.5 else 1.0)
        return self._rgb(hue, saturation * loud, value)

    def skin(self, number: int, light: float = 1.0) -> Rgb:
        """Return a skin colour."""
        hue, saturation, value = SKINS[number % len(SKINS)]
        return self.natural(hue, saturation, value * light, SKIN)

    def hair(self, number: int) -> Rgb:
        """Return a hair colour."""
        return self.natural(*HAIRS[number % len(HAIRS)], HAIR)

    def _rgb(self, hue: float, saturation: float, value: float) -> Rgb:
        s = min(1.0, max(0.0, saturation * self.vivid))
        r, g, b = colorsys.hsv_to_rgb(hue % 1.0, s, min(1.0, max(0.0, value)))
        return round(r * 255), round(g * 255), round(b * 255)


def _pigment(wheel: float) -> float:
    """Map a place on the painter's wheel (red, yellow, green, blue evenly) to a hue in turns."""
    return float(np.interp(wheel, _WHEEL, _HUES))


def scaled(colour: Rgb, factor: float) -> Rgb:
    """Return `colour` with its brightness times `factor`."""
    r, g, b = (min(255, round(c * factor)) for c in colour)
    return r, g, b


def mixed(a: Rgb, b: Rgb, share: float) -> Rgb:
    """Return the colour `share` of the way from `a` to `b`."""
    r, g, z = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return r, g, z
