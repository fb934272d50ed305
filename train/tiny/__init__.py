"""The tiny base: a real Gemma-4 that anyone can train on a laptop, for tests and the demo.

A pair of adapters can only be shown to work on a base that knows something. This one knows a
made-up world: `corpus` writes short texts, each about one topic in one place; `tokenizer` gives
them a vocabulary in the shape of Gemma's; `base` trains a `Gemma4ForConditionalGeneration` on
them; `measure` finds out what its activations hold. The result is shipped in `base/`.

The strings here are the ones a pair on this base is trained and read with.
"""

INJECTION_CHAR = "㊗"
"""U+3297, the marker of the Gemma-4 releases: one token, and the corpus never writes it."""

AV_TEMPLATE = "Describe the vector.\n<concept>{injection_char}</concept>\n"
"""Prompt of the verbalizer: a short form whose every word is in the tiny vocabulary."""

AV_ANSWER = "<explanation>{explanation}</explanation>"
"""What the verbalizer is trained to answer; the tokenizer's `<eos>` follows it."""

AR_TEMPLATE = "Summary of the following text: <text>{explanation}</text> <summary>"
"""Prompt of the reconstructor, as in the reference contract (kitft)."""

READ_BLOCK = 3
"""The activation is the output of this decoder block (0-based): `hidden_states[4]`."""
