"""A model that finds what the tests draw: red dots are joints, blue pixels are the person."""

import torch

from lightning_pose.backbones import UNet
from lightning_pose.heads import HeatmapHead, MaskHead, RegressionHead
from lightning_pose.input_spec import InputSpec
from lightning_pose.module import PoseModule
from lightning_pose.prediction import Prediction
from lightning_pose.skeletons import LSP14


class DotModel(PoseModule):
    """Predicts all joints at the centre of the red, with the heads that the model has."""

    def predict(self, image, flip=False):
        light = image.float() / 255
        rows = torch.arange(image.shape[2]).float()
        columns = torch.arange(image.shape[3]).float()
        red = light[:, 0]
        total = red.sum(dim=(1, 2)).clamp(min=1e-6)
        x, y = (
            (red * columns).sum(dim=(1, 2)) / total,
            (red * rows[:, None]).sum(dim=(1, 2)) / total,
        )
        keypoints = torch.stack((x, y), dim=-1)[:, None].repeat(1, 14, 1)
        right = Prediction(keypoints=keypoints, scores=torch.full((len(image), 14), 0.75))
        wrong = Prediction(keypoints=keypoints + 5, scores=torch.zeros(len(image), 14))
        found = {"mask": Prediction(mask=light[:, 2]), "first": wrong, "main": right}
        return {name: found[name] for name in self.heads}


def dot_model(names=("mask", "first", "main"), size=(96, 64)):
    kinds = {"mask": MaskHead(), "first": RegressionHead(), "main": HeatmapHead()}
    main_head = "main" if "main" in names else None
    heads = {name: kinds[name] for name in names}
    return DotModel(UNet(width=4), heads, LSP14, InputSpec(size), main_head=main_head).eval()
