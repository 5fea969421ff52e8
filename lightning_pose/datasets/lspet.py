"""Leeds Sports Pose Extended (Johnson and Everingham, CVPR 2011), optionally with masks."""

import numpy as np
from jaxtyping import Float32, UInt8
from typing_extensions import override

from lightning_pose.datasets.leeds import LeedsDataset, check_joints, read_joints

__all__ = ["LSPExtendedDataset"]

_NAME = "Leeds Sports Pose Extended"


class LSPExtendedDataset(LeedsDataset):
    """People of Leeds Sports Pose Extended, one per image (Johnson and Everingham, 2011).

    The folder is laid out as published, plus optional masks:

        root/joints.mat              'joints', (14, 3, N): x, y from 0, and 1 = visible
        root/images/im00001.jpg      N images, numbered from 1
        root/masks/im00001.png       0 background, 255 person; any mask may be missing

    Joints that are not visible have junk coordinates in the file; here they are unlabelled. The box
    encloses the visible joints, the head runs from the neck to the top of the head, and the torso
    from the right shoulder to the left hip. The area is unknown. The `person_id` is the number of
    the image.

    Args:
        root: The folder.
        first: Number of the first image to use, from 1.
        last: Number of the last image to use; by default the last one there is.

    Raises:
        ConfigError: There is no such folder, or it has no images with these numbers.
        DataError: Files are missing, damaged or do not fit together.
    """

    digits = 5

    @override
    def read_people(self) -> tuple[Float32[np.ndarray, "N 14 2"], UInt8[np.ndarray, "N 14"]]:
        joints = read_joints(self.root, (14, 3), _NAME, "LSPDataset for that of Leeds Sports Pose")
        people = joints.transpose(2, 0, 1).astype(np.float64)
        points, flags = people[:, :, :2], people[:, :, 2]
        visible = flags == 1
        check_joints(self.root, points, flags, visible, _NAME)
        keypoints = np.where(visible[:, :, None], points, 0).astype(np.float32)
        return keypoints, np.where(visible, 2, 0).astype(np.uint8)
