# MoleLens on port 8000, run by gunicorn as an unprivileged user who owns no files.
#
#   docker build -t molelens .
#   docker run --read-only --tmpfs /tmp --shm-size 512m -p 127.0.0.1:8000:8000 molelens
#
# The models are converted during the build. The final image has no TensorFlow and cannot convert
# one. To serve your own model, put it into the build context and name it:
#
#   docker build --build-arg MODEL=models/mine.h5 -t molelens .
#
# The base image is pinned by date; pin its digest as well if you can reach its registry.

FROM debian:bookworm-20250520-slim AS python
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3-venv

FROM python AS packages
COPY requirements-serve.txt /
RUN python3 -m venv /opt/venv \
 && /opt/venv/bin/pip install --no-cache-dir --require-hashes -r /requirements-serve.txt \
 && /opt/venv/bin/pip uninstall --yes pip setuptools

FROM python AS converter
COPY requirements.txt /
RUN python3 -m venv /opt/venv \
 && /opt/venv/bin/pip install --no-cache-dir --require-hashes -r /requirements.txt
WORKDIR /srv/molelens
COPY lens lens/
COPY models models/
ARG MODEL=models/melanoma.h5
# The second model is for MOLELENS_MODEL. Each is converted for any CPU, and for bfloat16 if the CPU
# of the build computes in it.
RUN /opt/venv/bin/python -m lens.fill_cache --cache /converted \
    "$MODEL" models/efficientnet_lite0/efficientnet_lite0.h5

FROM debian:bookworm-20250520-slim
# The upgrade installs security fixes that are newer than the base image.
RUN apt-get update \
 && apt-get upgrade -y \
 && apt-get install -y --no-install-recommends python3 \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 10001 molelens \
 && useradd --uid 10001 --gid molelens --home-dir /nonexistent --shell /usr/sbin/nologin molelens
COPY --from=packages /opt/venv /opt/venv
COPY --from=converter /converted /srv/molelens/converted

WORKDIR /srv/molelens
COPY wsgi.py gunicorn.conf.py ./
COPY deploy/healthcheck.py deploy/
COPY lens lens/
COPY app app/
COPY templates templates/
COPY static static/
COPY models models/
# Byte code cannot be written at run time, because the file system is read-only.
RUN /opt/venv/bin/python -m compileall -q app lens wsgi.py

# gunicorn.conf.py binds to 127.0.0.1, which cannot be reached from outside the container.
ARG MODEL=models/melanoma.h5
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    GUNICORN_CMD_ARGS=--bind=0.0.0.0:8000 \
    MOLELENS_MODEL=/srv/molelens/$MODEL \
    MOLELENS_CACHE=/srv/molelens/converted

USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=3 \
    CMD ["python", "deploy/healthcheck.py"]
CMD ["gunicorn", "wsgi:app"]
