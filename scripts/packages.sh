# Sourced by the scripts beside it: installs Debian packages, but only what is missing.

# need PROGRAM PACKAGE...   PROGRAM is a command, or a file pattern such as /usr/lib/postgresql/*/bin/initdb
need() {
  local program=$1 sudo=
  shift
  command -v "$program" >/dev/null || compgen -G "$program" >/dev/null && return
  [ "$(id -u)" = 0 ] || sudo=sudo
  echo "Installing $* (for $program)"
  $sudo apt-get update -qq
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# What the build needs beside cargo: a C compiler for SQLite, zstd, the cryptographic library and PostgreSQL's parser, and libclang for the
# declarations of the last.
need_build() {
  if ! command -v cargo >/dev/null; then
    echo "cargo is missing: install the Rust toolchain (https://rustup.rs), then run this again" >&2
    exit 1
  fi
  need cc gcc libc6-dev
  need make make
  need '/usr/lib/llvm-*/lib/libclang.so*' libclang-dev
}
