# Holds a pod's namespaces. Context: the program that localcluster/pause builds.
FROM scratch
COPY pause /pause
USER 65535:65535
ENTRYPOINT ["/pause"]
