"""What each probe says, computed from evidence alone: one module per probe, `report(evidence)`.

A report is None when its probe did not run, and then absent from `calibration.json`; it is
`Inconclusive`, with the reason, when the evidence is too small or does not vary. It never stands
for a probe that did not run by a zero.
"""
