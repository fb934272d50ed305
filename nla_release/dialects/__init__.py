"""Foreign sidecars: every dialect in use is recognised, read or refused by name.

* `table` tells dialects apart; `folder` reads an adapter's folder, `sources` finds it.
* `facts` is what a canonical sidecar needs and how each dialect spells it.
* `pair` collects what is known of a pair in a `report`: recorded, answered, inferred, or asked;
  `prompts` is its part about prompts, and `rendering` the base's tokenizer and chat template.
* `canonical` makes sidecars of a report, `copies` takes files over; `adopt` makes a release folder.
"""

from nla_release.dialects.table import Context, Dialect, recognise

__all__ = ["Context", "Dialect", "recognise"]
