"""The report: one HTML file that shows a verdict, the numbers behind it, and the rows behind those.

* `context` gathers plain data from what the gate looked at, section by section.
* `described` turns any block of a calibration into names, values and what they mean.
* `texts` makes strangers' characters visible and takes this machine's folders out of messages.
* `provenance` lists what a run depended on, and hashes.
* `figure` draws the pair against its controls as SVG.
* `render` puts it all into `model_cards/report.html.jinja`.

The file is the same for the same input, needs no network and no script, and runs no code of others.
"""
