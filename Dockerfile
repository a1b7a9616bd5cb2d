# Images from one file: `docker build --target serve .` answers requests, `--target explain` explains scores too,
# `--target console` also signs people in with the organisation's accounts, `--target batch` scores everyone,
# `--target train` makes churn models, `--target text` note-quality models too.
# The base image is fixed by its digest: `docker buildx imagetools inspect python:3.11-slim` tells a newer one.
FROM python:3.11-slim@sha256:9c900dea9e8fb7e16277c179b555cc72d29a352dbc33cff48ad5a0412fd5bfc7 AS base
ARG REVISION=unknown
ENV MINGJIAN_REVISION=$REVISION
ENV PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1
WORKDIR /app
RUN useradd --create-home app && mkdir --mode=700 var && chown app var
COPY pyproject.toml README.md LICENSE ./
COPY requirements requirements
# What is installed is what the lock files name, to the byte.
ENV LOCKED="pip install --no-deps --no-build-isolation --require-hashes"
RUN $LOCKED -r requirements/build.txt
COPY features features
COPY models models

FROM base AS serve
COPY serving serving
RUN $LOCKED -r requirements/serve.txt && pip install --no-deps --no-build-isolation .
# What is kept lies here: mount a volume by name, or Docker makes one without.
VOLUME /app/var
USER app
EXPOSE 8000
HEALTHCHECK CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/livez', timeout=2)"]
CMD ["python", "-m", "serving", "run", "--host", "0.0.0.0"]

FROM serve AS explain
USER root
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
RUN $LOCKED -r requirements/explain.txt
USER app

FROM explain AS console
USER root
RUN $LOCKED -r requirements/console.txt
USER app

FROM serve AS batch
USER root
RUN $LOCKED -r requirements/batch.txt
USER app

FROM base AS train
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
COPY training training
COPY mlflow mlflow
RUN $LOCKED -r requirements/train.txt && pip install --no-deps --no-build-isolation .
USER app
ENTRYPOINT ["python", "-m", "training"]
CMD ["--help"]

FROM train AS text
USER root
RUN $LOCKED -r requirements/text.txt
RUN $LOCKED -r requirements/torch-cpu.txt || $LOCKED -r requirements/torch-cuda.txt
USER app
