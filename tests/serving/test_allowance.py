"""What one request may bring in all, and what one medium may, whichever way it comes."""

import asyncio

import pytest

from assay.serving.admission import Allowance, MediaPolicy, Refused, admitted, admitted_record


def brought(kind, value, policy, allowance=None):
    return asyncio.run(admitted(kind, value, policy, allowance))


def test_files_of_one_request_count_together(tmp_path):
    (tmp_path / "in.png").write_bytes(b"x" * 400)
    policy = MediaPolicy(root=tmp_path, max_body=1_000, max_bytes=600)
    allowance = Allowance(policy)
    for _ in range(2):
        assert brought("image", "in.png", policy, allowance).data == b"x" * 400
    with pytest.raises(Refused, match="400 bytes, over the limit of 200") as caught:
        brought("image", "in.png", policy, allowance)
    assert caught.value.code == "too_large"
    assert brought("image", "in.png", policy).data == b"x" * 400, "another request has its own"


def test_bytes_beyond_what_is_left_are_refused():
    allowance = Allowance(MediaPolicy(max_body=1_000, max_bytes=600))
    allowance.take_bytes(1_000)
    with pytest.raises(Refused, match="too large together"):
        allowance.take_bytes(1)


@pytest.mark.parametrize("kind", ["image", "video", "audio"])
@pytest.mark.parametrize("way", [lambda data: data, lambda data: {"bytes": data}])
def test_a_medium_by_its_bytes_is_held_to_its_limit(kind, way):
    policy = MediaPolicy(max_bytes=1_000)
    assert brought(kind, way(b"x" * 1_000), policy).data == b"x" * 1_000
    with pytest.raises(Refused) as caught:
        brought(kind, way(b"x" * 1_001), policy)
    assert caught.value.code == "too_large"


def test_frames_of_a_video_are_counted_as_media():
    policy = MediaPolicy(max_parts=3)
    assert len(brought("video", [b"x"] * 3, policy).frames) == 3
    with pytest.raises(Refused) as caught:
        brought("video", [b"x"] * 4, policy)
    assert caught.value.code == "too_many_parts"


def test_what_is_nested_very_deep_is_refused_and_what_is_nested_is_not():
    def row(depth):
        deep = "x"
        for _ in range(depth):
            deep = [deep, {"a": 1}]
        return {"prompt": "a", "responses": ["b"], "context": {"deep": deep}}

    asyncio.run(admitted_record(row(60), 0, MediaPolicy()))
    with pytest.raises(Refused) as caught:
        asyncio.run(admitted_record(row(70), 0, MediaPolicy()))
    assert caught.value.code == "too_deep"
