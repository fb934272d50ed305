"""The constants of a usage snippet, from sidecar and evidence, never typed by hand.

And the program in `examples/`, which both repositories hold: one round trip, from the same facts.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from nla_release.calibration.evidence_folder import Evidence
from nla_release.contract.prompt import av_prompt
from nla_release.contract.sidecar import Dtype, Quantization, Role, Sidecar
from nla_release.text.sandbox import render_template

ROUND_TRIP_NAME = "examples/round_trip.py"

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


def round_trip(
    sidecars: Mapping[Role, Sidecar], evidence: Evidence, repos: Mapping[Role, str], tag: str
) -> str:
    """The text of `examples/round_trip.py`, the same in both repositories.

    Args:
        sidecars: of both adapters.
        evidence: whose first explained row is the example.
        repos: both repositories.
        tag: of the release.
    """
    known = snippet(sidecars["av"], evidence)
    context = {
        "sidecars": {
            role: sidecar.model_dump(mode="json", by_alias=True)
            for role, sidecar in sidecars.items()
        },
        "snippet": asdict(known),
        "av_prompt": known.prompt,
        "repos": dict(repos),
        "tag": tag,
    }
    return render_template("round_trip.py.jinja", context)
