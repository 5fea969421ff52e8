"""Random numbers for one drawing, from one seed."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np

__all__ = ["Draws"]

T = TypeVar("T")


class Draws:
    """A stream of random numbers that depends on its seed alone.

    The numbers are drawn in blocks and returned one by one as Python floats: calling a numpy
    generator for each would cost more than the drawing.

    Args:
        seed: Any number from 0 to 2**64 - 1.

    Example:
        >>> Draws(7).bell(2.0) == Draws(7).bell(2.0)
        True
    """

    def __init__(self, seed: int) -> None:
        # Philox takes its key as it is, without the hashing that makes other generators slow to
        # seed, and neighbouring keys give independent streams.
        self._stream = _blocks(np.random.Generator(np.random.Philox(key=seed)))

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """A number between low and high."""
        return low + (high - low) * next(self._stream)

    def bell(self, deviation: float) -> float:
        """A number around 0 with this standard deviation, never beyond three of them."""
        stream = self._stream
        return 2 * deviation * (next(stream) + next(stream) + next(stream) - 1.5)

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return next(self._stream) < probability

    def integer(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""
        return low + int(next(self._stream) * (high - low + 1))

    def sign(self) -> float:
        """Either -1 or 1."""
        return 1.0 if next(self._stream) < 0.5 else -1.0

    def pick(self, choices: Sequence[T]) -> T:
        """One of the choices, each equally likely."""
        return choices[int(next(self._stream) * len(choices))]


def _blocks(generator: np.random.Generator) -> Iterator[float]:
    while True:
        yield from generator.random(256).tolist()
