"""What rules look at, and what to say when it is not there."""

from nla_release.gate.adapter import Adapter
from nla_release.gate.facts import OnBase
from nla_release.gate.model import Scope
from nla_release.gate.subject import Measurement, Subject
from nla_release.release.folder import FILE_NAME, Release

ADAPTERS = Scope[Adapter](lambda subject: subject.adapters, "there is no adapter here")

AVS = Scope[Adapter](
    lambda subject: [each for each in subject.adapters if each.role == "av"], "there is no AV here"
)

ARS = Scope[Adapter](
    lambda subject: [each for each in subject.adapters if each.role == "ar"], "there is no AR here"
)

ON_BASE = Scope[OnBase](
    lambda subject: [OnBase(each, subject) for each in subject.adapters], ADAPTERS.absent
)

AVS_ON_BASE = Scope[OnBase](
    lambda subject: [each for each in ON_BASE.targets(subject) if each.adapter.role == "av"],
    AVS.absent,
)

PAIRS = Scope[tuple[Adapter, Adapter]](
    lambda subject: subject.pairs, "AV and AR do not lie side by side here"
)

REPOSITORIES = Scope[Adapter](
    lambda subject: subject.rendered, "nothing is rendered yet: run nla-release render"
)

# A repository, and the release that it was rendered of where that is here too.
RENDERINGS = Scope[tuple[Adapter, Release | None]](
    lambda subject: [(each, subject.release) for each in subject.rendered], REPOSITORIES.absent
)

# A release, and the repositories rendered of it.
RELEASES = Scope[tuple[Release, tuple[Adapter, ...]]](
    lambda subject: [(subject.release, subject.rendered)] if subject.release else [],
    f"there is no {FILE_NAME} here",
)

# The whole subject, for rules that compare its repositories with each other or release.yaml.
RENDERED = Scope[Subject](
    lambda subject: [subject] if subject.rendered else [], REPOSITORIES.absent
)

MEASUREMENTS = Scope[Measurement](
    lambda subject: subject.measurements, "there is no evidence yet: run nla-release roundtrip"
)

# Copies of one measurement would only repeat its findings; NLA610 holds them to be copies.
MEASURED = Scope[Measurement](lambda subject: subject.measurements[:1], MEASUREMENTS.absent)

COPIES = Scope[tuple[Measurement, Measurement]](
    lambda subject: [(subject.measurements[0], copy) for copy in subject.measurements[1:]],
    "there are no copies of the evidence here",
)

SUBJECT = Scope[Subject](lambda subject: [subject], "there is nothing here")
