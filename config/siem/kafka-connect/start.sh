#!/bin/bash
# What a Kafka Connect container of docker-compose.yml runs: fetches the plugin, starts the worker and
# gives it the connector.
#
#   PLUGIN     owner/name:version on Confluent Hub
#   CONNECTOR  name of the connector; its configuration is in NAME.json beside this file
set -euo pipefail

confluent-hub install --no-prompt "$PLUGIN"

/etc/confluent/docker/run &
worker=$!
trap 'kill "$worker"' TERM INT

# Refused until the worker has joined its group. What it says is in the container's log.
until curl --silent --show-error --fail-with-body --write-out '\n' --request PUT \
    --header 'Content-Type: application/json' --data "@/kafka-connect/$CONNECTOR.json" \
    "http://localhost:8083/connectors/$CONNECTOR/config"; do
    kill -0 "$worker" || exit 1
    sleep 2
done

# A second time, since the signal ends the first wait before the worker has stopped.
wait "$worker" || wait "$worker"
