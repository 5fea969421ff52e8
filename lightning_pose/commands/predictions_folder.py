"""The output of `lightning predict`: predictions.json, masks and overlays in one folder."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from rich.console import Console

from lightning_pose.commands.output_folder import make_output_folder
from lightning_pose.errors import printable
from lightning_pose.person import PersonPrediction

__all__ = ["PredictionsFolder"]


class PredictionsFolder:
    """Writes masks and overlays as they arrive, and predictions.json at the end, even on error.

    Anything that cannot be used or written is reported in one sentence, and the rest is processed.

    Args:
        folder: A new or empty folder.
        images: The names of all images.
        about: What predictions.json says about all people, beside the list of them.
        console: Where the sentences are printed.

    Attributes:
        failures: Number of failures reported so far.

    Raises:
        ConfigError: The folder cannot be created, or meanwhile another command has written to it.
    """

    def __init__(
        self, folder: Path, images: Sequence[str], about: dict[str, Any], console: Console
    ) -> None:
        self.folder = folder
        self.about = about
        self.console = console
        self.failures = 0
        self._output_names = _output_names(images)
        self._entries: list[dict[str, Any]] = []
        self._overlays = 0
        make_output_folder(folder)
        for part in ("masks", "overlays"):
            (folder / part).mkdir()

    def __enter__(self) -> "PredictionsFolder":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        head = json.dumps(self.about, ensure_ascii=False)
        people = ",\n".join(
            json.dumps(entry, ensure_ascii=False, allow_nan=False) for entry in self._entries
        )
        # Python represents bytes of a file name that are not UTF-8 as lone surrogates; JSON escapes
        # them.
        (self.folder / "predictions.json").write_text(
            f'{head[:-1]}, "people": [\n{people}\n]}}\n',
            encoding="utf-8",
            errors="backslashreplace",
        )

    def summary(self) -> str:
        """What was written, in a line for the end of the command."""
        people = f"{len(self._entries)} {'person' if len(self._entries) == 1 else 'people'}"
        images = f"{self._overlays} {'image' if self._overlays == 1 else 'images'}"
        return (
            f"Predictions for {people} in {images}: {self.folder / 'predictions.json'}\n"
            f"Overlays to look at: {self.folder / 'overlays'}"
        )

    def add(self, image: str, people: Iterable[PersonPrediction]) -> None:
        """Write the masks and the overlay of one image.

        Args:
            image: Its name.
            people: One or more predictions for people in it; only one is held in memory at a time.
        """
        overlay = None
        for index, found in enumerate(people):
            mask_name = None
            if found.mask is not None:
                name = f"{self._output_names[image]}_{index}.png"
                saved = self._save(f"masks/{name}", (found.mask > 0.5).astype(np.uint8) * 255)
                mask_name = name if saved else None
            overlay = found.draw(found.person.image if overlay is None else overlay)
            self._entries.append({**found.to_dict(), "mask": mask_name})
        assert overlay is not None, "an image with predictions shows at least one person"
        self.add_overlay(image, overlay)

    def add_overlay(self, image: str, overlay: UInt8[np.ndarray, "H W 3"]) -> None:
        """Write the overlay of one image; for an image without people, call only this.

        Args:
            image: The image's name.
            overlay: The RGB image with the predictions drawn on it.
        """
        self._overlays += self._save(f"overlays/{self._output_names[image]}.jpg", overlay)

    def report_failure(self, sentence: str) -> None:
        """Report a failure, and count it.

        Args:
            sentence: What was expected, what was found, and what to do.
        """
        self.failures += 1
        self.report(sentence)

    def report(self, sentence: str) -> None:
        """Print a sentence without disturbing the progress bar.

        Args:
            sentence: The sentence.
        """
        text = f"lightning predict: {printable(sentence)}"
        self.console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)

    def _save(self, name: str, values: np.ndarray) -> bool:
        path = self.folder / name
        try:
            Image.fromarray(values).save(path, quality=92)
        # The disk is full, the name too long, or the image too large for its format.
        except (OSError, ValueError) as error:
            self.report_failure(
                f"Expected to write {path}, found that it failed "
                f"({' '.join(str(error).split())}); free disk space, or give the image a shorter "
                "name or a smaller size."
            )
            return False
        return True


def _output_names(names: Sequence[str]) -> dict[str, str]:
    """The names of the output files: the image's name without its suffix, where that is unique."""
    stems = {name: Path(name).stem for name in names}
    unique = len({stem.casefold() for stem in stems.values()}) == len(stems)
    return stems if unique else {name: name for name in names}
