"""Drawing: skeletons, masks, heatmaps and saliency over images, and sheets of them."""

from lightning_pose.visualization.drawing import (
    draw_heatmap,
    draw_mask,
    draw_saliency,
    draw_skeleton,
)
from lightning_pose.visualization.sheet import Tile, contact_sheet

__all__ = ["Tile", "contact_sheet", "draw_heatmap", "draw_mask", "draw_saliency", "draw_skeleton"]
