import numpy as np

from tests.synthetic.figures import painted, standing


def test_a_face_is_seen_from_the_front_alone():
    def has_mouth(turn: float, seed: int) -> bool:
        difference = painted(standing(turn).place(400.0, (300.0, 300.0)), seed)[..., :3].astype(
            int
        ) - [150, 50, 50]
        return bool((np.abs(difference).max(axis=-1) <= 2).any())

    assert sum(has_mouth(0.0, seed) for seed in range(20)) >= 18
    assert sum(has_mouth(np.pi, seed) for seed in range(20)) <= 2
