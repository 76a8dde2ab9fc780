"""Where the files that travel with the package lie: `schemas/` and `migrations/`."""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def resource_directory(name: str) -> Path:
    """Find a folder that is inside an installed wheel, or at the repository's root in a checkout.

    Args:
        name: `schemas` or `migrations`.

    Raises:
        FileNotFoundError: if it is in neither place, that is, the installation is damaged.
    """
    for candidate in (_PACKAGE / name, _PACKAGE.parent.parent / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"the folder {name}/ is missing from this installation of chfw_sr: install it again")
