# The node runtime on a Triton server. Context: `python -m autoglm_localcluster images --context-only` makes
# build/images/node. BASE_IMAGE is any image with Triton under /opt/tritonserver and a Python for which the wheels were
# fetched: NVIDIA's Triton image on GPUs, our CPU image (localcluster/images/triton-base.Dockerfile) elsewhere.
# The same recipe makes the image with PyTorch, from the context build/images/node-pytorch (`images --pytorch`).
ARG BASE_IMAGE=autoglm/triton-base:dev
FROM ${BASE_IMAGE}
USER root
COPY requirements.txt /opt/autoglm/
RUN --mount=type=bind,source=wheels,target=/wheels \
    python3 -m pip install --quiet --no-cache-dir --no-index --find-links=/wheels --require-hashes --no-deps \
    --target=/opt/autoglm/lib --requirement=/opt/autoglm/requirements.txt
# The Python backend's stub reads no PYTHONPATH, but it does read path files.
RUN printf '/opt/autoglm/app\n/opt/autoglm/lib\n' \
    > "$(python3 -c 'import site; print(site.getsitepackages()[0])')/autoglm.pth"
# Triton's Python backend calls chmod on its stub, so the stub must belong to the user that runs Triton.
RUN chown -R 65532:65532 /opt/tritonserver/backends/python
COPY models/ /opt/autoglm/models/
COPY app/ /opt/autoglm/app/
RUN python3 -m compileall -q /opt/autoglm/app
ENV PYTHONPATH=/opt/autoglm/app:/opt/autoglm/lib PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp
USER 65532:65532
ENTRYPOINT ["python3", "-m", "autoglm_node"]
