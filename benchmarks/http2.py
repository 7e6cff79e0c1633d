"""HTTP/1.1 against HTTP/2 for a server's model: why the client asks in HTTP/1.1.

    pip install h2; apt install nginx-light openssl
    python -m benchmarks.http2 --out benchmarks/results/http2.json

nginx stands in front with TLS, as it does before most servers, and speaks both. The same requests
go through it in turn, 64 in flight: 64 connections, or one.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import openai

from benchmarks.machine import publish
from benchmarks.remote import Server

_IN_FLIGHT, _BATCH, _REQUESTS, _ROUNDS = 64, 64, 1200, 5
_NGINX = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_max_body_size 10m;
    client_body_temp_path {folder}; proxy_temp_path {folder};
    fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
    http2_max_concurrent_streams 128;
    keepalive_requests 1000000;
    upstream model {{ server {upstream}; keepalive 128; }}
    server {{
        listen 127.0.0.1:{port} ssl http2;
        ssl_certificate {folder}/cert.pem;
        ssl_certificate_key {folder}/key.pem;
        location / {{
            proxy_pass http://model;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"""


def _front(folder: Path, upstream: str) -> tuple[subprocess.Popen[bytes], str]:
    """Start nginx, and return it and its address."""
    subprocess.run(
        ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")),
        check=True, capture_output=True,
    )  # fmt: skip
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = folder / "nginx.conf"
    settings.write_text(_NGINX.format(folder=folder, upstream=upstream, port=port))
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    process = subprocess.Popen((nginx, "-c", str(settings), "-e", str(folder / "error.log")))
    time.sleep(1.0)
    return process, f"https://localhost:{port}/v1"


async def _ask(url: str, certificate: Path, *, http2: bool) -> tuple[float, str]:
    """Return texts a second, and the protocol that was spoken."""
    transport = openai.DefaultAsyncHttpxClient(
        http1=not http2,
        http2=http2,
        verify=ssl.create_default_context(cafile=str(certificate)),
        trust_env=False,
        limits=httpx2.Limits(max_connections=_IN_FLIGHT, max_keepalive_connections=_IN_FLIGHT),
    )
    client = openai.AsyncOpenAI(
        api_key="none", base_url=url, max_retries=0, timeout=60.0, http_client=transport
    )
    slots = asyncio.Semaphore(_IN_FLIGHT)
    versions = set()

    async def one(number: int) -> None:
        texts = [f"text {number} {n} " + "word " * 40 for n in range(_BATCH)]
        async with (
            slots,
            client.embeddings.with_streaming_response.create(
                model="test-model", input=texts, encoding_format="base64"
            ) as response,
        ):
            versions.add(response.http_version)
            async for _ in response.iter_bytes():
                pass

    async with client:
        begin = time.perf_counter()
        await asyncio.gather(*(one(number) for number in range(_REQUESTS)))
        return _BATCH * _REQUESTS / (time.perf_counter() - begin), ", ".join(versions)


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    out = parser.parse_args().out
    server = Server()
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        front, url = _front(folder, urlsplit(server.url).netloc)
        try:
            for _ in range(_ROUNDS):
                for http2 in (False, True):
                    rate, spoken = asyncio.run(_ask(url, folder / "cert.pem", http2=http2))
                    found.setdefault(spoken, []).append(round(rate, 1))
        finally:
            front.terminate()
            front.wait()
    server.end()
    middle = {protocol: sorted(rates)[len(rates) // 2] for protocol, rates in found.items()}
    result = {
        "delay_seconds": 0.1,
        "in_flight": _IN_FLIGHT,
        "texts_per_request": _BATCH,
        "texts_per_second": found,
        "http2_over_http1": round(middle["HTTP/2"] / middle["HTTP/1.1"], 3),
    }
    publish(result, out)


if __name__ == "__main__":
    main()
