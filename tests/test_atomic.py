from pathlib import Path

import pytest

from lightning_pose.atomic import replacing


def test_a_file_appears_whole_and_replaces_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"before")
    with replacing(path) as file:
        file.write(b"after")
        assert path.read_bytes() == b"before"
    assert path.read_bytes() == b"after"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError])
def test_a_failure_changes_nothing_and_leaves_nothing(
    tmp_path: Path, stop: type[BaseException]
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"before")

    def write() -> None:
        with replacing(path) as file:
            file.write(b"half")
            raise stop

    with pytest.raises(stop):
        write()
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]
