"""What the AR read for every tensor of some evidence, worked out from its rows.

The texts are in the rows or follow from them, so that the same AR can be asked again, and another
AR can be asked the same.
"""

from nla_release.calibration.parts import Evidence
from nla_release.diagnostics.asking import Texts


def row_texts(evidence: Evidence) -> dict[str, Texts]:
    """The texts of the tensors `[N, d]` that hold a reconstruction per row."""
    rows, zero = evidence.rows, evidence.run.zero_vector
    explained = {row.id: row.explanation if row.status == "ok" else None for row in rows}
    random = [row.random_vector for row in rows]
    texts: dict[str, Texts] = {
        "real": list(explained.values()),
        "shuffled": [explained[row.shuffled_from] for row in rows],
        "empty": [""] * len(rows),
        "random_vector": [it.explanation if it.status == "ok" else None for it in random],
        "zero_vector": [zero.explanation if zero.status == "ok" else None] * len(rows),
    }
    if "gold_text" in evidence.vectors:
        texts["gold_text"] = [row.gold for row in rows]
    for name in rows[0].texts:
        always = name == "source_text"
        texts[name] = [row.texts[name] if always or row.status == "ok" else None for row in rows]
    return texts
