#!/bin/sh
# Installs the ingest pipeline and the templates; what is there is replaced, but for
# shipper-process-custom, which is the operator's.
#
#   install.sh https://elasticsearch:9200 [OPTION OF curl]...
#
# as in `install.sh https://es:9200 --cacert ca.pem --header @authorization`, where the file
# `authorization` holds `Authorization: ApiKey ...`. The key needs the cluster privileges
# manage_index_templates and manage_ingest_pipelines.
#
# Each file is the body of a PUT, and its path is the path of the request.
set -eu

[ $# -ge 1 ] || { echo "usage: install.sh URL [OPTION OF curl]..." >&2; exit 2; }
url=${1%/}
shift
cd "$(dirname "$0")"

request() {
    curl --silent --show-error --fail --output /dev/null --max-time 60 "$@"
}

put() {
    path=${1%.json}
    shift
    echo "PUT /$path"
    request "$@" --request PUT --header 'Content-Type: application/json' --data-binary "@$path.json" \
        "$url/$path" || { echo "install.sh: $url refused $path.json" >&2; exit 1; }
}

# In this order: each names the ones before.
put _ingest/pipeline/logs-shipper.process.json "$@"
put _component_template/shipper-process-ecs.json "$@"
put _component_template/shipper-process-own.json "$@"
request "$@" --head "$url/_component_template/shipper-process-custom" 2>/dev/null ||
    put _component_template/shipper-process-custom.json "$@"
put _index_template/logs-shipper.process.json "$@"
