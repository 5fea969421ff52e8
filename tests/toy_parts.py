"""Toy parts of future kinds, which show that the contract supports them."""

from dataclasses import replace

from torch import nn

from lightning_pose.backbones import UNet
from lightning_pose.heads import SharedHeatmapHead
from lightning_pose.losses import LossTerms
from lightning_pose.weightings import FixedWeighting


class TwoStageHead(SharedHeatmapHead):
    """The same map at two stages, the earlier one from an `aux` map: intermediate supervision."""

    def build(self, spec, task):
        super().build(spec, task)
        self.early = nn.Conv2d(spec.aux[0].channels, 1, kernel_size=1)

    def forward(self, features):
        return self.early(features.aux[0]), self.layer(features.dense)

    def encode(self, batch, output):
        return tuple(super(TwoStageHead, self).encode(batch, one) for one in output)

    def loss(self, output, target):
        stages = zip(output, target, strict=True)
        return LossTerms.join(*(super(TwoStageHead, self).loss(o, t) for o, t in stages))

    def decode(self, output, size):
        return super().decode(output[-1], size)

    def unflip(self, output):
        return tuple(one.flip(-1) for one in output)


class AuxBackbone(UNet):
    """A U-Net that shows its dense map twice, as a network of several stages would."""

    def forward(self, image):
        features = super().forward(image)
        return replace(features, aux=(features.dense * 0.5,))


class OwnBackwardWeighting(FixedWeighting):
    """Has its own backward pass, which doubles the gradients of the backbone."""

    own_backward = True

    def backward(self, total, step, shared):
        total.backward()
        for parameter in shared:
            parameter.grad *= 2
