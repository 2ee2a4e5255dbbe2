# Prometheus from Debian's package. Context: `rootfs/` with the program, or an empty `rootfs/` where the build itself
# may install the package.
ARG BASE_IMAGE=debian:bookworm-slim
FROM ${BASE_IMAGE}
COPY rootfs/ /
RUN test -x /usr/bin/prometheus || { apt-get update -q && apt-get install -y -q --no-install-recommends prometheus; }
USER 65532:65532
ENTRYPOINT ["/usr/bin/prometheus"]
