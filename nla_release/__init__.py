"""Release Natural Language Autoencoder pairs: validate, calibrate, document, publish, verify.

The way of the data is one direction, and each stage is one module or package:

* `release` reads `release.yaml`, the description of one pair and how it is measured.
* `sidecar`, `prompt`, `weights` read the pair's files without torch.
* `engine` (needs the `engine` extra) runs the pair on its base: activation -> words -> activation.
* `calibration` turns the evidence that a run left behind into numbers, each with its control.
* `cards` renders both repositories from those numbers into `dist/av` and `dist/ar`.
* `rules` judges a pair, its evidence or its rendered repositories, and gives one verdict.
* `hub` publishes both repositories as one unit, and brings its own Hub on loopback to rehearse.

Importing this package loads none of torch, transformers, peft or bitsandbytes.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
