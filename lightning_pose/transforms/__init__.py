"""Transforms: from one person in an image to the network's input."""

from lightning_pose.transforms.crop import PersonCrop
from lightning_pose.transforms.photometric import Photometric
from lightning_pose.transforms.warp import warp_image, warp_mask

__all__ = ["PersonCrop", "Photometric", "warp_image", "warp_mask"]
