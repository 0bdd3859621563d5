"""Object storage (S3 and what speaks like it, Google Cloud Storage, Azure) with obstore.

obstore reads some variables of each service, and Google's files, by itself. What else the services' own
clients read is read here: what the AWS tools keep in their files (docs.aws.amazon.com, "Configuration
and credential file settings"), where Google's clients find an emulator, and what Azure's command line
goes by (learn.microsoft.com, "Configure Azure Storage connection strings"). obstore's own retries are
off: whoever asks has rules of their own for that.
"""

from __future__ import annotations

import configparser
import contextlib
import json
import os
import re
import sys
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

from ..errors import Reason, TransferError
from ..version import USER_AGENT
from .credentials import CA_VARIABLES, mask

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SCHEMES = ("s3", "gs", "az")

_DAY = timedelta(days=1)
_AWS_ROLES = ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
_AWS_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_GOOGLE_EMULATOR = "STORAGE_EMULATOR_HOST"
_AZURE_ENDPOINTS = ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT")


class Place(NamedTuple):
    """An object or a folder of them: its service, its bucket (or container) and its key."""

    scheme: str
    bucket: str
    key: str


def place_of(url: str) -> Place:
    """What a URL like `s3://bucket/key` names; raises TransferError."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    plain = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", parts.netloc)
    if parts.scheme not in SCHEMES or not plain or parts.query or parts.fragment:
        problem = f"expected {parts.scheme or 's3'}://BUCKET/PATH"
        raise TransferError(Reason.INVALID_CATALOG, problem, url=mask(url))
    return Place(parts.scheme, parts.netloc, unquote(parts.path).strip("/"))


def client_for(place: Place, timeout: float) -> ObjectStore:
    """What asks for the objects of a bucket; `timeout` is in seconds. Raises TransferError."""
    url = f"{place.scheme}://{place.bucket}"
    with translated_object_errors(url):
        return _client(place.scheme, place.bucket, timeout, _settings(os.environ))


def _settings(environ: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    """The variables that a client depends on."""
    prefixes = ("AWS_", "GOOGLE_", _GOOGLE_EMULATOR, "AZURE_", "AZURITE_", "MSI_", *CA_VARIABLES)
    return frozenset((name, value) for name, value in environ.items() if name.startswith(prefixes))


@lru_cache(maxsize=32)
def _client(
    scheme: str, bucket: str, timeout: float, settings: frozenset[tuple[str, str]]
) -> ObjectStore:
    from obstore import store

    environ = dict(settings)
    options: Any = {
        "timeout": _DAY,  # of the whole answer, however large; the others are for what stalls
        "connect_timeout": timedelta(seconds=timeout),
        "read_timeout": timedelta(seconds=timeout),
        "user_agent": USER_AGENT,
        **_certificates(environ),
    }
    retries: Any = {"max_retries": 0, "retry_timeout": timedelta(seconds=timeout)}
    if scheme == "gs":
        config: Any = _google_config(environ)
        options["allow_http"] = True  # obstore's default; nothing but configuration leads there
        return store.GCSStore(bucket, config=config, client_options=options, retry_config=retries)
    config = _azure_config(environ) if scheme == "az" else _aws_config(environ)
    options["allow_http"] = config.get("endpoint", "").startswith("http://")
    made = store.AzureStore if scheme == "az" else store.S3Store
    return made(bucket, config=config, client_options=options, retry_config=retries)


def _certificates(environ: Mapping[str, str]) -> dict[str, bytes]:
    """The certificates that the environment says to trust beside the system's."""
    path = next((environ[name] for name in CA_VARIABLES if environ.get(name)), "")
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return {"root_certificate": file.read()}
    return {}


