"""Names that are skipped by default: secrets, and what tools generate instead of people.

The table is data: a glob is compared with the last part of a path, in lower case. Noise and secrets
that only their content shows are found when a file is read (`readers/noise.py`).
"""

from __future__ import annotations

import os
import re
from fnmatch import translate

_FILES = {
    "secret (named like a private key)": (
        "id_rsa id_dsa id_ecdsa id_ecdsa_sk id_ed25519 id_ed25519_sk *.pem *.key *.ppk "
        "*.p8 *.p12 *.pfx *.pkcs12 *.jks *.keystore *.kdb *.kdbx *.agekey *.keytab *.ovpn"
    ),
    "secret (named like a file of passwords or tokens)": (
        ".env .env.* *.env .envrc .netrc _netrc .npmrc .pypirc .pgpass pgpass.conf "
        ".my.cnf .mylogin.cnf .git-credentials .dockercfg .dockerconfigjson .s3cfg .boto .authinfo "
        ".htpasswd htpasswd .vault-token .vault_pass .vault-password .pass .credentials "
        "credentials credentials.json credentials.toml credentials.yml credentials.yaml "
        "credentials.csv credentials.ini application_default_credentials.json "
        "client_secret*.json client_secrets.json service-account*.json service_account*.json "
        "serviceaccount*.json secret.json secret.yml secret.yaml secret.toml secret.ini "
        "secrets.json secrets.yml secrets.yaml secrets.toml secrets.ini secrets.properties "
        "secrets.txt passwords.txt passwords.csv kubeconfig *.kubeconfig accesskeys.csv "
        "*_accesskeys.csv rootkey.csv new_user_credentials.csv"
    ),
    "secret (Terraform state or variables)": "*.tfstate *.tfstate.* *.tfvars *.tfvars.json",
    "generated (lock file)": (
        "*.lock *.lockb *.lockfile *.lock.json *.lock.hcl package-lock.json npm-shrinkwrap.json "
        "pnpm-lock.yaml shrinkwrap.yaml conda-lock.yml pylock.toml pylock.*.toml gems.locked "
        "packages.lock.json package.resolved cartfile.resolved cabal.project.freeze go.sum "
        "go.work.sum .pnp.js .pnp.cjs .pnp.loader.mjs"
    ),
    "generated (checksums)": (
        "*.md5 *.md5sum *.md5sums *.sha1 *.sha1sum *.sha256 *.sha256sum *.sha512 *.sha512sum "
        "md5sums sha1sums sha256sums sha512sums md5sum.txt sha256sums.txt checksums.txt"
    ),
    "generated (minified or bundled code)": (
        "*.min.js *.min.mjs *.min.cjs *.min.css *-min.js *-min.css *.bundle.js *.bundle.mjs "
        "*.bundle.css *.chunk.js *.chunk.mjs *.chunk.css"
    ),
    "generated (source map)": "*.map",
    "generated (code made by a tool)": (
        "*_pb2.py *_pb2.pyi *_pb2_grpc.py *_pb2_grpc.pyi *_pb.js *_pb.ts *_pb.d.ts *_pb.rb "
        "*.pb.go *.pb.gw.go *.pb.cc *.pb.c *.pb.h *.pb.swift *.pb.validate.go "
        "*.pbobjc.h *.pbobjc.m *.pb.dart *.pbenum.dart *.pbjson.dart *.pbserver.dart "
        "*.g.dart *.freezed.dart *.gr.dart *.mocks.dart *.g.cs *.g.i.cs *.designer.cs "
        "*.generated.* *_generated.* *.gen.go *.gen.ts *.gen.js *_gen.go "
        "zz_generated.* bindata.go moc_*.cpp qrc_*.cpp *.pbxproj *.typegen.ts *.graphql.ts"
    ),
    "generated (snapshot of a test)": "*.snap *.storyshot *.ambr",
    "generated (coverage report)": "lcov.info *.lcov *.gcov coverage.xml cobertura.xml",
    "generated (temporary file)": "*~ *.swp *.swo *.part *.crdownload .ds_store thumbs.db",
}  # fmt: skip
"""Reason → globs of files."""
_FOLDERS = {
    "generated (installed packages)": (
        "node_modules bower_components jspm_packages __pypackages__ *.egg-info"
    ),
    "generated (compiled code)": "__pycache__",
    "generated (snapshots of tests)": "__snapshots__",
    "generated (coverage report)": "htmlcov",
}
"""Reason → globs of folders."""
_EXAMPLES = frozenset({"example", "examples", "sample", "template", "dist", "default", "defaults"})
"""Words in a name that make it an example of a secret, which is documentation."""
_STARTS_SUFFIX = "._-~"
_WORD = re.compile(r"[^\W_]+")


class _Names:
    """A table of globs, in forms that take a look-up or two for most names."""

    def __init__(self, table: dict[str, str]) -> None:
        globs = [(glob, reason) for reason, text in table.items() for glob in text.split()]
        self._names = {glob: reason for glob, reason in globs if "*" not in glob}
        plain = [entry for entry in globs if "*" in entry[0]]
        self._suffixes = {
            glob[1:]: reason
            for glob, reason in plain
            if glob[0] == "*" and glob[1] in _STARTS_SUFFIX and "*" not in glob[1:]
        }
        rest = [(glob, reason) for glob, reason in plain if glob[1:] not in self._suffixes]
        self._reasons = [reason for _, reason in rest]
        self._rest = re.compile("|".join(f"({translate(glob)})" for glob, _ in rest) or "(?!)")

    def reason(self, name: str) -> str | None:
        """Return the reason why a name in lower case is skipped, None if it is not."""
        if (reason := self._names.get(name)) is not None:
            return reason
        for place, character in enumerate(name):
            if character in _STARTS_SUFFIX and (reason := self._suffixes.get(name[place:])):
                return reason
        found = self._rest.match(name)
        return self._reasons[(found.lastindex or 1) - 1] if found else None


_FILE_NAMES, _FOLDER_NAMES = _Names(_FILES), _Names(_FOLDERS)


def default_reason(name: bytes, *, is_folder: bool) -> str | None:
    """Return why an entry with this name is skipped by default, None if it is not."""
    text = os.fsdecode(name).lower()
    reason = (_FOLDER_NAMES if is_folder else _FILE_NAMES).reason(text)
    if reason is None or not reason.startswith("secret"):
        return reason
    return None if _EXAMPLES.intersection(_WORD.findall(text)) else reason
