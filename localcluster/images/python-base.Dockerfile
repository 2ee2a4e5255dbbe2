# A Debian root file system with Python, for machines that cannot pull `python:3.11-slim`. Context: what debootstrap made.
FROM scratch
COPY rootfs/ /
