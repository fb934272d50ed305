"""What a card says of findings that its author lets stand."""

from collections.abc import Sequence

from nla_release.release.config import Waiver
from nla_release.text.sandbox import render_template


def waivers_section(waivers: Sequence[Waiver]) -> str:
    """Markdown for the limitations; empty without waivers. A check finds it again on the card."""
    if not waivers:
        return ""
    listed = [waiver.model_dump(mode="json") for waiver in waivers]
    return render_template("blocks/waivers.md.jinja", {"waivers": listed}).strip()
