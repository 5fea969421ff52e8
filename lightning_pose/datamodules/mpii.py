"""MPII Human Pose as batches."""

from pathlib import Path
from typing import Any

from typing_extensions import override

from lightning_pose.datamodules.base import PoseDataModule, Split
from lightning_pose.datamodules.download import Archive, fetch
from lightning_pose.datamodules.splits import Splits, choose_split
from lightning_pose.datasets import MPIIDataset, PoseDataset
from lightning_pose.datasets.mpii_release import ACTIVITIES
from lightning_pose.errors import ConfigError
from lightning_pose.skeletons import MPII16

__all__ = ["MPIIDataModule"]

_SITE = "https://datasets.d2.mpi-inf.mpg.de/andriluka14cvpr"
_PAGE = "http://human-pose.mpi-inf.mpg.de"
_ANNOTATIONS = Archive(
    f"{_SITE}/mpii_human_pose_v1_u12_2.zip",
    provides=("mpii_human_pose_v1_u12_1.mat",),
    largest=10**9,
    page=_PAGE,
)
_IMAGES = Archive(
    f"{_SITE}/mpii_human_pose_v1.tar.gz",  # 12.9 GB
    provides=("images",),
    largest=20 * 10**9,
    page=_PAGE,
)
_LISTS = ("train.json", "valid.json")


class MPIIDataModule(PoseDataModule):
    """MPII Human Pose (Andriluka et al., CVPR 2014).

    By default the community's lists are the splits, on which papers report: train.json and
    valid.json, and no test split, because its joints are not public. With `splits`, people are
    those of the published file, mpii_human_pose_v1_u12_1.mat, which alone has occlusion and
    activities.

    Args:
        root: The folder with images/ and the annotations, see `MPIIDataset`.
        splits: Fractions of the people of the published file for train, val and test, or a folder
            with train.txt, val.txt and test.txt, which name images; None for the community's lists.
        split_seed: Seed of the order that fractions cut.
        download: Download what `root` lacks of the images, 12.9 GB, and with `splits` also of the
            published file, from the official address, for which there are no checksums. The
            community's lists have no official address.
        **settings: Input, batch size and augmentation, see `PoseDataModule`.
    """

    def __init__(
        self,
        root: str | Path,
        splits: Splits | None = None,
        split_seed: int = 0,
        download: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(MPII16, **settings)
        self.root = Path(root)
        self.splits = splits
        self.split_seed = split_seed
        self.download = download
        self.labels = {"activity": list(ACTIVITIES)}
        self._everyone: MPIIDataset | None = None

    @override
    def prepare_data(self) -> None:
        if not self.download:
            return
        root = self.root.expanduser()
        missing = [name for name in _LISTS if not (root / name).is_file()]
        if self.splits is None and missing:
            raise ConfigError(
                f"Expected the community's lists in {root} before the download of the images, "
                f"found no {' and no '.join(missing)}; put them there, because they have no "
                "official address, or set data.splits, which divides the published file."
            )
        fetch(root, [_IMAGES] if self.splits is None else [_ANNOTATIONS, _IMAGES])

    @override
    def everyone(self) -> PoseDataset:
        if self.splits is None:
            return super().everyone()
        if self._everyone is None:  # Once: it takes half a minute to read.
            self._everyone = MPIIDataset(self.root)
        return self._everyone

    @override
    def make_dataset(self, split: Split) -> PoseDataset:
        if self.splits is None:
            return MPIIDataset(self.root, split)
        return choose_split(self.everyone(), self.splits, split, self.split_seed)
