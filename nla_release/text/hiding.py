"""Markdown that would hide what stands after it from whoever reads the rendered page."""

# No text has it, and it can be nothing but a heading.
_AFTER = "nla-release-ends-here"


def hiding(markdown: str) -> str | None:
    """What in a text could hide what follows it, in words; None when a heading after it is one.

    A fence that is not closed does, and raw HTML may: `<style>` and `<details>` swallow the rest.
    """
    # Only here: whoever writes no fragment and checks no log needs no Markdown parser.
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").enable("table").parse(f"{markdown}\n\n## {_AFTER}\n")
    inner = [child for token in tokens for child in token.children or ()]
    raw = next((it for it in (*tokens, *inner) if it.type in {"html_block", "html_inline"}), None)
    if raw:
        return f"raw HTML, {raw.content.strip().splitlines()[0][:60]}"
    ends = len(tokens) > 2 and (tokens[-3].type, tokens[-3].tag, tokens[-3].level)
    if ends != ("heading_open", "h2", 0) or tokens[-2].content != _AFTER:
        return "something that does not end, such as a fence without its second half"
    return None
