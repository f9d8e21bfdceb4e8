#!/bin/sh
# Turns on the HTTP event collector of a Splunk and makes the token that shipper's events come with:
# with acknowledgement, without which Kafka Connect cannot know that an event is kept.
#
#   SPLUNK_PASSWORD=... SPLUNK_HEC_TOKEN=... token.sh https://splunk:8089
#
# Run again, it brings the token's settings back to these.
set -eu

url=${1:?usage: token.sh URL of the management port, as https://splunk:8089}
: "${SPLUNK_PASSWORD:?the password of the user admin; see config/siem/splunk/env.example}"
: "${SPLUNK_HEC_TOKEN:?a UUID; see config/siem/splunk/env.example}"
inputs="$url/servicesNS/nobody/splunk_httpinput/data/inputs/http"

# The certificate is Splunk's own, which nobody can check.
post() { curl --insecure --silent --show-error --fail --user "admin:$SPLUNK_PASSWORD" --output /dev/null "$@"; }

post "$inputs/http" --data disabled=0 --data enableSSL=1
set -- --data-urlencode "token=$SPLUNK_HEC_TOKEN" --data sourcetype=shipper:exec \
    --data index=main --data useACK=1 --data disabled=0
post "$inputs/shipper" "$@" 2>/dev/null || post "$inputs" --data name=shipper "$@"
echo "the token is there"
