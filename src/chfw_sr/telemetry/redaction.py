"""What must not be read in logs and on screens: passwords in URLs."""

import re

_PASSWORD = re.compile(r"(?P<user>\b[a-z][a-z0-9+.-]*://[^\s:/?#@\"']*):[^\s/?#\"']*@", re.IGNORECASE)
_PARAMETER = re.compile(r"(?P<name>[?&](?:password|sslpassword)=)[^\s&#\"']*", re.IGNORECASE)


def redact(text: str) -> str:
    """Take the passwords out of every URL in a text: `scheme://user:***@host`.

    A password with `/`, `?`, `#`, a quote or a blank in it is no part of a URL unless it is percent-encoded.
    """
    if "://" not in text and "=" not in text:  # most lines of the log: not worth two searches
        return text
    return _PARAMETER.sub(r"\g<name>***", _PASSWORD.sub(r"\g<user>:***@", text))
