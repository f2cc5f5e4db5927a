# MoleLens behind gunicorn on port 8000, as a user who owns nothing but a cache.
#
#   docker build -t molelens .
#   docker run --read-only --tmpfs /tmp --shm-size 512m -p 127.0.0.1:8000:8000 molelens
#
# The base is pinned by its date; whoever has a registry at hand can pin its digest as well.

FROM debian:bookworm-20250520-slim AS packages
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3-venv
COPY requirements.txt /
RUN python3 -m venv /opt/venv \
 && /opt/venv/bin/pip install --no-cache-dir --require-hashes -r /requirements.txt

FROM debian:bookworm-20250520-slim
# The upgrade brings the security fixes that are newer than the base.
RUN apt-get update \
 && apt-get upgrade -y \
 && apt-get install -y --no-install-recommends python3 \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 10001 molelens \
 && useradd --uid 10001 --gid molelens --home-dir /nonexistent --shell /usr/sbin/nologin molelens \
 && install -d -o molelens -g molelens -m 0700 /var/cache/molelens
COPY --from=packages /opt/venv /opt/venv

WORKDIR /srv/molelens
COPY wsgi.py gunicorn.conf.py ./
COPY deploy/healthcheck.py deploy/
COPY lens lens/
COPY app app/
COPY templates templates/
COPY static static/
COPY models/melanoma.h5 models/LICENSE models/
# Nothing can be written at run time, byte code neither.
RUN /opt/venv/bin/python -m compileall -q app lens wsgi.py

# gunicorn.conf.py keeps to 127.0.0.1, which nobody outside a container reaches; flags override it.
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    GUNICORN_CMD_ARGS=--bind=0.0.0.0:8000 \
    MOLELENS_CACHE=/var/cache/molelens

# The converted model, made at the first start; kept in a named volume, a restart takes a second.
VOLUME /var/cache/molelens
USER 10001:10001
EXPOSE 8000
# The first start converts the model.
HEALTHCHECK --interval=10s --timeout=6s --start-period=180s --retries=3 \
    CMD ["python", "deploy/healthcheck.py"]
CMD ["gunicorn", "wsgi:app"]
