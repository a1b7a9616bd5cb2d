# Images from one file: `docker build --target serve .` answers requests, `--target explain` explains scores too,
# `--target console` also signs people in with the organisation's accounts, `--target batch` scores everyone,
# `--target train` makes churn models, `--target text` note-quality models too.
FROM python:3.11-slim AS base
ARG REVISION=unknown
ENV MINGJIAN_REVISION=$REVISION
ENV PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1
WORKDIR /app
RUN useradd --create-home app && mkdir --mode=700 var && chown app var
COPY pyproject.toml README.md LICENSE ./
COPY features features
COPY models models

FROM base AS serve
COPY serving serving
RUN pip install ".[serve]"
# What is kept lies here: mount a volume by name, or Docker makes one without.
VOLUME /app/var
USER app
EXPOSE 8000
HEALTHCHECK CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/livez', timeout=2)"]
CMD ["python", "-m", "serving", "run", "--host", "0.0.0.0"]

FROM serve AS explain
USER root
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
RUN pip install ".[serve,explain]"
USER app

FROM explain AS console
USER root
RUN pip install ".[serve,explain,oidc]"
USER app

FROM serve AS batch
USER root
RUN pip install ".[serve,batch]"
USER app

FROM base AS train
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
COPY training training
COPY mlflow mlflow
RUN pip install ".[train]"
USER app
ENTRYPOINT ["python", "-m", "training"]
CMD ["--help"]

FROM train AS text
USER root
RUN pip install ".[train,text]"
USER app
