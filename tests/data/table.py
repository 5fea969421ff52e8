"""Writes the people of a tiny Leeds Sports Pose Extended as a table, CSV or JSON lines."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

from lightning_pose.datasets import LSPExtendedDataset


def write_table(path: Path, people: LSPExtendedDataset, splits: Sequence[str] = ()) -> None:
    """Write one line per person, with the mask where there is one and a split if they are given."""
    names, rows = people.skeleton.names, []
    for index in range(len(people)):
        person = people.annotation(index)
        row = {"image": str(people.root / "images" / person.image_id)}
        if people.has_mask[index]:
            row["mask"] = str(people.root / "masks" / f"{Path(person.image_id).stem}.png")
        if splits:
            row["split"] = splits[index]
        points = zip(names, person.keypoints.tolist(), person.visibility.tolist(), strict=True)
        row["keypoints"] = {name: point if seen else None for name, point, seen in points}
        rows.append(row)
    with path.open("w", newline="") as file:
        if path.suffix == ".jsonl":
            file.writelines(json.dumps(row) + "\n" for row in rows)
            return
        columns = [f"{name}_{axis}" for name in names for axis in "xy"]
        table = csv.DictWriter(file, ["image", "mask", "split", *columns])
        table.writeheader()
        for row in rows:
            keypoints = row.pop("keypoints")
            points = {name: point or ("", "") for name, point in keypoints.items()}
            cells = {
                f"{n}_{axis}": point["xy".index(axis)]
                for n, point in points.items()
                for axis in "xy"
            }
            table.writerow({**row, **cells})
