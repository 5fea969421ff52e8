"""Transforms: from one person in a picture to the network's input."""

from lightning_pose.transforms.crop import PersonCrop
from lightning_pose.transforms.photometric import Photometric

__all__ = ["PersonCrop", "Photometric"]
