"""What a fix is asked to do, in few words."""

from pathlib import Path

from nla_release.fixes import Fix, LeftAlone, find_fixes, write
from nla_release.gate.subject import find_subject


def contents(folder: Path) -> dict[str, bytes | str]:
    """Every file by its path, with its bytes; a link with where it leads."""
    return {
        path.relative_to(folder).as_posix(): str(path.readlink())
        if path.is_symlink()
        else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def fixes(folder: Path) -> list[Fix]:
    """What would be fixed."""
    return [each for each in find_fixes(find_subject(folder)) if isinstance(each, Fix)]


def left_alone(folder: Path) -> list[LeftAlone]:
    """What would not."""
    return [each for each in find_fixes(find_subject(folder)) if isinstance(each, LeftAlone)]


def fixed(folder: Path) -> list[str]:
    """Fix everything; the names of the files that this touched, in order."""
    done = fixes(folder)
    for fix in done:
        write(fix)
    return [fix.path.relative_to(folder).as_posix() for fix in done]
