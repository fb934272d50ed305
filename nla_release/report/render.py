"""From plain data to one HTML file that stands alone.

Jinja escapes every value. Besides, the page's own policy lets a browser run one script and one
style, named by their hashes: whatever a stranger's text holds, nothing of it can run, and nothing
can be fetched.
"""

import base64
import hashlib
from typing import Any

from nla_release.gate.model import Verdict
from nla_release.gate.subject import Subject
from nla_release.io import resources
from nla_release.io.files import read_text
from nla_release.report.context import report_context
from nla_release.report.texts import json_in_html

_TEMPLATES = resources.folder("model_cards")


def render_report(subject: Subject, verdict: Verdict) -> str:
    """The report as one HTML document, the same bytes for the same input.

    Args:
        subject: what was judged, in an absolute folder.
        verdict: of the gate.
    """
    from jinja2 import FileSystemLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from markupsafe import Markup

    sandbox = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        autoescape=True,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    context = report_context(subject, verdict)
    style, script = (read_text(_TEMPLATES / f"report.{kind}") for kind in ("css", "js"))
    ours = {
        "style": style,
        "script": script,
        "policy": f"default-src 'none'; style-src {_allowed(style)}; script-src {_allowed(script)};"
        " base-uri 'none'; form-action 'none'",
        "data": json_in_html(context["data"]),
        "all_rows": context["rows"]["json"] if context["rows"] else "",
        "controls_figure": context["numbers"]["figure"] if context["numbers"] else "",
    }
    trusted: dict[str, Any] = {name: Markup(text) for name, text in ours.items()}  # noqa: S704
    trusted["answers"] = [
        each | {"figure": Markup(each["figure"])}  # noqa: S704 - made here, of escaped words
        for each in context["answers"]
    ]
    return sandbox.get_template("report.html.jinja").render(context | trusted)


def _allowed(text: str) -> str:
    """The source expression of the Content Security Policy that names exactly this text."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
