"""One person at a known position, as a dataset."""

import cv2
import numpy as np

from lightning_pose.datasets import PoseDataset
from lightning_pose.sample import Annotation, CroppedSample, Pixels, Sample
from lightning_pose.skeletons import LSP14
from lightning_pose.transforms import PersonCrop


class OnePerson(PoseDataset):
    """One sample as a dataset, which counts the calls."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.skeleton, self.labels = LSP14, {}
        self.person_ids = np.array([sample.person_id])
        self.asked: list[str] = []

    def annotation(self, index: int) -> Annotation:
        self.asked.append("annotation")
        known = vars(self.sample).items()
        return Annotation(**{key: value for key, value in known if key not in ("image", "mask")})

    def image_size(self, index: int) -> tuple[int, int]:
        self.asked.append("image_size")
        return self.sample.mask.shape

    def read(self, index: int, shrink: int = 1) -> Pixels:
        self.asked.append(f"read {shrink}")
        return Pixels(self.sample.image, mask=self.sample.mask)


def cut(crop: PersonCrop, sample: Sample, seed: int = 0) -> CroppedSample:
    """Crop a sample with the random numbers of a seed."""
    return crop(OnePerson(sample), 0, np.random.default_rng(seed))


def blob_person(seed: int, size: tuple[int, int] = (150, 200), sigma: float = 2.0) -> Sample:
    """A person whose left wrist (joint 11) is a soft bright blob, and whose mask is known."""
    rng = np.random.default_rng(seed)
    height, width = size
    keypoints = rng.uniform((60, 40), (width - 60, height - 40), (14, 2)).astype(np.float32)
    rows, columns = np.mgrid[:height, :width]
    x, y = keypoints[11]
    blob = 250 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
    image = np.repeat(np.round(blob)[..., None], 3, axis=2).astype(np.uint8)
    mask = np.zeros(size, dtype=np.int8)
    mask[30:120, 50:150] = 1
    return Sample(
        image=image,
        keypoints=keypoints,
        visibility=np.full(14, 2, dtype=np.uint8),
        mask=mask,
        box=np.concatenate((keypoints.min(0), keypoints.max(0))),
        head_size=1.0,
        torso_size=1.0,
        area=float(mask.sum()),
        labels={},
        person_id=seed,
        image_id=f"{seed}.png",
    )


def centre_of_brightness(image: np.ndarray) -> np.ndarray:
    weight = image[..., 0].astype(float)
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()


def smooth(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """An image without detail that would be lost at a reduced scale."""
    cells = np.random.default_rng(seed).integers(0, 255, (5, 5, 3), dtype=np.uint8)
    return cv2.resize(cells, size[::-1], interpolation=cv2.INTER_CUBIC)
