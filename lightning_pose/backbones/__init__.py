"""Backbones: images in, feature maps out."""

from lightning_pose.backbones.base import Backbone
from lightning_pose.backbones.deconvolution import DeconvolutionBackbone
from lightning_pose.backbones.fully_convolutional import FullyConvolutionalBackbone
from lightning_pose.backbones.harmonic_unet import HarmonicUNet
from lightning_pose.backbones.hourglass import Hourglass
from lightning_pose.backbones.smp import SMPBackbone
from lightning_pose.backbones.unet import UNet
from lightning_pose.backbones.vgg import VGG
from lightning_pose.backbones.vit import ViT

__all__ = [
    "VGG",
    "Backbone",
    "DeconvolutionBackbone",
    "FullyConvolutionalBackbone",
    "HarmonicUNet",
    "Hourglass",
    "SMPBackbone",
    "UNet",
    "ViT",
]
