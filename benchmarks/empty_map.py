"""The squared error of an all-zero map on the validation targets of a shared heatmap.

    python -m benchmarks.empty_map --study studies/reproduction.yaml \
        --arm unet_mask_heatmap_scale_1 [OPTIONS OF FIT]

A network that has learnt nothing of the heatmap reaches this error. Prints it beside that of the
best constant map. Both are for the scale of the arm, with whose square they grow.
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
    zero, constant = empty_errors(cli.model.heads["heatmap"], cli.datamodule)
    print(f"all-zero map {zero:.6g}, best constant map {constant:.6g}, ratio {constant / zero:.3f}")


def empty_errors(head: SharedHeatmapHead, data: PoseDataModule) -> tuple[float, float]:
    """The loss of an all-zero map and of the best constant map on the validation people.

    Args:
        head: The head, built.
        data: The people.
    """
    data.setup("validate")
    squares = values = weight = 0.0
    for batch in data.val_dataloader():
        rows, columns = (side // head.stride for side in batch.image.shape[2:])
        target = head.encode(batch, torch.zeros(len(batch), 1, rows, columns))
        squares += float((target.value.double().square() * target.weight).sum())
        values += float((target.value.double() * target.weight).sum())
        weight += float(target.weight.double().sum())
    return squares / weight, squares / weight - (values / weight) ** 2


if __name__ == "__main__":
    main()
