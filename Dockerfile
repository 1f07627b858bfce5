# syntax=docker/dockerfile:1
# Emberway in a container: built as `make build-release` builds it, run as a user without rights.
#
#   docker build -t emberway .
#   docker run -p 8080:8080 -v ./config:/etc/emberway:ro -v emberway:/var/lib/emberway --env-file secrets.env emberway
#
# In the configuration, listen on 0.0.0.0 and give the admin listener a token. Mount the directory, so that changes are noticed.

FROM node:22-bookworm-slim AS page
WORKDIR /page
COPY dashboards/web/package.json dashboards/web/package-lock.json ./
RUN npm ci --no-fund --no-audit
COPY dashboards/web ./
RUN npm run build

FROM rust:1.95-bookworm AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
COPY --from=page /page/dist dashboards/web/dist
# The caches outlive a build and are no part of the image, so the program is copied out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    make build-dist PAGE= \
    && cp target/dist/emberway /usr/local/bin/emberway

FROM debian:bookworm-slim
# Certificates to trust Azure's; the version that Debian has now is the right one.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin emberway \
    && install -d -o emberway -g emberway -m 0750 /var/lib/emberway
COPY --from=build /usr/local/bin/emberway /usr/local/bin/emberway
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
# `usage.path` is relative to it.
WORKDIR /var/lib/emberway
VOLUME ["/var/lib/emberway"]
EXPOSE 8080 9090
# EMBERWAY_HEALTHCHECK_URL names another address.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=3 CMD ["emberway", "healthcheck"]
# SIGTERM drains; give it shutdown.delay + shutdown.drain + 10 s: docker stop --time 80.
STOPSIGNAL SIGTERM
ENTRYPOINT ["emberway"]
CMD ["run", "--config", "/etc/emberway/emberway.yaml"]
