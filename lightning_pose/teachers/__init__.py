"""Teachers: trained models, or files of other programs, that label images for training."""

from lightning_pose.teachers.base import Masks, MaskTeacher, Poses, PoseTeacher
from lightning_pose.teachers.openpose import OpenPoseTeacher
from lightning_pose.teachers.people import LabelledPerson, pair
from lightning_pose.teachers.rcnn import KeypointRCNNTeacher, MaskRCNNTeacher

__all__ = [
    "KeypointRCNNTeacher",
    "LabelledPerson",
    "MaskRCNNTeacher",
    "MaskTeacher",
    "Masks",
    "OpenPoseTeacher",
    "PoseTeacher",
    "Poses",
    "pair",
]
