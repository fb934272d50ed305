"""Chat templates in the styles of real ones, and AVs that speak through them."""

from collections.abc import Mapping
from pathlib import Path

from nla_release.contract.chat import read_chat
from nla_release.contract.prompt import encoder, load_tokenizer, mark
from nla_release.io.files import dump_yaml, read_yaml, write_atomic

TURNS = (
    "{{ bos_token }}{% for message in messages %}"
    "<{{ message['role'] }}> {{ message['content'] }}\n"
    "{% endfor %}{% if add_generation_prompt %}<assistant> {% endif %}"
)

# As Qwen's: no BOS, a system turn of its own, and a thinking block that is opened unless refused.
CHATML = """\
{%- set ns = namespace(last=messages|length - 1) %}
{%- if tools %}
    {{- '<|im_start|>system\\n' + (tools | tojson) + '<|im_end|>\\n' }}
{%- elif messages[0].role != 'system' %}
    {{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if loop.index0 == ns.last and message.content.startswith('<tool_response>') %}
        {%- continue %}
    {%- endif %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
"""

# As Gemma's: BOS, turns that must alternate, the content trimmed, and a mark for trainers.
GEMMA = """\
{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {{ raise_exception('there is no system role') }}
{%- endif -%}
{% for message in messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("roles must alternate user/assistant/user/assistant/...") }}
    {%- endif -%}
    {%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}
    {%- if message['content'] is string -%}
        {{ '<start_of_turn>' + role + '\\n' + (message['content'] | trim) + '<end_of_turn>\\n' }}
    {%- else -%}
        {% generation %}{{ message['content'] | tojson }}{% endgeneration %}
    {%- endif -%}
{% endfor %}
{%- if add_generation_prompt -%}
    {{ '<start_of_turn>model\\n' }}
{%- endif -%}
"""

STYLES = {"turns": TURNS, "chatml": CHATML, "gemma": GEMMA}


def through_chat(
    av: Path, base: Path, template: str, options: Mapping[str, bool | int | str] | None = None
) -> None:
    """Give a base a chat template, and make an AV one that was trained through it."""
    write_atomic(base / "chat_template.jinja", template)
    if not (base / "tokenizer_config.json").exists():
        write_atomic(base / "tokenizer_config.json", '{"bos_token": "<bos>", "eos_token": "<eos>"}')
    found = read_chat(base)
    assert found is not None
    chat = found.with_options(options or {})
    sidecar = read_yaml(av / "nla_meta.yaml")
    encode = encoder(load_tokenizer(base / "tokenizer.json"))
    tokens, injection = sidecar["tokens"], sidecar["nla_release"]["injection"]
    prompt = mark(encode, sidecar["prompt_templates"]["av"], tokens["injection_char"], chat)
    tokens |= {
        "injection_left_neighbor_id": prompt.left_id,
        "injection_right_neighbor_id": prompt.right_id,
    }
    injection |= {
        "prompt_encoding": "chat",
        "chat_template": {"sha256": chat.sha256, "options": dict(chat.options)},
        "prompt_token_ids": list(prompt.ids),
        "marker_position": prompt.position,
    }
    write_atomic(av / "nla_meta.yaml", dump_yaml(sidecar))
