"""One network answers several questions about a picture of a person: joints and mask at once."""

__version__ = "0.1.0"
