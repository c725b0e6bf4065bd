from __future__ import annotations

import pytest

from tool_specs.civitai.licenses import commercial_use, license_of


@pytest.mark.parametrize(
    ("value", "uses"),
    [
        ("None", ()),
        ("Image", ("Image",)),
        ("Rent", ("Image", "RentCivit", "Rent")),
        ("Sell", ("Image", "RentCivit", "Rent", "Sell")),
        (["RentCivit", "Image"], ("Image", "RentCivit")),
        (["Sell"], ("Sell",)),
        ("{Image,RentCivit}", ("Image", "RentCivit")),
        ("{}", ()),
        ([], ()),
        (None, ()),
        (7, ()),
        ([None, {"a": 1}], ()),
    ],
)
def test_commercial_use_in_every_encoding(value: object, uses: tuple[str, ...]) -> None:
    assert commercial_use(value) == uses


def test_the_base_model_can_forbid_what_the_creator_allows() -> None:
    record = {"allowCommercialUse": "Sell", "allowNoCredit": False, "allowDifferentLicense": "false"}

    assert license_of(record, "SD 1.5").may_sell_images
    assert not license_of(record, "SDXL Turbo").may_sell_images
    assert not license_of({}, "SD 1.5").may_sell_images
    assert license_of(record, "SD 1.5").base_model_license == "CreativeML Open RAIL-M"
    assert not license_of(record, "SD 1.5").allow_no_credit
    assert not license_of(record, "SD 1.5").allow_different_license
