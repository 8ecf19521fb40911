"""Files that are written whole or not at all."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lanterna.files import remove_temporary, replace_file, temporary_name
from lanterna.techniques.frames import frame_file, ready_frames


def test_what_fails_half_way_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"half"
        raise KeyboardInterrupt

    target = tmp_path / "kept"
    replace_file(target, [b"old"])
    with pytest.raises(KeyboardInterrupt):
        replace_file(target, chunks())
    assert target.read_bytes() == b"old" and list(tmp_path.iterdir()) == [target]


def test_what_fails_leaves_no_folder_that_was_not_there(tmp_path: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"half"
        raise OSError(28, "No space left on device")

    (tmp_path / "there").mkdir()
    for target in (tmp_path / "new" / "deep" / "page", tmp_path / "there" / "page"):
        with pytest.raises(OSError, match="No space left"):
            replace_file(target, chunks())
    assert list(tmp_path.iterdir()) == [tmp_path / "there"]


def test_a_link_keeps_pointing_where_it_did(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "real")
    replace_file(tmp_path / "link", [b"one, ", b"two"])
    assert (tmp_path / "link").is_symlink() and (tmp_path / "deep" / "real").read_bytes() == b"one, two"


def test_what_a_kill_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    mark = {"network": "tiny"}
    assert ready_frames(tmp_path / "film", mark, 3) == []
    frame_file(tmp_path / "film", 0).touch()
    temporary_name(tmp_path / "film").touch()
    assert ready_frames(tmp_path / "film", mark, 3) == [frame_file(tmp_path / "film", 0)]
    assert sorted(file.name for file in (tmp_path / "film").iterdir()) == ["frame-00000.png", "recipe.json"]
    (tmp_path / ".hidden").touch()
    remove_temporary(tmp_path)
    assert (tmp_path / ".hidden").exists()
