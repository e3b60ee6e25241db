# The images of the cluster mode, one target each: `broker`, `database` and `platform`. docker-compose.yml uses them.
#
# The build context may hold `ca-certificates.crt`, a CA bundle that apt and pip trust while the images are made, so that
# packages can be had behind a proxy that inspects TLS. HTTP_PROXY, HTTPS_PROXY and NO_PROXY are build arguments.
FROM debian:bookworm-slim AS base
COPY LICENSE ca-certificates.cr[t] /usr/local/share/pushlog/
# Files in volumes go from one image to another, so each user has the same number in all of them.
RUN set -eu; \
    cd /usr/local/share/pushlog; \
    if [ -f ca-certificates.crt ]; then \
        echo "Acquire::https::CAInfo \"$PWD/ca-certificates.crt\";" > /etc/apt/apt.conf.d/99pushlog; \
    fi; \
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d; \
    chmod 755 /usr/sbin/policy-rc.d; \
    for user in pushlog:901 postgres:902 rabbitmq:903; do \
        groupadd --system --gid "${user#*:}" "${user%:*}"; \
        useradd --system --uid "${user#*:}" --gid "${user#*:}" --home-dir "/var/lib/${user%:*}" "${user%:*}"; \
    done
ENV LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive


FROM base AS broker
RUN apt-get -q update \
    && apt-get -q -y install --no-install-recommends rabbitmq-server \
    && rm -rf /var/lib/apt/lists/* /var/lib/rabbitmq/.erlang.cookie
COPY compose/rabbitmq.conf /etc/rabbitmq/
USER rabbitmq
CMD ["/usr/lib/rabbitmq/bin/rabbitmq-server"]


FROM base AS database
RUN apt-get -q update \
    && apt-get -q -y install --no-install-recommends postgresql-common \
    && echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf \
    && apt-get -q -y install --no-install-recommends postgresql-15 \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o postgres -g postgres /var/lib/postgresql /run/postgresql
COPY compose/start-postgres compose/pg_hba.conf compose/pg_ident.conf /opt/pushlog/compose/
ENV PATH=/usr/lib/postgresql/15/bin:$PATH
USER postgres
STOPSIGNAL SIGINT
CMD ["/opt/pushlog/compose/start-postgres"]


FROM base AS platform
RUN apt-get -q update \
    && apt-get -q -y install --no-install-recommends git libnginx-mod-stream nginx python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
# A volume that is mounted for the first time takes its owner from the folder beneath it.
RUN cd /var/lib && for part in . blobs logs nginx output repositories ssh; do \
        install -d -m 0700 -o pushlog -g pushlog "pushlog/$part"; \
    done
WORKDIR /opt/pushlog
COPY pyproject.toml uv.lock ./
RUN set -eu; \
    bundle=/usr/local/share/pushlog/ca-certificates.crt; \
    if [ -f "$bundle" ]; then export PIP_CERT="$bundle" SSL_CERT_FILE="$bundle"; fi; \
    uv=$(awk '/^name = "uv"$/ { getline; gsub(/version = |"/, ""); print; exit }' uv.lock); \
    python3 -m venv /tmp/uv; \
    /tmp/uv/bin/pip -q --no-cache-dir install "uv==$uv"; \
    /tmp/uv/bin/uv sync -q --no-cache --locked --no-default-groups --no-install-project --compile-bytecode; \
    rm -rf /tmp/uv
COPY . .
RUN .venv/bin/python -m compileall -q -x '[.]venv' .
ENV HOME=/var/lib/pushlog \
    PATH=/opt/pushlog/compose:/opt/pushlog/.venv/bin:$PATH \
    PUSHLOG_HOME=/var/lib/pushlog \
    PYTHONPATH=/opt/pushlog \
    PYTHONUNBUFFERED=1
USER pushlog
CMD ["pushlog", "help"]
