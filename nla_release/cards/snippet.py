"""The constants of a usage snippet, from sidecar and evidence, never typed by hand."""

from dataclasses import dataclass

from nla_release.calibration.evidence import Evidence
from nla_release.prompt import av_prompt
from nla_release.sidecar import Dtype, Quantization, Sidecar

# Shown when the evidence has no source text, or no explanation, to start from.
_ANY_TEXT = "The captain dropped the anchor and waited for the wind to turn."
_ANY_EXPLANATION = "a ship waiting at anchor for a favourable wind"


@dataclass(frozen=True)
class Snippet:
    """What both roles' snippets are filled with.

    `ends_left` and `begins_right` are the characters around the marker in the template: its left
    neighbour token ends in the one, its right one begins with the other. They are None where the
    template gives none. `row` is the evidence row that `text` and `explanation` come from.
    """

    prompt: str
    ends_left: str | None
    begins_right: str | None
    row: str | None
    text: str
    explanation: str
    dtype: Dtype
    quantization: Quantization | None
    max_new_tokens: int


def snippet(sidecar: Sidecar, evidence: Evidence) -> Snippet:
    """The constants for the adapter of this sidecar; the example is the first explained row."""
    left, right = sidecar.prompt_templates.av.split("{injection_char}")
    shown = next((row for row in evidence.rows if row.status == "ok"), None)
    run = evidence.run
    return Snippet(
        prompt=av_prompt(sidecar.prompt_templates.av, sidecar.tokens.injection_char)
        if sidecar.role == "av"
        else sidecar.prompt_templates.ar,
        ends_left=left[-1:] or None,
        begins_right=right[:1] or None,
        row=shown.id if shown else None,
        text=shown.text if shown and shown.text else _ANY_TEXT,
        explanation=shown.explanation if shown else _ANY_EXPLANATION,
        dtype=run.precision.dtype,
        quantization=run.precision.quantization,
        max_new_tokens=run.decoding.max_new_tokens,
    )
