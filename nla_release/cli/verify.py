"""`nla-release verify`."""

from pathlib import Path

import click

from nla_release import api
from nla_release.cli.edge import ExampleCommand, output
from nla_release.cli.options import FILE, FOLDER, format_option, measure_options
from nla_release.errors import ConfigError
from nla_release.io.log import log
from nla_release.output.verdict import skipped_lines, verdict_json, verdict_text
from nla_release.release.signature import GITHUB, Publisher


@click.command(
    "verify", cls=ExampleCommand, example="nla-release verify someone/pair-av-v0_0_1@v0.0.1 --pair"
)
@click.argument("place", metavar="NAMESPACE/NAME@TAG")
@click.option("--pair", is_flag=True, help="Download the partner too, and check both as a pair.")
@click.option(
    "--expect",
    metavar="SHA256",
    help="The release id that it must have; its publisher can give it to you.",
)
@click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Public key (PEM) of the publisher: the release must be signed by it.",
)
@click.option(
    "--identity",
    metavar="WHO",
    help="Sigstore identity that must have signed it, such as the address of a workflow.",
)
@click.option("--issuer", help=f"Who vouches for --identity.  [default: {GITHUB}]")
@click.option(
    "--trust-config",
    "trust",
    type=FILE,
    help="Trust configuration of an own Sigstore, for --identity.",
)
@click.option("--load", is_flag=True, help="Also load it with PEFT; needs the engine extra.")
@click.option(
    "--base",
    type=FOLDER,
    help="A local copy of the base: its tokenizer replays prompts; --load and --measure load it.",
)
@click.option(
    "--release",
    "author",
    type=FOLDER,
    help="Apply the gates and waivers of the release.yaml in this folder of yours.",
)
@format_option()
@measure_options
def command(
    place: str,
    pair: bool,
    expect: str | None,
    key: Path | None,
    identity: str | None,
    issuer: str | None,
    trust: Path | None,
    load: bool,
    base: Path | None,
    author: Path | None,
    form: str,
    measure: api.RemeasureOptions | None,
) -> int:
    """Re-download a published release and verify it independently.

    Every byte is compared with release.json, and release.json with the partner's and with the
    commits that the tags point at. Every number is computed again from the evidence; documents and
    figures are rendered again and compared. Every rule of `check` is applied, with the default
    gates and without waivers. Public repositories need no token. HF_ENDPOINT names the Hub.

    With --key or --identity the release must have a valid signature of that publisher, which
    nobody else who may write to the repositories can make. Without them, a signature over other
    files fails too.

    --measure N downloads the pair and measures N rows of its evidence again. The base gives the
    activations of their texts, the AV explains the published activations, and the AR reads the
    published and the new texts. Evidence that they do not reproduce fails (NLA711). This needs the
    base, from the Hub or as --base, and the engine extra.
    """
    if expect is not None:
        api.check_release_id(expect, "--expect")
    result = api.verify(
        place,
        pair=pair,
        expect=expect,
        publisher=_publisher(key, identity, issuer, trust),
        base=base,
        author=author,
        measure=measure,
        load=load,
    )
    verdict = result.verdict
    if result.loaded:
        log.info(f"loaded with PEFT: {result.loaded}")
    elif load:
        log.note("the release does not pass, and was not loaded")
    if form == "json":
        output(verdict_json(verdict), nl=False)
        for line in skipped_lines(verdict):
            log.info(line)
    else:
        output(verdict_text(verdict))
    if verdict.verdict == "pass":
        log.info(f"release id: {result.release_id}")
    return verdict.exit_code


def _publisher(
    key: Path | None, identity: str | None, issuer: str | None, trust: Path | None
) -> Publisher | None:
    if key is not None and identity is not None:
        raise ConfigError("--key and --identity were both given", hint="name one publisher")
    if identity is None and (issuer is not None or trust is not None):
        option = "--issuer" if issuer is not None else "--trust-config"
        raise ConfigError(f"{option} is for --identity", hint="add --identity WHO")
    # An empty variable of a script names nobody, and asking for nobody would pass.
    for option, value in (("--identity", identity), ("--issuer", issuer)):
        if value is not None and not value.strip():
            raise ConfigError(f"{option} is empty", hint="name who must have signed the release")
    if key is None and identity is None:
        return None
    return Publisher(key, identity, issuer or GITHUB, trust)
