# The image of the poller: one process, not root, nothing to compile at run time.
#
#   docker build -t bmw-poller .
#   docker run -v ./config:/config:ro -v poller-data:/data -p 127.0.0.1:9877:9877 bmw-poller

FROM python:3.13-slim AS build

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build

# What we stand on changes seldom: a layer of its own. Every package is pinned and hashed.
COPY requirements.txt requirements-build.txt ./
RUN python3 -m venv /opt/poller \
 && python3 -m venv /opt/builder \
 && /opt/poller/bin/python -m pip install --require-hashes -r requirements.txt \
 && /opt/builder/bin/python -m pip install --require-hashes -r requirements-build.txt

COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN /opt/builder/bin/python -m hatchling build -t wheel -d /build/dist \
 && /opt/poller/bin/python -m pip install --no-deps /build/dist/*.whl \
 && /opt/poller/bin/python -m pip uninstall -y pip

FROM python:3.13-slim

LABEL org.opencontainers.image.title="bmw-poller" \
      org.opencontainers.image.description="Polls your BMW or MINI and hands each snapshot to files, Axiom and Prometheus" \
      org.opencontainers.image.licenses="Apache-2.0"

# A fresh named volume takes owner and mode of the folder it is laid over.
RUN groupadd --gid 1000 poller \
 && useradd --uid 1000 --gid poller --home-dir /data --no-create-home --shell /usr/sbin/nologin poller \
 && install -d -o poller -g poller -m 0700 /data \
 && install -d -m 0755 /config

COPY --from=build /opt/poller /opt/poller

# In a container the page listens on all addresses; without [web] password only /metrics, /healthz and /readyz answer.
ENV PATH=/opt/poller/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    POLLER_CONFIG=/config/config.toml \
    POLLER_DATA_DIR=/data \
    POLLER_WEB__LISTEN=0.0.0.0:9877

USER 1000:1000
WORKDIR /data
VOLUME /data
EXPOSE 9877
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
  CMD ["/opt/poller/bin/python", "-m", "poller.health"]

ENTRYPOINT ["poller"]
CMD ["run"]
