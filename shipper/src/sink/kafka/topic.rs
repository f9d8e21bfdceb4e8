//! What the brokers say about a topic: its partitions, what this user may do with it, how large a
//! record may be. Asked when something is wrong, and by `shipper validate --connect`.
//!
//! rdkafka has no DescribeTopics, so librdkafka's own is called here; the only place of the sinks
//! with unsafe code.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::bindings as rd;
use rdkafka::client::{Client, ClientContext, DefaultClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::LOOK_INTERVAL;

/// What is known of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topic {
    /// Every partition.
    pub partitions: Vec<Partition>,
    /// Whether this user may write; `None` when the brokers do not tell.
    pub may_write: Option<bool>,
}

/// A partition of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// A broker takes records for it.
    pub has_leader: bool,
    /// Replicas that have all of it.
    pub in_sync: usize,
    /// All replicas.
    pub replicas: usize,
}

/// Settings of a topic that bear on what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `max.message.bytes`: most bytes of a batch of records, compressed.
    pub message_bytes_max: usize,
    /// `min.insync.replicas`.
    pub in_sync_min: usize,
}

/// Asks for the limits of a topic.
///
/// # Errors
/// The code: `TopicAuthorizationFailed` when this user may not see them.
pub async fn limits(
    config: &ClientConfig,
    topic: &str,
    patience: Duration,
) -> Result<Limits, Code> {
    let options = AdminOptions::new().request_timeout(Some(patience));
    let resource = [ResourceSpecifier::Topic(topic)];
    let client: AdminClient<DefaultClientContext> =
        config.create().map_err(|error| error.rdkafka_error_code().unwrap_or(Code::Unknown))?;
    let results = client
        .describe_configs(&resource, &options)
        .await
        .map_err(|error| error.rdkafka_error_code().unwrap_or(Code::Unknown))?;
    let resource = results.into_iter().next().ok_or(Code::Unknown)??;
    let number = |name: &str| resource.get(name)?.value.as_ref()?.parse().ok();
    Ok(Limits {
        message_bytes_max: number("max.message.bytes").ok_or(Code::Unknown)?,
        in_sync_min: number("min.insync.replicas").ok_or(Code::Unknown)?,
    })
}

/// Asks for a topic without making it. Blocks until the answer, or `patience`, or until it
/// `is_hopeless`.
///
/// # Errors
/// The code of the brokers or of librdkafka; `UnknownTopicOrPartition` where there is none that this
/// user may see.
pub fn describe<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    patience: Duration,
    is_hopeless: impl Fn() -> bool,
) -> Result<Topic, Code> {
    let name = CString::new(topic).map_err(|_| Code::InvalidTopic)?;
    let patience_ms = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the pointer is that of a client that lives as long as this call.
    let request = unsafe { Request::new(client.native_ptr(), &name, patience_ms)? };
    // SAFETY: all of them are live, made for this client by `Request::new`.
    unsafe {
        rd::rd_kafka_DescribeTopics(request.client, request.topics, request.options, request.queue);
    }
    // The answer comes at the latest when the request times out, which librdkafka says by an event.
    let deadline = Instant::now() + patience + LOOK_INTERVAL;
    let event = loop {
        let look_ms = LOOK_INTERVAL.as_millis() as i32;
        // SAFETY: the queue is live.
        let event = unsafe { rd::rd_kafka_queue_poll(request.queue, look_ms) };
        if !event.is_null() {
            break Event(event);
        }
        if is_hopeless() || Instant::now() >= deadline {
            return Err(Code::OperationTimedOut);
        }
    };
    // SAFETY: the event is live; the description belongs to it and is read before it goes.
    unsafe { read(event.0) }
}

/// What a request is made of; freed together.
struct Request {
    client: *mut rd::rd_kafka_t,
    queue: *mut rd::rd_kafka_queue_t,
    options: *mut rd::rd_kafka_AdminOptions_t,
    topics: *mut rd::rd_kafka_TopicCollection_t,
}

