"""What the documentation computes from the code when it is built, so that it cannot go stale.

A line `<!-- generated: NAME ARGUMENT -->` in a page is replaced by what `NAME` returns. The pages
of the rules and of the notebook are added whole.
"""

import json
import logging
import pkgutil
import re
from collections.abc import Callable, Container, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import nla_release.errors
from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.evidence_folder import read_evidence, write_evidence
from nla_release.cards.figures import three_questions
from nla_release.cli import EXIT_CODES, cli
from nla_release.gate import ALL_RULES
from nla_release.output.rule_pages import rule_markdown
from tests.calibration.real_pair import real_parts

_LOG = logging.getLogger("mkdocs.plugins.generated")
_DIRECTIVE = re.compile(r"^<!-- generated: (\S+)(?: (\S+))? -->$", re.MULTILINE)
_LOADED = re.compile(r'<(?:script|img|iframe|source)\b[^>]*\bsrc="?(?:https?:)?//[^">]+')
_STYLES = re.compile(r'<link\b[^>]*\brel="?(?:stylesheet|preload|icon)[^>]*\bhref="?(?:https?:)?//')
_BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that no file in docs/ holds."""
    for rule in ALL_RULES:
        heading = f"# {rule.code}: {rule.title}"
        text = rule_markdown(rule).replace(f"### {rule.code}", heading, 1)
        files.append(File.generated(config, f"reference/rules/{rule.code}.md", content=text))
    for notebook in sorted(Path(config.docs_dir).rglob("*.ipynb")):
        name = notebook.relative_to(config.docs_dir).with_suffix(".md").as_posix()
        files.append(File.generated(config, name, content=notebook_page(notebook)))
    figure = File.generated(config, "assets/three_questions.svg", content=real_pair_figure())
    files.append(figure)
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Fill in a page's directives."""

    def filled(found: re.Match[str]) -> str:
        name, argument = found.groups()
        if name not in _GENERATORS:
            _LOG.warning("%s: nothing generates %r", page.file.src_uri, name)
            return ""
        return _GENERATORS[name](argument)

    return _DIRECTIVE.sub(filled, markdown)


def on_post_page(output: str, page: Page, **_: Any) -> str:
    """Warn, which ends a strict build, of a page that loads something from the network."""
    for found in (*_LOADED.finditer(output), *_STYLES.finditer(output)):
        _LOG.warning("%s loads from the network: %s", page.file.src_uri, found[0])
    return output


def real_pair_figure() -> bytes:
    """The three questions of the pair on a real model whose evidence the tests hold, as SVG."""
    with TemporaryDirectory() as folder:
        write_evidence(Path(folder), *real_parts())
        calibration = calibrate(read_evidence(Path(folder)))
    svg = three_questions(calibration).files()["figures/three_questions.svg"]
    return svg if isinstance(svg, bytes) else svg.encode()


def notebook_page(notebook: Path) -> str:
    """A notebook's cells as Markdown; outputs are not shown, because none are committed."""
    parts = []
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
    return "\n\n".join(parts) + "\n"


def rules(_: str | None) -> str:
    """The table of all rules, each with a link to its page."""
    rows = (
        f"| [{rule.code}](rules/{rule.code}.md) | {rule.severity} | {rule.title} |"
        for rule in ALL_RULES
    )
    return "\n".join(["| code | severity | what must hold |", "|---|---|---|", *rows])


def commands(_: str | None) -> str:
    """The help of every command, as the terminal shows it."""
    return "\n\n".join(_help(cli, click.Context(cli, info_name="nla-release")))


def _help(command: click.Command, context: click.Context) -> Iterator[str]:
    context.max_content_width = 96
    context.terminal_width = 96
    yield f"## {context.command_path}\n\n```text\n{command.get_help(context)}\n```"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            if (each := command.get_command(context, name)) is not None:
                yield from _help(each, click.Context(each, info_name=name, parent=context))


def exit_codes(_: str | None) -> str:
    """The table of exit codes that `nla-release --help` ends with."""
    lines = (re.match(r"\s+(\d+)\s+(.*)", line) for line in EXIT_CODES.splitlines())
    rows = (f"| {line[1]} | {line[2]} |" for line in lines if line)
    return "\n".join(["| code | meaning |", "|---|---|", *rows])


def errors(_: str | None) -> str:
    """The table of exceptions with the exit code of each, and what it is a kind of."""
    rows = []
    for each in vars(nla_release.errors).values():
        if isinstance(each, type) and issubclass(each, nla_release.errors.NlaReleaseError):
            above = each.__bases__[0].__name__
            meaning = str(each.__doc__).partition("\n")[0]
            rows.append(f"| `{each.__name__}` | `{above}` | {each.exit_code} | {meaning} |")
    return "\n".join(["| exception | a kind of | code | |", "|---|---|---|---|", *rows])


def section(place: str | None) -> str:
    """A section of a file outside of docs/, named as `FILE:Heading-with-dashes`."""
    name, _, heading = str(place).partition(":")
    text = Path(name).read_text(encoding="utf-8")
    return text.split(f"\n## {heading.replace('-', ' ')}\n", 1)[1].split("\n## ", 1)[0]


def keys(model: str | None) -> str:
    """The keys of a pydantic model, named as `package.module:Class`: a table per block."""
    schema = pkgutil.resolve_name(str(model)).model_json_schema(by_alias=True)
    blocks = {
        name: block for name, block in schema.pop("$defs", {}).items() if "properties" in block
    }
    parts = [_block(schema, blocks)]
    parts += [f"### {name}\n\n{_block(block, blocks)}" for name, block in blocks.items()]
    return "\n\n".join(parts)


def _block(schema: dict[str, Any], blocks: Container[str]) -> str:
    required = schema.get("required", [])
    rows = [
        f"| `{name}` | {_type(key, blocks)} | {_default(key, name in required)} |"
        f" {' '.join(key.get('description', '').split())} |"
        for name, key in schema["properties"].items()
    ]
    table = ["| key | type | default | meaning |", "|---|---|---|---|", *rows]
    return "\n".join([schema.get("description", ""), "", *table])


def _default(key: dict[str, Any], required: bool) -> str:
    if required:
        return "required"
    default = key.get("default")
    return "" if default in (None, [], {}) else f"`{json.dumps(default, ensure_ascii=False)}`"


def _type(key: dict[str, Any], blocks: Container[str]) -> str:
    if "$ref" in key:
        name = key["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})" if name in blocks else "any"
    for of in ("anyOf", "oneOf"):
        if of in key:
            kinds = [_type(each, blocks) for each in key[of] if each.get("type") != "null"]
            return " or ".join(dict.fromkeys(kinds))
    if "enum" in key or "const" in key:
        return ", ".join(f"`{each}`" for each in key.get("enum", [key.get("const")]))
    if key.get("type") == "array":
        return f"list of {_type(key['items'], blocks)}" if key.get("items") else "list"
    if key.get("type") == "object" and isinstance(key.get("additionalProperties"), dict):
        return f"mapping to {_type(key['additionalProperties'], blocks)}"
    bounds = [f"{word} {key[bound]}" for bound, word in _BOUNDS.items() if bound in key]
    return " ".join([key.get("type", "any"), ", ".join(bounds)]).strip()


_GENERATORS: dict[str, Callable[[str | None], str]] = {
    "commands": commands,
    "errors": errors,
    "exit-codes": exit_codes,
    "keys": keys,
    "rules": rules,
    "section": section,
}
