# The image of meshtax: the program and what it is linked with, and nothing else. No shell, no package manager, no root.
#
#   podman build --tag meshtax:0.1.0 .          or: buildah build, docker build
#
# From a program that is built already: bash .ci/image target/release/meshtax
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked && bash .ci/rootfs target/release/meshtax /rootfs

FROM scratch
COPY --from=build /rootfs /
USER 65532:65532
# Runs are made where one may write; mount something there to keep them.
WORKDIR /work
ENTRYPOINT ["/meshtax"]
