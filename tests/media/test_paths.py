from pathlib import Path

import pytest

from assay.media import MediaError, path_within


def test_paths_under_the_root_are_resolved(tmp_path: Path):
    (tmp_path / "sub").mkdir()
    assert path_within(tmp_path, "sub/a.png") == tmp_path.resolve() / "sub" / "a.png"
    assert path_within(tmp_path, "sub/../b.png") == tmp_path.resolve() / "b.png"
    assert path_within(tmp_path, tmp_path / "c.png") == tmp_path.resolve() / "c.png"


@pytest.mark.parametrize("path", ["../x.png", "/etc/passwd", "sub/../../x.png", "link/x.png", "self", "a\x00b"])
def test_paths_that_lead_out_are_refused(path, tmp_path: Path):
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "link").symlink_to(tmp_path)
    (root / "self").symlink_to(root / "self")
    with pytest.raises(MediaError) as caught:
        path_within(root, path)
    assert caught.value.code == "outside_root"
