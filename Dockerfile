# MoleLens behind gunicorn on port 8000, as a user who owns nothing.
#
#   docker build -t molelens .
#   docker run --read-only --tmpfs /tmp --shm-size 512m -p 127.0.0.1:8000:8000 molelens
#
# The models are converted here: the image that serves holds no TensorFlow and cannot convert one.
# For a model of your own, give its path among the files of the build:
#
#   docker build --build-arg MODEL=models/mine.h5 -t molelens .
#
# The base is pinned by its date; whoever has a registry at hand can pin its digest as well.

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
# The second model as well, so that MOLELENS_MODEL may name it. Each is converted for any CPU, and
# for bfloat16 where the CPU of the build has it.
RUN /opt/venv/bin/python -m lens.fill_cache --cache /converted \
    "$MODEL" models/efficientnet_lite0/efficientnet_lite0.h5

FROM debian:bookworm-20250520-slim
# The upgrade brings the security fixes that are newer than the base.
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
# Nothing can be written at run time, byte code neither.
RUN /opt/venv/bin/python -m compileall -q app lens wsgi.py

# gunicorn.conf.py keeps to 127.0.0.1, which nobody outside a container reaches; flags override it.
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
