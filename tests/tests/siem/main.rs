//! What `config/siem/` and `docker-compose.yml` give an operator, loaded into the real thing where it
//! can be had: templates and pipeline into OpenSearch, connectors into Kafka Connect's own checks, the
//! compose file into docker-compose. Splunk, Logstash, Filebeat and the two connectors' own classes
//! cannot be had here; their files are only read.

mod elasticsearch;
mod events;
