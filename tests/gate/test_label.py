"""The gate and the label never disagree about whether the text is read."""

import numpy as np

from tests.pairs.zoo import judged, measured_as


def test_a_significant_difference_that_brings_nothing_nearer_fails(release):
    """An AR that ignores its text answers so much alike that any accident is significant."""

    def all_but_ignore_the_text(parts) -> None:
        gold, rows = parts.vectors["gold"], parts.rows
        position = {row.id: index for index, row in enumerate(rows)}
        constant = np.random.default_rng(0).normal(size=gold.shape[1])
        real = (constant + 1e-4 * gold).astype(np.float32)
        parts.vectors["real"] = real
        parts.vectors["shuffled"] = real[[position[row.shuffled_from] for row in rows]]

    measured_as(release, all_but_ignore_the_text)

    (found,) = [each for each in judged(release).findings if each.code == "NLA603"]
    assert found.message.startswith("format-only: a reconstruction is nearer to its own")
