"""A table of one's own people, as CSV or JSON lines."""

from pathlib import Path

import numpy as np
from typing_extensions import override

from lightning_pose.datasets.base import PoseDataset
from lightning_pose.datasets.images import image_size
from lightning_pose.datasets.listing import first_missing
from lightning_pose.datasets.masks import read_image_and_mask
from lightning_pose.datasets.skeleton_files import check_sides
from lightning_pose.datasets.table_columns import read_people
from lightning_pose.datasets.table_csv import open_csv
from lightning_pose.datasets.table_json import open_json
from lightning_pose.datasets.table_rows import refusal
from lightning_pose.errors import ConfigError
from lightning_pose.sample import Pixels
from lightning_pose.skeletons import Skeleton

__all__ = ["TableDataset"]


class TableDataset(PoseDataset):
    """People of one's own, listed in a table: CSV, or JSON lines.

    A CSV has one person per line below a header, with the columns in any order:

        image,left_knee_x,left_knee_y,right_knee_x,right_knee_y
        photos/a.jpg,120.5,340,180,338
        photos/b.jpg,,,95,410

    - `image`: the file, relative to the folder of the table; people may share an image.
    - `NAME_x` and `NAME_y`: the joint NAME in pixels of the upright image, where an integer is the
      centre of a pixel and (0, 0) that of the upper left one. Both cells are empty where it is not
      labelled. A side is the person's own, and its joints are named left_... and right_....
    - `NAME_v`, optional: COCO's flag, 0 not labelled, 1 occluded, 2 visible; by default, and where
      the cell is empty, a joint with a place is visible.
    - `x0`, `y0`, `x1`, `y1`, optional: the edges of a box around the whole person, for everybody or
      for nobody. Without them, boxes are tight around the labelled joints, and people with fewer
      than two are shown with the whole image.
    - `mask`, optional: an image of the same size with 255 for the person and 0 for the background;
      empty where there is none.
    - `split`, optional: train, val or test, for everybody. People in one image are in one split.
    - Any other column is an image-level label: a number, or the name of a class; empty where it is
      not known. A column without a name is left out, and one that looks like one of the above under
      another name, such as `Split`, `xmin` or `NAME_visibility`, is refused.

    JSON lines have one object per person, each on one line (not wrapped, as it is here). All keys
    but `image` and `keypoints` are optional or may be null; so may each joint:

        {"image": "a.jpg", "keypoints": {"left_knee": [120.5, 340], "right_knee": [180, 338, 1]},
         "box": [90, 20, 210, 420], "mask": "a.png", "split": "train", "labels": {"sport": "golf"}}

    The first line has every joint and every label. With a skeleton, `keypoints` may also be a list
    in its order.

    The file is read line by line, and only arrays are kept. The `person_id` is the number of the
    line. Head and torso are those of the skeleton, and the area is unknown.

    Args:
        table: The file, .csv or .jsonl, as text in UTF-8.
        skeleton: The joints, limbs, head and torso; None for the joints that the table names, in
            its order, without limbs, head and torso.

    Attributes:
        splits: b"train", b"val" or b"test" for each person; None if the table has no splits.

    Raises:
        ConfigError: There is no such file, it is of another kind, or its joints cannot be told
            left from right.
        DataError: A line cannot be used, an image or a mask is missing, the joints are not those of
            the skeleton, or people in one image are in different splits.
    """

    def __init__(self, table: str | Path, skeleton: Skeleton | None = None) -> None:
        self.table = Path(table).expanduser()
        kinds = {".csv": open_csv, ".jsonl": open_json}
        if not self.table.is_file() or self.table.suffix.lower() not in kinds:
            raise ConfigError(
                f"Expected a table of people, .csv or .jsonl, found no such file at {self.table}; "
                "correct the path, or save the table as one of the two."
            )
        joints = None if skeleton is None else skeleton.names
        opened = kinds[self.table.suffix.lower()](self.table, joints)
        if skeleton is None:
            skeleton = Skeleton.from_names(opened.joints)
            check_sides(skeleton, self.table)
        self.skeleton = skeleton
        people = read_people(self.table, opened, skeleton)
        self.annotations = people.annotations
        self.person_ids = people.annotations.person_id
        self.labels = people.classes
        self.masks = people.mask
        self.splits = people.split
        if people.has_boxes:
            self.boxes_around = "silhouette"
        self._check_files()
        self._check_splits()

    @override
    def files(self, index: int) -> tuple[Path, ...]:
        columns = [self.annotations.image_id]
        if self.masks is not None and self.masks[index]:
            columns.append(self.masks)
        return tuple(self._file(names, index) for names in columns)

    @override
    def image_size(self, index: int) -> tuple[int, int]:
        return image_size(self._file(self.annotations.image_id, index))

    @override
    def read(self, index: int, shrink: int = 1) -> Pixels:
        """Read one person's image and, if there is one, the mask.

        Args:
            index: Index of the person, from 0 to N - 1.
            shrink: How much smaller the image may be, see `read_image`; the mask is never smaller.

        Returns:
            The pixels.

        Raises:
            DataError: The image or the mask cannot be read, or they differ in size.
        """
        return read_image_and_mask(*self.files(index), shrink=shrink)

    def _file(self, names: np.ndarray, index: int) -> Path:
        name: bytes = names[index]
        return self.table.parent / name.decode()

    def _check_files(self) -> None:
        """Refuse files that are not there."""
        for kind, column in (("image", self.annotations.image_id), ("mask", self.masks)):
            if column is None:
                continue
            names = np.unique(column)
            missing = first_missing(self.table.parent, names[names != b""])
            if missing is not None:
                line = int(self.person_ids[np.argmax(column == missing.encode())])
                expected, found = f"the file of an existing {kind}", repr(missing)
                advice = "paths are relative to the folder of the table"
                raise refusal(self.table, line, expected, found, advice)

    def _check_splits(self) -> None:
        """Refuse people in one image who are in different splits."""
        if self.splits is None:
            return
        names = self.annotations.image_id
        _, first, image = np.unique(names, return_index=True, return_inverse=True)
        others = self.splits[first[image]]
        if (others != self.splits).any():
            person = int(np.argmax(others != self.splits))
            line = int(self.person_ids[person])
            expected = f"the split {others[person].decode()}, as for others in the same image,"
            advice = "people in one image belong to one split"
            raise refusal(self.table, line, expected, self.splits[person].decode(), advice)
