"""What an install command may use and reach: limits, mounts, network, and the host's way to the internet."""

from pathlib import Path
from typing import Any

from docker.types import Mount

from services import oom
from services.settings import Settings

HOST_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
BUNDLE = "/etc/ssl/host-ca.crt"
BUNDLE_VARIABLES = (
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
)


def environment(settings: Settings) -> dict[str, str]:
    """The variables by which programs find the host's CA bundle and proxies."""
    proxies = {
        "http_proxy": settings.build_http_proxy,
        "https_proxy": settings.build_https_proxy,
        "no_proxy": settings.build_no_proxy,
    }
    given = {key: value for key, value in proxies.items() if value}
    found = {**given, **{key.upper(): value for key, value in given.items()}}
    return found | dict.fromkeys(BUNDLE_VARIABLES, BUNDLE) if _trusts_host(settings) else found


def host(settings: Settings, *, cache: str, network: str) -> dict[str, Any]:
    """Docker's host config of a container that runs as a build; `cache` is a volume's name."""
    mounts = [Mount("/cache", cache, type="volume")]
    if _trusts_host(settings):
        mounts.append(Mount(BUNDLE, str(HOST_BUNDLE), type="bind", read_only=True))
    return {
        "cap_drop": ["ALL"],
        "log_config": {"Type": "none"},
        "mem_limit": settings.build_memory,
        "memswap_limit": settings.build_memory,
        "mounts": mounts,
        "nano_cpus": int(settings.build_cpus * 1e9),
        "network_mode": network,
        "oom_score_adj": oom.BUILD,
        "pids_limit": settings.build_pids,
        "security_opt": ["no-new-privileges"],
    }


def _trusts_host(settings: Settings) -> bool:
    return settings.build_trust_host_ca and HOST_BUNDLE.is_file()
