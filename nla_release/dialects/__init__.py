"""Foreign sidecars: every dialect in use is recognised, read or refused by name.

* `table` tells dialects apart; `folder` reads an adapter's folder, `sources` finds it.
* `facts` is what a canonical sidecar needs and how each dialect spells it.
* `pair` collects what is known of a pair in a `report`: recorded, answered, inferred, or asked.
* `canonical` makes sidecars of a report; `adopt` makes a release folder of it all.
"""

from nla_release.dialects.table import Context, Dialect, recognise

__all__ = ["Context", "Dialect", "recognise"]
