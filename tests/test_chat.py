"""A base's chat template is found, rendered, and kept from doing any harm."""

import json

import pytest

from nla_release.contract import chat
from nla_release.contract.chat import Chat, read_chat
from nla_release.contract.chat_rendering import MAX_CHARACTERS
from nla_release.errors import InputError, PairError
from nla_release.io.files import sha256_bytes
from tests.chats import CHATML, GEMMA, TURNS

TOKENS = {"bos_token": "<bos>", "eos_token": "<eos>"}


def base(folder, template=None, **config):
    if template is not None:
        (folder / "chat_template.jinja").write_text(template)
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


# -- finding --


def test_the_templates_own_file_goes_before_the_configurations(tmp_path):
    found = read_chat(base(tmp_path, TURNS, chat_template="another", **TOKENS))

    assert found == Chat(TURNS, TOKENS)
    assert found.sha256 == sha256_bytes(TURNS.encode())


def test_the_configuration_holds_one_template_or_several(tmp_path):
    several = [{"name": "rag", "template": "another"}, {"name": "default", "template": TURNS}]

    assert read_chat(base(tmp_path, chat_template=TURNS)) == Chat(TURNS, {})
    assert read_chat(base(tmp_path, chat_template=several)) == Chat(TURNS, {})


def test_a_template_of_a_processor_is_read_when_there_is_no_other(tmp_path):
    """chat_template.json, as Gemma-3 and Llava have it."""
    (tmp_path / "chat_template.json").write_text(json.dumps({"chat_template": TURNS}))

    assert read_chat(tmp_path) == Chat(TURNS, {})
    assert read_chat(base(tmp_path, **TOKENS)) == Chat(TURNS, TOKENS)
    assert read_chat(base(tmp_path, chat_template="another")).template == "another"
    assert read_chat(base(tmp_path, GEMMA)).template == GEMMA


@pytest.mark.parametrize("document", [[], {"chat_template": 3}])
def test_a_damaged_template_of_a_processor_is_named(tmp_path, document):
    (tmp_path / "chat_template.json").write_text(json.dumps(document))

    with pytest.raises(InputError, match=r"chat_template\.json"):
        read_chat(tmp_path)


@pytest.mark.parametrize("templates", [None, [], [{"name": "rag", "template": "x"}], ["x"]])
def test_a_base_may_have_no_template(tmp_path, templates):
    assert read_chat(base(tmp_path, chat_template=templates)) is None


def test_a_folder_without_any_of_the_files_has_none(tmp_path):
    assert read_chat(tmp_path) is None


def test_special_tokens_are_texts_or_objects_that_hold_one(tmp_path):
    found = read_chat(
        base(tmp_path, TURNS, bos_token={"content": "<s>", "lstrip": False}, eos_token=None, x="y")
    )

    assert found.special_tokens == {"bos_token": "<s>"}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("tokenizer_config.json", "[]", "must hold a JSON object"),
        ("tokenizer_config.json", "{", "is not valid JSON"),
        ("tokenizer_config.json", '{"chat_template": 7}', "is not a text of at most"),
        ("tokenizer_config.json", '{"chat_template": "\\ud800"}', "half of a surrogate pair"),
        ("chat_template.jinja", "x" * (1024 * 1024 + 1), "is larger than"),
    ],
)
def test_files_that_are_not_what_they_should_be_are_named(tmp_path, name, content, words):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=words):
        read_chat(tmp_path)


# -- rendering --


def test_a_prompt_is_what_the_user_says_and_the_assistants_turn_to_follow():
    assert Chat(TURNS, TOKENS).render("Describe ㊗.") == "<bos><user> Describe ㊗.\n<assistant> "
    assert Chat(GEMMA, TOKENS).render(" hi ") == (
        "<bos><start_of_turn>user\nhi<end_of_turn>\n<start_of_turn>model\n"
    )


def test_an_option_changes_the_prompt():
    thinking = Chat(CHATML, {})

    assert "<think>" not in thinking.render("hi")
    assert thinking.with_options({"enable_thinking": False}).render("hi").endswith("</think>\n\n")


def test_what_the_user_says_is_never_a_template():
    said = "{{ bos_token }} {% for %} {# #}"

    assert said in Chat(TURNS, TOKENS).render(said)


@pytest.mark.parametrize(
    ("template", "words"),
    [
        (
            "{{ raise_exception('no such role') }}",
            "rendered: TemplateError: no such role",
        ),
        ("{% for %}", "TemplateSyntaxError"),
        ("{{ messages[7].content }}", "UndefinedError"),
        ("{{ 7 / 0 }}", "ZeroDivisionError"),
        ("{{ strftime_now('%Y-%m-%d') }}", "today's date, so the prompt differs every day"),
        ("{{ ''.__class__.__mro__ }}", "SecurityError"),
        ("{{ messages.append(1) }}", "SecurityError"),
        ("{% set ns = namespace(__class__=1) %}", "a namespace may not have '__class__'"),
        ("{% set ns = namespace() %}{% set ns._x = 1 %}", "a namespace may not have '_x'"),
        ("{{ range(10 ** 9) | list }}", "OverflowError"),
        ("{% for n in range(99999) %}{{ 'x' * 999 }}{% endfor %}", f"more than {MAX_CHARACTERS}"),
        ("{{ '\\ud800' }}", "UnicodeEncodeError"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "RecursionError"),
        ("{% include 'other' %}", "no loader"),
        ("{{ 'x' * 10 ** 11 }}", "MemoryError"),
    ],
)
def test_a_template_that_fails_or_reaches_out_is_one_clear_error(template, words):
    with pytest.raises(PairError, match="the chat template") as caught:
        Chat(template, {}).render("hi")

    assert words in caught.value.message


def test_a_template_that_never_ends_is_stopped(monkeypatch):
    """Every loop is within the sandbox's limit of 100,000, and three of them take years."""
    monkeypatch.setattr(chat, "_SECONDS", 1)
    loops = "".join(f"{{% for {name} in range(99999) %}}" for name in "abc")

    with pytest.raises(PairError, match="does not end within 1 seconds"):
        Chat(loops + "{% endfor %}" * 3, {}).render("hi")


def test_a_process_that_dies_is_reported(monkeypatch, tmp_path):
    (tmp_path / "dies.py").write_text("raise SystemExit('gone')")
    monkeypatch.setattr(chat, "_RENDERING", tmp_path / "dies.py")

    with pytest.raises(PairError, match="crashes its process: gone"):
        Chat("never asked before", {}).render("hi")
