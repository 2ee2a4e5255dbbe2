# The operator. Context: `python -m autoglm_localcluster images --context-only` makes build/images/operator.
ARG BASE_IMAGE=python:3.11-slim
FROM ${BASE_IMAGE}
# requirements.txt carries the hashes of all wheels, so this layer is rebuilt exactly when the lock changes.
COPY requirements.txt /opt/autoglm/
RUN --mount=type=bind,source=wheels,target=/wheels \
    python3 -m pip install --quiet --no-cache-dir --no-index --find-links=/wheels --require-hashes --no-deps \
    --target=/opt/autoglm/lib --requirement=/opt/autoglm/requirements.txt
COPY app/ /opt/autoglm/app/
RUN python3 -m compileall -q /opt/autoglm/app
ENV PYTHONPATH=/opt/autoglm/app:/opt/autoglm/lib PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp
USER 65532:65532
ENTRYPOINT ["python3", "-m", "autoglm_operator"]
