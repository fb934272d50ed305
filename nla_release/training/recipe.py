"""The recipe: one YAML file that drives every step of the chain. Unknown keys are refused."""

import functools
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    JsonValue,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Tag,
    model_validator,
)

from nla_release.base_model.revision import folder_commit, resolve_commit
from nla_release.base_model.source import is_commit
from nla_release.contract.prompt import literal_escapes
from nla_release.contract.sidecar import (
    ChatOptions,
    Dtype,
    PromptEncoding,
    PromptTemplates,
    Quantization,
)
from nla_release.errors import ConfigError, InputError
from nla_release.io.files import read_yaml
from nla_release.io.schema import Strict, parse
from nla_release.training.settings import (
    EvaluationSettings,
    ReconstructorSettings,
    VerbalizerSettings,
)

Share = Annotated[float, Field(ge=0, le=1)]


def _without_escapes(templates: PromptTemplates) -> PromptTemplates:
    """Refuse a prompt that holds a backslash and an n where a line break was meant."""
    for name, template in (("av", templates.av), ("ar", templates.ar)):
        if found := literal_escapes(template):
            raise ValueError(
                f"{name} holds {found[0]} as {len(found[0])} characters; YAML reads escapes in"
                " double quotes only: write it so, or as a block after |"
            )
    return templates


class BaseSettings(Strict):
    """The base: Hub id and revision; `path` is a local copy used instead of the Hub.

    A branch, a tag or a short commit id is resolved to its commit when a step begins (see
    `pinned`), and that commit is loaded and recorded.
    """

    id: str = Field(description="Hub id")
    revision: str = Field(description="commit, tag or branch; the commit is recorded")
    path: str | None = Field(default=None, description="local copy, relative to the recipe")
    quantization: Quantization | None = Field(description="`nf4` or null")
    dtype: Dtype = Field(description="of weights and computation")


class HubDataset(Strict):
    """The first `documents` of a dataset on the Hub, streamed, never downloaded whole.

    As with the base, a branch or a tag is resolved to its current commit. `dataset` may also be a
    local folder, which has no revisions and is identified by the sha256 of what was read.
    """

    dataset: str = Field(description="Hub id, or a local folder")
    revision: str = Field(description="commit, tag or branch; the commit is recorded")
    config: str | None = Field(default=None, description="configuration of the dataset")
    split: str = Field(description="split of the dataset")
    text_column: str = Field(description="column of texts")
    id_column: str | None = Field(
        default=None, description="column of ids; documents are numbered without it"
    )
    documents: PositiveInt = Field(description="the first N documents")


def _corpus_kind(value: Any) -> str:
    return "file" if isinstance(value, str) else "dataset"


Corpus = Annotated[
    Annotated[str, Tag("file")] | Annotated[HubDataset, Tag("dataset")],
    Discriminator(_corpus_kind),
]


class ExtractionSettings(Strict):
    """Which activations are taken, from which documents.

    Of documents with labels, one activation per label, at the label's last token. Of others,
    `positions_per_document` positions from `min_position` on, chosen by `seed` and document.
    """

    corpus: Corpus = Field(
        description="a .jsonl, .parquet or .txt file, a folder of them, or a dataset of the Hub"
    )
    text_column: str = Field(default="text", description="column of texts in a file")
    id_column: str | None = Field(
        default=None, description="column of ids in a file; documents are numbered without it"
    )
    documents: PositiveInt | None = Field(
        default=None, description="the first N documents; all by default"
    )
    layer: NonNegativeInt = Field(description="block whose output is the activation")
    max_tokens: PositiveInt = Field(description="tokens read of a document")
    batch_size: PositiveInt = Field(description="documents read at once")
    min_position: NonNegativeInt = Field(default=50, description="first position to sample")
    positions_per_document: PositiveInt = Field(
        default=8, description="positions sampled per document without labels"
    )
    seed: int = Field(default=0, description="of the positions")

    @model_validator(mode="after")
    def _columns_are_named_once(self) -> "ExtractionSettings":
        named = sorted({"text_column", "id_column"} & self.model_fields_set)
        if named and isinstance(self.corpus, HubDataset):
            raise ValueError(
                f"{named[0]} belongs to a file or folder; for a dataset, set it under corpus"
            )
        return self


