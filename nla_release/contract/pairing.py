"""Whether an AV and an AR belong together, from their sidecars alone."""

from typing import Any

from nla_release.contract.sidecar import Sidecar


def disagreements(av: Sidecar, ar: Sidecar) -> list[str]:
    """Every fact that the two sidecars of one pair must share and do not, as sentences."""
    return [
        f"{name}: AV says {left!r}, AR says {right!r}"
        for name, left, right in _shared_facts(av, ar)
        if left != right
    ]


def _shared_facts(av: Sidecar, ar: Sidecar) -> list[tuple[str, Any, Any]]:
    def both(name: str, read: Any) -> tuple[str, Any, Any]:
        return name, read(av), read(ar)

    return [
        both("nla_release.base.id", lambda side: side.nla_release.base.id),
        both("nla_release.base.revision", lambda side: side.nla_release.base.revision),
        both("d_model", lambda side: side.d_model),
        both("extraction_layer_index", lambda side: side.extraction_layer_index),
        both("nla_release.layer_convention", lambda side: side.nla_release.layer_convention),
        both("prompt_templates.av", lambda side: side.prompt_templates.av),
        both("prompt_templates.ar", lambda side: side.prompt_templates.ar),
        both("tokens.injection_char", lambda side: side.tokens.injection_char),
        both("tokens.injection_token_id", lambda side: side.tokens.injection_token_id),
    ]
