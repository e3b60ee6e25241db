# The platform in one container: every service in one process, with nginx beside it.
#
# The build context may hold `ca-certificates.crt`, a CA bundle that is then trusted, so that the Python packages can be
# had behind a proxy that inspects TLS.
FROM debian:bookworm-slim

RUN apt-get -q update \
    && DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends \
        ca-certificates git nginx-light python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/pushlog
COPY pyproject.toml uv.lock ca-certificates.cr[t] ./
RUN if [ -f ca-certificates.crt ]; then cat ca-certificates.crt >> /etc/ssl/certs/ca-certificates.crt; fi
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    PATH=/opt/pushlog/.venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
RUN python3 -m venv .venv \
    && .venv/bin/pip install -q uv \
    && .venv/bin/uv sync -q --locked --no-dev --no-install-project --inexact

COPY . .
RUN .venv/bin/uv sync -q --locked --no-dev --inexact

CMD ["pushlog", "up"]
