"""What the prose of a card says: its sentences, the claims and the numbers in them.

`reader` takes Markdown apart into sentences; `claims` finds priority and superiority in one,
`literals` its numbers, `statements` what it says of a metric, and `quantities` the numbers that
the calibration gives for that metric.
"""
