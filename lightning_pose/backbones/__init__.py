"""Backbones: images in, feature maps out."""

from lightning_pose.backbones.base import Backbone
from lightning_pose.backbones.smp import SMPBackbone
from lightning_pose.backbones.unet import UNet

__all__ = ["Backbone", "SMPBackbone", "UNet"]
