"""What the papers state is what their configs say, and so is what the configs' comments chose.

The values here are those of the papers and of the comments, written down apart from the configs.
Where a config says nothing, a default is the paper's value, which other tests hold.
"""

import inspect
from typing import Any

import pytest
from torch import nn

from lightning_pose import backbones
from lightning_pose.commands.configs import SHIPPED_CONFIGS, find_config, read_config
from lightning_pose.datamodules import PoseDataModule
from lightning_pose.skeletons import MPII16

PLAIN = {"data.rotation": 0.0, "data.scale": 0.0, "data.flip": 0.0, "data.shift": 0.0}
"""No augmentation."""

CNN = PLAIN | {
    "data.flip": 0.5,
    "model.backbone": "VGG",
    "model.backbone.stages": [[32], [64], [128]],
    "model.backbone.dropout": 0.5,
    "model.backbone.init": "xavier",
    "model.heads.coordinates": "FullyConnectedHead",
    "model.heads.coordinates.hidden": [500] * 4,
    "model.heads.coordinates.dropout": 0.5,
    "model.heads.coordinates.init": "xavier",
    "model.heads.coordinates.criterion": "mse",
    "model.optimizer": "torch.optim.Adam",
    "model.main_metric": "PCK",
    "data.batch_size": 128,
    "data.input_spec.size": [96, 96],
    "data.input_spec.fit": "stretch",
    "data.input_spec.subject": "image",
    "model.optimizer.lr": 1e-3,
    "trainer.max_epochs": 50,
    "data.sets.lspet.splits": [0.9, 0.1, 0.0],
    "data.sets.lsp.splits": [0.9, 0.1, 0.0],
}
RESNET = PLAIN | {
    "data.rotation": 30.0,
    "data.scale": [0.75, 1.25],
    "model.backbone.encoder": "resnet50",
    "model.backbone.channels": [256, 256, 256],
    "model.heads.heatmap": "HeatmapHead",
    "model.heads.heatmap.criterion": "mse",
    "model.heads.heatmap.sigma": 4.0,  # A cell at stride 4.
    "model.heads.heatmap.unlabelled": "zero",
    "model.heads.heatmap.decoding": "quarter",
    "model.optimizer": "torch.optim.RMSprop",
    "model.optimizer.lr": 2.5e-4,
    "model.lr_scheduler": "torch.optim.lr_scheduler.ReduceLROnPlateau",
    "model.lr_scheduler.mode": "max",
    "model.lr_scheduler.factor": 1 / 5,
    "model.lr_scheduler.min_lr": 2.5e-4 / 5,  # Once.
    "data": "MPIIDataModule",
    "data.input_spec.size": [256, 256],
    "data.input_spec.enlarge": 1.475,  # The crop of Xiao et al.
    "data.batch_size": 32,
    "model.backbone.pretrained": "imagenet",
    "model.lr_scheduler.patience": 10,
    "trainer.max_epochs": 140,
}
UNET = PLAIN | {
    "model.backbone.width": 64,
    "model.backbone.dropout": 0.3,
    "model.heads.mask": "MaskHead",
    "model.main_metric": "loss",
    "model.optimizer": "torch.optim.Adam",
    "model.optimizer.lr": 2e-5,
    "data.splits": [0.8, 0.2, 0.0],
    "data.batch_size": 1,
    "data.input_spec.size": None,
    "data.input_spec.short_side": 128,
    "data.input_spec.subject": "image",
    "data.input_spec.interpolation": "cubic",
    "data.input_spec.multiple": 32,
    "model.main_head": "mask",
    "trainer.max_epochs": 100,
}
REAL = UNET | {
    "model.backbone": "UNet",
    "model.backbone.upsampling": "bilinear",
    "model.backbone.batch_norm": False,
}
HEATMAP = {
    "model.heads.heatmap": "SharedHeatmapHead",
    "model.heads.heatmap.sigma": 1.0,
    "model.heads.heatmap.scale": 100.0,
    "model.heads.heatmap.unlabelled": "zero",
}
SOFTMAX = {
    "model.heads.joints": "SoftmaxJointHead",
    "model.heads.joints.sigma": 1.0,
    "model.heads.joints.threshold": 0.01,
    "model.heads.joints.balanced": False,
    "model.heads.joints.soft": False,
    "model.heads.joints.decoding": "argmax",
    "model.main_head": "joints",
}
VGG = PLAIN | {
    "model.backbone": "VGG",
    "model.backbone.norm": "after",
    "model.metrics.RMSE.visible_only": True,
    "model.optimizer": "torch.optim.Adam",
    "model.optimizer.lr": 1e-3,
    "model.lr_scheduler": "torch.optim.lr_scheduler.StepLR",
    "model.lr_scheduler.step_size": 1000,
    "model.lr_scheduler.gamma": 0.5,
    "model.lr_interval": "step",
    "data": "MPIIDataModule",
    "data.input_spec.size": [224, 224],
    "data.input_spec.enlarge": 1.475,
    "data.batch_size": 32,
    "trainer.max_epochs": 10,
}
LSTM = VGG | {"model.heads.coordinates.hidden": 128, "model.heads.coordinates.layers": 2}
CONVPOSE = PLAIN | {
    "model.backbone": "VGG",
    "model.backbone.norm": "before",
    "model.backbone.dropout": [0.0, 0.0, 0.0, 0.0, 0.5],
    "model.optimizer": "torch.optim.SGD",
    "model.optimizer.lr": 0.01,
    "model.optimizer.momentum": 0.9,
    "data.batch_size": 32,
    "data": "LSPExtendedDataModule",
    "data.splits": [0.7, 0.15, 0.15],
    "data.input_spec.size": [224, 224],
    "data.input_spec.fit": "cover",
    "data.input_spec.subject": "image",
    "model.main_metric": "loss",
    "trainer.max_epochs": 25,
}

