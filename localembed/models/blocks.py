"""Validate a block of models.toml and turn it into a spec."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any
from urllib.parse import urlsplit

from localembed.embedding import BACKENDS, RERANKERS
from localembed.errors import RegistryError, UsageError
from localembed.types.models import ModelSpec, RemoteSpec

POOLINGS = ("mean", "cls", "lasttoken", "none")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_NAME_RULE = "a name has letters, digits, '.', '-' and '_', and begins with a letter or digit"
_SOURCE = re.compile(r"package:[\w./-]+|path:.+|hub:[\w.-]+/[\w.-]+@[\w.-]+")
_REQUIRED = ("backend", "sources", "dim", "max_tokens", "pooling", "normalize", "license")
_REQUIRED_REMOTE = ("backend", "base_url", "model", "dim", "max_tokens")
_REMOTE_BACKEND = "openai"
_DERIVED = ("name", "whole_dim", "remote")
"""Fields that a block never contains."""
_LISTS = ("sources", "smaller_dims", "languages")
_LOCAL_KEYS = ("sources", "pooling", "sha256", "size_mb")
"""Fields of local models only."""
_REMOTE_KEYS = tuple(entry.name for entry in fields(RemoteSpec))
_REMOTE_DEFAULTS: Mapping[str, Any] = {
    "sources": ["hub:a/b@c"],
    "pooling": "none",
    "normalize": True,
    "license": "",
}
"""Values that the block of a remote model need not contain."""
_URL = re.compile(r"https?://[^\s/@?#]+(/[^\s?#]*)?")
_TOKENIZER = re.compile(r"path:.+|tiktoken:[\w-]+")


def check_name(name: str) -> None:
    """Refuse a name that is invalid for a model, as it names a block and a folder.

    Raises:
        UsageError: it is invalid.
    """
    if not _NAME.fullmatch(name):
        message = f"{name!r} cannot be a model's name: {_NAME_RULE}. Give another: --name NAME"
        raise UsageError(message)


def checked_spec(where: str, name: str, block: object) -> ModelSpec:
    """Return the spec of one block.

    Args:
        where: where the block is, for the message.
        name: the model's name.
        block: the block, as parsed from TOML or JSON.

    Raises:
        RegistryError: the block is invalid.
    """
    if not isinstance(block, dict):
        message = f"{where}: must be a table of keys."
        raise RegistryError(message)
    is_remote = block.get("backend") == _REMOTE_BACKEND
    known = [entry.name for entry in fields(ModelSpec) if entry.name not in _DERIVED]
    if is_remote:
        known = [name for name in known if name not in _LOCAL_KEYS] + list(_REMOTE_KEYS)
    for key in block:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f" Did you mean {near[0]}?" if near else f" Known keys: {', '.join(known)}."
            message = f"{where}: unknown key '{key}'.{hint}"
            raise RegistryError(message)
    for key in _REQUIRED_REMOTE if is_remote else _REQUIRED:
        if key not in block:
            message = f"{where}: the key '{key}' is missing."
            raise RegistryError(message)
    problem = _problem(name, {**_REMOTE_DEFAULTS, **block} if is_remote else block)
    problem = problem or (_remote_problem(block) if is_remote else None)
    if problem:
        message = f"{where}: {problem}."
        raise RegistryError(message)
    return _spec(name, block, is_remote=is_remote)


def _spec(name: str, block: Mapping[str, Any], *, is_remote: bool) -> ModelSpec:
    values = {**block, **{key: tuple(block[key]) for key in _LISTS if key in block}}
    if not is_remote:
        return ModelSpec(name=name, **values)
    remote = RemoteSpec(**{key: values.pop(key) for key in _REMOTE_KEYS if key in values})
    others = {key: value for key, value in _REMOTE_DEFAULTS.items() if key not in values}
    return ModelSpec(name=name, remote=remote, **{**values, **others, "sources": ()})


def spec_block(spec: ModelSpec) -> dict[str, object]:
    """Return a model's block for models.toml: its spec without default values."""
    block = {key: value for key, value in asdict(spec).items() if key not in _DERIVED}
    block = {k: list(v) if isinstance(v, tuple) else v for k, v in block.items()}
    kept = {key: value for key, value in block.items() if value or key in _REQUIRED}
    if spec.remote is None:
        return kept
    defaults = RemoteSpec("", "")
    remote = {k: v for k, v in asdict(spec.remote).items() if v != getattr(defaults, k)}
    return {**{key: value for key, value in kept.items() if key not in _LOCAL_KEYS}, **remote}


