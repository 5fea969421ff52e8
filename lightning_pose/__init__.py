"""One network answers several questions about a picture of a person: joints and mask at once."""

import os

# Albumentations asks the network for a newer version when it is imported, unless told not to.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

__version__ = "0.1.0"
