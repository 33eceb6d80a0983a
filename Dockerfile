# One image for every service and the worker: `atelier serve NAME`, `atelier worker`, `atelier migrate`.
FROM python:3.11-slim AS build
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /app
COPY pyproject.toml constraints.txt README.md ./
COPY services services
COPY shared shared
# The CPU build of torch: text vectors come from OpenVINO, pictures from a small model. vLLM has its own image.
RUN UV_TORCH_BACKEND=cpu uv pip install --no-cache --target /packages -c constraints.txt '.[models,trees,train,lora,eval,docs]'

FROM python:3.11-slim
# gcc compiles tree models (and brings the OpenMP library that LightGBM loads).
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev libgomp1 && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home atelier && mkdir -p /data && chown atelier /data
ENV PYTHONPATH=/packages PATH=/packages/bin:$PATH PYTHONUNBUFFERED=1 \
    ATELIER_DATA=/data PROMPTS_DIR=/app/prompts HOST=0.0.0.0 PORT=8080 HF_HUB_OFFLINE=1 DO_NOT_TRACK=1 RAGAS_DO_NOT_TRACK=true
COPY --from=build /packages /packages
COPY prompts /app/prompts
USER atelier
WORKDIR /app
VOLUME /data
ENTRYPOINT ["python", "-m", "services"]
CMD ["serve", "all"]
