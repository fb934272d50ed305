from collections.abc import Callable
from typing import Any

import pytest

from nla_release.calibration.evidence_folder import write_evidence
from nla_release.evidence.parts import Evidence
from tests.builders import EvidenceParts, evidence_parts


@pytest.fixture
def measured(tmp_path) -> Callable[..., Evidence]:
    """Synthetic evidence of 60 rows in 30 documents, changed before it is written and read back."""

    def measure(change: Callable[[EvidenceParts], Any] = lambda parts: None, **options) -> Evidence:
        parts = evidence_parts(**{"rows": 60, "documents": 30} | options)
        change(parts)
        return write_evidence(tmp_path / "evidence", *parts)

    return measure


@pytest.fixture
def reordered(measured) -> Callable[..., tuple[Evidence, Evidence]]:
    """The same evidence twice, the second time in reverse; for tensors that go row by row."""

    def measure(**options) -> tuple[Evidence, Evidence]:
        def reverse(parts: EvidenceParts) -> None:
            parts.rows.reverse()
            for name, values in parts.vectors.items():
                if values.ndim == 2:
                    parts.vectors[name] = values[::-1].copy()

        return measured(**options), measured(reverse, **options)

    return measure