class Split(Strict):
    """The share of the documents on each side; they add up to 1.

    With `ar: av` the AR learns from the AV's rows. A corpus that says itself what is train and
    what is eval is obeyed; its train documents are divided among the other sides in proportion.
    """

    av: Share = Field(default=0.45, description="share of the documents the AV learns from")
    ar: Share | Literal["av"] = Field(
        default=0.45, description="share the AR learns from, or `av` for the AV's rows"
    )
    eval: Share = Field(default=0.1, description="share held out")
    rl: Share = Field(default=0.0, description="share kept for reinforcement learning")

    @model_validator(mode="after")
    def _all_is_given_out(self) -> "Split":
        total = self.av + (0 if self.ar == "av" else self.ar) + self.eval + self.rl
        if abs(total - 1) > 1e-6:
            raise ValueError(f"av, ar, eval and rl add up to {total:g}, expected 1")
        if min(self.av, self.eval, 1 if self.ar == "av" else self.ar) == 0:
            raise ValueError("av, ar and eval need documents: none of them may be 0")
        return self


class CorpusLabels(Strict):
    """The explanations that the corpus brings along.

    With `shuffle`, a seed, the rows that are learned from get explanations of other rows: a control
    that must not pass the gate.
    """

    source: Literal["corpus"] = Field(default="corpus", description="labels come with the corpus")
    shuffle: int | None = Field(
        default=None,
        description="a seed: gives training rows the labels of other rows, as a control",
    )


class Price(Strict):
    """Of a million tokens, in the currency of the bill."""

    input: NonNegativeFloat = Field(description="of a million input tokens")
    output: NonNegativeFloat = Field(description="of a million output tokens")


class Endpoint(Strict):
    """Explanations written by a model behind an OpenAI-compatible or Hub inference endpoint.

    `labeller` and `auditor` are prompts; without an auditor there is one pass. `{text}` is
    the text, and in the auditor's `{explanation}` for the labeller's. The token is in the
    environment variable `token_variable`: HF_TOKEN for a provider; at a `base_url` there is none by
    default. `extra_body` is added to the requests unchanged, and null removes a parameter.
    """

    source: Literal["endpoint"] = Field(description="a model writes the labels")
    model: str = Field(description="name of the model")
    base_url: str | None = Field(
        default=None, description="address of an OpenAI-compatible server; or give `provider`"
    )
    provider: str | None = Field(
        default=None, description="inference provider of the Hub, or `auto`"
    )
    token_variable: str | None = Field(
        default=None, description="environment variable that holds the token"
    )
    system: str | None = Field(default=None, description="system prompt")
    labeller: str = Field(description="prompt that asks for an explanation of `{text}`")
    auditor: str | None = Field(
        default=None, description="prompt that corrects `{explanation}`; one pass without it"
    )
    max_tokens: PositiveInt = Field(default=256, description="token limit of an answer")
    temperature: NonNegativeFloat | None = Field(default=0.0, description="null sends none")
    seed: int | None = Field(default=0, description="null sends none")
    extra_body: dict[str, JsonValue] = Field(
        default_factory=dict, description="further parameters; null removes one"
    )
    concurrency: Annotated[int, Field(ge=1, le=100)] = Field(
        default=4, description="requests at once"
    )
    requests_per_minute: PositiveFloat | None = Field(
        default=None, description="limit over all processes"
    )
    retries: NonNegativeInt = Field(default=6, description="of a failed request")
    backoff_seconds: PositiveFloat = Field(
        default=1.0, description="first pause; each next one is twice as long"
    )
    timeout_seconds: PositiveFloat = Field(default=60.0, description="for a whole answer")
    price_per_million_tokens: Price | None = Field(default=None, description="to estimate the cost")

    @model_validator(mode="after")
    def _can_be_asked(self) -> "Endpoint":
        if (self.base_url is None) == (self.provider is None):
            raise ValueError("give base_url or provider, and not both")
        if self.base_url is not None:
            address = urlsplit(self.base_url)
            if address.scheme not in ("http", "https") or not address.hostname:
                raise ValueError(f"base_url {self.base_url!r} is no http or https address")
            if address.username or address.password or address.query:
                raise ValueError(
                    "base_url holds a user, a password or a query, and recipes are published;"
                    " put the token into the environment"
                )
        if "{text}" not in self.labeller:
            raise ValueError("labeller has no {text}")
        if self.auditor is not None and not (
            "{text}" in self.auditor and "{explanation}" in self.auditor
        ):
            raise ValueError("auditor needs {text} and {explanation}")
        return self


