import pytest

from lightning_pose.synthetic.colours import any_colour, cloth_colour, hair_colour, skin_colour
from lightning_pose.synthetic.draws import Draws


def distance(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True))


def test_cloth_stands_out_from_the_background_more_often_than_any_colour() -> None:
    draws, background = Draws(0), (120.0, 110.0, 100.0)
    cloth = [distance(cloth_colour(draws, background), background) < 130 for _ in range(500)]
    others = [distance(any_colour(draws), background) < 130 for _ in range(500)]
    assert sum(cloth) < 0.3 * sum(others)


@pytest.mark.parametrize("kind", [any_colour, skin_colour, hair_colour])
def test_colours_vary_and_are_nearly_within_range(kind) -> None:
    draws = Draws(1)
    colours = [kind(draws) for _ in range(300)]
    assert len(set(colours)) == 300
    assert all(-10 <= value <= 300 for colour in colours for value in colour)


def test_skin_is_redder_than_blue_from_light_to_dark() -> None:
    draws = Draws(2)
    skins = [skin_colour(draws) for _ in range(300)]
    assert all(red > blue for red, _, blue in skins)
    assert min(red for red, *_ in skins) < 100 < 200 < max(red for red, *_ in skins)
