#!/bin/sh
# Builds the server and the load generator and measures the server beside
# etcd 3.4 (Debian: etcd-server). Arguments go to the generator; see -help.
set -eu
cd "$(dirname "$0")/../.."
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
go build -o "$bin/etcd" ./cmd/etcd
go build -o "$bin/etcd-bench" ./cmd/etcd-bench
"$bin/etcd-bench" -ours "$bin/etcd" "$@"
