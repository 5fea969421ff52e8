"""COCO's people, or one's own in COCO's format, as batches."""

from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import override

from lightning_pose.datamodules.base import PoseDataModule, Split
from lightning_pose.datamodules.download import Archive, fetch
from lightning_pose.datamodules.splits import Splits, choose_split
from lightning_pose.datasets import COCODataset, PoseDataset
from lightning_pose.errors import ConfigError, LeakError, MissingSplitError
from lightning_pose.sample import PEOPLE_PER_SET
from lightning_pose.skeletons import COCO17

__all__ = ["COCODataModule"]

_TRAIN = ("annotations/person_keypoints_train2017.json", "train2017")
_VAL = ("annotations/person_keypoints_val2017.json", "val2017")

_SITE = "http://images.cocodataset.org"  # It has no certificate for https.
_PAGE = "https://cocodataset.org/#download"
# COCO itself publishes no checksums; these are those that TensorFlow Datasets found:
# https://github.com/tensorflow/datasets/blob/master/tensorflow_datasets/url_checksums/coco.txt
_ARCHIVES = (
    Archive(
        f"{_SITE}/annotations/annotations_trainval2017.zip",  # 0.25 GB
        provides=(_TRAIN[0], _VAL[0]),
        largest=10**9,
        page=_PAGE,
        sha256="113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
    ),
    Archive(
        f"{_SITE}/zips/val2017.zip",  # 0.8 GB
        provides=(_VAL[1],),
        largest=2 * 10**9,
        page=_PAGE,
        sha256="4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
    ),
    Archive(
        f"{_SITE}/zips/train2017.zip",  # 19.3 GB
        provides=(_TRAIN[1],),
        largest=30 * 10**9,
        page=_PAGE,
        sha256="69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
    ),
)

# Three files fit below the largest number that a mix allows. Ids are rarely above a few millions.
_ID_STEP = PEOPLE_PER_SET // 4


class COCODataModule(PoseDataModule):
    """COCO keypoints (Lin et al., ECCV 2014), or people of one's own in the same format.

    Each split is an annotation file and the folder of its images, as COCO publishes them, or one
    file has all people, and `splits` divides them:

        {root: coco}
        {root: mine, train: [train.json, images], val: [val.json, images]}
        {root: mine, train: [people.json, images], splits: [0.8, 0.1, 0.1]}

    The joints are those of the file, which is read at once: of val, or else of the first split
    whose file is there. In files of one's own, ids often start at 1 in each split; 2^38 is added
    to those of val and 2^39 to those of test, unless they are COCO's files.

    Args:
        root: The folder to which all paths are relative.
        train: Annotation file and image folder of the training split, or of everyone.
        val: Annotation file and image folder of the validation split.
        test: Annotation file and image folder of the test split. COCO publishes none: the joints of
            its test images are secret.
        splits: How to divide the people of `train`, if it has all: fractions for train, val and
            test, or a folder with lists of images (see `Splits`).
        split_seed: Seed of the division by fractions.
        category: The name of the category of the people.
        min_joints: Fewest labelled joints per person; 0 also keeps people who have only a mask.
        download: Download what `root` lacks of COCO 2017, 20 GB, from the official address.
        **settings: Input, batch size and augmentation, see `PoseDataModule`.

    Raises:
        ConfigError: `splits` is given together with a file for val or test, or `download` with
            files of one's own, or a file is missing.
        DataError: The file that is read is damaged.
    """

    def __init__(
        self,
        root: str | Path,
        train: tuple[str, str] = _TRAIN,
        val: tuple[str, str] = _VAL,
        test: tuple[str, str] | None = None,
        splits: Splits | None = None,
        split_seed: int = 0,
        category: str = "person",
        min_joints: int = 1,
        download: bool = False,
        **settings: Any,
    ) -> None:
        if splits is not None and (val != _VAL or test is not None):
            raise ConfigError(
                "Expected either data.splits, which divides the people of data.train, or files in "
                "data.val and data.test, found both; remove one."
            )
        if download and (train, val, test, category) != (_TRAIN, _VAL, None, "person"):
            raise ConfigError(
                "Expected COCO's own files with data.download, found others in data.train, "
                "data.val, data.test or data.category; remove download, or the others."
            )
        self.root = Path(root).expanduser()
        self.train = train
        self.val = val
        self.test = test
        self.splits = splits
        self.split_seed = split_seed
        self.category = category
        self.min_joints = min_joints
        self.download = download
        self._opened: dict[Split, COCODataset] = {}
        # Before a download there is no file yet to read the joints from.
        skeleton = COCO17 if download else self._open(self._first()).skeleton
        super().__init__(skeleton, **settings)

    @override
    def prepare_data(self) -> None:
        if self.download:
            fetch(self.root, _ARCHIVES)

    @override
    def everyone(self) -> PoseDataset:
        return super().everyone() if self.splits is None else self._open("train")

    @override
    def make_dataset(self, split: Split) -> PoseDataset:
        if self.splits is not None:
            return choose_split(self.everyone(), self.splits, split, self.split_seed)
        people = self._open(split)
        for other, others in self._opened.items():
            if other == split or people.images != others.images:
                continue
            shared = np.intersect1d(people.image_ids, others.image_ids)
            if len(shared):
                raise LeakError(
                    f"Expected no image in both the {other} and the {split} split, found "
                    f"{len(shared)}, first {str(shared[0])!r}; choose files that do not overlap."
                )
        return people

    def _files(self, split: Split) -> tuple[str, str]:
        files = {"train": self.train, "val": self.val, "test": self.test}[split]
        if files is None:
            raise MissingSplitError(
                "Expected an annotation file and an image folder in data.test, found none, because "
                "COCO publishes no joints of its test images; evaluate on val, or name your own."
            )
        return files

    def _first(self) -> Split:
        """The split whose joints are read; val is the smallest, and training needs it too."""
        if self.splits is not None:
            return "train"
        splits: list[Split] = ["val", "train"] if self.test is None else ["val", "train", "test"]
        there = (split for split in splits if (self.root / self._files(split)[0]).is_file())
        return next(there, "val")

    def _open(self, split: Split) -> COCODataset:
        if split not in self._opened:
            file, images = self._files(split)
            is_first = split == "train" or (file, images) == _VAL
            self._opened[split] = COCODataset(
                self.root / file,
                self.root / images,
                self.category,
                self.min_joints,
                first_id=0 if is_first else _ID_STEP * ["train", "val", "test"].index(split),
            )
        return self._opened[split]
