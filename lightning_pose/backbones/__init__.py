"""Backbones: pictures in, feature maps out."""

from lightning_pose.backbones.base import Backbone

__all__ = ["Backbone"]
