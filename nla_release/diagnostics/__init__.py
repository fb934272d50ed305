"""Optional measurements, each with its own control: one module per diagnostic.

`DIAGNOSTICS` is the list that the engine, the calibration, the checks of evidence, the cards, the
terminal, the report and the gate iterate over. Adding a diagnostic is adding a module here, whose
`DIAGNOSTIC` says everything about it, and its name in `evidence/diagnostic_names.py`. The names
alone import nothing, so that a configuration can be read without numpy; `registered` imports the
modules.
"""

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from nla_release.evidence.diagnostic_names import DIAGNOSTICS

if TYPE_CHECKING:
    from nla_release.diagnostics.model import Diagnostic


@cache
def registered() -> "tuple[Diagnostic[Any], ...]":
    """The `DIAGNOSTIC` of each module in the list, in order."""
    return tuple(
        import_module(f"{__name__}.{name.replace('-', '_')}").DIAGNOSTIC for name in DIAGNOSTICS
    )