def _problem(name: str, block: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a block's values, or None."""
    backends = (*BACKENDS, *RERANKERS)
    smaller = block.get("smaller_dims", [])
    checks: Sequence[tuple[bool, str]] = (
        (
            bool(_NAME.fullmatch(name)),
            f"{_NAME_RULE}; rename the block in this file",
        ),
        (block["backend"] in backends, f"backend must be one of {', '.join(backends)}"),
        (
            _is_list_of_sources(block["sources"]),
            'sources must be a list such as ["path:/models/x"] or ["hub:owner/name@revision"]',
        ),
        (_is_positive(block["dim"]), "dim must be a positive integer"),
        (
            _is_positive(block["max_tokens"]) and block["max_tokens"] >= 18,
            "max_tokens must be an integer of at least 18",
        ),
        (block["pooling"] in POOLINGS, f"pooling must be one of {', '.join(POOLINGS)}"),
        (isinstance(block["normalize"], bool), "normalize must be true or false"),
        (_is_hashes(block.get("sha256", {})), "sha256 must be a table of file = hash"),
        (
            isinstance(smaller, list)
            and all(_is_positive(dim) and dim < block["dim"] for dim in smaller),
            "smaller_dims must be a list of positive integers below dim",
        ),
        (
            _is_positive(block.get("size_mb", 1)),
            "size_mb must be a positive integer",
        ),
        (_is_list_of_text(block.get("languages", [])), 'languages must be a list such as ["en"]'),
        *(
            (_is_text(block.get(key, "")), f"{key} must be text")
            for key in ("license", "query_prompt", "document_prompt", "good_for")
        ),
    )
    return next((problem for right, problem in checks if not right), None)


def _remote_problem(block: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a remote model's keys, or None."""
    texts = ("model", "answers_as", "api_key_env", "price_date")
    whole = [entry.name for entry in fields(RemoteSpec) if entry.type == "int"]
    amounts = [entry.name for entry in fields(RemoteSpec) if entry.type == "float"]
    checks: Sequence[tuple[bool, str]] = (
        (
            _is_address(block["base_url"]),
            "base_url must be an address such as https://api.openai.com/v1, without a key in it",
        ),
        (bool(block["model"]), "model must be the provider's name for the model"),
        (
            _TOKENIZER.fullmatch(str(block.get("tokenizer", "path:x"))) is not None,
            "tokenizer must be path:FILE, a tokenizer.json, or tiktoken:NAME",
        ),
        *((_is_text(block.get(key, "")), f"{key} must be text") for key in texts),
        *((_is_positive(block.get(key, 1)), f"{key} must be a positive integer") for key in whole),
        *((_is_amount(block.get(key, 1)), f"{key} must be a positive number") for key in amounts),
    )
    return next((problem for right, problem in checks if not right), None)


def _is_amount(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _is_address(value: object) -> bool:
    """Return whether a value is a provider's address: with a host, without a user or key."""
    if not isinstance(value, str) or not _URL.fullmatch(value):
        return False
    try:
        parts = urlsplit(value)
        return bool(parts.hostname) and "%" not in parts.netloc and parts.port != 0
    except ValueError:  # an invalid port or IP address
        return False


def _is_positive(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 31


def _is_text(value: object) -> bool:
    """Return whether a value is text that UTF-8 can encode; JSON may contain lone surrogates."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_list_of_text(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_list_of_sources(value: object) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and _is_list_of_text(value)
        and all(map(_SOURCE.fullmatch, value))
    )


def _is_hashes(value: object) -> bool:
    return isinstance(value, dict) and all(
        _is_inside(file) and isinstance(digest, str) and _SHA256.fullmatch(digest)
        for file, digest in value.items()
    )


def _is_inside(file: str) -> bool:
    """Return whether a file's name stays inside its folder."""
    return _is_text(file) and all(part not in ("", ".", "..") for part in file.split("/"))
