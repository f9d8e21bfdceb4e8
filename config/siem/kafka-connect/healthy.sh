#!/bin/bash
# Healthy: the connector and all its tasks run. A worker stays up when a task has failed.
set -euo pipefail

status=$(curl --silent --fail "http://localhost:8083/connectors/$CONNECTOR/status")
grep --quiet '"tasks":\[{' <<<"$status"
! grep --quiet --extended-regexp '"state":"(FAILED|UNASSIGNED|PAUSED|STOPPED)"' <<<"$status"