def _aws_config(environ: Mapping[str, str]) -> dict[str, str]:
    """What obstore does not find in the environment by itself."""
    profile = environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE") or "default"
    shared = _read_ini(environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials", profile)
    section = profile if profile == "default" else f"profile {profile}"
    general = _read_ini(environ.get("AWS_CONFIG_FILE") or "~/.aws/config", section)
    config = {}
    if not any(environ.get(name) for name in ("AWS_ACCESS_KEY_ID", *_AWS_ROLES)):
        known = {**general, **shared}
        names = {"aws_access_key_id", "aws_secret_access_key", "aws_session_token"}
        config = {name: known[name] for name in sorted(names & known.keys())}
    endpoint = next(filter(None, map(environ.get, _AWS_ENDPOINTS)), general.get("endpoint_url"))
    if endpoint:
        config["endpoint"] = endpoint.rstrip("/")
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or general.get("region")
    if region or endpoint:
        config["region"] = region or "us-east-1"  # what servers of one's own pretend to be
    return config


def _google_config(environ: Mapping[str, str]) -> dict[str, str]:
    """An emulator, which nobody's credentials are sent to."""
    host = environ.get(_GOOGLE_EMULATOR, "").rstrip("/")
    if not host:
        return {}
    # Told as the key of an account: obstore's `skip_signature` asks for a token before it writes.
    account = {"gcs_base_url": host if "://" in host else f"http://{host}", "disable_oauth": True}
    account |= dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
    return {"service_account_key": json.dumps(account)}


def _azure_config(environ: Mapping[str, str]) -> dict[str, Any]:
    """What obstore does not find in the environment by itself."""
    if text := environ.get("AZURE_STORAGE_CONNECTION_STRING"):
        return _connection(text)
    config: dict[str, Any] = {}
    if (name := environ.get("AZURE_STORAGE_ACCOUNT")) and "AZURE_STORAGE_ACCOUNT_NAME" not in environ:
        config["account_name"] = name
    if (key := environ.get("AZURE_STORAGE_KEY")) and "AZURE_STORAGE_ACCOUNT_KEY" not in environ:
        config["account_key"] = key
    if endpoint := next(filter(None, map(environ.get, _AZURE_ENDPOINTS)), None):
        config["endpoint"] = endpoint
    return config


def _connection(text: str) -> dict[str, Any]:
    """What a connection string says of blobs."""
    pairs = (pair.partition("=") for pair in text.split(";"))
    said = {name.strip().lower(): value.strip() for name, _, value in pairs if value.strip()}
    if said.get("usedevelopmentstorage", "").lower() == "true":
        return {"use_emulator": True}
    name, endpoint = said.get("accountname", ""), said.get("blobendpoint", "").rstrip("/")
    if name and not endpoint:
        suffix = said.get("endpointsuffix", "core.windows.net")
        endpoint = f"{said.get('defaultendpointsprotocol', 'https')}://{name}.blob.{suffix}"
    if not name:  # a string with a signature needs none: it begins the host, or is the path
        parts = urlsplit(endpoint)
        name = parts.path.strip("/") or parts.netloc.partition(".")[0]
    config = {"account_name": name, "endpoint": endpoint, "use_emulator": False}
    for ours, theirs in (("account_key", "accountkey"), ("sas_token", "sharedaccesssignature")):
        if value := said.get(theirs):
            config[ours] = value
    return config


def _read_ini(path: str, section: str) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    with contextlib.suppress(OSError, UnicodeDecodeError, configparser.Error):
        with open(os.path.expanduser(path), encoding="utf-8") as file:
            parser.read_file(file)
        return dict(parser.items(section))
    return {}


_STATUS = re.compile(r"status code: (\d{3})")
_STATUSES = {
    400: Reason.SERVER_ERROR,
    401: Reason.ACCESS_DENIED,
    403: Reason.ACCESS_DENIED,
    404: Reason.NOT_FOUND,
    429: Reason.RATE_LIMITED,
    503: Reason.RATE_LIMITED,
}
_METADATA = re.compile(r"169\.254\.|metadata\.google|fetch(ing)? (instance|token|credential)", re.I)


class translated_object_errors:
    """Turn what obstore raises inside into TransferError about `url`."""

    def __init__(self, url: str) -> None:
        self._url = mask(url)

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, TransferError) or not isinstance(error, Exception):
            return
        if isinstance(error, ModuleNotFoundError) and error.name == "obstore":
            import shlex

            command = shlex.join([sys.executable, "-m", "pip", "install", "obstore"])
            problem = f"object storage needs the package obstore; install with: {command}"
            raise TransferError(Reason.INVALID_REQUEST, problem, url=self._url) from None
        if translated := _translate(error, self._url):
            raise translated from None  # its text holds pages of the service's answer


def _translate(error: Exception, url: str) -> TransferError | None:
    if isinstance(error, FileNotFoundError):
        return TransferError(Reason.NOT_FOUND, "no such object", url=url)
    from obstore import exceptions

    if not isinstance(error, exceptions.BaseError | ValueError | TimeoutError):
        return None
    text = str(error).partition("\n")[0]
    status = int(match[1]) if (match := _STATUS.search(text)) else 0
    denied = isinstance(error, exceptions.PermissionDeniedError | exceptions.UnauthenticatedError)
    if denied or status in (401, 403) or _METADATA.search(text):
        problem = "the service refuses: are there credentials, in its usual variables or files?"
        return TransferError(Reason.ACCESS_DENIED, problem, url=url)
    if status:
        problem = f"the service answered {status}"
        reason = _STATUSES.get(status, Reason.SERVER_ERROR)
        transient = status in (408, 409, 423, 425, 429) or status >= 500
        busy = status in (429, 503)
        return TransferError(reason, problem, url=url, transient=transient, busy=busy)
    if not isinstance(error, exceptions.GenericError):
        return TransferError(Reason.INVALID_REQUEST, _detail(text), url=url)
    if "timed out" in str(error):
        return TransferError(Reason.TIMEOUT, "no answer in time", url=url, transient=True)
    broken = "HTTP error" in text or "Error performing" in text
    problem = f"the connection failed ({_detail(text)})" if broken else _detail(text)
    reason = Reason.NETWORK if broken else Reason.INVALID_REQUEST
    return TransferError(reason, problem, url=url, transient=broken)


def _detail(text: str) -> str:
    """The last part of the library's sentence, without the URL that it asked."""
    return " ".join(mask(text.rpartition(" - ")[2]).split())[:200]