PAPERS: dict[str, dict[str, Any]] = {
    "cnn11": CNN | {"model.backbone.norm": "before", "model.heads.coordinates.norm": "before"},
    "cnn11_no_bn": CNN | {"model.backbone.norm": None, "model.heads.coordinates.norm": None},
    "resnet_deconv": RESNET | {"model.backbone": "DeconvolutionBackbone"},
    "resnet_fcn": RESNET | {"model.backbone": "FullyConvolutionalBackbone"},
    "unet_mask": REAL,
    "harmonic_unet_mask": UNET | {"model.backbone": "HarmonicUNet"},
    "unet_mask_heatmap": REAL | HEATMAP,
    "unet_mask_softmax": REAL | SOFTMAX,
    "unet_mask_softmax_regression": REAL | SOFTMAX | {"model.heads.joints.soft": True},
    "unet_triple": REAL | HEATMAP | SOFTMAX,
    "vgg16_regression": VGG
    | {
        "model.heads.coordinates": "FullyConnectedHead",
        "model.heads.coordinates.hidden": [4096, 4096],
        "model.heads.coordinates.norm": "after",
        "model.heads.coordinates.criterion": "mse",
    },
    "vgg16_lstm": LSTM
    | {
        "model.heads.coordinates": "LSTMHead",
        "model.heads.coordinates.fully_connected": [4096, 4096],
        "model.heads.coordinates.norm": "after",
    },
    "vgg16_attention_lstm": LSTM
    | {
        "model.heads.coordinates": "AttentionLSTMHead",
        "model.heads.coordinates.attention": 256,
    },
    "convpose": CONVPOSE
    | {
        "model.heads.coordinates": "FullyConnectedHead",
        "model.heads.coordinates.hidden": [512],
        "model.heads.coordinates.norm": None,
        "model.heads.coordinates.criterion": "mse",
    },
    "convpose_cascade": CONVPOSE
    | {
        "model.heads.coordinates": "RefinementHead",
        "model.heads.coordinates.head": "FullyConnectedHead",
        "model.heads.coordinates.head.hidden": [512],
        "model.heads.coordinates.head.norm": None,
        "model.heads.coordinates.head.criterion": "mse",
        "model.heads.coordinates.window": 80.0,
        "model.heads.coordinates.resolution": 80,
        "model.heads.coordinates.channels": 16,
        "model.heads.coordinates.jitter": 8.0,
    },
}


def setting(config: dict[str, Any], key: str) -> Any:
    """A value by its dotted key; of a part, its class."""
    value: Any = config
    for name in key.split("."):
        value = value.get("init_args", value) if "class_path" in value else value
        value = value[name]
    return value["class_path"] if isinstance(value, dict) else value


def test_every_config_of_a_paper_is_listed() -> None:
    assert set(PAPERS) == {path.stem for path in SHIPPED_CONFIGS.glob("papers/*.yaml")}


@pytest.mark.parametrize("name", PAPERS)
def test_a_config_says_what_its_paper_states(name: str) -> None:
    config = read_config(find_config(f"papers/{name}.yaml"))
    found = {key: setting(config, key) for key in PAPERS[name]}
    assert found == PAPERS[name]
    heads = {key.split(".")[2] for key in PAPERS[name] if key.startswith("model.heads.")}
    assert set(config["model"]["heads"]) == heads
    # The other augmentations, which are off by default.
    assert not {"box_jitter", "photometric"} & set(config["data"]["init_args"])
    defaults = inspect.signature(PoseDataModule).parameters
    assert [defaults[name].default for name in ("box_jitter", "photometric")] == [0.0, None]


@pytest.mark.parametrize("name", ["cnn11", "cnn11_no_bn"])
def test_the_saliency_is_that_of_the_third_convolution(name: str) -> None:
    config = read_config(find_config(f"papers/{name}.yaml"))
    (callback,) = config["trainer"]["callbacks"]
    assert callback["init_args"]["layer"] == "backbone.layers.2.0"
    stages = setting(config, "model.backbone.stages")
    backbone = backbones.VGG(stages, setting(config, "model.backbone.norm"))
    layers = [layer for layer in backbone.modules() if isinstance(layer, nn.Conv2d)]
    assert backbone.get_submodule("layers.2.0") is layers[2]


@pytest.mark.parametrize("name", ["cnn11", "cnn11_no_bn"])
def test_pixels_stay_from_0_to_255(name: str) -> None:
    model = read_config(find_config(f"papers/{name}.yaml"))["model"]
    assert model["mean"] == [0, 0, 0]
    assert [1 / std for std in model["std"]] == pytest.approx([255] * 3)


@pytest.mark.parametrize("name", ["resnet_deconv", "resnet_fcn"])
def test_pelvis_and_thorax_do_not_count(name: str) -> None:
    metric = read_config(find_config(f"papers/{name}.yaml"))["model"]["metrics"]["PCKh"]
    names = set(MPII16.names) - {"pelvis", "thorax"}
    assert set(metric["init_args"]["joints"]) == names
    assert metric["init_args"]["average"] == "micro"
