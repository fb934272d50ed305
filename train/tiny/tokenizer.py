"""A tokenizer in the shape of Gemma's, with one token for every word of the made-up world.

As in Gemma, a space becomes `▁` and belongs to the word after it, `</` is one token, and whatever
has no token of its own is spelled in bytes, so that any text goes in and comes out again. Unlike
Gemma's, the vocabulary is not learned: it is the set of words of the texts it is built from, so
the same texts give the same file.
"""

from collections.abc import Iterable

from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.decoders import ByteFallback, Fuse, Replace, Sequence
from tokenizers.models import BPE
from tokenizers.normalizers import Replace as NormalizerReplace
from tokenizers.pre_tokenizers import Split
from tokenizers.processors import TemplateProcessing

from train.tiny import INJECTION_CHAR

MAX_LENGTH = 512
"""Longest input in tokens, here and in the base's configuration."""

PAD, EOS, BOS, UNK = range(4)
SPECIAL_TOKENS = ("<pad>", "<eos>", "<bos>", "<unk>")

MEDIA_TOKENS = (
    "<boi>",
    "<eoi>",
    "<image_soft_token>",
    "<boa>",
    "<eoa>",
    "<audio_soft_token>",
    "<video_soft_token>",
)
"""Placeholders that a Gemma-4 configuration must point at and that no text contains."""

# A word with the space before it; `</` whole; any other character by itself, so that the marker
# always stands between `>` and `</`.
WORD = Regex(r"▁?\p{L}+|▁?</|▁?[^\p{L}▁]|▁")

VOCABULARY_MULTIPLE = 32


def build(texts: Iterable[str]) -> Tokenizer:
    """The tokenizer in which every word of `texts` is one token.

    Ids: four special tokens, the media placeholders, 256 bytes, the marker, the sorted words, and
    unused tokens up to a multiple of 32.
    """
    splitter, spaces = Split(WORD, "isolated"), NormalizerReplace(" ", "▁")
    words = {
        word for text in texts for word, _ in splitter.pre_tokenize_str(spaces.normalize_str(text))
    }
    tokens = [*SPECIAL_TOKENS, *MEDIA_TOKENS, *(f"<0x{byte:02X}>" for byte in range(256))]
    tokens += sorted(words | {INJECTION_CHAR, "▁"})
    tokens += [f"<unused{n}>" for n in range(-len(tokens) % VOCABULARY_MULTIPLE)]
    vocabulary = {token: number for number, token in enumerate(tokens)}

    tokenizer = Tokenizer(
        BPE(
            vocab=vocabulary,
            merges=[],
            unk_token="<unk>",  # noqa: S106 - not a password
            fuse_unk=True,
            byte_fallback=True,
            ignore_merges=True,
        )
    )
    tokenizer.normalizer = spaces
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = Sequence([Replace("▁", " "), ByteFallback(), Fuse()])
    tokenizer.post_processor = TemplateProcessing(
        single="<bos> $A", pair="<bos> $A <bos>:1 $B:1", special_tokens=[("<bos>", BOS)]
    )
    tokenizer.add_special_tokens(
        [AddedToken(token, normalized=False, special=True) for token in SPECIAL_TOKENS]
    )
    return tokenizer
