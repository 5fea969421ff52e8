"""Heads: each answers one question about a picture."""

from lightning_pose.heads.base import Head

__all__ = ["Head"]
