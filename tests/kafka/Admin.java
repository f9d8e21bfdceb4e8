import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedOutputStream;
import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.admin.UserScramCredentialDeletion;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.Metric;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.ElectionNotNeededException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * The harness's hand on a cluster: Kafka's own admin client and consumer, kept running so that a
 * command costs no start of a virtual machine.
 *
 * <pre>java Admin BOOTSTRAP_SERVERS</pre>
 *
 * Reads one command a line from standard input, a JSON object whose {@code command} names a case of
 * {@link #run}, and answers each with one line on standard output: {@code {"ok": result}} or
 * {@code {"error": "Exception: message"}}. {@code consume} writes a line for each record before
 * that. Ends at the end of its input. Every command waits until the cluster shows its effect.
 */
public final class Admin {
    /** How long a command may take. The harness gives up a little later. */
    private static final Duration LIMIT = Duration.ofSeconds(100);

    private static final ObjectMapper JSON = new ObjectMapper();

    private final String bootstrap;
    private final org.apache.kafka.clients.admin.Admin client;
    private final PrintStream out;

    private Admin(String bootstrap, PrintStream out) {
        this.bootstrap = bootstrap;
        this.client = connect(bootstrap);
        this.out = out;
    }

    public static void main(String[] args) throws Exception {
        // Buffered and flushed by hand: a topic that is read is many short lines.
        PrintStream out =
                new PrintStream(
                        new BufferedOutputStream(new FileOutputStream(FileDescriptor.out), 1 << 16),
                        false,
                        StandardCharsets.UTF_8);
        Admin admin = new Admin(args[0], out);
        BufferedReader commands =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = commands.readLine()) != null; ) {
            ObjectNode answer = JSON.createObjectNode();
            try {
                answer.set("ok", admin.run(JSON.readTree(line)));
            } catch (ExecutionException e) {
                answer.put("error", chain(e.getCause()));
            } catch (Exception e) {
                answer.put("error", chain(e));
            }
            out.println(answer);
            out.flush();
        }
        System.exit(0);
    }

    private static String chain(Throwable error) {
        StringBuilder text = new StringBuilder();
        for (Throwable cause = error; cause != null; cause = cause.getCause()) {
            text.append(text.isEmpty() ? "" : ": ").append(cause);
        }
        return text.toString();
    }

    private JsonNode run(JsonNode command) throws Exception {
        switch (command.get("command").asText()) {
                // {"broker": id, "bootstrap": its address}: waits until it serves, unfenced.
            case "await-broker":
                return awaitBroker(command);
                // Ids of the brokers that serve.
            case "brokers":
                return brokers(client);
                // {"topic", "partitions", "replication", "configs": {name: value}}
            case "create-topic":
                return createTopic(command);
                // {"topic"}
            case "delete-topic":
                return deleteTopic(command.get("topic").asText());
                // {"topic"}: [{"partition", "leader" (-1: none), "replicas", "isr"}]
            case "describe-topic":
                return describeTopic(command.get("topic").asText());
                // {"topic", "partition", "leader"}: makes that replica the leader.
            case "move-leader":
                return moveLeader(command);
                // {"type": "topic" | "broker", "name", "configs": {name: value; null removes}}
            case "alter-configs":
                return alterConfigs(command);
                // {"principal", "type": "topic" | "group" | "cluster", "name", "operation",
                //  "permission": "allow" | "deny"}
            case "add-acl":
                client.createAcls(List.of(acl(command))).all().get();
                return JSON.nullNode();
            case "remove-acl":
                client.deleteAcls(List.of(acl(command).toFilter())).all().get();
                return JSON.nullNode();
                // {"user", "mechanism": "SCRAM-SHA-256" | "SCRAM-SHA-512", "password"}
            case "set-scram":
                return setScram(command);
                // {"user", "mechanism"}
            case "remove-scram":
                return removeScram(command);
                // {"user", "producer_byte_rate": bytes a second; null removes}
            case "set-quota":
                return setQuota(command);
                // {"topic", "value", "properties": {name: value}}: one message by Kafka's own producer;
                // the milliseconds for which the broker throttles it.
            case "produce":
                return produce(command);
                // {"topic"}: {"partition", "offset", "timestamp_ms", "key", "value",
                //  "headers": [[name, value]]} a line, bytes in base64 or null; then their number.
            case "consume":
                return consume(command.get("topic").asText());
            default:
                throw new IllegalArgumentException("no such command: " + command);
        }
    }

    private static org.apache.kafka.clients.admin.Admin connect(String bootstrap) {
        return org.apache.kafka.clients.admin.Admin.create(
                Map.of(
                        "bootstrap.servers", bootstrap,
                        "client.id", "harness",
                        "request.timeout.ms", 5000,
                        "reconnect.backoff.ms", 20,
                        "reconnect.backoff.max.ms", 100,
                        "default.api.timeout.ms", (int) LIMIT.toMillis()));
    }

    private static ArrayNode brokers(org.apache.kafka.clients.admin.Admin client) throws Exception {
        ArrayNode ids = JSON.createArrayNode();
        for (Node node : client.describeCluster().nodes().get()) {
            ids.add(node.id());
        }
        return ids;
    }

    /** What is looked at until it is so; a tenth of a second is little beside what is waited for. */
    private interface Condition {
        boolean holds() throws Exception;
    }

    private static void await(String what, Condition condition) throws Exception {
        long deadline = System.nanoTime() + LIMIT.toNanos();
        while (!condition.holds()) {
            if (System.nanoTime() > deadline) {
                throw new IllegalStateException("not in " + LIMIT.toSeconds() + " s: " + what);
            }
            Thread.sleep(50);
        }
    }

    private static JsonNode awaitBroker(JsonNode command) throws Exception {
        int id = command.get("broker").asInt();
        // Asked of itself: the others may still know it from before it was killed.
        try (org.apache.kafka.clients.admin.Admin itself = connect(command.get("bootstrap").asText())) {
            await(
                    "broker " + id + " serves",
                    () -> {
                        for (JsonNode listed : brokers(itself)) {
                            if (listed.asInt() == id) {
                                return true;
                            }
                        }
                        return false;
                    });
        }
        return JSON.nullNode();
    }

    private JsonNode createTopic(JsonNode command) throws Exception {
        String topic = command.get("topic").asText();
        int partitions = command.get("partitions").asInt();
        NewTopic wanted =
                new NewTopic(topic, partitions, (short) command.get("replication").asInt())
                        .configs(strings(command.get("configs")));
        client.createTopics(List.of(wanted)).all().get();
        // Each broker that serves must know it, or a client that asks one of them is told that
        // there is no such topic.
        for (Node node : client.describeCluster().nodes().get()) {
            try (org.apache.kafka.clients.admin.Admin one = connect(node.host() + ":" + node.port())) {
                await(
                        "leaders of " + topic,
                        () -> {
                            TopicDescription description = describe(one, topic);
                            return description != null
                                    && description.partitions().stream()
                                            .allMatch(partition -> partition.leader() != null);
                        });
            }
        }
        return JSON.nullNode();
    }

    private JsonNode deleteTopic(String topic) throws Exception {
        client.deleteTopics(List.of(topic)).all().get();
        for (Node node : client.describeCluster().nodes().get()) {
            try (org.apache.kafka.clients.admin.Admin one = connect(node.host() + ":" + node.port())) {
                await("deletion of " + topic, () -> describe(one, topic) == null);
            }
        }
        return JSON.nullNode();
    }

    /** Null where there is no such topic. */
    private static TopicDescription describe(
            org.apache.kafka.clients.admin.Admin client, String topic) throws Exception {
        try {
            return client.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
        } catch (ExecutionException e) {
            if (e.getCause() instanceof UnknownTopicOrPartitionException) {
                return null;
            }
            throw e;
        }
    }

    private JsonNode describeTopic(String topic) throws Exception {
        TopicDescription description = describe(client, topic);
        if (description == null) {
            throw new UnknownTopicOrPartitionException("there is no topic " + topic);
        }
        ArrayNode partitions = JSON.createArrayNode();
        for (TopicPartitionInfo info : description.partitions()) {
            ObjectNode partition = partitions.addObject();
            partition.put("partition", info.partition());
            partition.put("leader", leader(info));
            partition.set("replicas", ids(info.replicas()));
            partition.set("isr", ids(info.isr()));
        }
        return partitions;
    }

    private static int leader(TopicPartitionInfo info) {
        return info.leader() == null || info.leader().isEmpty() ? -1 : info.leader().id();
    }

    private static ArrayNode ids(Collection<Node> nodes) {
        ArrayNode ids = JSON.createArrayNode();
        nodes.forEach(node -> ids.add(node.id()));
        return ids;
    }

    private JsonNode moveLeader(JsonNode command) throws Exception {
        String topic = command.get("topic").asText();
        int number = command.get("partition").asInt();
        int leader = command.get("leader").asInt();
        TopicPartition partition = new TopicPartition(topic, number);
        TopicPartitionInfo info = describe(client, topic).partitions().get(number);
        // The first of the replicas is the one preferred.
        List<Integer> replicas = new ArrayList<>(List.of(leader));
        for (Node node : info.replicas()) {
            if (node.id() != leader) {
                replicas.add(node.id());
            }
        }
        client.alterPartitionReassignments(
                        Map.of(partition, Optional.of(new NewPartitionReassignment(replicas))))
                .all()
                .get();
        await(
                "the new order of the replicas",
                () ->
                        client.listPartitionReassignments(Set.of(partition))
                                        .reassignments()
                                        .get()
                                        .isEmpty()
                                && describe(client, topic)
                                        .partitions()
                                        .get(number)
                                        .replicas()
                                        .get(0)
                                        .id()
                                        == leader);
        try {
            client.electLeaders(ElectionType.PREFERRED, Set.of(partition)).all().get();
        } catch (ExecutionException e) {
            if (!(e.getCause() instanceof ElectionNotNeededException)) {
                throw e;
            }
        }
        await(
                "the new leader",
                () -> leader(describe(client, topic).partitions().get(number)) == leader);
        return JSON.nullNode();
    }

    private JsonNode alterConfigs(JsonNode command) throws Exception {
        ConfigResource resource =
                new ConfigResource(
                        command.get("type").asText().equals("topic")
                                ? ConfigResource.Type.TOPIC
                                : ConfigResource.Type.BROKER,
                        command.get("name").asText());
        List<AlterConfigOp> changes = new ArrayList<>();
        strings(command.get("configs"))
                .forEach(
                        (name, value) ->
                                changes.add(
                                        new AlterConfigOp(
                                                new ConfigEntry(name, value == null ? "" : value),
                                                value == null
                                                        ? AlterConfigOp.OpType.DELETE
                                                        : AlterConfigOp.OpType.SET)));
        client.incrementalAlterConfigs(Map.of(resource, changes)).all().get();
        return JSON.nullNode();
    }

    private static Map<String, String> strings(JsonNode object) {
        Map<String, String> strings = new HashMap<>();
        object.properties()
                .forEach(
                        field ->
                                strings.put(
                                        field.getKey(),
                                        field.getValue().isNull() ? null : field.getValue().asText()));
        return strings;
    }

    private static AclBinding acl(JsonNode command) {
        return new AclBinding(
                new ResourcePattern(
                        ResourceType.fromString(command.get("type").asText()),
                        command.get("name").asText(),
                        PatternType.LITERAL),
                new AccessControlEntry(
                        command.get("principal").asText(),
                        "*",
                        AclOperation.fromString(command.get("operation").asText()),
                        AclPermissionType.fromString(command.get("permission").asText())));
    }

    private JsonNode setScram(JsonNode command) throws Exception {
        ScramMechanism mechanism =
                ScramMechanism.fromMechanismName(command.get("mechanism").asText());
        client.alterUserScramCredentials(
                        List.of(
                                new UserScramCredentialUpsertion(
                                        command.get("user").asText(),
                                        new ScramCredentialInfo(mechanism, 4096),
                                        command.get("password").asText())))
                .all()
                .get();
        return JSON.nullNode();
    }

    private JsonNode removeScram(JsonNode command) throws Exception {
        ScramMechanism mechanism =
                ScramMechanism.fromMechanismName(command.get("mechanism").asText());
        client.alterUserScramCredentials(
                        List.of(
                                new UserScramCredentialDeletion(
                                        command.get("user").asText(), mechanism)))
                .all()
                .get();
        return JSON.nullNode();
    }

    private JsonNode setQuota(JsonNode command) throws Exception {
        JsonNode rate = command.get("producer_byte_rate");
        client.alterClientQuotas(
                        List.of(
                                new ClientQuotaAlteration(
                                        new ClientQuotaEntity(
                                                Map.of(
                                                        ClientQuotaEntity.USER,
                                                        command.get("user").asText())),
                                        List.of(
                                                new ClientQuotaAlteration.Op(
                                                        "producer_byte_rate",
                                                        rate.isNull() ? null : rate.asDouble())))))
                .all()
                .get();
        return JSON.nullNode();
    }

    private static JsonNode produce(JsonNode command) throws Exception {
        Map<String, Object> properties = new HashMap<>(strings(command.get("properties")));
        // A refusal must show in seconds, whatever kind it is.
        properties.put("max.block.ms", 5000);
        properties.put("delivery.timeout.ms", 10_000);
        properties.put("request.timeout.ms", 5000);
        try (KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(
                        properties, new ByteArraySerializer(), new ByteArraySerializer())) {
            byte[] value = command.get("value").asText().getBytes(StandardCharsets.UTF_8);
            producer.send(new ProducerRecord<>(command.get("topic").asText(), value)).get();
            double throttle = 0;
            for (Metric metric : producer.metrics().values()) {
                if (metric.metricName().name().equals("produce-throttle-time-max")) {
                    throttle = (double) metric.metricValue();
                }
            }
            return JSON.getNodeFactory().numberNode((long) throttle);
        }
    }

    private JsonNode consume(String topic) throws Exception {
        long count = 0;
        long deadline = System.nanoTime() + LIMIT.toNanos();
        Map<String, Object> properties =
                Map.of(
                        "bootstrap.servers", bootstrap,
                        "isolation.level", "read_committed",
                        "auto.offset.reset", "none",
                        // Compressed batches of events of a megabyte each unpack to far more than
                        // the heap: what is unpacked at once must be few.
                        "max.poll.records", 50,
                        "default.api.timeout.ms", (int) LIMIT.toMillis());
        try (KafkaConsumer<byte[], byte[]> consumer =
                new KafkaConsumer<>(
                        properties, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> partitions = new ArrayList<>();
            for (TopicPartitionInfo info : describe(client, topic).partitions()) {
                partitions.add(new TopicPartition(topic, info.partition()));
            }
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            while (!partitions.stream().allMatch(p -> consumer.position(p) >= ends.get(p))) {
                if (System.nanoTime() > deadline) {
                    throw new IllegalStateException("the end was not reached: " + ends);
                }
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(100))) {
                    out.println(json(record));
                    count++;
                }
            }
        }
        return JSON.getNodeFactory().numberNode(count);
    }

    private static ObjectNode json(ConsumerRecord<byte[], byte[]> record) {
        ObjectNode message = JSON.createObjectNode();
        message.put("partition", record.partition());
        message.put("offset", record.offset());
        message.put("timestamp_ms", record.timestamp());
        message.put("key", base64(record.key()));
        message.put("value", base64(record.value()));
        ArrayNode headers = message.putArray("headers");
        for (Header header : record.headers()) {
            headers.addArray().add(header.key()).add(base64(header.value()));
        }
        return message;
    }

    private static String base64(byte[] bytes) {
        return bytes == null ? null : Base64.getEncoder().encodeToString(bytes);
    }
}
