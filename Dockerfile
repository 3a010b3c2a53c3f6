# geomask in a container, for one scene or for a batch.
#
#   docker build -t geomask .                                    # CPU
#   docker build -t geomask:cuda --build-arg TORCH=cuda .        # NVIDIA GPUs: run with --gpus all
#   docker run --rm -v /data:/data geomask batch /data/scenes --out-dir /data/masks
FROM python:3.11-slim AS wheel
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.11-slim
# cpu: torch without CUDA, from PyTorch's own index; cuda: PyPI's, which brings its CUDA libraries.
ARG TORCH=cpu
# The wheels bring all libraries but this one, which GDAL asks of the system.
RUN apt-get update \
    && apt-get install --no-install-recommends -y libexpat1=2.* \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 geomask
COPY --from=wheel /wheels /wheels
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# The wheel is the version.
# hadolint ignore=DL3013
RUN case "$TORCH" in \
        cpu) pip install --no-cache-dir "torch==2.*" "torchvision==0.*" \
                 --index-url https://download.pytorch.org/whl/cpu ;; \
        cuda) true ;; \
        *) echo "TORCH is cpu or cuda, not $TORCH" >&2; exit 1 ;; \
    esac \
    && wheel=$(echo /wheels/*.whl) \
    && pip install --no-cache-dir "${wheel}[ray,stac]" \
    && rm -r /wheels
USER 1000
WORKDIR /data
ENTRYPOINT ["geomask"]
CMD ["--help"]
