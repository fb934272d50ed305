"""The recipe's prompts and their token ids, which `build` pins for the trainings."""

from typing import Any

from nla_release.base_model.revision import check_source
from nla_release.contract.chat import Chat
from nla_release.contract.prompt import MarkedPrompt, av_prompt, mark, suffix_ids
from nla_release.engine.base import LoadedBase, load_base_tokenizer, quiet_libraries
from nla_release.errors import ConfigError, DataError, EnvironmentProblem
from nla_release.io.files import sha256_file
from nla_release.training.recipe import Recipe

# Takes the marker's place in a dataset's prompts, so that rows do not depend on a tokenizer.
PLACEHOLDER = "<INJECT>"


def chat_of(base: LoadedBase, recipe: Recipe) -> Chat | None:
    """The base's chat template with the recipe's options, when the AV's prompt is a chat.

    Raises:
        ConfigError: the base has none.
    """
    if recipe.prompt_encoding == "raw":
        return None
    if base.chat is None:
        raise ConfigError(
            f"prompt_encoding is chat, and {recipe.base.id} has no chat template",
            hint="set prompt_encoding to raw, or train on the base's instruction-tuned sibling",
        )
    return base.chat.with_options(recipe.chat_options)


def marked_prompt(base: LoadedBase, recipe: Recipe) -> MarkedPrompt:
    """The AV's prompt as the recipe has it encoded.

    Raises:
        ConfigError: the recipe wants a chat, and the base has no chat template.
        PairError: it does not contain the marker exactly once, or the chat template fails.
    """
    return mark(base.encode, recipe.templates.av, recipe.marker, chat_of(base, recipe))


def placeheld_prompt(base: LoadedBase, recipe: Recipe) -> str:
    """The AV's prompt as it is encoded, with the placeholder in the marker's place."""
    chat = chat_of(base, recipe)
    prompt = av_prompt(recipe.templates.av, PLACEHOLDER)
    return prompt if chat is None else chat.render(prompt)


def contract_of(base: LoadedBase, recipe: Recipe) -> dict[str, Any]:
    """Tokens and templates in the reference contract's words, for dataset sidecars.

    Raises:
        ConfigError: the recipe wants a chat, and the base has no chat template.
        PairError: a template does not suit the base's tokenizer.
    """
    prompt = marked_prompt(base, recipe)
    return {
        "tokens": {
            "injection_char": recipe.marker,
            "injection_token_id": prompt.token_id,
            "injection_left_neighbor_id": prompt.left_id,
            "injection_right_neighbor_id": prompt.right_id,
            "critic_suffix_ids": suffix_ids(base.encode, recipe.templates.ar),
        },
        "prompt_templates": recipe.templates.model_dump(),
    }


def pins_of(base: LoadedBase, recipe: Recipe) -> dict[str, Any]:
    """What must not drift between building the rows and training on them."""
    chat, prompt = chat_of(base, recipe), marked_prompt(base, recipe)
    return {
        "tokenizer_sha256": base.tokenizer_sha256,
        "prompt_encoding": recipe.prompt_encoding,
        "chat_template_sha256": chat.sha256 if chat else None,
        "prompt_token_ids": list(prompt.ids),
        "marker_position": prompt.position,
        "critic_suffix_ids": suffix_ids(base.encode, recipe.templates.ar),
        "placeholder": PLACEHOLDER,
    }


def check_pins(pinned: dict[str, Any], base: LoadedBase, recipe: Recipe, where: str) -> None:
    """Compare what `build` pinned with what this base's tokenizer gives.

    Raises:
        DataError: the first difference.
    """
    for key, found in pins_of(base, recipe).items():
        if pinned.get(key) != found:
            raise DataError(
                f"{where} pins {key} {pinned.get(key)!r}, the base's tokenizer gives {found!r}",
                hint="train with the tokenizer that the rows were built with, or build them again",
            )


def base_without_weights(
    recipe: Recipe, revision: str | None, *, source: str | None = None
) -> LoadedBase:
    """The recipe's base, for what only needs its tokenizer.

    Args:
        recipe: that names the base.
        revision: of the base.
        source: where its tokenizer is, instead of the recipe's local copy or the Hub.

    Raises:
        ConfigError: `base.path` is not a folder.
        EnvironmentProblem: the tokenizer cannot be found or downloaded.
        InputError: it is damaged.
    """
    quiet_libraries()
    if source is None:
        source = recipe.base.path or recipe.base.id
        check_source(source)
    try:
        tokenizer, file = load_base_tokenizer(source, revision)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise EnvironmentProblem(
            f"the tokenizer of {source} (revision {revision or 'default'}) cannot be loaded:"
            f" {reason}",
            hint="check the id, HF_ENDPOINT and HF_HUB_OFFLINE, and log in if it is gated",
        ) from error
    return LoadedBase(
        model=None,
        tokenizer=tokenizer,
        tokenizer_sha256=sha256_file(file),
        revision=revision,
        quantization=recipe.base.quantization,
        dtype=recipe.base.dtype,
        device="cpu",
    )
