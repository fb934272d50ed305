"""What a card says of thresholds that its author set lower than the tool does."""

from nla_release.release.config import Gates


def loosened_section(gates: Gates) -> str:
    """Markdown for the limitations; empty at the defaults. A check finds it again on the card."""
    if not gates.loosened:
        return ""
    told = "; ".join(
        f"`{name}` is {value:g}, and {usual:g} by default"
        for name, (value, usual) in gates.loosened.items()
    )
    return (
        "**The gate was loosened for this release.** Its author lets more pass than `nla-release`"
        f" does by itself: {told}. The numbers and the label do not depend on it."
    )
