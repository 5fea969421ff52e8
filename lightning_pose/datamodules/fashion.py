"""Fashion photographs as batches of whole images."""

from pathlib import Path
from typing import Any

from lightning_pose.datamodules.folder import FolderDataModule
from lightning_pose.input_spec import InputSpec

__all__ = ["FashionDataModule"]

_INPUT = InputSpec(size=None, short_side=128, multiple=32, subject="image", interpolation="cubic")


class FashionDataModule(FolderDataModule):
    """Fashion photographs of one standing person, or another folder that is used in this way.

    A `FolderDataModule` with other defaults: only people with 22 of the 25 joints or more are kept,
    and the network sees the whole image at its own aspect ratio, with a short side of 128 pixels.
    Both sides are multiples of 32, which suits any backbone, also in the flip test.

    Args:
        root: The folder with images/, keypoints/, and optionally masks/ and labels.csv, see
            `FolderDataset`.
        min_joints: People with fewer labelled joints are left out.
        input_spec: How an image becomes the network's input.
        **settings: Splits, see `FolderDataModule`; batch size and augmentation, see
            `PoseDataModule`.
    """

    def __init__(
        self,
        root: str | Path,
        min_joints: int = 22,
        input_spec: InputSpec = _INPUT,
        **settings: Any,
    ) -> None:
        super().__init__(root, min_joints, input_spec=input_spec, **settings)
