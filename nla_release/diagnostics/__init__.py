"""Optional measurements, each with its own control: one module per diagnostic.

`DIAGNOSTICS` is the list that the engine, the calibration, the checks of evidence, the cards, the
terminal, the report, the gate and the tests of the docs go through. Adding a diagnostic is adding a
module here, whose `DIAGNOSTIC` says everything about it (`model.Diagnostic`), and its name in
`evidence/diagnostic_names.py`.

* `model` says what a diagnostic is: its records, what it asks of the pair, the evidence that it
  leaves, its rows and sentences.
* `asking` is what a diagnostic knows and says when it asks the pair for more.
* `tables` goes through what was measured, for every output.

The names alone load nothing, so that a configuration can be read without numpy. `registered` loads
the modules.
"""

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from nla_release.evidence.diagnostic_names import DIAGNOSTICS

if TYPE_CHECKING:
    from nla_release.diagnostics.model import Diagnostic


@cache
def registered() -> "tuple[Diagnostic[Any], ...]":
    """What each module of the list says of its diagnostic."""
    return tuple(
        import_module(f"{__name__}.{name.replace('-', '_')}").DIAGNOSTIC for name in DIAGNOSTICS
    )
