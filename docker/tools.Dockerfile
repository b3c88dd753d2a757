# What the wires of a lab run (e2e/lab/wire.ts): the programs that make a network bad, and the
# shell of SQLite. `docker build --tag tinymq-tools:e2e - < docker/tools.Dockerfile`: it needs no files.
ARG BASE=node:24-bookworm-slim
FROM ${BASE}
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
      iproute2 iptables sqlite3 tcpdump \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/*
