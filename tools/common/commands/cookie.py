"""The options that give Topaz's CDN its cookie."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..web.topaz_cdn import COOKIE, COOKIE_VARIABLES, cookie_value, use_cookie
from .options import Parser, file_path

FILE_VARIABLE = "MODELZOO_COOKIE_FILE"
MAX_FILE = 1 << 16  # bytes; more than that is no cookie


def add_cookie(parser: Parser) -> None:
    """The options; a secret does not go the way of other values, which may be shown."""
    either = parser.add_mutually_exclusive_group()
    either.add_argument(
        "--cookie",
        metavar="VALUE",
        help=f"the cookie {COOKIE} for Topaz's server; other users of this machine can see it, "
        f"unlike a variable [env: {', '.join(COOKIE_VARIABLES)}]",
    )
    either.add_argument(
        "--cookie_file",
        type=file_path,
        metavar="FILE",
        help=f"a file that holds it [env: {FILE_VARIABLE}]",
    )


def use_given_cookie(
    options: Any, warn: Callable[[str], None], environ: Mapping[str, str] = os.environ
) -> None:
    """Have the cookie sent that the options give, else the environment; raises UsageError."""
    if options.cookie is not None:
        warn(
            "warning: other users of this machine can see --cookie in the list of processes; "
            f"{COOKIE_VARIABLES[0]} or --cookie_file keep it to yourself"
        )
        use_cookie(cookie_value(options.cookie, "--cookie"))
    elif options.cookie_file is not None:
        use_cookie(_read(options.cookie_file, "--cookie_file"))
    elif not any(map(environ.get, COOKIE_VARIABLES)) and (name := environ.get(FILE_VARIABLE)):
        use_cookie(_read(Path(name), FILE_VARIABLE))
    else:
        use_cookie(environ=environ)


def _read(path: Path, option: str) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
        text = data.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or "is not UTF-8 text"
        raise UsageError(f"{option}: {path}: {problem}") from None
    return cookie_value(text, f"{option}: {path}")
