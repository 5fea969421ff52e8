"""A picture after every validation of what in the image some joints are predicted from."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from jaxtyping import Float
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn
from typing_extensions import override

from lightning_pose.batch import Batch
from lightning_pose.callbacks.pictures import save_picture
from lightning_pose.errors import ConfigError
from lightning_pose.eval_mode import eval_mode
from lightning_pose.visualization import Tile, contact_sheet

__all__ = ["Saliency", "joint_saliency"]


class Saliency(Callback):
    """Draws the saliency of joints for the first people of every validation while training.

    The saliency of a joint is the gradient of its predicted coordinates with respect to the
    activations of a layer: the largest absolute value over channels, x and y in each cell. Simonyan
    et al. (2014, https://arxiv.org/abs/1312.6034) take that of a class with respect to the image.
    Each map is drawn over the image on its own scale, with the predicted joint. The pictures are in
    the folder pictures/saliency of the run.

    The coordinates are those of the main head, which must be a function of the layer that has a
    gradient: a regression has one, the largest cell of a heatmap has none.

    Args:
        layer: The name of the layer in the network, such as "backbone.layers.2.0".
        joints: The names of the joints.
        people: Number of people per picture, 1 or more.

    Raises:
        ConfigError: `people` is less than 1, or there are no joints. When training starts: the
            network has no such layer, the skeleton no such joint, the layer returns no map, or the
            coordinates have no gradient there.
    """

    def __init__(self, layer: str, joints: Sequence[str], people: int = 4) -> None:
        if people < 1 or not joints:
            raise ConfigError(
                "Expected Saliency with 1 or more people and joints, found "
                f"{people} people and the joints {list(joints)}; correct them, or leave out the "
                "callback."
            )
        self.layer = layer
        self.joints = list(joints)
        self.people = people
        self._rows: list[list[Tile]] = []

    @override
    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Refuse names that the model does not have."""
        model: Any = pl_module
        for name, known in (
            (self.layer, [layer for layer, _ in model.network.named_modules() if layer]),
            *((joint, model.skeleton.names) for joint in self.joints),
        ):
            if name not in known:
                near = difflib.get_close_matches(name, known, n=5, cutoff=0.3) or known[:5]
                raise ConfigError(
                    f"Expected Saliency with a layer and joints of the model, found {name!r}; did "
                    f"you mean one of {', '.join(near)}?"
                )

    @override
    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start an empty picture."""
        self._rows = []

    @override
    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Collect people until the picture is full."""
        # A validation without training has no folder of its own for pictures. The sanity check
        # collects too, so that a layer that will not do is refused before training.
        if trainer.state.fn != "fit" or not trainer.is_global_zero:
            return
        for person in range(min(self.people - len(self._rows), len(batch))):
            self._rows.append(self._tiles(pl_module, batch, person))

    @override
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the picture and send it to the loggers."""
        if not self._rows or trainer.sanity_checking:
            return
        model: Any = pl_module
        folder = Path(trainer.default_root_dir) / "pictures" / "saliency"
        sheet = contact_sheet(self._rows, model.skeleton)
        save_picture(trainer, folder, "val/saliency", sheet)

    def _tiles(self, model: Any, batch: Batch, person: int) -> list[Tile]:
        """The truth and the saliency of each joint for one person, without the padding."""
        height, width = batch.input_size[person].tolist()
        image = batch.image[[person], :, :height, :width]
        places = [model.skeleton.names.index(joint) for joint in self.joints]
        maps, keypoints = joint_saliency(model.network, self.layer, model.main_head, places, image)
        whole = F.interpolate(maps[None], (height, width), mode="bilinear", align_corners=False)[0]
        pixels = image[0].permute(1, 2, 0).cpu().numpy()
        truth = Tile(
            pixels,
            "truth",
            keypoints=batch.keypoints[person].cpu().numpy(),
            drawn=batch.labelled[person].cpu().numpy(),
        )
        return [truth] + [
            Tile(
                pixels,
                joint,
                keypoints=keypoints.cpu().numpy(),
                drawn=np.arange(len(keypoints)) == place,
                saliency=saliency,
            )
            for joint, place, saliency in zip(self.joints, places, whole.cpu().numpy(), strict=True)
        ]


@torch.enable_grad()
def joint_saliency(
    network: Any, layer: str, head: str, joints: Sequence[int], image: Tensor
) -> tuple[Float[Tensor, "J h w"], Float[Tensor, "K 2"]]:
    """The gradient of joints' coordinates with respect to the activations of a layer.

    Args:
        network: A `PoseNetwork`; its mode and its gradients do not change.
        layer: The name of the layer.
        head: The name of the head that predicts the coordinates.
        joints: The indices of the joints.
        image: (1, 3, H, W), one image as for the network.

    Returns:
        For each joint, in input pixels per unit of activation, the largest absolute gradient over
        channels, x and y in each cell of the layer; and the predicted (x, y) of all joints in input
        pixels.

    Raises:
        ConfigError: The layer returns no map, or the coordinates have no gradient there.
    """
    activations: list[Tensor] = []

    def cut(_module: nn.Module, _inputs: Any, output: Any) -> Tensor:
        if not isinstance(output, Tensor) or output.dim() != 4:
            raise ConfigError(
                f"Expected a layer with a map of rows and columns for Saliency, found {layer}, "
                "which has none; name a convolution of the backbone."
            )
        # The graph begins here, so that no gradient is computed below the layer. What follows gets
        # a copy, because it may work in place.
        activations.append(output.detach().requires_grad_())
        return activations[-1].clone()

    handle = network.get_submodule(layer).register_forward_hook(cut)
    try:
        with eval_mode(network):
            found = network.decode(network(image), image)[head].keypoints
    finally:
        handle.remove()
    gradients = [
        torch.autograd.grad(
            found[0, joint, axis], activations[-1], retain_graph=True, allow_unused=True
        )[0]
        for joint in joints
        for axis in range(2)
        if activations and found is not None and found.requires_grad
    ]
    if not gradients or any(gradient is None for gradient in gradients):
        raise ConfigError(
            f"Expected coordinates of {head} that have a gradient in the layer {layer} for "
            "Saliency, found none; name a layer that the head reads, with a head that regresses "
            "coordinates as model.main_head."
        )
    slopes = torch.stack([gradient.abs().amax(dim=(0, 1)) for gradient in gradients])
    return slopes.unflatten(0, (len(joints), 2)).amax(dim=1), found[0].detach()