impl Request {
    /// # Safety
    /// `client` is live, and stays so until the request is dropped.
    unsafe fn new(
        client: *mut rd::rd_kafka_t,
        name: &CStr,
        patience_ms: i32,
    ) -> Result<Request, Code> {
        let mut names = [name.as_ptr()];
        let mut message: [c_char; 256] = [0; 256];
        // SAFETY: the client is live; the name is copied by the collection; the buffer is as long as
        // is said.
        unsafe {
            let request = Request {
                client,
                queue: rd::rd_kafka_queue_new(client),
                options: rd::rd_kafka_AdminOptions_new(
                    client,
                    rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
                ),
                topics: rd::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), 1),
            };
            let refused = rd::rd_kafka_AdminOptions_set_request_timeout(
                request.options,
                patience_ms,
                message.as_mut_ptr(),
                message.len(),
            );
            if refused != rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return Err(refused.into());
            }
            let error =
                rd::rd_kafka_AdminOptions_set_include_authorized_operations(request.options, 1);
            if error.is_null() {
                return Ok(request);
            }
            let code = rd::rd_kafka_error_code(error);
            rd::rd_kafka_error_destroy(error);
            Err(code.into())
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        // SAFETY: each was made in `new`, is not null, and is freed once. The queue may go while
        // the request is under way: librdkafka then drops the answer.
        unsafe {
            rd::rd_kafka_TopicCollection_destroy(self.topics);
            rd::rd_kafka_AdminOptions_destroy(self.options);
            rd::rd_kafka_queue_destroy(self.queue);
        }
    }
}

struct Event(*mut rd::rd_kafka_event_t);

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: it was handed out by the queue and is freed once.
        unsafe { rd::rd_kafka_event_destroy(self.0) }
    }
}

/// # Safety
/// `event` is live.
unsafe fn read(event: *mut rd::rd_kafka_event_t) -> Result<Topic, Code> {
    // SAFETY: as the caller says; every pointer that is got belongs to the event, and arrays are as
    // long as librdkafka says.
    unsafe {
        code(rd::rd_kafka_event_error(event))?;
        let result = rd::rd_kafka_event_DescribeTopics_result(event);
        if result.is_null() {
            return Err(Code::Unknown);
        }
        let mut count = 0;
        let topics = rd::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        if topics.is_null() || count == 0 {
            return Err(Code::Unknown);
        }
        let topic = *topics;
        let error = rd::rd_kafka_TopicDescription_error(topic);
        if !error.is_null() {
            code(rd::rd_kafka_error_code(error))?;
        }
        let partitions = rd::rd_kafka_TopicDescription_partitions(topic, &mut count);
        let partitions = slice(partitions.cast_const(), count).iter().map(|&partition| {
            let (mut in_sync, mut replicas) = (0, 0);
            rd::rd_kafka_TopicPartitionInfo_isr(partition, &mut in_sync);
            rd::rd_kafka_TopicPartitionInfo_replicas(partition, &mut replicas);
            let leader = rd::rd_kafka_TopicPartitionInfo_leader(partition);
            Partition { has_leader: !leader.is_null(), in_sync, replicas }
        });
        let partitions = partitions.collect();
        let operations = rd::rd_kafka_TopicDescription_authorized_operations(topic, &mut count);
        let operations = (!operations.is_null()).then(|| slice(operations, count));
        let may_write = operations.map(|operations| {
            operations.contains(&rd::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_WRITE)
        });
        Ok(Topic { partitions, may_write })
    }
}

fn code(code: rd::rd_kafka_resp_err_t) -> Result<(), Code> {
    match Code::from(code) {
        Code::NoError => Ok(()),
        code => Err(code),
    }
}

/// # Safety
/// There are `count` values at `first`, or it is null.
unsafe fn slice<'a, T>(first: *const T, count: usize) -> &'a [T] {
    if first.is_null() {
        return &[];
    }
    // SAFETY: as the caller says.
    unsafe { std::slice::from_raw_parts(first, count) }
}
