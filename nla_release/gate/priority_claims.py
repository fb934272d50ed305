"""NLA507: claims to be the first, the only one or the best, and their sources.

Most "first", "only" and "best" claim nothing: the first token, only rows with an explanation, the
best example. A claim is one of these words with the kind of thing that is published.
"""

import re
from collections.abc import Iterator

from nla_release.gate.adapter_folder import AdapterFolder
from nla_release.gate.authored import Authored, check_authored, has_source, own_addresses
from nla_release.gate.findings import Problem, Skip
from nla_release.gate.model import RENDERINGS, rule
from nla_release.gate.subject import Subject
from nla_release.text.sentences import sentences

# Every repetition is bounded: these run over untrusted text.
_GAP = r"\s{1,3}"
_WORD = r"[\w.'’/-]{1,40}"
_KIND = rf"""(?:
    (?:NLA|(?:natural[- ]language{_GAP})?autoencoder|verbali[sz]er|reconstructor|explainer)s?\b
    (?!\s(?:token|block|layer|step|row|output|head|prompt|text|explanation)s?\b)
)"""
_THING = r"(?:model|release|pair|adapter|system|work|replication|implementation)s?\b"
_IDEA = r"(?:method|approach|technique|architecture|algorithm|framework|objective)s?\b"
_PUBLIC = r"""(?:
    non-[\w-]{1,40} | open(?:-\w{1,20})? | public(?:ly)? | published | known | available | ever
  | independent | third-party | community
)"""
# Not "the first block of the NLA": only adjectives say what is claimed to be first.
_ADJECTIVES = rf"(?:(?!(?:of|in|on|at|from|for|to|by|with|and|or|the|an?)\b){_WORD}{_GAP}){{0,6}}"
_PUBLISHED = rf"{_ADJECTIVES}{_PUBLIC}{_GAP}{_ADJECTIVES}"
_PUBLISHED_THING = rf"{_PUBLISHED}{_THING}"
# The first release of this pair is no claim of priority; the first release of an NLA is.
_FIRST_THING = rf"(?!{_PUBLISHED}releases?\b(?!{_GAP}of{_GAP}(?:an?|any)\b)){_PUBLISHED_THING}"
# "It outperforms the shuffled control" is measured here, and no claim of priority.
_MEASURED_HERE = rf"""
    {_GAP}(?:{_WORD}{_GAP}){{0,3}}
    (?:control|baseline|chance|mean|random|shuffled|empty|zero|another|other\srow|itself)
"""

_CLAIM = re.compile(
    rf"""\b(?:
    (?<!\bour\s)(?<!\bits\s)(?<!\bmy\s)(?:first|1st)[- ]{_ADJECTIVES}{_KIND}
  | (?:first|1st){_GAP}{_FIRST_THING}(?!\sof\sth)
  | (?:first|only|best){_GAP}such{_GAP}{_ADJECTIVES}(?:{_KIND}|{_THING})
  | (?:is|are|was|were|be|as){_GAP}(?:the{_GAP})?first{_GAP}(?:ever{_GAP})?to\b
  | first[-\s]{{1,3}}of[-\s]{{1,3}}its[-\s]{{1,3}}kind | first[- ]ever
  | (?:nobody|no[- ]one)(?:{_GAP}else)?{_GAP}(?:has|had){_GAP}(?:(?:ever|yet|before|so\sfar){_GAP})?
        (?:released|published|built|trained|open-sourced|achieved|done)\b
  | never{_GAP}before{_GAP}(?:been|seen|done|has|have|was|were|possible)\b

  | only{_GAP}{_ADJECTIVES}{_KIND}{_GAP}(?:{_WORD}{_GAP}){{0,3}}
        (?:that|which|to|for|on|in|of\sits\skind|there\sis|available|so\sfar)\b
  | only{_GAP}{_PUBLISHED_THING}
  | no{_GAP}other{_GAP}(?:{_ADJECTIVES}{_KIND}|{_PUBLISHED_THING})

  | state[- ]of[- ]the[- ]art | sota | unprecedented | unmatched | unrivall?ed | unsurpassed
  | ground-?breaking | revolutionary | world[- ]class | best[- ]in[- ]class
  | best{_GAP}(?:{_ADJECTIVES}{_KIND}|{_PUBLISHED_THING})
  | (?:{_KIND}|{_THING}){_GAP}(?:is|are){_GAP}(?:by\sfar\s)?the{_GAP}best\b
        (?!{_GAP}(?:row|example|case|we|I|that|possible|of{_GAP}(?:the|its|these){_GAP}(?:rows|examples)))
  | (?:largest|smallest|fastest|cheapest|strongest|most{_GAP}\w{{1,30}}){_GAP}{_ADJECTIVES}{_KIND}
  | novel{_GAP}{_ADJECTIVES}(?:{_KIND}|{_THING}|{_IDEA})
  | (?:
        outperform\w{{0,3}}+ | surpass\w{{0,3}}+ | superior{_GAP}to
      | (?:better{_GAP}than|beat(?:s|ing)?){_GAP}
            (?:any|all|every|each|existing|prior|previous|competing)\b
    )(?!{_MEASURED_HERE})
    )""",
    re.IGNORECASE | re.VERBOSE,
)

