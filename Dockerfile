# The image of the poller: one process, not root, nothing to compile at run time.
#
#   docker build -t bmw-poller .
#   docker run -v "$PWD/config:/config:ro" -v poller-data:/data -p 127.0.0.1:9877:9877 bmw-poller
#
# docs/operating/container.md says how to live with it.

FROM python:3.13-slim AS build

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build

# What we stand on changes seldom: a layer of its own. Every package is pinned and hashed, and installed from
# outside, so that the image has no pip.
# LOCK=requirements-notify.txt adds what `notify` sinks need, LOCK=requirements-china.txt what a MyBMW account in
# China needs; some packages of either have no wheel for 32-bit machines.
ARG LOCK=requirements.txt
COPY requirements.txt requirements-china.txt requirements-notify.txt requirements-build.txt ./
RUN python3 -m venv /opt/builder \
 && python3 -m venv --without-pip /opt/poller \
 && /opt/builder/bin/python -m pip install --require-hashes -r requirements-build.txt \
 && /opt/builder/bin/python -m pip --python /opt/poller/bin/python install --require-hashes -r "$LOCK"

COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN /opt/builder/bin/python -m hatchling build -t wheel -d /build/dist \
 && /opt/builder/bin/python -m pip --python /opt/poller/bin/python install --no-deps /build/dist/*.whl

FROM python:3.13-slim

# A fresh named volume takes owner and mode of the folder it is laid over: whatever uid the container is given,
# it can write there. Nobody else lives in it, and what the poller writes is for its own uid only.
RUN groupadd --gid 1000 poller \
 && useradd --uid 1000 --gid poller --home-dir /data --no-create-home --shell /usr/sbin/nologin poller \
 && install -d -o poller -g poller -m 1777 /data \
 && install -d -m 0755 /config

COPY --from=build /opt/poller /opt/poller

# The base image comes without compiled modules, and a read-only root cannot keep any: what the poller imports of
# the standard library is compiled here, or each start and each health check would do it again.
RUN ["/opt/poller/bin/python", "-c", "import contextlib, pkgutil, poller, runpy\n\
for module in pkgutil.walk_packages(poller.__path__, 'poller.'):\n\
    with contextlib.suppress(ImportError):  # what an extra would bring\n\
        __import__(module.name)"]

# In a container the page listens on all addresses; without [web] password only /metrics, /healthz and /readyz answer.
ENV PATH=/opt/poller/bin:$PATH \
    HOME=/data \
    PYTHONUNBUFFERED=1 \
    POLLER_CONFIG=/config/config.toml \
    POLLER_DATA_DIR=/data \
    POLLER_WEB__LISTEN=0.0.0.0:9877

USER 1000:1000
WORKDIR /data
VOLUME /data
EXPOSE 9877
STOPSIGNAL SIGTERM

# Two failures, not three: a process that hangs is unhealthy within three intervals, its checks' own time included.
HEALTHCHECK --interval=60s --timeout=5s --start-period=60s --retries=2 \
  CMD ["/opt/poller/bin/python", "-m", "poller.health"]

# With no command: the owner's configuration, or the demo where there is none. A command is one of poller's.
ENTRYPOINT ["/opt/poller/bin/python", "-m", "poller.container"]

# At the end, so that a new revision rebuilds nothing.
ARG VERSION="0.1.0" REVISION="" CREATED="" SOURCE="" DOCUMENTATION=""
LABEL org.opencontainers.image.title="bmw-poller" \
      org.opencontainers.image.description="Polls your BMW or MINI and hands each snapshot to files, Axiom and Prometheus" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.documentation="${DOCUMENTATION}"
