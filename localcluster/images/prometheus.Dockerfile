# Prometheus for the local cluster. Context: the program that autoglm_localcluster.toolchain builds (static).
FROM scratch
COPY prometheus /prometheus
USER 65532:65532
ENTRYPOINT ["/prometheus"]