class Build(Strict):
    """What labels must be like to be learned from.

    A row is dropped when its label is missing, empty, too long for the training's `max_tokens`,
    holds the marker, a tag or a secret, or is Chinese, Japanese or Korean in more than
    `max_cjk_share` of its letters. More than `max_dropped_share` of a file's rows stop the build.
    """

    max_cjk_share: Share = Field(
        default=0.1,
        description="drop labels with a larger share of Chinese, Japanese or Korean letters",
    )
    max_dropped_share: Share = Field(
        default=0.1, description="stop when a larger share of a file's rows is dropped"
    )


class Recipe(Strict):
    """All of it.

    With `prompt_encoding: chat` the AV's template is the user's message in the base's chat
    template, which is given `chat_options`, such as `enable_thinking: false`.
    """

    name: str = Field(description="name of the release")
    base: BaseSettings = Field(description="the base model")
    marker: str = Field(
        min_length=1, max_length=1, description="the character whose embedding is replaced"
    )
    templates: Annotated[PromptTemplates, AfterValidator(_without_escapes)] = Field(
        description="prompts of both roles"
    )
    prompt_encoding: PromptEncoding = Field(
        default="raw", description="`chat` uses the base's chat template"
    )
    chat_options: ChatOptions = Field(
        default_factory=dict,
        description="variables of the chat template, such as `enable_thinking: false`",
    )
    extract: ExtractionSettings = Field(description="which activations, of which documents")
    split: Split = Field(default=Split(), description="shares of the sides")
    label: Annotated[CorpusLabels | Endpoint, Field(discriminator="source")] = Field(
        default=CorpusLabels(), description="where explanations come from"
    )
    build: Build = Field(default=Build(), description="which labels are learned from")
    av: VerbalizerSettings = Field(description="training of the verbalizer")
    ar: ReconstructorSettings = Field(description="training of the reconstructor")
    eval: EvaluationSettings = Field(
        default=EvaluationSettings(), description="which checkpoints are measured"
    )

    @model_validator(mode="after")
    def _options_are_of_a_chat(self) -> "Recipe":
        if self.chat_options and self.prompt_encoding == "raw":
            raise ValueError("chat_options are given, and prompt_encoding is raw")
        return self

    @property
    def read_block(self) -> int:
        """The block whose output the AR reads: that of the activations, unless declared."""
        return self.extract.layer if self.ar.read_block is None else self.ar.read_block


def pinned(recipe: Recipe) -> Recipe:
    """The same recipe with full commits as the revisions of its base and of its Hub dataset.

    Raises:
        ConfigError: there is no such revision, or nothing says which commit `base.path` holds.
        EnvironmentProblem: neither the Hub nor the Hub client's cache names a commit.
    """
    base, extraction = recipe.base, recipe.extract
    if not is_commit(base.revision):
        if base.path is not None:
            commit = folder_commit(Path(base.path), base.revision)
        else:
            commit = _asked_once(base.id, base.revision, "base")
        base = base.model_copy(update={"revision": commit})
    corpus = extraction.corpus
    if isinstance(corpus, HubDataset) and not (
        is_commit(corpus.revision) or Path(corpus.dataset).exists()
    ):
        commit = _asked_once(corpus.dataset, corpus.revision, "dataset")
        corpus = corpus.model_copy(update={"revision": commit})
        extraction = extraction.model_copy(update={"corpus": corpus})
    return recipe.model_copy(update={"base": base, "extract": extraction})


@functools.cache
def _asked_once(repo: str, revision: str, kind: Literal["base", "dataset"]) -> str:
    """The commit, the same for all steps of a run even if the branch moves meanwhile."""
    return resolve_commit(repo, revision, kind)


def read_recipe(path: Path) -> Recipe:
    """A recipe from its file; a relative `base.path` is taken from the recipe's folder.

    Raises:
        ConfigError: missing, invalid, or with unknown keys; every wrong key is named.
    """
    try:
        document = read_yaml(path)
    except InputError as error:
        raise ConfigError(
            error.message,
            hint="copy a recipe: `nla-release train recipe NAME --out recipe.yaml`",
        ) from error
    recipe = parse(Recipe, document, path, error=ConfigError)
    if recipe.base.path is None:
        return recipe
    local = str((path.parent / recipe.base.path).resolve())
    return recipe.model_copy(update={"base": recipe.base.model_copy(update={"path": local})})
