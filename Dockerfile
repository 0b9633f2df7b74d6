# The command sgz: no torch, no root, on the processor.
#
#   docker build --tag sgz .
#   docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/data" sgz photo.jpg
#
# The demo's page is the stage "demo"; compose.yaml starts it.
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY sgz ./sgz
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.12-slim AS base
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir /wheels/sgz-*.whl && mkdir --mode=777 /cache
# The compiled kernels go where any user may write, also under --user.
ENV NUMBA_CACHE_DIR=/cache/numba XDG_CACHE_HOME=/cache HOME=/tmp ORT_DISABLE_TELEMETRY=1
USER 10001:10001

FROM base AS demo
USER 0
RUN pip install --no-cache-dir "gradio>=6.31,<7"
WORKDIR /app
COPY option.py ./
COPY demo ./demo
COPY data ./data
COPY weight ./weight
USER 10001:10001
EXPOSE 7860
ENTRYPOINT ["python", "demo/app.py", "--host", "0.0.0.0"]

FROM base
WORKDIR /data
ENTRYPOINT ["sgz"]
CMD ["--help"]
