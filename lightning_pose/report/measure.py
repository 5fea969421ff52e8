"""What the numbers of a metric mean, and how they are written."""

import math
import re
from dataclasses import dataclass

__all__ = ["Measure"]


@dataclass(frozen=True)
class Measure:
    """A metric as it was declared for a model.

    Attributes:
        unit: Its unit, "" where there is none or it is not known.
        higher_is_better: Whether higher values are better.
        definition: How it is computed: metrics of one name may differ, for example in a threshold.
        loss: Whether it is the loss of a head without a metric.
        fraction: Whether it goes from 0 to 1.
    """

    unit: str = ""
    higher_is_better: bool = True
    definition: str = ""
    loss: bool = False
    fraction: bool = True

    def label(self, name: str) -> str:
        """A name with the unit, for columns and axes."""
        return f"{name} {self.unit}".rstrip()

    @property
    def words(self) -> str:
        """The definition without the modules of its class.

        Example:
            >>> Measure(definition="lightning_pose.metrics.pck.PCK(threshold=0.1)").words
            'PCK(threshold=0.1)'
        """
        return re.sub(r"^[\w.]*\.(?=\w+\()", "", self.definition)

    def digits(self, size: float) -> int:
        """How many decimals to show at this size: more for small values other than fractions."""
        usual = 2 if self.unit else 3
        known = not self.fraction and size != 0 and math.isfinite(size)
        return max(usual, 1 - math.floor(math.log10(abs(size)))) if known else usual
