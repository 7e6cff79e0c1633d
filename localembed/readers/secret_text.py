"""Recognise secrets in text: private keys, and tokens whose shape nothing else has.

A mention is not a secret: a key needs its whole block, a token its exact length and characters that
look drawn at random, which those of an example in documentation do not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Token:
    """One kind of token."""

    name: str
    literal: str
    """Text that every such token contains: looking for it is fast, and most texts lack it."""
    pattern: str
    """Expression of the token, compiled when it is first needed; its group, or else all of it, must
    look random."""

    def is_in(self, text: str) -> bool:
        """Tell whether a text contains such a token."""
        if self.literal not in text:
            return False
        pattern = re.compile(f"{self.pattern}(?![A-Za-z0-9])")
        return any(map(_is_real, pattern.finditer(text)))


def _tokens(*rows: tuple[str, str, str]) -> tuple[_Token, ...]:
    return tuple(_Token(*row) for row in rows)


_MIN_RUN = 20
_RUN_TOKENS = _tokens(
    ("an AWS access key", "AKIA", r"AKIA[A-Z2-7]{16}"),
    ("an AWS access key", "ASIA", r"ASIA[A-Z2-7]{16}"),
    *(("a GitHub token", f"gh{k}_", rf"gh{k}_[A-Za-z0-9]{{36,255}}") for k in "pousr"),
    ("a GitHub token", "github_pat_", r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}"),
    ("a Slack token", "xox", r"xox[abeoprs]-(?:[0-9A-Za-z]+-){1,4}[0-9A-Za-z]{20,}"),
    ("a Slack token", "xapp-", r"xapp-\d-[A-Z0-9]{9,}-\d+-[0-9a-z]{20,}"),
    ("a Slack webhook", "hooks.slack.com/", r"slack\.com/services/T\w{6,}/B\w{6,}/(\w{20,})"),
    ("a Discord webhook", "/api/webhooks/", r"/api/webhooks/\d{17,20}/([\w-]{60,})"),
    ("a Stripe key", "k_live_", r"[sr]k_live_[0-9A-Za-z]{20,}"),
    ("an OpenAI key", "T3BlbkFJ", r"sk-[\w-]{20,200}T3BlbkFJ[\w-]{20,}"),
    ("an Anthropic key", "sk-ant-", r"sk-ant-[a-z]+\d\d-[\w-]{60,}"),
    ("an npm token", "npm_", r"npm_[A-Za-z0-9]{36}"),
    ("a PyPI token", "pypi-AgE", r"pypi-AgE[\w-]{50,}"),
    ("a Hugging Face token", "hf_", r"hf_[A-Za-z0-9]{34}"),
    ("a DigitalOcean token", "_v1_", r"do[por]_v1_[0-9a-f]{64}"),
    ("a Shopify token", "shp", r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    ("an Azure storage key", "AccountKey=", r"AccountKey=([A-Za-z0-9+/]{86})=="),
    ("a Vault token", "hvs.", r"hvs\.[\w-]{90,}"),
    ("a Docker token", "dckr_pat_", r"dckr_pat_[\w-]{27}"),
    ("a Docker password", '"auths"', r"\"auth\"\s*:\s*\"([A-Za-z0-9+/]{20,}={0,2})\""),
    ("a Grafana token", "glsa_", r"glsa_[A-Za-z0-9]{32}_[0-9a-f]{8}"),
    ("a Databricks token", "dapi", r"dapi[0-9a-f]{32}"),
    ("a Linear key", "lin_api_", r"lin_api_[A-Za-z0-9]{40}"),
    ("a Supabase token", "sbp_", r"sbp_[0-9a-f]{40}"),
    ("an Atlassian token", "ATATT3x", r"ATATT3x[\w=-]{100,}"),
    ("a Notion token", "secret_", r"secret_[A-Za-z0-9]{43}"),
    ("a Groq key", "gsk_", r"gsk_[A-Za-z0-9]{52}"),
    ("a Replicate token", "r8_", r"r8_[A-Za-z0-9]{37}"),
    ("an xAI key", "xai-", r"xai-[A-Za-z0-9]{80}"),
    ("an age key", "AGE-SECRET-KEY-1", r"AGE-SECRET-KEY-1[0-9A-Z]{58}"),
    ("a Kubernetes key", "client-key-data", r"client-key-data\"?:\s{0,4}\"?([\w+/]{60,})={0,2}"),
)
"""Tokens with at least 20 letters and digits in a row, which most texts lack."""
_OTHER_TOKENS = _tokens(
    (
        "an AWS secret key", "ecret",
        r"(?i:aws_?secret_?(?:access_?)?key)[\"']?\s{0,4}[=:]{1,2}>?\s{0,4}[\"']?([A-Za-z0-9/+]{40})",
    ),
    ("a GitLab token", "glpat-", r"glpat-[\w-]{20,}"),
    ("an OpenAI key", "sk-proj-", r"sk-proj-[\w-]{40,}"),
    ("a Google API key", "AIza", r"AIza[\w-]{35}"),
    ("a Google client secret", "GOCSPX-", r"GOCSPX-[\w-]{28}"),
    ("a SendGrid key", "SG.", r"SG\.[\w-]{22}\.[\w-]{43}"),
    ("an npm token", ":_authToken=", r":_authToken=\"?([A-Za-z0-9-]{20,})"),
    ("a Telegram token", ":AA", r"(?<!\d)\d{8,10}:AA[\w-]{33}"),
    ("a WireGuard key", "PrivateKey", r"PrivateKey\s{0,4}=\s{0,4}([A-Za-z0-9+/]{43})="),
)  # fmt: skip
_RUN = bytes(97 if b < 0x80 and chr(b).isalnum() else 32 for b in range(256))
"""Letters and digits as `a`, all other bytes as spaces."""
_KEY_BEGINS = re.compile(r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_KEY_ENDS = "-----END "
_BASE64 = re.compile(r"[A-Za-z0-9+/=]{16,}")
_MIN_KEY = 60
"""Minimum characters of base64 in a private key: an Ed25519 key has 64."""
_MIN_DISTINCT = 8
_PLACEHOLDER = re.compile(
    r"(?i)example|xxxx|000000|1234567|abcdef|placeholder|redacted|your_?token"
)


def find_secret(text: str) -> str | None:
    """Return what secret a text contains, None if it contains none that is known."""
    if "PRIVATE KEY" in text and _has_private_key(text):
        return "it contains a private key"
    if "PuTTY-User-Key-File-" in text and "Private-Lines:" in text:
        return "it contains a private key"
    has_run = has_long_run(text.encode("utf-8", "replace"), _MIN_RUN)
    tokens = (*_RUN_TOKENS, *_OTHER_TOKENS) if has_run else _OTHER_TOKENS
    return next((f"it contains {token.name}" for token in tokens if token.is_in(text)), None)


def has_long_run(data: bytes, length: int) -> bool:
    """Tell whether so many ASCII letters and digits follow each other anywhere."""
    return b"a" * length in data.translate(_RUN)


def _has_private_key(text: str) -> bool:
    """Tell whether there is a whole block: a header, enough base64 and a footer."""
    place = 0
    while begin := _KEY_BEGINS.search(text, place):
        end = text.find(_KEY_ENDS, begin.end())
        if end < 0:
            return False
        body = "".join(_BASE64.findall(text[begin.end() : end].replace("\\n", "\n")))
        if len(body) >= _MIN_KEY and len(set(body)) > 2 * _MIN_DISTINCT:
            return True
        place = end
    return False


def _is_real(found: re.Match[str]) -> bool:
    """Tell whether a token stands alone and looks random."""
    before = found.string[found.start() - 1 : found.start()]
    if before.isalnum() and not found.re.groups:
        return False
    token = found[1] if found.re.groups else found[0]
    return len(set(token)) >= _MIN_DISTINCT and _PLACEHOLDER.search(token) is None
