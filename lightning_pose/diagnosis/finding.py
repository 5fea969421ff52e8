"""What an examination found: one sentence about one split, and the people that it concerns."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "Severity"]

Severity = Literal["wrong", "suspicious", "unknown"]
"""Do not train on it, look at it first, or: the data do not tell."""


@dataclass(frozen=True)
class Finding:
    """Something about the data that a person should know before training.

    Attributes:
        severity: What follows from it.
        name: The split, and in a mix also the set, such as "val/lsp".
        title: What it is about, in a few words.
        sentence: What was found, in numbers, what may cause it, and what to do.
        suspects: The people to look at, the worst first, by their index in the split.
    """

    severity: Severity
    name: str
    title: str
    sentence: str
    suspects: tuple[int, ...] = ()
