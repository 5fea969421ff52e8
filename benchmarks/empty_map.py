"""The squared error of an all-zero map on the validation targets of a shared heatmap.

    python -m benchmarks.empty_map --study studies/reproduction.yaml \
        --arm unet_mask_heatmap_scale_1 [OPTIONS OF FIT]

A network whose pixels are all zero reaches this error. Prints it beside those of the best constant
map and of the mean map of these people, the best that a network can do which has learnt nothing of
the person in the image. All are for the scale of the arm, with whose square they grow.
"""

import argparse

import torch

from benchmarks.training import Parts
from lightning_pose.commands.configs import find_config, read_config, split_configs
from lightning_pose.datamodules import PoseDataModule
from lightning_pose.heads import SharedHeatmapHead
from lightning_pose.study import Study


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--study", required=True, help="the YAML file of the study")
    parser.add_argument("--arm", required=True, help="the arm; it needs a head called heatmap")
    options, words = parser.parse_known_args()
    path = find_config(options.study)
    (arm,) = (
        one for one in Study.from_dict(read_config(path), path).arms if one.name == options.arm
    )
    configs, others = split_configs([*words, *arm.options])
    named = [f"--config={config}" for config in configs]
    cli = Parts(["fit", *named, *others, "--data.num_workers=0"], "benchmark")
    zero, *others = empty_errors(cli.model.heads["heatmap"], cli.datamodule)
    print(f"all-zero map {zero:.6g}")
    for name, error in zip(("best constant map", "mean map"), others, strict=True):
        print(f"{name} {error:.6g}, ratio {error / zero:.4f}")


def empty_errors(head: SharedHeatmapHead, data: PoseDataModule) -> tuple[float, float, float]:
    """The loss of an all-zero map, the best constant map and the mean map on validation people.

    Args:
        head: The head, built.
        data: The people, whose inputs have one size.
    """
    data.setup("validate")
    squares = 0.0
    values = weights = torch.zeros(())
    for batch in data.val_dataloader():
        rows, columns = (side // head.stride for side in batch.image.shape[2:])
        target = head.encode(batch, torch.zeros(len(batch), 1, rows, columns))
        value, weight = target.value.double(), target.weight.double().expand_as(target.value)
        squares += float((value.square() * weight).sum())
        values, weights = values + (value * weight).sum(dim=0), weights + weight.sum(dim=0)
    count = float(weights.sum())
    zero, constant = squares / count, float(values.sum()) / count
    mean = float((values.square() / weights).nansum()) / count
    return zero, zero - constant**2, zero - mean


if __name__ == "__main__":
    main()
