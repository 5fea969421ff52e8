"""Leeds Sports Pose (Johnson and Everingham, BMVC 2010), optionally with masks."""

import numpy as np
from jaxtyping import Float32, UInt8
from typing_extensions import override

from lightning_pose.datasets.leeds import LeedsDataset, check_joints, read_joints

__all__ = ["LSPDataset"]

_NAME = "Leeds Sports Pose"


class LSPDataset(LeedsDataset):
    """People of Leeds Sports Pose, one per image (Johnson and Everingham, BMVC 2010).

    Both releases, that with people about 150 pixels tall and that of the original size, have the
    same layout; masks are optional:

        root/joints.mat             'joints', (3, 14, N): x, y from 1, and 1 = occluded
        root/images/im0001.jpg      N images, numbered from 1
        root/masks/im0001.png       0 background, 255 person; any mask may be missing

    All joints are labelled. An occluded one is where the annotators suppose it, and has visibility
    1; the flag is the opposite of that of Leeds Sports Pose Extended, whose other shape tells the
    two files apart. The box encloses all joints, the head runs from the neck to the top of the
    head, and the torso from the right shoulder to the left hip. The area is unknown. The
    `person_id` is the number of the image.

    The files do not say whether pixels count from 0 or from 1. In the release of the original size,
    a person's joints lie on a grid of whole numbers s in a smaller image, enlarged by a factor q.
    Of the 1,698 people whose grid can be recovered from the coordinates, all have q (s - 0.5) + 0.5
    along x or y, which maps pixel centres that count from 1, as in MATLAB, and none has
    q (s + 0.5) - 0.5, which does so from 0. So 1 is subtracted; for the smaller release, whose
    crops hide the grid, it is an assumption.

    Args:
        root: The folder.
        first: Number of the first image to use, from 1.
        last: Number of the last image to use; by default the last one there is.

    Raises:
        ConfigError: There is no such folder, or it has no images with these numbers.
        DataError: Files are missing, damaged or do not fit together.
    """

    digits = 4

    @override
    def read_people(self) -> tuple[Float32[np.ndarray, "N 14 2"], UInt8[np.ndarray, "N 14"]]:
        otherwise = "LSPExtendedDataset for that of Leeds Sports Pose Extended"
        joints = read_joints(self.root, (3, 14), _NAME, otherwise)
        people = joints.transpose(2, 1, 0).astype(np.float64)
        points, flags = people[:, :, :2], people[:, :, 2]
        check_joints(self.root, points, flags, np.ones(flags.shape, dtype=np.bool_), _NAME)
        return (points - 1).astype(np.float32), np.where(flags == 1, 1, 2).astype(np.uint8)
