"""What the numbers of a metric mean, and how they are written."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Measure", "distinguish"]


@dataclass(frozen=True)
class Measure:
    """A metric as it was declared for a model.

    Attributes:
        unit: Its unit, "" where there is none or it is not known.
        higher_is_better: Whether higher values are better.
        definition: How it is computed, as names and values of settings: metrics of one name may
            differ, for example in a threshold.
        loss: Whether it is a loss, which stands in for a metric that the head does not have.
        fraction: Whether it goes from 0 to 1.
    """

    unit: str = ""
    higher_is_better: bool = True
    definition: tuple[tuple[str, str], ...] = ()
    loss: bool = False
    fraction: bool = True

    def label(self, name: str) -> str:
        """A name with the unit, for columns and axes."""
        return f"{name} {self.unit}".rstrip()

    def digits(self, size: float) -> int:
        """How many decimals to show at this size: more for small values other than fractions."""
        usual = 2 if self.unit else 3
        known = not self.fraction and size != 0 and math.isfinite(size)
        return max(usual, 1 - math.floor(math.log10(abs(size)))) if known else usual


def distinguish(measures: Sequence[Measure]) -> list[str]:
    """The settings in which definitions differ, for each of them.

    Args:
        measures: Metrics of one name.

    Example:
        >>> strict = Measure(definition=(("class", "PCK"), ("threshold", "0.1")))
        >>> loose = Measure(definition=(("class", "PCK"), ("threshold", "0.2")))
        >>> distinguish([strict, loose])
        ['threshold=0.1', 'threshold=0.2']
    """
    settings = [dict(one.definition) for one in measures]
    names = [
        name
        for name in dict.fromkeys(name for one in settings for name in one)
        if len({one.get(name) for one in settings}) > 1
    ]
    return [", ".join(f"{name}={one.get(name, 'none')}" for name in names) for one in settings]
