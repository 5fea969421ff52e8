import numpy as np

from lightning_pose.datasets import PoseDataset
from lightning_pose.sample import Annotation, Pixels
from lightning_pose.skeletons import LSP14


class Two(PoseDataset):
    """Two people; only the second has a mask."""

    def __init__(self) -> None:
        self.skeleton, self.labels = LSP14, {"sport": ["running", "climbing"], "age": []}
        self.person_ids = np.array([5, 9])

    def annotation(self, index: int) -> Annotation:
        return Annotation(
            keypoints=np.zeros((14, 2), np.float32),
            visibility=np.zeros(14, np.uint8),
            box=np.zeros(4, np.float32),
            head_size=1.0,
            torso_size=2.0,
            area=3.0,
            labels={"sport": 1, "age": 31.5},
            person_id=int(self.person_ids[index]),
            image_id="a.png",
        )

    def image_size(self, index: int) -> tuple[int, int]:
        return 4, 6

    def read(self, index: int, shrink: int = 1) -> Pixels:
        assert shrink == 1
        image = np.full((4, 6, 3), 7, np.uint8)
        return Pixels(image) if index == 0 else Pixels(image, mask=np.ones((4, 6), np.int8))


def test_a_sample_is_the_annotation_with_whole_pixels() -> None:
    people = Two()
    assert len(people) == 2
    for index, mask in enumerate((-1, 1)):
        sample = people[index]
        annotation = people.annotation(index)
        np.testing.assert_equal({k: vars(sample)[k] for k in vars(annotation)}, vars(annotation))
        assert (sample.image == 7).all()
        assert sample.mask.shape == (4, 6)
        assert (sample.mask == mask).all()
