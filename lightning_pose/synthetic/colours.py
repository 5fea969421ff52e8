"""Colours of skin, hair, cloth and objects."""

import colorsys

from lightning_pose.synthetic.brush import Colour
from lightning_pose.synthetic.draws import Draws

__all__ = ["any_colour", "cloth_colour", "hair_colour", "skin_colour"]

_LIGHT_SKIN, _DARK_SKIN = (244.0, 206.0, 180.0), (78.0, 50.0, 36.0)
_HAIR = (
    (22.0, 18.0, 18.0),
    (60.0, 38.0, 24.0),
    (110.0, 72.0, 40.0),
    (205.0, 170.0, 105.0),
    (160.0, 75.0, 35.0),
    (150.0, 148.0, 145.0),
    (228.0, 226.0, 220.0),
)


def cloth_colour(draws: Draws, background: Colour) -> Colour:
    """Any colour, redrawn up to twice if it would hardly stand out from the background."""
    for _ in range(3):
        colour = any_colour(draws)
        if sum(abs(a - b) for a, b in zip(colour, background, strict=True)) > 130:
            break
    return colour


def any_colour(draws: Draws) -> Colour:
    """Any colour, from pale to vivid and from dark to light."""
    hue, saturation, value = draws.uniform(), draws.uniform(0.0, 0.95), draws.uniform(0.08, 1.0)
    if draws.chance(0.3):
        saturation *= 0.2  # Greys, blacks and whites are common in cloth.
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return 255 * red, 255 * green, 255 * blue


def skin_colour(draws: Draws) -> Colour:
    """A skin tone between light and dark."""
    share = draws.uniform()
    light = draws.uniform(0.85, 1.1)
    red, green, blue = (
        light * (dark * share + bright * (1 - share))
        for bright, dark in zip(_LIGHT_SKIN, _DARK_SKIN, strict=True)
    )
    return red, green + draws.uniform(-8.0, 8.0), blue + draws.uniform(-10.0, 10.0)


def hair_colour(draws: Draws) -> Colour:
    """A hair colour, dyed now and then."""
    if draws.chance(0.12):
        return any_colour(draws)
    light = draws.uniform(0.75, 1.2)
    red, green, blue = draws.pick(_HAIR)
    return red * light, green * light, blue * light