# "It is not the first NLA", "far from state of the art", "no claim to be the best NLA".
_DENIED = re.compile(
    rf"""\b(?:not|no|never|nor|neither|without|cannot|hardly|\w{{1,8}}n['’]t|far{_GAP}from|below)\b
    {_GAP}(?:{_WORD}{_GAP}){{0,4}}$""",
    re.IGNORECASE | re.VERBOSE,
)
# "A novel method is not claimed".
_DENIED_AFTER = re.compile(
    rf"{_GAP}(?:(?:is|are|was|were){_GAP}(?:not|never)|isn['’]t|aren['’]t){_GAP}"
    rf"(?:claimed|meant|implied|asserted|proposed|introduced)\b",
    re.IGNORECASE,
)
_DENIAL_LENGTH = 100


def claim(sentence: str) -> str | None:
    """The words of a sentence that claim priority, uniqueness or superiority; None without any."""
    for found in _CLAIM.finditer(sentence):
        before = sentence[max(0, found.start() - _DENIAL_LENGTH) : found.start()]
        if not (_DENIED.search(before) or _DENIED_AFTER.match(sentence, found.end())):
            return " ".join(found[0].split())
    return None


@rule("NLA507", "warning", "claims to be first or best name their source", each=RENDERINGS)
def claims_have_sources(target: tuple[AdapterFolder, Subject]) -> Iterator[Problem | Skip]:
    """Sentence by sentence; one finding each.

    Checks: No sentence of the authors claims to be the first, the only one, the best or the state
        of the art without a link or a citation key. The authors' texts are the notes, `title` and
        `updates` of release.yaml, blocks added by hand to README.md or RELEASE_CALIBRATION.md, and
        the entries of HISTORY.md that are about this version or not published yet. A link to the
        repository itself, its partner or its base does not count. A sentence that denies such a
        claim is no finding.
    Why: The cards of SolshineCode/nla-gemma-4-e2b call it the first non-Anthropic-team NLA and the
        only NLA that reads Gemma-4-E2B. Many public forks and ports of
        kitft/natural_language_autoencoders existed at the time.
    Fix: Link to evidence for the claim, such as a dated search of the Hub, or describe the release
        without ranking it.
    Example: claims 'first non-Anthropic-team open-source NLA' and names no source
    Waive: The warning may stand for words that only look like a claim.
    """
    adapter, subject = target
    own = own_addresses(adapter)

    def unsourced(text: Authored) -> Iterator[Problem]:
        for sentence in sentences(text.text):
            if (words := claim(sentence.text)) and not has_source(sentence, own):
                yield Problem(text.at(sentence.line), f"claims {words!r} and names no source")

    yield from check_authored(adapter, subject, unsourced)
