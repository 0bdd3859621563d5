"""The version, in one place."""

VERSION = "0.1.0"

USER_AGENT = f"modelzoo/{VERSION}"
"""What requests say they are, so that a server can block or allow the tools."""
