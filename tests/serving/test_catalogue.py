"""Versions by name and fingerprint, promoted and taken back."""

import pytest

from assay.serving.catalogue import Catalogue, check_name
from assay.serving.problems import Unavailable, UnknownReward, Unprocessable

ONE, TWO, THREE = "11111111" * 8, "22222222" * 8, "22222222" * 7 + "33333333"


@pytest.fixture
def catalogue():
    made = Catalogue[str](str)
    for name, mark in (("helpful", ONE), ("helpful", TWO), ("helpful", THREE), ("safe", ONE)):
        made.add(name, mark)
    return made


def test_the_first_of_a_name_is_current_and_any_is_found_by_its_fingerprint(catalogue):
    assert catalogue.find(None) == catalogue.find("helpful") == ONE
    assert catalogue.find("helpful@11111111") == ONE
    assert catalogue.find(f"helpful@{THREE}") == THREE
    assert catalogue.find("safe") == ONE
    assert [(name, current) for name, _, current in catalogue] == [
        ("helpful", True),
        ("helpful", False),
        ("helpful", False),
        ("safe", True),
    ]


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("nobody", "there are: helpful, safe"),
        ("helpful@1111111", "8 or more"),
        ("helpful@", "8 or more"),
        ("helpful@ABCDEF12", "8 or more"),
        ("helpful@22222222", "has 2 versions"),
        ("helpful@44444444", "has no versions"),
        ("safe@22222222", "has no versions"),
        ("@11111111", "no reward ''"),
    ],
)
def test_an_address_of_none_or_several_is_refused(catalogue, address, why):
    with pytest.raises(UnknownReward, match=why) as refused:
        catalogue.find(address)
    assert (refused.value.http, refused.value.code) == (404, "unknown_reward")


def test_promotions_are_taken_back_one_by_one(catalogue):
    assert catalogue.promote("helpful", TWO[:56] + "2") == TWO
    assert catalogue.promote("helpful", THREE) == THREE
    assert catalogue.promote("helpful", THREE) == THREE
    assert catalogue.find("helpful") == THREE
    assert catalogue.find("safe") == ONE
    assert catalogue.rollback("helpful") == TWO
    assert catalogue.rollback("helpful") == ONE
    with pytest.raises(Unprocessable, match="no promotion"):
        catalogue.rollback("helpful")
    with pytest.raises(UnknownReward):
        catalogue.rollback("nobody")
    with pytest.raises(UnknownReward):
        catalogue.promote("helpful", "44444444")


def test_names_can_be_addressed_and_versions_differ(catalogue):
    with pytest.raises(ValueError, match="given twice"):
        catalogue.add("helpful", ONE)
    for name in ("", "a@b", "a//b", "a/", "a/../b", "./a", "-a", "a b", "a.", "..", "é"):
        with pytest.raises(ValueError, match="names no reward"):
            check_name(name)
    for name in ("a", "A-1", "qwen2.5_vl", "org/model-8B", "/models/mine"):
        check_name(name)
    with pytest.raises(Unavailable):
        Catalogue[str](str).find(None)
