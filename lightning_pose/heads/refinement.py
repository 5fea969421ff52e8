"""A cascade stage: corrects another head's joints from the image around each of them."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from lightning_pose.batch import Batch, valid_size
from lightning_pose.errors import ConfigError
from lightning_pose.features import Features, FeatureSpec
from lightning_pose.float32 import in_float32
from lightning_pose.geometry import from_unit, to_unit
from lightning_pose.heads.base import Head
from lightning_pose.losses.coordinates import mean_absolute_error
from lightning_pose.losses.terms import LossTerms
from lightning_pose.prediction import Output, Prediction, Target
from lightning_pose.task import Task

__all__ = ["RefinementHead"]

_POOLED = 8  # The three convolutions divide the sides of a patch by this.


class RefinementHead(Head):
    """Looks at the image around each joint that another head has found, and moves the joint.

    A stage of the cascade of DeepPose (Toshev and Szegedy, CVPR 2014,
    https://arxiv.org/abs/1312.4659). A square window of the network's input around each first
    estimate is resampled to a patch. A small convolutional network, the same for all joints but for
    its last layer, predicts from the patch how far the joint is from the estimate, in units of half
    a window. Patches are cut from the network's input, which is finer than any feature map.
    The loss is that of the first head plus the mean absolute error of the displacement. The target
    of the displacement depends on the first estimate, through which no gradient flows. A joint that
    lies outside its window has no target, because it cannot be seen there.

    The first head may be a `RefinementHead` itself, for a cascade of more stages. The scores are
    those of the first head.

    Args:
        head: The head that makes the first estimate; it must predict keypoints.
        window: Side of the window in pixels of the input. Wide enough for the errors of the first
            head: only what is nearer than half of it can be corrected.
        resolution: Rows and columns of a patch; at most the window's side is useful.
        channels: Channels of the first of three convolutions, each of which doubles them and halves
            the sides of the patch.
        jitter: Standard deviation in pixels of the input of noise that is added to the estimates in
            training, so that the stage also sees the errors that the first head makes on people
            that it was not trained on.

    Raises:
        ConfigError: A setting is out of range, or the head predicts no keypoints.

    Example:
        >>> from lightning_pose.heads import HeatmapHead
        >>> RefinementHead(HeatmapHead(), window=24.0).fills
        ('keypoints', 'scores')
    """

    fills: ClassVar = ("keypoints", "scores")

    def __init__(
        self,
        head: Head,
        window: float = 32.0,
        resolution: int = 32,
        channels: int = 16,
        jitter: float = 0.0,
    ) -> None:
        super().__init__()
        if "keypoints" not in head.fills:
            raise ConfigError(
                "Expected a head that predicts keypoints in RefinementHead.head, found "
                f"{type(head).__name__}, which predicts {', '.join(head.fills)}; choose another, "
                "such as RegressionHead."
            )
        if not 0 < window < math.inf:
            raise ConfigError(
                f"Expected RefinementHead.window above 0, found {window}; give it in pixels of the "
                "input."
            )
        if not 0 <= jitter < math.inf:
            raise ConfigError(
                f"Expected RefinementHead.jitter of 0 or more, found {jitter}; give it in pixels "
                "of the input."
            )
        if resolution < _POOLED or channels < 1:
            raise ConfigError(
                f"Expected RefinementHead.resolution of {_POOLED} or more and channels of 1 or "
                f"more, found {resolution} and {channels}; correct the head."
            )
        self.head = head
        self.window = window
        self.resolution = resolution
        self.channels = channels
        self.jitter = jitter

    @override
    def build(self, spec: FeatureSpec, task: Task) -> None:
        self.head.build(spec, task)
        self.steps = self.head.steps
        self.skeleton = task.skeleton
        widths = [3, *(self.channels * 2**level for level in range(3))]
        blocks: list[nn.Module] = []
        for before, after in pairwise(widths):
            blocks += [
                nn.Conv2d(before, after, kernel_size=3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*blocks, nn.Flatten())
        side = -(-self.resolution // _POOLED)
        self.last = nn.Linear(widths[-1] * side**2, 2 * self.skeleton.num_joints)
        # The initial displacement is none.
        for parameter in self.last.parameters():
            nn.init.normal_(parameter, std=0.001)

    @override
    def forward(self, features: Features) -> tuple[Tensor, ...]:
        """The output of the first head, the estimates, and their displacements.

        Estimates are normalised to [-1, 1] over the image without its padding; displacements are in
        half windows.
        """
        first = self.head(features)
        image, valid = features.image, features.valid
        assert image is not None, "PoseNetwork sets it"
        whole = (image.shape[2], image.shape[3])
        if valid is None:
            sizes = torch.tensor([whole], device=image.device)
            estimate = self._estimate(first, whole)
        else:
            sizes = valid_size(valid)
            estimate = image.new_zeros(len(image), self.skeleton.num_joints, 2)
            # Heads decode images of one size; those of a training batch are of few sizes.
            for height, width in sizes.unique(dim=0).tolist():
                rows = (sizes == sizes.new_tensor([height, width])).all(dim=1)
                part = _as_output([value[rows] for value in _as_tuple(first)])
                estimate[rows] = self._estimate(part, (height, width))
            # Padding must look like what is beyond an image: the mean colour.
            image = image * valid[:, None]
        points = from_unit(estimate, sizes[:, None])
        if self.training and self.jitter:
            points = points + self.jitter * torch.randn_like(points)
        patches = cut_patches(image, points, self.window, self.resolution)
        found = in_float32(self.last, self.layers(patches.flatten(0, 1)))
        # Each joint has two rows of its own in the last layer.
        joints = self.skeleton.num_joints
        displacement = found.view(-1, joints, joints, 2).diagonal(dim1=1, dim2=2).transpose(1, 2)
        return (*_as_tuple(first), to_unit(points, sizes[:, None]), displacement)

    @torch.no_grad()
    def _estimate(self, first: Output, size: tuple[int, int]) -> Float[Tensor, "B K 2"]:
        """The first head's joints, normalised, and moved to the edge where they are outside."""
        keypoints = self.head.decode(first, size).keypoints
        assert keypoints is not None, "the constructor checks what the head fills"
        return to_unit(keypoints, size).clamp(-1, 1)

    @override
    def encode(self, batch: Batch, output: tuple[Tensor, ...]) -> tuple[Any, Target]:
        first, estimate, _ = _split(output)
        points = from_unit(estimate.detach(), batch.input_size[:, None])
        value = (batch.keypoints - points) / (self.window / 2)
        seen = batch.labelled & (value.abs() <= 1).all(dim=2)
        target = Target(value.masked_fill(~seen[..., None], 0), seen[..., None].float())
        return self.head.encode(batch, first), target

    @override
    def loss(self, output: tuple[Tensor, ...], target: tuple[Any, Target]) -> LossTerms:
        first, _, displacement = _split(output)
        of_first, own = target
        moved = mean_absolute_error(displacement, own.value, own.weight)
        return LossTerms.join(self.head.loss(first, of_first), moved)

    @override
    def decode(self, output: tuple[Tensor, ...], size: tuple[int, int]) -> Prediction:
        first, estimate, displacement = _split(output)
        keypoints = from_unit(estimate, size) + displacement * (self.window / 2)
        return Prediction(keypoints=keypoints, scores=self.head.decode(first, size).scores)

    @override
    def unflip(self, output: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        first, *own = _split(output)
        order, sign = self.skeleton.flip_order, own[0].new_tensor([-1, 1])
        return (*_as_tuple(self.head.unflip(first)), *(value[:, order] * sign for value in own))

    @override
    def joint_rows(self) -> Mapping[str, Sequence[str]]:
        rows = [f"{name}.{axis}" for name in self.skeleton.names for axis in "xy"]
        own = {"last.weight": rows, "last.bias": rows}
        return {f"head.{name}": rows for name, rows in self.head.joint_rows().items()} | own


def cut_patches(
    image: Float[Tensor, "B C H W"],
    points: Float[Tensor, "B K 2"],
    window: float,
    resolution: int,
) -> Float[Tensor, "B K C n n"]:
    """Resample a square window of the image around each point, bilinearly and in float32.

    Args:
        image: The images; beyond them, all is 0.
        points: (x, y) in pixels of the image, the centres of the windows.
        window: Side of a window in pixels.
        resolution: Rows and columns of a patch.

    Returns:
        One patch per point; its cells divide the window evenly.

    Example:
        >>> image = torch.arange(6.0).expand(1, 1, 6, 6)
        >>> cut_patches(image, torch.tensor([[[2.5, 2.0]]]), window=4.0, resolution=2)[0, 0, 0]
        tensor([[1.5000, 3.5000],
                [1.5000, 3.5000]])
    """
    # The centres of the cells, between their edges.
    cells = torch.linspace(-1, 1, 2 * resolution + 1, device=image.device)[1::2] * (window / 2)
    offsets = torch.stack(torch.meshgrid(cells, cells, indexing="xy"), dim=-1)
    places = to_unit(points.float()[:, :, None, None] + offsets, (image.shape[2], image.shape[3]))
    patches: Tensor = F.grid_sample(image.float(), places.flatten(1, 2), align_corners=False)
    return patches.view(*patches.shape[:2], -1, resolution, resolution).transpose(1, 2)


def _as_tuple(output: Output) -> tuple[Tensor, ...]:
    return (output,) if isinstance(output, Tensor) else output


def _as_output(values: Sequence[Tensor]) -> Output:
    """One tensor for a head with one output, else the tuple: what `_as_tuple` was given."""
    return values[0] if len(values) == 1 else tuple(values)


def _split(output: tuple[Tensor, ...]) -> tuple[Any, Tensor, Tensor]:
    """The output of the first head, the estimates and their displacements."""
    return _as_output(output[:-2]), output[-2], output[-1]
