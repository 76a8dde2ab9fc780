# The service in a small image: locked dependencies, hashes checked, not root.
#   docker build -t chfw-sr .
# Everything is set from outside (CHFW_SR_…); keys are mounted, never copied. See docs/operations.md.

FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY requirements/runtime.txt requirements/build.txt requirements/
RUN python -m venv /opt/build && /opt/build/bin/pip install --require-hashes --no-deps -r requirements/build.txt \
 && python -m venv /opt/chfw-sr && /opt/chfw-sr/bin/pip install --require-hashes --no-deps -r requirements/runtime.txt
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY src src
COPY schemas schemas
COPY migrations migrations
RUN /opt/build/bin/pip wheel --no-build-isolation --no-deps --wheel-dir /tmp/wheel . \
 && /opt/chfw-sr/bin/pip install --no-deps /tmp/wheel/*.whl

FROM python:3.13-slim
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/chfw-sr chfw-sr
COPY --from=build /opt/chfw-sr /opt/chfw-sr
ENV PATH=/opt/chfw-sr/bin:$PATH PYTHONUNBUFFERED=1 CHFW_SR_METRICS_HOST=0.0.0.0
USER 10001
WORKDIR /var/lib/chfw-sr
EXPOSE 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=10s --start-period=30s --retries=4 CMD ["chfw-sr", "healthcheck", "--live"]
ENTRYPOINT ["chfw-sr"]
CMD ["run"]
