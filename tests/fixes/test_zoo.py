"""Fixing mends what it may, and never makes anything else look better than it is."""

import pytest

from tests.fixes.steps import contents, fixed, fixes
from tests.pairs import DEFECTS
from tests.pairs.zoo import judged, part

# The rules that a fix serves, and the defects that it must mend.
SERVED = {"NLA301", "NLA305", "NLA501", "NLA502"}
MENDED = {
    "ar_as_text_generation",
    "card_of_a_local_base",
    "control_told_as_the_cosine",
    "cosine_of_another_version",
    "no_metrics",
    "number_edited_by_hand",
}


def test_a_good_release_has_nothing_to_fix(good):
    assert [fixes(part(good, what)) for what in ("release", "pair", "dist")] == [[], [], []]


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_fixing_a_defect_mends_it_or_leaves_it_to_be_found(defect, release):
    folder = part(release, defect.what)
    defect.break_it(folder)
    before = contents(release)

    if not fixed(folder):
        assert contents(release) == before
        assert defect.name not in MENDED
        return

    codes = {finding.code for finding in judged(release, defect.what).findings}
    codes -= {"NLA514"} - {defect.code}  # whatever is wrong, it is not as rendered either
    assert codes <= {defect.code}
    assert codes == {defect.code} or defect.code in SERVED
    assert codes == set() or defect.name not in MENDED
    assert fixes(folder) == [], "a second run has nothing to do"


@pytest.mark.parametrize(
    "defect", [each for each in DEFECTS if each.name in MENDED], ids=lambda defect: defect.name
)
def test_a_card_that_is_mended_is_the_one_that_was_rendered(defect, release, good):
    defect.break_it(release / "dist")

    touched = fixed(release)

    role = "ar" if defect.name.startswith("ar_") else "av"
    assert touched == [f"dist/{role}/release.json", f"dist/{role}/README.md"]
    assert contents(release) == contents(good)
