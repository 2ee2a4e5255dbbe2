# Triton for machines without a GPU, laid out like the official image. Context: the tree that
# autoglm_localcluster.triton makes (bin, lib, backends, caches).
ARG BASE_IMAGE=python:3.11-slim
FROM ${BASE_IMAGE}
COPY triton/ /opt/tritonserver/
ENV PATH=/opt/tritonserver/bin:${PATH} LD_LIBRARY_PATH=/opt/tritonserver/lib
