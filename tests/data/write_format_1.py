"""How tests/data/format_1.ckpt was written, by the version that introduced format 1."""

from pathlib import Path

import torch

from lightning_pose.backbones import UNet
from lightning_pose.heads import HeatmapHead, MaskHead, RegressionHead, SoftmaxJointHead
from lightning_pose.module import PoseModule
from lightning_pose.skeletons import LSP14


def main() -> None:
    torch.manual_seed(0)
    heads = {
        "mask": MaskHead(),
        "joints": SoftmaxJointHead(),
        "heatmap": HeatmapHead(),
        "coordinates": RegressionHead(hidden=4),
    }
    model = PoseModule(UNet(width=1), heads, LSP14.to_dict(), (32, 48)).eval()
    picture = torch.arange(3 * 32 * 48, dtype=torch.float32).view(1, 3, 32, 48) % 251 / 250
    content = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(content)
    for name, prediction in model.predict(picture).items():
        value = prediction.mask if prediction.keypoints is None else prediction.keypoints
        content[f"expected/{name}"] = value
    torch.save(content, Path(__file__).parent / "format_1.ckpt")


if __name__ == "__main__":
    main()
