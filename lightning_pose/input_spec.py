"""How an image becomes the network's input, for data module, model and inference alike."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float32

from lightning_pose.errors import ConfigError
from lightning_pose.geometry import crop_matrix, image_box

__all__ = ["SILHOUETTE", "BoxAround", "Fit", "InputSpec", "Interpolation", "Subject"]

Fit = Literal["contain", "cover", "stretch"]
"""Show all of the subject with margins, fill the input and cut off the rest, or scale each side."""

Interpolation = Literal["linear", "cubic"]
"""How the warp interpolates between source pixels."""

Subject = Literal["box", "image"]
"""What the network sees: a person's box, or the whole image."""

BoxAround = Literal["joints", "silhouette"]
"""What a box is tight around: the labelled joints, or every pixel of the person."""

SILHOUETTE = 1.18
"""How much longer the longer side of a box is around the silhouette than around the joints.

The median is 1.15 for our synthetic people and 1.21 for Leeds Sports Pose Extended.
"""

# No network for a single person needs more, and a typing error would use up all memory.
_LONGEST_SIDE = 4096

# A box that is a thousand times as long as it is wide would use up all memory.
_LARGEST_ASPECT = 4


@dataclass(frozen=True)
class InputSpec:
    """The network's input: its size, what it shows, and how the source is resized to it.

    The data module crops with it, the model is built for it, checkpoints store it, and inference
    uses it again.

    Args:
        size: Height and width in pixels; None if `short_side` is given.
        short_side: Length of the shorter side in pixels; the longer side follows from the aspect
            ratio of the subject (at most 4 times as long). Images in a batch may then differ in
            size.
        multiple: Sides that follow from `short_side` are rounded to a multiple of this.
        subject: "box" shows the person's box, "image" the whole image.
        fit: "contain" shows all of the subject with margins, "cover" fills the input and cuts off
            the rest, "stretch" scales height and width separately.
        enlarge: How much larger the crop is than a box that is tight around the joints; a whole
            image is not enlarged.
        interpolation: How the warp interpolates between source pixels.

    Raises:
        ConfigError: A value is out of range, or size and short_side are both given or both missing.

    Example:
        >>> spec = InputSpec(size=(40, 40), enlarge=1.0)
        >>> matrix, size = spec.crop(np.array([10, 20, 30, 40], np.float32), image_size=(60, 60))
        >>> matrix.tolist(), size
        ([[2.0, 0.0, -20.5], [0.0, 2.0, -40.5]], (40, 40))
        >>> InputSpec(size=None, short_side=128, subject="image").input_size(None, (300, 200))
        (192, 128)
    """

    size: tuple[int, int] | None = (128, 128)
    short_side: int | None = None
    multiple: int = 1
    subject: Subject = "box"
    fit: Fit = "contain"
    enlarge: float = 1.25
    interpolation: Interpolation = "linear"

    def __post_init__(self) -> None:
        """Check the values."""
        if (self.size is None) == (self.short_side is None):
            raise ConfigError(
                f"Expected input_spec with either size or short_side, found size {self.size} and "
                f"short_side {self.short_side}; set exactly one of them."
            )
        sides = (self.short_side,) if self.size is None else self.size
        if self.size is not None and len(sides) != 2:
            raise ConfigError(
                f"Expected input_spec.size as [height, width], found {list(sides)}; correct it."
            )
        if not all(side is not None and 16 <= side <= _LONGEST_SIDE for side in sides):
            name = "short_side" if self.size is None else "size"
            raise ConfigError(
                f"Expected input_spec.{name} of 16 to {_LONGEST_SIDE} pixels, found "
                f"{self.short_side if self.size is None else list(sides)}; correct it."
            )
        if self.multiple < 1 or (self.short_side or 1) % self.multiple:
            raise ConfigError(
                "Expected input_spec.multiple of 1 or more that divides short_side, found "
                f"{self.multiple} with short_side {self.short_side}; correct it, or leave it out "
                "where size is given."
            )
        if not 0.1 <= self.enlarge < math.inf:
            raise ConfigError(
                f"Expected input_spec.enlarge of 0.1 or more, found {self.enlarge}; 1.25 is usual."
            )
        for name, kind in (("subject", Subject), ("fit", Fit), ("interpolation", Interpolation)):
            if getattr(self, name) not in get_args(kind):
                raise ConfigError(
                    f"Expected input_spec.{name} to be one of {list(get_args(kind))}, found "
                    f"{getattr(self, name)!r}; choose one of them."
                )

    @property
    def nominal_size(self) -> tuple[int, int]:
        """The size at which a network is measured; with `short_side`, a square."""
        if self.size is not None:
            return self.size
        assert self.short_side is not None, "one of the two is given"
        return self.short_side, self.short_side

    def to_dict(self) -> dict[str, Any]:
        """The spec as plain data, as stored in checkpoints."""
        return {**asdict(self), "size": None if self.size is None else list(self.size)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "InputSpec":
        """Read the plain data that `to_dict` writes.

        Raises:
            ConfigError: A value is out of range.
            TypeError: A key is unknown, or a value has the wrong type.
        """
        size = data["size"]
        return cls(**{**data, "size": None if size is None else tuple(size)})

    def input_size(
        self, box: Float32[np.ndarray, " 4"] | None, image_size: tuple[int, int] | None
    ) -> tuple[int, int]:
        """Height and width of the input for one person, even if they follow from the subject.

        Args:
            box: The person's box xyxy in source pixels; None for the whole image.
            image_size: Height and width of the source image; needed if the whole image is shown.

        Returns:
            Height and width in pixels.
        """
        if self.size is not None:
            return self.size
        assert self.short_side is not None, "one of the two is given"
        x0, y0, x1, y1 = (float(value) for value in self._shown(box, image_size)[0])
        width, height = max(x1 - x0, 1.0), max(y1 - y0, 1.0)
        aspect = min(max(width, height) / min(width, height), _LARGEST_ASPECT)
        longer = round(self.short_side * aspect / self.multiple) * self.multiple
        return (longer, self.short_side) if height >= width else (self.short_side, longer)

    def crop(
        self,
        box: Float32[np.ndarray, " 4"] | None,
        image_size: tuple[int, int] | None,
        rotation: float = 0.0,
        scale: float = 1.0,
        flip: bool = False,
        shift: tuple[float, float] = (0.0, 0.0),
        edges: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0),
        around: BoxAround = "joints",
    ) -> tuple[Float32[np.ndarray, "2 3"], tuple[int, int]]:
        """The affine matrix from source pixels to input pixels, and the input's size.

        Args:
            box: The person's box xyxy in source pixels; None for the whole image, as for a person
                without a box.
            image_size: Height and width of the source image; needed if the whole image is shown.
            rotation: Clockwise rotation of the person, as seen on the screen, in degrees.
            scale: How much larger than usual the person appears.
            flip: Mirror the crop left to right.
            shift: How far the person moves right and down, as fractions of the input's width and
                height.
            edges: How far the left, upper, right and lower edge of the box move outwards, as
                fractions of its width and height; the input's size stays that of the box itself.
            around: What the box is tight around. One around the silhouette, as a detector gives, is
                enlarged less, so that the person appears at the usual scale.

        Returns:
            The (2, 3) matrix, and height and width of the input in pixels.
        """
        size = self.input_size(box, image_size)
        shown, enlarge = self._shown(box, image_size, around)
        left, above, right, below = edges
        width, height = float(shown[2] - shown[0]), float(shown[3] - shown[1])
        moves = (-left * width, -above * height, right * width, below * height)
        shown = shown + np.array(moves, dtype=np.float32)
        matrix = crop_matrix(shown, size, enlarge, rotation, scale, flip, self.fit)
        matrix[:, 2] += np.array((shift[0] * size[1], shift[1] * size[0]), dtype=np.float32)
        return matrix, size

    def _shown(
        self,
        box: Float32[np.ndarray, " 4"] | None,
        image_size: tuple[int, int] | None,
        around: BoxAround = "joints",
    ) -> tuple[Float32[np.ndarray, " 4"], float]:
        """The box that is shown, and how much it is enlarged."""
        if self.subject == "box" and box is not None:
            return box, self.enlarge / (SILHOUETTE if around == "silhouette" else 1.0)
        assert image_size is not None, "the whole image has a size"
        return image_box(image_size), 1.0
